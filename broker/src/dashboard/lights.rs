//! Lights: how a home is, in a colour and words, for the card and for each hop (T5).
//!
//! Green works, grey is away or not known, red needs somebody.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::http::ago::{self, Moment};
use crate::http::words::Words;
use crate::tunnels::hops::{Hop, Hops, Page, Reason, Spell, State, Which};

/// A colour's class in the style sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Colour {
    /// It works.
    #[serde(rename = "light-green")]
    Green,
    /// It is away, or not known.
    #[serde(rename = "light-grey")]
    Grey,
    /// Somebody must do something.
    #[serde(rename = "light-red")]
    Red,
}

impl Colour {
    fn of(state: State) -> Self {
        match state {
            State::Up => Self::Green,
            State::Down | State::Unknown => Self::Grey,
            State::Error => Self::Red,
        }
    }

    /// The class in the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Green => "light-green",
            Self::Grey => "light-grey",
            Self::Red => "light-red",
        }
    }
}

/// One light.
#[derive(Debug, Clone, Serialize)]
pub struct Light {
    /// Its colour.
    pub colour: Colour,
    /// The same in words.
    pub words: String,
    /// Why it is so, a sentence.
    pub why: Option<String>,
    /// What can be done about it.
    pub help: Option<String>,
    /// More: a machine, a version, what was said by whoever failed.
    pub detail: Option<String>,
    /// Since when.
    pub since: Option<Moment>,
}

impl Light {
    fn with_help(self, is_wanted: bool) -> Self {
        Self { help: self.help.filter(|_| is_wanted), ..self }
    }
}

/// One hop on the way from the internet into the house.
#[derive(Debug)]
pub struct Step {
    /// Its key in the page and the JSON.
    pub key: &'static str,
    /// Its icon.
    pub icon: &'static str,
    /// What it is called.
    pub name: String,
    /// How it is.
    pub light: Light,
}

/// A time that a hop was cut, as a line of the history.
#[derive(Debug, Serialize)]
pub struct Line {
    /// Its colour.
    pub colour: Colour,
    /// Which hop.
    pub name: String,
    /// How it was, in a few words.
    pub words: String,
    /// Why, a sentence.
    pub why: Option<String>,
    /// What was said by whoever failed.
    pub detail: Option<String>,
    /// When it began.
    pub at: Moment,
    /// How long it lasted, or that it still does, in words.
    pub lasted: String,
}

/// A page of the history.
#[derive(Debug, Serialize)]
pub struct Past {
    /// Newest first.
    pub lines: Vec<Line>,
    /// What to go on before.
    pub next: Option<i64>,
    /// Another whenever anything of this is.
    pub mark: String,
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
    /// The four hops, outermost first.
    pub fn hops(self, hops: &Hops) -> [Step; 4] {
        // One thing to do is enough: what else is dark is so because of it.
        let blamed = hops.worst().map(|hop| hop.which);
        hops.0.each_ref().map(|hop| Step {
            key: hop.which.word(),
            icon: match hop.which {
                Which::Provider => "provider",
                Which::Tunnel => "globe",
                Which::Agent => "agent",
                Which::HomeAssistant => "home",
            },
            name: hop.which.name(self.w),
            light: self.light(hop).with_help(blamed.is_none_or(|blamed| blamed == hop.which)),
        })
    }

    /// The one light of the home's card: the hop to blame, or that all is well since the last of them came up.
    pub fn home(self, hops: &Hops) -> Light {
        if let Some(worst) = hops.worst() {
            return Light { detail: None, help: None, ..self.light(worst) };
        }
        let since = hops.0[1..].iter().filter_map(|hop| hop.since).max();
        let well = Hop { since, detail: None, reason: None, ..hops.get(Which::Tunnel).clone() };
        self.light(&well)
    }

    /// When hops were cut.
    pub fn past(self, page: &Page) -> Past {
        let mark = |spell: &Spell| format!("{}{}", spell.id, if spell.ended.is_some() { "e" } else { "" });
        Past {
            lines: page.spells.iter().map(|spell| self.line(spell)).collect(),
            next: page.next,
            mark: page.spells.iter().map(mark).collect::<Vec<_>>().join(","),
        }
    }

