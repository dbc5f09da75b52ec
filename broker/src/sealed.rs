//! Every sealed record of the database: with which keys they are sealed, and sealing them anew.
//!
//! Invariants: a record is sealed anew only in place of the very bytes that were opened, so that what somebody
//! else writes meanwhile counts; one transaction seals [`AT_ONCE`] records at most, so that a running broker waits
//! for none of it; and what was interrupted is finished by doing it again.

mod rows;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tracing::warn;

use crate::store::{self, Store};
use crate::vault::{self, COLUMNS, Column, Vault};

/// Records of one transaction.
const AT_ONCE: i64 = 100;
/// A batch that a busy database refused is tried again so often, with this pause.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(200);
/// Records of a key that are opened to see whether the key is the right one.
const SAMPLE: i64 = 5;

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

/// How many records name each key.
///
/// # Errors
/// When the database does not answer, or a record is of a form this program does not know.
pub async fn counts(store: &Store) -> anyhow::Result<Counts> {
    let mut counts = Counts::new();
    for column in COLUMNS {
        for (beginning, records) in rows::beginnings(&mut *store.read().await?, *column).await? {
            let key = vault::key_in(&beginning).with_context(|| {
                format!(
                    "{records} records in {}.{} are sealed in a form this program does not know; it may be older than the database",
                    column.table, column.column
                )
            })?;
            counts.entry(key.to_owned()).or_default().push((*column, records));
        }
    }
    Ok(counts)
}

/// A key's records, in words: `3 (2 in letter.sealed, 1 in totp.sealed)`.
pub fn in_words(records: &[(Column, i64)]) -> String {
    let total: i64 = records.iter().map(|(_, records)| records).sum();
    let parts: Vec<_> =
        records.iter().map(|(at, records)| format!("{records} in {}.{}", at.table, at.column)).collect();
    if parts.is_empty() { "0".to_owned() } else { format!("{total} ({})", parts.join(", ")) }
}

/// Looks whether the key list has every key that a record names, and whether those keys open what is sealed.
///
/// # Errors
/// The first key that is missing or is another than the one that sealed, with how many records name it, and what
/// to do.
pub async fn check(store: &Store, vault: &Vault) -> anyhow::Result<()> {
    let list = vault.current();
    for (key, records) in counts(store).await? {
        let (path, many) = (vault.path().display(), in_words(&records));
        ensure!(
            list.key(&key).is_some(),
            "the key list at {path} lacks the key {key}, with which these records are sealed: {many}. Put the \
             key list that belongs to this database back (from your copy of it), or add the line of that key to it"
        );
        if !opens(store, vault, &key, &records).await? {
            bail!(
                "the key {key} in the key list at {path} is not the one with which these records are sealed: \
                 {many}. Put the key list that belongs to this database back (from your copy of it)"
            );
        }
    }
    Ok(())
}

/// Whether a key opens any of the first records that name it. One that was altered does not make it a wrong key.
async fn opens(store: &Store, vault: &Vault, key: &str, records: &[(Column, i64)]) -> anyhow::Result<bool> {
    let prefix = vault::prefix(key);
    for (column, _) in records {
        let some = rows::naming(&mut *store.read().await?, *column, &prefix, SAMPLE).await?;
        if some.iter().any(|(row, sealed)| vault.unseal(sealed, column.of(*row)).is_ok()) {
            return Ok(true);
        }
    }
    Ok(false)
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
            Err(err) => {
                warn!(column.table, column.column, row, "a record stays as it is: {err:#}");
                resealed.unreadable += 1;
            }
        }
    }
    tx.commit().await?;
    Ok(resealed)
}

#[cfg(test)]
mod tests;
