//! Tokens from the first to the last: what the token endpoint, bearer and revocation do.

use super::*;

#[tokio::test]
async fn metadata_says_what_is_there() {
    let provider = Provider::new().await;
    let said = provider.get(None, path::METADATA).await;
    assert_eq!(said.header("access-control-allow-origin"), "*", "MD-10");
    assert_eq!(said.header("cache-control"), "public, max-age=3600", "MD-10");
    let json = said.json();
    assert_eq!(json["issuer"], "http://localhost:8420", "MD-02");
    assert_eq!(json["code_challenge_methods_supported"], serde_json::json!(["S256"]), "MD-04");
    assert_eq!(json["authorization_response_iss_parameter_supported"], true, "MD-05");
    assert_eq!(json["device_authorization_endpoint"], "http://localhost:8420/oauth2/device_authorization");
    assert!(json["grant_types_supported"].as_array().unwrap().contains(&DEVICE_GRANT.into()), "MD-07");
    assert_eq!(json["introspection_endpoint"], "http://localhost:8420/oauth2/introspect", "MD-03");
    let asks = &json["introspection_endpoint_auth_methods_supported"];
    assert_eq!(*asks, serde_json::json!(["client_secret_basic", "client_secret_post"]), "MD-08");
    // What is not offered is not advertised: no PAR (BR-09), no DPoP (BR-10), no JWTs (BR-11), nothing of OpenID.
    for absent in ["implicit", "password", "pushed", "dpop", "jwks", "userinfo", "registration", "id_token"] {
        assert!(!said.text.contains(absent), "{absent} (MD-06, MD-09)");
    }
    assert!(
        json.as_object().unwrap().values().all(|value| value.as_array().is_none_or(|all| !all.is_empty())),
        "MD-09"
    );
    let openid = provider.get(None, "/.well-known/openid-configuration").await;
    assert_eq!(openid.status, StatusCode::NOT_FOUND, "MD-09");
}

#[tokio::test]
async fn an_agent_pairs_by_code_and_speaks_for_its_home() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let code = provider.code(&ada).await;
    let tokens = provider.redeem(&code, VERIFIER).await;
    assert_eq!(tokens.status, StatusCode::OK, "{tokens:?}");
    assert_eq!((tokens.header("cache-control"), tokens.header("pragma")), ("no-store", "no-cache"), "TK-03");
    assert_eq!(tokens.json()["expires_in"], 3600, "TK-04, TK-27");
    assert_eq!(tokens.field("scope"), Scopes::agent().to_string(), "TK-05");
    let bearer = provider.bearer(&tokens.field("access_token"), Scope::SmarthomeTunnel).await.unwrap();
    assert_eq!(bearer.caller.account, Some(ada.account));
    assert!(bearer.caller.role_in(ada.workspace).is_some());
    assert_eq!(bearer.caller.home.map(|id| id.number()), tokens.json()["home_id"].as_i64(), "O7");
    let homes = provider.oauth.0.homes.list(&bearer.caller, ada.workspace).await.unwrap();
    assert_eq!(homes.iter().map(|home| home.name.as_str()).collect::<Vec<_>>(), ["Lake House"]);
}

#[tokio::test]
async fn a_code_is_good_once_and_its_replay_takes_back_what_it_bought() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let mut ends = provider.oauth.revoked();
    let code = provider.code(&ada).await;
    let tokens = provider.redeem(&code, VERIFIER).await;
    let access = tokens.field("access_token");
    let grant = provider.bearer(&access, Scope::Relay).await.unwrap().grant;
    assert_eq!(provider.redeem(&code, VERIFIER).await.error(), (400, "invalid_grant".into()), "TK-06");
    assert!(!provider.is_alive(&access).await, "TK-07");
    let refused = provider.refresh(&tokens.field("refresh_token")).await;
    assert_eq!(refused.error(), (400, "invalid_grant".into()), "TK-07");
    assert_eq!(ends.try_recv(), Ok(grant), "RV-09");
    assert!(ends.try_recv().is_err(), "told once");
}

