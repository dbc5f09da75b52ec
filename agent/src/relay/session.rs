//! One connection to the broker, from `hello` to whatever ends it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, SinkExt, StreamExt};
use shared::entity::{Action, EntityId, Listed};
use shared::relay::{Downstream, Outcome, Refusal, TunnelState, Upstream, close};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tracing::{debug, info, warn};

use super::{Link, Relay};
use crate::home_assistant::{Health, HomeAssistant};
use crate::net::WebSocket;
use crate::policy::{InForce, May};
use crate::tunnel;

/// So often that an agent whose broker was restarted without a word is back before it is missed (25 s).
const PING_EVERY: Duration = Duration::from_secs(10);
const DEAD_AFTER: Duration = Duration::from_secs(25);
const SEND_PATIENCE: Duration = Duration::from_secs(20);

/// Entities in one frame. With every text at its longest a state takes less than 5 KiB, so that a frame stays
/// under `MAX_FRAME`.
const IN_ONE_FRAME: usize = 200;

/// Answers that Home Assistant owes at once. Beyond it a control is refused and a list comes back empty.
const IN_FLIGHT: usize = 64;

/// Why a connection ended.
#[derive(Debug)]
pub enum Ended {
    /// The access token is not good (any more).
    Unauthorized,
    /// Another agent has the home now.
    Replaced,
    /// Another agent was paired with the home.
    TakenOver,
    /// The home is gone.
    Gone,
    /// Anything else; worth another try.
    Lost(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Ended {
    fn from(err: E) -> Self {
        Self::Lost(err.into())
    }
}

/// One connection to the broker.
#[derive(Debug)]
pub struct Session<'a> {
    socket: WebSocket,
    home_assistant: &'a HomeAssistant,
    tunnel: watch::Receiver<tunnel::Status>,
    link: &'a watch::Sender<Link>,
    policy: watch::Receiver<Arc<InForce>>,
    /// The last `watch` of this connection: each entity, and whether it may be controlled. The policy has not
    /// spoken yet.
    asked: HashMap<EntityId, bool>,
    in_flight: FuturesUnordered<BoxFuture<'static, Answer>>,
    heard: Instant,
    ping_at: Instant,
}

/// What Home Assistant answered to a request of the broker.
#[derive(Debug)]
enum Answer {
    Listing { request: u64, entities: Vec<Listed> },
    Controlled { request: u64, outcome: Outcome },
}

impl<'a> Session<'a> {
    /// A connection that was just upgraded.
    pub fn new(socket: WebSocket, relay: &'a Relay) -> Self {
        let now = Instant::now();
        Self {
            socket,
            home_assistant: &relay.home_assistant,
            tunnel: relay.tunnel.clone(),
            link: &relay.link,
            policy: relay.policy.clone(),
            asked: HashMap::new(),
            in_flight: FuturesUnordered::new(),
            heard: now,
            ping_at: now + PING_EVERY,
        }
    }

    /// Works until the connection ends.
    pub async fn run(mut self) -> Ended {
        match self.work().await {
            Ok(ended) | Err(ended) => ended,
        }
    }

    async fn work(&mut self) -> Result<Ended, Ended> {
        let machine =
            nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
        self.send([Upstream::Hello { version: env!("CARGO_PKG_VERSION").to_owned(), machine }]).await?;
        let mut health = self.home_assistant.health();
        let now = health.borrow_and_update().clone();
        let tunnel = self.tunnel.borrow_and_update().clone();
        self.send([of_tunnel(tunnel), told(now)]).await?;
        self.heed().await?;
        loop {
            let alarm = self.ping_at.min(self.heard + DEAD_AFTER);
            tokio::select! {
                message = self.socket.next() => {
                    let message = message.context("the broker closed the connection")?.context("the relay broke")?;
                    if let Some(ended) = self.hear(message).await? {
                        return Ok(ended);
                    }
                }
                () = self.home_assistant.news().arrived() => self.send_news().await?,
                Some(answer) = self.in_flight.next() => self.answer(answer).await?,
                Ok(()) = health.changed() => {
                    let now = health.borrow_and_update().clone();
                    self.send([told(now)]).await?;
                }
                Ok(()) = self.tunnel.changed() => {
                    let now = self.tunnel.borrow_and_update().clone();
                    self.send([of_tunnel(now)]).await?;
                }
                Ok(()) = self.policy.changed() => self.heed().await?,
                () = sleep_until(alarm) => self.wake().await?,
            }
        }
    }

