//! Hops: the four steps of the way into a house, and which of them fails (T5).
//!
//! | hop | it is up while | a failure is noticed within |
//! |---|---|---|
//! | provider | whoever makes tunnels answers | two polls of 10 s; `direct` is ourselves |
//! | tunnel | connections of the home stand | 16 s (the line's pings), or a poll of 10 s |
//! | agent | its socket answers pings | 20 s (the relay's wheel) |
//! | Home Assistant | it answers the agent | 20 s (the agent's pings) |
//!
//! What a page or a program is told is worked out when it asks: from what is heard here ([`judge`]) and from what
//! is written down of what others heard ([`board`]). A task ([`watch`]) writes down what has changed.
//!
//! Invariants: a hop is written by the broker that holds its socket, and by another only once that one's heart has
//! stopped; what a broker could not see (it was down, or has just started) is `unknown`, never `down`; only what
//! stood for [`SETTLE`] is written, and only once.

mod board;
mod history;
mod incidents;
mod judge;
mod letters;
mod rows;
#[cfg(test)]
mod tests;
mod watch;

use std::time::Duration;

use serde::Serialize;
use shared::id::HomeId;
use shared::tunnel::HopAnswer;

use super::provider::Reach;
use super::{Parts, Tunnels};
use crate::clock::Timestamp;
use crate::homes::Home;
use crate::http::words::Words;
pub use board::Board;
pub use history::{Page, Spell};
pub use judge::{Facts, Keeper, Written};

/// A change that did not last so long is shown while it lasts, and not written down: a token that is renewed, an
/// agent that restarts.
pub const SETTLE: Duration = Duration::from_secs(5);

macro_rules! words {
    ($(#[$doc:meta])* $kind:ident { $($(#[$each:meta])* $name:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $kind { $($(#[$each])* $name,)* }

        impl $kind {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word in JSON and in the database.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The one with this word.
            pub fn of_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.word() == word)
            }
        }

        impl Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }
    };
}

words! {
    /// Which hop, outermost first.
    Which {
        /// Whoever makes tunnels: Cloudflare's API, or for `direct` this broker.
        Provider = "provider",
        /// The tunnel's connections.
        Tunnel = "tunnel",
        /// The agent's heartbeat.
        Agent = "agent",
        /// Home Assistant's answers to the agent.
        HomeAssistant = "home_assistant",
    }
}

words! {
    /// How a hop is.
    State {
        /// It works.
        Up = "up",
        /// It is away; it may come back by itself.
        Down = "down",
        /// It fails, and somebody must act.
        Error = "error",
        /// Nobody can tell.
        Unknown = "unknown",
    }
}

words! {
    /// Why a hop is as it is. The words are on the wire: never changed once released.
    Reason {
        /// The provider's API does not answer.
        ProviderUnreachable = "provider_unreachable",
        /// The tunnel could not be made yet.
        TunnelNotMade = "tunnel_not_made",
        /// No connection stands.
        TunnelNotConnected = "tunnel_not_connected",
        /// None ever stood.
        TunnelNeverConnected = "tunnel_never_connected",
        /// It works, with fewer connections than it should have.
        TunnelDegraded = "tunnel_degraded",
        /// The home never had an agent.
        AgentNeverPaired = "agent_never_paired",
        /// The agent's heartbeat has stopped.
        AgentGone = "agent_gone",
        /// It works: another machine has taken the place of the one before.
        AgentTakenOver = "agent_taken_over",
        /// Nobody in the house can ask it.
        HomeAssistantUnasked = "home_assistant_unasked",
        /// It has not finished starting.
        HomeAssistantStarting = "home_assistant_starting",
        /// It does not answer the agent.
        HomeAssistantUnreachable = "home_assistant_unreachable",
        /// It refuses the agent's token.
        HomeAssistantRefused = "home_assistant_refused",
        /// A broker has been restarted; the home is still on its way back.
        BrokerRestarted = "broker_restarted",
    }
}

impl Which {
    /// Its name, for people.
    pub fn name(self, w: &Words) -> String {
        w.say(match self {
            Self::Provider => "hop-provider",
            Self::Tunnel => "hop-tunnel",
            Self::Agent => "hop-agent",
            Self::HomeAssistant => "hop-home-assistant",
        })
    }

    pub(super) fn place(self) -> usize {
        self as usize
    }
}

