//! Offering: what the metadata say is there, what they do not say is not, and a token does what was consented to.

use kit::world::World;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use shared::oauth::{DEVICE_GRANT, path};

use super::paired;
use super::program::Program;

/// What nobody may find here (RFC 9126, RFC 7591, and the places other providers have for them).
const NOT_HERE: [&str; 5] =
    ["/oauth2/par", "/oauth2/register", "/par", "/register-client", "/.well-known/openid-configuration"];

async fn document(http: &Client, world: &World, host: &str) -> Value {
    let asked = http.get(format!("{}{}", world.origin(), path::METADATA)).header("host", host);
    let answer = asked.header("x-forwarded-host", "evil.example").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "MD-01");
    assert_eq!(answer.headers()["content-type"], "application/json", "MD-01");
    answer.json().await.unwrap()
}

kit::stories! {
    async fn what_is_not_offered_is_not_there(world: World) {
        let http = kit::http_client();
        let host = world.origin().replace("http://", "");
        let metadata = document(&http, &world, &host).await;
        assert_eq!(metadata["issuer"], world.origin(), "MD-13");
        let names: Vec<&String> = metadata.as_object().unwrap().keys().collect();
        let any = |words: &str| names.iter().any(|name| name.contains(words));
        assert!(!any("pushed") && !any("require_signed"), "BR-09: {names:?}");
        assert!(!any("dpop"), "BR-10: {names:?}");
        assert!(!any("jwks") && !any("signing_alg"), "BR-11: {names:?}");
        assert!(!any("registration"), "AZ-24: nobody writes an address into the broker by themselves: {names:?}");
        for (path, method) in NOT_HERE.iter().flat_map(|path| [(path, Method::GET), (path, Method::POST)]) {
            let answer = http.request(method, format!("{}{path}", world.origin())).form(&[("client_id", "x")]);
            let status = answer.send().await.unwrap().status();
            assert_eq!(status, StatusCode::NOT_FOUND, "BR-09, AZ-24: {path}");
        }
        // A request that only names a pushed one is none.
        let program = Program::of(&world);
        let pushed = format!("{}{}?client_id=latchkey-agent&request_uri=urn:ietf:params:oauth:request_uri:x", world.origin(), path::AUTHORIZE);
        let refused = world.stranger().get_once(&pushed).await.unwrap();
        assert!(!refused.header("location").is_some_and(|to| to.contains("code=")), "BR-09: {refused:?}");
        // A proof of possession binds nothing, and a token that is a JWT opens nothing.
        let token = paired(&program, world.owner()).await.text("access_token");
        assert_eq!(token.matches('.').count(), 0, "BR-11: {token}");
        let api = format!("{}/api/smarthome/workspaces", world.origin());
        let forged = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.eyJzdWIiOiIxIn0.";
        for (scheme, token) in [("DPoP", &*token), ("Bearer", forged)] {
            let status = http.get(&api).header("authorization", format!("{scheme} {token}")).send().await.unwrap().status();
            assert_eq!(status, StatusCode::UNAUTHORIZED, "BR-10, BR-11: {scheme}");
        }
        for scheme in ["bearer", "BEARER", "Bearer"] {
            let status = http.get(&api).header("authorization", format!("{scheme} {token}")).send().await.unwrap().status();
            assert_eq!(status, StatusCode::OK, "BR-06: {scheme}");
        }
        world.end().await;
    }

    async fn a_grant_type_is_taken_by_the_letter(world: World) {
        let program = Program::of(&world);
        let page = world.owner().visitor.get(&program.request("x")).await.unwrap();
        assert!(page.status == StatusCode::OK && page.form(path::AUTHORIZE).is_ok(), "AZ-01: {page:?}");
        let device = program.device().await;
        let code = device.text("device_code");
        for wrong in ["device_code", "urn:ietf:params:oauth:grant-type:Device_code"] {
            let said = program.post(path::TOKEN, &[("grant_type", wrong), ("device_code", &code)]).await;
            assert_eq!(said.text("error"), "unsupported_grant_type", "DG-21: {wrong}");
        }
        let nameless = [("grant_type", DEVICE_GRANT), ("device_code", &*code)];
        let said = kit::http_client().post(format!("{}{}", world.origin(), path::TOKEN)).form(&nameless).send().await.unwrap();
        assert_eq!(said.status(), StatusCode::UNAUTHORIZED, "DG-21");
        assert_eq!(program.poll(&code).await.text("error"), "authorization_pending", "DG-21: it was not spent");
        world.end().await;
    }

    async fn a_grant_is_for_what_was_consented_to_and_for_whom(world: World) {
        let program = Program::of(&world);
        let tokens = paired(&program, world.owner()).await;
        let refresh = tokens.text("refresh_token");
        let other = world.register(&["--kind", "web", "--name", "Other", "--redirect-uri", "https://other.example/cb"]);
        let stolen = [("grant_type", "refresh_token"), ("refresh_token", &*refresh)];
        let thief = kit::http_client().post(format!("{}{}", world.origin(), path::TOKEN));
        let thief = thief.basic_auth(&other.id, other.secret.as_deref()).form(&stolen).send().await.unwrap();
        assert_eq!(thief.status(), StatusCode::BAD_REQUEST, "RT-09");
        assert_eq!(thief.json::<Value>().await.unwrap()["error"], "invalid_grant", "RT-09");
        let next = program.refresh(&refresh).await;
        assert_eq!(next.status, StatusCode::OK, "RT-09: its owner keeps it: {next:?}");
        assert_ne!(next.text("refresh_token"), refresh, "RT-02");
        // What was not consented to cannot be had by asking later, whatever else is asked with it.
        let fields = [("grant_type", "refresh_token"), ("refresh_token", &*next.text("refresh_token")), ("scope", "shares:manage")].map(|(name, value)| (name, value.to_owned()));
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(program.post(path::TOKEN, &fields).await.text("error"), "invalid_scope", "RT-11");
        let fields = [("grant_type", "refresh_token"), ("refresh_token", &*next.text("refresh_token")), ("resource", "https://elsewhere.example")].map(|(name, value)| (name, value.to_owned()));
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let said = program.post(path::TOKEN, &fields).await;
        assert_eq!((said.status, said.text("scope")), (StatusCode::OK, tokens.text("scope")), "TK-31, RT-11");
        world.end().await;
    }
}
