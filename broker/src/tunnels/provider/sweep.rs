//! What bears this installation's name at Cloudflare and belongs to no home: left by a database that was restored
//! from before, or lost. The operator looks, and then has it removed.

use std::collections::HashSet;

use shared::id::HomeId;

use super::found::{self, home_of};
use super::{Account, Ours};
use crate::tunnels::cloudflare::{Record, Trouble};

/// Something that belongs to no home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The domain of the account it is in.
    pub domain: String,
    /// `tunnel` or `record`.
    pub kind: &'static str,
    /// The provider's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it is removed now, or why not.
    pub removed: Result<(), String>,
}

/// What a sweep is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// Look only.
    DryRun,
    /// Remove what was found.
    Remove,
}

impl Ours {
    /// Looks for leftovers in all accounts, and removes them if it is told to.
    ///
    /// # Errors
    /// When an account cannot be looked through; nothing was removed from it then.
    pub async fn sweep(&self, sweep: Sweep) -> anyhow::Result<Vec<Leftover>> {
        let mut found = Vec::new();
        for account in &self.accounts {
            found.extend(self.sweep_account(account, sweep).await?);
        }
        Ok(found)
    }

    async fn sweep_account(&self, account: &Account, sweep: Sweep) -> anyhow::Result<Vec<Leftover>> {
        let (prefix, mark) = (self.prefix().await?, self.mark().await?);
        let tunnels = account.api.beginning_with(&prefix).await?;
        let records = account.api.records_marked(&mark).await?;
        // After the lists: a home that was made meanwhile is not among what they name.
        let homes: HashSet<HomeId> =
            found::rows::homes(&mut *self.store.read().await?).await?.into_iter().collect();
        let stray = |home: Option<HomeId>| home.is_some_and(|home| !homes.contains(&home));
        let leftover = |kind, id: String, name: String, removed: Result<(), Trouble>| Leftover {
            domain: account.domain.clone(),
            kind,
            id,
            name,
            removed: removed.map_err(|trouble| trouble.to_string()),
        };
        let mut found = Vec::new();
        for record in records.into_iter().filter(|record| stray(home_in(&mark, record))) {
            let removed = match sweep {
                Sweep::Remove => account.api.unname(&record.id).await,
                Sweep::DryRun => Ok(()),
            };
            found.push(leftover("record", record.id, record.name, removed));
        }
        for tunnel in tunnels.into_iter().filter(|tunnel| stray(home_of(&prefix, &tunnel.name))) {
            let removed = match sweep {
                Sweep::Remove => account.remove(&tunnel.id).await,
                Sweep::DryRun => Ok(()),
            };
            found.push(leftover("tunnel", tunnel.id, tunnel.name, removed));
        }
        Ok(found)
    }
}

impl Account {
    async fn remove(&self, tunnel: &str) -> Result<(), Trouble> {
        self.api.renew(tunnel).await?;
        self.api.cut(tunnel).await?;
        self.api.delete(tunnel).await
    }
}

/// The home that a record's comment says it is for.
fn home_in(mark: &str, record: &Record) -> Option<HomeId> {
    record.comment.as_deref()?.strip_prefix(mark)?.parse().ok()
}
