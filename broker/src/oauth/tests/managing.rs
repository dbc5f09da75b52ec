//! The pages where people look after programs: those they let in, those their workspace registered.

use super::*;
use crate::audit;

/// What stands between two marks of a page.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split(before)
        .nth(1)
        .and_then(|rest| rest.split(after).next())
        .unwrap_or_else(|| panic!("{before} in {text}"))
}

#[tokio::test]
async fn everyone_sees_what_they_let_in_and_puts_it_out() {
    let provider = Provider::new().await;
    let (ada, bob) = (provider.person("owner").await, provider.person("member").await);
    let tokens = provider.paired(&ada).await;
    let access = tokens.field("access_token");
    let grant = provider.bearer(&access, Scope::Relay).await.unwrap().grant;
    let page = provider.get(Some(&ada), "/programs").await;
    assert_eq!(page.status, StatusCode::OK);
    for shown in
        ["Latchkey Agent", "Lake House", "pass on what you share", "127.0.0.1", "in 4 weeks", "in 12 months"]
    {
        assert!(page.text.contains(shown), "{shown} is not there (O6, RT-12): {}", page.text);
    }
    assert!(!provider.get(Some(&bob), "/programs").await.text.contains("Latchkey Agent"), "BR-08");
    assert!(
        provider.get(None, "/programs").await.header("location").starts_with("/sign-in?next=%2Fprograms")
    );
    let revoke = format!("/programs/{grant}/revoke");
    assert_eq!(provider.submit(&bob, &revoke, &[]).await.status, StatusCode::NOT_FOUND, "BR-08");
    let mut forged = provider.asked(Method::POST, &revoke, String::new());
    forged.headers.insert(header::COOKIE, format!("session={}", ada.cookie.expose()).parse().unwrap());
    assert_eq!(provider.send(forged).await.status, StatusCode::FORBIDDEN, "AZ-20");
    assert!(provider.is_alive(&access).await);
    let mut ends = provider.oauth.revoked();
    let done = provider.submit(&ada, &revoke, &[]).await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, "/programs"));
    assert_eq!(ends.try_recv(), Ok(grant), "RT-13: what is open hears of it at once");
    assert!(!provider.is_alive(&access).await, "RT-13: consent withdrawn");
    assert_eq!(
        provider.refresh(&tokens.field("refresh_token")).await.error(),
        (400, "invalid_grant".into()),
        "RT-13"
    );
    assert_eq!(provider.submit(&ada, &revoke, &[]).await.status, StatusCode::NOT_FOUND);
    assert!(!provider.get(Some(&ada), "/programs").await.text.contains("Latchkey Agent"));
}

#[tokio::test]
async fn a_key_that_two_used_is_told_to_its_owner() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let old = provider.paired(&ada).await.field("refresh_token");
    let next = provider.refresh(&old).await;
    assert!(provider.is_alive(&next.field("access_token")).await);
    let form = [("grant_type", "refresh_token"), ("refresh_token", &*old), ("client_id", AGENT_CLIENT_ID)];
    let mut thief = provider.asked(Method::POST, path::TOKEN, encoded(&form));
    thief.peer.ip = Ipv4Addr::new(203, 0, 113, 9).into();
    assert_eq!(provider.send(thief).await.error(), (400, "invalid_grant".into()), "RT-03");
    let page = provider.get(Some(&ada), "/programs").await;
    let notice = between(&page.text, "class=\"notice warn", "</div>");
    for shown in ["Latchkey Agent", "Lake House", "203.0.113.9", "used by two", "<time datetime="] {
        assert!(notice.contains(shown), "{shown} is not said (RT-18): {notice}");
    }
    let entries = audit::after(&mut provider.store.read().await.unwrap(), 0, 100).await.unwrap();
    let reused = entries.iter().find(|entry| entry.act == "grant.reused").expect("RT-18: an entry");
    assert_eq!(reused.account, Some(ada.account.number()), "RT-18");
    assert_eq!(reused.from.as_deref(), Some("203.0.113.9"), "RT-18");
    assert!(reused.facts.contains(AGENT_CLIENT_ID), "RT-18: {}", reused.facts);
    assert!(entries.iter().any(|entry| entry.act == "grant.begun"));
    provider.clock.turn(Duration::from_secs(31 * 24 * 3600));
    let later = provider.person("owner").await;
    assert!(!provider.get(Some(&later), "/programs").await.text.contains("used by two"));
}

const FORM: [(&str, &str); 4] = [
    ("name", "Garden <i>lamp</i>"),
    ("kind", "web"),
    ("addresses", "https://garden.example/cb\r\nhttps://garden.example/other?x=1"),
    ("scope", "smarthome:read"),
];

