//! A room: what one home remembers, who listens, and how its agent is. No sockets, no I/O, no clock.
//!
//! Invariants: a state is kept, and told to viewers, only while its entity is watched (something shares it or
//! its owner is looking); a viewer hears of the entities it was made for and of no others; a change is
//! encoded once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::entity::{EntityId, EntityState};
use shared::id::{GrantId, HomeId};
use shared::relay::{Downstream, HomeAssistantState, Outcome, Watched, close};
use tokio::sync::oneshot;

use super::frame::{Frame, Seen, Told};
use super::mailbox::{Mailbox, Subject};
use super::requests::{Ask, Requests};
use super::{AgentStatus, HomeAssistant, Listing};
use crate::clock::Timestamp;

/// A state with a longer text in it is not kept; Home Assistant's own end at 255 characters.
const TEXT: usize = 1024;

/// The state Home Assistant gives to what is not there.
const UNAVAILABLE: &str = "unavailable";

/// What one home remembers, who listens, and how its agent is.
pub(super) struct Room {
    /// Which home.
    pub home: HomeId,
    /// Held while what is shared is read and passed on, so that an older reading never replaces a newer one.
    pub watching: tokio::sync::Mutex<()>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    things: HashMap<EntityId, Thing>,
    viewers: Vec<Arc<Mailbox>>,
    shared: Vec<Watched>,
    /// How many are looking at an entity of their own.
    looked: BTreeMap<EntityId, usize>,
    /// What the agent was told last.
    watch: Vec<Watched>,
    agent: Option<Joined>,
    /// Tells one joining from the next.
    joined: u64,
    online: bool,
    since: Option<Timestamp>,
    status: AgentStatus,
    requests: Requests,
    next_subject: u32,
}

struct Joined {
    mailbox: Arc<Mailbox>,
    grant: GrantId,
    number: u64,
}

struct Thing {
    subject: Subject,
    watched: bool,
    known: Option<Known>,
    viewers: Vec<Arc<Mailbox>>,
}

struct Known {
    state: EntityState,
    at: Timestamp,
    frame: Frame,
}

