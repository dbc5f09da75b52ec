//! Failing: whatever the CA or the zone answers, a certificate comes of it in the end, and nothing stays behind.

use std::time::Duration;

use kit::cloudflare::Fault;
use kit::pebble::{Act, When};
use kit::until::within;
use kit::world::{Database, World};

use super::{LATER, SOON, Stage, line};

/// What a call may come to, by what is asked, and how many orders it may cost. Where the CA was told to look and its
/// answer was lost, it may look when the proof has been removed already.
const FAULTS: [(&str, Act, usize); 12] = [
    ("dir", Act::Html, 1),
    ("dir", Act::Problem(503, "serverInternal", Some(5)), 1),
    ("nonce-plz", Act::Problem(500, "serverInternal", None), 1),
    ("sign-me-up", Act::Lose, 1),
    ("order-plz", Act::Problem(500, "serverInternal", None), 1),
    ("order-plz", Act::Lose, 2),
    ("authZ", Act::Html, 1),
    ("chalZ", Act::Problem(500, "serverInternal", None), 1),
    ("chalZ", Act::Lose, 2),
    ("my-order", Act::Problem(503, "serverInternal", Some(2)), 2),
    ("finalize-order", Act::Lose, 1),
    ("certZ", Act::Lose, 1),
];

/// Waits until the broker has put off its next attempt.
async fn until_put_off(world: &World) {
    let is_put_off =
        async || world.number("SELECT COUNT(*) FROM certificate WHERE trouble IS NOT NULL").await == 1;
    within(SOON, "the attempt to fail", is_put_off).await.unwrap_or_else(|missing| panic!("{missing}"));
}