#[tokio::test]
async fn a_wrong_proof_burns_the_code_and_another_client_does_not() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    provider.client("other", None).await;
    let code = provider.code(&ada).await;
    let foreign = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("client_id", "other"),
    ];
    assert_eq!(provider.token(&foreign).await.error(), (400, "invalid_grant".into()), "TK-08");
    let wrong = "x".repeat(43);
    assert_eq!(provider.redeem(&code, &wrong).await.error(), (400, "invalid_grant".into()), "PK-02");
    assert_eq!(provider.redeem(&code, VERIFIER).await.error(), (400, "invalid_grant".into()), "PK-09");
    let code = provider.code(&ada).await;
    assert_eq!(provider.token(&foreign).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(provider.redeem(&code, VERIFIER).await.status, StatusCode::OK, "TK-08");
    let late = provider.code(&ada).await;
    provider.clock.turn(Duration::from_secs(601));
    assert_eq!(provider.redeem(&late, VERIFIER).await.error(), (400, "invalid_grant".into()), "AZ-15");
}

#[tokio::test]
async fn what_the_token_endpoint_does_not_understand_it_refuses_by_name() {
    let provider = Provider::new().await;
    let me = "client_id=latchkey-agent";
    for (body, status, word, id) in [
        (me.to_string(), 400, "invalid_request", "TK-10"),
        (format!("{me}&grant_type=urn:nope"), 400, "unsupported_grant_type", "TK-10"),
        (format!("{me}&grant_type=password"), 400, "unsupported_grant_type", "MD-06"),
        (format!("{me}&grant_type=authorization_code"), 400, "invalid_request", "TK-10"),
        (format!("{me}&grant_type=authorization_code&code=a&code=b"), 400, "invalid_request", "TK-12"),
        (format!("{me}&grant_type=refresh_token&refresh_token=bogus"), 400, "invalid_grant", "RT-10"),
        (format!("{me}&grant_type={DEVICE_GRANT}&device_code=bogus"), 400, "invalid_grant", "DG-08"),
        ("grant_type=refresh_token&refresh_token=x".into(), 401, "invalid_client", "TK-20"),
        ("client_id=nobody&grant_type=refresh_token".into(), 401, "invalid_client", "TK-15"),
        (format!("{me}&grant_type=%zz"), 400, "invalid_request", "TK-25"),
        (format!("{me}&grant_type=%00&code=%ff%fe"), 400, "invalid_request", "TK-25"),
        ("&&&===".into(), 401, "invalid_client", "TK-25"),
    ] {
        let said = provider.send(provider.asked(Method::POST, path::TOKEN, body.clone())).await;
        assert_eq!(said.error(), (status, word.to_owned()), "{body} ({id})");
        assert_eq!(said.header("cache-control"), "no-store", "TK-23");
    }
    let mut json = provider.asked(Method::POST, path::TOKEN, "{}".into());
    json.headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    assert_eq!(provider.send(json).await.error(), (400, "invalid_request".into()), "TK-02");
    let query = "/oauth2/token?client_id=latchkey-agent&grant_type=refresh_token&refresh_token=x";
    for body in ["", "client_id=latchkey-agent&grant_type=refresh_token&refresh_token=x"] {
        let said = provider.send(provider.asked(Method::POST, query, body.to_owned())).await;
        assert_eq!(said.error(), (400, "invalid_request".into()), "TK-18");
    }
    let said = provider.get(None, path::TOKEN).await;
    assert_eq!((said.status, said.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"), "TK-01");
}

#[tokio::test]
async fn a_confidential_client_proves_itself_each_time() {
    let provider = Provider::new().await;
    let ada = provider.person("member").await;
    provider.client("web", Some("s3cret")).await;
    let ask = async |secret: Option<&str>, form: &[(&str, &str)]| {
        let mut form = form.to_vec();
        form.push(("client_id", "web"));
        form.extend(secret.map(|secret| ("client_secret", secret)));
        provider.token(&form).await
    };
    let request = provider.request(&[
        ("client_id", Some("web")),
        ("redirect_uri", None),
        ("scope", Some("smarthome:read")),
    ]);
    let pairs: Vec<_> = url::form_urlencoded::parse(request.as_bytes()).into_owned().collect();
    let mut form: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    form.extend([("decision", "allow"), ("grant", "smarthome:read")]);
    let sent = provider.submit(&ada, path::AUTHORIZE, &form).await;
    assert!(sent.header("location").starts_with("https://web.example/cb?a=b&code=lkc_"), "RU-07: {sent:?}");
    let code = sent.sent("code").unwrap();
    let code = [("grant_type", "authorization_code"), ("code", code.as_str()), ("code_verifier", VERIFIER)];
    assert_eq!(ask(None, &code).await.error(), (401, "invalid_client".into()), "TK-19");
    let wrong = ask(Some("wrong"), &code).await;
    assert_eq!(wrong.error(), (401, "invalid_client".into()), "TK-14");
    assert!(wrong.header("www-authenticate").starts_with("Basic"), "TK-14");
    let tokens = ask(Some("s3cret"), &code).await;
    assert_eq!(tokens.status, StatusCode::OK, "{tokens:?}");
    assert_eq!(tokens.json()["home_id"], Value::Null, "bound to no home");
    let refresh = tokens.field("refresh_token");
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    assert_eq!(ask(None, &refresh).await.error(), (401, "invalid_client".into()), "TK-19");
    assert_eq!(ask(Some("s3cret"), &refresh).await.status, StatusCode::OK, "RT-01");
    provider.tell("UPDATE client SET disabled_at = 1 WHERE client_id = 'web'".into()).await;
    let scope = Scope::SmarthomeRead;
    let dead = provider.bearer(&tokens.field("access_token"), scope).await;
    assert!(matches!(dead, Err(Fault::Unauthorized(true))), "TK-33");
    assert_eq!(ask(Some("s3cret"), &refresh).await.error(), (401, "invalid_client".into()), "TK-33");
}

#[tokio::test]
async fn guesses_run_out_and_honest_refreshes_do_not() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let mut refresh = provider.paired(&ada).await.field("refresh_token");
    for _ in 0..60 {
        let said = provider.refresh(&refresh).await;
        assert_eq!(said.status, StatusCode::OK, "RT-17: {said:?}");
        refresh = said.field("refresh_token");
    }
    for _ in 0..20 {
        assert_eq!(provider.refresh("bogus").await.status, StatusCode::BAD_REQUEST);
    }
    let limited = provider.refresh("bogus").await;
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS, "TK-29");
    assert!(limited.header("retry-after").parse::<u32>().is_ok_and(|s| (1..=60).contains(&s)), "TK-29");
    let mut elsewhere = provider.asked(
        Method::POST,
        path::TOKEN,
        encoded(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", &refresh),
            ("client_id", AGENT_CLIENT_ID),
        ]),
    );
    elsewhere.peer.ip = Ipv4Addr::new(9, 9, 9, 9).into();
    assert_eq!(provider.send(elsewhere).await.status, StatusCode::OK, "TK-29");
    provider.clock.turn(Duration::from_secs(60));
    assert_eq!(provider.refresh("bogus").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_bearer_token_travels_in_the_header_and_has_its_scope() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let tokens = provider.paired(&ada).await;
    let access = tokens.field("access_token");
    let none = provider.asked(Method::GET, "/api/smarthome/workspaces", String::new());
    assert!(
        matches!(provider.oauth.bearer(&none, Scope::Relay).await, Err(Fault::Unauthorized(false))),
        "BR-01"
    );
    for bad in ["bogus", &tokens.field("refresh_token")] {
        let refused = provider.bearer(bad, Scope::Relay).await;
        assert!(matches!(refused, Err(Fault::Unauthorized(true))), "BR-02, RT-14");
    }
    let refused = provider.bearer(&access, Scope::SharesManage).await;
    assert!(matches!(refused, Err(Fault::Forbidden("insufficient_scope", _))), "BR-03");
    assert_eq!(provider.refresh(&access).await.error(), (400, "invalid_grant".into()), "RT-14");
    let query = provider.asked(Method::GET, &format!("/api/x?access_token={access}"), String::new());
    assert!(matches!(provider.oauth.bearer(&query, Scope::Relay).await, Err(Fault::Bad(_))), "BR-04");
    let mut both = provider.asked(Method::POST, "/api/x", format!("access_token={access}"));
    both.headers.insert(header::AUTHORIZATION, format!("Bearer {access}").parse().unwrap());
    assert!(matches!(provider.oauth.bearer(&both, Scope::Relay).await, Err(Fault::Bad(_))), "BR-05");
    provider.tell(format!("UPDATE member SET role = 'observer' WHERE account_id = {}", ada.account)).await;
    assert!(!provider.is_alive(&access).await, "an agent's grant lives while its account manages the home");
    provider.tell(format!("UPDATE member SET role = 'admin' WHERE account_id = {}", ada.account)).await;
    assert!(provider.is_alive(&access).await, "the role is today's, not the consent's");
    provider.tell(format!("DELETE FROM member WHERE account_id = {}", ada.account)).await;
    assert!(!provider.is_alive(&access).await);
}

