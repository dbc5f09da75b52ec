//! Lapsing: one task that knows when the next link's time is over, closes its sockets and tells its home.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::{Portal, rows};
use crate::clock::Timestamp;
use crate::store::Result;

/// The longest sleep while a link is to lapse: a clock that was set is noticed within it.
const NAP: Duration = Duration::from_millis(500);

impl Portal {
    /// Never ends by itself.
    pub(super) async fn keep_lapsing(&self) {
        // What lapsed before this broker started has no socket here, and nobody was told that it is shared.
        let mut done = self.0.clock.now();
        loop {
            match self.lapse(done).await {
                Ok(now) => done = now,
                Err(failure) => {
                    warn!("look for lapsed links: {failure}");
                    sleep(NAP).await;
                }
            }
        }
    }

    /// Waits until a link lapses that had not at `done`, and ends those that have. Gives the moment up to
    /// which this is done.
    async fn lapse(&self, done: Timestamp) -> Result<Timestamp> {
        let next = rows::next_expiry(&mut *self.0.store.read().await?, done).await?;
        let Some(next) = next else {
            self.0.made.notified().await;
            return Ok(done);
        };
        loop {
            let left = next.since(self.0.clock.now());
            if left.is_zero() {
                break;
            }
            if timeout(left.min(NAP), self.0.made.notified()).await.is_ok() {
                return Ok(done);
            }
        }
        let now = self.0.clock.now();
        let lapsed = rows::lapsed(&mut *self.0.store.read().await?, done, now).await?;
        for (link, _) in &lapsed {
            info!(link.id = %link, "link lapsed");
            self.0.open.end(*link);
        }
        let mut homes: Vec<_> = lapsed.into_iter().map(|(_, home)| home).collect();
        homes.sort_unstable();
        homes.dedup();
        for home in homes {
            self.0.relay.shares_changed(home).await;
        }
        Ok(now)
    }
}
