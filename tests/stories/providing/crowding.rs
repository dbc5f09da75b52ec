//! Crowding: many who want something of the API at once. Its pace is everybody's, and who stands in line loses
//! nothing.

use std::time::Duration;

use broker::clock::Clock;
use futures_util::future::join_all;
use kit::cloudflare::{Asked, Cloudflare, When};
use kit::until::within;
use kit::world::{Database, World};
use reqwest::{Method, StatusCode};

use super::{READ, until_state};

/// How often tunnels' connectors were asked for; of one tunnel, or of all.
fn asked_for(cloudflare: &Cloudflare, tunnel: &str) -> usize {
    let is_it = |asked: &&Asked| asked.path.ends_with("/connections") && asked.path.contains(tunnel);
    cloudflare.asked().iter().filter(|asked| asked.method == Method::GET).filter(is_it).count()
}

/// Waits until the broker has looked at all tunnels, and knows what it saw.
async fn looked(cloudflare: &Cloudflare) {
    let is_look = |asked: &&Asked| asked.query.iter().any(|(name, _)| name == "include_prefix");
    for _ in 0..2 {
        let before = cloudflare.asked().iter().filter(is_look).count();
        cloudflare.until("a look at all tunnels", |all| all.iter().filter(is_look).count() > before).await;
    }
}

kit::stories! {
    async fn who_asks_again_and_again_for_tunnels_brings_about_few_calls(mut world: World) {
        const HOMES: usize = 22;
        let cloudflare = world.move_to_cloudflare().await;
        let service = world.service("workspace:read smarthome:read tunnels:manage").await;
        for number in 0..HOMES {
            let home = world.owner().add_home(&format!("House {number}")).await.unwrap();
            until_state(&service, home, "active").await;
        }
        looked(&cloudflare).await;
        let tunnels: Vec<_> = cloudflare.state().alive().map(|tunnel| tunnel.id.clone()).collect();
        let ask = async |tunnel: &str| {
            let (status, shown) = service.get(&format!("/api/tunnels/{tunnel}")).await.unwrap();
            assert_eq!(status, StatusCode::OK, "{shown}");
        };
        join_all((0..20).map(|_| ask(&tunnels[0]))).await;
        assert_eq!(asked_for(&cloudflare, &tunnels[0]), 1, "all share one answer");

        // That there was no answer is remembered, too; one call is tried three times.
        cloudflare.set_down(true);
        for _ in 0..10 {
            ask(&tunnels[1]).await;
        }
        cloudflare.set_down(false);
        assert!(asked_for(&cloudflare, &tunnels[1]) <= 3, "{}", asked_for(&cloudflare, &tunnels[1]));

        let before = asked_for(&cloudflare, "");
        join_all(tunnels[2..].iter().map(|tunnel| ask(tunnel))).await;
        let asked = asked_for(&cloudflare, "") - before;
        assert!((1..=13).contains(&asked), "a workspace of {HOMES} tunnels asks for {asked} at once");
        world.end().await;
    }

    async fn work_that_waits_in_line_is_not_begun_twice(mut world: World) {
        let cloudflare = slow(&mut world).await;
        eight_homes_are_made_once(&world, &cloudflare).await;
        world.end().await;
    }
}

/// Another machine's clock is an hour ahead, and still no lease of the first one's has run out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_is_left_to_a_broker_whose_clock_is_behind() {
    let mut world = World::new(Database::Postgres).await;
    let cloudflare = world.move_to_cloudflare().await;
    world.change(|settings| settings.cloudflare[0].patience = Duration::from_secs(60)).await;
    let service = world.service(READ).await;
    let ahead = Clock::new();
    ahead.turn(Duration::from_secs(3600));
    let twin = world.twin_at(ahead).await;
    cloudflare.hold(When::Before, |asked| asked.method == Method::POST);
    let home = world.owner().add_home("Attic").await.unwrap();
    cloudflare.until_held(1).await;
    // The other one looks for work every five seconds, as often as its heart beats.
    let beats = async || world.number("SELECT CAST(SUM(beat) AS BIGINT) FROM broker").await;
    let before = beats().await;
    let looks = within(Duration::from_secs(40), "the other broker to look for work", async || {
        beats().await >= before + 6
    });
    looks.await.unwrap();
    assert_eq!(works(&cloudflare), [""; 0], "what one is at work on is begun by the other");
    cloudflare.release();
    until_state(&service, home, "active").await;
    twin.stop().await;
    world.end().await;
}

/// A Cloudflare that is asked so slowly, and with so little patience, that a lease alone would run out in the line.
async fn slow(world: &mut World) -> Cloudflare {
    let cloudflare = world.move_to_cloudflare().await;
    world
        .change(|settings| {
            settings.cloudflare[0].calls_per_second = 1.5;
            settings.cloudflare[0].patience = Duration::from_secs(3);
        })
        .await;
    cloudflare
}

async fn eight_homes_are_made_once(world: &World, cloudflare: &Cloudflare) {
    let service = world.service(READ).await;
    let mut homes = Vec::new();
    for number in 0..8 {
        homes.push(world.owner().add_home(&format!("House {number}")).await.unwrap());
    }
    for home in &homes {
        until_state(&service, *home, "active").await;
    }
    let works = works(cloudflare);
    assert_eq!(works.len(), 4 * homes.len(), "{works:#?}");
}

/// What was asked for the sake of one home, as against looks at all.
fn works(cloudflare: &Cloudflare) -> Vec<String> {
    let looks = |(name, _): &(String, String)| name == "include_prefix" || name.starts_with("comment");
    let calls = cloudflare.asked();
    let works = calls.iter().filter(|asked| !asked.query.iter().any(looks));
    works.map(|asked| format!("{} {}", asked.method, asked.path)).collect()
}
