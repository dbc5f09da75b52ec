//! Redirect URIs, scopes, and the ways a client proves who it is.

use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::*;
use crate::http::{Peer, Site};

fn client(redirect_uris: &[&str]) -> Client {
    Client { redirect_uris: redirect_uris.iter().map(|uri| (*uri).to_owned()).collect(), ..Client::agent() }
}

#[test]
fn an_address_is_compared_whole() {
    let web = client(&["https://ha.example/cb"]);
    assert_eq!(web.redirect_uri(Some("https://ha.example/cb")).as_deref(), Some("https://ha.example/cb"));
    for other in [
        "https://ha.example/cb/",
        "https://ha.example/cb/../cb",
        "https://ha.example/cb?x=1",
        "https://ha.example/cb#f",
        "https://ha.example/CB",
        "https://HA.example/cb",
        "https://ha.example:443/cb",
        "http://ha.example/cb",
        "https://ha.example.evil/cb",
        "https://ha.example@evil/cb",
        "https://evil\\@ha.example/cb",
        "https://ha.example%2Fcb",
        "https://ha.example/cb%0d%0aSet-Cookie:a=b",
        "//ha.example/cb",
        "/cb",
        "javascript:alert(1)",
        "https://ha.example/cb ",
    ] {
        assert_eq!(web.redirect_uri(Some(other)), None, "{other:?} (RU-01)");
    }
}

#[test]
fn a_loopback_address_may_have_any_port_and_nothing_else() {
    let agent = Client::agent();
    for good in [
        "http://127.0.0.1:51234/callback",
        "http://127.0.0.1/callback",
        "http://[::1]:8080/callback",
        "http://127.0.0.1:65535/callback",
    ] {
        assert_eq!(agent.redirect_uri(Some(good)).as_deref(), Some(good), "{good} (RU-03)");
    }
    for bad in [
        "http://localhost:51234/callback",
        "http://127.0.0.1:/callback",
        "http://127.0.0.1:0/callback",
        "http://127.0.0.1:080/callback",
        "http://127.0.0.1:65536/callback",
        "http://127.0.0.1:80@evil/callback",
        "http://127.0.0.1@evil:80/callback",
        "http://127.0.0.1.evil/callback",
        "http://127.0.0.1:80.evil/callback",
        "http://127.0.0.1:80/callback/x",
        "http://127.0.0.1:80/callback?x=1",
        "http://127.0.0.1:80callback",
        "http://127.0.0.1:80%2Fcallback",
        "https://127.0.0.1:80/callback",
        "http://127.1:80/callback",
        "http://2130706433/callback",
    ] {
        assert_eq!(agent.redirect_uri(Some(bad)), None, "{bad} (RU-03, RU-04)");
    }
    let elsewhere = client(&["http://10.0.0.1/callback", "http://localhost/callback"]);
    assert_eq!(elsewhere.redirect_uri(Some("http://10.0.0.1:81/callback")), None, "RU-04");
    assert_eq!(elsewhere.redirect_uri(Some("http://localhost:81/callback")), None, "RU-04");
}

#[test]
fn an_address_that_is_left_out_is_the_only_one_there_is() {
    assert_eq!(client(&["https://a/"]).redirect_uri(None).as_deref(), Some("https://a/"));
    assert_eq!(client(&["https://a/", "https://b/"]).redirect_uri(None), None, "RU-06");
    assert_eq!(client(&[]).redirect_uri(None), None);
}

#[test]
fn a_client_asks_for_what_it_is_registered_for() {
    let agent = Client::agent();
    assert_eq!(agent.asked_scopes(None), Ok(Scopes::agent()));
    assert_eq!(agent.asked_scopes(Some("relay")).map(|s| s.to_string()).as_deref(), Ok("relay"));
    for (more, id) in [("shares:manage", "AZ-10"), ("relay nonsense", "AZ-09"), ("  ", "AZ-09")] {
        assert_eq!(agent.asked_scopes(Some(more)), Err(Refusal::InvalidScope), "{more} ({id})");
    }
    let operator = Client { scopes: Scopes::parse("relay tunnels:manage").unwrap(), ..Client::agent() };
    assert_eq!(operator.asked_scopes(None).map(|s| s.to_string()).as_deref(), Ok("relay"), "O8");
    assert_eq!(operator.asked_scopes(Some("tunnels:manage")), Err(Refusal::InvalidScope), "O8");
}

