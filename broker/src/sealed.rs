//! Every sealed record of the database: with which keys they are sealed, and sealing them anew.
//!
//! Invariants: a record is sealed anew only in place of the very bytes that were opened, so that what somebody
//! else writes meanwhile counts; one transaction seals [`AT_ONCE`] records at most, so that a running broker waits
//! for none of it; and what was interrupted is finished by doing it again.
//!
//! A key that is missing stops a start: everything it sealed would be lost to whoever goes on without it. A record
//! that was altered stops nothing: it is named, stays as it is, and only what needs it fails. So that the two are
//! told apart, the database knows the id of every key that was listed, and its [mark](vault::mark).

pub mod brokers;
mod rows;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use anyhow::ensure;
use tracing::{error, warn};

use crate::store::{self, Store};
use crate::vault::{self, COLUMNS, Closed, Column, Vault};

/// Records of one transaction.
const AT_ONCE: i64 = 100;
/// A batch that a busy database refused is tried again so often, with this pause.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(200);
/// Records that are looked through at once.
const READ: i64 = 1000;

/// How many records of which columns name a key.
pub type Counts = BTreeMap<String, Vec<(Column, i64)>>;

/// What sealing anew came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Resealed {
    /// Records that now name the active key.
    pub done: u64,
    /// Records that no key opens: altered, or moved from another row.
    pub unreadable: u64,
}

/// A sealed record that cannot be opened and could not with any key: it was altered, or moved from another row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Where it lies.
    pub column: Column,
    /// The number of its row.
    pub row: i64,
    /// The key it names, where it still names one.
    pub key: Option<String>,
    why: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let help = match self.column.table {
            "letter" => "the letter is given up in time",
            "totp" => {
                "its owner gets in again after `latchkey-broker user reset-password EMAIL --remove-second-factors`"
            }
            "certificate" => "another one is ordered by itself",
            _ => "renewing the tunnel's token on the home's page makes another",
        };
        write!(f, "{}; {help}", self.why)
    }
}

/// How many records name each key; those that name none are not counted.
///
/// # Errors
/// When the database does not answer.
pub async fn counts(store: &Store) -> store::Result<Counts> {
    let mut counts = Counts::new();
    for column in COLUMNS {
        for (beginning, records) in rows::beginnings(&mut *store.read().await?, *column).await? {
            if let Some(key) = vault::key_in(&beginning) {
                counts.entry(key.to_owned()).or_default().push((*column, records));
            }
        }
    }
    Ok(counts)
}

/// A key's records, in words: `3 (2 in letter.sealed, 1 in totp.sealed)`.
pub fn in_words(records: &[(Column, i64)]) -> String {
    let total = total(records);
    let parts: Vec<_> =
        records.iter().map(|(at, records)| format!("{records} in {}.{}", at.table, at.column)).collect();
    if parts.is_empty() { "0".to_owned() } else { format!("{total} ({})", parts.join(", ")) }
}

fn total(records: &[(Column, i64)]) -> i64 {
    records.iter().map(|(_, records)| records).sum()
}

/// Looks whether the key list has every key that records are sealed with.
///
/// # Errors
/// The first key that is missing or is another than the one that sealed, with how many records name it, and what
/// to do.
pub async fn check(store: &Store, vault: &Vault) -> anyhow::Result<()> {
    let list = vault.current();
    let noted = rows::noted(&mut *store.read().await?).await?;
    for (key, records) in counts(store).await? {
        let (path, many) = (vault.path().display(), in_words(&records));
        ensure!(
            list.key(&key).is_some() || !was_a_key(&key, &records, &noted),
            "the key list at {path} lacks the key {key}, with which these records are sealed: {many}. Put the \
             key list that belongs to this database back (from your copy of it), or add the line of that key to it"
        );
        let is_the_one = |key: &[u8; 32], mark: &Vec<u8>| vault::mark(key) == **mark;
        ensure!(
            list.key(&key).zip(noted.get(&key)).is_none_or(|(key, mark)| is_the_one(key, mark)),
            "the key {key} in the key list at {path} is not the one with which these records are sealed: \
             {many}. Put the key list that belongs to this database back (from your copy of it)"
        );
    }
    Ok(())
}

/// Whether a key that is not in the list ever was. A record whose beginning was altered may name one that never
/// was; two of them hardly name the same.
fn was_a_key(key: &str, records: &[(Column, i64)], noted: &HashMap<String, Vec<u8>>) -> bool {
    noted.contains_key(key) || total(records) > 1
}