impl Room {
    pub(super) fn new(home: HomeId) -> Self {
        let inner = Inner { next_subject: 2, ..Inner::default() };
        Self { home, watching: tokio::sync::Mutex::default(), inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An agent joins; the one before it, if any, is sent away. Gives the number to [`Room::leave`] with.
    pub(super) fn join(
        &self,
        mailbox: &Arc<Mailbox>,
        grant: GrantId,
        welcome: &Downstream,
        now: Timestamp,
    ) -> u64 {
        let mut inner = self.inner();
        inner.joined += 1;
        let number = inner.joined;
        let mut took_over = false;
        if let Some(before) = inner.agent.take() {
            took_over = before.grant != grant;
            before.mailbox.end(close::REPLACED);
            inner.requests.drop_all();
        }
        mailbox.post(Subject::EACH, &Frame::new(welcome));
        inner.agent = Some(Joined { mailbox: mailbox.clone(), grant, number });
        inner.status = AgentStatus {
            connected_since: Some(now),
            last_seen: Some(now),
            took_over,
            ..AgentStatus::default()
        };
        inner.settle(now);
        number
    }

    /// An agent left; nothing happens if another has taken its place. Says whether it was the present one.
    pub(super) fn leave(&self, number: u64, now: Timestamp) -> bool {
        let mut inner = self.inner();
        let present = inner.agent.as_ref().is_some_and(|agent| agent.number == number);
        if present {
            inner.agent = None;
            inner.requests.drop_all();
            inner.status.connected_since = None;
            inner.status.home_assistant = None;
            inner.status.tunnel_trouble = None;
            inner.status.last_seen = Some(now);
            inner.settle(now);
        }
        present
    }

    /// Whether the agent of this number is still the home's agent.
    fn of(&self, number: u64) -> Option<MutexGuard<'_, Inner>> {
        let inner = self.inner();
        let present = inner.agent.as_ref().is_some_and(|agent| agent.number == number);
        present.then_some(inner)
    }

    /// The agent said who it is. False when another has taken its place.
    pub(super) fn hello(&self, number: u64, version: String, machine: String) -> bool {
        let Some(mut inner) = self.of(number) else { return false };
        inner.status.version = Some(version);
        inner.status.machine = Some(machine);
        true
    }

    /// The agent said how Home Assistant is. Says whether that is news.
    pub(super) fn home_assistant(&self, number: u64, heard: HomeAssistant, now: Timestamp) -> bool {
        let Some(mut inner) = self.of(number) else { return false };
        let before = inner.status.home_assistant.as_ref();
        let news = before.is_none_or(|before| !before.is_like(&heard));
        let since =
            before.filter(|before| before.state == heard.state).map_or(heard.since, |before| before.since);
        inner.status.home_assistant = Some(HomeAssistant { since, ..heard });
        inner.settle(now);
        news
    }

    /// The agent said something of itself that `change` writes down. Says whether that is news.
    pub(super) fn note(&self, number: u64, change: impl FnOnce(&mut AgentStatus) -> bool) -> bool {
        self.of(number).is_some_and(|mut inner| change(&mut inner.status))
    }

    /// New states. What is not watched is not kept.
    pub(super) fn states(&self, number: u64, states: Vec<EntityState>, now: Timestamp) {
        if let Some(mut inner) = self.of(number) {
            inner.status.last_seen = Some(now);
            states.into_iter().for_each(|state| inner.apply(state, now));
        }
    }

    /// Home Assistant does not have these any more.
    pub(super) fn gone(&self, number: u64, entities: &[EntityId], now: Timestamp) {
        let Some(mut inner) = self.of(number) else { return };
        for entity in entities {
            let known = inner.things.get(entity).and_then(|thing| thing.known.as_ref());
            if let Some(state) =
                known.map(|known| known.state.clone()).filter(|state| state.state != UNAVAILABLE)
            {
                let gone = EntityState { state: UNAVAILABLE.to_owned(), last_changed: now.millis(), ..state };
                inner.apply(gone, now);
            }
        }
    }

    /// A part of an answer to `list`.
    pub(super) fn listing(&self, number: u64, request: u64, part: Listing, more: bool) {
        if let Some(mut inner) = self.of(number) {
            inner.requests.listing(request, part, more);
        }
    }

    /// An answer to `control`. The new state is news for every viewer.
    pub(super) fn controlled(&self, number: u64, request: u64, outcome: Outcome, now: Timestamp) {
        if let Some(mut inner) = self.of(number) {
            if let Outcome::Confirmed { state } = &outcome {
                inner.apply(state.clone(), now);
            }
            inner.requests.controlled(request, outcome);
        }
    }

    /// Asks the agent something; `None` when it is away or too much is being asked of it already.
    pub(super) fn ask<T>(
        &self,
        ask: impl FnOnce(oneshot::Sender<T>) -> Ask,
        word: impl FnOnce(u64) -> Downstream,
    ) -> Option<(u64, oneshot::Receiver<T>)> {
        let mut inner = self.inner();
        let mailbox = inner.agent.as_ref()?.mailbox.clone();
        let (tell, answer) = oneshot::channel();
        let request = inner.requests.add(ask(tell))?;
        mailbox.post(Subject::EACH, &Frame::new(&word(request)));
        Some((request, answer))
    }

    /// Nobody waits for this answer any more.
    pub(super) fn forget(&self, request: u64) {
        self.inner().requests.forget(request);
    }

    /// What is shared now. An agent that has just joined is told even if nothing changed.
    pub(super) fn set_shared(&self, mut shared: Vec<Watched>, tell: bool) {
        shared.sort_unstable_by(|a, b| a.entity_id.cmp(&b.entity_id));
        let mut inner = self.inner();
        inner.shared = shared;
        inner.rewatch(tell);
    }

    /// An owner starts looking at entities.
    pub(super) fn look(&self, entities: &[EntityId]) {
        let mut inner = self.inner();
        for entity in entities {
            *inner.looked.entry(entity.clone()).or_default() += 1;
        }
        inner.rewatch(false);
    }

    /// And stops.
    pub(super) fn look_away(&self, entities: &[EntityId]) {
        let mut inner = self.inner();
        for entity in entities {
            if let Some(count) = inner.looked.get_mut(entity) {
                *count -= 1;
            }
        }
        inner.looked.retain(|_, count| *count > 0);
        inner.rewatch(false);
    }

    /// A viewer of some entities comes: first it hears how everything stands.
    pub(super) fn enter(&self, viewer: &Arc<Mailbox>, entities: &[EntityId]) {
        let mut inner = self.inner();
        viewer.post(Subject::HOME, &Frame::new(&Told::home(inner.online, inner.since)));
        for entity in entities {
            let thing = inner.thing(entity);
            if let Some(known) = &thing.known {
                viewer.post(thing.subject, &known.frame);
            }
            thing.viewers.push(viewer.clone());
        }
        inner.viewers.push(viewer.clone());
    }

    /// And goes.
    pub(super) fn part(&self, viewer: &Arc<Mailbox>, entities: &[EntityId]) {
        let mut inner = self.inner();
        let without = |viewers: &mut Vec<Arc<Mailbox>>| {
            if let Some(at) = viewers.iter().position(|one| Arc::ptr_eq(one, viewer)) {
                viewers.swap_remove(at);
            }
        };
        without(&mut inner.viewers);
        for entity in entities {
            if let Some(thing) = inner.things.get_mut(entity) {
                without(&mut thing.viewers);
                if thing.viewers.is_empty() && !thing.watched {
                    inner.things.remove(entity);
                }
            }
        }
    }

    /// The newest state of an entity and when it came.
    pub(super) fn snapshot(&self, entity: &EntityId) -> Option<(EntityState, Timestamp)> {
        let inner = self.inner();
        let known = inner.things.get(entity)?.known.as_ref()?;
        Some((known.state.clone(), known.at))
    }

    /// Whether the home is online, and since when.
    pub(super) fn standing(&self) -> (bool, Option<Timestamp>) {
        let inner = self.inner();
        (inner.online, inner.since)
    }

    pub(super) fn status(&self) -> AgentStatus {
        self.inner().status.clone()
    }

    /// Whether this grant opened the agent's socket.
    pub(super) fn is_of(&self, grant: GrantId) -> bool {
        self.inner().agent.as_ref().is_some_and(|agent| agent.grant == grant)
    }

    /// Ends the agent's socket if this grant opened it.
    pub(super) fn end_of(&self, grant: GrantId, code: u16) {
        if let Some(agent) = self.inner().agent.as_ref().filter(|agent| agent.grant == grant) {
            agent.mailbox.end(code);
        }
    }

    /// Ends the agent's socket.
    pub(super) fn end_agent(&self, code: u16) {
        if let Some(agent) = &self.inner().agent {
            agent.mailbox.end(code);
        }
    }

    /// Ends every viewer's socket.
    pub(super) fn end_viewers(&self, code: u16) {
        self.inner().viewers.iter().for_each(|viewer| viewer.end(code));
    }
}

impl Inner {
    fn thing(&mut self, entity: &EntityId) -> &mut Thing {
        let next = &mut self.next_subject;
        self.things.entry(entity.clone()).or_insert_with(|| {
            // Subjects only tell the things of one room apart; after four thousand million they begin anew.
            *next = next.checked_add(1).filter(|next| *next < u32::MAX).unwrap_or(2);
            Thing { subject: Subject(*next), watched: false, known: None, viewers: Vec::new() }
        })
    }