/// Time for another: as if two thirds of the old one's life were over.
async fn renew(world: &mut World) {
    world.stop_broker().await;
    world.write("UPDATE certificate SET renew_at = 0").await;
    world.start_broker().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_the_ca_passes_and_leaves_nothing() {
    let mut world = World::new(Database::Sqlite).await;
    let stage = Stage::new().await;
    stage.begin(&mut world).await;
    let port = world.address().port();
    let mut before = stage.until_other(port, &[]).await;
    for (what, act, most) in FAULTS {
        stage.until_tidy().await;
        let orders = stage.pebble.front.done("order-plz");
        stage.pebble.front.act(what, act, 1);
        renew(&mut world).await;
        until_put_off(&world).await;
        assert!(stage.shown(port).await.unwrap() == before, "the old one stays: {what} {act:?}");
        world.clock().turn(LATER);
        before = stage.until_other(port, &before).await;
        let orders = stage.pebble.front.done("order-plz") - orders;
        assert!(orders <= most, "{what} {act:?}: ordered {orders} times");
    }
    // A nonce that the CA does not know any more is no failure at all (RFC 8555 section 6.5).
    stage.pebble.front.act("order-plz", Act::Problem(400, "badNonce", None), 1);
    stage.until_tidy().await;
    renew(&mut world).await;
    stage.until_other(port, &before).await;
    stage.until_tidy().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_stopped_takes_its_proofs_along() {
    let mut world = World::new(Database::Sqlite).await;
    let stage = Stage::new().await;
    stage.pebble.front.act("chalZ", Act::Hold(When::Before), 1);
    stage.begin(&mut world).await;
    stage.pebble.front.until_held().await;
    assert_eq!(stage.cloudflare.state().records.len(), 3, "two proofs beside somebody else's");
    world.stop_broker().await;
    assert!(stage.cloudflare.state().records == [stage.foreign.clone()]);
    stage.pebble.front.release();
    world.start_broker().await;
    stage.until_other(world.address().port(), &[]).await;
    stage.until_tidy().await;
    assert_eq!(stage.pebble.front.done("order-plz"), 1, "it went on with its order");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ca_that_wants_to_be_left_alone_is() {
    let mut world = World::new(Database::Sqlite).await;
    let stage = Stage::new().await;
    stage.pebble.front.act("order-plz", Act::Problem(429, "rateLimited", Some(7200)), 1);
    stage.begin(&mut world).await;
    until_put_off(&world).await;
    let waits = world.number("SELECT not_before FROM certificate").await - world.clock().now().millis();
    assert!((7_100_000..=7_200_000).contains(&waits), "{waits}");
    let calls = stage.pebble.front.calls();
    world.clock().turn(Duration::from_secs(7000));
    // Nor does a restart make us bold.
    world.stop_broker().await;
    world.start_broker().await;
    let said = world.operator_fails(&["doctor"]);
    assert!(line(&said, "renewal").contains("rateLimited"), "{said}");
    assert_eq!(stage.pebble.front.calls(), calls);
    world.clock().turn(Duration::from_secs(300));
    stage.until_other(world.address().port(), &[]).await;
    stage.until_tidy().await;
    assert!(line(&world.operator(&["doctor"]), "renewal").starts_with("ok "));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_the_zone_passes_and_leaves_nothing() {
    let mut world = World::new(Database::Sqlite).await;
    let stage = Stage::new().await;
    stage.begin(&mut world).await;
    let port = world.address().port();
    let mut before = stage.until_other(port, &[]).await;
    stage.until_tidy().await;
    // For one order the zone is asked for its name, to write two texts, and then to find and remove each.
    let others = [Fault::Broken, Fault::Html, Fault::TooMany(1)];
    for (nth, fault) in (0..7).flat_map(|nth| [(nth, Fault::Lost), (nth, others[nth % others.len()])]) {
        stage.cloudflare.fail_next(&[vec![None; nth], vec![Some(fault)]].concat());
        renew(&mut world).await;
        let passes = async || {
            world.clock().turn(LATER);
            let now = stage.shown(port).await?;
            anyhow::ensure!(now != before, "still the old one");
            let records = stage.cloudflare.state().records.clone();
            anyhow::ensure!(records == [stage.foreign.clone()], "{records:#?}");
            Ok::<_, anyhow::Error>(now)
        };
        let passed = within(SOON, "another certificate and a tidy zone", passes).await;
        before = passed.unwrap_or_else(|missing| panic!("{nth} {fault:?}: {missing}"));
    }
    // A token that may not write is named.
    stage.cloudflare.state().permissions.retain(|word| *word != "dns");
    renew(&mut world).await;
    until_put_off(&world).await;
    let said = world.operator_fails(&["doctor"]);
    assert!(line(&said, "renewal").starts_with("WRONG") && said.contains("Zone > DNS > Edit"), "{said}");
    stage.cloudflare.state().permissions = vec!["tunnels", "dns", "settings"];
    world.clock().turn(LATER);
    stage.until_other(port, &before).await;
    stage.until_tidy().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_that_is_not_seen_fails_by_name_and_once_in_the_log() {
    let mut world = World::new(Database::Sqlite).await;
    let stage = Stage::new().await;
    stage.cloudflare.state().hides_texts = true;
    stage.begin(&mut world).await;
    until_put_off(&world).await;
    let said = world.operator_fails(&["doctor"]);
    let line = line(&said, "renewal");
    assert!(line.contains("does not find the proof of ") && line.contains(".localhost: No TXT"), "{said}");
    stage.until_tidy().await;
    // Outside, where the log is, it fails the same way again and again: one line.
    world.stop_broker().await;
    let settings = world.settings().clone();
    let mut broker = kit::programs::broker(&settings, world.folder()).unwrap();
    let tries = async || world.number("SELECT tries FROM certificate").await >= 3;
    let tried = within(Duration::from_secs(60), "it to be tried again", tries).await;
    tried.unwrap_or_else(|missing| panic!("{missing}"));
    let said = broker.tail(1000);
    assert_eq!(said.matches("no new certificate: ").count(), 1, "{said}");
    stage.cloudflare.state().hides_texts = false;
    broker.kill();
    broker = kit::programs::broker(&settings, world.folder()).unwrap();
    stage.until_other(settings.listen.port(), &[]).await;
    stage.until_tidy().await;
    broker.stop();
}
