//! One connection at work: what is watched, what is asked, what comes back.
//!
//! Commands are answered in the order in which they are sent, so the registries are asked for before the first
//! states: names and places are known when those come. Should they not be, the places follow as changes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::convert::Infallible;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::entity::{EntityId, Listed};
use shared::relay::{Outcome, Refusal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, warn};

use super::control::{self, Controls, Wish};
use super::entities::{Entities, Event, shortened};
use super::names::{Names, Registry};
use super::news::News;
use super::socket::{Incoming, Lost, Socket};
use super::{QUEUE, Request};

const PING_EVERY: Duration = Duration::from_secs(7);
/// A Home Assistant that hangs is told of in time: T5 allows 30 s until its light is right, and a page looks every 5.
const DEAD_AFTER: Duration = Duration::from_secs(20);

/// Registry changes come in swarms (deleting an area touches each entity in it); they are read again this long
/// after the first.
const REGISTRIES_SETTLE: Duration = Duration::from_millis(500);

/// Waits until Home Assistant has finished starting: its port opens early, with almost no entities there.
pub async fn ready(socket: &mut Socket) -> Result<(), Lost> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(default)]
        state: String,
    }
    loop {
        let config: Config = socket.ask(json!({"type": "get_config"})).await?;
        if config.state == "RUNNING" {
            return Ok(());
        }
        debug!(state = config.state, "home assistant is not ready yet");
        sleep(Duration::from_millis(300)).await;
    }
}

/// What the answer to a command is for.
#[derive(Debug)]
enum Pending {
    /// The command only has to work.
    Subscription,
    /// Nobody waits for it.
    Nothing,
    Registry(Registry),
    List(oneshot::Sender<Vec<Listed>>),
    /// What it is for is among the `controls`.
    Service,
}

/// One connection at work.
#[derive(Debug)]
pub struct Session<'a> {
    socket: Socket,
    news: &'a News,
    names: Names,
    /// The registries that are being read, and how many are yet to come.
    coming: Option<(Names, usize)>,
    reread_at: Option<Instant>,
    registry_events: HashSet<u64>,
    watched: Arc<BTreeSet<EntityId>>,
    entities: Entities,
    /// The subscription whose events count.
    active: Option<u64>,
    /// The one that takes its place with its first event, which holds all states.
    settling: Option<u64>,
    pending: HashMap<u64, Pending>,
    controls: Controls,
    /// Controls that came before the states of a new watch. No more than [`QUEUE`].
    early: Vec<Request>,
    heard: Instant,
    ping_at: Instant,
}

impl<'a> Session<'a> {
    /// A connection that has signed in to a Home Assistant that runs.
    pub fn new(socket: Socket, news: &'a News) -> Self {
        let now = Instant::now();
        Self {
            socket,
            news,
            names: Names::default(),
            coming: None,
            reread_at: None,
            registry_events: HashSet::new(),
            watched: Arc::default(),
            entities: Entities::default(),
            active: None,
            settling: None,
            pending: HashMap::new(),
            controls: Controls::default(),
            early: Vec::new(),
            heard: now,
            ping_at: now + PING_EVERY,
        }
    }

    /// Works until the connection ends.
    pub async fn run(
        mut self,
        watched: &mut watch::Receiver<Arc<BTreeSet<EntityId>>>,
        requests: &mut mpsc::Receiver<Request>,
    ) -> Lost {
        match self.work(watched, requests).await {
            Err(lost) => lost,
        }
    }

    async fn work(
        &mut self,
        watched: &mut watch::Receiver<Arc<BTreeSet<EntityId>>>,
        requests: &mut mpsc::Receiver<Request>,
    ) -> Result<Infallible, Lost> {
        for registry in Registry::ALL {
            let command = json!({"type": "subscribe_events", "event_type": registry.event()});
            let id = self.send(command, Pending::Nothing).await?;
            self.registry_events.insert(id);
        }
        self.read_registries().await?;
        let first = Arc::clone(&watched.borrow_and_update());
        self.watch(first).await?;
        loop {
            let alarm = self.next_alarm();
            tokio::select! {
                // In this order: a control that follows its watch must find it done, and alarms must not
                // starve in a burst of events.
                biased;
                Ok(()) = watched.changed() => {
                    let wanted = Arc::clone(&watched.borrow_and_update());
                    self.watch(wanted).await?;
                }
                () = sleep_until(alarm) => self.wake().await?,
                Some(request) = requests.recv() => self.serve(request).await?,
                incoming = self.socket.next() => self.hear(incoming?).await?,
            }
        }
    }

