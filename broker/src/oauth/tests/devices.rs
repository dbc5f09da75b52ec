//! The device flow as a device and a person see it.

use super::*;

#[tokio::test]
async fn a_device_waits_until_a_person_decides() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let device = provider.device().await;
    assert_eq!(device.header("cache-control"), "no-store", "DG-01");
    let (user_code, device_code) = (device.field("user_code"), device.field("device_code"));
    assert_eq!(device.field("verification_uri"), "http://localhost:8420/device", "DG-15");
    assert_eq!(device.json()["interval"], 5);
    assert_eq!(device.json()["expires_in"], 900);
    let complete = device.field("verification_uri_complete");
    assert_eq!(complete, format!("http://localhost:8420/device?user_code={user_code}"));
    assert_eq!(provider.poll(&device_code).await.error(), (400, "authorization_pending".into()), "DG-04");
    let page = provider.get(Some(&ada), complete.trim_start_matches("http://localhost:8420")).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    for shown in [&*user_code, "Latchkey Agent", "10.0.", "a different network", "Continue only if you"] {
        assert!(page.text.contains(shown), "{shown} is not on the page (DG-14, DG-18)");
    }
    assert!(page.header("content-security-policy").contains("form-action 'self';"), "DG-19");
    assert_eq!(page.header("x-frame-options"), "DENY", "DG-19");
    provider.clock.turn(Duration::from_secs(5));
    assert_eq!(provider.poll(&device_code).await.error(), (400, "authorization_pending".into()), "DG-14");
    let typed = user_code.to_lowercase().replace('-', " ");
    let page = provider.submit(&ada, path::DEVICE, &[("user_code", &typed)]).await;
    assert!(page.text.contains(&user_code), "DG-12");
    assert!(provider.let_in(&ada, &user_code).await.text.contains("is let in"));
    let tokens = provider.poll(&device_code).await;
    assert_eq!(tokens.status, StatusCode::OK, "{tokens:?}");
    assert!(tokens.json()["home_id"].is_i64());
    assert_eq!(provider.poll(&device_code).await.error(), (400, "invalid_grant".into()), "DG-08");
    let again = provider.let_in(&ada, &user_code).await;
    assert!(again.text.contains("is let in"), "pressing twice is no fault: {again:?}");
    let bob = provider.person("owner").await;
    assert_eq!(provider.let_in(&bob, &user_code).await.status, StatusCode::BAD_REQUEST, "DG-16");
}

#[tokio::test]
async fn a_refused_device_hears_it_and_a_foreign_client_hears_nothing() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    provider.client("other", None).await;
    let device = provider.device().await;
    let (user_code, device_code) = (device.field("user_code"), device.field("device_code"));
    let form = [("grant_type", DEVICE_GRANT), ("device_code", &*device_code), ("client_id", "other")];
    assert_eq!(provider.token(&form).await.error(), (400, "invalid_grant".into()), "DG-09");
    let denied =
        provider.submit(&ada, path::DEVICE, &[("user_code", &user_code), ("decision", "deny")]).await;
    assert!(denied.text.contains("is not let in"), "{denied:?}");
    for _ in 0..2 {
        assert_eq!(provider.poll(&device_code).await.error(), (400, "access_denied".into()), "DG-06");
    }
    assert_eq!(provider.let_in(&ada, &user_code).await.status, StatusCode::BAD_REQUEST, "DG-16");
}

#[tokio::test]
async fn a_hasty_device_is_slowed_down_and_a_late_one_starts_again() {
    let provider = Provider::new().await;
    let device = provider.device().await;
    let device_code = device.field("device_code");
    let mut heard = vec![];
    for _ in 0..3 {
        heard.push(provider.poll(&device_code).await.field("error"));
    }
    assert_eq!(heard, ["authorization_pending", "slow_down", "slow_down"], "DG-05");
    provider.clock.turn(Duration::from_secs(6));
    assert_eq!(provider.poll(&device_code).await.field("error"), "slow_down", "enforced (DG-05)");
    provider.clock.turn(Duration::from_secs(20));
    assert_eq!(provider.poll(&device_code).await.field("error"), "authorization_pending");
    provider.clock.turn(Duration::from_secs(900));
    assert_eq!(provider.poll(&device_code).await.error(), (400, "expired_token".into()), "DG-07");
    let ada = provider.person("owner").await;
    let late = provider.let_in(&ada, &device.field("user_code")).await;
    assert_eq!(late.status, StatusCode::BAD_REQUEST, "DG-07");
}

