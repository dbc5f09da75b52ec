//! Forgetting what has lapsed: sessions, codes, tokens, old outages. Nothing depends on it happening in time.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::accounts::Accounts;
use crate::http::Fault;
use crate::oauth::OAuth;
use crate::tunnels::Tunnels;

const EVERY: Duration = Duration::from_secs(600);

/// Cleans up every ten minutes until told to stop.
pub async fn run(accounts: Accounts, oauth: OAuth, tunnels: Tunnels, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        match clean(&accounts, &oauth, &tunnels).await {
            Ok(0) => {}
            Ok(gone) => info!(gone, "forgot what had lapsed"),
            Err(err) => warn!("forget what has lapsed: {err}"),
        }
    }
}

async fn clean(accounts: &Accounts, oauth: &OAuth, tunnels: &Tunnels) -> Result<u64, Fault> {
    Ok(accounts.forget_lapsed().await? + oauth.forget_lapsed().await? + tunnels.forget_lapsed().await?)
}
