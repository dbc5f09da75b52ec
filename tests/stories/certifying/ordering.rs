//! Ordering: a broker that gets its certificate from a real CA, by ACME and DNS-01 (RFC 8555), and keeps it new.

mod crashing;
mod failing;
mod hooking;
mod several;

use std::time::{Duration, Instant};

use broker::config::{Settings, read_cloudflare};
use kit::cloudflare::{Cloudflare, Record};
use kit::pebble::{Act, Pebble, When};
use kit::until::{until, within};
use kit::world::{Database, World};
use reqwest::tls::TlsInfo;

/// What the broker is called here, and where its homes are: both in one zone.
const HOST: &str = "latchkey.test.localhost";
const HOMES: &str = "homes.test.localhost";
const ZONE: &str = "test.localhost";

/// An order takes seconds; beside other tests, more of them.
const SOON: Duration = Duration::from_secs(40);
/// Longer than any pause after a few failures.
const LATER: Duration = Duration::from_secs(2 * 3600);

/// A CA, and the zone in which it looks for proofs.
struct Stage {
    cloudflare: Cloudflare,
    pebble: Pebble,
    /// Somebody else's proof, under the same name as ours.
    foreign: Record,
}

impl Stage {
    async fn new() -> Self {
        let cloudflare = Cloudflare::start(HOMES).await;
        cloudflare.state().zone = ZONE.to_owned();
        let proof = format!("_acme-challenge.{HOMES}");
        let foreign = cloudflare.state().add_record("TXT", &proof, "\"somebody else's\"", "");
        let pebble = Pebble::start(cloudflare.zone()).await;
        Self { cloudflare, pebble, foreign }
    }

    /// Lets a broker order here from its next start on.
    fn set(&self, settings: &mut Settings) {
        let folder = settings.data_dir.parent().unwrap().to_owned();
        let list = self.cloudflare.write_accounts(&folder).unwrap();
        settings.acme = Some(self.pebble.settings(read_cloudflare(&list).unwrap(), &[]));
        settings.public_url = format!("https://{HOST}:{}", settings.listen.port()).parse().unwrap();
        settings.home_domain = HOMES.to_owned();
    }

    /// Starts the world's broker again, to order here.
    async fn begin(&self, world: &mut World) {
        world.change(|settings| self.set(settings)).await;
    }

    /// The certificate that clients who trust the CA alone are shown, by the broker and at a home's name.
    async fn shown(&self, port: u16) -> anyhow::Result<Vec<u8>> {
        let client = kit::http_client_trusting(&self.pebble.root)?;
        let broker = shown(&client, &format!("https://{HOST}:{port}/healthz")).await?;
        let home = shown(&client, &format!("https://any-home.{HOMES}:{port}/")).await?;
        anyhow::ensure!(broker == home, "two certificates");
        Ok(broker)
    }

    /// Waits for a certificate that is not this one.
    async fn until_other(&self, port: u16, before: &[u8]) -> Vec<u8> {
        let other = async || {
            let now = self.shown(port).await?;
            anyhow::ensure!(now != before, "still the old one");
            Ok::<_, anyhow::Error>(now)
        };
        within(SOON, "a certificate", other).await.unwrap_or_else(|missing| panic!("{missing}"))
    }

    /// Waits until the zone holds nothing of ours, and all that is others'.
    async fn until_tidy(&self) {
        let tidy = async || {
            let records = self.cloudflare.state().records.clone();
            if records == [self.foreign.clone()] { Ok(()) } else { Err(format!("{records:#?}")) }
        };
        within(SOON, "a tidy zone", tidy).await.unwrap_or_else(|missing| panic!("{missing}"));
    }
}

/// The certificate of the connection on which an answer came.
async fn shown(client: &reqwest::Client, address: &str) -> anyhow::Result<Vec<u8>> {
    let answer = client.get(address).send().await?;
    let der = answer.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate).map(<[u8]>::to_vec);
    _ = answer.bytes().await?;
    der.ok_or_else(|| anyhow::anyhow!("no certificate was shown"))
}

/// A line of what the doctor says.
fn line(said: &str, what: &str) -> String {
    let found = said.lines().find(|line| line.contains(&format!("  {what}: ")));
    found.unwrap_or_else(|| panic!("no {what} in {said}")).to_owned()
}

