//! Home Assistant's WebSocket API: the states of what is watched, names and places, and three services.
//!
//! Invariants: only the entities of the last [`HomeAssistant::watch`] are subscribed to, and never "all" (an
//! empty list would mean that to Home Assistant); only allow-listed attributes are kept in memory; a service
//! is called with one entity id and nothing else.
//! Source: <https://developers.home-assistant.io/docs/api/websocket>, and what Home Assistant was seen to do.

mod control;
mod entities;
mod names;
mod news;
mod session;
mod socket;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use shared::entity::{Action, EntityId, Listed};
use shared::relay::{HomeAssistantState, Outcome, Refusal};
use shared::secret::Secret;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use url::Url;

use crate::tasks::Backoff;

pub use news::News;
use session::Session;
use socket::{Lost, Socket};

/// Reconnecting waits no longer than this, so that a restart is over soon after Home Assistant is back.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A refused token is tried again this seldom: each try makes Home Assistant warn its owner.
const WAIT_AFTER_REFUSAL: Duration = Duration::from_secs(60);

/// Requests that wait for Home Assistant at once. Beyond it the asker is told that it does not answer.
const QUEUE: usize = 64;

/// How Home Assistant is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether it answers.
    pub state: HomeAssistantState,
    /// Its version, once it has said so.
    pub version: Option<String>,
    /// Why it does not answer, in words for the owner.
    pub reason: Option<String>,
}

/// Home Assistant does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offline;

/// Where Home Assistant is and how to get in.
#[derive(Debug, Clone)]
pub struct Door {
    /// Its base address, without `/api`.
    pub address: Url,
    /// A long-lived access token, or the Supervisor's.
    pub token: Option<Secret>,
    /// Whom to trust, for `https`.
    pub tls: Arc<ClientConfig>,
}

/// Home Assistant, for those who want something from it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HomeAssistant {
    watched: Arc<watch::Sender<Arc<BTreeSet<EntityId>>>>,
    requests: mpsc::Sender<Request>,
    health: watch::Receiver<Health>,
    news: Arc<News>,
}

/// What is asked of Home Assistant.
#[derive(Debug)]
enum Request {
    List { reply: oneshot::Sender<Vec<Listed>> },
    Control { entity_id: EntityId, action: Action, reply: oneshot::Sender<Outcome> },
}

/// The side that does the work: one connection at a time.
#[derive(Debug)]
pub struct Connection {
    door: Door,
    watched: watch::Receiver<Arc<BTreeSet<EntityId>>>,
    requests: mpsc::Receiver<Request>,
    health: watch::Sender<Health>,
    news: Arc<News>,
}

/// The two sides of Home Assistant; nothing happens until [`Connection::keep`] runs.
pub fn open(door: Door) -> (HomeAssistant, Connection) {
    let (watched, watched_here) = watch::channel(Arc::default());
    let (requests, requests_here) = mpsc::channel(QUEUE);
    let not_yet = Health {
        state: HomeAssistantState::Unreachable,
        version: None,
        reason: Some("not asked yet".into()),
    };
    let (health_here, health) = watch::channel(not_yet);
    let news = Arc::new(News::default());
    let handle = HomeAssistant { watched: Arc::new(watched), requests, health, news: Arc::clone(&news) };
    (handle, Connection { door, watched: watched_here, requests: requests_here, health: health_here, news })
}

/// Signs in once and gives Home Assistant's version.
///
/// # Errors
/// What is wrong, and what to do about it.
pub async fn examine(door: &Door) -> Result<String, String> {
    const MAKE_ONE: &str =
        "make a long-lived access token in Home Assistant (your profile, Security) and give it to the agent";
    let token = door.token.as_ref().ok_or_else(|| format!("the agent has no token: {MAKE_ONE}"))?;
    match Socket::open(&door.address, token, &door.tls).await {
        Ok(socket) => Ok(socket.version().to_owned()),
        Err(Lost::Refused) => Err(format!("{} refuses the agent's token: {MAKE_ONE}", door.address)),
        Err(Lost::Other(err)) => Err(format!("{} does not answer: {err:#}", door.address)),
    }
}

