//! The relay: the hub between the agents in the homes and the viewers in the browsers.
//!
//! Each home has a room that remembers the newest state of what is watched and knows who listens. An agent
//! speaks for one home over one WebSocket ([`agent`]); a viewer hears of the entities it was admitted for
//! over another ([`viewer`]). The relay knows no links and no pages: what is shared it is told through
//! [`Shares`], and who may see what is decided by whoever asks it.
//!
//! Invariants: states leave a home only while something watches them; a socket ends within a second of the
//! grant or link that opened it; every queue is bounded ([`mailbox`]).

mod agent;
mod frame;
mod line;
mod mailbox;
mod requests;
mod room;
mod viewer;
mod wheel;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use shared::entity::{Action, EntityId, EntityState, Listed};
use shared::id::{GrantId, HomeId};
use shared::relay::{Downstream, HomeAssistantState, Outcome, Refusal, Watched, close};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::clock::{Clock, Timestamp};
use crate::homes::{Homes, Owned};
use crate::http::{Fault, Site};
use crate::oauth::OAuth;
pub use frame::{Seen, SeenAttributes};
use mailbox::code;
use requests::Ask;
use room::Room;
pub use viewer::{Closer, SIZE as VIEWER_SIZE, Viewer};
use wheel::Wheel;

/// How long an agent may take to say what came of a control.
const CONTROL: Duration = Duration::from_secs(10);
/// How long it may take to list its entities.
const LIST: Duration = Duration::from_secs(5);
/// Between two tries to read what is shared, while the database does not answer.
const AGAIN: Duration = Duration::from_millis(500);
/// An owner looks at so many entities at most at once.
const LOOKED_AT: usize = 5000;

/// Who knows what is shared.
pub trait Shares: Send + Sync {
    /// What live links of a home share, each entity once; `control` where one of them lets it be switched.
    fn of(&self, home: HomeId) -> BoxFuture<'_, Result<Vec<Watched>, Fault>>;
}

/// What a relay is put together from.
pub struct Parts {
    /// What time it is.
    pub clock: Clock,
    /// How the world knows us.
    pub site: Arc<Site>,
    /// Who may speak for a home.
    pub oauth: OAuth,
    /// The homes' names.
    pub homes: Homes,
    /// What is shared.
    pub shares: Arc<dyn Shares>,
    /// Ends everything.
    pub stop: CancellationToken,
    /// Waits for everything.
    pub tasks: TaskTracker,
}

/// The hub between agents and viewers.
#[derive(Clone)]
pub struct Relay(Arc<Inner>);

struct Inner {
    parts: Parts,
    rooms: Mutex<HashMap<HomeId, Arc<Room>>>,
    wheel: Wheel,
    changes: broadcast::Sender<HomeId>,
}

/// How a home's agent is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentStatus {
    /// Since when it is connected; nothing while it is not.
    pub connected_since: Option<Timestamp>,
    /// The machine it said it runs on, the last time it was here.
    pub machine: Option<String>,
    /// The version it said it is.
    pub version: Option<String>,
    /// How Home Assistant is; nothing while the agent is away or has not said.
    pub home_assistant: Option<HomeAssistant>,
    /// What it says is wrong with the tunnel, in words for the owner; nothing while the agent is away, or is content.
    pub tunnel_trouble: Option<String>,
    /// When it was last heard of, since this broker started.
    pub last_seen: Option<Timestamp>,
    /// It took the place of an agent that was paired on its own and still connected.
    pub took_over: bool,
    /// The home's own policy shares nothing at all, and nobody but the home can change that (S10).
    pub is_stopped: bool,
}

/// A home's entities, as far as its own policy lets their names go up.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Names and places.
    pub entities: Vec<Listed>,
    /// How many more there are, which the home keeps to itself.
    pub withheld: u32,
}

/// How a Home Assistant is, as its agent says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeAssistant {
    /// Whether it answers.
    pub state: HomeAssistantState,
    /// Since when that is so.
    pub since: Timestamp,
    /// Its version, where known.
    pub version: Option<String>,
    /// Why it does not answer, in words for the owner.
    pub reason: Option<String>,
}

impl HomeAssistant {
    fn is_like(&self, other: &Self) -> bool {
        (self.state, &self.version, &self.reason) == (other.state, &other.version, &other.reason)
    }
}

