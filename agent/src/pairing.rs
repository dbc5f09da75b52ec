//! Signing in: the owner of a home lets this agent act for it.
//!
//! 1. Read the provider's metadata (RFC 8414) and check that it is the broker it says it is.
//! 2. Get the owner's consent: by a code typed elsewhere ([`device`]) or in a browser here ([`browser`]).
//! 3. Take the tokens and the home the owner chose (`home_id`), and remember them before using any.
//!
//! The token and device answers are the types the broker itself sends (`shared::oauth`); a general OAuth
//! library would bring a second set of them, and could not read `home_id` without more code than is here.

pub mod browser;
pub mod device;

use anyhow::{Context, Result, bail};
use rustls::ClientConfig;
use serde::Deserialize;
use shared::oauth::{TokenAnswer, path};
use tokio::time::Instant;
use url::Url;

use crate::cloud::{access, tokens};
use crate::memory::Pairing;
use crate::net;

/// Why pairing did not come about, in words for the one who asked for it.
#[derive(Debug, thiserror::Error)]
pub enum NotPaired {
    /// The owner said no.
    #[error("the request was denied in the dashboard")]
    Denied,
    /// Nobody answered in time.
    #[error("the code was not confirmed in time: start again")]
    Expired,
    /// The broker gave tokens for no home.
    #[error("no home was chosen for this agent: start again and choose one")]
    NoHome,
    /// No word from the broker.
    #[error("the broker does not answer: {0}")]
    Unreachable(String),
}

/// The broker's OAuth provider, its metadata read and checked.
#[derive(Debug)]
pub struct Provider {
    http: reqwest::Client,
    metadata: Metadata,
    broker: Url,
}

/// What the agent needs of RFC 8414's metadata.
#[derive(Debug, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    device_authorization_endpoint: Url,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl Provider {
    /// Reads and checks the metadata.
    ///
    /// # Errors
    /// `NotPaired::Unreachable`; or it is no broker, or calls itself something else (RFC 8414 section 3.3).
    pub async fn find(broker: &Url, tls: &ClientConfig) -> Result<Self> {
        let http = net::http_client(broker, tls)?;
        let answer = http.get(broker.join(path::METADATA)?).send().await;
        let answer = answer.map_err(|err| NotPaired::Unreachable(tokens::in_words(&err)))?;
        if answer.status().is_server_error() {
            bail!(NotPaired::Unreachable(answer.status().to_string()));
        }
        if !answer.status().is_success() {
            bail!("{broker} is no broker: {} answered {}", path::METADATA, answer.status());
        }
        let metadata: Metadata = answer.json().await.map_err(|_| anyhow::anyhow!("{broker} is no broker"))?;
        let issuer = Url::parse(&metadata.issuer).context("the broker's issuer")?;
        if issuer != *broker {
            bail!("the broker at {broker} calls itself {issuer}: pair with --broker {issuer}");
        }
        let endpoints = [
            &metadata.authorization_endpoint,
            &metadata.token_endpoint,
            &metadata.device_authorization_endpoint,
        ];
        if endpoints.iter().any(|endpoint| endpoint.origin() != broker.origin()) {
            bail!("the broker at {broker} sends its clients to another origin");
        }
        Ok(Self { http, metadata, broker: broker.clone() })
    }

    /// What to remember of the tokens that came of a consent.
    fn paired(&self, answer: TokenAnswer) -> Result<Pairing> {
        let access = access(&answer);
        Ok(Pairing {
            broker: self.broker.to_string(),
            home: answer.home_id.ok_or(NotPaired::NoHome)?,
            refresh_token: answer.refresh_token.context("the broker gave no refresh token")?,
            access: Some(access),
            tunnel_token: None,
        })
    }
}

/// The moment so many seconds from now, never so far that it cannot be told.
fn in_seconds(seconds: u64) -> Instant {
    Instant::now() + std::time::Duration::from_secs(seconds.min(24 * 3600))
}

#[cfg(test)]
mod tests;
