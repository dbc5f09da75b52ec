//! Secrets: nobody can guess them, they are not in the database, and they are not in the log.

use std::collections::BTreeSet;

use kit::world::World;
use shared::oauth::path;
use url::Url;

use super::paired;
use super::program::Program;

const SAMPLES: u8 = 12;
/// What people type: no vowels, so no words, and nothing that looks like something else (RFC 8628 section 6.1).
const TYPED: &str = "BCDFGHJKLMNPQRSTVWXZ";

/// Distinct, and drawn from 64 signs often enough for 128 bits, beside their prefix and checksum.
fn assert_unguessable(what: &str, samples: &[String]) {
    assert_eq!(samples.iter().collect::<BTreeSet<_>>().len(), samples.len(), "{what}: {samples:?}");
    for sample in samples {
        let signs: BTreeSet<char> = sample.chars().collect();
        assert!(sample.len() >= 40 && signs.len() >= 16, "{what}: {sample}");
    }
    // Each place after the prefix differs somewhere: nothing in it is a counter or the time.
    let shortest = samples.iter().map(String::len).min().unwrap();
    let still = (4..shortest)
        .filter(|at| samples.iter().all(|one| one.as_bytes()[*at] == samples[0].as_bytes()[*at]));
    assert_eq!(still.count(), 0, "{what}: {samples:?}");
}

kit::stories! {
    async fn secrets_cannot_be_guessed(world: World) {
        let (mut codes, mut devices, mut access, mut refresh) = (vec![], vec![], vec![], vec![]);
        for n in 0..SAMPLES {
            let program = Program::of(&world).elsewhere(n + 1);
            let page = world.owner().visitor.get(&program.request("s t&a=te")).await.unwrap();
            codes.push(program.code(&world.owner().visitor, &page).await);
            let device = program.device().await;
            devices.push(device.text("device_code"));
            let typed: String = device.text("user_code").chars().filter(|sign| *sign != '-').collect();
            assert!(typed.len() >= 8 && typed.chars().all(|sign| TYPED.contains(sign)), "DG-11: {typed}");
            let tokens = paired(&program, world.owner()).await;
            access.push(tokens.text("access_token"));
            refresh.push(tokens.text("refresh_token"));
        }
        assert_unguessable("AZ-16", &codes);
        assert_unguessable("DG-13", &devices);
        assert_unguessable("TK-26: access", &access);
        assert_unguessable("TK-26: refresh", &refresh);
        let all = world.number("SELECT COUNT(*) FROM token").await;
        let hashed = world.number("SELECT COUNT(*) FROM token WHERE length(token_hash) = 32").await;
        assert!(all == hashed && all >= 2 * i64::from(SAMPLES), "BR-12: {hashed} of {all} are hashes");
        world.end().await;
    }

    async fn secrets_are_not_in_the_log(mut world: World) {
        let mut broker = world.broker_outside().await;
        let program = Program::of(&world);
        let page = world.owner().visitor.get(&program.request("s t&a=te")).await.unwrap();
        let code = program.code(&world.owner().visitor, &page).await;
        let tokens = program.redeem(&code).await;
        let refreshed = program.refresh(&tokens.text("refresh_token")).await;
        // Trouble is what logs are written for: reuse, garbage, a link that is none.
        program.refresh(&refreshed.text("refresh_token")).await;
        program.refresh(&tokens.text("refresh_token")).await;
        program.redeem(&code).await;
        program.post(path::TOKEN, &[("grant_type", "refresh_token"), ("refresh_token", "lkr_garbage-of-a-token")]).await;
        let link = "/portal/entity/1?access_token=lkl_0123456789abcdefghijklmnopqrstuvwxyz";
        world.stranger().get(link).await.unwrap();
        let url = Url::parse(&world.origin()).unwrap();
        let session = world.owner().visitor.cookies(&url);
        broker.stop();
        let log = std::fs::read_to_string(world.folder().join("broker.log")).unwrap();
        assert!(log.contains("used twice"), "SL-06: the log is not the one of this story:\n{log}");
        let session = session.split_once('=').unwrap().1.split(';').next().unwrap().to_owned();
        let secrets = [code, tokens.text("access_token"), tokens.text("refresh_token"), refreshed.text("access_token"), session];
        let given = ["garbage-of-a-token".to_owned(), "0123456789abcdefghij".to_owned(), "s+t%26a".to_owned()];
        for secret in secrets.iter().chain(&given) {
            assert!(!log.contains(&**secret), "SL-06, AZ-25: {secret} is in the log");
        }
    }
}
