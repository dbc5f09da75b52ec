//! What the operator does on the server's shell besides serving.
//!
//! A command opens the same database as the broker that may be running beside it, which reads every right anew
//! at each request and looks after what is open every few seconds.

mod audit;
mod client;

use std::io::Write;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{AuditCommand, ClientCommand, Settings};
use crate::oauth::clients::Clients;
use crate::store::Store;

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
