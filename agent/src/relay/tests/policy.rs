//! The home's own policy on the line: what it withholds, while the broker asks for everything.

use std::fs;

use super::*;

/// Writes the policy and waits until the broker was told of it.
async fn decree(world: &World, broker: &mut Socket, policy: &str) -> Value {
    fs::write(world.dir.path().join("policy.toml"), policy).unwrap();
    loop {
        let word = broker.next().await;
        if word["type"] == "policy" {
            return word["stopped"].clone();
        }
    }
}

#[tokio::test]
async fn what_the_policy_keeps_at_home_is_neither_asked_for_nor_told() {
    let mut world = world().await;
    let (mut broker, mut home) = world.settled().await;
    broker.send(watch(true, &["light.lamp", "lock.front"])).await;
    assert_eq!(broker.next().await, json!({"type": "gone", "entity_ids": ["lock.front"]}));
    let first = home.subscribed(json!({"light.lamp": lamp("off"), "lock.front": lamp("locked")})).await;
    assert_eq!(first["entity_ids"], json!(["light.lamp"]));
    assert_eq!(broker.next().await, json!({"type": "states", "states": [shown("off", 1000)]}));

    // A yes of the home, and a no.
    assert_eq!(decree(&world, &mut broker, "allow = ['lock.front']\ndeny = ['light.*']").await, json!(false));
    assert_eq!(broker.next().await, json!({"type": "gone", "entity_ids": ["light.lamp"]}));
    let second = home.subscribed(json!({"lock.front": lamp("locked")})).await;
    assert_eq!(second["entity_ids"], json!(["lock.front"]));
    assert_eq!(broker.next().await["states"][0]["entity_id"], "lock.front");
    // The subscription before is ended, and what it still says goes nowhere.
    assert_eq!(home.command().await["type"], "unsubscribe_events");
    home.event(&first, change("on", "c1")).await;
    home.event(&second, json!({"c": {"lock.front": {"+": {"s": "unlocked"}}}})).await;
    assert_eq!(broker.next().await["states"][0]["state"], "unlocked");
}

