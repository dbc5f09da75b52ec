//! The certificate that we show: read from two files, looked at, and read anew when they change.
//!
//! Whoever renews it (certbot, a mounted secret) writes two files or swings two links, and tells nobody. So both are
//! read every [`PACE`] and compared with what they were: a few kilobytes, and right for every way of renewing. A
//! watch on the files would miss a link that is swung in a folder above, and what lies on a network.
//!
//! Invariant: what is shown is a pair that fits. One that does not is named in the log once, and the old one stays.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use url::Host;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use crate::clock::{Clock, Timestamp};
use crate::config::Settings;

/// How often the files are read.
const PACE: Duration = Duration::from_secs(1);
const DAY: u64 = 24 * 3600;

/// A certificate chain and its key, PEM.
#[derive(Debug, Clone)]
pub struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// What a certificate says of itself.
#[derive(Debug, Clone)]
pub struct Shown {
    names: Vec<String>,
    not_before: Timestamp,
    not_after: Timestamp,
    leaf: CertificateDer<'static>,
}

/// The pair in use, to be kept new.
pub struct Certificate {
    files: Files,
    needed: Vec<String>,
    clock: Clock,
    /// What was last looked at, in use or refused.
    judged: Mark,
    acceptor: watch::Sender<TlsAcceptor>,
}

/// What both files held, or why they could not be read.
type Mark = Result<Vec<u8>, String>;

/// The names that visitors know us by: the public address's host, and the wildcard of the homes whose tunnels end
/// here.
pub fn needed(settings: &Settings) -> Vec<String> {
    let host = match settings.public_url.host() {
        Some(Host::Domain(name)) => Some(name.to_owned()),
        Some(Host::Ipv4(ip)) => Some(ip.to_string()),
        Some(Host::Ipv6(ip)) => Some(ip.to_string()),
        None => None,
    };
    let homes = settings.cloudflare.is_empty().then(|| format!("*.{}", settings.home_domain));
    host.into_iter().chain(homes).collect()
}

impl Files {
    /// The two that the settings name; none when TLS is somebody else's.
    pub fn of(settings: &Settings) -> Option<Self> {
        let (certificate, key) = settings.tls.clone()?;
        Some(Self { certificate, key })
    }

    /// Reads the pair and looks at it, without using it.
    ///
    /// # Errors
    /// As [`Certificate::open`].
    pub fn look(&self) -> anyhow::Result<Shown> {
        self.read().and_then(|read| self.pair(&read)).map(|(_, shown)| shown)
    }

    fn read(&self) -> anyhow::Result<[Vec<u8>; 2]> {
        let read = |setting: &str, path: &Path| {
            std::fs::read(path).with_context(|| format!("{setting}: read {}", path.display()))
        };
        Ok([read("tls_certificate", &self.certificate)?, read("tls_key", &self.key)?])
    }

    fn pair(&self, [certificate, key]: &[Vec<u8>; 2]) -> anyhow::Result<(TlsAcceptor, Shown)> {
        let (named, keys) = (self.certificate.display(), self.key.display());
        let chain = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<Vec<_>, _>>()
            .with_context(|| format!("tls_certificate: {named} is no PEM"))?;
        let leaf = chain.first().with_context(|| format!("tls_certificate: {named} holds no certificate"))?;
        let shown = Shown::of(leaf).with_context(|| format!("tls_certificate: {named}"))?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .with_context(|| format!("tls_key: {keys} holds no private key"))?;
        let mut config =
            rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).with_context(
                || format!("tls_certificate and tls_key do not fit together: {named}, {keys}"),
            )?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok((TlsAcceptor::from(Arc::new(config)), shown))
    }
}

impl Shown {
    fn of(leaf: &CertificateDer<'_>) -> anyhow::Result<Self> {
        let (_, parsed) = parse_x509_certificate(leaf).context("its first certificate cannot be read")?;
        let moment = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
        let alternative = parsed.subject_alternative_name()?;
        let names = alternative.iter().flat_map(|names| &names.value.general_names).filter_map(name);
        Ok(Self {
            names: names.collect(),
            not_before: moment(parsed.validity().not_before.timestamp()),
            not_after: moment(parsed.validity().not_after.timestamp()),
            leaf: leaf.clone().into_owned(),
        })
    }

    /// Whole days until it lapses.
    pub fn days_left(&self, now: Timestamp) -> u64 {
        self.not_after.since(now).as_secs() / DAY
    }

