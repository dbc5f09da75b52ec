//! The broker's HTTP routes, with an access token that stays fresh.
//!
//! Invariants: one refresh at a time; a rotated refresh token is remembered before anything that came with it
//! is used; only the provider's own word (`invalid_grant`) ends a pairing, never a fault on the way. When an
//! answer is lost, the same refresh token is sent again, which the broker allows while its successor is unused.

pub mod tokens;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http::StatusCode;
use rustls::ClientConfig;
use serde::de::DeserializeOwned;
use shared::id::HomeId;
use shared::oauth::{AGENT_CLIENT_ID, TokenAnswer, path};
use shared::secret::Secret;
use shared::tunnel::{HomeAnswer, HomeEnvelope, TunnelTokenAnswer};
use tokio::sync::Mutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use url::Url;

use crate::memory::{Access, Memory, MemoryError, Pairing};
use crate::net;
use crate::tasks::now_ms;
use tokens::{NoToken, in_words};

/// An access token with less than this left is replaced before it is used, in milliseconds.
const NEARLY_LAPSED: i64 = 60_000;

/// Between two uses of the refresh token while nothing else needs one.
const HALF_A_DAY: Duration = Duration::from_secs(12 * 3600);

/// Why the broker did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// The pairing is over; the owner must pair again.
    #[error("the broker no longer knows this agent: pair it again")]
    MustPair,
    /// The broker understood and said no.
    #[error("the broker refused {route}: {status}")]
    Refused {
        /// Which route.
        route: String,
        /// The status it answered.
        status: StatusCode,
    },
    /// No answer, or a fault over there; to be tried again.
    #[error("the broker does not answer: {0}")]
    Unreachable(String),
    /// What the broker gave as a tunnel token is none.
    #[error("the broker gave a tunnel token that is not good: {0}")]
    BadToken(String),
    /// The answer's tokens could not be remembered, so they are not used.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

/// The broker as one paired agent sees it.
#[derive(Debug)]
pub struct Cloud {
    http: reqwest::Client,
    broker: Url,
    home: HomeId,
    memory: Arc<Memory>,
    /// Held through a refresh.
    turn: Mutex<()>,
}

impl Cloud {
    /// The broker of a pairing that is remembered.
    ///
    /// # Errors
    /// The remembered address is no URL.
    pub fn new(pairing: &Pairing, memory: Arc<Memory>, tls: &ClientConfig) -> anyhow::Result<Self> {
        let broker = Url::parse(&pairing.broker).context("the remembered broker")?;
        let http = net::http_client(&broker, tls)?;
        Ok(Self { http, broker, home: pairing.home, memory, turn: Mutex::default() })
    }

    /// The broker's origin.
    pub fn broker(&self) -> &Url {
        &self.broker
    }

    /// The home this agent was paired with.
    pub fn home_id(&self) -> HomeId {
        self.home
    }

    /// An access token with at least a minute left.
    ///
    /// # Errors
    /// As [`Cloud::renewed`].
    pub async fn access_token(&self) -> Result<Secret, CloudError> {
        match self.pairing()?.access {
            Some(access) if access.expires - now_ms() > NEARLY_LAPSED => Ok(access.token),
            _ => self.renewed(None).await,
        }
    }

    /// Uses the refresh token twice a day: it lapses after a month of rest, and an agent whose socket stands
    /// asks for nothing in between. What goes wrong here is said where a token is needed.
    pub async fn keep_alive(&self, stop: &CancellationToken) {
        while stop.run_until_cancelled(sleep(HALF_A_DAY)).await.is_some() {
            if let Err(err) = self.access_token().await {
                warn!("keep the pairing alive: {err:#}");
            }
        }
    }