fn claim(authorization: Option<&str>, form: &str) -> Result<Claim, Wrong> {
    let mut headers = HeaderMap::new();
    if let Some(value) = authorization {
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
    }
    let asked = Asked {
        method: Method::POST,
        path: "/oauth2/token".to_owned(),
        query: String::new(),
        headers,
        peer: Peer { ip: Ipv4Addr::LOCALHOST.into(), tls: false },
        body: Bytes::new(),
        upgrade: None,
        site: Arc::new(Site { public_url: "http://localhost/".parse().unwrap() }),
    };
    Claim::read(&asked, &Form::parse(form.as_bytes()).unwrap())
}

fn basic_of(text: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(text))
}

#[test]
fn each_way_of_authentication_works_and_never_two() {
    let secret = "s:+% é&=";
    let confidential =
        || Some(Client { id: "a b".to_owned(), secret_hash: Some(chance::hash(secret)), ..Client::agent() });
    let header = basic_of("a+b:s%3A%2B%25+%C3%A9%26%3D");
    let post = "client_id=a+b&client_secret=s%3A%2B%25+%C3%A9%26%3D";
    for (authorization, form) in [(Some(&*header), ""), (Some(&*header), "client_id=a+b"), (None, post)] {
        let claim = claim(authorization, form).unwrap();
        assert_eq!(claim.prove(confidential()).map(|c| c.id).as_deref(), Ok("a b"), "{form} (TK-16)");
        assert_eq!(claim.prove(None), Err(Refusal::UnknownClient), "TK-15");
        let disabled = confidential().map(|client| Client { disabled: true, ..client });
        assert_eq!(claim.prove(disabled), Err(Refusal::UnknownClient), "TK-33");
    }
    for (authorization, form) in [(Some(&*header), post), (Some(&*header), "client_id=other")] {
        let refused = claim(authorization, form);
        assert!(matches!(refused, Err(Wrong::Refused(Refusal::Malformed(_)))), "{form} (TK-17, TK-21)");
    }
    assert_eq!(
        claim(None, "client_id=a+b").unwrap().prove(confidential()),
        Err(Refusal::UnknownClient),
        "TK-19"
    );
    let wrong = claim(None, "client_id=a+b&client_secret=x").unwrap();
    assert_eq!(wrong.prove(confidential()), Err(Refusal::UnknownClient), "TK-14");
}

#[test]
fn a_public_client_names_itself_and_a_secret_does_not_help() {
    let agent = || Some(Client::agent());
    assert!(claim(None, "client_id=latchkey-agent").unwrap().prove(agent()).is_ok());
    assert!(claim(None, "client_id=latchkey-agent&client_secret=").unwrap().prove(agent()).is_ok());
    assert!(claim(Some(&basic_of("latchkey-agent:")), "").unwrap().prove(agent()).is_ok());
    let with_secret = claim(None, "client_id=latchkey-agent&client_secret=x").unwrap();
    assert_eq!(with_secret.prove(agent()), Err(Refusal::UnknownClient), "TK-20");
    let long = format!("client_id={}", "x".repeat(LONGEST_ID + 1));
    for (authorization, form) in [
        (None, ""),
        (Some("Basic"), "client_id=latchkey-agent"),
        (Some("Basic !!!!"), ""),
        (Some(&*basic_of("no colon")), ""),
        (Some(&*basic_of("a%zz:b")), ""),
        (Some(&*basic_of("\0:\0")), ""),
        (Some("Bearer x"), "client_id=latchkey-agent"),
        (None, &*long),
    ] {
        let refused = claim(authorization, form);
        assert!(
            matches!(refused, Err(Wrong::Refused(Refusal::UnknownClient))),
            "{authorization:?} {form} (TK-20, TK-25)"
        );
    }
}
