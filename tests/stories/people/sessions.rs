//! Sessions: listed, ended, ended everywhere; and what a new password does to them.

use std::time::Duration;

use kit::owner::Owner;
use kit::world::World;
use reqwest::StatusCode;

use super::{PASSWORD, is_in, sign_in};

kit::stories! {
    async fn a_session_is_seen_and_ended_from_another(world: World) {
        let ada = world.owner();
        let other = Owner::sign_in(&world.origin(), ada.identity.clone()).await.unwrap().visitor;
        let page = ada.visitor.get("/account").await.unwrap().well().unwrap();
        assert_eq!(page.text.matches("This one").count(), 1, "WB-11");
        let ended = ada.visitor.submit(&page, "/account/sessions/end", &[]).await.unwrap().well().unwrap();
        assert!(ended.forms().all(|form| form.action != "/account/sessions/end"), "WB-11: it was the only other");
        assert!(is_in(&ada.visitor).await && !is_in(&other).await, "WB-11");
        world.end().await;
    }

    async fn signing_out_everywhere_ends_all_sessions(world: World) {
        let ada = world.owner();
        let other = Owner::sign_in(&world.origin(), ada.identity.clone()).await.unwrap().visitor;
        let page = ada.visitor.get("/account").await.unwrap();
        let out = ada.visitor.submit(&page, "/account/sessions/everywhere", &[]).await.unwrap();
        assert!(out.text.contains("signed out everywhere"), "{}", out.text);
        assert!(!is_in(&ada.visitor).await && !is_in(&other).await, "WB-11");
        world.end().await;
    }

    async fn a_new_password_asks_for_the_old_and_ends_the_other_sessions(world: World) {
        let ada = world.owner();
        let other = Owner::sign_in(&world.origin(), ada.identity.clone()).await.unwrap().visitor;
        let page = ada.visitor.get("/account/password").await.unwrap().well().unwrap();
        let before = ada.visitor.cookie("/", "session").unwrap();
        let wrong = [("old", "not my password at all"), ("password", PASSWORD)];
        let said = ada.visitor.submit(&page, "/account/password", &wrong).await.unwrap();
        assert_eq!(said.status, StatusCode::BAD_REQUEST, "WB-08");
        assert!(is_in(&other).await);
        let right = [("old", ada.identity.password.as_str()), ("password", PASSWORD)];
        ada.visitor.submit(&page, "/account/password", &right).await.unwrap().well().unwrap();
        assert!(is_in(&ada.visitor).await && !is_in(&other).await, "WB-08");
        assert_ne!(ada.visitor.cookie("/", "session").unwrap(), before, "WB-01: a new id at a change of privilege");
        let stranger = world.stranger();
        assert_eq!(sign_in(&stranger, &ada.identity.email, &ada.identity.password).await.status, StatusCode::FORBIDDEN);
        assert!(sign_in(&stranger, &ada.identity.email, PASSWORD).await.status.is_success());
        world.end().await;
    }

    async fn what_opens_doors_asks_for_the_password_of_the_last_ten_minutes(world: World) {
        let ada = world.owner();
        let page = ada.visitor.get("/account/second-factor").await.unwrap().well().unwrap();
        assert_eq!(page.url.path(), "/account/second-factor", "just signed in");
        world.clock().turn(Duration::from_secs(11 * 60));
        let asked = ada.visitor.get("/account/second-factor").await.unwrap().well().unwrap();
        assert_eq!(asked.url.path(), "/account/prove");
        let wrong = ada.visitor.submit(&asked, "/account/prove", &[("password", "not my password")]).await.unwrap();
        assert_eq!(wrong.status, StatusCode::FORBIDDEN);
        let before = ada.visitor.cookie("/", "session").unwrap();
        let right = [("password", ada.identity.password.as_str())];
        let on = ada.visitor.submit(&wrong, "/account/prove", &right).await.unwrap().well().unwrap();
        assert_eq!(on.url.path(), "/account/second-factor", "on to where one wanted to go");
        assert_ne!(ada.visitor.cookie("/", "session").unwrap(), before, "WB-01");
        world.end().await;
    }
}
