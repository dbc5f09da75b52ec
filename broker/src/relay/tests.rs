//! The relay with real sockets: an agent that is played, and what the hub makes of it.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use shared::relay::Upstream;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::*;
use crate::accounts::{Caller, Membership, Role};
use crate::http::serve::{Body, Dispatch, Serving, serve};
use crate::http::{Peer, Routes};
use crate::store::{Store, Where};

/// Far longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A broker's lower half: store, homes, grants and relay, stopped when dropped.
pub(crate) struct World {
    pub store: Store,
    pub clock: Clock,
    pub site: Arc<Site>,
    pub oauth: OAuth,
    pub homes: Homes,
    pub relay: Relay,
    pub stop: CancellationToken,
    pub tasks: TaskTracker,
    _folder: tempfile::TempDir,
}

/// Nothing is shared.
pub(crate) struct Quiet;

impl Shares for Quiet {
    fn of(&self, _: HomeId) -> BoxFuture<'_, Result<Vec<Watched>, Fault>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    /// With what is shared told by `shares`.
    pub(crate) async fn new(shares: impl FnOnce(&Store, &Clock) -> Arc<dyn Shares>) -> Self {
        Self::at("http://localhost:8420", shares).await
    }

    /// The same, at an address; homes are below its host.
    pub(crate) async fn at(public_url: &str, shares: impl FnOnce(&Store, &Clock) -> Arc<dyn Shares>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (stop, clock, tasks) = (CancellationToken::new(), Clock::new(), TaskTracker::new());
        let place = Where::Sqlite(folder.path().join("test.db"));
        let store = Store::open(&place, stop.clone()).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        crate::homes::add_workspace(&mut tx, 1).await.unwrap();
        tx.commit().await.unwrap();
        let site = Arc::new(Site { public_url: public_url.parse().unwrap() });
        let homes = Homes::new(store.clone(), clock.clone(), site.clone(), "localhost");
        let oauth = grants::oauth(&store, &clock, &site, &homes).await;
        let parts = Parts {
            clock: clock.clone(),
            site: site.clone(),
            oauth: oauth.clone(),
            homes: homes.clone(),
            shares: shares(&store, &clock),
            stop: stop.clone(),
            tasks: tasks.clone(),
        };
        let relay = Relay::new(parts);
        Self { store, clock, site, oauth, homes, relay, stop, tasks, _folder: folder }
    }

    pub(crate) async fn home(&self) -> Owned {
        let workspace = 1.try_into().unwrap();
        let memberships = vec![Membership { workspace, role: Role::Owner }];
        let caller = Caller { account: None, memberships, home: None };
        self.homes.create("Lakehouse", 8123, workspace, &caller).await.unwrap()
    }

    /// Serves routes on a free port.
    pub(crate) async fn serve(&self, routes: Routes) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (dispatch, stop) = (Doors(routes), self.stop.clone());
        let serving = Serving { listener, tls: None, trusted_proxies: Arc::new([]), dispatch, stop };
        tokio::spawn(serve(serving));
        address
    }
}

#[derive(Clone)]
struct Doors(Routes);

impl Dispatch for Doors {
    async fn dispatch(&self, request: http::Request<Incoming>, _: Peer) -> http::Response<Body> {
        let service = TowerToHyperService::new(warp::service(self.0.clone()));
        let answer = hyper::service::Service::call(&service, request).await.unwrap();
        answer.map(|body| {
            http_body_util::BodyExt::boxed_unsync(http_body_util::BodyExt::map_err(body, Into::into))
        })
    }
}

/// A WebSocket of a test: JSON both ways.
pub(crate) struct Wire(WebSocketStream<TcpStream>);

impl Wire {
    /// Opens one; the status where it is refused.
    pub(crate) async fn open(
        to: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let mut request = format!("ws://{to}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let tcp = TcpStream::connect(to).await.unwrap();
        match client_async(request, tcp).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    pub(crate) async fn say(&mut self, word: &Value) {
        self.0.send(Message::text(word.to_string())).await.unwrap();
    }

    /// The next word; or the code it was closed with.
    pub(crate) async fn hear(&mut self) -> Result<Value, u16> {
        let next = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                    Some(Ok(Message::Close(frame))) => {
                        return Err(frame.map_or(1005, |frame| frame.code.into()));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Err(1006),
                }
            }
        };
        timeout(PATIENCE, next).await.expect("a word or an end")
    }

