//! Crashing: the broker is killed before and after each call to the CA and to the zone, and when it is back it gets
//! its certificate and leaves nothing.

use std::net::SocketAddr;
use std::time::Instant;

use broker::config::Settings;
use broker::store::Where;
use kit::cloudflare::{self, Asked};
use kit::pebble::{Act, When};
use kit::process::free_port;
use kit::programs;
use kit::world::{Database, World};
use reqwest::Method;

use super::Stage;

/// What is asked of the CA, in the order in which it is.
const CA: [&str; 10] = [
    "dir",
    "nonce-plz",
    "sign-me-up",
    "my-account",
    "order-plz",
    "authZ",
    "chalZ",
    "my-order",
    "finalize-order",
    "certZ",
];

/// What is asked of the zone.
const ZONE: [Call; 4] = [
    Call { what: "its name", zone: Some(|asked| !asked.path.contains("dns_records")) },
    Call { what: "write a text", zone: Some(|asked| asked.method == Method::POST) },
    Call {
        what: "look at texts",
        zone: Some(|asked| asked.query.iter().any(|(name, _)| name == "name.exact")),
    },
    Call { what: "remove a text", zone: Some(|asked| asked.method == Method::DELETE) },
];

/// A call at which the broker is killed.
struct Call {
    what: &'static str,
    /// How the zone's is known; none for one to the CA.
    zone: Option<fn(&Asked) -> bool>,
}

/// A broker of its own in the same world: another folder, another port.
fn settings(stage: &Stage, world: &World, number: usize) -> Settings {
    let mut settings = world.settings().clone();
    settings.data_dir = world.folder().join(number.to_string()).join("broker");
    std::fs::create_dir_all(&settings.data_dir).unwrap();
    settings.database = Where::Sqlite(settings.data_dir.join("latchkey.db"));
    settings.keys_file = settings.data_dir.join("keys");
    settings.listen = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
    stage.set(&mut settings);
    settings
}

/// Lets a broker begin, and kills it at this call.
async fn killed_at(stage: &Stage, settings: &Settings, when: When, call: &Call) {
    let folder = settings.data_dir.parent().unwrap();
    match (call.zone, when) {
        (None, _) => stage.pebble.front.act(call.what, Act::Hold(when), 1),
        (Some(is_it), When::Before) => stage.cloudflare.hold(cloudflare::When::Before, is_it),
        (Some(is_it), When::After) => stage.cloudflare.hold(cloudflare::When::After, is_it),
    }
    let mut broker = programs::broker(settings, folder).unwrap();
    match call.zone {
        None => stage.pebble.front.until_held().await,
        Some(_) => stage.cloudflare.until_held(1).await,
    }
    broker.kill();
    stage.pebble.front.release();
    stage.cloudflare.release();
}

async fn crash(when: When) {
    let world = World::unclaimed(Database::Sqlite).await;
    let stage = Stage::new().await;
    let began = Instant::now();
    for (number, call) in CA.map(|what| Call { what, zone: None }).into_iter().chain(ZONE).enumerate() {
        let settings = settings(&stage, &world, number);
        let orders = stage.pebble.front.done("order-plz");
        killed_at(&stage, &settings, when, &call).await;
        let what = call.what;
        let mut broker = programs::broker(&settings, settings.data_dir.parent().unwrap()).unwrap();
        stage.until_other(settings.listen.port(), &[]).await;
        stage.until_tidy().await;
        let orders = stage.pebble.front.done("order-plz") - orders;
        let most = if (what, when) == ("order-plz", When::After) { 2 } else { 1 };
        assert_eq!(orders, most, "killed {when:?} {what}: so many orders");
        broker.stop();
    }
    println!("killed {when:?} each of {} calls: {:.0?} in all", CA.len() + ZONE.len(), began.elapsed());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_before_any_call_comes_to_a_certificate() {
    crash(When::Before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_after_any_call_comes_to_a_certificate() {
    crash(When::After).await;
}
