//! Several brokers on one PostgreSQL, and what may lie about: one orders, all show it; no key lies in clear.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use broker::store::Where;
use kit::pebble::{Act, When};
use kit::postgres::Postgres;
use kit::process::Process;
use kit::programs;
use kit::search::Search;
use kit::world::{Database, World};
use nix::sys::signal::Signal;
use rcgen::KeyPair;

use super::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_brokers_one_orders_and_both_show_it() {
    let mut world = World::new(Database::Postgres).await;
    let stage = Stage::new().await;
    stage.begin(&mut world).await;
    let twin = world.twin().await;
    let first = stage.until_other(world.address().port(), &[]).await;
    assert!(stage.until_other(twin.address.port(), &[]).await == first);
    stage.until_tidy().await;
    assert_eq!(stage.pebble.front.done("order-plz"), 1);

    // Renewed, both have the new one, and again one has ordered.
    world.write("UPDATE certificate SET renew_at = 0").await;
    let second = stage.until_other(world.address().port(), &first).await;
    assert!(stage.until_other(twin.address.port(), &first).await == second);
    stage.until_tidy().await;
    assert_eq!(stage.pebble.front.done("order-plz"), 2);
    twin.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_broker_leaves_that_died_another_ends() {
    let mut world = World::new(Database::Postgres).await;
    let stage = Stage::new().await;
    world.stop_broker().await;
    let mut settings = world.settings().clone();
    stage.set(&mut settings);
    stage.pebble.front.act("finalize-order", Act::Hold(When::After), 1);
    let mut broker = programs::broker(&settings, world.folder()).unwrap();
    stage.pebble.front.until_held().await;
    assert!(stage.cloudflare.state().records.len() > 1, "its proofs are there");
    broker.kill();
    stage.pebble.front.release();
    let began = Instant::now();
    *world.settings_mut() = settings;
    world.start_broker().await;
    stage.until_other(world.address().port(), &[]).await;
    stage.until_tidy().await;
    println!("another broker has ended the order {:.1?} after the first was killed", began.elapsed());
    assert_eq!(stage.pebble.front.done("order-plz"), 1);
    world.end().await;
}

/// Of the DER of each P-256 key: what stands before its secret number (RFC 5915, RFC 5958).
fn before_a_key() -> Vec<u8> {
    let (one, two) =
        (KeyPair::generate().unwrap().serialize_der(), KeyPair::generate().unwrap().serialize_der());
    let same = one.iter().zip(&two).take_while(|(one, two)| one == two).count();
    assert!(same > 30, "P-256 keys have {same} bytes in common");
    // Its first bytes count its length.
    one[4..same].to_vec()
}

kit::stories! {
    async fn no_key_lies_in_clear_anywhere(mut world: World) {
        let stage = Stage::new().await;
        world.stop_broker().await;
        let mut settings = world.settings().clone();
        stage.set(&mut settings);
        let mut command = programs::brokers_command(&settings).unwrap();
        command.env("RUST_LOG", "trace");
        let log = world.folder().join("broker.log");
        // Held up with everything there is: an order, its key, and proofs.
        stage.pebble.front.act("certZ", Act::Hold(When::After), 1);
        let mut broker = Process::start("the broker", &mut command, &log, Signal::SIGTERM).unwrap();
        stage.pebble.front.until_held().await;
        let token = kit::cloudflare::TOKEN.as_bytes().to_vec();
        let search = Search::of(&[("a key", before_a_key()), ("the API token", token)]).unwrap();
        let planted = KeyPair::generate().unwrap().serialize_pem().replace('\n', "");
        assert_eq!(search.found(planted.as_bytes()), BTreeSet::from(["a key"]), "the search finds one in clear");
        let mut found = BTreeSet::new();
        for round in 0..2 {
            for what in ["cmdline", "environ"] {
                let seen = fs::read(format!("/proc/{}/{what}", broker.id())).unwrap();
                found.extend(search.found(&seen).into_iter().map(|name| (name.to_owned(), PathBuf::from(what))));
            }
            found.extend(search.found_below(world.folder()).unwrap());
            if let Where::Postgres(url) = &settings.database {
                let dump = Postgres::dump(url.expose()).unwrap();
                found.extend(search.found(&dump).into_iter().map(|name| (name.to_owned(), PathBuf::from("dump"))));
            }
            if round == 0 {
                stage.pebble.front.release();
                stage.until_other(settings.listen.port(), &[]).await;
                stage.until_tidy().await;
            }
        }
        broker.stop();
        found.extend(search.found_below(world.folder()).unwrap());
        let lawful = ("the API token".to_owned(), PathBuf::from("cloudflare.token"));
        assert_eq!(found, BTreeSet::from([lawful]));
        let said = broker.tail(100_000);
        assert!(said.contains("TRACE") && said.contains("no new certificate: "), "{}", broker.tail(20));
        assert!(!said.contains("PRIVATE KEY"));
    }
}
