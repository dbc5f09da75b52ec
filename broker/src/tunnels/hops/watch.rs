//! The task that keeps the board true: notices what changes here, writes down what lasts, beats this broker's heart
//! and takes in what other brokers write.
//!
//! Invariant: nothing is written once this broker was told to stop. Its sockets then close, and that is no fault of
//! any home.

use std::time::Duration;

use shared::id::HomeId;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::board::{BEAT, Change};
use super::rows;
use crate::chance;
use crate::http::Fault;
use crate::store;
use crate::tunnels::{Parts, Tunnels};

/// Between two looks at what has stood long enough.
const TICK: Duration = Duration::from_secs(1);

impl Tunnels {
    /// Reads what was written down; to be done before anybody asks.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remember_hops(&self) -> Result<(), Fault> {
        self.refresh().await
    }

    /// Keeps the board until told to stop.
    pub async fn keep_hops(&self, stop: CancellationToken) {
        let Parts { direct, relay, .. } = &self.0.parts;
        let (mut lines, mut agents) = (direct.changes(), relay.changes());
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let every = BEAT.as_secs() / TICK.as_secs();
        for tick in 0u64.. {
            // Noticed at once, so that a moment is the right one; written in the next tick or later.
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    _ = ticks.tick() => break,
                    change = lines.recv() => self.noticed(change.map(|change| change.home)),
                    home = agents.recv() => self.noticed(home),
                }
            }
            // A round goes to its end: what has begun to be written is no half truth.
            let mut round = self.settle(&stop).await;
            if round.is_ok() && tick % every == 0 {
                round = self.round(&stop, (tick / every) as i64).await;
            }
            if let Err(fault) = round {
                // Everything waits on the board; nothing is lost but a little time.
                warn!("keep the history of the homes: {fault}");
            }
        }
    }

    /// This home's hops may have changed; or, where news was missed, anybody's.
    fn noticed(&self, news: Result<HomeId, RecvError>) {
        match news {
            Ok(home) => self.look_at(home),
            Err(_) => self.look_at_all(),
        }
    }

    /// Something was heard of a home, by whoever polls a provider or holds a socket: its hops are looked at anew.
    pub(in crate::tunnels) fn look_at(&self, home: HomeId) {
        let domain = self.0.board.domain(home);
        let (facts, hops) = (self.facts(home, domain.as_deref()), self.hops_of(home, domain.as_deref()));
        self.0.board.look(home, &facts, &hops, self.0.parts.clock.now());
    }

    fn look_at_all(&self) {
        self.0.board.homes().into_iter().for_each(|home| self.look_at(home));
    }

    /// Beats, takes in what others wrote, looks at every home, and sees whose owners are to be told.
    async fn round(&self, stop: &CancellationToken, beat: i64) -> Result<(), Fault> {
        let Parts { store, clock, vault, .. } = &self.0.parts;
        // Read anew if its file has changed: whoever rotates keys waits to hear it from every broker.
        let keys = vault.current().ids().collect::<Vec<_>>().join(" ");
        let mut tx = store.begin().await?;
        let counts = rows::beat(&mut tx, self.0.board.us, beat, &keys, clock.now()).await?;
        tx.commit().await?;
        self.0.board.listen(counts, clock.now());
        self.refresh().await?;
        self.look_at_all();
        self.see_to_incidents(stop).await
    }

    async fn refresh(&self) -> Result<(), Fault> {
        let Parts { store, clock, .. } = &self.0.parts;
        let mut db = store.read().await?;
        // The hops first: of a home that is deleted in between nothing stays.
        self.0.board.put(rows::not_of(&mut db, self.0.board.us).await?, clock.now());
        self.0.board.keep(rows::homes(&mut db).await?);
        Ok(())
    }

    /// Writes what has stood long enough.
    async fn settle(&self, stop: &CancellationToken) -> Result<(), Fault> {
        for (home, changes) in self.0.board.due() {
            if stop.is_cancelled() {
                return Ok(());
            }
            match self.write(home, &changes).await {
                Ok(true) => {}
                Err(failure) if store::is_passing(&failure) => return Err(failure.into()),
                // Somebody else has written, or the home is gone.
                Ok(false) | Err(_) => self.read_anew(home).await?,
            }
        }
        Ok(())
    }

    async fn read_anew(&self, home: HomeId) -> Result<(), Fault> {
        let Parts { store, clock, .. } = &self.0.parts;
        let found = rows::of(&mut *store.read().await?, home).await?;
        self.0.board.forget(home);
        if !found.is_empty() {
            self.0.board.put(found, clock.now());
            self.look_at(home);
        }
        Ok(())
    }

    /// Writes changes of one home; false when something of it is not as it was read.
    async fn write(&self, home: HomeId, changes: &[Change]) -> store::Result<bool> {
        let board = &self.0.board;
        let mut tx = self.0.parts.store.begin().await?;
        for Change { hop, before, is_claim } in changes {
            if !rows::replace(&mut tx, home, hop, board.us, before.as_ref()).await? {
                return Ok(false);
            }
            if *is_claim {
                continue;
            }
            let since = hop.since.unwrap_or(board.started);
            rows::end_spell(&mut tx, home, hop.which, since).await?;
            if hop.is_cut() {
                rows::add_spell(&mut tx, (chance::bits() >> 11) as i64, home, hop).await?;
            }
        }
        tx.commit().await?;
        for Change { hop, is_claim, .. } in changes {
            if !is_claim {
                let (state, reason) = (hop.state.word(), hop.reason.map(|reason| reason.word()));
                info!(home.id = %home, hop = hop.which.word(), state, reason, "a hop has changed");
            }
            board.wrote(home, hop.clone());
        }
        Ok(true)
    }
}
