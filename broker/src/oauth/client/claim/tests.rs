//! The ways a client proves who it is.

use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::*;
use crate::http::{Peer, Site};

/// A client with these secrets; without any, a public one.
fn known(id: &str, secrets: &[&str]) -> Known {
    let client = Client { id: id.to_owned(), is_confidential: !secrets.is_empty(), ..Client::agent() };
    Known { client, secrets: secrets.iter().map(|secret| chance::hash(secret)).collect() }
}

fn asked(authorization: Option<&str>) -> Asked {
    let mut headers = HeaderMap::new();
    if let Some(value) = authorization {
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
    }
    Asked {
        method: Method::POST,
        path: "/oauth2/token".to_owned(),
        query: String::new(),
        headers,
        peer: Peer { ip: Ipv4Addr::LOCALHOST.into(), tls: false },
        body: Bytes::new(),
        upgrade: None,
        site: Arc::new(Site { public_url: "http://localhost/".parse().unwrap() }),
    }
}

fn claim(authorization: Option<&str>, form: &str) -> Result<Claim, Wrong> {
    Claim::read(&asked(authorization), &Form::parse(form.as_bytes()).unwrap())
}

fn basic_of(text: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(text))
}

#[test]
fn each_way_of_authentication_works_and_never_two() {
    let secret = "s:+% é&=";
    // Two secrets are good while a rotation overlaps (TK-32).
    let confidential = || Some(known("a b", &["the next one", secret]));
    let header = basic_of("a+b:s%3A%2B%25+%C3%A9%26%3D");
    let post = "client_id=a+b&client_secret=s%3A%2B%25+%C3%A9%26%3D";
    for (authorization, form) in [(Some(&*header), ""), (Some(&*header), "client_id=a+b"), (None, post)] {
        let claim = claim(authorization, form).unwrap();
        assert_eq!(claim.prove(confidential()).map(|c| c.id).as_deref(), Ok("a b"), "{form} (TK-16)");
        assert_eq!(claim.prove(None), Err(Refusal::UnknownClient), "TK-15");
        let mut disabled = confidential();
        disabled.as_mut().unwrap().client.disabled = true;
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
fn a_confidential_client_without_a_secret_proves_nothing() {
    let mut bare = known("a", &["x"]);
    bare.secrets.clear();
    for form in ["client_id=a", "client_id=a&client_secret=x"] {
        let refused = claim(None, form).unwrap().prove(Some(bare.clone()));
        assert_eq!(refused, Err(Refusal::UnknownClient), "{form} (TK-19)");
    }
}

#[test]
fn credentials_in_the_address_are_refused() {
    for query in ["client_id=a", "client_secret=x", "client_id=&a=b"] {
        let mut asked = asked(None);
        asked.query = query.to_owned();
        let refused = Claim::read(&asked, &Form::parse(b"client_id=a").unwrap());
        assert!(matches!(refused, Err(Wrong::Refused(Refusal::Malformed(_)))), "{query} (TK-18)");
    }
}

#[test]
fn a_public_client_names_itself_and_a_secret_does_not_help() {
    let agent = || Some(known("latchkey-agent", &[]));
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
