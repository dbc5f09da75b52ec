//! Asking how one tunnel is, for a program that wants to know now.
//!
//! The pace of the API is everybody's: so those who ask for the same tunnel share one call, an answer (also that
//! there was none) serves for a while, and what one workspace may ask for is bounded. Beyond that it is told what was
//! seen last.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shared::id::{HomeId, WorkspaceId};
use tokio::time::Instant;

use super::{Provider, Seen};
use crate::homes::Home;
use crate::http::limit::Limit;

/// How long a tunnel's connectors are remembered (T5).
const REMEMBERED: Duration = Duration::from_secs(30);
/// How long nobody asks again for a tunnel of which there was no answer, or whose status has changed since.
const AGAIN: Duration = Duration::from_secs(5);
/// Calls that a workspace may bring about at once, and one more each so often: a sixth of an account's pace.
const AT_ONCE: NonZeroU32 = NonZeroU32::new(10).unwrap();
const EVERY: Duration = Duration::from_secs(2);

/// When a tunnel was asked for last; whoever holds it asks.
type Flight = Arc<tokio::sync::Mutex<Option<Instant>>>;

/// Who asks for what.
pub struct Asking {
    flights: Mutex<HashMap<HomeId, Flight>>,
    limit: Limit<WorkspaceId>,
}

impl Default for Asking {
    fn default() -> Self {
        Self { flights: Mutex::default(), limit: Limit::new(AT_ONCE, EVERY) }
    }
}

impl Asking {
    fn flight(&self, home: HomeId) -> Flight {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).entry(home).or_default().clone()
    }

    /// A home is gone.
    pub fn forget(&self, home: HomeId) {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&home);
    }
}

impl Provider {
    /// A home's tunnel as it is now: asked for, unless it was in the last 30 s. Where the provider does not answer,
    /// or the home's workspace has asked for too much, as it was last seen.
    pub async fn ask(&self, home: &Home) -> Option<Seen> {
        let seen = self.seen(home.id)?;
        if self.is_fresh(&seen) {
            return Some(seen);
        }
        let account = self.0.ours.account(home.domain.as_deref()?)?;
        let flight = self.0.asking.flight(home.id);
        // Whoever comes while another asks waits for that one's answer.
        let mut asked = flight.lock().await;
        let seen = self.seen(home.id)?;
        let is_lately = asked.is_some_and(|at| at.elapsed() < AGAIN);
        if self.is_fresh(&seen) || is_lately || self.0.asking.limit.take(&home.workspace).is_err() {
            return Some(seen);
        }
        *asked = Some(Instant::now());
        let now = self.0.clock.now();
        let connectors = account.api.connectors(&seen.tunnel).await;
        // Those who waited all that time have their answer, be it that there is none.
        *asked = Some(Instant::now());
        self.reached(account, connectors.as_ref().err().filter(|trouble| trouble.passes()));
        if let Ok(connectors) = connectors {
            let mut all = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = all.get_mut(&home.id).filter(|known| known.tunnel == seen.tunnel) {
                known.connectors = Some((now, connectors));
            }
        }
        self.seen(home.id)
    }

    fn is_fresh(&self, seen: &Seen) -> bool {
        let now = self.0.clock.now();
        seen.connectors.as_ref().is_some_and(|(at, _)| now.since(*at) < REMEMBERED)
    }
}
