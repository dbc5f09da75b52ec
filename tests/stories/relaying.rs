//! Relaying: what changes in the home reaches those it is shared with, at once; and nobody else, ever.

use std::time::{Duration, Instant};

use kit::guest::Guest;
use kit::home_assistant::{Client, Mood};
use kit::owner::May;
use kit::tap::Tap;
use kit::until::{PATIENCE, until};
use kit::world::World;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::timeout;

/// What we promise, from the switch in Home Assistant to the guest's socket, of 99 changes in a hundred.
const PROMISE: Duration = Duration::from_millis(500);
const CHANGES: usize = 500;
/// Stands in every state of the entity that nobody shares.
const SECRET: &str = "seven_green_bottles";

kit::stories! {
    async fn a_change_reaches_the_guest_at_once(mut world: World) {
        let porch = world.device("light", "Porch", Mood::Willing).await;
        world.pair_agent().await;
        let guest = Guest::open(&world.share(&porch, May::View).await).await.unwrap();
        let mut live = guest.live().await.unwrap();
        timeout(PATIENCE, live.until_state("off")).await.expect("how it stands").unwrap();
        let mut home = world.home().await.socket().await.unwrap();
        let mut took = Vec::with_capacity(CHANGES);
        for change in 0..CHANGES {
            let (service, state) = if change % 2 == 0 { ("turn_on", "on") } else { ("turn_off", "off") };
            let call = json!({"domain": "light", "service": service, "target": {"entity_id": porch}});
            let began = Instant::now();
            let seen = async {
                live.until_state(state).await.unwrap();
                began.elapsed()
            };
            let both = async { tokio::join!(home.call("call_service", call), seen) };
            let (switched, seen) = timeout(PATIENCE, both).await.expect("the guest sees the change");
            switched.unwrap();
            took.push(seen);
        }
        took.sort_unstable();
        let (median, p99) = (took[CHANGES / 2], took[CHANGES * 99 / 100]);
        println!("from switch to guest, {CHANGES} changes: median {median:.1?}, p99 {p99:.1?}, most {:.1?}", took[CHANGES - 1]);
        assert!(p99 < PROMISE, "p99 {p99:?}");
        world.end().await;
    }

    async fn a_guest_switches_the_real_thing(mut world: World) {
        let porch = world.device("light", "Porch", Mood::Willing).await;
        let gate = world.device("switch", "Gate", Mood::Slow).await;
        let fan = world.device("fan", "Fan", Mood::Refuses).await;
        world.pair_agent().await;
        let home = world.home().await;
        let guest = Guest::open(&world.share(&porch, May::Control).await).await.unwrap();
        let mut live = guest.live().await.unwrap();
        for (action, state) in [("turn_on", "on"), ("turn_on", "on"), ("toggle", "off"), ("toggle", "on"), ("turn_off", "off")] {
            let (status, answer) = guest.control(action).await.unwrap();
            assert_eq!((status, answer["entity"]["state"].as_str()), (StatusCode::OK, Some(state)), "{action}: {answer}");
            assert_eq!(answer["entity"]["entity_id"], porch);
            assert_eq!(home.state(&porch).await.unwrap().unwrap().state, state, "after {action}");
            timeout(PATIENCE, live.until_state(state)).await.expect("the socket says so too").unwrap();
            assert_eq!(guest.state().await.unwrap().1["entity"]["state"], state);
            if action == "turn_on" {
                // Said once more, the state is no news; the socket is opened anew to hear it.
                live = guest.live().await.unwrap();
            }
        }

        let (status, answer) = Guest::open(&world.share(&gate, May::Control).await).await.unwrap().control("toggle").await.unwrap();
        assert_eq!((status, &answer["entity"]["state"]), (StatusCode::OK, &json!("on")), "the new state, not the old: {answer}");
        let (status, answer) = Guest::open(&world.share(&fan, May::Control).await).await.unwrap().control("turn_on").await.unwrap();
        assert_eq!((status, &answer["error"]), (StatusCode::CONFLICT, &json!("refused")), "{answer}");
        assert_eq!(home.state(&fan).await.unwrap().unwrap().state, "off");
        world.end().await;
    }

    async fn nothing_unshared_leaves_the_house(mut world: World) {
        world.be_tapped().await;
        let porch = world.device("light", "Porch", Mood::Willing).await;
        let cellar = porch.replace("light.porch", "sensor.cellar");
        let home = world.home().await;
        change(&home, &cellar, 0).await;
        world.pair_agent().await;

        // Nothing at all is shared: to Home Assistant an empty list would mean everything.
        world.tap().forget();
        for number in 0..100 {
            change(&home, &cellar, number).await;
            switch(&home, &porch, number).await;
        }
        catch_up(&world).await;
        assert_no_states(world.tap(), &[&porch, &cellar]);

        // One thing is.
        let guest = Guest::open(&world.share(&porch, May::Control).await).await.unwrap();
        let mut live = guest.live().await.unwrap();
        world.tap().forget();
        for number in 0..100 {
            change(&home, &cellar, number).await;
            if number % 20 == 0 {
                let state = switch(&home, &porch, number / 20).await;
                timeout(PATIENCE, live.until_state(state)).await.expect("the guest sees the porch").unwrap();
            }
        }
        let tap = world.tap();
        assert!(!tap.left(&cellar) && !tap.left(SECRET), "{:#?}", tap.up());
        let sent = tap.up().iter().filter(|frame| frame.contains(&porch)).count();
        assert!(sent >= 5, "the tap hears what is shared: {:#?}", tap.up());
        let watched = tap.down().iter().any(|frame| frame.contains(&cellar));
        assert!(!watched, "the broker did not even ask: {:#?}", tap.down());

        // And then no longer.
        world.revoke(&porch).await;
        assert_eq!(timeout(PATIENCE, live.until_closed()).await.expect("the end"), Some(shared::relay::close::REVOKED));
        catch_up(&world).await;
        world.tap().forget();
        for number in 0..20 {
            change(&home, &cellar, number).await;
            switch(&home, &porch, number).await;
        }
        catch_up(&world).await;
        assert_no_states(world.tap(), &[&porch, &cellar]);
        world.end().await;
    }
}

