//! The authorization endpoint and its page.

use super::*;

const OTHERS: &str = "https://web.example/cb?a=b";

#[tokio::test]
async fn the_page_says_who_asks_for_what_and_where_it_leads() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let target = format!("{}?{}&foo=bar", path::AUTHORIZE, provider.request(&[]));
    let page = provider.get(Some(&ada), &target).await;
    assert_eq!(page.status, StatusCode::OK, "AZ-02: {page:?}");
    let email = format!("{}@example.org", ada.account);
    for shown in
        ["Latchkey Agent", "127.0.0.1:51234", &*email, "Not you?", "A new home", "pass on what you share"]
    {
        assert!(page.text.contains(shown), "{shown} is not on the page (AZ-22)");
    }
    let policy = page.header("content-security-policy");
    assert!(policy.contains("form-action 'self' http://127.0.0.1:51234;"), "{policy} (AZ-26)");
    assert!(policy.contains("frame-ancestors 'none'"), "AZ-18");
    assert_eq!(page.header("referrer-policy"), "no-referrer", "AZ-19");
    assert_eq!(page.header("cache-control"), "no-store", "AZ-25");
    assert_eq!(page.header("access-control-allow-origin"), "", "AZ-17");
    let posted = provider.send(provider.asked(Method::POST, path::AUTHORIZE, provider.request(&[]))).await;
    assert_eq!(posted.status, StatusCode::SEE_OTHER, "a POST that decides nothing asks to sign in");
    assert!(posted.header("location").starts_with("/sign-in?next=%2Foauth2%2Fauthorize%3F"), "{posted:?}");
}

#[tokio::test]
async fn whoever_is_not_signed_in_comes_back_with_the_whole_request() {
    let provider = Provider::new().await;
    let state = format!("eyJhbGciOi.a b&c=d%20+é\"<>#?/{}", "x".repeat(570));
    let target = format!("{}?{}", path::AUTHORIZE, provider.request(&[("state", Some(&state))]));
    let sent = provider.get(None, &target).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "AZ-14");
    let to = url::Url::parse(&format!("http://x{}", sent.header("location"))).unwrap();
    let next = to.query_pairs().find(|(name, _)| name == "next").unwrap().1.into_owned();
    let ada = provider.person("owner").await;
    let page = provider.get(Some(&ada), &next).await;
    assert_eq!(page.status, StatusCode::OK, "AZ-28: {page:?}");
    let denied = form_of(&page.text, "deny");
    let denied: Vec<_> = denied.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let denied = provider.submit(&ada, path::AUTHORIZE, &denied).await;
    assert_eq!(denied.sent("error").as_deref(), Some("access_denied"), "AZ-13: {denied:?}");
    assert_eq!(denied.sent("state").as_deref(), Some(&*state), "AZ-11");
    assert_eq!(denied.sent("iss").as_deref(), Some("http://localhost:8420"), "AZ-12");
    assert_eq!(denied.status, StatusCode::SEE_OTHER, "AZ-14");
}

/// The hidden fields of the page's first form after the header, as a browser would send them.
fn form_of(html: &str, decision: &str) -> Vec<(String, String)> {
    let form = html.split("action=\"/oauth2/authorize\"").nth(1).unwrap().split("</form>").next().unwrap();
    let plain = |text: &str| {
        text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    };
    let fields = form.split("<input type=\"hidden\" name=\"").skip(1).map(|field| {
        let (name, rest) = field.split_once("\" value=\"").unwrap();
        (name.to_owned(), plain(rest.split('"').next().unwrap()))
    });
    let fields = fields.filter(|(name, _)| name != "csrf");
    fields.chain([("decision".to_owned(), decision.to_owned())]).collect()
}

