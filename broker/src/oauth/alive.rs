//! Which grants live, and looking after whoever keeps something open on the strength of one.
//!
//! Every end of a grant in this process is told at once ([`OAuth::revoked`]): revocation, reuse, a client that is
//! switched off on a page, and what accounts tell (a new password, signing out everywhere, an account switched
//! off, a role taken away). What is done elsewhere, by the operator's command or by another broker on the same
//! database, is found by looking: every grant with something open is read anew every [`LOOK`].

pub(super) mod rows;

use std::collections::{HashMap, HashSet};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use shared::id::{AccountId, GrantId};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::OAuth;
use super::revoke::Why;
use crate::http::Fault;

/// How long what ended elsewhere may stay open here.
pub const LOOK: Duration = Duration::from_secs(4);
/// So many grants are looked at with one question.
const AT_ONCE: usize = 500;

/// The grants that keep something open in this process, and how many things each.
pub(super) type Open = HashMap<GrantId, usize>;

/// Something that is open on the strength of a grant. While this is held, the grant is looked after.
#[must_use]
pub struct Watch {
    oauth: OAuth,
    grant: GrantId,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut open = self.oauth.open();
        if let Some(count) = open.get_mut(&self.grant) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.grant);
            }
        }
    }
}

impl OAuth {
    /// Hears of each grant that ends by any way but its time: whoever keeps something open for one closes it
    /// within a second. A receiver that lagged asks [`OAuth::lives`] for each grant it serves.
    pub fn revoked(&self) -> broadcast::Receiver<GrantId> {
        self.0.ended.subscribe()
    }

    /// Notes that something is open on the strength of a grant, so that its end is found wherever it comes from.
    pub fn watch(&self, grant: GrantId) -> Watch {
        *self.open().entry(grant).or_default() += 1;
        Watch { oauth: self.clone(), grant }
    }

    /// Whether a grant lives.
    pub async fn lives(&self, grant: GrantId) -> Result<bool, Fault> {
        Ok(rows::lives(&mut *self.0.store.read().await?, grant, self.0.clock.now()).await?)
    }

    /// Waits until a grant has ended. `ends` is from before the grant was last seen alive.
    pub async fn until_ended(&self, grant: GrantId, mut ends: broadcast::Receiver<GrantId>) {
        let _watch = self.watch(grant);
        loop {
            match ends.recv().await {
                Ok(ended) if ended == grant => return,
                Ok(_) => {}
                // Whose end was missed is not known: ask. A database that does not answer ends nothing.
                Err(RecvError::Lagged(_)) => match self.lives(grant).await {
                    Ok(false) => return,
                    _ => ends = ends.resubscribe(),
                },
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Looks after what is open until told to stop.
    pub async fn look_after(self, stop: CancellationToken) {
        let mut changes = self.0.accounts.changed();
        let mut next = Instant::now() + LOOK;
        loop {
            let heard = stop.run_until_cancelled(timeout_at(next, changes.recv())).await;
            let looked = match heard {
                None | Some(Ok(Err(RecvError::Closed))) => return,
                Some(Ok(Ok(account))) => self.account_changed(account).await,
                // Whose change was missed is not known, and nothing was heard for a while: look at all.
                Some(Ok(Err(RecvError::Lagged(_))) | Err(_)) => {
                    next = Instant::now() + LOOK;
                    self.look().await
                }
            };
            if let Err(fault) = looked {
                warn!("look after what programs keep open: {fault}");
            }
        }
    }

    /// Tells the ends of those grants that are open here and do not live.
    async fn look(&self) -> Result<(), Fault> {
        let open: Vec<GrantId> = self.open().keys().copied().collect();
        let living = self.living_among(&open).await?;
        for grant in open.iter().filter(|grant| !living.contains(grant)) {
            info!(grant.id = %grant, "a grant ended elsewhere");
            self.tell(*grant);
        }
        Ok(())
    }

    /// Which of these grants live.
    pub async fn living_among(&self, grants: &[GrantId]) -> Result<HashSet<GrantId>, Fault> {
        let mut living = HashSet::new();
        for some in grants.chunks(AT_ONCE) {
            let now = self.0.clock.now();
            living.extend(rows::living_among(&mut *self.0.store.read().await?, some, now).await?);
        }
        Ok(living)
    }

    /// Something of an account changed: what it took back ends, what it may no longer do pauses.
    async fn account_changed(&self, account: AccountId) -> Result<(), Fault> {
        let now = self.0.clock.now();
        let mut tx = self.0.store.begin().await?;
        let mut ended = rows::end_taken_back(&mut tx, account, Why::Account.word(), now).await?;
        ended.extend(rows::suspended(&mut tx, account, now).await?);
        tx.commit().await?;
        if !ended.is_empty() {
            info!(account.id = %account, grants = ended.len(), "grants of an account end");
        }
        ended.into_iter().for_each(|grant| self.tell(grant));
        Ok(())
    }

    pub(super) fn tell(&self, grant: GrantId) {
        // Nobody listens: nothing is open.
        _ = self.0.ended.send(grant);
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
