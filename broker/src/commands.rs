//! What the operator does on the server's shell besides serving.
//!
//! A command opens the same database as the broker that may be running beside it, which reads every right anew
//! at each request and looks after what is open every few seconds.

mod client;

use std::io::Write;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{ClientCommand, Settings};
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
    let stop = CancellationToken::new();
    let store = Store::open(&settings.database, stop.clone()).await?;
    let clients = Clients::new(store.clone(), clock.clone());
    let done = client::run(&clients, &clock, command, out).await;
    stop.cancel();
    store.close().await;
    done
}