    /// A new access token in place of one the broker refused (or of none). Callers that come together share
    /// one refresh.
    ///
    /// # Errors
    /// `MustPair` when the refresh token is dead; `Unreachable` when nobody can tell; `Memory`.
    pub async fn renewed(&self, refused: Option<&Secret>) -> Result<Secret, CloudError> {
        let _turn = self.turn.lock().await;
        let pairing = self.pairing()?;
        if let Some(access) = pairing.access
            && access.expires - now_ms() > NEARLY_LAPSED
            && refused.is_none_or(|token| !access.token.same_as(token.expose()))
        {
            return Ok(access.token);
        }
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", pairing.refresh_token.expose()),
            ("client_id", AGENT_CLIENT_ID),
        ];
        match tokens::ask(&self.http, self.route(path::TOKEN)?, &form).await {
            Ok(answer) => self.keep(answer).await,
            Err(NoToken::Refused(answer)) if answer.error == "invalid_grant" => Err(CloudError::MustPair),
            Err(err) => Err(CloudError::Unreachable(err.to_string())),
        }
    }

    async fn keep(&self, answer: TokenAnswer) -> Result<Secret, CloudError> {
        let access = access(&answer);
        let token = access.token.clone();
        self.memory
            .change(|all| {
                if let Some(pairing) = &mut all.pairing {
                    pairing.access = Some(access);
                    if let Some(next) = answer.refresh_token {
                        pairing.refresh_token = next;
                    }
                }
            })
            .await?;
        debug!("access token renewed");
        Ok(token)
    }

    /// The token that opens the home's tunnel: the one at hand, or a fresh one from the broker. A fresh one takes
    /// the place of the one at hand only if `check` finds nothing wrong with it.
    ///
    /// # Errors
    /// As [`Cloud::home`], or `BadToken`; never when one is at hand and will do.
    pub async fn tunnel_token(
        &self,
        fresh: bool,
        check: fn(&TunnelTokenAnswer) -> Result<(), String>,
    ) -> Result<Secret, CloudError> {
        if let Some(token) = self.pairing()?.tunnel_token.filter(|_| !fresh) {
            return Ok(token);
        }
        let answer: TunnelTokenAnswer =
            self.get(&format!("/api/smarthome/homes/{}/tunnel-token", self.home)).await?;
        check(&answer).map_err(CloudError::BadToken)?;
        let token = answer.tunnel_token.clone();
        self.memory
            .change(|all| {
                if let Some(pairing) = &mut all.pairing {
                    pairing.tunnel_token = Some(answer.tunnel_token);
                }
            })
            .await?;
        info!(hostname = answer.subdomain, "tunnel token taken");
        Ok(token)
    }

    /// The home, as the broker shows it.
    ///
    /// # Errors
    /// `Refused` for what is not there or not ours; else as [`Cloud::renewed`].
    pub async fn home(&self) -> Result<HomeAnswer, CloudError> {
        let answer: HomeEnvelope = self.get(&format!("/api/smarthome/homes/{}", self.home)).await?;
        Ok(answer.home)
    }

    /// Gives a pairing back by its refresh token (RFC 7009): every token of it dies at the broker.
    ///
    /// # Errors
    /// `Unreachable`, `Refused`.
    pub async fn revoke(&self, refresh_token: &Secret) -> Result<(), CloudError> {
        let form = [
            ("token", refresh_token.expose()),
            ("token_type_hint", "refresh_token"),
            ("client_id", AGENT_CLIENT_ID),
        ];
        let answer = self.http.post(self.route(path::REVOKE)?).form(&form).send().await;
        let answer = answer.map_err(|err| CloudError::Unreachable(in_words(&err)))?;
        self.judge(path::REVOKE, answer.status())
    }

    async fn get<T: DeserializeOwned>(&self, route: &str) -> Result<T, CloudError> {
        let mut token = self.access_token().await?;
        for last_try in [false, true] {
            let request = self.http.get(self.route(route)?).bearer_auth(token.expose());
            let answer = request.send().await.map_err(|err| CloudError::Unreachable(in_words(&err)))?;
            if answer.status() == StatusCode::UNAUTHORIZED && !last_try {
                token = self.renewed(Some(&token)).await?;
                continue;
            }
            self.judge(route, answer.status())?;
            return answer.json().await.map_err(|err| CloudError::Unreachable(in_words(&err)));
        }
        unreachable!("the last try returns")
    }

    fn judge(&self, route: &str, status: StatusCode) -> Result<(), CloudError> {
        if status.is_success() {
            return Ok(());
        }
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status.is_redirection() {
            return Err(CloudError::Unreachable(format!("{status}")));
        }
        warn!(route, %status, "the broker refused");
        Err(CloudError::Refused { route: route.to_owned(), status })
    }

    fn route(&self, path: &str) -> Result<Url, CloudError> {
        self.broker.join(path).map_err(|err| CloudError::Unreachable(err.to_string()))
    }

    fn pairing(&self) -> Result<Pairing, CloudError> {
        self.memory.recall().pairing.ok_or(CloudError::MustPair)
    }
}

/// The access token of an answer, with its end by this machine's clock.
pub fn access(answer: &TokenAnswer) -> Access {
    let lasts = i64::try_from(answer.expires_in).unwrap_or(i64::MAX / 1000).saturating_mul(1000);
    Access { token: answer.access_token.clone(), expires: now_ms().saturating_add(lasts) }
}

#[cfg(test)]
mod tests;
