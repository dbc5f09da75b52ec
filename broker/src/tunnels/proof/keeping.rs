//! Asking homes' addresses by ourselves: one with a direct tunnel when its line comes up for the first time, one at
//! Cloudflare once its tunnel stands, and now and then from then on, for what its zone's owner may have changed.
//!
//! Bounded: so many homes wait for their proof, so many are asked at once, and of those that are due some at a time.

use std::time::Duration;

use shared::id::HomeId;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::{AT_ONCE, Finding, Proof, Tunnels, rows};
use crate::homes::State;
use crate::http::Fault;
use crate::tunnels::Parts;
use crate::tunnels::direct::Change;

/// So many homes may wait for their proof; more are asked when their line comes up again, in a later round, or by
/// their owner.
const WAITING: usize = 64;
/// How often it is looked which homes at Cloudflare are due.
const LOOK: Duration = Duration::from_secs(10);
/// When a home at Cloudflare that was proved is asked again.
const PROVED: Duration = Duration::from_secs(24 * 3600);
/// And one that was not.
const FAILED: Duration = Duration::from_secs(900);

impl Tunnels {
    /// Asks homes' addresses, again and again.
    pub async fn keep_proving(self) {
        let mut changes = self.0.parts.direct.changes();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Ended with this.
        let mut proofs = JoinSet::new();
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                Some(_) = proofs.join_next() => continue,
                _ = looks.tick() => {
                    let due = self.due_for_proof().await.unwrap_or_else(|fault| {
                        warn!("look whose address is to be asked: {fault}");
                        Vec::new()
                    });
                    let room = WAITING.saturating_sub(proofs.len()).min(AT_ONCE);
                    due.into_iter().take(room).for_each(|home| self.begin_proof(&mut proofs, home));
                    continue;
                }
            };
            match change {
                Ok(Change { home, up: true }) if proofs.len() < WAITING => {
                    self.begin_first_proof(&mut proofs, home)
                }
                // One that is missed is asked when its line comes up again, or when its owner asks.
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn begin_proof(&self, proofs: &mut JoinSet<()>, home: HomeId) {
        let tunnels = self.clone();
        proofs.spawn(async move { tunnels.told_proof(home).await });
    }

    fn begin_first_proof(&self, proofs: &mut JoinSet<()>, home: HomeId) {
        let tunnels = self.clone();
        proofs.spawn(async move {
            match tunnels.proof(home).await {
                Ok(Some(Proof { finding: Finding::Proved, .. })) => {}
                Ok(_) => tunnels.told_proof(home).await,
                Err(fault) => warn!(home.id = %home, "read what a home's address came to: {fault}"),
            }
        });
    }

    /// Asks one home's address, if it is there still; what goes wrong is logged.
    async fn told_proof(&self, home: HomeId) {
        let proving = async {
            match self.0.parts.homes.any(home).await? {
                Some(home) if home.state != State::Deleting => self.prove(&home).await.map(drop),
                _ => Ok(()),
            }
        };
        if let Err(fault) = proving.await {
            warn!(home.id = %home, "ask a home's address: {fault}");
        }
    }

    /// The homes at Cloudflare whose tunnel stands and whose address is to be asked, those first that were not asked
    /// for the longest time.
    async fn due_for_proof(&self) -> Result<Vec<HomeId>, Fault> {
        let Parts { store, clock, provider, .. } = &self.0.parts;
        let now = clock.now();
        let mut due = rows::due(&mut *store.read().await?, now.before(PROVED), now.before(FAILED)).await?;
        due.retain(|home| {
            !self.0.prover.is_asking(*home)
                && provider.seen(*home).is_some_and(|seen| matches!(&*seen.status, "healthy" | "degraded"))
        });
        Ok(due)
    }
}