#[tokio::test]
async fn a_bad_client_or_address_leads_nowhere() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    provider.client("web", Some("x")).await;
    let twice = format!("{}&client_id=latchkey-agent", provider.request(&[]));
    let query = |changes: &[(&str, Option<&str>)]| provider.request(changes);
    for (query, id) in [
        (query(&[("client_id", None)]), "AZ-05"),
        (query(&[("client_id", Some(""))]), "AZ-03"),
        (query(&[("client_id", Some("nobody"))]), "AZ-05"),
        (query(&[("client_id", Some("web"))]), "RU-01"),
        (query(&[("redirect_uri", Some("http://127.0.0.1:1/callback/x"))]), "RU-01"),
        (query(&[("redirect_uri", Some("https://evil.example/"))]), "RU-01"),
        (query(&[("redirect_uri", None)]), "RU-06"),
        (twice, "AZ-04"),
        ("client_id=%".to_owned(), "AZ-27"),
        ("client_id=%00&redirect_uri=%ff".to_owned(), "AZ-27"),
        ("a=1&".repeat(2000), "AZ-27"),
        (String::new(), "AZ-27"),
    ] {
        for person in [None, Some(&ada)] {
            let page = provider.get(person, &format!("{}?{query}", path::AUTHORIZE)).await;
            assert_eq!(page.status, StatusCode::BAD_REQUEST, "{query} ({id}): {page:?}");
            assert_eq!(page.header("location"), "", "{id}");
        }
    }
    provider.tell("UPDATE client SET disabled_at = 1 WHERE client_id = 'web'".into()).await;
    let disabled = query(&[("client_id", Some("web")), ("redirect_uri", Some(OTHERS))]);
    let page = provider.get(None, &format!("{}?{disabled}", path::AUTHORIZE)).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "TK-33");
}

#[tokio::test]
async fn what_else_is_wrong_is_told_to_the_client() {
    let provider = Provider::new().await;
    let short = "a".repeat(42);
    let strange = "!".repeat(43);
    for (change, error, id) in [
        (("response_type", None), "invalid_request", "AZ-06"),
        (("response_type", Some("")), "invalid_request", "AZ-03"),
        (("response_type", Some("token")), "unsupported_response_type", "AZ-07"),
        (("response_type", Some("code token")), "unsupported_response_type", "AZ-07"),
        (("scope", Some("zz:nope")), "invalid_scope", "AZ-09"),
        (("scope", Some("shares:manage")), "invalid_scope", "AZ-10"),
        (("code_challenge", None), "invalid_request", "PK-01"),
        (("code_challenge", Some(&*short)), "invalid_request", "PK-06"),
        (("code_challenge", Some(&*strange)), "invalid_request", "PK-06"),
        (("code_challenge_method", Some("plain")), "invalid_request", "PK-05"),
        (("code_challenge_method", Some("S999")), "invalid_request", "PK-04"),
        (("code_challenge_method", None), "invalid_request", "PK-05"),
    ] {
        let sent = provider.get(None, &format!("{}?{}", path::AUTHORIZE, provider.request(&[change]))).await;
        assert!(sent.header("location").starts_with(&format!("{CALLBACK}?error=")), "{id}: {sent:?}");
        assert_eq!(sent.sent("error").as_deref(), Some(error), "{change:?} ({id})");
        assert_eq!(sent.sent("state").as_deref(), Some("s t&a=te"), "{id}");
        assert_eq!(sent.sent("iss").as_deref(), Some("http://localhost:8420"), "AZ-12");
    }
    let twice = format!("{}?{}&scope=relay&scope=relay", path::AUTHORIZE, provider.request(&[]));
    assert_eq!(provider.get(None, &twice).await.sent("error").as_deref(), Some("invalid_request"), "AZ-04");
    provider.tell("UPDATE client SET grants = 'refresh_token'".into()).await;
    let sent = provider.get(None, &format!("{}?{}", path::AUTHORIZE, provider.request(&[]))).await;
    assert_eq!(sent.sent("error").as_deref(), Some("unauthorized_client"), "AZ-08");
}