    /// Why nobody will believe it now, whatever its name; none if it counts.
    pub fn is_out_of_time(&self, now: Timestamp) -> Option<String> {
        if self.not_after <= now {
            Some(format!("it lapsed at {}: renew it", self.not_after))
        } else if now < self.not_before {
            Some(format!("it counts from {} on: is the clock right?", self.not_before))
        } else {
            None
        }
    }

    /// A sentence for each of these names that it does not cover.
    pub fn misses(&self, needed: &[String]) -> Vec<String> {
        let missing = needed.iter().filter(|name| !self.covers(name));
        missing.map(|name| format!("it does not cover {name}: visitors there are warned off")).collect()
    }

    /// By the rules that clients go by (RFC 9525 section 6.3); a wildcard is covered if any one label is.
    fn covers(&self, name: &str) -> bool {
        let one = name.strip_prefix("*.").map_or_else(|| name.to_owned(), |rest| format!("any-home.{rest}"));
        let asked = ServerName::try_from(one).ok();
        let covered = asked.zip(ParsedCertificate::try_from(&self.leaf).ok());
        covered.is_some_and(|(asked, leaf)| verify_server_name(&leaf, &asked).is_ok())
    }
}

impl fmt::Display for Shown {
    /// The names it covers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.names.is_empty() { f.write_str("no name") } else { f.write_str(&self.names.join(", ")) }
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}

impl Certificate {
    /// Reads the pair for the first time.
    ///
    /// One that has lapsed, or misses a name of ours, is named in the log and used: the clock may be wrong after a
    /// start, and a renewed pair is taken up by itself, where a broker that had refused would lie there until
    /// somebody came.
    ///
    /// # Errors
    /// When a file cannot be read, holds no certificate or key, or the two do not fit; the setting is named.
    pub fn open(files: Files, needed: Vec<String>, clock: Clock) -> anyhow::Result<Self> {
        let read = files.read()?;
        let (acceptor, shown) = files.pair(&read)?;
        let judged = mark(&Ok(read));
        let path = files.certificate.display();
        if let Some(why) = shown.is_out_of_time(clock.now()) {
            error!(tls_certificate = %path, names = %shown, "the certificate is no good now: {why}");
        }
        for why in shown.misses(&needed) {
            warn!(tls_certificate = %path, names = %shown, "{why}");
        }
        Ok(Self { acceptor: watch::Sender::new(acceptor), files, needed, clock, judged })
    }

    /// What to accept connections with, now and later. Each pair comes with sessions of its own: none that was begun
    /// under an older one is resumed.
    pub fn acceptors(&self) -> watch::Receiver<TlsAcceptor> {
        self.acceptor.subscribe()
    }

    /// Looks for a new pair until told to stop.
    pub async fn keep(mut self, stop: CancellationToken) {
        let mut before = self.judged.clone();
        while stop.run_until_cancelled(tokio::time::sleep(PACE)).await.is_some() {
            let files = self.files.clone();
            let Ok(read) = tokio::task::spawn_blocking(move || files.read()).await else { continue };
            let seen = mark(&read);
            // Two files never change in one moment: they are judged when they have come to rest.
            let rests = seen == before;
            before = seen;
            if rests && before != self.judged {
                self.judged.clone_from(&before);
                self.take_up(read);
            }
        }
    }

    fn take_up(&self, read: anyhow::Result<[Vec<u8>; 2]>) {
        let taken = read.and_then(|read| self.files.pair(&read)).and_then(|(acceptor, shown)| {
            let late = shown.is_out_of_time(self.clock.now());
            ensure!(late.is_none(), "{}: {}", self.files.certificate.display(), late.unwrap_or_default());
            Ok((acceptor, shown))
        });
        match taken {
            Ok((acceptor, shown)) => {
                self.acceptor.send_replace(acceptor);
                let days = shown.days_left(self.clock.now());
                info!(names = %shown, days, "new connections are shown a new certificate");
                for why in shown.misses(&self.needed) {
                    warn!(names = %shown, "{why}");
                }
            }
            Err(err) => error!("the new certificate is refused, and the old one stays: {err:#}"),
        }
    }
}

/// A hash, so that no key is kept for the sake of a comparison.
fn mark(read: &anyhow::Result<[Vec<u8>; 2]>) -> Mark {
    match read {
        Ok(files) => Ok(files.iter().flat_map(|file| digest(&SHA256, file).as_ref().to_vec()).collect()),
        Err(err) => Err(format!("{err:#}")),
    }
}
