//! The relay's words: what the agent sends up (`Upstream`) and what the broker sends down (`Downstream`).
//!
//! One WebSocket a home, opened by the agent at [`PATH`] with its access token in `Authorization: Bearer`
//! (scope `relay`). Every text frame is one JSON object tagged by `type`. The broker sends `welcome` first,
//! then `watch`; the agent sends `hello` first. Either side pings with WebSocket frames.
//!
//! Invariant: the agent sends the state of an entity only while it stands in the last `watch` it was sent.

use serde::{Deserialize, Serialize};

use crate::entity::{Action, EntityId, EntityState, Listed};
use crate::id::HomeId;

/// Where the agent's socket is upgraded.
pub const PATH: &str = "/agent/relay";

/// The longest frame either side takes, in bytes.
pub const MAX_FRAME: usize = 1 << 20;

/// From agent to broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Upstream {
    /// The agent's first words.
    Hello {
        /// The agent's version, such as `0.1.0`.
        version: String,
        /// The machine's name, for "this home is connected from MACHINE".
        machine: String,
    },
    /// How Home Assistant is; sent after `hello` and at each change.
    HomeAssistant {
        /// Whether it answers.
        state: HomeAssistantState,
        /// Its version where known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        /// Why it does not answer, in words for the owner.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// How the tunnel is, as the agent sees it; sent after `hello` and at each change.
    Tunnel {
        /// Whether it is up.
        state: TunnelState,
        /// What is wrong, in one word; also while it is up, where visitors get nothing all the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trouble: Option<TunnelTrouble>,
        /// The same in words for the owner.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// What the home's own policy says (S10); sent after `hello` and at each change.
    Policy {
        /// Whether the home shares nothing at all, whatever is asked for.
        stopped: bool,
    },
    /// New states of watched entities. After a `watch`, the present state of every one that is there.
    States {
        /// The states, newest last.
        states: Vec<EntityState>,
    },
    /// Watched entities that Home Assistant does not have (any more), or that the home's own policy keeps at home.
    Gone {
        /// Which.
        entity_ids: Vec<EntityId>,
    },
    /// The answer to `list`. A long list comes in several parts.
    Listing {
        /// The number of the request it answers.
        request: u64,
        /// Names and places of some of the home's entities.
        entities: Vec<Listed>,
        /// Whether more parts follow.
        #[serde(default)]
        more: bool,
        /// How many entities the home's own policy keeps at home: not even their names go up (S10).
        #[serde(default, skip_serializing_if = "is_zero")]
        withheld: u32,
    },
    /// The answer to `control`.
    Controlled {
        /// The number of the request it answers.
        request: u64,
        /// What came of it.
        outcome: Outcome,
    },
    /// A word of a newer agent; skipped.
    #[serde(other)]
    Unknown,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Whether Home Assistant answers the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HomeAssistantState {
    /// It runs and its states are known.
    Running,
    /// It answers but has not finished starting.
    Starting,
    /// It does not answer.
    Unreachable,
    /// It refused the agent's token; the owner must act.
    Refused,
}

impl HomeAssistantState {
    /// The word for it, as on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
        }
    }
}

/// Whether the tunnel is up, on the agent's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TunnelState {
    /// On its way for the first time since the agent started.
    Connecting,
    /// It is up.
    Up,
    /// It is not, and is tried again.
    Down,
    /// A state of a newer agent.
    #[serde(other)]
    Other,
}

/// What is wrong with the tunnel, on the agent's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TunnelTrouble {
    /// The program that runs it is missing, too old, or does not start; somebody must act.
    NoProgram,
    /// The program that runs it ends, hangs or floods, and is started again.
    Program,
    /// The other end is not reached.
    Edge,
    /// The other end refuses the token; another is asked for.
    Refused,
    /// The broker gives no token.
    NoToken,
    /// The broker says that the home is not this agent's, or is gone.
    NotOurs,
    /// It is to lead where it must not, and was shut; somebody must act.
    LeadsElsewhere,
    /// It is up without a configuration.
    Configuration,
    /// It is up, and nothing answers where it leads.
    Origin,
    /// Another agent of this home has it.
    TakenOver,
    /// A word of a newer agent.
    #[serde(other)]
    Other,
}

/// What came of a control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Outcome {
    /// Home Assistant confirmed it; this is the state after it.
    Confirmed {
        /// The new state.
        state: EntityState,
    },
    /// The home said no, or Home Assistant did.
    Refused {
        /// Which rule spoke.
        reason: Refusal,
    },
    /// Home Assistant took the call and no new state came in time.
    TimedOut,
}

/// Why the home did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Nothing the agent was told of lets anyone control this entity.
    NotShared,
    /// The home's own policy forbids it (S10).
    Policy,
    /// Its domain is not switch, light or fan.
    NotControllable,
    /// Home Assistant has no such entity now.
    NoSuchEntity,
    /// The entity is there but `unavailable`.
    Unavailable,
    /// Home Assistant does not answer.
    Offline,
    /// Home Assistant answered with an error.
    Failed,
    /// A reason of a newer agent.
    #[serde(other)]
    Other,
}

/// From broker to agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Downstream {
    /// The broker's first words: which home this is.
    Welcome {
        /// The home's id.
        home: HomeId,
        /// Its name.
        name: String,
    },
    /// All that may leave the house from now on; replaces the `watch` before it.
    Watch {
        /// What something shares or an owner is looking at. An empty list means nothing at all.
        entities: Vec<Watched>,
    },
    /// The owner asks for names and places of all entities.
    List {
        /// Answered with this number.
        request: u64,
    },
    /// A guest or the owner switches something.
    Control {
        /// Answered with this number.
        request: u64,
        /// What to switch.
        entity_id: EntityId,
        /// What to do.
        action: Action,
    },
    /// A word of a newer broker; skipped.
    #[serde(other)]
    Unknown,
}

/// One entity that may be seen, and whether it may be switched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// Which entity.
    pub entity_id: EntityId,
    /// Whether something that is shared lets it be controlled.
    #[serde(default)]
    pub control: bool,
}

/// Why the broker closed the agent's socket: WebSocket close codes of the private range.
pub mod close {
    /// The token was revoked or has lapsed: refresh it, and pair again if that is refused.
    pub const UNAUTHORIZED: u16 = 4401;
    /// Another agent took its place: the same pairing a second time, or, where the token is refused from now on,
    /// another agent that was paired with the same home.
    pub const REPLACED: u16 = 4409;
    /// The home was deleted.
    pub const GONE: u16 = 4410;
    /// The link was revoked or has lapsed (to a guest's page).
    pub const REVOKED: u16 = 4403;
}

#[cfg(test)]
mod tests;
