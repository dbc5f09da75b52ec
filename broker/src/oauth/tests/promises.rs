//! What the texts demand and no flow shows by itself.

use std::collections::BTreeSet;

use super::*;
use crate::audit::Doer;
use crate::oauth::client::ClientKind;
use crate::oauth::client::registration::{HOME_ASSISTANT, Registration};
use crate::oauth::clients::Clients;

#[tokio::test]
async fn the_metadata_are_found_and_the_first_request_leads_to_a_page() {
    let provider = Provider::new().await;
    let said = provider.get(None, "/.well-known/oauth-authorization-server").await;
    assert_eq!((said.status, said.header("content-type")), (StatusCode::OK, "application/json"), "MD-01");
    let target = format!("{}?{}", path::AUTHORIZE, provider.request(&[]));
    assert!(provider.get(None, &target).await.header("location").starts_with("/sign-in?next="), "AZ-01");
    let ada = provider.person("owner").await;
    assert!(provider.get(Some(&ada), &target).await.text.contains("let this program in"), "AZ-01");
}

/// Registers a client of a person's workspace, of Home Assistant's kind; its secret.
async fn home_assistants(provider: &Provider, of: &Person, id: &str) -> Secret {
    let wanted = Registration {
        name: "Home Assistant".to_owned(),
        kind: ClientKind::HomeAssistant,
        workspace: Some(of.workspace),
        redirect_uris: vec![],
        grants: None,
        scopes: None,
        is_confidential: None,
        id: Some(id.to_owned()),
        by_operator: false,
    };
    let clients = Clients::new(provider.store.clone(), provider.clock.clone());
    clients.add(wanted, &Doer::default()).await.unwrap().secret.unwrap()
}

#[tokio::test]
async fn nobody_registers_a_client_by_protocol() {
    let provider = Provider::new().await;
    for target in ["/oauth2/register", "/oauth2/registration", "/register", "/connect/register"] {
        let said = provider.post(target, &[("redirect_uris", "https://evil.example/")]).await;
        assert_eq!(said.status, StatusCode::NOT_FOUND, "{target} (AZ-24)");
    }
    // So each address was vouched for, and only such an address is told an error before anybody signs in.
    let wrong = provider.request(&[("scope", Some("nonsense"))]);
    let said = provider.get(None, &format!("{}?{wrong}", path::AUTHORIZE)).await;
    assert!(said.header("location").starts_with(CALLBACK), "AZ-24: {said:?}");
    let evil =
        provider.request(&[("scope", Some("nonsense")), ("redirect_uri", Some("https://evil.example/"))]);
    let said = provider.get(None, &format!("{}?{evil}", path::AUTHORIZE)).await;
    assert_eq!((said.status, said.header("location")), (StatusCode::BAD_REQUEST, ""), "AZ-24, AZ-05");

    // A workspace's own client is told only once somebody has signed in: or its owner could send strangers
    // anywhere under our name.
    let ada = provider.person("owner").await;
    home_assistants(&provider, &ada, "shop").await;
    let wrong =
        [("client_id", Some("shop")), ("redirect_uri", Some(HOME_ASSISTANT)), ("scope", Some("nonsense"))];
    let target = format!("{}?{}", path::AUTHORIZE, provider.request(&wrong));
    let stranger = provider.get(None, &target).await;
    assert!(stranger.header("location").starts_with("/sign-in?next="), "AZ-24: {stranger:?}");
    let said = provider.get(Some(&ada), &target).await;
    assert!(said.header("location").starts_with(HOME_ASSISTANT), "AZ-09: {said:?}");
}

/// How many of the characters of some tokens differ from one to the next, in bits.
fn bits(tokens: &BTreeSet<String>) -> f64 {
    let columns = tokens.iter().map(String::len).min().unwrap();
    let letters = |column| tokens.iter().map(|token| token.as_bytes()[column]).collect::<BTreeSet<_>>().len();
    // A column of chance shows nearly all of its 62 letters in 1000 draws; the prefix shows one.
    (0..columns).map(|column| (letters(column) as f64).log2()).sum()
}

