//! The certificate that we show: read from two files, looked at, and read anew when they change.
//!
//! Whoever renews it (certbot, a mounted secret) writes two files or swings two links, and tells nobody. So both are
//! read every [`PACE`] and compared with what they were: a few kilobytes, and right for every way of renewing. A
//! watch on the files would miss a link that is swung in a folder above, and what lies on a network.
//!
//! Invariant: what is shown is a pair that fits. One that does not is named in the log once, and the old one stays.

mod pair;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use url::Host;

use crate::clock::Clock;
use crate::config::Settings;
pub use pair::{Misfit, Shown, fit, none};

/// How often the files are read.
const PACE: Duration = Duration::from_secs(1);

/// A certificate chain and its key, PEM.
#[derive(Debug, Clone)]
pub struct Files {
    certificate: PathBuf,
    key: PathBuf,
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
        pair::fit(certificate, key).map_err(|misfit| match misfit {
            Misfit::Certificate(why) => anyhow!("tls_certificate: {} {why}", self.certificate.display()),
            Misfit::Key => anyhow!("tls_key: {} holds no private key", self.key.display()),
            Misfit::Pair(err) => anyhow!(err).context(format!(
                "tls_certificate and tls_key do not fit together: {}, {}",
                self.certificate.display(),
                self.key.display()
            )),
        })
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