#[tokio::test]
async fn a_list_names_only_what_may_leave_the_house() {
    let mut world = world().await;
    let (mut broker, mut home) = world.settled().await;
    decree(&world, &mut broker, "view_only = ['fan.attic']\ndeny = ['sensor.*']").await;
    broker.send(json!({"type": "list", "request": 1})).await;
    let list = home.command().await;
    let all = ["fan.attic", "light.lamp", "lock.front", "person.ada", "sensor.bed"];
    let states: Vec<_> =
        all.iter().map(|id| json!({"entity_id": id, "state": "x", "attributes": {}})).collect();
    home.result(&list, json!(states)).await;
    let listing = broker.next().await;
    let names: Vec<_> = listing["entities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["entity_id"], &one["view_only"]))
        .collect();
    assert_eq!(names, [(&json!("fan.attic"), &json!(true)), (&json!("light.lamp"), &Value::Null)]);
    assert_eq!(listing["withheld"], 3);

    // What may only be seen is not switched, whatever the broker lets its guests do.
    broker.send(watch(true, &["fan.attic"])).await;
    home.subscribed(json!({"fan.attic": lamp("off")})).await;
    assert_eq!(broker.next().await["type"], "states");
    broker
        .send(json!({"type": "control", "request": 2, "entity_id": "fan.attic", "action": "turn_on"}))
        .await;
    assert_eq!(broker.next().await["outcome"]["reason"], "policy");
}

#[tokio::test]
async fn when_sharing_is_stopped_nothing_goes_up_until_the_home_lets_it() {
    let mut world = world().await;
    let (mut broker, mut home) = world.settled().await;
    broker.send(watch(true, &["light.lamp"])).await;
    let first = home.subscribed(json!({"light.lamp": lamp("off")})).await;
    assert_eq!(broker.next().await["type"], "states");

    assert_eq!(decree(&world, &mut broker, "stop_all_sharing = true").await, json!(true));
    assert_eq!(broker.next().await, json!({"type": "gone", "entity_ids": ["light.lamp"]}));
    assert_eq!(home.command().await["type"], "unsubscribe_events");
    home.event(&first, change("on", "c1")).await;
    // The broker may insist as it likes.
    broker.send(watch(true, &["light.lamp"])).await;
    assert_eq!(broker.next().await["type"], "gone");
    broker
        .send(json!({"type": "control", "request": 1, "entity_id": "light.lamp", "action": "toggle"}))
        .await;
    assert_eq!(broker.next().await["outcome"]["reason"], "policy");
    broker.send(json!({"type": "list", "request": 2})).await;
    let list = home.command().await;
    assert_eq!(list["type"], "get_states", "no control came through");
    home.result(&list, json!([{"entity_id": "light.lamp", "state": "on", "attributes": {}}])).await;
    let nothing = json!({"type": "listing", "request": 2, "entities": [], "more": false, "withheld": 1});
    assert_eq!(broker.next().await, nothing);

    assert_eq!(decree(&world, &mut broker, "").await, json!(false));
    home.subscribed(json!({"light.lamp": lamp("on")})).await;
    assert_eq!(broker.next().await["states"][0]["state"], "on");
}

/// A broker turned evil says whatever it likes. All that reaches Home Assistant is what it would have been asked
/// anyway: one subscription to what is allowed, and one list.
#[tokio::test]
async fn a_broker_that_says_anything_learns_and_switches_nothing_more() {
    let mut world = world().await;
    let (mut broker, mut home) = world.settled().await;
    let ids: Vec<_> = (0..5000).map(|number| format!("lock.n{number}")).collect();
    let locks: Vec<_> = ids.iter().map(String::as_str).collect();
    let mut all = vec!["light.lamp", "person.ada"];
    all.extend(&locks);
    broker.send(watch(true, &all)).await;
    let events = home.subscribed(json!({"light.lamp": lamp("off"), "person.ada": lamp("home")})).await;
    assert_eq!(events["entity_ids"], json!(["light.lamp"]));

    for odd in [
        json!({"type": "watch"}),
        json!({"type": "watch", "entities": [{"entity_id": "all", "control": true}]}),
        json!({"type": "watch", "entities": [{"entity_id": "*", "control": true}]}),
        json!({"type": "watch", "entities": [{"entity_id": ["light.lamp", "lock.n1"]}]}),
        json!({"type": "control", "request": 1, "entity_id": "light.lamp", "action": "unlock"}),
        json!({"type": "control", "request": -1, "entity_id": "light.lamp", "action": "toggle"}),
        json!({"type": "control", "request": 1, "entity_id": "light.lamp, lock.n1", "action": "toggle"}),
        json!({"type": "policy", "stopped": false, "allow": ["*"]}),
        json!({"type": "call_service", "domain": "lock", "service": "unlock"}),
        json!([[[[[[[[[[[[]]]]]]]]]]]]),
        json!(null),
        json!("x".repeat(900_000)),
    ] {
        broker.send(odd).await;
    }
    let asked = 3000;
    for request in 0..asked {
        let entity = &locks[request as usize % locks.len()];
        broker
            .send(json!({"type": "control", "request": request, "entity_id": entity, "action": "turn_on"}))
            .await;
    }
    let mut refused = 0;
    while refused < asked {
        let word = broker.next().await;
        match word["type"].as_str() {
            Some("controlled") => {
                assert_eq!(word["outcome"]["reason"], "policy", "{word}");
                refused += 1;
            }
            Some("states") => assert_eq!(word["states"][0]["entity_id"], "light.lamp", "{word}"),
            Some("gone") => {}
            other => panic!("{other:?}: {word}"),
        }
    }
    // More lists than are ever answered at once: the rest comes back empty at once.
    for request in 0..1000 {
        broker.send(json!({"type": "list", "request": request})).await;
    }
    let mut listings = 0;
    let mut lists = 0;
    while listings < 1000 - 64 {
        tokio::select! {
            word = broker.next() => {
                assert_eq!((&word["type"], &word["entities"]), (&json!("listing"), &json!([])));
                listings += 1;
            }
            command = home.command() => {
                assert_eq!(command["type"], "get_states", "{command}");
                lists += 1;
            }
        }
    }
    assert!(lists <= 64, "{lists} lists at once");

    // And an oversized frame ends the connection, not the agent.
    broker.send(json!({"type": "x", "more": "y".repeat(2 << 20)})).await;
    let mut again = world.broker.socket().await;
    assert_eq!(again.next().await["type"], "hello");
    assert_eq!(home.command().await["type"], "unsubscribe_events");
}