#[test]
fn what_is_drawn_cannot_be_guessed() {
    for (kind, ids) in [
        (Kind::Code, "AZ-16"),
        (Kind::Access, "TK-26"),
        (Kind::Refresh, "TK-26"),
        (Kind::Client, "TK-26, TK-28"),
        (Kind::Device, "DG-13"),
    ] {
        let drawn: BTreeSet<_> = (0..1000).map(|_| chance::token(kind).expose().to_owned()).collect();
        assert_eq!(drawn.len(), 1000, "{kind:?} ({ids})");
        assert!(bits(&drawn) > 250.0, "{kind:?}: {} bits ({ids})", bits(&drawn));
        assert!(drawn.iter().all(|token| chance::looks_like(kind, token)), "{kind:?} (TK-28)");
    }
}

#[tokio::test]
async fn a_refresh_token_rotates_and_is_its_clients_and_never_grows() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    provider.client("other", None).await;
    let old = provider.paired(&ada).await.field("refresh_token");
    let thief = [("grant_type", "refresh_token"), ("refresh_token", &*old), ("client_id", "other")];
    assert_eq!(provider.token(&thief).await.error(), (400, "invalid_grant".into()), "RT-09");
    let next = provider.refresh(&old).await;
    assert_eq!(next.status, StatusCode::OK, "RT-09: its owner is unaffected");
    assert_ne!(next.field("refresh_token"), old, "RT-02");
    // Registered for more since, the client gets no more than was consented to.
    provider
        .tell(format!(
            "UPDATE client SET scopes = scopes || ' shares:manage' WHERE client_id = '{AGENT_CLIENT_ID}'"
        ))
        .await;
    let refresh = next.field("refresh_token");
    let more = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*refresh),
        ("client_id", AGENT_CLIENT_ID),
        ("scope", "relay shares:manage"),
    ];
    assert_eq!(provider.token(&more).await.error(), (400, "invalid_scope".into()), "RT-11, RT-08");
    assert_eq!(provider.refresh(&refresh).await.field("scope"), Scopes::agent().to_string(), "RT-11");
}

#[tokio::test]
async fn the_device_grant_is_named_as_the_rfc_names_it() {
    let provider = Provider::new().await;
    let device = provider.device().await.field("device_code");
    for wrong in
        ["device_code", "urn:ietf:params:oauth:grant-type:device-code", &*DEVICE_GRANT.to_uppercase()]
    {
        let form = [("grant_type", wrong), ("device_code", &*device), ("client_id", AGENT_CLIENT_ID)];
        assert_eq!(
            provider.token(&form).await.error(),
            (400, "unsupported_grant_type".into()),
            "{wrong} (DG-21)"
        );
    }
    let form = [("grant_type", DEVICE_GRANT), ("device_code", &*device)];
    assert_eq!(provider.token(&form).await.error(), (401, "invalid_client".into()), "DG-21");
    assert_eq!(provider.poll(&device).await.error(), (400, "authorization_pending".into()), "DG-04");
}