    async fn hear(&mut self, message: Message) -> Result<Option<Ended>, Ended> {
        self.heard = Instant::now();
        match message {
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(word) => self.obey(word).await?,
                // A newer broker may say a known word in a way we cannot read; the rest is still good.
                Err(err) => warn!("the broker said something unreadable: {err}"),
            },
            Message::Close(frame) => {
                let code = frame.as_ref().map(|frame| u16::from(frame.code));
                return Ok(Some(match code {
                    Some(close::UNAUTHORIZED) => Ended::Unauthorized,
                    Some(close::REPLACED) => Ended::Replaced,
                    Some(close::GONE) => Ended::Gone,
                    _ => Ended::Lost(anyhow!("the broker closed the connection with {code:?}")),
                }));
            }
            _ => {}
        }
        Ok(None)
    }

    async fn obey(&mut self, word: Downstream) -> Result<(), Ended> {
        match word {
            Downstream::Welcome { home, name } => {
                info!(home.id = %home, "the broker welcomes this home");
                self.link.send_replace(Link::Up(name));
            }
            Downstream::Watch { entities } => {
                self.asked = entities.into_iter().map(|entity| (entity.entity_id, entity.control)).collect();
                self.watch().await?;
            }
            Downstream::List { request } => {
                if self.in_flight.len() >= IN_FLIGHT {
                    self.answer(Answer::Listing { request, entities: Vec::new() }).await?;
                    return Ok(());
                }
                let home_assistant = self.home_assistant.clone();
                // An empty list while it is offline: the broker knows that it is, and nobody is kept waiting.
                let list = async move { home_assistant.list().await.unwrap_or_default() };
                self.in_flight.push(list.map(move |entities| Answer::Listing { request, entities }).boxed());
            }
            Downstream::Control { request, entity_id, action } => {
                self.control(request, entity_id, action).await?
            }
            Downstream::Unknown => debug!("a word of a newer broker"),
        }
        Ok(())
    }

    /// The policy as it is now: the broker is told, and what it no longer allows is gone.
    async fn heed(&mut self) -> Result<(), Ended> {
        let stopped = self.policy.borrow_and_update().policy.is_stopped();
        self.send([Upstream::Policy { stopped }]).await?;
        self.watch().await
    }

    /// Watches what is asked for and allowed; the rest is gone, for whoever asks.
    async fn watch(&mut self) -> Result<(), Ended> {
        let (watched, withheld): (Vec<_>, Vec<_>) =
            self.asked.keys().cloned().partition(|entity| self.may(entity) > May::Nothing);
        debug!(watched = watched.len(), withheld = withheld.len(), "watching");
        self.home_assistant.watch(watched.into_iter().collect());
        let gone = parts(withheld).into_iter().map(|entity_ids| Upstream::Gone { entity_ids });
        self.send(gone.collect::<Vec<_>>()).await
    }

    fn may(&self, entity: &EntityId) -> May {
        self.policy.borrow().policy.may(entity)
    }

    /// The home's own check: the broker may have been deceived, or be the deceiver.
    async fn control(&mut self, request: u64, entity_id: EntityId, action: Action) -> Result<(), Ended> {
        let refusal = match self.asked.get(&entity_id) {
            None | Some(false) => Some(Refusal::NotShared),
            Some(true) if self.may(&entity_id) < May::Control => Some(Refusal::Policy),
            Some(true) if !entity_id.is_controllable() => Some(Refusal::NotControllable),
            Some(true) if self.in_flight.len() >= IN_FLIGHT => Some(Refusal::Failed),
            Some(true) => None,
        };
        info!(entity = %entity_id, action = action.service(), ?refusal, "control");
        if let Some(reason) = refusal {
            return self.answer(Answer::Controlled { request, outcome: Outcome::Refused { reason } }).await;
        }
        let home_assistant = self.home_assistant.clone();
        let control = async move { home_assistant.control(entity_id, action).await };
        self.in_flight.push(control.map(move |outcome| Answer::Controlled { request, outcome }).boxed());
        Ok(())
    }