    async fn send(&mut self, command: Value, pending: Pending) -> Result<u64, Lost> {
        let id = self.socket.send(command).await?;
        self.pending.insert(id, pending);
        Ok(id)
    }

    async fn hear(&mut self, incoming: Incoming) -> Result<(), Lost> {
        self.heard = Instant::now();
        let id = incoming.head.id;
        match incoming.head.kind.as_str() {
            "event" if self.active == Some(id) => self.change(incoming.read()?),
            "event" if self.settling == Some(id) => self.settle(id, incoming.read()?).await?,
            "event" if self.registry_events.contains(&id) => {
                self.reread_at.get_or_insert_with(|| Instant::now() + REGISTRIES_SETTLE);
            }
            "result" => {
                if let Some(pending) = self.pending.remove(&id) {
                    self.answered(pending, incoming)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn answered(&mut self, pending: Pending, incoming: Incoming) -> Result<(), Lost> {
        let worked = incoming.head.success;
        match pending {
            Pending::Nothing => {}
            Pending::Subscription if worked => {}
            Pending::Subscription => {
                return Err(anyhow!("no states to be had: {}", incoming.head.code()).into());
            }
            Pending::Registry(registry) => self.learn(registry, &incoming),
            Pending::List(reply) if worked => _ = reply.send(self.listed(incoming.read()?)),
            Pending::List(_) => warn!(code = incoming.head.code(), "home assistant lists nothing"),
            Pending::Service => {
                self.controls.answered(&incoming);
                self.controls.confirm(&self.entities, &self.names);
            }
        }
        Ok(())
    }

    // --- what is watched

    async fn watch(&mut self, wanted: Arc<BTreeSet<EntityId>>) -> Result<(), Lost> {
        let before = mem::replace(&mut self.watched, wanted);
        self.news.keep_only(&self.watched);
        if before == self.watched && (self.active.is_some() || self.settling.is_some()) {
            if self.settling.is_none() {
                self.tell_all();
            }
            return Ok(());
        }
        if let Some(overtaken) = self.settling.take() {
            self.unsubscribe(overtaken).await?;
        }
        if self.watched.is_empty() {
            // Never an empty list: to Home Assistant that means everything.
            self.entities = Entities::default();
            if let Some(old) = self.active.take() {
                self.unsubscribe(old).await?;
            }
            return Ok(());
        }
        let command = json!({"type": "subscribe_entities", "entity_ids": &*self.watched});
        self.settling = Some(self.send(command, Pending::Subscription).await?);
        Ok(())
    }

    async fn unsubscribe(&mut self, subscription: u64) -> Result<(), Lost> {
        let command = json!({"type": "unsubscribe_events", "subscription": subscription});
        self.send(command, Pending::Nothing).await?;
        Ok(())
    }

    /// The first event of a new subscription: everything that is there, at one moment.
    async fn settle(&mut self, id: u64, event: Event) -> Result<(), Lost> {
        self.entities = Entities::default();
        self.entities.apply(event, &self.watched);
        self.settling = None;
        self.tell_all();
        if let Some(old) = self.active.replace(id) {
            self.unsubscribe(old).await?;
        }
        for request in mem::take(&mut self.early) {
            self.serve(request).await?;
        }
        Ok(())
    }

    fn change(&mut self, event: Event) {
        let touched = self.entities.apply(event, &self.watched);
        if touched.is_empty() {
            return;
        }
        self.news.tell(touched.iter().map(|id| (id.clone(), self.entities.show(id, &self.names))));
        self.controls.confirm(&self.entities, &self.names);
    }

    fn tell_all(&self) {
        self.news.tell(self.watched.iter().map(|id| (id.clone(), self.entities.show(id, &self.names))));
    }

    // --- names and places

    async fn read_registries(&mut self) -> Result<(), Lost> {
        self.coming = Some((Names::default(), Registry::ALL.len()));
        for registry in Registry::ALL {
            self.send(json!({"type": registry.command()}), Pending::Registry(registry)).await?;
        }
        Ok(())
    }

    fn learn(&mut self, registry: Registry, incoming: &Incoming) {
        let Some((names, missing)) = &mut self.coming else { return };
        if let Err(err) = names.read(registry, incoming) {
            warn!(?registry, "places are not known: {err}");
        }
        *missing -= 1;
        if *missing > 0 {
            return;
        }
        let fresh = self.coming.take().map(|(names, _)| names).unwrap_or_default();
        let old = mem::replace(&mut self.names, fresh);
        let moved = self.watched.iter().filter(|id| old.area(id.as_str()) != self.names.area(id.as_str()));
        let moved = moved.filter_map(|id| Some((id.clone(), Some(self.entities.show(id, &self.names)?))));
        self.news.tell(moved);
    }

    fn listed(&self, states: Vec<State>) -> Vec<Listed> {
        let mut all: Vec<_> = states.into_iter().filter_map(|state| state.listed(&self.names)).collect();
        all.sort_by(|a, b| a.entity_id.cmp(&b.entity_id));
        all
    }

    // --- what is asked

    async fn serve(&mut self, request: Request) -> Result<(), Lost> {
        match request {
            // Whoever gave up waiting must not be surprised by a light that goes on later.
            Request::Control { reply, .. } if reply.is_closed() => {}
            Request::Control { .. } if self.settling.is_some() && self.early.len() < QUEUE => {
                self.early.push(request)
            }
            Request::Control { entity_id, action, reply } => {
                let entity = self.entities.get(&entity_id).filter(|_| self.watched.contains(&entity_id));
                let checked = control::check(&entity_id, entity);
                let checked = if self.controls.are_full() { Err(Refusal::Failed) } else { checked };
                if let Err(reason) = checked {
                    _ = reply.send(Outcome::Refused { reason });
                    return Ok(());
                }
                let wish = Wish::new(action, entity.map_or("", |entity| entity.state.as_str()));
                let id = self.send(control::command(&entity_id, action), Pending::Service).await?;
                self.controls.sent(id, entity_id, wish, reply);
            }
            Request::List { reply } => {
                self.send(json!({"type": "get_states"}), Pending::List(reply)).await?;
            }
        }
        Ok(())
    }

    // --- time

    fn next_alarm(&self) -> Instant {
        let always = self.ping_at.min(self.heard + DEAD_AFTER);
        [self.reread_at, self.controls.deadline()].into_iter().flatten().fold(always, Instant::min)
    }

    async fn wake(&mut self) -> Result<(), Lost> {
        let now = Instant::now();
        if now >= self.heard + DEAD_AFTER {
            return Err(anyhow!("Home Assistant has been silent for too long").into());
        }
        if now >= self.ping_at {
            self.ping_at = now + PING_EVERY;
            self.socket.send(json!({"type": "ping"})).await?;
        }
        if self.reread_at.is_some_and(|at| now >= at) {
            self.reread_at = None;
            self.read_registries().await?;
        }
        self.controls.expire(now);
        Ok(())
    }
}

/// A row of `get_states`, as far as the owner's list needs it. No state is read, so none can leak.
#[derive(Debug, Deserialize)]
struct State {
    entity_id: String,
    #[serde(default)]
    attributes: Named,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    friendly_name: Value,
}

impl State {
    fn listed(self, names: &Names) -> Option<Listed> {
        let entity_id: EntityId = self.entity_id.parse().ok()?;
        let name = match self.attributes.friendly_name {
            Value::String(name) => shortened(name),
            _ => entity_id.to_string(),
        };
        let area = names.area(&self.entity_id).map(str::to_owned);
        let floor = names.floor(&self.entity_id).map(str::to_owned);
        Some(Listed { entity_id, name, area, floor, view_only: false })
    }
}
