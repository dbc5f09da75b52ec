//! Letters: a forgotten password, an account of one's own, and a mail server that is down for a while.

use std::time::Duration;

use broker::mail;
use kit::smtp::Server;
use kit::until::until;
use kit::world::World;
use reqwest::StatusCode;
use shared::secret::Secret;

use super::{PASSWORD, ask_for_letter, is_in, sign_in};

kit::stories! {
    async fn a_forgotten_password_is_set_anew_by_a_link_that_works_once(world: World) {
        let ada = world.owner();
        let stranger = world.stranger();
        let known = ask_for_letter(&stranger, "/forgotten", &ada.identity.email).await;
        let unknown = ask_for_letter(&stranger, "/forgotten", "nobody@example.org").await;
        assert_eq!((known.status, &known.text), (unknown.status, &unknown.text), "WB-05");
        let link = world.link_for(&ada.identity.email, "/reset?").await;
        assert!(world.letters("nobody@example.org").is_empty());

        let page = stranger.get(&link).await.unwrap().well().unwrap();
        let again = stranger.get(&link).await.unwrap().well().unwrap();
        assert_eq!(page.status, again.status, "looking does not use it up");
        let short = stranger.submit(&page, "/reset", &[("password", "short")]).await.unwrap();
        assert_eq!(short.status, StatusCode::BAD_REQUEST, "WB-07");
        let done = stranger.submit(&page, "/reset", &[("password", PASSWORD)]).await.unwrap();
        assert!(done.text.contains("Your password was changed"), "{}", done.text);
        assert!(!is_in(&ada.visitor).await, "WB-08: every session ends");
        let twice = stranger.submit(&page, "/reset", &[("password", "another teapot entirely")]).await.unwrap();
        assert_eq!(twice.status, StatusCode::NOT_FOUND, "WB-08: single use");
        assert_eq!(sign_in(&stranger, &ada.identity.email, &ada.identity.password).await.status, StatusCode::FORBIDDEN);
        sign_in(&stranger, &ada.identity.email, PASSWORD).await.well().unwrap();
        assert!(is_in(&stranger).await);
        world.end().await;
    }

    async fn a_link_for_a_password_lapses_in_half_an_hour(world: World) {
        let stranger = world.stranger();
        ask_for_letter(&stranger, "/forgotten", &world.owner().identity.email).await;
        let link = world.link_for(&world.owner().identity.email, "/reset?").await;
        world.clock().turn(Duration::from_secs(29 * 60));
        let page = stranger.get(&link).await.unwrap().well().unwrap();
        world.clock().turn(Duration::from_secs(2 * 60));
        assert_eq!(stranger.get(&link).await.unwrap().status, StatusCode::NOT_FOUND, "WB-08");
        let late = stranger.submit(&page, "/reset", &[("password", PASSWORD)]).await.unwrap();
        assert_eq!(late.status, StatusCode::NOT_FOUND, "WB-08");
        world.end().await;
    }

    async fn anybody_makes_an_account_where_that_is_allowed_and_nowhere_else(mut world: World) {
        let stranger = world.stranger();
        assert_eq!(stranger.get("/register").await.unwrap().status, StatusCode::NOT_FOUND);
        world.change_settings(|settings| settings.open_registration = true).await;
        let new = ask_for_letter(&stranger, "/register", "carol@example.org").await;
        let known = ask_for_letter(&stranger, "/register", &world.owner().identity.email).await;
        assert_eq!((new.status, &new.text), (known.status, &known.text), "WB-05");
        let link = world.link_for("carol@example.org", "/register?").await;
        let page = stranger.get(&link).await.unwrap().well().unwrap();
        let wrong = [("name", "Carol"), ("password", "passwordpassword")];
        let said = stranger.submit(&page, "/register/new", &wrong).await.unwrap();
        assert_eq!(said.status, StatusCode::BAD_REQUEST, "WB-07");
        assert_eq!(said.value_of("name").as_deref(), Some("Carol"), "what was typed stays");
        let fields = [("name", "Carol"), ("password", PASSWORD)];
        stranger.submit(&said, "/register/new", &fields).await.unwrap().well().unwrap();
        assert!(is_in(&stranger).await);
        let members = stranger.get("/members").await.unwrap();
        assert!(members.text.contains("Carol") && !members.text.contains("Ada"), "{}", members.text);
        // Whoever had an account already got a letter that says so, and no link to make another.
        world.link_for(&world.owner().identity.email, "/sign-in").await;
        world.end().await;
    }

    async fn letters_wait_for_a_mail_server_that_is_down(mut world: World) {
        let mut server = Server::new().unwrap();
        let url = server.url();
        world.change_settings(|settings| {
            settings.mail = mail::Settings { smtp: Some(Secret::from(url)), ..settings.mail.clone() };
        }).await;
        let stranger = world.stranger();
        let page = ask_for_letter(&stranger, "/forgotten", &world.owner().identity.email).await;
        assert_eq!(page.status, StatusCode::OK, "nobody waits for a mail server");
        assert!(server.taken().is_empty());
        // The letter outlives the broker too.
        world.stop_broker().await;
        server.start().await.unwrap();
        world.clock().turn(Duration::from_secs(300));
        world.start_broker().await;
        let letter = until("the letter to arrive", || async {
            server.taken().into_iter().find(|letter| letter.contains("/reset?token=3D") || letter.contains("/reset?token="))
        }).await;
        assert!(letter.contains("ada@example.org") && letter.contains("Subject: Set a new password"), "{letter}");
        world.end().await;
    }
}
