//! What the operator does on the server's shell besides serving.
//!
//! A command opens the same database as the broker that may be running beside it, which reads every right anew
//! at each request and looks after what is open every few seconds.

mod audit;
mod client;
mod doctor;
mod keys;
mod user;

use std::io::Write;
use std::sync::Arc;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::accounts::{self, Accounts};
use crate::clock::Clock;
use crate::config::{AuditCommand, ClientCommand, KeysCommand, Settings, UserCommand};
use crate::http::Site;
use crate::mail::Mail;
use crate::oauth::clients::Clients;
use crate::store::Store;
use crate::tunnels::provider::Ours;
use crate::vault::Vault;

/// Does what is asked about clients; what it comes to is written to `out`.
///
/// # Errors
/// In words for the operator: what is not there, what may not be registered, a database that does not answer.
pub async fn client(
    settings: &Settings,
    clock: Clock,
    command: ClientCommand,
    out: &mut (impl Write + Send),
) -> anyhow::Result<()> {
    with_store(settings, async |store| {
        client::run(&Clients::new(store, clock.clone()), &clock, command, out).await
    })
    .await
}

/// Reads the list of who did what; what it comes to is written to `out`.
///
/// # Errors
/// A chain that is broken, with the first entry that does not fit; a database that does not answer.
pub async fn audit(
    settings: &Settings,
    command: AuditCommand,
    out: &mut (impl Write + Send),
) -> anyhow::Result<()> {
    with_store(settings, async |store| audit::run(&store, command, out).await).await
}

/// Does what is asked about the keys that seal secrets; what it comes to is written to `out`.
///
/// # Errors
/// In words for the operator: a key that is missing or still named by records, a database that does not answer.
pub async fn keys(
    settings: &Settings,
    clock: Clock,
    command: KeysCommand,
    out: &mut (impl Write + Send),
) -> anyhow::Result<()> {
    with_store(settings, async |store| {
        // Not `open`, which makes a list where there is none.
        let vault = Vault::of(&settings.keys_file).context("keys_file")?;
        keys::run(&store, &vault, &clock, command, out).await
    })
    .await
}

/// Looks at what the broker needs; what it finds is written to `out`, a line each.
///
/// # Errors
/// When something is missing; what, stands in `out`.
pub async fn doctor(
    settings: &Settings,
    clock: Clock,
    json: bool,
    out: &mut (impl Write + Send),
) -> anyhow::Result<()> {
    with_store(settings, async |store| doctor::run(settings, store, clock, json, out).await).await
}

/// Removes what belongs to no home at Cloudflare, or only lists it; a line each to `out`.
///
/// # Errors
/// When an account cannot be looked through, or something could not be removed.
pub async fn sweep(
    settings: &Settings,
    clock: Clock,
    dry_run: bool,
    out: &mut (impl Write + Send),
) -> anyhow::Result<()> {
    with_store(settings, async |store| {
        let ours = Ours::new(store, settings.cloudflare.clone(), clock.now())?;
        doctor::sweep(&ours, dry_run, out).await
    })
    .await
}

/// Opens the database for one command, and closes it.
async fn with_store(
    settings: &Settings,
    work: impl AsyncFnOnce(Store) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let store = Store::open(&settings.database, stop.clone()).await?;
    let done = work(store.clone()).await;
    stop.cancel();
    store.close().await;
    done
}

/// Does what is asked about accounts; what it comes to is written to `out`.
///
/// # Errors
/// In words for the operator: who is not there, an address that is taken, a database that does not answer.
pub async fn user(
    settings: &Settings,
    clock: Clock,
    command: UserCommand,
    out: &mut (impl Write + Send),
) -> anyhow::Result<()> {
    with_store(settings, async |store| {
        let vault = Vault::open(&settings.keys_file)?;
        let accounts = Accounts::new(accounts::Parts {
            store: store.clone(),
            clock: clock.clone(),
            site: Arc::new(Site { public_url: settings.public_url.clone() }),
            mail: Mail::new(&settings.mail, store, clock, vault.clone())?,
            vault,
            password_memory_kib: settings.password_memory_kib,
            open_registration: settings.open_registration,
        });
        user::run(&accounts, command, out).await
    })
    .await
}