impl HomeAssistant {
    /// How Home Assistant is, now and at each change.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// The newest state of each watched entity that has changed.
    pub fn news(&self) -> &News {
        &self.news
    }

    /// Watches these entities and no others. The present state of each becomes news, also of those that were
    /// watched before.
    pub fn watch(&self, entities: BTreeSet<EntityId>) {
        self.watched.send_replace(Arc::new(entities));
    }

    /// Names and places of everything there is.
    ///
    /// # Errors
    /// `Offline`.
    pub async fn list(&self) -> Result<Vec<Listed>, Offline> {
        let (reply, answer) = oneshot::channel();
        self.request(Request::List { reply })?;
        timeout(control::PATIENCE, answer).await.map_err(|_| Offline)?.map_err(|_| Offline)
    }

    /// Switches one watched entity and waits for Home Assistant to confirm its new state.
    pub async fn control(&self, entity_id: EntityId, action: Action) -> Outcome {
        let (reply, answer) = oneshot::channel();
        let offline = Outcome::Refused { reason: Refusal::Offline };
        if self.request(Request::Control { entity_id, action, reply }).is_err() {
            return offline;
        }
        // The session keeps its own deadline; the extra second is for a session that hangs.
        match timeout(control::PATIENCE + Duration::from_secs(1), answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => offline,
            Err(_) => Outcome::TimedOut,
        }
    }

    fn request(&self, request: Request) -> Result<(), Offline> {
        if self.health.borrow().state != HomeAssistantState::Running {
            return Err(Offline);
        }
        self.requests.try_send(request).map_err(|_| Offline)
    }
}

impl Connection {
    /// Keeps Home Assistant connected until told to stop.
    pub async fn keep(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::up_to(LONGEST_WAIT);
        loop {
            let began = Instant::now();
            let Some(lost) = stop.run_until_cancelled(self.session()).await else { return };
            let wait = match lost {
                Lost::Refused => WAIT_AFTER_REFUSAL,
                Lost::Other(_) => backoff.after(began.elapsed()),
            };
            self.report(&lost, wait);
            // Whoever asked just before the end must not wait for a connection that is not there.
            while self.requests.try_recv().is_ok() {}
            if stop.run_until_cancelled(sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    /// One connection, from the handshake to whatever ends it.
    async fn session(&mut self) -> Lost {
        let Some(token) = &self.door.token else {
            return Lost::Refused;
        };
        let mut socket = match Socket::open(&self.door.address, token, &self.door.tls).await {
            Ok(socket) => socket,
            Err(lost) => return lost,
        };
        let version = Some(socket.version().to_owned());
        self.health.send_replace(Health {
            state: HomeAssistantState::Starting,
            version: version.clone(),
            reason: None,
        });
        if let Err(lost) = session::ready(&mut socket).await {
            return lost;
        }
        info!(version, "home assistant is running");
        let session = Session::new(socket, &self.news);
        self.health.send_replace(Health { state: HomeAssistantState::Running, version, reason: None });
        session.run(&mut self.watched, &mut self.requests).await
    }

    fn report(&self, lost: &Lost, wait: Duration) {
        let (state, reason) = match lost {
            Lost::Refused if self.door.token.is_none() => {
                (HomeAssistantState::Refused, "the agent has no token for Home Assistant".to_owned())
            }
            Lost::Refused => {
                (HomeAssistantState::Refused, "Home Assistant refused the agent's token".to_owned())
            }
            Lost::Other(err) => (HomeAssistantState::Unreachable, format!("{err:#}")),
        };
        let changed = self.health.send_if_modified(|health| {
            let changed = health.state != state || health.reason.as_ref() != Some(&reason);
            (health.state, health.reason) = (state, Some(reason.clone()));
            changed
        });
        // Once for each new reason, not once every five seconds of a long night.
        if changed {
            warn!(?wait, "no home assistant: {reason}");
        } else {
            debug!(?wait, "still no home assistant: {reason}");
        }
    }
}

#[cfg(test)]
mod tests;