/// Whether a home can be reached and its Home Assistant answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether it does.
    pub online: bool,
    /// Since when; nothing if it was not there since this broker started.
    pub since: Option<Timestamp>,
}

/// What came of a control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Controlled {
    /// Home Assistant confirmed it; the state after it.
    Confirmed(EntityState),
    /// The home said no.
    Refused(Refusal),
    /// No answer came in time; it may have happened or not.
    TimedOut,
    /// The home is away.
    Offline,
}

/// Why a home did not give its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Away {
    /// Its agent is not connected.
    #[error("the home's agent is not connected")]
    Offline,
    /// It did not answer in time.
    #[error("the home's agent did not answer in time")]
    TimedOut,
}

impl From<Away> for Fault {
    fn from(away: Away) -> Self {
        Self::Unavailable(away.to_string())
    }
}

/// While this is held an owner is looking: the states of these entities come, shared or not (S11).
pub struct Looking {
    room: Arc<Room>,
    entities: Vec<EntityId>,
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.room.look_away(&self.entities);
    }
}

/// A request to an agent; whoever stops waiting for it takes it back.
struct Waiting<T> {
    room: Arc<Room>,
    request: u64,
    answer: oneshot::Receiver<T>,
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        self.room.forget(self.request);
    }
}

impl Relay {
    /// Puts a relay together and starts what it does by itself; that ends with `stop`.
    pub fn new(parts: Parts) -> Self {
        let (stop, tasks) = (parts.stop.clone(), parts.tasks.clone());
        let changes = broadcast::Sender::new(256);
        let relay =
            Self(Arc::new(Inner { parts, rooms: Mutex::default(), wheel: Wheel::default(), changes }));
        let (turning, watching) = (relay.clone(), relay.clone());
        let turning_stop = stop.clone();
        tasks.spawn(async move { turning.0.wheel.turn(turning_stop).await });
        let revoked = relay.0.parts.oauth.revoked();
        tasks.spawn(async move { watching.end_with_grants(revoked, stop).await });
        relay
    }

    /// The newest state of an entity and when it came, if it is watched and one came.
    pub fn snapshot(&self, home: HomeId, entity: &EntityId) -> Option<(EntityState, Timestamp)> {
        self.find(home)?.snapshot(entity)
    }

    /// Whether a home is online.
    pub fn standing(&self, home: HomeId) -> Standing {
        let (online, since) = self.find(home).map_or((false, None), |room| room.standing());
        Standing { online, since }
    }

    /// How a home's agent is.
    pub fn status(&self, home: HomeId) -> AgentStatus {
        self.find(home).map_or_else(AgentStatus::default, |room| room.status())
    }

    /// News: the home's agent came or went, or Home Assistant's state changed. One who lags has missed some
    /// and looks at every home anew.
    pub fn changes(&self) -> broadcast::Receiver<HomeId> {
        self.0.changes.subscribe()
    }

    /// Switches something and waits, at most ten seconds, for what Home Assistant says to it.
    pub async fn control(&self, home: HomeId, entity: &EntityId, action: Action) -> Controlled {
        let Some(room) = self.find(home) else { return Controlled::Offline };
        let entity_id = entity.clone();
        let word = |request| Downstream::Control { request, entity_id, action };
        let Some((request, answer)) = room.ask(Ask::Control, word) else { return Controlled::Offline };
        let mut waiting = Waiting { room, request, answer };
        match timeout(CONTROL, &mut waiting.answer).await {
            Ok(Ok(Outcome::Confirmed { state })) if state.entity_id == *entity => {
                Controlled::Confirmed(state)
            }
            Ok(Ok(Outcome::Confirmed { .. })) => Controlled::Refused(Refusal::Failed),
            Ok(Ok(Outcome::Refused { reason: Refusal::Offline })) => Controlled::Offline,
            Ok(Ok(Outcome::Refused { reason })) => Controlled::Refused(reason),
            Ok(Err(_)) => Controlled::Offline,
            Ok(Ok(Outcome::TimedOut)) | Err(_) => Controlled::TimedOut,
        }
    }

