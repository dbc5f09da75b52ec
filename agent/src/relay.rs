//! The broker's socket: states up, controls down.
//!
//! 1. Connect to [`PATH`] with the access token; send `hello`, and how Home Assistant and the tunnel are.
//! 2. On each `watch`: from now on these entities and no others. Their present states go up, then each change.
//! 3. On `list` and `control`: answer with the request's number, in whatever order the answers come.
//! 4. On the way out: nothing is watched any more, until the broker says so anew.
//!
//! Invariant: a state goes up only for an entity of the last `watch` of this very connection, and a control is
//! done only for one that this `watch` lets be controlled; in both the home's own policy has the last word. The
//! home checks this itself; it does not rely on the broker (S6, S10).

mod session;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustls::ClientConfig;
use shared::relay::{MAX_FRAME, PATH};
use shared::secret::Secret;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::cloud::{Cloud, CloudError};
use crate::home_assistant::HomeAssistant;
use crate::net;
use crate::policy::InForce;
use crate::tasks::Backoff;
use crate::tunnel;

use session::{Ended, Session};

/// Reconnecting waits no longer than this, so that a broker that is back finds its homes within seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How long to leave the place to an agent that took it: two that fight for it would both be useless (F-19).
const WAIT_AFTER_REPLACED: Duration = Duration::from_secs(60);

/// How the broker's socket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Not connected, and why.
    Down(String),
    /// Connected and welcomed; the home's name.
    Up(String),
}

/// Why there is nothing left to relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Over {
    /// The owner withdrew the consent, or the pairing lapsed.
    #[error("the broker no longer knows this agent: pair it again")]
    MustPair,
    /// The owner paired another agent with this home.
    #[error("another agent was paired with this home and took over: pair this one again to take it back")]
    TakenOver,
    /// The owner deleted the home.
    #[error("the home was deleted at the broker: pair again to give this Home Assistant another")]
    HomeGone,
}

/// What is needed to relay.
#[derive(Debug)]
pub struct Relay {
    /// Where, and with which token.
    pub cloud: Arc<Cloud>,
    /// What to relay.
    pub home_assistant: HomeAssistant,
    /// How the tunnel is, to be told as well.
    pub tunnel: watch::Receiver<tunnel::Status>,
    /// Whom to trust.
    pub tls: Arc<ClientConfig>,
    /// What may leave the house.
    pub policy: watch::Receiver<Arc<InForce>>,
    /// Told of each change.
    pub link: watch::Sender<Link>,
}

impl Relay {
    /// Keeps the socket open until told to stop, or until there is nothing left to relay.
    ///
    /// # Errors
    /// Why there is not.
    pub async fn keep(self, stop: CancellationToken) -> Result<(), Over> {
        let over = stop.run_until_cancelled(self.sessions()).await;
        let last_words = over.map_or_else(|| "the agent was stopped".to_owned(), |over| over.to_string());
        self.link.send_replace(Link::Down(last_words));
        over.map_or(Ok(()), Err)
    }

    /// One connection after another, until there is nothing left to relay.
    async fn sessions(&self) -> Over {
        let mut backoff = Backoff::up_to(LONGEST_WAIT);
        loop {
            let began = Instant::now();
            let ended = self.session().await;
            // What is not asked for by a connection that stands is nobody's business.
            self.home_assistant.watch(BTreeSet::new());
            let (wait, reason) = match ended {
                Ended::Gone => return Over::HomeGone,
                Ended::TakenOver => return Over::TakenOver,
                Ended::Replaced => {
                    (WAIT_AFTER_REPLACED, "another agent of this home took its place".to_owned())
                }
                Ended::Unauthorized => {
                    (backoff.after(began.elapsed()), "the broker asked for a new token".to_owned())
                }
                Ended::Lost(err) if must_pair(&err) => return Over::MustPair,
                Ended::Lost(err) => (backoff.after(began.elapsed()), format!("{err:#}")),
            };
            self.report(reason, wait);
            sleep(wait).await;
        }
    }

    /// One connection. When the broker does not take the token, a new one is at hand when this returns.
    async fn session(&self) -> Ended {
        let token = match self.cloud.access_token().await {
            Ok(token) => token,
            Err(err) => return err.into(),
        };
        let ended = match self.connect(&token).await {
            Ok(socket) => {
                info!(broker = %self.cloud.broker(), "relay connected");
                Session::new(socket, self).run().await
            }
            Err(err) => match net::refused_with(&err) {
                Some(401) => Ended::Unauthorized,
                Some(410) => Ended::Gone,
                _ => Ended::Lost(err),
            },
        };
        match ended {
            Ended::Unauthorized => match self.cloud.renewed(Some(&token)).await {
                Ok(_) => Ended::Unauthorized,
                Err(err) => err.into(),
            },
            // By this very pairing, used twice, or by one that ended it: the broker knows.
            Ended::Replaced => match self.cloud.renewed(Some(&token)).await {
                Err(CloudError::MustPair) => Ended::TakenOver,
                _ => Ended::Replaced,
            },
            other => other,
        }
    }

    async fn connect(&self, token: &Secret) -> anyhow::Result<net::WebSocket> {
        let url = self.cloud.broker().join(PATH).context("the relay's address")?;
        net::websocket(net::Call { url: &url, bearer: Some(token), longest: MAX_FRAME }, &self.tls).await
    }

    fn report(&self, reason: String, wait: Duration) {
        let down = Link::Down(reason);
        let changed = self.link.send_if_modified(|link| {
            let changed = *link != down;
            *link = down.clone();
            changed
        });
        let Link::Down(reason) = down else { return };
        // Once for each new reason, not once every five seconds of a long night.
        if changed {
            warn!(?wait, "no relay: {reason}");
        } else {
            debug!(?wait, "still no relay: {reason}");
        }
    }
}

fn must_pair(err: &anyhow::Error) -> bool {
    matches!(err.downcast_ref(), Some(CloudError::MustPair))
}

#[cfg(test)]
mod tests;
