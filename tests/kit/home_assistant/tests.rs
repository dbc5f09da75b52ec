//! The launcher and the client, against a real Home Assistant.

use reqwest::StatusCode;
use serde_json::json;

use super::*;

fn say(line: &str) {
    println!("{line}");
}

#[tokio::test]
async fn a_home_switches_its_devices_and_tells_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let home = HomeAssistant::for_stories(folder.path(), say).await.unwrap();
    let client = home.client();
    let entity = "light.kit_porch";
    client.make(entity, "Kit's porch", Mood::Willing).await.unwrap();
    let mut socket = client.socket().await.unwrap();
    socket.subscribe_entities(&[entity]).await.unwrap();
    let first = socket.event().await.unwrap();
    assert_eq!(first["event"]["a"][entity]["s"], "off", "{first}");
    client.call_service("light", "turn_on", json!({"entity_id": entity})).await.unwrap();
    let second = socket.event().await.unwrap();
    assert_eq!(second["event"]["c"][entity]["+"]["s"], "on", "{second}");

    let toggle = json!({"entity_id": ["fan.kit_stubborn", "switch.kit_deaf"]});
    client.make("fan.kit_stubborn", "Stubborn", Mood::Refuses).await.unwrap();
    client.make("switch.kit_deaf", "Deaf", Mood::Deaf).await.unwrap();
    assert!(client.call_service("fan", "toggle", toggle.clone()).await.is_err());
    client.call_service("switch", "toggle", toggle).await.unwrap();
    client.until_state("switch.kit_deaf", "off").await.unwrap();
    client.until_state("fan.kit_stubborn", "off").await.unwrap();

    client.set_state("sensor.made_up", "7", json!({"friendly_name": "Made up"})).await.unwrap();
    let made = client.state("sensor.made_up").await.unwrap().unwrap();
    assert_eq!((made.state.as_str(), made.attributes["friendly_name"].as_str()), ("7", Some("Made up")));
    assert!(client.state("sensor.never_made").await.unwrap().is_none());
}

/// What a tunnel needs, too: a request that names its visitor is answered, not refused with 400.
#[tokio::test]
async fn a_home_of_our_own_outlives_restarts_and_power_cuts() {
    let folder = tempfile::tempdir().unwrap();
    let installed = install(&default_cache(), say).await.unwrap();
    let mut home = HomeAssistant::start(&installed, folder.path()).await.unwrap();
    let client = home.client();
    let forwarded = crate::http_client().get(home.url()).header("x-forwarded-for", "203.0.113.7");
    assert_eq!(forwarded.send().await.unwrap().status(), StatusCode::OK);

    let mut socket = client.socket().await.unwrap();
    socket.subscribe_events("workshop_rested").await.unwrap();
    let beat = json!({"sensors": 3, "per_second": 500, "seconds": 0.2});
    client.call_service("workshop", "beat", beat).await.unwrap();
    let rested = socket.event().await.unwrap();
    assert_eq!(rested["event"]["data"]["written"], 100, "{rested}");

    home.restart().await.unwrap();
    assert!(client.state("light.bed_light").await.unwrap().is_some(), "after a restart");
    home.kill().unwrap();
    assert!(client.status("/api/").await.is_err(), "a killed home answers nobody");
    home.start_again().await.unwrap();
    assert!(client.state("light.bed_light").await.unwrap().is_some(), "after a power cut");
    home.stop().await.unwrap();
    drop(home);

    let home = HomeAssistant::start(&installed, folder.path()).await.unwrap();
    assert_eq!(
        client.status("/api/").await.unwrap(),
        StatusCode::OK,
        "same port and token in the same folder"
    );
    drop(home);
}

#[test]
fn a_home_keeps_its_port() {
    let folder = tempfile::tempdir().unwrap();
    let port = write_configuration(folder.path()).unwrap();
    assert_eq!(write_configuration(folder.path()).unwrap(), port);
    let text = fs::read_to_string(folder.path().join("configuration.yaml")).unwrap();
    assert!(text.contains("trusted_proxies") && !text.contains("PORT\n"), "{text}");
}
