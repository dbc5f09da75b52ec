//! Lights: how a home is, in a colour and words, for the card and for each hop (T5).
//!
//! Green works, grey is away or not known yet, red needs somebody.

use serde::Serialize;
use shared::relay::HomeAssistantState;

use crate::clock::Timestamp;
use crate::http::ago::Moment;
use crate::http::words::Words;
use crate::relay::{AgentStatus, HomeAssistant};

/// What is known of a home right now.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The home was never paired with an agent.
    pub is_new: bool,
    /// What is wrong with the home itself.
    pub error: Option<String>,
    /// Since when its tunnel is connected.
    pub tunnel: Option<Timestamp>,
    /// How its agent is.
    pub agent: AgentStatus,
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
    pub fn hops(self, known: &Known) -> [Hop; 3] {
        let hop = |key, icon, name, light| Hop { key, icon, name: self.w.say(name), light };
        let tunnel = match known.tunnel {
            Some(since) => self.light(Colour::Green, "dashboard-connected", Some(since), None),
            None => self.light(Colour::Grey, "dashboard-disconnected", None, None),
        };
        [
            hop("tunnel", "globe", "dashboard-hop-tunnel", tunnel),
            hop("agent", "agent", "dashboard-hop-agent", self.agent(&known.agent)),
            hop("home-assistant", "home", "dashboard-hop-home-assistant", self.home_assistant(&known.agent)),
        ]
    }

    /// The one light of the home's card.
    pub fn home(self, known: &Known) -> Light {
        if let Some(error) = &known.error {
            return self.light(Colour::Red, "dashboard-error", None, Some(error.clone()));
        }
        if known.is_new {
            return self.light(Colour::Grey, "dashboard-not-paired", None, None);
        }
        match (known.agent.connected_since, &known.agent.home_assistant) {
            (Some(_), Some(HomeAssistant { state: HomeAssistantState::Running, since, .. })) => {
                self.light(Colour::Green, "dashboard-connected", Some(*since), None)
            }
            (Some(_), _) => self.home_assistant(&known.agent),
            (None, _) => Light { detail: None, ..self.agent(&known.agent) },
        }
    }

    fn agent(self, agent: &AgentStatus) -> Light {
        let parts = [&agent.machine, &agent.version].into_iter().flatten().map(String::as_str);
        let program = Some(parts.collect::<Vec<_>>().join(" · ")).filter(|text| !text.is_empty());
        match agent.connected_since {
            Some(_) => self.light(Colour::Green, "dashboard-connected", agent.connected_since, program),
            None => self.light(Colour::Grey, "dashboard-disconnected", agent.last_seen, program),
        }
    }

    fn home_assistant(self, agent: &AgentStatus) -> Light {
        // What an agent said before it went away is no news any more.
        let said = agent.home_assistant.as_ref().filter(|_| agent.connected_since.is_some());
        let Some(HomeAssistant { state, since, version, reason }) = said else {
            return self.light(Colour::Grey, "dashboard-unknown", None, None);
        };
        let (colour, key, detail) = match state {
            HomeAssistantState::Running => (Colour::Green, "dashboard-running", version),
            HomeAssistantState::Starting => (Colour::Grey, "dashboard-starting", reason),
            HomeAssistantState::Unreachable => (Colour::Red, "dashboard-unreachable", reason),
            HomeAssistantState::Refused => (Colour::Red, "dashboard-refused", reason),
        };
        self.light(colour, key, Some(*since), detail.clone())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::words::english;

    const NOW: Timestamp = Timestamp::from_millis(10_000_000);

    fn colours(known: &Known) -> (Colour, [Colour; 3]) {
        let reader = Reader { w: english(), now: NOW };
        (reader.home(known).colour, reader.hops(known).map(|hop| hop.light.colour))
    }

    fn with(state: HomeAssistantState) -> Known {
        let home_assistant = Some(HomeAssistant { state, since: NOW, version: None, reason: None });
        let agent = AgentStatus { connected_since: Some(NOW), home_assistant, ..AgentStatus::default() };
        Known { tunnel: Some(NOW), agent, ..Known::default() }
    }

    #[test]
    fn green_needs_the_agent_and_a_running_home_assistant() {
        use Colour::{Green, Grey, Red};
        assert_eq!(colours(&with(HomeAssistantState::Running)), (Green, [Green; 3]));
        assert_eq!(colours(&with(HomeAssistantState::Starting)), (Grey, [Green, Green, Grey]));
        assert_eq!(colours(&with(HomeAssistantState::Unreachable)), (Red, [Green, Green, Red]));
        assert_eq!(colours(&with(HomeAssistantState::Refused)), (Red, [Green, Green, Red]));
        assert_eq!(colours(&Known::default()), (Grey, [Grey; 3]));
    }

    #[test]
    fn what_an_absent_agent_last_said_is_not_believed() {
        let mut known = with(HomeAssistantState::Running);
        known.agent.connected_since = None;
        assert_eq!(colours(&known), (Colour::Grey, [Colour::Green, Colour::Grey, Colour::Grey]));
    }

    #[test]
    fn an_error_outshines_everything() {
        let known = Known { error: Some("no tunnel".to_owned()), ..with(HomeAssistantState::Running) };
        let light = Reader { w: english(), now: NOW }.home(&known);
        assert_eq!((light.colour, light.detail.as_deref()), (Colour::Red, Some("no tunnel")));
    }
}