    /// Skips words until one fits.
    pub(crate) async fn until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            match self.hear().await {
                Ok(word) if fits(&word) => return word,
                Ok(_) => {}
                Err(code) => panic!("closed with {code} while waiting for {what}"),
            }
        }
    }

    /// Skips words until the end.
    pub(crate) async fn end(&mut self) -> u16 {
        loop {
            if let Err(code) = self.hear().await {
                return code;
            }
        }
    }
}

/// An agent that is played: it has joined and said that Home Assistant runs.
pub(crate) async fn agent(to: SocketAddr, token: &str) -> Wire {
    let mut agent =
        Wire::open(to, shared::relay::PATH, &[("authorization", &format!("Bearer {token}"))]).await.unwrap();
    agent.say(&json!({ "type": "hello", "version": "0.1.0", "machine": "pi\u{7}" })).await;
    agent.say(&json!({ "type": "home_assistant", "state": "running", "version": "2026.11.0" })).await;
    agent.until("the welcome", |word| word["type"] == "welcome").await;
    agent
}

/// A state as an agent sends it.
pub(crate) fn states(entity: &str, state: &str) -> Value {
    json!({ "type": "states", "states": [
        { "entity_id": entity, "state": state, "name": "Porch", "area": "Garden", "last_changed": 1_700_000_000_000_i64, "attributes": {} }
    ] })
}

