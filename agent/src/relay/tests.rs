//! The relay between a stand-in broker and a stand-in Home Assistant: what goes up, and what never does.

use serde_json::{Value, json};
use shared::oauth::path;
use tokio::task::JoinHandle;

mod policy;

use super::*;
use crate::config::Keeping;
use crate::fakes::{self, Home, Server, Socket};
use crate::home_assistant::{self, Door};
use crate::memory::{Access, Memory, Pairing};
use crate::policy::PolicyFile;
use crate::tasks::now_ms;

struct World {
    broker: Server,
    house: Server,
    relay: JoinHandle<Result<(), Over>>,
    tunnel: watch::Sender<tunnel::Status>,
    /// Ends both tasks when the test does.
    _stop: tokio_util::sync::DropGuard,
    dir: tempfile::TempDir,
}

/// A relay that runs, with a token `a0` that the broker takes; `a1` comes of a refresh.
async fn world() -> World {
    let broker = fakes::serve(|seen| match seen.path.as_str() {
        PATH => (101, Value::Null),
        path::TOKEN if seen.form["refresh_token"] == "r0" => (
            200,
            json!({"access_token": "a1", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "r1", "scope": "relay"}),
        ),
        _ => (400, json!({"error": "invalid_grant"})),
    })
    .await;
    let house =
        fakes::serve(
            |seen| if seen.path == "/api/websocket" { (101, Value::Null) } else { (404, Value::Null) },
        )
        .await;
    let dir = tempfile::tempdir().unwrap();
    let memory = Arc::new(Memory::open(dir.path(), Keeping::File).await.unwrap());
    let pairing = Pairing {
        broker: broker.url.to_string(),
        home: 7.try_into().unwrap(),
        refresh_token: "r0".to_owned().into(),
        access: Some(Access { token: "a0".to_owned().into(), expires: now_ms() + 3_600_000 }),
        tunnel_token: None,
    };
    memory.change(|all| all.pairing = Some(pairing.clone())).await.unwrap();
    let tls = net::trust(None).unwrap();
    let token = Some("let me in".to_owned().into());
    let (home_assistant, connection) =
        home_assistant::open(Door { address: house.url.clone(), token, tls: Arc::clone(&tls) });
    let stop = CancellationToken::new();
    tokio::spawn(connection.keep(stop.clone()));
    let cloud = Arc::new(Cloud::new(&pairing, memory, &tls).unwrap());
    let (link, _) = watch::channel(Link::Down(String::new()));
    let (tells, tunnel) = watch::channel(tunnel::Status::Connecting);
    let file = PolicyFile::open(dir.path().join("policy.toml"), true);
    let policy = file.policy();
    tokio::spawn(file.keep(stop.clone()));
    let relay = Relay { cloud, home_assistant, tunnel, tls, policy, link };
    let relay = tokio::spawn(relay.keep(stop.clone()));
    World { broker, house, relay, tunnel: tells, _stop: stop.drop_guard(), dir }
}

impl World {
    /// Home Assistant up, then the broker told so; both in the state in which they wait.
    async fn settled(&mut self) -> (Socket, Home) {
        let mut home = self.house.socket().await.home_assistant().await;
        let mut broker = self.broker.socket().await;
        assert_eq!(broker.next().await["type"], "hello");
        // Small talk goes on in the background of `command`, so both sides must be played at once.
        tokio::select! {
            () = running(&mut broker) => {}
            command = home.command() => panic!("nothing is watched and yet: {command}"),
        }
        broker.send(json!({"type": "welcome", "home": 7, "name": "Home"})).await;
        (broker, home)
    }
}

/// Waits until the agent has said that Home Assistant runs and what the policy says, in whatever order.
async fn running(broker: &mut Socket) {
    let (mut runs, mut policy) = (false, false);
    while !(runs && policy) {
        let word = broker.next().await;
        runs |= word["state"] == "running";
        policy |= word == json!({"type": "policy", "stopped": false});
    }
}

fn lamp(state: &str) -> Value {
    json!({"s": state, "a": {"friendly_name": "Lamp", "secret": "x"}, "c": "before", "lc": 1.0})
}

fn change(state: &str, context: &str) -> Value {
    json!({"c": {"light.lamp": {"+": {"s": state, "lc": 2.0, "c": context}}}})
}

fn shown(state: &str, at: i64) -> Value {
    json!({"entity_id": "light.lamp", "state": state, "name": "Lamp", "area": "Kitchen", "last_changed": at, "attributes": {}})
}

fn watch(control: bool, ids: &[&str]) -> Value {
    let entities: Vec<_> = ids.iter().map(|id| json!({"entity_id": id, "control": control})).collect();
    json!({"type": "watch", "entities": entities})
}

