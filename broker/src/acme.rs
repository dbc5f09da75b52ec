//! The certificate that the broker orders itself, by ACME (RFC 8555) and DNS-01: the wildcard of homes has no other
//! proof.
//!
//! Account, order, certificate and keys stand in one row of the database, the keys sealed. So what is ordered is
//! still there after a restart, and of several brokers on one PostgreSQL one orders, under a lease, and all show
//! what came of it. It is renewed at two thirds of its life; what fails is tried again with growing pauses, and no
//! sooner than the CA wishes, while the old one stays in use.
//!
//! Invariant: every DNS record of ours is written down before it is made, and forgotten only when it is gone.

mod examine;
mod job;
mod rows;
mod stuck;
mod ways;
mod wire;

use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::chance;
use crate::clock::Clock;
use crate::config;
use crate::http::certificate;
use crate::store::{self, Store};
use crate::vault::{Closed, Place, Vault};
pub use examine::{examine, shown};
use job::Job;
use rows::{Again, Row};
use stuck::Stuck;
use ways::Ways;
use wire::Wire;

/// How often the row is looked at: another broker may have ordered, or left off.
const LOOK: Duration = Duration::from_secs(1);
/// Whoever is at work says so every [`BEAT`], and has lost it after this.
const LEASE: Duration = Duration::from_secs(15);
const BEAT: Duration = Duration::from_secs(5);
/// How long the end of the broker waits for DNS records to be removed.
const TIDYING: Duration = Duration::from_secs(5);

/// What it leans on.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The clock.
    pub clock: Clock,
    /// What seals the keys.
    pub vault: Vault,
    /// From whom it is ordered.
    pub given: config::Acme,
    /// The names it must cover.
    pub needed: Vec<String>,
}

/// The certificate in use, kept new.
pub struct Acme {
    inner: Inner,
    acceptor: watch::Sender<TlsAcceptor>,
    /// The version of the one in use; 0 while there is none.
    used: i64,
    /// Why the last attempt failed: the same reason is logged once.
    logged: Option<String>,
}

struct Inner {
    store: Store,
    clock: Clock,
    vault: Vault,
    given: config::Acme,
    /// What is asked of the CA.
    names: Vec<String>,
    /// From whom, and for which names: another directory, or another name, wants another certificate.
    of: String,
    wire: Wire,
    ways: Ways,
}

impl Acme {
    /// Takes up what was ordered before. Nothing is asked of anybody yet.
    ///
    /// # Errors
    /// When the file with root certificates cannot be read, or the database does not answer.
    pub async fn open(parts: Parts) -> anyhow::Result<Self> {
        let Parts { store, clock, vault, given, needed } = parts;
        let names = asked_for(&needed);
        let inner = Inner {
            of: of(&given, &names),
            wire: Wire::new(given.root.as_deref(), clock.clone())?,
            ways: Ways::new(&given)?,
            store,
            clock,
            vault,
            given,
            names,
        };
        let mut acme =
            Self { inner, acceptor: watch::Sender::new(certificate::none()), used: 0, logged: None };
        let row = acme.inner.begin().await.context("the certificate's row")?;
        acme.take_up(&row);
        if acme.used == 0 {
            let (from, names) = (&acme.inner.given.directory, acme.inner.names.join(", "));
            warn!(%from, names, "there is no certificate yet: every connection is refused until one is issued");
        }
        Ok(acme)
    }

    /// What to accept connections with, now and later.
    pub fn acceptors(&self) -> watch::Receiver<TlsAcceptor> {
        self.acceptor.subscribe()
    }

    /// Orders, renews and takes up certificates until told to stop.
    pub async fn keep(mut self, stop: CancellationToken) {
        let mut before = None;
        loop {
            let failed = Box::pin(self.look(&stop)).await.err().map(|failure| failure.to_string());
            if let Some(failure) = failed.as_ref().filter(|_| failed != before) {
                warn!("look after the certificate: {failure}");
            }
            before = failed;
            if stop.run_until_cancelled(sleep(LOOK)).await.is_none() {
                return;
            }
        }
    }

    async fn look(&mut self, stop: &CancellationToken) -> store::Result<()> {
        let row = self.inner.row().await?;
        self.take_up(&row);
        let now = self.inner.clock.now();
        let has_work = self.inner.is_due(&row) || !row.records.is_empty();
        if !has_work || row.due_at > now {
            return Ok(());
        }
        let lease = (chance::bits() >> 1) as i64;
        let mut tx = self.inner.store.begin().await?;
        let everybodys = self.inner.store.everybodys_time(&mut tx, now).await?;
        let is_ours = rows::lease(&mut tx, lease, everybodys, everybodys.after(LEASE)).await?;
        let row = rows::find(&mut tx).await?;
        tx.commit().await?;
        if is_ours {
            self.work(Job { inner: &self.inner, lease, row }, stop)
                .await
                .map(|logged| self.logged = logged)?;
            let row = self.inner.row().await?;
            self.take_up(&row);
        }
        Ok(())
    }