/// Waits for a condition that another task brings about.
pub(crate) async fn until(what: &str, fits: impl Fn() -> bool) {
    let waiting = async {
        while !fits() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

struct Fixed(Mutex<Vec<Watched>>);

impl Shares for Fixed {
    fn of(&self, _: HomeId) -> BoxFuture<'_, Result<Vec<Watched>, Fault>> {
        let shared = self.0.lock().unwrap().clone();
        Box::pin(async move { Ok(shared) })
    }
}

fn porch() -> EntityId {
    "light.porch".parse().unwrap()
}

/// A world where `light.porch` is shared for control, its home, and where its agents dial.
async fn world() -> (World, Arc<Fixed>, Owned, SocketAddr) {
    let fixed = Arc::new(Fixed(Mutex::new(vec![Watched { entity_id: porch(), control: true }])));
    let world = World::new(|_, _| fixed.clone()).await;
    let home = world.home().await;
    let address = world.serve(world.relay.routes()).await;
    (world, fixed, home, address)
}

#[tokio::test]
async fn an_agent_joins_is_told_what_to_watch_and_is_heard() {
    let (world, fixed, home, address) = world().await;
    let token = grants::token(&world, &home).await;
    let mut agent = agent(address, &token).await;
    let watch = agent.until("the watch", |word| word["type"] == "watch").await;
    assert_eq!(watch["entities"], json!([{ "entity_id": "light.porch", "control": true }]));
    agent.say(&states("light.porch", "on")).await;
    until("its state is known", || world.relay.snapshot(home.id, &porch()).is_some()).await;
    let status = world.relay.status(home.id);
    assert_eq!((status.machine.as_deref(), status.version.as_deref()), (Some("pi"), Some("0.1.0")));
    assert!(world.relay.standing(home.id).online && status.connected_since.is_some());
    fixed.0.lock().unwrap().clear();
    world.relay.shares_changed(home.id).await;
    let watch = agent.until("the next watch", |word| word["type"] == "watch").await;
    assert_eq!(watch["entities"], json!([]));
    assert_eq!(world.relay.snapshot(home.id, &porch()), None);
    let mut changes = world.relay.changes();
    drop(agent);
    assert_eq!(timeout(PATIENCE, changes.recv()).await.unwrap().unwrap(), home.id);
    assert!(!world.relay.standing(home.id).online);
}

#[tokio::test]
async fn only_a_token_bound_to_a_home_opens_the_door() {
    let (world, _, home, address) = world().await;
    let open = |token: String| async move {
        let token = format!("Bearer {token}");
        Wire::open(address, shared::relay::PATH, &[("authorization", &token)]).await.map(drop)
    };
    assert_eq!(Wire::open(address, shared::relay::PATH, &[]).await.err(), Some(401));
    assert_eq!(open("wrong".into()).await, Err(401));
    assert_eq!(open(grants::unbound(&world, &home).await).await, Err(403));
    assert_eq!(open(grants::token(&world, &home).await).await, Ok(()));
    assert_eq!(Wire::open(address, "/agent/tunnel", &[]).await.err(), Some(404));
}

#[tokio::test]
async fn a_revoked_grant_a_second_agent_and_a_deleted_home_close_the_socket() {
    let (world, _, home, address) = world().await;
    let token = grants::token(&world, &home).await;
    let mut first = agent(address, &token).await;
    let mut second = agent(address, &token).await;
    assert_eq!(first.end().await, close::REPLACED);
    world.oauth.revoke_home(home.id).await.unwrap();
    assert_eq!(second.end().await, close::UNAUTHORIZED);
    let mut third = agent(address, &grants::token(&world, &home).await).await;
    world.relay.forget(home.id);
    assert_eq!(third.end().await, close::GONE);
}

#[tokio::test]
async fn a_control_comes_back_with_what_the_home_says() {
    let (world, _, home, address) = world().await;
    let porch = porch();
    let control = || world.relay.control(home.id, &porch, Action::TurnOn);
    assert_eq!(control().await, Controlled::Offline);
    let mut agent = agent(address, &grants::token(&world, &home).await).await;
    let on = &states("light.porch", "on")["states"][0];
    let outcomes = [
        json!({ "is": "confirmed", "state": on }),
        json!({ "is": "refused", "reason": "unavailable" }),
        json!({ "is": "refused", "reason": "offline" }),
        json!({ "is": "timed_out" }),
    ];
    let played = async {
        for outcome in outcomes {
            let asked = agent.until("a control", |word| word["type"] == "control").await;
            assert_eq!((&asked["entity_id"], &asked["action"]), (&json!("light.porch"), &json!("turn_on")));
            agent
                .say(&json!({ "type": "controlled", "request": asked["request"], "outcome": outcome }))
                .await;
        }
        agent
    };
    let asked = async { [control().await, control().await, control().await, control().await] };
    let (agent, [confirmed, refused, offline, late]) = tokio::join!(played, asked);
    assert!(matches!(confirmed, Controlled::Confirmed(state) if state.state == "on"));
    assert_eq!(refused, Controlled::Refused(Refusal::Unavailable));
    assert_eq!((offline, late), (Controlled::Offline, Controlled::TimedOut));
    let (left, ()) = tokio::join!(control(), async move { drop(agent) });
    assert_eq!(left, Controlled::Offline, "an agent that leaves answers at once");
}

#[tokio::test]
async fn an_owner_gets_the_list_and_sees_states_while_looking() {
    let (world, _, home, address) = world().await;
    assert_eq!(world.relay.list(&home).await, Err(Away::Offline));
    let mut agent = agent(address, &grants::token(&world, &home).await).await;
    let played = async {
        let asked = agent.until("the question", |word| word["type"] == "list").await;
        for (entity, more) in [("light.porch", true), ("sensor.hall", false)] {
            let entities = json!([{ "entity_id": entity, "name": "x" }]);
            let part =
                json!({ "type": "listing", "request": asked["request"], "entities": entities, "more": more });
            agent.say(&part).await;
        }
        agent
    };
    let (mut agent, listed) = tokio::join!(played, world.relay.list(&home));
    assert_eq!(listed.unwrap().entities.len(), 2);
    let hall: EntityId = "sensor.hall".parse().unwrap();
    let looking = world.relay.look(&home, vec![hall.clone()]);
    let two = |word: &Value| word["entities"].as_array().is_some_and(|all| all.len() == 2);
    agent.until("the hall to be watched", two).await;
    agent.say(&states("sensor.hall", "21")).await;
    until("the hall is known", || world.relay.snapshot(home.id, &hall).is_some()).await;
    drop(looking);
    assert_eq!(world.relay.snapshot(home.id, &hall), None);
}

#[tokio::test]
async fn whatever_an_agent_sends_the_next_word_is_heard() {
    let (world, _, home, address) = world().await;
    let mut agent = agent(address, &grants::token(&world, &home).await).await;
    for odd in
        [json!([]), json!({ "type": "news" }), json!({ "type": "states", "states": [{ "entity_id": "X" }] })]
    {
        agent.say(&odd).await;
    }
    agent.0.send(Message::binary(vec![0xff; 100])).await.unwrap();
    agent.say(&serde_json::to_value(Upstream::Gone { entity_ids: vec![porch()] }).unwrap()).await;
    agent.say(&states("light.porch", "off")).await;
    until("the state", || world.relay.snapshot(home.id, &porch()).is_some()).await;
}

#[tokio::test]
async fn the_end_of_the_broker_is_said_to_everybody() {
    let (world, _, home, address) = world().await;
    let mut agent = agent(address, &grants::token(&world, &home).await).await;
    world.stop.cancel();
    assert_eq!(agent.end().await, code::RESTART);
    world.tasks.close();
    timeout(PATIENCE, world.tasks.wait()).await.expect("every task ends");
}

pub(crate) mod grants;