    fn apply(&mut self, state: EntityState, now: Timestamp) {
        let Some(thing) = self.things.get_mut(&state.entity_id).filter(|thing| thing.watched) else { return };
        if let Some(known) = thing.known.as_mut().filter(|known| known.state == state) {
            known.at = now;
            return;
        }
        if !fits(&state) {
            tracing::debug!(entity = %state.entity_id, "a state with too long a text was not kept");
            return;
        }
        let frame = Frame::new(&Told::State { entity: Seen::known(&state) });
        thing.viewers.iter().for_each(|viewer| viewer.post(thing.subject, &frame));
        thing.known = Some(Known { state, at: now, frame });
    }

    /// Works out what may leave the house, forgets the rest, and tells the agent if it is news.
    fn rewatch(&mut self, tell: bool) {
        let looked = self.looked.keys().map(|entity| (entity.clone(), false));
        let mut all: BTreeMap<_, _> = looked.collect();
        all.extend(self.shared.iter().map(|watched| (watched.entity_id.clone(), watched.control)));
        for thing in self.things.values_mut() {
            thing.watched = false;
        }
        for entity in all.keys() {
            self.thing(entity).watched = true;
        }
        self.things.retain(|_, thing| {
            if !thing.watched {
                thing.known = None;
            }
            thing.watched || !thing.viewers.is_empty()
        });
        let watch: Vec<_> =
            all.into_iter().map(|(entity_id, control)| Watched { entity_id, control }).collect();
        if let Some(agent) = self.agent.as_ref().filter(|_| tell || watch != self.watch) {
            let word = Downstream::Watch { entities: watch };
            agent.mailbox.post(Subject::WATCH, &Frame::new(&word));
            let Downstream::Watch { entities } = word else { return };
            self.watch = entities;
        } else {
            self.watch = watch;
        }
    }

    /// Works out whether the home is online; every viewer hears of a change at once.
    fn settle(&mut self, now: Timestamp) {
        let answers =
            self.status.home_assistant.as_ref().map(|ha| ha.state) == Some(HomeAssistantState::Running);
        let online = self.agent.is_some() && answers;
        if online != self.online {
            self.online = online;
            self.since = Some(now);
            let frame = Frame::new(&Told::home(online, self.since));
            self.viewers.iter().for_each(|viewer| viewer.post(Subject::HOME, &frame));
        }
    }
}

fn fits(state: &EntityState) -> bool {
    let attributes = &state.attributes;
    let optional = [&state.area, &attributes.device_class, &attributes.icon, &attributes.unit_of_measurement];
    let texts = optional.into_iter().flatten().chain([&state.state, &state.name]);
    texts.into_iter().all(|text| text.len() <= TEXT)
}

#[cfg(test)]
mod tests;