    async fn send_news(&mut self) -> Result<(), Ended> {
        let news = self.home_assistant.news().take();
        let watched = news.into_iter().filter(|(entity_id, _)| self.may_see(entity_id));
        let (mut states, mut gone) = (Vec::new(), Vec::new());
        for (entity_id, state) in watched {
            match state {
                Some(state) => states.push(state),
                None => gone.push(entity_id),
            }
        }
        let states = parts(states).into_iter().map(|states| Upstream::States { states });
        let gone = parts(gone).into_iter().map(|entity_ids| Upstream::Gone { entity_ids });
        self.send(states.chain(gone).collect::<Vec<_>>()).await
    }

    async fn answer(&mut self, answer: Answer) -> Result<(), Ended> {
        match answer {
            // The watch may have changed while Home Assistant was at it; its state stays here then.
            Answer::Controlled { request, outcome: Outcome::Confirmed { state } }
                if !self.may_see(&state.entity_id) =>
            {
                let outcome = Outcome::Refused { reason: Refusal::NotShared };
                self.send([Upstream::Controlled { request, outcome }]).await
            }
            Answer::Controlled { request, outcome } => {
                self.send([Upstream::Controlled { request, outcome }]).await
            }
            Answer::Listing { request, entities } => {
                let (entities, withheld) = self.allowed(entities);
                let mut parts = parts(entities);
                let last = parts.pop().unwrap_or_default();
                let part = |entities, more, withheld| Upstream::Listing { request, entities, more, withheld };
                let first = parts.into_iter().map(|entities| part(entities, true, 0));
                let last = part(last, false, withheld);
                self.send(first.chain([last]).collect::<Vec<_>>()).await
            }
        }
    }

    fn may_see(&self, entity: &EntityId) -> bool {
        self.asked.contains_key(entity) && self.may(entity) > May::Nothing
    }

    /// What of a list may leave the house, and how much of it may not.
    fn allowed(&self, mut entities: Vec<Listed>) -> (Vec<Listed>, u32) {
        let all = entities.len();
        entities.retain_mut(|entity| {
            let may = self.may(&entity.entity_id);
            entity.view_only = may == May::Show;
            may > May::Nothing
        });
        let withheld = all - entities.len();
        (entities, u32::try_from(withheld).unwrap_or(u32::MAX))
    }

    /// Sends words in one go.
    async fn send(&mut self, words: impl IntoIterator<Item = Upstream>) -> Result<(), Ended> {
        let sending = async {
            for word in words {
                let text = serde_json::to_string(&word).context("put a word into JSON")?;
                self.socket.feed(Message::text(text)).await.context("the relay broke")?;
            }
            self.socket.flush().await.context("the relay broke")
        };
        Ok(timeout(SEND_PATIENCE, sending).await.map_err(|_| anyhow!("the broker takes nothing"))??)
    }

    async fn wake(&mut self) -> Result<(), Ended> {
        let now = Instant::now();
        if now >= self.heard + DEAD_AFTER {
            return Err(anyhow!("the broker has been silent for too long").into());
        }
        if now >= self.ping_at {
            self.ping_at = now + PING_EVERY;
            let ping = timeout(SEND_PATIENCE, self.socket.send(Message::Ping(Default::default())));
            ping.await.map_err(|_| anyhow!("the broker takes nothing"))?.context("the relay broke")?;
        }
        Ok(())
    }
}

fn told(health: Health) -> Upstream {
    Upstream::HomeAssistant { state: health.state, version: health.version, reason: health.reason }
}

fn of_tunnel(status: tunnel::Status) -> Upstream {
    let (state, trouble) = match status {
        tunnel::Status::Connecting => (TunnelState::Connecting, None),
        tunnel::Status::Connected => (TunnelState::Up, None),
        tunnel::Status::Amiss(trouble) => (TunnelState::Up, Some(trouble)),
        tunnel::Status::Lost(trouble) => (TunnelState::Down, Some(trouble)),
    };
    let (trouble, reason) = trouble.map(|trouble| (trouble.word, trouble.reason)).unzip();
    Upstream::Tunnel { state, trouble, reason }
}

/// Pieces that each fit into a frame; none of nothing.
fn parts<T>(all: Vec<T>) -> Vec<Vec<T>> {
    let mut all = all.into_iter().peekable();
    let mut parts = Vec::new();
    while all.peek().is_some() {
        parts.push(all.by_ref().take(IN_ONE_FRAME).collect());
    }
    parts
}
