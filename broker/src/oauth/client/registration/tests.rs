//! What may be registered and what is said of the rest.

use super::*;
use crate::http::words::english;

fn wants(kind: ClientKind) -> Registration {
    let redirect_uris = match kind {
        ClientKind::Web => vec!["https://grafana.example/cb".to_owned()],
        ClientKind::Native => vec!["http://127.0.0.1/cb".to_owned()],
        _ => Vec::new(),
    };
    Registration {
        name: " Grafana 7 (cellar) ".to_owned(),
        kind,
        workspace: Some(7.try_into().unwrap()),
        redirect_uris,
        grants: None,
        scopes: None,
        is_confidential: None,
        id: None,
        by_operator: false,
    }
}

#[test]
fn answers_go_to_safe_addresses_only() {
    for (uri, id) in [
        ("https://my.home-assistant.io/redirect/oauth", "RU-08"),
        ("https://ha.example:8123/auth/external/callback", "RU-08"),
        ("https://[2001:db8::1]/cb", "RU-02"),
        ("https://192.0.2.1/cb?a=b&c=d", "RU-07"),
        ("https://xn--bcher-kva.example", "RU-02"),
        ("http://127.0.0.1/cb", "RU-03"),
        ("http://[::1]:9000/cb", "RU-03"),
        ("http://localhost:9000/cb", "RU-04"),
        ("https://a.example/a%2Fb/..c/", "RU-02"),
    ] {
        assert_eq!(may_be_sent_to(uri, true), Ok(()), "{uri} ({id})");
        assert_eq!(may_be_sent_to(uri, false), Ok(()), "{uri} ({id})");
    }
}

#[test]
fn every_other_address_is_refused_with_a_reason() {
    for (uri, word, id) in [
        ("https://a.example/cb#x", "clients-address-fragment", "RU-02"),
        ("https://a.example/cb#", "clients-address-fragment", "RU-02"),
        ("https://*.example/cb", "clients-address-wildcard", "RU-02"),
        ("https://a.example/*", "clients-address-wildcard", "RU-02"),
        ("/cb", "clients-address-relative", "RU-02"),
        ("//a.example/cb", "clients-address-relative", "RU-02"),
        ("a.example/cb", "clients-address-relative", "RU-02"),
        ("HTTPS://a.example/cb", "clients-address-relative", "RU-02"),
        ("javascript:alert(1)", "clients-address-scheme", "RU-02"),
        ("data:text/html,x", "clients-address-scheme", "RU-02"),
        ("file:///etc/passwd", "clients-address-scheme", "RU-02"),
        ("about:blank", "clients-address-scheme", "RU-02"),
        ("ftp://a.example/cb", "clients-address-scheme", "RU-02"),
        ("http://a.example/cb", "clients-address-http", "RU-02"),
        ("http://127.0.0.2/cb", "clients-address-http", "RU-02"),
        ("http://127.0.0.1.evil.example/cb", "clients-address-http", "RU-02"),
        ("http://localhost.evil.example/cb", "clients-address-http", "RU-02"),
        ("http://user@127.0.0.1/cb", "clients-address-http", "RU-02"),
        ("https://user:pw@a.example/cb", "clients-address-host", "RU-02"),
        ("https://a.example@evil.example/cb", "clients-address-host", "RU-02"),
        ("https:///cb", "clients-address-host", "RU-02"),
        ("https:a.example/cb", "clients-address-host", "RU-02"),
        ("https://A.example/cb", "clients-address-host", "RU-02"),
        ("https://a.example:0443/cb", "clients-address-host", "RU-02"),
        ("https://a.example:99999/cb", "clients-address-host", "RU-02"),
        ("https://a.example:/cb", "clients-address-host", "RU-02"),
        ("https://[::1/cb", "clients-address-host", "RU-02"),
        ("https://a..example/cb", "clients-address-host", "RU-02"),
        ("https://a.example;b/cb", "clients-address-host", "AZ-26"),
        ("https://a.example/a/../b", "clients-address-dots", "RU-02"),
        ("https://a.example/a/%2E./b", "clients-address-dots", "RU-02"),
        ("https://a.example\\@evil.example/", "clients-address-characters", "RU-02"),
        ("https://a.example/a b", "clients-address-characters", "RU-02"),
        ("https://a.example/\r\nSet-Cookie:a=b", "clients-address-characters", "RU-02"),
        ("https://bücher.example/", "clients-address-characters", "RU-02"),
        ("https://a.example/?code=1", "clients-address-query", "RU-07"),
        ("https://a.example/?a=b&st%61te=1", "clients-address-query", "RU-07"),
        ("https://a.example/?error", "clients-address-query", "RU-07"),
        ("https://a.example/?iss=x", "clients-address-query", "RU-07"),
    ] {
        assert_eq!(may_be_sent_to(uri, false), Err(word), "{uri} ({id})");
        assert!(english().say(word).contains(' '), "{word} is a sentence");
    }
    assert_eq!(
        may_be_sent_to(&format!("https://a.example/{}", "x".repeat(1000)), false),
        Err("clients-address-long")
    );
    assert!(english().say("clients-address-long").contains(' '));
}

