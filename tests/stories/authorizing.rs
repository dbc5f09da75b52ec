//! Authorizing: programs are let in by a browser or by a code, go on for as long as they may, and are out when
//! they are put out; however often they ask at once, and whatever happens to the broker meanwhile.

mod borrowing;
mod faults;
mod offering;
pub mod program;
mod secrets;
mod secure;
mod timing;
mod storms;
mod ways_in;

use std::time::Duration;

use kit::owner::Owner;
use kit::world::World;
use reqwest::StatusCode;
use shared::oauth::{Scopes, path};

use program::Program;

kit::stories! {
    async fn a_program_is_let_in_by_a_browser_and_put_out_again(mut world: World) {
        let program = Program::of(&world);
        // Somebody who is not signed in does that on the way, and the whole request comes through it.
        let visitor = world.stranger();
        let page = visitor.get(&program.request("s t&a=te")).await.unwrap();
        let identity = &world.owner().identity;
        let fields = [("email", identity.email.as_str()), ("password", identity.password.as_str())];
        let page = visitor.submit(&page, "/sign-in", &fields).await.unwrap();
        assert!(page.text.contains("Latchkey Agent"), "AZ-28: {page:?}");
        let code = program.code(&visitor, &page).await;
        let tokens = program.redeem(&code).await;
        assert_eq!(tokens.status, StatusCode::OK, "{tokens:?}");
        assert_eq!(tokens.text("scope"), Scopes::agent().to_string());
        assert_eq!(program.call(&tokens.text("access_token")).await, StatusCode::OK);

        world.stop_broker().await;
        world.start_broker().await;
        let tokens = program.refresh(&tokens.text("refresh_token")).await;
        assert_eq!(tokens.status, StatusCode::OK, "RT-15: {tokens:?}");
        assert_eq!(program.call(&tokens.text("access_token")).await, StatusCode::OK);

        let revoked = program.post(path::REVOKE, &[("token", &tokens.text("access_token"))]).await;
        assert_eq!(revoked.status, StatusCode::OK, "RV-01");
        assert_eq!(program.call(&tokens.text("access_token")).await, StatusCode::UNAUTHORIZED, "RV-01");
        let refused = program.refresh(&tokens.text("refresh_token")).await;
        assert_eq!((refused.status, refused.text("error")), (StatusCode::BAD_REQUEST, "invalid_grant".into()), "RV-02");
        world.end().await;
    }

    async fn a_device_goes_on_polling_through_a_restart(mut world: World) {
        let program = Program::of(&world);
        let device = program.device().await;
        let code = device.text("device_code");
        assert_eq!(program.poll(&code).await.text("error"), "authorization_pending", "DG-04");
        world.stop_broker().await;
        world.start_broker().await;
        assert_eq!(program.poll(&code).await.text("error"), "slow_down", "the interval is remembered too (DG-20)");
        let page = world.owner().allow_by_code(&device.text("user_code"), "Lake House").await.unwrap();
        assert!(page.text.contains("is let in"), "{page:?}");
        let tokens = program.poll(&code).await;
        assert_eq!(tokens.status, StatusCode::OK, "DG-20: {tokens:?}");
        assert!(tokens.json["home_id"].is_i64(), "O7");
        world.end().await;
    }

    async fn whoever_is_somebody_else_says_so_and_comes_back(world: World) {
        let neighbour = world.neighbour().await;
        let program = Program::of(&world);
        let page = neighbour.visitor.get(&program.request("x")).await.unwrap();
        let not_you = page.forms().filter(|form| form.action == "/sign-out").last().unwrap();
        let fields: Vec<_> = not_you.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let out = neighbour.visitor.post("/sign-out", &fields).await.unwrap();
        let page = neighbour.visitor.get(out.header("location").unwrap()).await.unwrap();
        let identity = &world.owner().identity;
        let fields = [("email", identity.email.as_str()), ("password", identity.password.as_str())];
        let page = neighbour.visitor.submit(&page, "/sign-in", &fields).await.unwrap();
        assert!(page.text.contains(&identity.email) && page.text.contains("Latchkey Agent"), "AZ-28: {page:?}");
        world.end().await;
    }

    async fn a_token_of_one_account_sees_nothing_of_another(world: World) {
        let program = Program::of(&world);
        let neighbour = world.neighbour().await;
        let (ours, theirs) = (paired(&program, world.owner()).await, paired(&program, &neighbour).await);
        let home = format!("/api/smarthome/homes/{}", theirs.json["home_id"]);
        for path in [home.clone(), format!("{home}/tunnel-token"), format!("{home}/status")] {
            assert_eq!(program.get(&path, &theirs.text("access_token")).await, StatusCode::OK, "{path}");
            assert_eq!(program.get(&path, &ours.text("access_token")).await, StatusCode::NOT_FOUND, "{path} (BR-08)");
        }
        // A home's page that names another's home in its form lets nobody into it.
        let device = program.device().await;
        let page = world.owner().visitor.get(&format!("/device?user_code={}", device.text("user_code"))).await.unwrap();
        let fields = [("home", theirs.json["home_id"].to_string()), ("decision", "allow".into())];
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let refused = world.owner().visitor.submit(&page, "/device", &fields).await.unwrap();
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "BR-08");
        assert_eq!(program.poll(&device.text("device_code")).await.text("error"), "authorization_pending");
        world.end().await;
    }

    async fn a_grant_ends_a_month_after_it_was_last_used_and_a_year_after_it_began(world: World) {
        let program = Program::of(&world);
        let day = Duration::from_secs(24 * 3600);
        let mut tokens = paired(&program, world.owner()).await;
        for _ in 0..13 {
            assert_eq!(program.call(&tokens.text("access_token")).await, StatusCode::OK, "RT-12");
            world.clock().turn(28 * day);
            assert_eq!(program.call(&tokens.text("access_token")).await, StatusCode::UNAUTHORIZED, "BR-02");
            tokens = program.refresh(&tokens.text("refresh_token")).await;
            assert_eq!(tokens.status, StatusCode::OK, "RT-12: {tokens:?}");
        }
        world.clock().turn(2 * day);
        assert_eq!(program.refresh(&tokens.text("refresh_token")).await.text("error"), "invalid_grant", "RT-12");
        world.end().await;
    }
}

/// Tokens for a new home of this owner.
pub async fn paired(program: &Program, owner: &Owner) -> program::Said {
    let device = program.device().await;
    owner.allow_by_code(&device.text("user_code"), "Lake House").await.unwrap();
    let tokens = program.poll(&device.text("device_code")).await;
    assert_eq!(tokens.status, StatusCode::OK, "{tokens:?}");
    tokens
}
