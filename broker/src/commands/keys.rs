//! `latchkey-broker keys …`: the keys that seal secrets at rest, from the server's shell.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;

use crate::audit::{self, Act, Entry};
use crate::clock::{Clock, Timestamp};
use crate::config::KeysCommand;
use crate::sealed::{self, Counts, Unreadable, brokers, in_words};
use crate::store::Store;
use crate::vault::{KeyList, SETTLE, Turn, Vault};

/// A key as it is printed; never the key itself.
#[derive(Serialize)]
struct Printed {
    id: String,
    is_active: bool,
    /// It seals nothing yet.
    waits: bool,
    in_list: bool,
    records: i64,
}

/// A sealed record that does not open.
#[derive(Serialize)]
struct PrintedRecord {
    table: &'static str,
    column: &'static str,
    row: i64,
    why: String,
}

/// All that `keys list --json` prints.
#[derive(Serialize)]
struct PrintedList {
    keys: Vec<Printed>,
    unreadable: Vec<PrintedRecord>,
}

/// Does what is asked.
pub async fn run(
    store: &Store,
    vault: &Vault,
    clock: &Clock,
    command: KeysCommand,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    match command {
        KeysCommand::List { json } => {
            let unreadable = sealed::unreadable(store, vault).await?;
            list(&sealed::counts(store).await?, &unreadable, vault, json, out)
        }
        KeysCommand::Add => add(store, vault, clock, out).await,
        KeysCommand::Rotate => rotate(store, vault, clock, out).await,
        KeysCommand::Retire { id } => retire(store, vault, clock, &id, out).await,
    }
}

fn list(
    counts: &Counts,
    unreadable: &[Unreadable],
    vault: &Vault,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let keys = vault.current();
    let is_altered = |id: &str| unreadable.iter().any(|one| one.key.as_deref() == Some(id));
    let missing = counts.keys().map(String::as_str).filter(|id| keys.key(id).is_none() && !is_altered(id));
    let ids: Vec<_> = keys.ids().chain(missing).collect();
    let records = |id: &str| counts.get(id).map_or(&[][..], Vec::as_slice);
    if json {
        let printed = ids.iter().map(|id| Printed {
            id: (*id).to_owned(),
            is_active: *id == keys.active().0,
            waits: keys.waiting() == Some(id),
            in_list: keys.key(id).is_some(),
            records: records(id).iter().map(|(_, records)| records).sum(),
        });
        let unreadable = unreadable.iter().map(|one| PrintedRecord {
            table: one.column.table,
            column: one.column.column,
            row: one.row,
            why: one.to_string(),
        });
        let printed = PrintedList { keys: printed.collect(), unreadable: unreadable.collect() };
        serde_json::to_writer_pretty(&mut *out, &printed)?;
        return Ok(writeln!(out)?);
    }
    for id in ids {
        let standing = match (id == keys.active().0, keys.key(id)) {
            (true, _) => "active",
            _ if keys.waiting() == Some(id) => "waits",
            (false, Some(_)) => "older",
            (false, None) => "MISSING",
        };
        writeln!(out, "{id:<12} {standing:<8} records: {}", in_words(records(id)))?;
    }
    for one in unreadable {
        writeln!(out, "UNREADABLE {one}")?;
    }
    Ok(())
}

async fn add(store: &Store, vault: &Vault, clock: &Clock, out: &mut impl Write) -> anyhow::Result<()> {
    let turn = KeyList::turn(vault.path())?;
    sealed::check(store, vault).await?;
    if let Some(id) = vault.current().waiting() {
        bail!("the key {id} was added before and seals nothing yet: `keys rotate` begins to seal with it");
    }
    let id = add_key(store, vault, clock, &turn).await?;
    let path = vault.path().display();
    Ok(writeln!(
        out,
        "made the key {id}, which seals nothing yet. Copy {path} to every other machine with a broker on this \
         database, then run `keys rotate`"
    )?)
}

/// Puts a new key into the list, which waits; its id.
async fn add_key(store: &Store, vault: &Vault, clock: &Clock, turn: &Turn) -> anyhow::Result<String> {
    let list = vault.current().and_new_key();
    let id = list.waiting().context("a new key waits")?.to_owned();
    list.replace(vault.path(), turn)?;
    sealed::note(store, vault).await?;
    let mut tx = store.begin().await?;
    audit::note(&mut tx, &Entry::new(Act::KeyAdded).with("key", &id), clock.now()).await?;
    tx.commit().await?;
    Ok(id)
}