async fn change(home: &Client, entity: &str, number: usize) {
    let attributes = json!({"friendly_name": "Cellar", "note": SECRET});
    home.set_state(entity, &format!("{SECRET}_{number}"), attributes).await.unwrap();
}

async fn switch(home: &Client, entity: &str, number: usize) -> &'static str {
    let (service, state) = if number.is_multiple_of(2) { ("turn_on", "on") } else { ("turn_off", "off") };
    home.call_service("light", service, json!({"entity_id": entity})).await.unwrap();
    state
}

/// Until the agent has answered an owner's question, and so has dealt with all that happened before.
async fn catch_up(world: &World) {
    let asked = listings(world.tap()).len();
    world.owner().visitor.get(&format!("/homes/{}", world.home_id())).await.unwrap().well().unwrap();
    until("the agent's list", || async { listings(world.tap()).len() > asked }).await;
}

fn listings(tap: &Tap) -> Vec<Value> {
    let frames = tap.up().into_iter().filter_map(|frame| serde_json::from_str::<Value>(&frame).ok());
    frames.filter(|frame| frame["type"] == "listing").collect()
}

/// The owner's list tells the names of everything, and no state; nothing else tells even a name.
fn assert_no_states(tap: &Tap, unshared: &[&str]) {
    assert!(!tap.left(SECRET), "{:#?}", tap.up());
    for listed in listings(tap).iter().flat_map(|listing| listing["entities"].as_array().unwrap()) {
        let told: Vec<_> = listed.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(told.iter().all(|key| ["area", "entity_id", "floor", "name"].contains(key)), "{listed}");
    }
    for frame in tap.up().iter().filter(|frame| !frame.contains(r#""type":"listing""#)) {
        assert!(!unshared.iter().any(|entity| frame.contains(entity)), "{frame}");
    }
}
