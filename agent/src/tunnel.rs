//! The home's way in from outside.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustls::ClientConfig;
use shared::secret::Secret;
use tokio_util::sync::CancellationToken;
use url::Url;

/// What a tunnel needs to be kept up.
pub struct Keeper<F> {
    /// The broker's origin.
    pub broker: Url,
    /// Home Assistant's base address.
    pub origin: Url,
    /// Whom to trust.
    pub tls: Arc<ClientConfig>,
    /// Cancelled when the tunnel is to end.
    pub stop: CancellationToken,
    /// Brings the tunnel token; `true` asks for a fresh one.
    pub token: F,
}

/// Keeps the tunnel up until told to stop.
pub async fn keep<F>(keeper: Keeper<F>)
where
    F: Fn(bool) -> BoxFuture<'static, anyhow::Result<Secret>> + Send + Sync,
{
    keeper.stop.cancelled().await;
}