#[tokio::test]
async fn home_assistants_client_works_without_pkce_and_its_code_is_safe_all_the_same() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let secret = home_assistants(&provider, &ada, "ha").await;
    let code = async |changes: &[(&str, Option<&str>)]| {
        let ours = [("client_id", Some("ha")), ("redirect_uri", Some(HOME_ASSISTANT))];
        let request = provider.request(&[&ours, changes].concat());
        let pairs: Vec<_> = url::form_urlencoded::parse(request.as_bytes()).into_owned().collect();
        let mut form: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        form.extend([("decision", "allow"), ("grant", "smarthome:read")]);
        provider.submit(&ada, path::AUTHORIZE, &form).await
    };
    let redeem = async |code: &str, verifier: Option<&str>| {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", HOME_ASSISTANT),
            ("client_id", "ha"),
            ("client_secret", secret.expose()),
        ];
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        provider.token(&form).await
    };
    let bare = [("code_challenge", None), ("code_challenge_method", None)];
    let plain = code(&bare).await.sent("code").unwrap();
    let tokens = redeem(&plain, None).await;
    assert_eq!(tokens.status, StatusCode::OK, "PK-11, RU-08: {tokens:?}");
    assert_eq!(tokens.json()["expires_in"], 3600, "TK-04");
    let dead = (400, "invalid_grant".to_owned());
    let downgraded = code(&bare).await.sent("code").unwrap();
    assert_eq!(redeem(&downgraded, Some(VERIFIER)).await.error(), dead, "PK-03");
    for (verifier, id) in
        [(None, "PK-02"), (Some("x".repeat(43)), "PK-02"), (Some(challenge(VERIFIER)), "PK-08")]
    {
        let announced = code(&[]).await.sent("code").unwrap();
        assert_eq!(redeem(&announced, verifier.as_deref()).await.error(), dead, "{id}");
    }
    let announced = code(&[]).await.sent("code").unwrap();
    assert_eq!(redeem(&announced, Some(VERIFIER)).await.status, StatusCode::OK, "PK-02");
    // Half an announcement is none, and a method without a challenge is a mistake.
    for half in [
        [("code_challenge", None)],
        [("code_challenge_method", None)],
        [("code_challenge_method", Some("plain"))],
    ] {
        assert_eq!(code(&half).await.sent("error").as_deref(), Some("invalid_request"), "{half:?} (PK-05)");
    }
    // Nobody else may leave it out.
    let page = provider.get(Some(&ada), &format!("{}?{}", path::AUTHORIZE, provider.request(&bare))).await;
    assert_eq!(page.sent("error").as_deref(), Some("invalid_request"), "PK-01, PK-11");
}

#[tokio::test]
async fn tokens_are_for_this_broker_and_no_other() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let tokens = provider.paired(&ada).await;
    let refresh = tokens.field("refresh_token");
    let form = |resource: &'static str| {
        [
            ("grant_type", "refresh_token"),
            ("client_id", AGENT_CLIENT_ID),
            ("refresh_token", &*refresh),
            ("resource", resource),
        ]
    };
    let foreign = provider.token(&form("https://other.example/")).await;
    assert_eq!(foreign.error(), (400, "invalid_target".into()), "TK-31");
    let asked = [("client_id", AGENT_CLIENT_ID), ("resource", "http://localhost:8420.evil/")];
    assert_eq!(
        provider.post(path::DEVICE_AUTHORIZATION, &asked).await.error(),
        (400, "invalid_target".into()),
        "TK-31"
    );
    let request = provider.request(&[("resource", Some("https://other.example/"))]);
    let said = provider.get(Some(&ada), &format!("{}?{request}", path::AUTHORIZE)).await;
    assert_eq!(said.sent("error").as_deref(), Some("invalid_target"), "TK-31");
    assert_eq!(provider.token(&form("http://localhost:8420/")).await.status, StatusCode::OK, "TK-31");
    for scheme in ["bearer", "Bearer", "BEARER"] {
        let mut asked = provider.asked(Method::GET, "/api/smarthome/workspaces", String::new());
        let value = format!("{scheme} {}", tokens.field("access_token"));
        asked.headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        assert!(provider.oauth.bearer(&asked, Scope::Relay).await.is_ok(), "{scheme} (BR-06)");
    }
    // A token of another service is none of ours, whatever it looks like (BR-07).
    for foreign in ["eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "lka_x", "ghp_0123456789"] {
        assert!(!provider.is_alive(foreign).await, "{foreign} (BR-07, BR-11)");
    }
    // Pushed requests and proofs of possession are not there: neither advertised nor answered.
    assert_eq!(provider.post("/oauth2/par", &form("")).await.status, StatusCode::NOT_FOUND, "BR-09");
    let metadata = provider.get(None, path::METADATA).await.text;
    assert!(!metadata.contains("pushed_authorization") && !metadata.contains("dpop"), "BR-09, BR-10");
}