#[test]
fn a_scheme_of_its_own_is_a_public_clients_and_turned_round() {
    assert_eq!(may_be_sent_to("com.example.app:/cb", false), Ok(()), "RU-05");
    for (uri, is_confidential, word) in [
        ("com.example.app:/cb", true, "clients-address-private"),
        ("myapp:/cb", false, "clients-address-scheme"),
        ("com.example.app://cb", false, "clients-address-slash"),
        ("com.example.app:cb", false, "clients-address-slash"),
    ] {
        assert_eq!(may_be_sent_to(uri, is_confidential), Err(word), "{uri} (RU-05)");
        assert!(english().say(word).contains(' '));
    }
}

#[test]
fn a_kind_says_what_is_left_open() {
    let web = wants(ClientKind::Web).check().unwrap();
    assert_eq!(web.name, "Grafana 7 (cellar)");
    assert!(web.id.starts_with("grafana-7-cellar-") && web.id.len() == 29, "{}", web.id);
    assert!(web.is_confidential && web.pkce_required);
    assert_eq!(web.grants, [GrantType::Code, GrantType::Refresh].into());
    assert_eq!(web.scopes.to_string(), "workspace:read smarthome:read");
    let home_assistant = wants(ClientKind::HomeAssistant).check().unwrap();
    assert_eq!(home_assistant.redirect_uris, [HOME_ASSISTANT], "PK-11, RU-08");
    assert!(home_assistant.is_confidential && !home_assistant.pkce_required, "PK-11");
    for kind in ClientKind::ALL.into_iter().filter(|kind| *kind != ClientKind::HomeAssistant) {
        assert!(
            Registration { by_operator: true, ..wants(kind) }.check().is_ok_and(|c| c.pkce_required)
                || kind == ClientKind::Agent,
            "{kind:?} (PK-11)"
        );
    }
    assert!(!wants(ClientKind::Native).check().unwrap().is_confidential);
    assert_eq!(wants(ClientKind::Service).check().unwrap().grants, [GrantType::Client].into(), "CC-01");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let refused = |wants: Registration| wants.check().unwrap_err();
    let web = || wants(ClientKind::Web);
    for name in ["", " ", &*"x".repeat(81), "a\nb", "a\u{202e}b"] {
        assert_eq!(refused(Registration { name: name.to_owned(), ..web() }), Unfit::Name, "{name:?} (AZ-23)");
    }
    for id in ["", "a b", "a/b", "é", &*"x".repeat(101)] {
        assert_eq!(refused(Registration { id: Some(id.to_owned()), ..web() }), Unfit::Id, "{id:?}");
    }
    assert_eq!(refused(wants(ClientKind::Agent)), Unfit::Kind);
    assert_eq!(refused(wants(ClientKind::ResourceServer)), Unfit::Kind, "IN-06: the operator's alone");
    assert_eq!(refused(Registration { redirect_uris: vec![], ..web() }), Unfit::NoAddress);
    let many = (0..21).map(|n| format!("https://a.example/{n}")).collect();
    assert_eq!(refused(Registration { redirect_uris: many, ..web() }), Unfit::ManyAddresses);
    for kind in [ClientKind::HomeAssistant, ClientKind::Service, ClientKind::Web] {
        let public = Registration { is_confidential: Some(false), ..wants(kind) };
        assert_eq!(refused(public), Unfit::Secret, "{kind:?} (PK-11, CC-01)");
    }
    let grants = |kind, grant| Registration { grants: Some([grant].into()), ..wants(kind) };
    for (kind, grant) in [
        (ClientKind::Native, GrantType::Client),
        (ClientKind::Service, GrantType::Code),
        (ClientKind::Device, GrantType::Client),
    ] {
        assert_eq!(refused(grants(kind, grant)), Unfit::Grant(grant), "{kind:?} (CC-01)");
    }
    assert_eq!(
        refused(Registration { workspace: None, ..wants(ClientKind::Service) }),
        Unfit::Workspace,
        "O8"
    );
}

#[test]
fn some_scopes_are_the_operators_to_give() {
    let with = |kind, scopes: &str, by_operator| {
        let scopes = Some(Scopes::parse(scopes).unwrap());
        Registration { scopes, by_operator, ..wants(kind) }.check().map(|client| client.scopes.to_string())
    };
    let service = ClientKind::Service;
    assert_eq!(with(service, "tunnels:manage", true).as_deref(), Ok("tunnels:manage"), "O8");
    assert_eq!(with(service, "tunnels:manage", false), Err(Unfit::Scope), "O8");
    assert_eq!(
        with(ClientKind::Web, "tunnels:manage", true),
        Err(Unfit::Scope),
        "never had from a person (O8)"
    );
    assert_eq!(with(service, "relay", true), Err(Unfit::Scope), "an agent's alone (O4)");
    assert_eq!(with(service, "", true), Err(Unfit::Scope));
    assert_eq!(with(service, "shares:manage", false).as_deref(), Ok("shares:manage"));
}