#[tokio::test]
async fn a_consent_is_only_given_by_the_persons_own_page() {
    let provider = Provider::new().await;
    let (ada, eve) = (provider.person("owner").await, provider.person("owner").await);
    let body = |csrf: &str| {
        let decision = encoded(&[("decision", "allow"), ("home", "new"), ("home_name", "x"), ("csrf", csrf)]);
        format!("{}&{decision}", provider.request(&[]))
    };
    let send = async |csrf: &str, origin: Option<(&'static str, &str)>, cookie: bool| {
        let mut asked = provider.asked(Method::POST, path::AUTHORIZE, body(csrf));
        if cookie {
            let cookie = format!("session={}", ada.cookie.expose());
            asked.headers.insert(header::COOKIE, cookie.parse().unwrap());
        }
        if let Some((name, value)) = origin {
            asked.headers.insert(name, value.parse().unwrap());
        }
        provider.send(asked).await
    };
    let token = csrf::token(&ada.cookie);
    for (csrf, origin, cookie) in [
        ("", None, true),
        (&*csrf::token(&eve.cookie), None, true),
        (&*token, Some(("origin", "https://evil.example")), true),
        (&*token, Some(("sec-fetch-site", "cross-site")), true),
        (&*token, Some(("origin", "https://evil.example")), false),
    ] {
        let said = send(csrf, origin, cookie).await;
        assert!(!said.header("location").contains("code="), "AZ-20: {said:?}");
        assert!(said.status.is_client_error() || !cookie, "AZ-20: {said:?}");
    }
    let said = send(&token, Some(("sec-fetch-site", "same-origin")), true).await;
    assert!(said.sent("code").is_some(), "{said:?}");
    let get = provider.get(Some(&ada), &format!("{}?{}", path::AUTHORIZE, body(&token))).await;
    assert_eq!(get.status, StatusCode::OK, "a GET decides nothing (AZ-21): {get:?}");
}

#[tokio::test]
async fn a_third_party_is_narrowed_by_the_person_and_shown_as_it_is() {
    let provider = Provider::new().await;
    let member = provider.person("observer").await;
    provider.client("web", None).await;
    let changes =
        [("client_id", Some("web")), ("redirect_uri", Some(OTHERS)), ("state", Some("\"><svg onload=x>"))];
    let request = provider.request(&changes);
    let page = provider.get(Some(&member), &format!("{}?{request}", path::AUTHORIZE)).await;
    assert!(!page.text.contains("<svg onload") && !page.text.contains("<b>web"), "AZ-23: {page:?}");
    assert_eq!(page.text.matches("type=\"checkbox\"").count(), 3, "AZ-10");
    assert!(!page.text.contains("A new home"));
    let pairs: Vec<_> = url::form_urlencoded::parse(request.as_bytes()).into_owned().collect();
    let mut form: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    form.push(("decision", "allow"));
    let nothing = provider.submit(&member, path::AUTHORIZE, &form).await;
    assert_eq!(nothing.status, StatusCode::BAD_REQUEST);
    assert!(nothing.text.contains("at least one"), "{nothing:?}");
    form.extend([("grant", "smarthome:read"), ("grant", "relay")]);
    let code = provider.submit(&member, path::AUTHORIZE, &form).await.sent("code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("redirect_uri", OTHERS),
        ("code_verifier", VERIFIER),
        ("client_id", "web"),
        ("scope", ""),
        ("foo", "bar"),
    ];
    let tokens = provider.token(&form).await;
    assert_eq!(tokens.field("scope"), "smarthome:read", "AZ-10, TK-05, TK-13");
}

#[tokio::test]
async fn only_a_manager_lets_an_agent_into_a_home() {
    let provider = Provider::new().await;
    for role in ["member", "observer"] {
        let person = provider.person(role).await;
        let page =
            provider.get(Some(&person), &format!("{}?{}", path::AUTHORIZE, provider.request(&[]))).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        assert!(page.text.contains("owner or an admin"), "{page:?}");
        let code = provider.device().await.field("user_code");
        assert_eq!(provider.let_in(&person, &code).await.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn a_home_with_an_agent_is_never_proposed() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let page =
        async || provider.get(Some(&ada), &format!("{}?{}", path::AUTHORIZE, provider.request(&[]))).await;
    provider.paired(&ada).await;
    let text = page().await.text;
    assert!(text.contains("Lake House") && text.contains("its agent is away"));
    assert!(text.contains("value=\"new\" checked"), "{text}");
    let caller = crate::accounts::Caller {
        account: Some(ada.account),
        memberships: vec![crate::accounts::Membership {
            workspace: ada.workspace,
            role: crate::accounts::Role::Owner,
        }],
        home: None,
    };
    let waiting = provider.oauth.0.homes.create("Attic", 8123, ada.workspace, &caller).await.unwrap();
    let text = page().await.text;
    assert!(text.contains(&format!("value=\"{}\" checked", waiting.id)), "{text}");
    assert!(!text.contains("value=\"new\" checked"));
}
