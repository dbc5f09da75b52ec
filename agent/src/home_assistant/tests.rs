//! The connection itself, against a stand-in Home Assistant.

use serde_json::{Value, json};

use super::*;
use crate::fakes::{self, Server};
use crate::net;

async fn house() -> Server {
    fakes::serve(
        |seen| if seen.path == "/core/api/websocket" { (101, Value::Null) } else { (404, Value::Null) },
    )
    .await
}

fn start(house: &Server, token: Option<&str>) -> (HomeAssistant, tokio_util::sync::DropGuard) {
    let tls = net::trust(None).unwrap();
    let address = house.url.join("/core").unwrap();
    let token = token.map(|token| token.to_owned().into());
    let (home_assistant, connection) = open(Door { address, token, tls });
    let stop = CancellationToken::new();
    tokio::spawn(connection.keep(stop.clone()));
    (home_assistant, stop.drop_guard())
}

async fn until(home_assistant: &HomeAssistant, state: HomeAssistantState) -> Health {
    let mut health = home_assistant.health();
    let found = timeout(Duration::from_secs(5), health.wait_for(|health| health.state == state)).await;
    found.unwrap_or_else(|_| panic!("never {state:?}")).unwrap().clone()
}

#[tokio::test]
async fn a_refused_token_is_told_apart_from_every_other_end() {
    let mut house = house().await;
    let (home_assistant, _stop) = start(&house, Some("wrong"));
    let mut first = house.socket().await;
    first.send(json!({"type": "auth_required", "ha_version": "2026.2.3"})).await;
    assert_eq!(first.next().await["access_token"], "wrong");
    first.close(1000).await;
    until(&home_assistant, HomeAssistantState::Unreachable).await;
    let mut second = house.socket().await;
    second.send(json!({"type": "auth_invalid", "message": "whatever it says"})).await;
    let health = until(&home_assistant, HomeAssistantState::Refused).await;
    assert!(health.reason.unwrap().contains("refused"));
    let lamp: EntityId = "light.lamp".parse().unwrap();
    assert_eq!(
        home_assistant.control(lamp, Action::Toggle).await,
        Outcome::Refused { reason: Refusal::Offline }
    );
    assert_eq!(home_assistant.list().await, Err(Offline));
}

#[tokio::test]
async fn without_a_token_nobody_is_bothered() {
    let house = house().await;
    let (home_assistant, _stop) = start(&house, None);
    let health = until(&home_assistant, HomeAssistantState::Refused).await;
    assert!(health.reason.unwrap().contains("no token"));
    assert!(house.seen("/core/api/websocket").is_empty());
}

#[tokio::test]
async fn it_is_not_running_before_it_says_so() {
    let mut house = house().await;
    let (home_assistant, _stop) = start(&house, Some("let me in"));
    let mut home = house.socket().await.home_assistant().await;
    let mut starting = 0;
    while starting < 2 {
        let command = home.socket.next().await;
        let state =
            if command["type"] == "get_config" { json!({"state": "NOT_RUNNING"}) } else { Value::Null };
        starting += u32::from(state != Value::Null);
        // As one frame of several messages, as it may be.
        home.socket
            .send(json!([{"id": command["id"], "type": "result", "success": true, "result": state}]))
            .await;
    }
    assert_eq!(
        until(&home_assistant, HomeAssistantState::Starting).await.version.as_deref(),
        Some("2026.2.3")
    );
    tokio::select! {
        health = until(&home_assistant, HomeAssistantState::Running) => assert_eq!(health.reason, None),
        command = home.command() => panic!("nobody asked for {command}"),
    }
}

#[tokio::test]
async fn a_lamp_that_moves_is_told_of() {
    let mut house = house().await;
    let (home_assistant, _stop) = start(&house, Some("let me in"));
    let mut home = house.socket().await.home_assistant().await;
    home_assistant.watch(["light.lamp".parse().unwrap()].into());
    home.subscribed(json!({"light.lamp": {"s": "on", "lc": 1.0}})).await;
    home_assistant.news().arrived().await;
    let area =
        |news: Vec<(EntityId, Option<shared::entity::EntityState>)>| news[0].1.as_ref().unwrap().area.clone();
    assert_eq!(area(home_assistant.news().take()).as_deref(), Some("Kitchen"));
    home.area = "Attic";
    let registry = home.registry_events.clone();
    home.event(&registry, json!({"event_type": "area_registry_updated", "data": {"action": "update"}})).await;
    tokio::select! {
        () = home_assistant.news().arrived() => {}
        command = home.command() => panic!("nobody asked for {command}"),
    }
    assert_eq!(area(home_assistant.news().take()).as_deref(), Some("Attic"));
}