kit::stories! {
    async fn what_was_altered_in_the_database_is_ordered_anew(mut world: World) {
        let stage = Stage::new().await;
        stage.begin(&mut world).await;
        let port = world.address().port();
        let first = stage.until_other(port, &[]).await;
        let alter = "UPDATE certificate SET key_sealed = substr(key_sealed, 1, 90),
             account_sealed = substr(account_sealed, 1, 90) RETURNING id";
        world.number(alter).await;
        stage.until_other(port, &first).await;
        stage.until_tidy().await;
        world.end().await;
    }

    async fn a_first_certificate_covers_broker_and_homes_and_outlives_a_restart(mut world: World) {
        let stage = Stage::new().await;
        stage.pebble.front.act("order-plz", Act::Hold(When::Before), 1);
        let began = Instant::now();
        stage.begin(&mut world).await;
        let port = world.address().port();
        stage.pebble.front.until_held().await;
        // Nobody is served without: neither by TLS nor without it.
        let refused = kit::http_client().get(format!("https://{HOST}:{port}/healthz")).send().await.unwrap_err();
        assert!(format!("{refused:?}").contains("AlertReceived"), "{refused:?}");
        assert!(kit::http_client().get(format!("http://{HOST}:{port}/healthz")).send().await.is_err());
        let said = world.operator_fails(&["doctor"]);
        assert!(line(&said, "certificate").starts_with("WRONG") && said.contains("there is none yet"), "{said}");
        assert!(line(&said, "renewal").starts_with("note"), "{said}");
        for name in [HOST, HOMES] {
            let line = line(&said, &format!("proof of {name}"));
            assert!(line.starts_with("ok ") && line.contains("written at Cloudflare"), "{said}");
        }

        stage.pebble.front.release();
        let told = async || {
            let said = world.operator_fails(&["doctor"]);
            if line(&said, "renewal").starts_with("WRONG") { Ok(()) } else { Err(said) }
        };
        until("the doctor to tell of the failure", told).await;
        world.clock().turn(LATER);
        let first = stage.until_other(port, &[]).await;
        stage.until_tidy().await;
        println!("first certificate {:.1?} after the start, one lost call included", began.elapsed());
        let said = world.operator(&["doctor"]);
        let line = line(&said, "certificate");
        assert!(line.starts_with("ok ") && line.contains(HOST) && line.contains(&format!("*.{HOMES}")), "{said}");

        let calls = stage.pebble.front.calls();
        world.stop_broker().await;
        world.start_broker().await;
        assert!(stage.shown(port).await.unwrap() == first, "there at once, and the same");
        world.stop_broker().await;
        assert_eq!(stage.pebble.front.calls(), calls, "nothing is asked of the CA");

        // Another name wants another certificate; until it is there the old one is shown.
        world.settings_mut().home_domain = format!("more.{HOMES}");
        world.start_broker().await;
        let client = kit::http_client_trusting(&stage.pebble.root).unwrap();
        let address = format!("https://any-home.more.{HOMES}:{port}/");
        within(SOON, "the other name", async || shown(&client, &address).await).await.unwrap();
        stage.until_tidy().await;
        assert_eq!(stage.pebble.front.done("order-plz"), 2);
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_renewed_at_two_thirds_of_its_life_while_connections_live() {
    let mut world = World::new(Database::Sqlite).await;
    let stage = Stage::new().await;
    stage.begin(&mut world).await;
    let port = world.address().port();
    let first = stage.until_other(port, &[]).await;
    stage.until_tidy().await;
    let old = kit::http_client_trusting(&stage.pebble.root).unwrap();
    let address = format!("https://{HOST}:{port}/healthz");
    assert!(shown(&old, &address).await.unwrap() == first);

    // Pebble's live for five years: just before two thirds nothing is asked.
    let renew_at = world.number("SELECT renew_at FROM certificate").await;
    let now = world.clock().now().millis();
    let years = (renew_at - now) as f64 / (365.25 * 24.0 * 3600e3);
    assert!((3.2..3.34).contains(&years), "{years}");
    let span = Duration::from_millis((renew_at - now).unsigned_abs());
    let calls = stage.pebble.front.calls();
    world.clock().turn(span - Duration::from_secs(24 * 3600));
    assert!(line(&world.operator(&["doctor"]), "renewal").starts_with("ok "));
    assert_eq!(stage.pebble.front.calls(), calls);
    world.clock().turn(Duration::from_secs(24 * 3600));
    let second = stage.until_other(port, &first).await;
    stage.until_tidy().await;
    assert!(shown(&old, &address).await.unwrap() == first, "the old connection ended");
    assert!(stage.shown(port).await.unwrap() == second);
    assert_eq!(stage.pebble.front.done("order-plz"), 2);
    // The account is the same as before.
    assert_eq!(
        world.number("SELECT COUNT(*) FROM certificate WHERE order_url IS NULL AND trouble IS NULL").await,
        1
    );
    world.end().await;
}