    /// Names and places of all entities of a home, asked of its agent now (S11).
    ///
    /// # Errors
    /// When the home is away or does not answer within five seconds.
    pub async fn list(&self, home: &Owned) -> Result<Listing, Away> {
        let room = self.find(home.id).ok_or(Away::Offline)?;
        let ask =
            room.ask(|tell| Ask::List(Listing::default(), tell), |request| Downstream::List { request });
        let (request, answer) = ask.ok_or(Away::Offline)?;
        let mut waiting = Waiting { room, request, answer };
        match timeout(LIST, &mut waiting.answer).await {
            Ok(listed) => listed.map_err(|_| Away::Offline),
            Err(_) => Err(Away::TimedOut),
        }
    }

    /// An owner looks at entities of a home, until the guard is dropped. More than five thousand at once are
    /// not looked at.
    pub fn look(&self, home: &Owned, mut entities: Vec<EntityId>) -> Looking {
        entities.truncate(LOOKED_AT);
        let room = self.room(home.id);
        room.look(&entities);
        Looking { room, entities }
    }

    /// Something of a home was shared, or is shared no longer: its agent is told what may leave the house. If
    /// that cannot be read now it is tried until it can.
    pub async fn shares_changed(&self, home: HomeId) {
        let Some(room) = self.find(home) else { return };
        if let Err(fault) = self.rewatch(&room, false).await {
            warn!(home.id = %home, "read what is shared: {fault}");
            self.keep_rewatching(room, false);
        }
    }

    /// The home is deleted: its agent and its viewers are sent away, and nothing of it is remembered.
    pub fn forget(&self, home: HomeId) {
        let room = self.0.rooms.lock().unwrap_or_else(PoisonError::into_inner).remove(&home);
        if let Some(room) = room {
            room.end_agent(close::GONE);
            room.end_viewers(close::REVOKED);
            self.tell(home);
        }
    }

    /// A home's room, if it has one yet.
    fn find(&self, home: HomeId) -> Option<Arc<Room>> {
        self.0.rooms.lock().unwrap_or_else(PoisonError::into_inner).get(&home).cloned()
    }

    /// A home's room. There are never more than there are homes: callers have seen the home's row.
    fn room(&self, home: HomeId) -> Arc<Room> {
        let mut rooms = self.0.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.entry(home).or_insert_with(|| Arc::new(Room::new(home))).clone()
    }

    fn rooms(&self) -> Vec<Arc<Room>> {
        self.0.rooms.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn now(&self) -> Timestamp {
        self.0.parts.clock.now()
    }

    /// Nobody listening is fine.
    fn tell(&self, home: HomeId) {
        _ = self.0.changes.send(home);
    }

    async fn rewatch(&self, room: &Room, tell: bool) -> Result<(), Fault> {
        let _turn = room.watching.lock().await;
        let shared = self.0.parts.shares.of(room.home).await?;
        room.set_shared(shared, tell);
        Ok(())
    }

    fn keep_rewatching(&self, room: Arc<Room>, tell: bool) {
        let (relay, stop) = (self.clone(), self.0.parts.stop.clone());
        self.0.parts.tasks.spawn(async move {
            let until_read = async {
                while relay.rewatch(&room, tell).await.is_err() {
                    sleep(AGAIN).await;
                }
            };
            stop.run_until_cancelled(until_read).await
        });
    }

    /// What an agent is told whose grant died. A database that does not answer tells it nothing but that.
    async fn why(&self, grant: GrantId) -> u16 {
        match self.0.parts.oauth.was_taken_over(grant).await {
            Ok(true) => close::REPLACED,
            _ => close::UNAUTHORIZED,
        }
    }

    /// Ends the sockets of grants that die, and with the broker all of them.
    async fn end_with_grants(&self, mut revoked: broadcast::Receiver<GrantId>, stop: CancellationToken) {
        while let Some(news) = stop.run_until_cancelled(revoked.recv()).await {
            match news {
                Ok(grant) => {
                    for room in self.rooms().iter().filter(|room| room.is_of(grant)) {
                        room.end_of(grant, self.why(grant).await);
                    }
                }
                // Whose grants died was missed: every agent proves itself anew.
                Err(RecvError::Lagged(_)) => {
                    self.rooms().iter().for_each(|room| room.end_agent(code::RESTART));
                }
                Err(RecvError::Closed) => stop.cancelled().await,
            }
        }
        for room in self.rooms() {
            room.end_agent(code::RESTART);
            room.end_viewers(code::RESTART);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
