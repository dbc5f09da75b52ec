//! What each answer proves; the stories tell it with a real Home Assistant.

use http::HeaderName;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::relay::tests::{Quiet, World};

fn judged(status: u16, headers: &[(&'static str, &str)], body: &str) -> Option<(Finding, String)> {
    let at: Url = "https://lake.homes.example/".parse().unwrap();
    let named = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
    let answer = Answered {
        status: StatusCode::from_u16(status).unwrap(),
        headers: named.collect(),
        body: body.as_bytes().to_vec(),
    };
    judge(&at, &answer)
}

#[test]
fn each_answer_is_explained() {
    let manifest = r#"{"name":"Home Assistant","start_url":"/?homescreen=1","icons":[]}"#;
    assert_eq!(judged(200, &[], manifest), None);
    for (status, headers, body, finding, detail) in [
        (200, &[][..], "<html>a router</html>", Finding::NotHomeAssistant, "200"),
        (400, &[], "400: Bad Request", Finding::TrustedProxies, "127.0.0.1, ::1"),
        (400, &[(DIRECT_SEEN_AS_HEADER, "172.30.33.4")], "", Finding::TrustedProxies, "172.30.33.4"),
        (404, &[], "", Finding::NotApplied, "404"),
        (404, &[], "404: Not Found", Finding::NotHomeAssistant, "404"),
        (502, &[], "", Finding::OriginDown, "502"),
        (530, &[], "error code: 1033", Finding::NoTunnel, "530"),
        (503, &[], "", Finding::NoTunnel, "503"),
        (526, &[], "", Finding::Tls, "526"),
        (524, &[], "", Finding::Timeout, "524"),
        (
            301,
            &[("location", "https://lake.homes.example/manifest.json")],
            "",
            Finding::RedirectLoop,
            "https://lake.homes.example",
        ),
        (
            302,
            &[("location", "https://team.cloudflareaccess.com/login")],
            "",
            Finding::NotHomeAssistant,
            "https://team.cloudflareaccess.com",
        ),
        (401, &[], "", Finding::NotHomeAssistant, "401"),
    ] {
        assert_eq!(judged(status, headers, body), Some((finding, detail.to_owned())), "{status} {body}");
    }
}

#[test]
fn only_home_assistants_ways_to_sign_in_are_taken_for_them() {
    let said = |status: u16, body: &str| {
        names_providers(&Answered {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        })
    };
    let provider = r#"{"name":"Home Assistant Local","id":null,"type":"homeassistant"}"#;
    assert!(said(200, &format!("[{provider}]")));
    assert!(said(200, &format!(r#"{{"providers":[{provider}],"preselect_remember_me":true}}"#)));
    for other in ["", "[]", "{}", r#"{"providers":[]}"#, r#"["a"]"#, r#"[{"name":"x"}]"#] {
        assert!(!said(200, other), "{other}");
    }
    assert!(!said(404, &format!("[{provider}]")));
}

#[test]
fn a_nonce_counts_at_its_own_home_and_no_other_is_carried_on() {
    _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let prover = Prover::new().unwrap();
    let (ours, other) = (HomeId::try_from(7).unwrap(), HomeId::try_from(8).unwrap());
    prover.nonces().insert("known".to_owned(), (ours, false));
    let meet = |home, nonce: &str| {
        let mut request = Request::get("/manifest.json").header(DIRECT_PROOF_HEADER, nonce).body(()).unwrap();
        prover.meet(home, &mut request);
        (request.headers().contains_key(DIRECT_PROOF_HEADER), prover.nonces()["known"].1)
    };
    assert_eq!(meet(ours, "a visitor's own"), (false, false));
    assert_eq!(meet(other, "known"), (false, false));
    assert_eq!(meet(ours, "known"), (true, true));
}

#[tokio::test]
async fn so_many_addresses_are_asked_at_once_and_the_others_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let world = World::at(&at, |_, _| Arc::new(Quiet)).await;
    let tunnels = Tunnels::for_tests(&world);
    let mut proofs = JoinSet::new();
    for _ in 0..AT_ONCE + 3 {
        let (home, tunnels) = (world.home().await, tunnels.clone());
        proofs.spawn(async move { tunnels.prove(&home).await.unwrap().finding });
    }
    let mut asked = Vec::new();
    for _ in 0..AT_ONCE {
        asked.push(timeout(PATIENCE, listener.accept()).await.expect("a request").unwrap().0);
    }
    assert!(timeout(Duration::from_millis(300), listener.accept()).await.is_err(), "one more is asked");
    // Whoever is answered makes room for the next.
    for _ in 0..3 {
        drop(asked.pop());
        timeout(PATIENCE, proofs.join_next()).await.expect("a finding");
        asked.push(timeout(PATIENCE, listener.accept()).await.expect("the next").unwrap().0);
    }
    asked.clear();
    assert!(proofs.join_all().await.into_iter().all(|finding| finding == Finding::Unreachable));
}
