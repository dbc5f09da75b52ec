//! The home's way in from outside: keeps a tunnel up through everything that breaks one.
//!
//! The token says which kind it is: a direct one, or one at Cloudflare.

pub mod cloudflared;
pub mod direct;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustls::ClientConfig;
use shared::relay::TunnelTrouble;
use shared::secret::Secret;
use shared::tunnel::DIRECT_TOKEN_PREFIX;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use url::Url;

use crate::cloud::CloudError;
use crate::tasks::Backoff;
use cloudflared::Supervisor;
use direct::{Dial, DialError};

/// The first wait is at most this, each next one at most twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A tunnel that held this long makes the next waits short again.
const HELD: Duration = Duration::from_secs(10);

/// How long an agent stays away after another one has taken its place: were it to come straight back, the
/// two would take turns for ever.
const STAND_BACK: Duration = Duration::from_secs(60);

/// Nor is a broker asked again sooner that says this home is not ours, or not there.
const NOT_OURS: Duration = Duration::from_secs(60);

/// How the tunnel is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Dialling for the first time.
    Connecting,
    /// The home can be reached from outside.
    Connected,
    /// The tunnel is up, and visitors get nothing all the same.
    Amiss(Trouble),
    /// It cannot, and why; dialled again soon.
    Lost(Trouble),
}

/// What is wrong with the tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// In one word, for programs.
    pub word: TunnelTrouble,
    /// In a sentence, for the owner; no secret is in it.
    pub reason: String,
}

/// What it takes to keep the tunnel up.
pub struct Keeper<F> {
    /// The broker's base address.
    pub broker: Url,
    /// Home Assistant's base address, as this machine reaches it.
    pub origin: Url,
    /// Trust in the broker's (and an https origin's) certificate.
    pub tls: Arc<ClientConfig>,
    /// Ends [`keep`].
    pub stop: CancellationToken,
    /// Fetches the tunnel token; `true` asks the broker anew instead of remembering.
    pub token: F,
    /// Looks after `cloudflared`, where the tunnel is at Cloudflare.
    pub supervisor: Supervisor,
    /// Where to say how it goes.
    pub status: watch::Sender<Status>,
}

/// Keeps the tunnel up until `stop`.
pub async fn keep<F>(keeper: Keeper<F>)
where
    F: Fn(bool) -> BoxFuture<'static, anyhow::Result<Secret>> + Send + Sync,
{
    let mut waits = Waits::default();
    let mut starts = Backoff::up_to(keeper.supervisor.longest_wait());
    let mut fresh = false;
    while let Some((held, lost)) = keeper.once(fresh).await {
        if held >= HELD {
            waits = Waits::default();
        }
        let by_program = lost.downcast_ref::<cloudflared::Lost>();
        fresh = matches!(lost.downcast_ref(), Some(DialError::Unauthorized))
            || by_program.is_some_and(cloudflared::Lost::blames_token);
        let wait = match (lost.downcast_ref(), lost.downcast_ref()) {
            (Some(DialError::TakenOver), _) => STAND_BACK,
            (_, Some(CloudError::Refused { .. })) => NOT_OURS,
            _ if by_program.is_some_and(cloudflared::Lost::is_breach) => keeper.supervisor.longest_wait(),
            _ if by_program.is_some() => starts.after(held),
            _ => waits.next(),
        };
        warn!(?wait, "lost the tunnel: {lost:#}");
        keeper.status.send_replace(Status::Lost(Trouble { word: word(&lost), reason: format!("{lost:#}") }));
        _ = keeper.stop.run_until_cancelled(sleep(wait)).await;
    }
}

/// What was lost, in one word.
fn word(lost: &anyhow::Error) -> TunnelTrouble {
    if let Some(lost) = lost.downcast_ref::<cloudflared::Lost>() {
        return lost.trouble();
    }
    match (lost.downcast_ref(), lost.downcast_ref()) {
        (Some(DialError::Unauthorized), _) => TunnelTrouble::Refused,
        (Some(DialError::TakenOver), _) => TunnelTrouble::TakenOver,
        (Some(_), _) => TunnelTrouble::Edge,
        (_, Some(CloudError::Refused { .. })) => TunnelTrouble::NotOurs,
        (_, Some(_)) => TunnelTrouble::NoToken,
        (None, None) => TunnelTrouble::Edge,
    }
}

impl<F> Keeper<F>
where
    F: Fn(bool) -> BoxFuture<'static, anyhow::Result<Secret>> + Send + Sync,
{
    /// One tunnel, from dialling to its end: how long it held and why it ended. Nothing when it was to stop.
    async fn once(&self, fresh: bool) -> Option<(Duration, anyhow::Error)> {
        let mut up = None;
        let token = self.stop.run_until_cancelled((self.token)(fresh)).await?;
        let ended = match token {
            Err(err) => Err(err),
            Ok(token) if token.expose().starts_with(DIRECT_TOKEN_PREFIX) => {
                self.stop.run_until_cancelled(self.direct(token, &mut up)).await?
            }
            // Told to stop, it ends tidily by itself.
            Ok(token) => self.supervisor.run(&token, &mut up).await.map_err(anyhow::Error::from),
        };
        if self.stop.is_cancelled() {
            return None;
        }
        let lost = ended.err().unwrap_or_else(|| anyhow::anyhow!("the broker hung up"));
        Some((up.map_or(Duration::ZERO, |since: Instant| since.elapsed()), lost))
    }

    async fn direct(&self, token: Secret, up: &mut Option<Instant>) -> anyhow::Result<()> {
        let dial = Dial {
            broker: self.broker.clone(),
            token,
            tls: self.tls.clone(),
            origin: self.origin.clone(),
            stop: self.stop.clone(),
        };
        let line = direct::connect(&dial).await?;
        let greeted = line.greeted();
        let mut serving = pin!(line.serve());
        tokio::select! {
            ended = &mut serving => return Ok(ended?),
            () = greeted.cancelled() => {}
        }
        info!(broker = %self.broker, "the tunnel is up");
        *up = Some(Instant::now());
        self.status.send_replace(Status::Connected);
        Ok(serving.await?)
    }
}

/// Waits between tries: exponential, with full jitter, so that the agents of a broker that was away do not
/// all come back in the same instant.
#[derive(Default)]
struct Waits {
    tries: u32,
}

impl Waits {
    fn next(&mut self) -> Duration {
        let longest = FIRST_WAIT.saturating_mul(1 << self.tries.min(16)).min(LONGEST_WAIT);
        self.tries += 1;
        longest.mul_f64(chance())
    }
}

/// A number in `0.0..=1.0`. Without randomness (it never fails where the agent runs) the longest wait is
/// the safe one.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_below_the_cap() {
        let mut waits = Waits::default();
        for tries in 0..40 {
            let most = FIRST_WAIT.saturating_mul(1 << tries.min(16)).min(LONGEST_WAIT);
            assert!(waits.next() <= most, "try {tries}");
        }
    }
}