#[tokio::test]
async fn the_broker_is_told_how_the_tunnel_is() {
    let mut world = world().await;
    let mut broker = world.broker.socket().await;
    assert_eq!(broker.next().await["type"], "hello");
    assert_eq!(broker.next().await, json!({"type": "tunnel", "state": "connecting"}));
    assert_eq!(broker.next().await["type"], "home_assistant");
    let reason = "there is no cloudflared".to_owned();
    let trouble = tunnel::Trouble { word: shared::relay::TunnelTrouble::NoProgram, reason };
    world.tunnel.send_replace(tunnel::Status::Lost(trouble));
    let mut told = broker.next().await;
    while told["type"] != "tunnel" {
        told = broker.next().await;
    }
    let lost = json!({"type": "tunnel", "state": "down", "trouble": "no_program", "reason": "there is no cloudflared"});
    assert_eq!(told, lost);
}

#[tokio::test]
async fn states_go_up_for_what_is_watched_and_nothing_else() {
    let mut world = world().await;
    let (mut broker, mut home) = world.settled().await;
    assert_eq!(world.broker.seen(PATH)[0].authorization, "Bearer a0");

    broker.send(watch(false, &["light.lamp", "light.lost"])).await;
    // Home Assistant errs and sends more than it was asked for.
    let first = home.subscribed(json!({"light.lamp": lamp("off"), "lock.front": lamp("locked")})).await;
    assert_eq!(first["entity_ids"], json!(["light.lamp", "light.lost"]));
    assert_eq!(broker.next().await, json!({"type": "states", "states": [shown("off", 1000)]}));
    assert_eq!(broker.next().await, json!({"type": "gone", "entity_ids": ["light.lost"]}));
    home.event(&first, change("on", "c1")).await;
    assert_eq!(broker.next().await, json!({"type": "states", "states": [shown("on", 2000)]}));

    // Asked again for the same, all present states go up again, without bothering Home Assistant.
    broker.send(watch(true, &["light.lamp", "light.lost"])).await;
    assert_eq!(broker.next().await, json!({"type": "states", "states": [shown("on", 2000)]}));
    assert_eq!(broker.next().await["type"], "gone");

    // Another watch: a new subscription, then the end of the old, whose last words are not passed on.
    broker.send(watch(false, &["switch.tv"])).await;
    let second = home.subscribed(json!({"switch.tv": {"s": "on", "lc": 3.0}})).await;
    let end = home.command().await;
    assert_eq!((&end["type"], &end["subscription"]), (&json!("unsubscribe_events"), &first["id"]));
    home.event(&first, change("off", "c2")).await;
    home.event(&second, json!({"c": {"switch.tv": {"+": {"s": "off"}}}})).await;
    for state in ["on", "off"] {
        let word = broker.next().await;
        assert_eq!(
            (&word["states"][0]["entity_id"], &word["states"][0]["state"]),
            (&json!("switch.tv"), &json!(state))
        );
    }

    // Nothing watched: never an empty subscription, which would mean everything.
    broker.send(watch(false, &[])).await;
    let end = home.command().await;
    assert_eq!((&end["type"], &end["subscription"]), (&json!("unsubscribe_events"), &second["id"]));
    home.event(&second, json!({"c": {"switch.tv": {"+": {"s": "on"}}}})).await;
    broker.send(json!({"type": "list", "request": 1})).await;
    let list = home.command().await;
    assert_eq!(list["type"], "get_states");
    home.result(
        &list,
        json!([{"entity_id": "light.lamp", "state": "on", "attributes": {"friendly_name": "Lamp"}}]),
    )
    .await;
    let listing = json!({"type": "listing", "request": 1, "more": false,
        "entities": [{"entity_id": "light.lamp", "name": "Lamp", "area": "Kitchen", "floor": "Ground floor"}]});
    assert_eq!(broker.next().await, listing);
}