    /// One attempt; the reason why it failed.
    async fn work(&self, mut job: Job<'_>, stop: &CancellationToken) -> store::Result<Option<String>> {
        _ = self.inner.wire.after(); // of an attempt before
        let lease = job.lease;
        let outcome = tokio::select! {
            outcome = job.run() => outcome,
            () = self.inner.beat(lease) => Err(Stuck::Lost),
            () = stop.cancelled() => Err(Stuck::Stopped),
        };
        let (now, tries) = (self.inner.clock.now(), job.row.tries);
        let stuck = match outcome {
            Ok(()) => {
                let mut tx = self.inner.store.begin().await?;
                rows::settle(&mut tx, lease).await?;
                return tx.commit().await.map(|()| None);
            }
            Err(Stuck::Lost) => return Ok(self.logged.clone()),
            Err(Stuck::Stopped) => {
                // What stays is removed at the next start.
                _ = timeout(TIDYING, job.clean()).await;
                let mut tx = self.inner.store.begin().await?;
                rows::give_up(&mut tx, lease).await?;
                return tx.commit().await.map(|()| None);
            }
            Err(stuck) => stuck,
        };
        let not_before = self.inner.wire.after().unwrap_or(now);
        let again = Again { due_at: now.after(stuck.pause(tries)).max(not_before), not_before };
        let mut tx = self.inner.store.begin().await?;
        rows::put_off(&mut tx, lease, now, again, &stuck.to_string()).await?;
        tx.commit().await?;
        let reason = stuck.reason();
        if self.logged.as_ref() == Some(&reason) {
            debug!(tries, next = %again.due_at, "still no new certificate: {stuck}");
        } else {
            warn!(tries, next = %again.due_at, "no new certificate: {stuck}");
        }
        Ok(Some(reason))
    }

    /// Shows new connections the certificate in the row, if it is another than before.
    fn take_up(&mut self, row: &Row) {
        let Some((_, chain, sealed)) = row.made.as_ref().filter(|_| row.version != self.used) else { return };
        let key = self.inner.vault.unseal(sealed, place("key_sealed"));
        if let Err(closed @ Closed::NoKey { .. }) = &key {
            // The list may still be on its way here.
            let says = closed.to_string();
            if self.logged.as_ref() != Some(&says) {
                warn!("the certificate in the database cannot be used yet: {says}");
                self.logged = Some(says);
            }
            return;
        }
        // Once is enough to say what is wrong with it.
        self.used = row.version;
        let fit = key.map_err(anyhow::Error::from);
        let fit = fit.and_then(|key| Ok(certificate::fit(chain.as_bytes(), key.expose().as_bytes())?));
        let (acceptor, shown) = match fit {
            Ok(fit) => fit,
            Err(err) => return error!("the certificate in the database cannot be used: {err:#}"),
        };
        self.acceptor.send_replace(acceptor);
        let now = self.inner.clock.now();
        info!(names = %shown, days = shown.days_left(now), renew = %row.renew_at, "connections are shown a certificate");
        if let Some(why) = shown.is_out_of_time(now) {
            error!(names = %shown, "the certificate is no good now: {why}");
        }
        for why in shown.misses(&self.inner.names) {
            warn!(names = %shown, "{why}");
        }
    }
}

impl Inner {
    async fn row(&self) -> store::Result<Row> {
        rows::find(&mut *self.store.read().await?).await
    }

    /// For a broker that starts: work that was left off is free, and what failed is tried now.
    async fn begin(&self) -> store::Result<Row> {
        let mut tx = self.store.begin().await?;
        rows::begin(&mut tx, self.store.is_alone(), self.clock.now()).await?;
        tx.commit().await?;
        self.row().await
    }

    /// Whether there is no certificate of whom and for what is wanted, it cannot be used any more, or it is time for
    /// another.
    fn is_due(&self, row: &Row) -> bool {
        let opens =
            |sealed| !matches!(self.vault.unseal(sealed, place("key_sealed")), Err(Closed::Altered { .. }));
        let as_wanted = row.made.as_ref().is_some_and(|(of, _, sealed)| *of == self.of && opens(sealed));
        !as_wanted || row.renew_at <= self.clock.now()
    }

    /// Keeps the lease for ever; comes back when it is lost.
    async fn beat(&self, lease: i64) {
        let mut until = Instant::now() + LEASE;
        loop {
            sleep(BEAT).await;
            let asked = Instant::now();
            match self.keep(lease).await {
                Ok(true) => until = asked + LEASE,
                Ok(false) => return,
                // Somebody else takes it when it has run out.
                Err(_) if Instant::now() >= until => return,
                Err(failure) => debug!("keep the lease on the certificate: {failure}"),
            }
        }
    }

    async fn keep(&self, lease: i64) -> store::Result<bool> {
        let mut tx = self.store.begin().await?;
        let everybodys = self.store.everybodys_time(&mut tx, self.clock.now()).await?;
        let is_ours = rows::keep(&mut tx, lease, everybodys.after(LEASE)).await?;
        tx.commit().await?;
        Ok(is_ours)
    }
}

/// The names as a CA wants them: what a wildcard beside it covers is refused as redundant.
fn asked_for(needed: &[String]) -> Vec<String> {
    let is_covered = |name: &str| {
        name.split_once('.').is_some_and(|(_, rest)| needed.iter().any(|other| *other == format!("*.{rest}")))
    };
    needed.iter().filter(|name| name.starts_with("*.") || !is_covered(name)).cloned().collect()
}

fn of(given: &config::Acme, names: &[String]) -> String {
    format!("{} {}", given.directory, names.join(" "))
}

/// Where a key is sealed.
fn place(column: &'static str) -> Place {
    Place { table: "certificate", column, row: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_wildcard_covers_is_not_asked_for_twice() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (needed, asked) in [
            (
                &["latchkey.example.com", "*.homes.example.com"][..],
                &["latchkey.example.com", "*.homes.example.com"][..],
            ),
            (&["home.example.com", "*.example.com"], &["*.example.com"]),
            (&["example.com", "*.example.com"], &["example.com", "*.example.com"]),
            (&["example.com"], &["example.com"]),
        ] {
            assert_eq!(asked_for(&names(needed)), names(asked));
        }
    }
}