#[tokio::test]
async fn wrong_codes_run_out_for_an_account_and_a_right_one_costs_nothing() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let user_code = provider.device().await.field("user_code");
    for _ in 0..20 {
        let page = provider.submit(&ada, path::DEVICE, &[("user_code", &user_code)]).await;
        assert_eq!(page.status, StatusCode::OK);
    }
    for _ in 0..5 {
        let wrong = provider.submit(&ada, path::DEVICE, &[("user_code", "BBBB-BBBB")]).await;
        assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
        assert!(wrong.text.contains("No device is waiting"), "{wrong:?}");
    }
    let right = provider.get(Some(&ada), &format!("/device?user_code={user_code}")).await;
    assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS, "a right guess is worth nothing now (DG-10)");
    let bob = provider.person("owner").await;
    assert!(provider.let_in(&bob, &user_code).await.text.contains("is let in"), "others are unaffected");
}

#[tokio::test]
async fn requests_from_one_place_are_counted_and_bounded() {
    let provider = Provider::new().await;
    let ip = |n: u32| IpAddr::from(Ipv4Addr::from(0x0b00_0000 + n));
    for _ in 0..10 {
        assert_eq!(provider.device_from(ip(1)).await.status, StatusCode::OK);
    }
    let limited = provider.device_from(ip(1)).await;
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS, "DG-17");
    assert!(!limited.header("retry-after").is_empty());
    provider.tell("UPDATE device_authorization SET asked_from = '11.0.0.2'".into()).await;
    for n in 0..40u32 {
        assert_eq!(provider.device_from(ip(100 + n)).await.status, StatusCode::OK);
    }
    provider.tell("UPDATE device_authorization SET asked_from = '11.0.0.2'".into()).await;
    assert_eq!(provider.device_from(ip(2)).await.status, StatusCode::TOO_MANY_REQUESTS, "DG-17");
    provider.clock.turn(Duration::from_secs(901));
    assert_eq!(provider.device_from(ip(2)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_device_asks_for_no_more_than_its_client_may_have() {
    let provider = Provider::new().await;
    for (form, error, id) in [
        (&[("client_id", "nobody")][..], (401, "invalid_client"), "DG-02"),
        (&[], (401, "invalid_client"), "DG-02"),
        (&[("client_id", AGENT_CLIENT_ID), ("scope", "tunnels:manage")], (400, "invalid_scope"), "DG-03"),
    ] {
        let said = provider.post(path::DEVICE_AUTHORIZATION, form).await;
        assert_eq!(said.error(), (error.0, error.1.to_owned()), "{id}");
    }
}

#[tokio::test]
async fn a_home_that_cannot_be_made_leaves_the_device_waiting() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let device = provider.device().await;
    let code = device.field("user_code");
    let name = "x".repeat(61);
    for (form, says) in
        [(&[("home", "new"), ("home_name", &*name)][..], "1 to 60 characters"), (&[], "Choose a home first")]
    {
        let mut form = form.to_vec();
        form.extend([("user_code", &*code), ("decision", "allow")]);
        let page = provider.submit(&ada, path::DEVICE, &form).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(page.text.contains(says), "{page:?}");
    }
    let foreign = provider.paired(&provider.person("owner").await).await.json()["home_id"].to_string();
    let form = [("user_code", &*code), ("decision", "allow"), ("home", &*foreign)];
    let not_yours = provider.submit(&ada, path::DEVICE, &form).await;
    assert_eq!(not_yours.status, StatusCode::NOT_FOUND, "BR-08");
    assert!(provider.let_in(&ada, &code).await.text.contains("is let in"));
    assert_eq!(provider.poll(&device.field("device_code")).await.status, StatusCode::OK);
}