#[tokio::test]
async fn a_control_is_checked_at_home_and_confirmed_by_the_new_state() {
    let mut world = world().await;
    let (mut broker, mut home) = world.settled().await;
    let control = |request: u64, id: &str, action: &str| json!({"type": "control", "request": request, "entity_id": id, "action": action});
    let refused = |request: u64, reason: &str| json!({"type": "controlled", "request": request, "outcome": {"is": "refused", "reason": reason}});
    let confirmed = |request: u64, state: &str, at: i64| json!({"type": "controlled", "request": request, "outcome": {"is": "confirmed", "state": shown(state, at)}});

    broker.send(control(1, "light.lamp", "toggle")).await;
    assert_eq!(broker.next().await, refused(1, "not_shared"));
    broker.send(watch(false, &["light.lamp"])).await;
    broker.send(control(2, "light.lamp", "toggle")).await;
    assert_eq!(broker.next().await, refused(2, "not_shared"));

    let overtaken = home.command().await;

    broker.send(watch(true, &["light.lamp", "lock.front", "cover.gate", "fan.gone", "fan.away"])).await;
    // Comes before the states are known, and waits for them.
    broker.send(control(3, "light.lamp", "toggle")).await;
    // The subscription before was overtaken before it told anything.
    let end = home.command().await;
    assert_eq!((&end["type"], &end["subscription"]), (&json!("unsubscribe_events"), &overtaken["id"]));
    let states =
        json!({"light.lamp": lamp("off"), "lock.front": lamp("locked"), "fan.away": lamp("unavailable")});
    let events = home.subscribed(states).await;
    let mut words = Vec::new();
    let call = loop {
        tokio::select! {
            word = broker.next() => words.push(word),
            command = home.command() => if command["type"] == "call_service" { break command },
        }
    };
    let exactly = json!({"id": call["id"], "type": "call_service", "domain": "light", "service": "toggle", "target": {"entity_id": ["light.lamp"]}});
    assert_eq!(call, exactly);
    // The event first, the result after it, as Home Assistant may.
    home.event(&events, change("on", "ctx")).await;
    home.result(&call, json!({"context": {"id": "ctx", "parent_id": null, "user_id": null}})).await;
    while broker.next().await != confirmed(3, "on", 2000) {}

    // On when on: a result and no event.
    broker.send(control(4, "light.lamp", "turn_on")).await;
    let call = home.command().await;
    home.result(&call, json!({"context": {"id": "ctx2"}})).await;
    assert_eq!(broker.next().await, confirmed(4, "on", 2000));

    // The result first; an unrelated change in between does not count.
    broker.send(control(5, "light.lamp", "turn_off")).await;
    let call = home.command().await;
    home.result(&call, json!({"context": {"id": "ctx3"}})).await;
    home.event(&events, json!({"c": {"light.lamp": {"+": {"a": {"icon": "mdi:lamp"}}}}})).await;
    assert_eq!(broker.next().await["type"], "states");
    home.event(
        &events,
        json!({"c": {"light.lamp": {"+": {"s": "off", "lc": 4.0, "c": "ctx3", "a": {"icon": null}}}}}),
    )
    .await;
    let mut last = [broker.next().await, broker.next().await];
    last.sort_by_key(|word| word["type"].to_string());
    assert_eq!(last[0], confirmed(5, "off", 4000));

    // Home Assistant refuses.
    broker.send(control(6, "light.lamp", "turn_on")).await;
    let call = home.command().await;
    let error = json!({"code": "home_assistant_error", "message": "Unauthorized"});
    home.socket.send(json!([{"id": call["id"], "type": "result", "success": false, "error": error}])).await;
    assert_eq!(broker.next().await, refused(6, "failed"));

    for (request, id, reason) in [
        (11, "lock.front", "policy"),
        (7, "cover.gate", "not_controllable"),
        (8, "fan.gone", "no_such_entity"),
        (9, "fan.away", "unavailable"),
    ] {
        broker.send(control(request, id, "turn_on")).await;
        assert_eq!(broker.next().await, refused(request, reason));
    }
    // Words we do not know end nothing.
    broker.send(json!({"type": "dance"})).await;
    broker.send(json!({"type": "control", "request": "x"})).await;
    // Home Assistant goes away.
    drop(home);
    while broker.next().await["state"] != "unreachable" {}
    broker.send(control(10, "light.lamp", "turn_on")).await;
    assert_eq!(broker.next().await, refused(10, "offline"));
}

#[tokio::test]
async fn a_lapsed_token_is_renewed_and_a_withdrawn_consent_ends_it() {
    let mut world = world().await;
    world.broker.socket().await.close(4401).await;
    let second = world.broker.socket().await;
    assert_eq!(world.broker.seen(PATH)[1].authorization, "Bearer a1");
    second.close(4401).await;
    assert_eq!(world.relay.await.unwrap(), Err(Over::MustPair));
}

#[tokio::test]
async fn a_deleted_home_ends_it() {
    let mut world = world().await;
    world.broker.socket().await.close(4410).await;
    assert_eq!(world.relay.await.unwrap(), Err(Over::HomeGone));
}

#[tokio::test]
async fn a_new_connection_starts_with_nothing_watched() {
    let mut world = world().await;
    let (mut broker, mut home) = world.settled().await;
    broker.send(watch(true, &["light.lamp"])).await;
    let first = home.subscribed(json!({"light.lamp": lamp("off")})).await;
    assert_eq!(broker.next().await["type"], "states");
    broker.close(1012).await;
    let end = home.command().await;
    assert_eq!((&end["type"], &end["subscription"]), (&json!("unsubscribe_events"), &first["id"]));
    let mut broker = world.broker.socket().await;
    home.event(&first, change("on", "c1")).await;
    broker
        .send(json!({"type": "control", "request": 1, "entity_id": "light.lamp", "action": "turn_on"}))
        .await;
    for kind in ["hello", "tunnel", "home_assistant", "policy"] {
        assert_eq!(broker.next().await["type"], kind);
    }
    assert_eq!(broker.next().await["outcome"]["reason"], "not_shared");
}
