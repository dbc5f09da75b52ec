//! Looking at what is at Cloudflare: whether its API answers, how each tunnel is, and whether something that we
//! made is not there any more. One list for all homes instead of a call for each.

use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;
use std::time::Duration;

use shared::id::{GrantId, HomeId};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::found::{self, Settled, home_of, missing};
use super::rows;
use super::{Account, Provider};
use crate::clock::Timestamp;
use crate::http::Fault;
use crate::store;
use crate::tunnels::cloudflare::{Connector, Record, Trouble, Tunnel, points_at};

/// How often all tunnels are looked at, so that a light is right within 30 s (T5).
const LOOK: Duration = Duration::from_secs(10);
/// How often all records are: they change only when somebody changes them by hand.
const RECORDS: Duration = Duration::from_secs(300);

/// Whether the API of a domain answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Since when it is so.
    pub since: Timestamp,
    /// Why it does not.
    pub trouble: Option<String>,
    /// It was asked at all since we started.
    pub asked: bool,
}

/// A tunnel when it was last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The domain of its account.
    pub domain: String,
    /// The tunnel's id.
    pub tunnel: String,
    /// `inactive` (never run), `degraded`, `healthy` or `down`.
    pub status: String,
    /// Since when we have seen it so.
    pub since: Timestamp,
    /// Who runs it, and when that was asked.
    pub connectors: Option<(Timestamp, Vec<Connector>)>,
}

impl Provider {
    pub(super) async fn keep_looking(&self) {
        let mut records_at = Instant::now();
        loop {
            for account in &self.0.ours.accounts {
                let with_records = Instant::now() >= records_at;
                if let Err(failure) = self.look(account, with_records).await {
                    warn!(account.domain, "look at the tunnels: {failure}");
                }
            }
            if Instant::now() >= records_at {
                records_at = Instant::now() + RECORDS;
            }
            if let Err(failure) = self.look_at_readers().await {
                warn!("look who holds tokens: {failure}");
            }
            sleep(LOOK).await;
        }
    }

    /// Looks at one account: its tunnels, and sometimes its records.
    async fn look(&self, account: &Account, with_records: bool) -> store::Result<()> {
        let settled: Vec<Settled> = self.settled(account).await?;
        let prefix = self.0.ours.prefix().await?;
        let tunnels = account.api.beginning_with(&prefix).await;
        self.reached(account, tunnels.as_ref().err());
        let Ok(tunnels) = tunnels else { return Ok(()) };
        self.see(account, &prefix, &tunnels);
        for lost in missing(&settled, &tunnels) {
            // A list may be older than what it lists: asked for by its id.
            if matches!(account.api.tunnel(&lost.tunnel).await, Ok(None)) {
                warn!(home.id = %lost.home, "a tunnel is gone that nobody deleted here: making another");
                let mut tx = self.0.store.begin().await?;
                found::rows::lost_tunnel(&mut tx, lost.home, &lost.tunnel, self.0.clock.now()).await?;
                tx.commit().await?;
                self.0.again.notify_one();
            }
        }
        if with_records && let Ok(records) = account.api.records_marked(&self.0.ours.mark().await?).await {
            self.look_at_records(&settled, &records).await?;
        }
        Ok(())
    }

    async fn look_at_records(&self, settled: &[Settled], records: &[Record]) -> store::Result<()> {
        let led: HashMap<&str, &Record> = records.iter().map(|record| (&*record.id, record)).collect();
        for home in settled {
            let is_there = led.get(&*home.record).is_some_and(|record| points_at(record, &home.tunnel));
            if !is_there {
                warn!(home.id = %home.home, "a home's DNS record is gone or leads elsewhere: making another");
                let mut tx = self.0.store.begin().await?;
                found::rows::lost_record(&mut tx, home.home, &home.record, self.0.clock.now()).await?;
                tx.commit().await?;
                self.0.again.notify_one();
            }
        }
        Ok(())
    }

    /// What was as wanted before anybody was asked.
    async fn settled(&self, account: &Account) -> store::Result<Vec<Settled>> {
        let mut settled = found::rows::settled(&mut *self.0.store.read().await?).await?;
        settled.retain(|home| home.domain == account.domain);
        Ok(settled)
    }

    pub(super) fn reached(&self, account: &Account, trouble: Option<&Trouble>) {
        let trouble = trouble.map(Trouble::to_string);
        let mut reach = account.reach.lock().unwrap_or_else(PoisonError::into_inner);
        if reach.trouble.is_some() != trouble.is_some() || !reach.asked {
            reach.since = self.0.clock.now();
            match &trouble {
                Some(trouble) => warn!(account.domain, "Cloudflare's API is out of reach: {trouble}"),
                None => info!(account.domain, "Cloudflare's API answers"),
            }
        }
        (reach.trouble, reach.asked) = (trouble, true);
    }

    fn see(&self, account: &Account, prefix: &str, tunnels: &[Tunnel]) {
        let now = self.0.clock.now();
        let there: HashSet<HomeId> =
            tunnels.iter().filter_map(|tunnel| home_of(prefix, &tunnel.name)).collect();
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // What is not in the list does not stand any more, whatever was seen of it.
        seen.retain(|home, known| known.domain != account.domain || there.contains(home));
        for tunnel in tunnels {
            let Some(home) = home_of(prefix, &tunnel.name) else { continue };
            let news = seen.entry(home).or_insert_with(|| Seen {
                domain: account.domain.clone(),
                tunnel: tunnel.id.clone(),
                status: String::new(),
                since: now,
                connectors: None,
            });
            if news.status != tunnel.status || news.tunnel != tunnel.id {
                *news = Seen {
                    domain: account.domain.clone(),
                    tunnel: tunnel.id.clone(),
                    status: tunnel.status.clone(),
                    since: now,
                    connectors: None,
                };
            }
        }
    }

    /// Whether the API of a domain answers; none for one without account.
    pub fn reach(&self, domain: &str) -> Option<Reach> {
        let account = self.0.ours.account(domain)?;
        Some(account.reach.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// A home's tunnel when it was last looked at; none while there is none.
    pub fn seen(&self, home: HomeId) -> Option<Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&home).cloned()
    }

    /// Whoever read a token and may not hold it any more still could: the secret is made anew.
    async fn look_at_readers(&self) -> Result<(), Fault> {
        let readers = rows::readers(&mut *self.0.store.read().await?).await?;
        let grants: Vec<GrantId> = readers.iter().filter_map(|reader| reader.grant).collect();
        let living = self.0.oauth.living_among(&grants).await?;
        let may_not = |reader: &&rows::Reader| {
            !reader.may || reader.grant.is_some_and(|grant| !living.contains(&grant))
        };
        let ended: HashSet<HomeId> = readers.iter().filter(may_not).map(|reader| reader.home).collect();
        for home in ended {
            info!(home.id = %home, "somebody may not run the tunnel any more: its secret is made anew");
            let mut tx = self.0.store.begin().await?;
            // Another broker may have found out, too: one renewal is enough.
            if rows::forget_readers(&mut tx, home).await? {
                rows::want_secret(&mut tx, home, self.0.clock.now()).await?;
            }
            tx.commit().await?;
            self.0.again.notify_one();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
