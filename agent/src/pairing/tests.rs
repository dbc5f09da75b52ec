//! Both flows against a stand-in provider.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use shared::oauth::{DEVICE_GRANT, Scopes};

use super::*;
use crate::fakes::{self, Seen, Server};

/// A provider whose token endpoint answers as told.
async fn provider(answer: impl Fn(usize) -> (u16, Value) + Send + Sync + 'static) -> (Server, Provider) {
    let origin = std::sync::Arc::new(std::sync::OnceLock::<Url>::new());
    let (count, known) = (AtomicUsize::new(0), std::sync::Arc::clone(&origin));
    let server = fakes::serve(move |seen: &Seen| {
        let at = |path: &str| known.wait().join(path).unwrap();
        match seen.path.as_str() {
            path::METADATA => (
                200,
                json!({"issuer": at("").as_str().trim_end_matches('/'), "authorization_endpoint": at(path::AUTHORIZE),
                    "token_endpoint": at(path::TOKEN), "device_authorization_endpoint": at(path::DEVICE_AUTHORIZATION),
                    "authorization_response_iss_parameter_supported": true}),
            ),
            path::DEVICE_AUTHORIZATION => (
                200,
                json!({"device_code": "dc", "user_code": "BCDF-GHJK", "verification_uri": at(path::DEVICE),
                    "verification_uri_complete": at("/device?user_code=BCDF-GHJK"), "expires_in": 900, "interval": 0}),
            ),
            path::TOKEN => answer(count.fetch_add(1, Ordering::SeqCst)),
            _ => (404, Value::Null),
        }
    })
    .await;
    origin.set(server.url.clone()).unwrap();
    let provider = Provider::find(&server.url, &net::trust(None).unwrap()).await.unwrap();
    (server, provider)
}

fn tokens() -> (u16, Value) {
    let answer = json!({"access_token": "a1", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "r1",
        "scope": "relay", "home_id": 7});
    (200, answer)
}

#[tokio::test]
async fn a_code_is_shown_and_the_owner_waited_for() {
    let (server, provider) = provider(|n| match n {
        0 => (400, json!({"error": "authorization_pending"})),
        1 => (502, json!("a proxy's page")),
        _ => tokens(),
    })
    .await;
    let waiting = device::begin(&provider).await.unwrap();
    let words = waiting.words();
    assert!(words.contains("BCDF-GHJK") && words.contains("/device\n") && words.contains('█'), "{words}");
    let pairing = waiting.finish().await.unwrap();
    assert!(pairing.refresh_token.same_as("r1") && pairing.home.number() == 7);
    assert_eq!(pairing.broker, server.url.as_str());
    let asked = &server.seen(path::DEVICE_AUTHORIZATION)[0].form;
    assert_eq!(
        (asked["client_id"].as_str(), asked["scope"].as_str()),
        ("latchkey-agent", Scopes::agent().to_string().as_str())
    );
    let polls = server.seen(path::TOKEN);
    assert_eq!(polls.len(), 3);
    assert!(
        polls.iter().all(|poll| poll.form["grant_type"] == DEVICE_GRANT && poll.form["device_code"] == "dc")
    );
}

#[tokio::test]
async fn the_end_of_a_code_is_told_in_clear_words() {
    for (answer, words) in [
        (json!({"error": "access_denied"}), "denied"),
        (json!({"error": "expired_token"}), "start again"),
        (json!({"error": "invalid_client", "error_description": "who?"}), "invalid_client (who?)"),
    ] {
        let (_server, provider) = provider(move |_| (400, answer.clone())).await;
        let err = device::begin(&provider).await.unwrap().finish().await.unwrap_err();
        assert!(format!("{err:#}").contains(words), "{err:#}");
    }
}

#[tokio::test]
async fn tokens_for_no_home_are_no_pairing() {
    let (_server, provider) = provider(|_| {
        (200, json!({"access_token": "a", "token_type": "Bearer", "expires_in": 1, "refresh_token": "r", "scope": "relay"}))
    })
    .await;
    let err = device::begin(&provider).await.unwrap().finish().await.unwrap_err();
    assert!(matches!(err.downcast_ref(), Some(NotPaired::NoHome)));
}

#[tokio::test]
async fn a_provider_that_calls_itself_something_else_is_refused() {
    let (server, _) = provider(|_| tokens()).await;
    let mut other = server.url.clone();
    other.set_host(Some("broker.localhost")).unwrap();
    let err = Provider::find(&other, &net::trust(None).unwrap()).await.unwrap_err();
    assert!(err.to_string().contains("calls itself"), "{err:#}");
}

#[tokio::test]
async fn a_browser_comes_back_with_a_code() {
    let (server, provider) = provider(|_| tokens()).await;
    let waiting = browser::begin(&provider).await.unwrap();
    let query: std::collections::HashMap<_, _> = waiting.address().query_pairs().into_owned().collect();
    let back = |more: &str| format!("{}?{more}", query["redirect_uri"]);
    let state = &query["state"];
    let iss = server.url.as_str().trim_end_matches('/');
    let http = net::http_client(&server.url, &net::trust(None).unwrap()).unwrap();
    let visits = async {
        for (visit, status) in [
            (back("code=c1&state=guessed"), 404),
            (query["redirect_uri"].replace("callback", "favicon.ico"), 404),
            (back(&format!("code=c1&state={state}&state={state}")), 404),
            (back(&format!("code=c1&state={state}&iss={iss}")), 200),
        ] {
            assert_eq!(http.get(&visit).send().await.unwrap().status(), status, "{visit}");
        }
    };
    let (pairing, ()) = tokio::join!(waiting.finish(), visits);
    assert!(pairing.unwrap().refresh_token.same_as("r1"));
    let form = &server.seen(path::TOKEN)[0].form;
    assert_eq!((form["code"].as_str(), &form["redirect_uri"]), ("c1", &query["redirect_uri"]));
    let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, form["code_verifier"].as_bytes()));
    assert_eq!(
        (query["code_challenge"].as_str(), query["code_challenge_method"].as_str()),
        (challenge.as_str(), "S256")
    );
}

#[tokio::test]
async fn an_answer_of_another_provider_is_refused() {
    for (more, words) in [
        ("code=c1", "another provider"),
        ("code=c1&iss=https://evil.example", "another provider"),
        ("error=access_denied&iss=OURS", "denied"),
        ("iss=OURS", "no code"),
    ] {
        let (server, provider) = provider(|_| tokens()).await;
        let waiting = browser::begin(&provider).await.unwrap();
        let query: std::collections::HashMap<_, _> = waiting.address().query_pairs().into_owned().collect();
        let more = more.replace("OURS", server.url.as_str().trim_end_matches('/'));
        let visit = format!("{}?{more}&state={}", query["redirect_uri"], query["state"]);
        let http = net::http_client(&server.url, &net::trust(None).unwrap()).unwrap();
        let (pairing, _) = tokio::join!(waiting.finish(), http.get(visit).send());
        let err = pairing.unwrap_err();
        assert!(err.to_string().contains(words), "{err:#}");
        assert!(server.seen(path::TOKEN).is_empty());
    }
}