#[tokio::test]
async fn revocation_ends_the_whole_grant_and_is_told() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    provider.client("other", None).await;
    let mut ends = provider.oauth.revoked();
    for kind in ["access_token", "refresh_token"] {
        let tokens = provider.paired(&ada).await;
        let (access, token) = (tokens.field("access_token"), tokens.field(kind));
        let grant = provider.bearer(&access, Scope::Relay).await.unwrap().grant;
        let revoke = async |client: &str, token: &str| {
            let form = [("client_id", client), ("token", token), ("token_type_hint", "zzz")];
            provider.post(path::REVOKE, &form).await.status
        };
        assert_eq!(revoke("other", &token).await, StatusCode::OK);
        assert!(provider.is_alive(&access).await, "RV-03");
        assert_eq!(revoke(AGENT_CLIENT_ID, &token).await, StatusCode::OK, "RV-01, RV-06");
        assert!(!provider.is_alive(&access).await && !provider.oauth.lives(grant).await.unwrap(), "RV-02");
        let refused = provider.refresh(&tokens.field("refresh_token")).await;
        assert_eq!(refused.error(), (400, "invalid_grant".into()), "RV-02");
        assert_eq!(ends.try_recv(), Ok(grant), "RV-09");
        assert_eq!(revoke(AGENT_CLIENT_ID, &token).await, StatusCode::OK, "RV-08");
        assert_eq!(revoke(AGENT_CLIENT_ID, "bogus").await, StatusCode::OK, "RV-04");
        assert!(ends.try_recv().is_err(), "told once");
    }
    let missing = provider.post(path::REVOKE, &[("client_id", AGENT_CLIENT_ID)]).await;
    assert_eq!(missing.error(), (400, "invalid_request".into()));
    let nobody = provider.post(path::REVOKE, &[("token", "x")]).await;
    assert_eq!(nobody.error(), (401, "invalid_client".into()), "RV-05");
}

#[tokio::test]
async fn a_home_that_goes_takes_its_grants_with_it_and_those_to_come() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let tokens = provider.paired(&ada).await;
    let home = tokens.json()["home_id"].to_string();
    let device = provider.device().await;
    let code = device.field("user_code");
    let form = [
        ("user_code", code.as_str()),
        ("decision", "allow"),
        ("home", home.as_str()),
        ("take_over", home.as_str()),
    ];
    provider.submit(&ada, path::DEVICE, &form).await;
    let mut ends = provider.oauth.revoked();
    provider.oauth.revoke_home(home.parse().unwrap()).await.unwrap();
    assert!(ends.try_recv().is_ok() && !provider.is_alive(&tokens.field("access_token")).await);
    let polled = provider.poll(&device.field("device_code")).await;
    assert_eq!(polled.error(), (400, "access_denied".into()));
}
