//! Certifying: a broker that speaks TLS with files that somebody else renews, or with what it orders itself (T11).

mod ordering;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use kit::process::Process;
use kit::until::until;
use kit::world::{Database, World, broker_settings};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use reqwest::tls::TlsInfo;

/// What the world's broker and homes are called here.
const NAMES: [&str; 3] = ["localhost", "*.homes.localhost", "127.0.0.1"];

/// A certificate as its DER, and both as PEM.
struct Made {
    der: Vec<u8>,
    certificate: String,
    key: String,
}

/// Makes a certificate that lapses with a year.
fn make(names: &[&str], last_year: i32) -> Made {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(last_year, 12, 31);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Made { der: certificate.der().to_vec(), certificate: certificate.pem(), key: key.serialize_pem() }
}

/// The folders of certbot: `archive` with every pair there was, `live` with links to the newest.
struct Certbot {
    folder: PathBuf,
    last: usize,
}

impl Certbot {
    fn new(folder: &Path) -> Self {
        let folder = folder.join("letsencrypt");
        fs::create_dir_all(folder.join("archive")).unwrap();
        fs::create_dir_all(folder.join("live")).unwrap();
        Self { folder, last: 0 }
    }

    fn live(&self) -> (PathBuf, PathBuf) {
        let live = self.folder.join("live");
        (live.join("fullchain.pem"), live.join("privkey.pem"))
    }

    /// Writes new files and swings the links, one after the other.
    fn renew(&mut self, certificate: &str, key: &str) {
        self.last += 1;
        for (name, text) in [("fullchain", certificate), ("privkey", key)] {
            let file = format!("{name}{}.pem", self.last);
            fs::write(self.folder.join("archive").join(&file), text).unwrap();
            let (link, new) = (self.folder.join("live").join(format!("{name}.pem")), self.folder.join("new"));
            symlink(Path::new("../archive").join(file), &new).unwrap();
            fs::rename(new, link).unwrap();
        }
    }
}

/// A client that keeps its connection and tells which certificate it was shown on it.
fn client() -> reqwest::Client {
    kit::install_tls();
    let client = reqwest::Client::builder().no_proxy().danger_accept_invalid_certs(true).tls_info(true);
    client.build().unwrap()
}

/// The certificate of the connection on which an answer came.
async fn shown(client: &reqwest::Client, world: &World) -> Vec<u8> {
    let answer = client.get(format!("https://{}/healthz", world.address())).send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
    let der = answer.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate).map(<[u8]>::to_vec);
    _ = answer.bytes().await.unwrap();
    der.expect("a certificate was shown")
}

/// Lets the world's broker run as a program, with TLS from these files.
async fn speak_tls(world: &mut World, files: (PathBuf, PathBuf)) -> Process {
    let change = |settings: &mut broker::config::Settings| {
        settings.tls = Some(files);
        settings.public_url.set_scheme("https").unwrap();
        settings.home_domain = "homes.localhost".to_owned();
    };
    world.change(change).await;
    world.broker_outside().await
}

/// Waits until the broker has logged this.
async fn until_logged(broker: &Process, words: &str) {
    until(&format!("{words:?} in the log"), || async {
        let log = broker.tail(40);
        if log.contains(words) { Ok(()) } else { Err(log) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_is_shown_without_a_restart() {
    let mut world = World::new(Database::Sqlite).await;
    let mut certbot = Certbot::new(world.folder());
    let [first, second, third] = [2090, 2091, 2092].map(|year| make(&NAMES, year));
    certbot.renew(&first.certificate, &first.key);
    let mut broker = speak_tls(&mut world, certbot.live()).await;
    let old = client();
    assert!(shown(&old, &world).await == first.der);

    certbot.renew(&second.certificate, &second.key);
    until("the second certificate", || async { shown(&client(), &world).await == second.der }).await;
    // On its own connection it still sees the first: nobody has hung up on it.
    assert!(shown(&old, &world).await == first.der, "the old connection ended");

    // What is no good is named, and what was good stays.
    let lapsed = make(&NAMES, 2021);
    let cases = [
        (&third.certificate, &second.key, "tls_certificate and tls_key do not fit together"),
        (&"no certificate".to_owned(), &third.key, "fullchain.pem holds no certificate"),
        (&third.certificate, &"no key".to_owned(), "privkey.pem holds no private key"),
        (&lapsed.certificate, &lapsed.key, "it lapsed at 2021-12-31T00:00:00Z"),
    ];
    for (certificate, key, words) in cases {
        certbot.renew(certificate, key);
        until_logged(&broker, words).await;
        assert!(shown(&client(), &world).await == second.der, "{words}");
    }
    fs::remove_file(certbot.live().0).unwrap();
    until_logged(&broker, "tls_certificate: read ").await;
    assert!(shown(&client(), &world).await == second.der);
    assert!(!broker.tail(100).contains("PRIVATE KEY"), "{}", broker.tail(100));

    certbot.renew(&third.certificate, &third.key);
    until("the third certificate", || async { shown(&client(), &world).await == third.der }).await;
    assert!(shown(&old, &world).await == first.der, "the old connection ended");
    broker.stop();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_no_good_is_named_at_the_start_and_by_the_doctor() {
    let mut world = World::new(Database::Sqlite).await;
    let mut certbot = Certbot::new(world.folder());
    let [good, lapsed] = [2090, 2021].map(|year| make(&NAMES, year));
    certbot.renew(&lapsed.certificate, &lapsed.key);
    let mut broker = speak_tls(&mut world, certbot.live()).await;
    until_logged(&broker, "the certificate is no good now: it lapsed at 2021-12-31T00:00:00Z").await;
    assert!(shown(&client(), &world).await == lapsed.der, "it serves: a renewed one may come any moment");
    assert!(world.operator_fails(&["doctor"]).contains("0 days left; it lapsed at 2021-12-31"));

    certbot.renew(&good.certificate, &good.key);
    until("the renewed certificate", || async { shown(&client(), &world).await == good.der }).await;
    let said = world.operator(&["doctor"]);
    let line = said.lines().find(|line| line.contains("certificate")).unwrap_or(&said);
    assert!(
        line.starts_with("ok ") && line.contains(&NAMES.join(", ")) && line.contains(" days left"),
        "{said}"
    );
    broker.stop();

    let others = make(&["elsewhere.example"], 2090);
    certbot.renew(&others.certificate, &others.key);
    let mut broker = world.broker_program().await;
    for name in ["localhost", "*.homes.localhost"] {
        let words = format!("it does not cover {name}:");
        until_logged(&broker, &words).await;
        assert!(world.operator_fails(&["doctor"]).contains(&words), "{name}");
    }
    broker.stop();

    certbot.renew(&others.certificate, &good.key);
    let words = "tls_certificate and tls_key do not fit together";
    assert!(world.operator_fails(&["doctor"]).contains(words));
    let mut settings = broker_settings(&world.folder().join("another"), 0, None).unwrap();
    settings.tls = Some(certbot.live());
    let refused = broker::app::start(settings).await.err().expect("it does not start with such a pair");
    assert!(format!("{refused:#}").contains(words), "{refused:#}");
    world.end().await;
}