#[tokio::test]
async fn an_owner_registers_a_program_and_looks_after_it() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    assert!(provider.get(Some(&ada), "/clients").await.text.contains("No program is registered yet"));
    assert!(
        provider
            .get(Some(&ada), "/clients/new")
            .await
            .text
            .contains("Home Assistant application credentials")
    );
    let made = provider.submit(&ada, "/clients", &FORM).await;
    assert_eq!((made.status, made.header("cache-control")), (StatusCode::OK, "no-store"));
    assert!(made.text.contains("Garden &lt;i&gt;") && !made.text.contains("<i>lamp"), "AZ-23");
    let value = |id: &str| between(&made.text, &format!("id=\"{id}\" value=\""), "\"").to_owned();
    let (id, secret) = (value("id"), value("secret"));
    assert!(chance::looks_like(Kind::Client, &secret), "TK-28");
    let list = provider.get(Some(&ada), "/clients").await.text;
    assert!(
        list.contains(&id) && list.contains("garden.example/other?x=1") && !list.contains(&secret),
        "shown once (O5)"
    );
    let is_let_in = async |secret: &str| {
        let form = [("client_id", &*id), ("client_secret", secret), ("token", "x")];
        provider.post(path::INTROSPECT, &form).await.status == StatusCode::OK
    };
    assert!(is_let_in(&secret).await);
    let rotated = provider.submit(&ada, &format!("/clients/{id}/rotate"), &[("overlap", "week")]).await;
    let next = between(&rotated.text, "id=\"secret\" value=\"", "\"").to_owned();
    assert!(is_let_in(&secret).await && is_let_in(&next).await, "TK-32");
    assert!(provider.get(Some(&ada), "/clients").await.text.contains("Old secret good until"), "TK-32");
    provider.clock.turn(Duration::from_secs(7 * 24 * 3600));
    assert!(!is_let_in(&secret).await && is_let_in(&next).await, "TK-32");
    for (act, works) in [("disable", false), ("enable", true), ("delete", false)] {
        let done = provider.submit(&ada, &format!("/clients/{id}/{act}"), &[]).await;
        assert_eq!(done.header("location"), "/clients", "{act}: {done:?}");
        assert_eq!(is_let_in(&next).await, works, "{act} (TK-33)");
    }
    assert_eq!(
        provider.submit(&ada, &format!("/clients/{id}/delete"), &[]).await.status,
        StatusCode::NOT_FOUND
    );
    let entries = audit::after(&mut provider.store.read().await.unwrap(), 0, 100).await.unwrap();
    assert_eq!(entries.iter().filter(|entry| entry.act == "client.changed").count(), 5);
}

#[tokio::test]
async fn what_owners_may_not_register_is_said_on_the_form() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let with = |changes: &[(&'static str, &'static str)]| {
        let mut form = FORM.to_vec();
        for change in changes {
            form.retain(|(name, _)| *name != change.0);
            form.push(*change);
        }
        form
    };
    for (changes, says, id) in [
        (&[("addresses", "http://garden.example/cb")][..], "Plain http://", "RU-02"),
        (&[("addresses", "https://garden.example/cb#x")], "after a # sign", "RU-02"),
        (&[("addresses", "https://garden.example/cb?state=1")], "those are ours to add", "RU-07"),
        (&[("addresses", "myapp:/cb"), ("kind", "native")], "turned round", "RU-05"),
        (&[("addresses", "")], "name the address", "RU-02"),
        (&[("name", "")], "1 to 80", "AZ-22"),
        (&[("scope", "tunnels:manage")], "none was chosen", "O8"),
    ] {
        let said = provider.submit(&ada, "/clients", &with(changes)).await;
        assert_eq!(said.status, StatusCode::BAD_REQUEST, "{changes:?}");
        assert!(
            said.text.contains(says) && said.text.contains("https://my.home-assistant.io"),
            "{id}: {}",
            said.text
        );
    }
    let kind = provider.submit(&ada, "/clients", &with(&[("kind", "resource-server")])).await;
    assert_eq!(kind.status, StatusCode::BAD_REQUEST, "IN-06: the operator's alone");
    let home_assistant = with(&[("kind", "home-assistant"), ("addresses", "")]);
    assert_eq!(
        provider.submit(&ada, "/clients", &home_assistant).await.status,
        StatusCode::OK,
        "PK-11, RU-08"
    );
}

#[tokio::test]
async fn only_managers_of_its_workspace_see_a_client_and_what_was_wrong_with_its_address() {
    let provider = Provider::new().await;
    let (ada, eve, bob) =
        (provider.person("owner").await, provider.person("owner").await, provider.person("member").await);
    let made = provider.submit(&ada, "/clients", &FORM).await;
    let id = between(&made.text, "id=\"id\" value=\"", "\"").to_owned();
    for target in ["/clients", "/clients/new"] {
        assert_eq!(provider.get(Some(&bob), target).await.status, StatusCode::FORBIDDEN, "{target}");
    }
    assert!(!provider.get(Some(&eve), "/clients").await.text.contains(&id), "BR-08");
    for act in ["rotate", "disable", "enable", "delete"] {
        let target = format!("/clients/{id}/{act}");
        assert_eq!(provider.submit(&eve, &target, &[]).await.status, StatusCode::NOT_FOUND, "{act} (BR-08)");
        assert_eq!(provider.submit(&bob, &target, &[]).await.status, StatusCode::FORBIDDEN, "{act}");
        assert_eq!(provider.get(Some(&ada), &target).await.status, StatusCode::METHOD_NOT_ALLOWED, "{act}");
    }
    let wrong = "https://garden.example/wrong";
    let request = provider.request(&[("client_id", Some(&*id)), ("redirect_uri", Some(wrong))]);
    let target = format!("{}?{request}", path::AUTHORIZE);
    let helped = provider.get(Some(&ada), &target).await;
    assert_eq!((helped.status, helped.header("location")), (StatusCode::BAD_REQUEST, ""), "RU-01");
    assert!(
        helped.text.contains(wrong) && helped.text.contains("garden.example/other"),
        "RU-09: {}",
        helped.text
    );
    for other in [Some(&eve), Some(&bob), None] {
        let said = provider.get(other, &target).await;
        assert_eq!(said.status, StatusCode::BAD_REQUEST, "RU-01");
        assert!(!said.text.contains("garden.example"), "RU-09: no leak: {}", said.text);
    }
    // On the consent page everybody sees whose it is (O8).
    let right =
        provider.request(&[("client_id", Some(&*id)), ("redirect_uri", Some("https://garden.example/cb"))]);
    let page = provider.get(Some(&bob), &format!("{}?{right}", path::AUTHORIZE)).await;
    assert!(page.text.contains("Registered by <bdi>w</bdi>"), "AZ-22: {}", page.text);
}
