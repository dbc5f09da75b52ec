//! The one refusal, and what guests may not do.

use super::*;

/// An answer without what differs by its moment.
async fn looks(stage: &Stage, guest: &Guest) -> (StatusCode, Vec<(String, HeaderValue)>, String) {
    let (status, headers, text) = read(stage.ask(guest).await).await;
    (status, headers.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(), text)
}

#[tokio::test]
async fn every_refusal_looks_alike() {
    let stage = stage().await;
    let soon = stage.world.clock.now().after(Duration::from_secs(60));
    let lapsed = stage.share("light.porch", Permission::Control, Some(soon)).await;
    let revoked = stage.share("light.porch", Permission::Control, None).await;
    let other = stage.share("light.hall", Permission::Control, None).await;
    stage.portal.revoke(&stage.home, revoked.link.id, &Doer::default()).await.unwrap();
    stage.world.clock.turn(Duration::from_secs(61));
    let id = lapsed.entity.id;
    let unknown = chance::token(Kind::Link);
    let tokens = [token(&lapsed), token(&revoked), token(&other), unknown.expose(), "x", "%zz", ""];
    for what in ["", "state", "control"] {
        let ask = |id: &str| match what {
            "" => Guest::new(Method::GET, format!("/portal/entity/{id}")),
            what => Guest::new(Method::POST, format!("/portal/entity/{id}/{what}"))
                .json(&json!({ "action": "toggle" })),
        };
        let known = looks(&stage, &ask(&id.to_string())).await;
        assert_eq!(known.0, StatusCode::FORBIDDEN, "SL-04: {what}");
        for token in tokens {
            let ask = ask(&id.to_string());
            assert_eq!(looks(&stage, &ask.clone().query(token)).await, known, "SL-04: {what} query {token}");
            assert_eq!(looks(&stage, &ask.clone().cookie(token)).await, known, "{what} cookie {token}");
            assert_eq!(
                looks(&stage, &ask.header("x-portal-token", token)).await,
                known,
                "{what} header {token}"
            );
            stage.world.clock.turn(Duration::from_secs(60));
        }
        for id in ["1", "0", "x", "99999999999999999999", "-1"] {
            assert_eq!(looks(&stage, &ask(id).query(token(&other))).await, known, "{what} id {id}");
        }
        stage.world.clock.turn(Duration::from_secs(60));
    }
}

#[tokio::test]
async fn programs_are_refused_in_json_and_people_with_a_page() {
    let stage = stage().await;
    let (status, _, text) = read(stage.ask(&Guest::new(Method::GET, "/portal/entity/1".into())).await).await;
    assert!(status == 403 && text.contains("<!doctype html>"));
    let ask = Guest::new(Method::GET, "/portal/entity/1".into()).header("accept", "application/json");
    assert_eq!(stage.json(&ask).await, (403, json!({ "error": "refused", "detail": "refused" })));
    let ask = Guest::new(Method::POST, "/portal/entity/1/state".into());
    assert_eq!(stage.json(&ask).await.1["error"], "refused");
    let ask = Guest::new(Method::DELETE, "/portal/entity/1".into());
    assert_eq!(stage.ask(&ask).await.status(), 405);
}

#[tokio::test]
async fn guessing_from_one_place_tells_nothing_after_twenty_misses() {
    let stage = stage().await;
    let shared = stage.share("light.porch", Permission::View, None).await;
    let wrong = Guest::get(shared.entity.id).query("wrong");
    let right = Guest::get(shared.entity.id).cookie(token(&shared));
    for _ in 0..20 {
        assert_eq!(stage.ask(&wrong).await.status(), 403);
    }
    for guest in [&wrong, &right] {
        let answer = stage.ask(guest).await;
        assert_eq!(answer.status(), 429);
        assert!(answer.headers().contains_key("retry-after"));
    }
    assert_eq!(stage.ask(&Guest { ip: "192.0.2.2", ..right.clone() }).await.status(), 200);
    stage.world.clock.turn(Duration::from_secs(4));
    assert_eq!(stage.ask(&right).await.status(), 200);
}

#[tokio::test]
async fn who_may_only_view_controls_nothing() {
    let stage = stage().await;
    let shared = stage.share("light.porch", Permission::View, None).await;
    let press =
        Guest::post(shared.entity.id, "control").cookie(token(&shared)).json(&json!({ "action": "toggle" }));
    assert_eq!(stage.json(&press).await, (403, json!({ "error": "refused", "detail": "refused" })));
}

#[tokio::test]
async fn another_sites_form_switches_nothing() {
    let stage = stage().await;
    let shared = stage.share("light.porch", Permission::Control, None).await;
    let press = Guest::post(shared.entity.id, "control").json(&json!({ "action": "toggle" }));
    for site in ["cross-site", "same-site", "none"] {
        let forged = press.clone().cookie(token(&shared)).header("sec-fetch-site", site);
        assert_eq!(stage.json(&forged).await.1["error"], "forged_form", "{site}");
    }
    let program = press.header("x-portal-token", token(&shared));
    assert_eq!(stage.json(&program).await, (503, stage.json(&program).await.1));
}

#[tokio::test]
async fn only_the_three_actions_are_taken_and_not_too_often() {
    let stage = stage().await;
    let shared = stage.share("light.porch", Permission::Control, None).await;
    let press = Guest::post(shared.entity.id, "control").header("x-portal-token", token(&shared));
    for odd in [
        json!({ "action": "set_temperature" }),
        json!({ "action": ["toggle"] }),
        json!({}),
        json!([]),
        json!("x"),
    ] {
        assert_eq!(stage.json(&press.clone().json(&odd)).await.0, 400, "{odd}");
    }
    assert_eq!(stage.json(&press).await.0, 400, "a body that is neither JSON nor a form");
    let toggle = press.json(&json!({ "action": "toggle" }));
    for _ in 0..24 {
        assert_eq!(stage.json(&toggle).await.0, 503);
    }
    assert_eq!(stage.json(&toggle).await.0, 429);
}

#[tokio::test]
async fn a_home_has_only_so_many_live_links() {
    let stage = stage().await;
    let first = stage.share("light.porch", Permission::View, None).await;
    for _ in 1..MOST {
        stage.share("light.porch", Permission::View, None).await;
    }
    let new = NewLink { label: "x".into(), permission: Permission::View, expires: None, by: Doer::default() };
    let one_more = || stage.portal.share(&stage.home, &first.entity.entity_id, ("x", None), new.clone());
    assert!(matches!(one_more().await, Err(Fault::Bad(_))));
    stage.portal.revoke(&stage.home, first.link.id, &Doer::default()).await.unwrap();
    one_more().await.unwrap();
}