async fn rotate(store: &Store, vault: &Vault, clock: &Clock, out: &mut impl Write) -> anyhow::Result<()> {
    let turn = KeyList::turn(vault.path())?;
    // A key that is not there opens nothing: better to know before there is one more.
    sealed::check(store, vault).await?;
    let before = vault.current();
    let unfinished = sealed::in_use(store, vault).await?.iter().any(|id| id != before.active().0);
    let key = match before.waiting() {
        Some(id) => {
            writeln!(out, "beginning to seal with the key {id}, which was added before")?;
            id.to_owned()
        }
        None if unfinished => {
            writeln!(out, "some records name an older key: finishing with {}", before.active().0)?;
            before.active().0.to_owned()
        }
        None => {
            let id = add_key(store, vault, clock, &turn).await?;
            writeln!(out, "made the key {id}")?;
            id
        }
    };
    out.flush()?;
    let lagging = brokers::lagging(store, |broker| broker.knows(&key)).await?;
    ensure!(
        lagging.is_empty(),
        "{} running brokers do not know the key {key}, and could not open what is sealed with it: copy {} to their \
         machines, wait some seconds, and run `keys rotate` again. Until then nothing is sealed with it",
        lagging.len(),
        vault.path().display()
    );
    if before.active().0 != key {
        vault.current().led_by(&key).replace(vault.path(), &turn)?;
        writeln!(out, "a running broker on this machine seals with {key} from now on")?;
        out.flush()?;
    }
    reseal(store, vault, clock, out).await
}

/// Seals everything anew with the active key.
async fn reseal(store: &Store, vault: &Vault, clock: &Clock, out: &mut impl Write) -> anyhow::Result<()> {
    let keys = vault.current();
    let active = keys.active().0;
    let mut resealed = sealed::reseal(store, vault, |_| ()).await?;
    // What a broker had sealed before it saw the new key, and has written since.
    resealed.done += sealed::reseal(store, vault, |_| ()).await?.done;
    let mut tx = store.begin().await?;
    let entry = Entry::new(Act::KeysRotated).with("key", active).with("records", resealed.done);
    audit::note(&mut tx, &entry, clock.now()).await?;
    tx.commit().await?;
    writeln!(out, "sealed {} records anew with {active}", resealed.done)?;
    let older: Vec<_> = keys.ids().skip(1).collect();
    if !older.is_empty() {
        writeln!(
            out,
            "older keys: {}. Copy the new key list to a safe place; `keys retire ID` takes an older key out. Backups of \
             the database from before need it still",
            older.join(", ")
        )?;
    }
    if !store.is_alone() {
        writeln!(
            out,
            "where brokers run on other machines: copy {} to them once more, so that they seal with {active}, too, and \
             run `keys rotate` again for what they have sealed until then",
            vault.path().display()
        )?;
    }
    ensure!(
        resealed.unreadable == 0,
        "{} records could not be opened and stay as they are (see above): they were altered, or moved from another row",
        resealed.unreadable
    );
    Ok(())
}

async fn retire(
    store: &Store,
    vault: &Vault,
    clock: &Clock,
    id: &str,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let turn = KeyList::turn(vault.path())?;
    let keys = vault.current();
    ensure!(keys.key(id).is_some(), "there is no key {id} in the key list at {}", vault.path().display());
    ensure!(keys.active().0 != id, "the key {id} is the active one: make another first with `keys rotate`");
    let age = age_of(vault, clock.now())?;
    if age < SETTLE {
        bail!(
            "the key list was changed {} s ago, and a running broker may still write what it had sealed before: try \
             again in {} s",
            age.as_secs(),
            (SETTLE - age).as_secs() + 1
        );
    }
    let sealing = brokers::lagging(store, |broker| !broker.seals_with(id)).await?;
    ensure!(
        sealing.is_empty(),
        "{} running brokers on other machines still seal with the key {id}: copy {} to them, and run `keys rotate` again",
        sealing.len(),
        vault.path().display()
    );
    if let Some(records) = sealed::counts(store).await?.get(id) {
        bail!("records still name the key {id}: {}. `keys rotate` seals them anew", in_words(records));
    }
    // Written first: what is in the list of acts and did not happen does less harm than the other way round.
    let mut tx = store.begin().await?;
    audit::note(&mut tx, &Entry::new(Act::KeyRetired).with("key", id), clock.now()).await?;
    tx.commit().await?;
    keys.without(id).replace(vault.path(), &turn)?;
    Ok(writeln!(out, "the key {id} is out of the key list; backups that name it need your copy of it")?)
}

/// How long the key list has been as it is.
fn age_of(vault: &Vault, now: Timestamp) -> anyhow::Result<Duration> {
    let changed = std::fs::metadata(vault.path()).and_then(|file| file.modified());
    let changed = changed.with_context(|| format!("look at {}", vault.path().display()))?;
    let changed = changed.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    // A clock that was set back says nothing: then it is taken for new.
    Ok(now.since(Timestamp::from_millis(i64::try_from(changed).unwrap_or(i64::MAX))))
}