    fn line(self, spell: &Spell) -> Line {
        let Light { colour, words, why, detail, .. } = self.light(&spell.hop);
        // Which machine it was is no news; what it said is.
        let detail = detail.filter(|_| spell.hop.state == State::Error);
        let lasted = match spell.ended {
            Some(ended) => {
                self.w.say_with("dashboard-lasted", "span", ago::span(self.w, ended.since(spell.at)))
            }
            None => self.w.say("dashboard-lasts"),
        };
        Line {
            colour,
            name: spell.hop.which.name(self.w),
            words,
            why,
            detail,
            at: self.moment(spell.at),
            lasted,
        }
    }

    fn light(self, hop: &Hop) -> Light {
        let key = match (hop.which, hop.state, hop.reason) {
            (_, _, Some(Reason::TunnelDegraded)) => "dashboard-degraded",
            (_, _, Some(Reason::TunnelNotMade)) => "dashboard-error",
            (_, _, Some(Reason::AgentNeverPaired)) => "dashboard-not-paired",
            (_, _, Some(Reason::BrokerRestarted)) => "dashboard-returning",
            (_, _, Some(Reason::HomeAssistantStarting)) => "dashboard-starting",
            (_, _, Some(Reason::HomeAssistantRefused)) => "dashboard-refused",
            (Which::HomeAssistant, State::Up, _) => "dashboard-running",
            (Which::Provider, State::Up, _) => "dashboard-answers",
            (_, State::Up, _) => "dashboard-connected",
            (_, State::Error, _) => "dashboard-unreachable",
            (_, State::Down, _) => "dashboard-disconnected",
            (_, State::Unknown, _) => "dashboard-unknown",
        };
        // The guide below says the rest; of a tunnel that cannot be made, the notice.
        let reason = hop.reason.filter(|reason| *reason != Reason::AgentNeverPaired);
        let helps = |reason: &Reason| *reason != Reason::TunnelNotMade;
        Light {
            colour: Colour::of(hop.state),
            words: self.w.say(key),
            why: reason.map(|reason| reason.sentence(self.w)),
            help: reason.filter(helps).and_then(|reason| reason.help(self.w)),
            detail: hop.detail.clone().filter(|_| reason.as_ref().is_none_or(helps)),
            since: hop.since.map(|at| self.moment(at)),
        }
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

    fn hops(states: [(State, Option<Reason>); 4]) -> Hops {
        let mut which = Which::ALL.iter();
        Hops(states.map(|(state, reason)| {
            let hop = Hop::new(*which.next().unwrap(), state, reason);
            Hop { since: Some(NOW), ..hop }
        }))
    }

    fn told(states: [(State, Option<Reason>); 4]) -> (Colour, String, [Colour; 4]) {
        let (reader, hops) = (Reader { w: english(), now: NOW }, hops(states));
        let card = reader.home(&hops);
        (card.colour, card.words, reader.hops(&hops).map(|hop| hop.light.colour))
    }

    #[test]
    fn a_card_shows_the_hop_to_blame() {
        use Colour::{Green, Grey, Red};
        let up = (State::Up, None);
        let words = |text: &str| text.to_owned();
        assert_eq!(told([up; 4]), (Green, words("Connected"), [Green; 4]));
        let degraded = (State::Up, Some(Reason::TunnelDegraded));
        assert_eq!(told([up, degraded, up, up]), (Green, words("Connected"), [Green; 4]));
        let gone = (State::Down, Some(Reason::AgentGone));
        let unasked = (State::Unknown, Some(Reason::HomeAssistantUnasked));
        let cut = (State::Down, Some(Reason::TunnelNotConnected));
        assert_eq!(told([up, cut, gone, unasked]), (Grey, words("Not connected"), [Green, Grey, Grey, Grey]));
        let hung = (State::Error, Some(Reason::HomeAssistantUnreachable));
        assert_eq!(told([up, up, up, hung]), (Red, words("Does not answer"), [Green, Green, Green, Red]));
        let mute = (State::Error, Some(Reason::ProviderUnreachable));
        assert_eq!(told([mute, up, up, up]), (Green, words("Connected"), [Red, Green, Green, Green]));
        let unknown = (State::Unknown, Some(Reason::ProviderUnreachable));
        assert_eq!(told([mute, unknown, up, up]), (Red, words("Does not answer"), [Red, Grey, Green, Green]));
        let new = (State::Unknown, Some(Reason::AgentNeverPaired));
        let never = (State::Unknown, Some(Reason::TunnelNeverConnected));
        let waiting = words("Waiting for its agent");
        assert_eq!(told([up, never, new, unasked]), (Grey, waiting, [Green, Grey, Grey, Grey]));
    }
}