impl Reason {
    /// What it means, a sentence.
    pub fn sentence(self, w: &Words) -> String {
        w.say(match self {
            Self::ProviderUnreachable => "reason-provider-unreachable",
            Self::TunnelNotMade => "reason-tunnel-not-made",
            Self::TunnelNotConnected => "reason-tunnel-not-connected",
            Self::TunnelNeverConnected => "reason-tunnel-never-connected",
            Self::TunnelDegraded => "reason-tunnel-degraded",
            Self::AgentNeverPaired => "reason-agent-never-paired",
            Self::AgentGone => "reason-agent-gone",
            Self::AgentTakenOver => "reason-agent-taken-over",
            Self::HomeAssistantUnasked => "reason-home-assistant-unasked",
            Self::HomeAssistantStarting => "reason-home-assistant-starting",
            Self::HomeAssistantUnreachable => "reason-home-assistant-unreachable",
            Self::HomeAssistantRefused => "reason-home-assistant-refused",
            Self::BrokerRestarted => "reason-broker-restarted",
        })
    }

    /// What its owner can do about it, where there is something.
    pub fn help(self, w: &Words) -> Option<String> {
        let key = match self {
            Self::ProviderUnreachable | Self::TunnelNotMade => "help-provider",
            Self::TunnelNotConnected => "help-tunnel",
            Self::AgentGone => "help-agent",
            Self::AgentTakenOver => "help-agent-taken-over",
            Self::HomeAssistantStarting => "help-home-assistant-starting",
            Self::HomeAssistantUnreachable => "help-home-assistant-unreachable",
            Self::HomeAssistantRefused => "help-home-assistant-refused",
            _ => return None,
        };
        Some(w.say(key))
    }
}

/// How one hop is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Which.
    pub which: Which,
    /// How it is.
    pub state: State,
    /// Since when, as far as it is known.
    pub since: Option<Timestamp>,
    /// Why, where there is something to say.
    pub reason: Option<Reason>,
    /// More: a machine and its version, or what was said by whoever failed.
    pub detail: Option<String>,
}

impl Hop {
    /// A hop of which no more is known.
    pub fn new(which: Which, state: State, reason: impl Into<Option<Reason>>) -> Self {
        Self { which, state, since: None, reason: reason.into(), detail: None }
    }

    pub(super) fn since(mut self, since: impl Into<Option<Timestamp>>) -> Self {
        self.since = since.into();
        self
    }

    pub(super) fn detail(mut self, detail: impl Into<Option<String>>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Whether two are the same but for their words and times.
    pub fn is_like(&self, other: &Self) -> bool {
        (self.which, self.state, self.reason) == (other.which, other.state, other.reason)
    }

    /// Whether it fails, by all that is known.
    pub fn is_cut(&self) -> bool {
        matches!(self.state, State::Down | State::Error)
    }

    /// As the JSON routes show it.
    pub fn answer(&self, w: &Words) -> HopAnswer {
        HopAnswer {
            hop: self.which.word().to_owned(),
            state: self.state.word().to_owned(),
            since: self.since.map(Timestamp::millis),
            reason: self.reason.map(|reason| reason.word().to_owned()),
            sentence: self.reason.map(|reason| reason.sentence(w)),
            detail: self.detail.clone(),
        }
    }
}

/// The four hops of a home, outermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hops(pub [Hop; 4]);

impl Hops {
    /// One of them.
    pub fn get(&self, which: Which) -> &Hop {
        &self.0[which.place()]
    }

    /// Whether the house can be reached and answers.
    pub fn is_well(&self) -> bool {
        self.0[1..].iter().all(|hop| hop.state == State::Up)
    }

    /// The hop that tells best why the home is not well: the innermost that is cut, but a Home Assistant of which
    /// nothing is heard is not to blame. The provider counts while its tunnel is not up: its API may be away, and
    /// the home is reached all the same.
    pub fn worst(&self) -> Option<&Hop> {
        if self.is_well() {
            return None;
        }
        let order = [Which::Agent, Which::HomeAssistant, Which::Tunnel, Which::Provider];
        let hops = order.map(|which| self.get(which));
        let cut = hops.iter().find(|hop| hop.is_cut());
        cut.or_else(|| hops.iter().find(|hop| hop.state != State::Up)).copied()
    }