/// Notes the ids and marks of all keys in the list, after [`check`] found nothing wrong with them.
///
/// # Errors
/// When the database does not answer.
pub async fn note(store: &Store, vault: &Vault) -> store::Result<()> {
    let list = vault.current();
    let mut tx = store.begin().await?;
    for (id, key) in list.keys() {
        rows::note(&mut tx, id, &vault::mark(key)).await?;
    }
    tx.commit().await
}

/// Every record that cannot be opened, although no key is missing: opens all of them.
///
/// # Errors
/// When the database does not answer.
pub async fn unreadable(store: &Store, vault: &Vault) -> store::Result<Vec<Unreadable>> {
    let (noted, counts) = (rows::noted(&mut *store.read().await?).await?, counts(store).await?);
    let is_lost = |key: &str| counts.get(key).is_none_or(|records| !was_a_key(key, records, &noted));
    let mut found = Vec::new();
    for column in COLUMNS {
        let mut after = i64::MIN;
        loop {
            let some = rows::all(&mut *store.read().await?, *column, after, READ).await?;
            let Some((last, _)) = some.last() else { break };
            after = *last;
            for (row, sealed) in some {
                let why = match vault.unseal(&sealed, column.of(row)) {
                    Ok(_) => continue,
                    Err(Closed::NoKey { key, .. }) if !is_lost(&key) => continue,
                    Err(closed) => closed.to_string(),
                };
                let key = vault::key_in(&sealed).map(ToOwned::to_owned);
                found.push(Unreadable { column: *column, row, key, why });
            }
        }
    }
    Ok(found)
}

/// The keys with which there is something sealed that opens.
///
/// # Errors
/// When the database does not answer.
pub async fn in_use(store: &Store, vault: &Vault) -> store::Result<Vec<String>> {
    let mut counts = counts(store).await?;
    for one in unreadable(store, vault).await? {
        let records = one.key.as_deref().and_then(|key| counts.get_mut(key)).into_iter().flatten();
        records.filter(|(column, _)| *column == one.column).for_each(|(_, records)| *records -= 1);
    }
    Ok(counts.into_iter().filter(|(_, records)| total(records) > 0).map(|(key, _)| key).collect())
}

/// Names every record that cannot be opened in the log.
///
/// # Errors
/// When the database does not answer.
pub async fn tell(store: &Store, vault: &Vault) -> store::Result<()> {
    for one in unreadable(store, vault).await? {
        error!(one.column.table, one.column.column, one.row, "going on without a sealed record: {one}");
    }
    Ok(())
}

/// Seals every record that names another key with the active one. `tell` hears of each batch, with how many are
/// done so far.
///
/// # Errors
/// When the database does not answer. What was done until then stays, and the rest is done by trying again.
pub async fn reseal(store: &Store, vault: &Vault, mut tell: impl FnMut(u64)) -> anyhow::Result<Resealed> {
    let mut all = Resealed::default();
    for column in COLUMNS {
        let mut after = i64::MIN;
        loop {
            let prefix = vault::prefix(vault.current().active().0);
            let some = rows::others(&mut *store.read().await?, *column, &prefix, after, AT_ONCE).await?;
            let Some((last, _)) = some.last() else { break };
            after = *last;
            let batch = patiently(store, vault, *column, &some).await?;
            all.done += batch.done;
            all.unreadable += batch.unreadable;
            tell(all.done);
        }
    }
    Ok(all)
}

/// One batch, tried again while the database is busy.
async fn patiently(
    store: &Store,
    vault: &Vault,
    column: Column,
    some: &[(i64, Vec<u8>)],
) -> anyhow::Result<Resealed> {
    for _ in 0..TRIES {
        match batch(store, vault, column, some).await {
            Err(failure) if store::is_passing(&failure) => tokio::time::sleep(PAUSE).await,
            done => return Ok(done?),
        }
    }
    Ok(batch(store, vault, column, some).await?)
}

async fn batch(
    store: &Store,
    vault: &Vault,
    column: Column,
    some: &[(i64, Vec<u8>)],
) -> store::Result<Resealed> {
    let mut resealed = Resealed::default();
    let mut tx = store.begin().await?;
    for (row, old) in some {
        match vault.unseal(old, column.of(*row)) {
            Ok(secret) => {
                let new = vault.seal(&secret, column.of(*row));
                resealed.done += u64::from(rows::replace(&mut tx, column, *row, old, &new).await?);
            }
            Err(closed) => {
                warn!(column.table, column.column, row, "a record stays as it is: {closed}");
                resealed.unreadable += 1;
            }
        }
    }
    tx.commit().await?;
    Ok(resealed)
}

#[cfg(test)]
mod tests;
