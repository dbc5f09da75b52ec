//! How each hop is, from what is known. Pure: no clock, no database.

use shared::relay::HomeAssistantState;

use super::{Hop, Hops, ProviderWord, Reason, State, TunnelStanding, Which};
use crate::clock::Timestamp;
use crate::relay::{AgentStatus, HomeAssistant};

/// Who wrote a hop down last, seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// This broker.
    Us,
    /// Another one, whose heart beats: what it wrote is so.
    Other,
    /// One whose heart was not heard, or no longer, since this moment. Its homes are on their way to another.
    Quiet(Timestamp),
    /// One that is gone; not heard since this moment. Whoever holds nothing of the home now may say so.
    Gone(Timestamp),
}

/// A hop as it was written down last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// How it was.
    pub hop: Hop,
    /// Who wrote it.
    pub keeper: Keeper,
}

/// All that is known of a home's hops.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What the tunnels' provider says.
    pub provider: ProviderWord,
    /// What the relay of this broker knows of the agent.
    pub agent: AgentStatus,
    /// What is written down, in the order of [`Which::ALL`].
    pub written: [Option<Written>; 4],
}

impl Facts {
    fn written(&self, which: Which) -> Option<&Written> {
        self.written[which.place()].as_ref()
    }

    /// Whether the hop's socket is at this broker.
    pub fn is_held(&self, which: Which) -> bool {
        match which {
            Which::Provider => false,
            Which::Tunnel => self.provider.tunnel.as_ref().is_some_and(|word| word.ends_here),
            Which::Agent | Which::HomeAssistant => self.agent.connected_since.is_some(),
        }
    }

    /// Whether the hop is heard here, and needs no other witness.
    pub fn is_heard(&self, which: Which) -> bool {
        match which {
            Which::Provider => true,
            Which::Tunnel => self.provider.tunnel.is_some(),
            Which::Agent | Which::HomeAssistant => self.agent.connected_since.is_some(),
        }
    }
}

/// How the four hops are.
pub fn judge(facts: &Facts) -> Hops {
    let agent = agent(facts);
    Hops([provider(facts), tunnel(facts), home_assistant(facts, &agent), agent]).in_order()
}

impl Hops {
    fn in_order(mut self) -> Self {
        self.0.sort_by_key(|hop| hop.which);
        self
    }
}

fn provider(facts: &Facts) -> Hop {
    let ProviderWord { reachable, since, .. } = &facts.provider;
    match reachable {
        Ok(()) => Hop::new(Which::Provider, State::Up, None).since(*since),
        Err(why) => Hop::new(Which::Provider, State::Error, Reason::ProviderUnreachable)
            .since(*since)
            .detail(why.clone()),
    }
}

/// The tunnel as its provider sees it; why it is so, the agent may know better.
fn tunnel(facts: &Facts) -> Hop {
    let hop = provided(facts);
    match &facts.agent.tunnel_trouble {
        Some(trouble) => hop.detail(trouble.clone()),
        None => hop,
    }
}

fn provided(facts: &Facts) -> Hop {
    let Some(word) = &facts.provider.tunnel else {
        return match &facts.provider.reachable {
            Ok(()) => {
                absent(facts, Which::Tunnel, (Reason::TunnelNotConnected, Reason::TunnelNeverConnected))
            }
            Err(_) => Hop::new(Which::Tunnel, State::Unknown, Reason::ProviderUnreachable)
                .since(facts.provider.since),
        };
    };
    let hop = match word.standing {
        TunnelStanding::Healthy => Hop::new(Which::Tunnel, State::Up, None),
        TunnelStanding::Degraded => Hop::new(Which::Tunnel, State::Up, Reason::TunnelDegraded),
        TunnelStanding::Down => Hop::new(Which::Tunnel, State::Down, Reason::TunnelNotConnected),
        // This tunnel never ran, but one in its place did: it was made anew.
        TunnelStanding::Inactive if facts.written(Which::Tunnel).is_some() => {
            Hop::new(Which::Tunnel, State::Down, Reason::TunnelNotConnected)
        }
        TunnelStanding::Inactive => Hop::new(Which::Tunnel, State::Unknown, Reason::TunnelNeverConnected),
    };
    hop.since(word.since).detail(word.detail.clone())
}

fn agent(facts: &Facts) -> Hop {
    let AgentStatus { connected_since, machine, version, last_seen, took_over, .. } = &facts.agent;
    let parts = [machine, version].into_iter().flatten().map(String::as_str).filter(|text| !text.is_empty());
    let program = Some(parts.collect::<Vec<_>>().join(" · ")).filter(|text| !text.is_empty());
    match connected_since {
        Some(since) => {
            let reason = took_over.then_some(Reason::AgentTakenOver);
            Hop::new(Which::Agent, State::Up, reason).since(*since).detail(program)
        }
        // It was here a moment ago, too briefly to be written down.
        None if last_seen.is_some() && facts.written(Which::Agent).is_none() => {
            Hop::new(Which::Agent, State::Down, Reason::AgentGone).since(*last_seen).detail(program)
        }
        None => absent(facts, Which::Agent, (Reason::AgentGone, Reason::AgentNeverPaired)),
    }
}

/// A hop of which nothing is heard here: what is written down of it, if whoever wrote it could see it still.
fn absent(facts: &Facts, which: Which, (gone, never): (Reason, Reason)) -> Hop {
    let Some(Written { hop, keeper }) = facts.written(which) else {
        return Hop::new(which, State::Unknown, never);
    };
    let was_up = !hop.is_cut();
    match keeper {
        Keeper::Quiet(since) if was_up => {
            Hop::new(which, State::Unknown, Reason::BrokerRestarted).since(*since)
        }
        Keeper::Gone(since) if was_up => {
            Hop::new(which, State::Down, gone).since(*since).detail(hop.detail.clone())
        }
        // The moment is known to whoever saw it go.
        Keeper::Us if was_up => Hop::new(which, State::Down, gone)
            .since(facts.agent.last_seen.filter(|_| which == Which::Agent))
            .detail(hop.detail.clone()),
        _ => hop.clone(),
    }
}

fn home_assistant(facts: &Facts, agent: &Hop) -> Hop {
    let which = Which::HomeAssistant;
    if facts.agent.connected_since.is_none() {
        return match facts.written(which) {
            Some(Written { hop, keeper: Keeper::Other }) => hop.clone(),
            // What an agent said before it went away is no news any more.
            _ => Hop::new(which, State::Unknown, Reason::HomeAssistantUnasked).since(agent.since),
        };
    }
    let Some(HomeAssistant { state, since, version, reason }) = &facts.agent.home_assistant else {
        return Hop::new(which, State::Unknown, Reason::HomeAssistantUnasked).since(agent.since);
    };
    let (state, why, detail) = match state {
        HomeAssistantState::Running => (State::Up, None, version),
        HomeAssistantState::Starting => (State::Down, Some(Reason::HomeAssistantStarting), reason),
        HomeAssistantState::Unreachable => (State::Error, Some(Reason::HomeAssistantUnreachable), reason),
        HomeAssistantState::Refused => (State::Error, Some(Reason::HomeAssistantRefused), reason),
    };
    Hop::new(which, state, why).since(*since).detail(detail.clone())
}
