//! Forgetting what has lapsed: sessions, codes, tokens. Nothing depends on it happening in time.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::accounts::Accounts;
use crate::http::Fault;
use crate::oauth::OAuth;

const EVERY: Duration = Duration::from_secs(600);

/// Cleans up every ten minutes until told to stop.
pub async fn run(accounts: Accounts, oauth: OAuth, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        match clean(&accounts, &oauth).await {
            Ok(0) => {}
            Ok(gone) => info!(gone, "forgot what had lapsed"),
            Err(err) => warn!("forget what has lapsed: {err}"),
        }
    }
}

async fn clean(accounts: &Accounts, oauth: &OAuth) -> Result<u64, Fault> {
    Ok(accounts.forget_lapsed().await? + oauth.forget_lapsed().await?)
}
