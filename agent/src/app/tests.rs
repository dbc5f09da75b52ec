//! The whole agent without a network, and the commands one after the other.

use serde_json::{Value, json};
use shared::oauth::path;
use shared::relay::HomeAssistantState;
use tokio::time::timeout;

use super::*;
use crate::config::Keeping;
use crate::config::cloudflared::Cloudflared;
use crate::fakes::{self, Server};
use crate::memory::Pairing;

fn settings(dir: &tempfile::TempDir, broker: Option<&Server>) -> Settings {
    Settings {
        broker: broker.map(|broker| broker.url.clone()),
        // Nothing listens on port 1.
        home_assistant: "http://127.0.0.1:1".parse().unwrap(),
        home_assistant_token: Some("t".to_owned().into()),
        data_dir: dir.path().to_owned(),
        memory: Keeping::File,
        ca_file: None,
        cloudflared: Cloudflared::default(),
        policy: dir.path().join("policy.toml"),
    }
}

async fn broker() -> Server {
    let origin = Arc::new(std::sync::OnceLock::<url::Url>::new());
    let known = Arc::clone(&origin);
    let server = fakes::serve(move |seen| {
        let at = |path: &str| known.wait().join(path).unwrap();
        let answer = match seen.path.as_str() {
            path::METADATA => json!({"issuer": at(""), "authorization_endpoint": at(path::AUTHORIZE),
                "token_endpoint": at(path::TOKEN), "device_authorization_endpoint": at(path::DEVICE_AUTHORIZATION)}),
            path::DEVICE_AUTHORIZATION => json!({"device_code": "dc", "user_code": "BCDF-GHJK", "verification_uri": "u",
                "verification_uri_complete": "u?c", "expires_in": 900, "interval": 1}),
            path::TOKEN => json!({"access_token": "a1", "token_type": "Bearer", "expires_in": 3600,
                "refresh_token": "r1", "scope": "relay", "home_id": 7}),
            path::REVOKE => Value::Null,
            shared::relay::PATH => return (101, Value::Null),
            "/api/smarthome/homes/7" => json!({"home": {"id": 7, "name": "Home", "state": "active",
                "tunnel_status": "connected", "url": "https://home.example"}}),
            _ => return (404, Value::Null),
        };
        (200, answer)
    })
    .await;
    origin.set(server.url.clone()).unwrap();
    server
}

async fn until(agent: &Agent, what: &str, is: impl Fn(&Status) -> bool) -> Status {
    let mut status = agent.status();
    let found = timeout(Duration::from_secs(5), status.wait_for(|status| is(status))).await;
    found.unwrap_or_else(|_| panic!("not seen: {what}")).unwrap().clone()
}

fn text(out: Vec<u8>) -> String {
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn it_starts_with_nothing_to_reach_and_stops_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let pairing = Pairing {
        broker: "http://127.0.0.1:1/".into(),
        home: 7.try_into().unwrap(),
        refresh_token: "r0".to_owned().into(),
        access: None,
        tunnel_token: None,
    };
    let memory = Memory::open(dir.path(), Keeping::File).await.unwrap();
    memory.change(|all| all.pairing = Some(pairing)).await.unwrap();
    let agent = Agent::start(settings(&dir, None)).await.unwrap();
    let refused = |reason: &Option<String>| reason.as_ref().is_some_and(|reason| reason.contains("refused"));
    until(&agent, "both refuse", |s| refused(&s.broker_reason) && refused(&s.home_assistant_reason)).await;
    assert_eq!(exit_code(&Agent::start(settings(&dir, None)).await.unwrap_err()), 5);
    timeout(Duration::from_secs(2), agent.stop()).await.unwrap().unwrap();
}

#[tokio::test]
async fn pair_run_status_and_logout() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = broker().await;
    let with = settings(&dir, Some(&broker));
    let mut out = Vec::new();
    assert_eq!(exit_code(&Agent::start(with.clone()).await.unwrap_err()), 3);
    assert_eq!(exit_code(&status(&with, false, &mut out).await.unwrap_err()), 3);
    assert!(text(out).contains("not paired"));

    let mut out = Vec::new();
    pair(&with, How::Device, &mut out).await.unwrap();
    // The folder's random name may happen to hold the stand-in's short secrets.
    let out = text(out).replace(dir.path().to_str().unwrap(), "");
    assert!(
        out.contains("BCDF-GHJK") && out.contains("as home 7") && !out.contains("r1") && !out.contains("dc"),
        "{out}"
    );

    // From now on the broker is remembered, and another is refused.
    let elsewhere = Settings { broker: Some("https://b.example".parse().unwrap()), ..with.clone() };
    assert!(Agent::start(elsewhere).await.unwrap_err().to_string().contains("paired with"));
    let agent = Agent::start(settings(&dir, None)).await.unwrap();
    let mut socket = broker.socket().await;
    assert_eq!(socket.next().await["type"], "hello");
    socket.send(json!({"type": "welcome", "home": 7, "name": "Home"})).await;
    let seen = until(&agent, "the address", |status| status.url.is_some()).await;
    assert!(seen.broker_connected && seen.home_assistant == HomeAssistantState::Unreachable);
    let mut out = Vec::new();
    assert!(status(&with, true, &mut out).await.unwrap());
    let told: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&told["running"], &told["home_name"]), (&json!(true), &json!("Home")));
    agent.stop().await.unwrap();

    let mut out = Vec::new();
    assert!(!status(&with, false, &mut out).await.unwrap());
    let out = text(out);
    assert!(out.contains("not running") && out.contains("https://home.example"), "{out}");

    let mut out = Vec::new();
    logout(&with, &mut out).await.unwrap();
    assert_eq!(broker.seen(path::REVOKE)[0].form["token"], "r1");
    assert_eq!(exit_code(&logout(&with, &mut out).await.unwrap_err()), 3);
    assert!(!dir.path().join("memory.json").exists() && !dir.path().join("status.json").exists());
}

#[tokio::test]
async fn a_deleted_home_ends_the_agent_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = broker().await;
    let with = settings(&dir, Some(&broker));
    pair(&with, How::Device, &mut Vec::new()).await.unwrap();
    let agent = Agent::start(with).await.unwrap();
    broker.socket().await.close(shared::relay::close::GONE).await;
    timeout(Duration::from_secs(5), agent.ended()).await.unwrap();
    let err = agent.stop().await.unwrap_err();
    assert!(err.to_string().contains("deleted"));
    assert_eq!(exit_code(&err), 3);
    let mut out = Vec::new();
    assert!(!status(&settings(&dir, None), false, &mut out).await.unwrap());
    assert!(text(out).contains("not connected: the home was deleted"));
}

#[tokio::test]
async fn a_broker_that_is_away_has_an_exit_code_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut nobody = settings(&dir, None);
    nobody.broker = Some("http://127.0.0.1:1".parse().unwrap());
    assert_eq!(exit_code(&pair(&nobody, How::Device, &mut Vec::new()).await.unwrap_err()), 4);
}
