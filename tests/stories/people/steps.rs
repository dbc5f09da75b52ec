//! Signing in in two steps.

use std::time::Duration;

use kit::visitor::{Page, Visitor};
use kit::world::World;
use reqwest::StatusCode;

use super::{is_in, sign_in};

/// The code an app shows for a secret (RFC 6238).
fn code(secret: &str, world: &World) -> String {
    let bytes = base32(&secret.replace(' ', ""));
    let seconds = u64::try_from(world.clock().now().millis() / 1000).unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    let tag = aws_lc_rs::hmac::sign(&key, &(seconds / 30).to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[tag.len() - 1] & 15);
    let number = u32::from_be_bytes(tag[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

fn base32(text: &str) -> Vec<u8> {
    let bits: String = text
        .bytes()
        .map(|letter| {
            format!("{:05b}", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|b| *b == letter).unwrap())
        })
        .collect();
    bits.as_bytes()
        .chunks_exact(8)
        .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
        .collect()
}

/// Sets an app up; its secret, and the page with the recovery codes.
async fn set_up(world: &World) -> (String, Page) {
    let ada = &world.owner().visitor;
    let page = ada.get("/account/second-factor").await.unwrap().well().unwrap();
    let secret = page.value_of("secret").unwrap();
    let codes =
        ada.submit(&page, "/account/second-factor", &[("code", &code(&secret, world))]).await.unwrap();
    (secret, codes.well().unwrap())
}

/// The first step, towards a page; the second's form.
async fn first_step(world: &World, visitor: &Visitor, next: &str) -> Page {
    let identity = &world.owner().identity;
    let page = visitor.get(&format!("/sign-in?next={next}")).await.unwrap().well().unwrap();
    let fields = [("email", identity.email.as_str()), ("password", identity.password.as_str())];
    let page = visitor.submit(&page, "/sign-in", &fields).await.unwrap().well().unwrap();
    assert_eq!(page.url.path(), "/sign-in/second");
    page
}

kit::stories! {
    async fn a_code_of_an_app_is_good_once_and_a_recovery_code_too(world: World) {
        let (secret, codes) = set_up(&world).await;
        let recovery = codes.text.split("<pre").nth(1).unwrap().split('>').nth(1).unwrap();
        let recovery: Vec<_> = recovery.lines().map(|line| line.split('<').next().unwrap().trim().to_owned()).filter(|l| !l.is_empty()).collect();
        assert_eq!(recovery.len(), 10, "{recovery:?}");
        world.clock().turn(Duration::from_secs(30));

        let (one, two) = (world.stranger(), world.stranger());
        let (first, second) = (first_step(&world, &one, "%2F").await, first_step(&world, &two, "%2F").await);
        assert!(!is_in(&one).await, "half in is out");
        let first = first.form("/sign-in/second").map(|_| first).unwrap();
        let now = code(&secret, &world);
        one.submit(&first, "/sign-in/second", &[("code", &now)]).await.unwrap().well().unwrap();
        assert!(is_in(&one).await);
        let replayed = two.submit(&second, "/sign-in/second", &[("code", &now)]).await.unwrap();
        assert_eq!(replayed.status, StatusCode::FORBIDDEN, "WB-09: a step is good once");
        two.submit(&replayed, "/sign-in/second", &[("code", &recovery[0])]).await.unwrap().well().unwrap();
        assert!(is_in(&two).await, "WB-09");
        let three = world.stranger();
        let third = first_step(&world, &three, "%2F").await;
        let again = three.submit(&third, "/sign-in/second", &[("code", &recovery[0])]).await.unwrap();
        assert_eq!(again.status, StatusCode::FORBIDDEN, "WB-09: a recovery code is good once");
        world.end().await;
    }

    async fn what_was_asked_for_survives_the_second_step_and_a_restart_in_between(mut world: World) {
        let (secret, _) = set_up(&world).await;
        world.clock().turn(Duration::from_secs(30));
        let visitor = world.stranger();
        let page = first_step(&world, &visitor, "%2Fworkspaces%3Fa%3Db").await;
        world.stop_broker().await;
        world.start_broker().await;
        let on = visitor.submit(&page, "/sign-in/second", &[("code", &code(&secret, &world))]).await.unwrap();
        assert_eq!(on.url.path(), "/workspaces", "AZ-28: {}", on.text);
        assert_eq!(on.url.query(), Some("a=b"), "AZ-28");
        world.end().await;
    }

    async fn guessing_codes_is_slowed_across_a_restart(mut world: World) {
        set_up(&world).await;
        let visitor = world.stranger();
        let page = first_step(&world, &visitor, "%2F").await;
        for _ in 0..6 {
            let wrong = visitor.submit(&page, "/sign-in/second", &[("code", "000000")]).await.unwrap();
            assert_eq!(wrong.status, StatusCode::FORBIDDEN, "WB-04");
        }
        world.stop_broker().await;
        world.start_broker().await;
        let slowed = visitor.submit(&page, "/sign-in/second", &[("code", "000000")]).await.unwrap();
        assert_eq!(slowed.status, StatusCode::TOO_MANY_REQUESTS, "WB-04: a restart forgives nobody");
        assert!(slowed.header("retry-after").is_some(), "WB-04");
        world.end().await;
    }

    async fn a_wrong_password_never_leads_to_the_second_step(world: World) {
        set_up(&world).await;
        let page = sign_in(&world.stranger(), &world.owner().identity.email, "not the password").await;
        assert_eq!((page.status, page.url.path()), (StatusCode::FORBIDDEN, "/sign-in"), "WB-05");
        world.end().await;
    }
}
