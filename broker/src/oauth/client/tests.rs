//! Redirect URIs and scopes.

use super::*;

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
