//! Lights: how a home is, in a colour and words, for the card and for each hop (T5).
//!
//! Green works, grey is away or not known yet, red needs somebody.

use serde::Serialize;
use shared::relay::HomeAssistantState;

use crate::clock::Timestamp;
use crate::http::ago::Moment;
use crate::http::words::Words;

/// What is known of a home right now; where it comes from is `web.rs`'s business.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The home was never paired with an agent.
    pub is_new: bool,
    /// What is wrong with the home itself.
    pub error: Option<String>,
    /// Since when its tunnel is connected.
    pub tunnel: Option<Timestamp>,
    /// Since when its agent is connected.
    pub agent: Option<Timestamp>,
    /// The agent's machine and version, while it is connected.
    pub machine: Option<String>,
    /// The agent's version.
    pub version: Option<String>,
    /// How Home Assistant is, since when, and why.
    pub home_assistant: Option<(HomeAssistantState, Timestamp, Option<String>)>,
}

/// A colour's class in the style sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Colour {
    /// It works.
    #[serde(rename = "light-green")]
    Green,
    /// It is away, or not known yet.
    #[serde(rename = "light-grey")]
    Grey,
    /// Somebody must do something.
    #[serde(rename = "light-red")]
    Red,
}

/// One light.
#[derive(Debug, Clone, Serialize)]
pub struct Light {
    /// Its colour.
    pub colour: Colour,
    /// The same in words.
    pub words: String,
    /// More: a machine, a version, a reason.
    pub detail: Option<String>,
    /// Since when.
    pub since: Option<Moment>,
}

impl Light {
    /// The class in the style sheet.
    pub fn class(&self) -> &'static str {
        match self.colour {
            Colour::Green => "light-green",
            Colour::Grey => "light-grey",
            Colour::Red => "light-red",
        }
    }
}

/// One hop on the way from the internet into the house.
#[derive(Debug)]
pub struct Hop {
    /// Its key in the page and the JSON.
    pub key: &'static str,
    /// Its icon.
    pub icon: &'static str,
    /// What it is called.
    pub name: String,
    /// How it is.
    pub light: Light,
}

/// Turns what is known into lights, in one language at one moment.
#[derive(Clone, Copy)]
pub struct Reader {
    /// The words.
    pub w: &'static Words,
    /// Now.
    pub now: Timestamp,
}

impl Reader {
    /// The three hops, outermost first.
    pub fn hops(self, seen: &Seen) -> [Hop; 3] {
        let hop = |key, icon, name, light| Hop { key, icon, name: self.w.say(name), light };
        [
            hop("tunnel", "globe", "dashboard-hop-tunnel", self.connected(seen.tunnel, None)),
            hop("agent", "agent", "dashboard-hop-agent", self.connected(seen.agent, program(seen))),
            hop("home-assistant", "home", "dashboard-hop-home-assistant", self.home_assistant(seen)),
        ]
    }

    /// The one light of the home's card.
    pub fn home(self, seen: &Seen) -> Light {
        if let Some(error) = &seen.error {
            return self.light(Colour::Red, "dashboard-error", None, Some(error.clone()));
        }
        if seen.is_new {
            return self.light(Colour::Grey, "dashboard-not-paired", None, None);
        }
        match (seen.agent, &seen.home_assistant) {
            (Some(_), Some((HomeAssistantState::Running, since, _))) => {
                self.light(Colour::Green, "dashboard-connected", Some(*since), None)
            }
            (Some(_), _) => self.home_assistant(seen),
            (None, _) => self.connected(None, None),
        }
    }

    fn connected(self, since: Option<Timestamp>, detail: Option<String>) -> Light {
        match since {
            Some(_) => self.light(Colour::Green, "dashboard-connected", since, detail),
            None => self.light(Colour::Grey, "dashboard-disconnected", None, None),
        }
    }

    fn home_assistant(self, seen: &Seen) -> Light {
        let Some((state, since, reason)) = seen.home_assistant.as_ref().filter(|_| seen.agent.is_some())
        else {
            return self.light(Colour::Grey, "dashboard-unknown", None, None);
        };
        let (colour, key) = match state {
            HomeAssistantState::Running => (Colour::Green, "dashboard-running"),
            HomeAssistantState::Starting => (Colour::Grey, "dashboard-starting"),
            HomeAssistantState::Unreachable => (Colour::Red, "dashboard-unreachable"),
            HomeAssistantState::Refused => (Colour::Red, "dashboard-refused"),
        };
        self.light(colour, key, Some(*since), reason.clone())
    }

    fn light(self, colour: Colour, key: &str, since: Option<Timestamp>, detail: Option<String>) -> Light {
        let since = since.map(|at| self.moment(at));
        Light { colour, words: self.w.say(key), detail, since }
    }

    /// A moment, seen from now.
    pub fn moment(self, at: Timestamp) -> Moment {
        Moment::new(self.w, at, self.now)
    }
}

/// The agent's machine and version, as far as they are known.
fn program(seen: &Seen) -> Option<String> {
    let parts: Vec<_> = [&seen.machine, &seen.version].into_iter().flatten().map(String::as_str).collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::words::english;

    const NOW: Timestamp = Timestamp::from_millis(10_000_000);

    fn colours(seen: &Seen) -> (Colour, [Colour; 3]) {
        let reader = Reader { w: english(), now: NOW };
        (reader.home(seen).colour, reader.hops(seen).map(|hop| hop.light.colour))
    }

    fn with(state: HomeAssistantState) -> Seen {
        let since = Some(Timestamp::from_millis(1));
        let home_assistant = Some((state, NOW, None));
        Seen { tunnel: since, agent: since, home_assistant, ..Seen::default() }
    }

    #[test]
    fn green_needs_the_agent_and_a_running_home_assistant() {
        use Colour::{Green, Grey, Red};
        assert_eq!(colours(&with(HomeAssistantState::Running)), (Green, [Green; 3]));
        assert_eq!(colours(&with(HomeAssistantState::Starting)), (Grey, [Green, Green, Grey]));
        assert_eq!(colours(&with(HomeAssistantState::Unreachable)), (Red, [Green, Green, Red]));
        assert_eq!(colours(&with(HomeAssistantState::Refused)), (Red, [Green, Green, Red]));
        assert_eq!(colours(&Seen::default()), (Grey, [Grey; 3]));
    }

    #[test]
    fn what_an_absent_agent_last_said_is_not_believed() {
        let seen = Seen { agent: None, ..with(HomeAssistantState::Running) };
        assert_eq!(colours(&seen), (Colour::Grey, [Colour::Green, Colour::Grey, Colour::Grey]));
    }

    #[test]
    fn an_error_outshines_everything() {
        let seen = Seen { error: Some("no tunnel".to_owned()), ..with(HomeAssistantState::Running) };
        let light = Reader { w: english(), now: NOW }.home(&seen);
        assert_eq!((light.colour, light.detail.as_deref()), (Colour::Red, Some("no tunnel")));
    }
}
