//! The home's way in from outside: keeps a tunnel up through everything that breaks one.

pub mod direct;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustls::ClientConfig;
use shared::secret::Secret;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use url::Url;

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

/// How the tunnel is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Dialling for the first time.
    Connecting,
    /// The home can be reached from outside.
    Connected,
    /// It cannot, and why; dialled again soon.
    Lost(String),
}

/// What it takes to keep the direct tunnel up.
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
    /// Where to say how it goes.
    pub status: watch::Sender<Status>,
}

/// Keeps the direct tunnel up until `stop`.
pub async fn keep<F>(keeper: Keeper<F>)
where
    F: Fn(bool) -> BoxFuture<'static, anyhow::Result<Secret>> + Send + Sync,
{
    let mut waits = Waits::default();
    let mut fresh = false;
    while let Some((held, lost)) = keeper.stop.run_until_cancelled(keeper.once(fresh)).await {
        if held >= HELD {
            waits = Waits::default();
        }
        fresh = matches!(lost.downcast_ref(), Some(DialError::Unauthorized));
        let wait = match lost.downcast_ref() {
            Some(DialError::TakenOver) => STAND_BACK,
            _ => waits.next(),
        };
        warn!(?wait, "lost the tunnel: {lost:#}");
        keeper.status.send_replace(Status::Lost(format!("{lost:#}")));
        _ = keeper.stop.run_until_cancelled(sleep(wait)).await;
    }
}

impl<F> Keeper<F>
where
    F: Fn(bool) -> BoxFuture<'static, anyhow::Result<Secret>> + Send + Sync,
{
    /// One tunnel, from dialling to its end: how long it held and why it ended.
    async fn once(&self, fresh: bool) -> (Duration, anyhow::Error) {
        let mut up = None;
        let lost = match self.session(fresh, &mut up).await {
            Ok(()) => anyhow::anyhow!("the broker hung up"),
            Err(lost) => lost,
        };
        (up.map_or(Duration::ZERO, |since: Instant| since.elapsed()), lost)
    }

    async fn session(&self, fresh: bool, up: &mut Option<Instant>) -> anyhow::Result<()> {
        let dial = Dial {
            broker: self.broker.clone(),
            token: (self.token)(fresh).await?,
            tls: self.tls.clone(),
            origin: self.origin.clone(),
            stop: self.stop.clone(),
        };
        let line = direct::connect(&dial).await?;
        info!(broker = %self.broker, "the tunnel is up");
        *up = Some(Instant::now());
        self.status.send_replace(Status::Connected);
        Ok(line.serve().await?)
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