    /// Whether the home was never connected at all.
    pub fn is_new(&self) -> bool {
        self.get(Which::Agent).reason == Some(Reason::AgentNeverPaired)
    }
}

impl TunnelStanding {
    fn of_word(word: &str) -> Option<Self> {
        match word {
            "healthy" => Some(Self::Healthy),
            "degraded" => Some(Self::Degraded),
            "down" => Some(Self::Down),
            "inactive" => Some(Self::Inactive),
            _ => None,
        }
    }
}

/// What is known of the tunnels' provider, and what it says of one home's tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderWord {
    /// Whether it answers; else why not.
    pub reachable: Result<(), String>,
    /// Since when that is so.
    pub since: Timestamp,
    /// How it says the tunnel is. Nothing: it cannot say, and what is written down counts.
    pub tunnel: Option<TunnelWord>,
}

/// How a tunnel is, as its provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelWord {
    /// How it is.
    pub standing: TunnelStanding,
    /// Since when, where it says so.
    pub since: Option<Timestamp>,
    /// More, in words.
    pub detail: Option<String>,
    /// Its connection ends at this broker, so that no other can speak of it. What a provider says, it says to all.
    pub ends_here: bool,
}

/// How a tunnel's connections are; the words are Cloudflare's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelStanding {
    /// All stand.
    Healthy,
    /// Some stand.
    Degraded,
    /// None stands.
    Down,
    /// None ever stood.
    Inactive,
}

/// A provider whose last answer was none may have lost one call: it is out of reach when the next one fails too.
const DOUBT: Duration = Duration::from_secs(11);

impl Tunnels {
    /// What the provider of tunnels says of a home's; `domain` is the home's, if it is at Cloudflare.
    pub(super) fn provider_word(&self, home: HomeId, domain: Option<&str>) -> ProviderWord {
        domain.map_or_else(|| self.direct_word(home), |domain| self.cloudflare_word(home, domain))
    }

    /// We are the provider, we always answer, and a tunnel is up while its line is here; of a line that another
    /// broker may hold we cannot speak.
    fn direct_word(&self, home: HomeId) -> ProviderWord {
        let tunnel = self.line_since(home).map(|since| TunnelWord {
            standing: TunnelStanding::Healthy,
            since: Some(since),
            detail: None,
            ends_here: true,
        });
        ProviderWord { reachable: Ok(()), since: self.0.board.started, tunnel }
    }

    /// As it was polled last. Of a tunnel that stood when the provider fell silent nothing is known any more.
    fn cloudflare_word(&self, home: HomeId, domain: &str) -> ProviderWord {
        let Parts { provider, clock, .. } = &self.0.parts;
        let Some(Reach { since, trouble, asked }) = provider.reach(domain) else {
            let why = format!("there is no account for {domain}");
            return ProviderWord { reachable: Err(why), since: self.0.board.started, tunnel: None };
        };
        match trouble {
            Some(why) if clock.now().since(since) >= DOUBT => {
                return ProviderWord { reachable: Err(why), since, tunnel: None };
            }
            _ => {}
        }
        let seen = provider.seen(home).filter(|_| asked);
        let tunnel = seen.and_then(|seen| {
            let standing = TunnelStanding::of_word(&seen.status)?;
            Some(TunnelWord { standing, since: Some(seen.since), detail: None, ends_here: false })
        });
        ProviderWord { reachable: Ok(()), since, tunnel }
    }

    /// Since when the home's line is here.
    pub(super) fn line_since(&self, home: HomeId) -> Option<Timestamp> {
        let since = self.0.parts.direct.since(home)?;
        let ago = i64::try_from(since.elapsed().as_millis()).unwrap_or(0);
        Some(Timestamp::from_millis(self.0.parts.clock.now().millis() - ago))
    }

    /// How the way into a house is, right now. Asks nobody: neither the database nor the provider.
    pub fn hops(&self, home: &Home) -> Hops {
        let mut hops = self.hops_of(home.id, home.domain.as_deref());
        // A tunnel that stands is not gone because a change of it must wait.
        if let Some(why) = home.error.as_ref().filter(|_| hops.get(Which::Tunnel).state != State::Up) {
            let failed = Hop::new(Which::Tunnel, State::Error, Reason::TunnelNotMade);
            hops.0[Which::Tunnel.place()] = failed.detail(why.clone());
        }
        hops
    }

    fn hops_of(&self, home: HomeId, domain: Option<&str>) -> Hops {
        let mut hops = judge::judge(&self.facts(home, domain));
        self.0.board.date(home, &mut hops);
        hops
    }

    fn facts(&self, home: HomeId, domain: Option<&str>) -> Facts {
        Facts {
            provider: self.provider_word(home, domain),
            agent: self.0.parts.relay.status(home),
            written: self.0.board.written(home),
        }
    }
}
