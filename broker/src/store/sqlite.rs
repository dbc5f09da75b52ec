//! SQLite: one writer with group commit, a few readers.
//!
//! Writers take turns on one connection. A turn is a savepoint inside a transaction that stays open while
//! others wait in line; the committer stands in the same (fair) line, so one fsync serves all who queued
//! before it. Invariant: nobody's commit returns before the fsync that covers it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyPool, ConnectOptions as _, Connection as _, Row as _};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, watch};
use tokio_util::sync::CancellationToken;

use super::{Db, Failure, PATIENCE, READERS, Result};

/// The first release whose write-ahead log cannot be corrupted by a reset (3.7.0 to 3.51.2 can).
const OLDEST: (u32, u32, u32) = (3, 51, 3);

#[derive(Clone)]
pub(super) struct Writer {
    line: Arc<Mutex<Seat>>,
    due: Arc<Notify>,
}

/// The connection and how things stand on it.
struct Seat {
    connection: Option<Db>,
    /// The open transaction's members wait on this; `None`: no transaction is open.
    group: Option<watch::Sender<Option<bool>>>,
    /// A turn was dropped before its end: its savepoint must be undone first.
    unfinished: bool,
    /// The transaction cannot be committed any more.
    broken: bool,
    /// A BEGIN was sent and its sender has not come back: whether it went through is unknown.
    beginning: bool,
}

/// One writer's turn.
pub(super) struct Turn {
    seat: OwnedMutexGuard<Seat>,
    due: Arc<Notify>,
}

pub(super) async fn open(path: &Path, stop: CancellationToken) -> anyhow::Result<(Writer, AnyPool)> {
    let place =
        url::Url::from_file_path(std::path::absolute(path)?).map_err(|()| anyhow::anyhow!("not a path"))?;
    let place = place.path();
    let mut connection = connect(&format!("sqlite://{place}?mode=rwc")).await?;
    let version: String =
        sqlx::query("SELECT sqlite_version()").fetch_one(&mut connection).await?.try_get(0)?;
    ensure!(
        is_trusted(&version),
        "SQLite {version} can corrupt its write-ahead log; 3.51.3 is the first that cannot"
    );
    for pragma in [
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA foreign_keys = ON",
        "PRAGMA busy_timeout = 5000",
    ] {
        sqlx::raw_sql(pragma).execute(&mut connection).await?;
    }
    sqlx::migrate!("migrations/sqlite").run(&mut connection).await?;
    let readers = AnyPoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(PATIENCE)
        .after_connect(|db, _| {
            Box::pin(async { sqlx::raw_sql("PRAGMA query_only = ON").execute(db).await.map(drop) })
        })
        .connect(&format!("sqlite://{place}?mode=rw"))
        .await?;
    let writer = Writer {
        line: Arc::new(Mutex::new(Seat {
            connection: Some(connection),
            group: None,
            unfinished: false,
            broken: false,
            beginning: false,
        })),
        due: Arc::default(),
    };
    tokio::spawn(writer.clone().keep_committing(stop));
    Ok((writer, readers))
}

async fn connect(url: &str) -> Result<Db> {
    url.parse::<AnyConnectOptions>()?.connect().await
}

fn is_trusted(version: &str) -> bool {
    let mut numbers = version.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next()) >= OLDEST
}

impl Writer {
    pub(super) async fn turn(&self) -> Result<Turn> {
        let seat = tokio::time::timeout(PATIENCE, self.line.clone().lock_owned()).await;
        let mut turn = Turn { seat: seat.map_err(|_| Failure::PoolTimedOut)?, due: self.due.clone() };
        turn.begin().await?;
        Ok(turn)
    }

    /// Stands in line for whoever ended a turn. It goes on after `stop` until `close` has taken the
    /// connection, so that turns under way are still answered.
    async fn keep_committing(self, stop: CancellationToken) {
        while stop.run_until_cancelled(self.due.notified()).await.is_some() {
            self.line.lock().await.commit().await;
        }
        // Those who were in line when the broker was told to stop are still served, until `close`.
        while self.line.lock().await.commit().await {
            _ = tokio::time::timeout(Duration::from_millis(200), self.due.notified()).await;
        }
    }

    pub(super) async fn close(&self) {
        let mut seat = self.line.lock().await;
        seat.commit().await;
        if let Some(connection) = seat.connection.take() {
            _ = connection.close().await;
        }
    }
}

impl Seat {
    fn db(&mut self) -> Result<&mut Db> {
        self.connection.as_mut().ok_or(Failure::PoolClosed)
    }

    async fn tell(&mut self, sql: &'static str) -> Result<()> {
        sqlx::raw_sql(sql).execute(self.db()?).await.map(drop)
    }

    /// Ends the open transaction and tells its members; false once the connection is closed.
    async fn commit(&mut self) -> bool {
        if self.unfinished {
            self.undo().await;
        }
        if let Some(group) = self.group.take() {
            let done = !self.broken && self.tell("COMMIT").await.is_ok();
            if !done {
                // Whether SQLite had rolled back by itself does not matter: after this nothing is open.
                _ = self.tell("ROLLBACK").await;
            }
            self.broken = false;
            group.send_replace(Some(done));
        }
        self.connection.is_some()
    }

    /// Undoes the turn that was dropped. Where that fails nothing of this group can be trusted.
    async fn undo(&mut self) {
        self.unfinished = false;
        self.broken |= self.tell("ROLLBACK TO turn; RELEASE turn").await.is_err();
    }
}

impl Turn {
    pub(super) fn connection(&self) -> &Db {
        self.seat.connection.as_ref().expect("a turn begins only on an open connection")
    }

    pub(super) fn connection_mut(&mut self) -> &mut Db {
        self.seat.connection.as_mut().expect("a turn begins only on an open connection")
    }

    async fn begin(&mut self) -> Result<()> {
        if self.seat.unfinished {
            self.seat.undo().await;
        }
        if self.seat.broken {
            self.seat.commit().await;
        }
        if self.seat.beginning {
            // Fails where the BEGIN did not go through; either way nothing is open now.
            _ = self.seat.tell("ROLLBACK").await;
        }
        if self.seat.group.is_none() {
            self.seat.beginning = true;
            let begun = self.seat.tell("BEGIN IMMEDIATE").await;
            self.seat.beginning = false;
            begun?;
            self.seat.group = Some(watch::Sender::new(None));
        }
        self.seat.unfinished = true;
        self.seat.tell("SAVEPOINT turn").await
    }

    pub(super) async fn commit(mut self) -> Result<()> {
        let released = self.seat.tell("RELEASE turn").await;
        self.seat.unfinished = false;
        self.seat.broken |= released.is_err();
        released?;
        let mut done = self.seat.group.as_ref().map(watch::Sender::subscribe).ok_or(Failure::PoolClosed)?;
        drop(self);
        let done = done.wait_for(Option::is_some).await.map(|done| *done == Some(true));
        if done.unwrap_or(false) { Ok(()) } else { Err(Failure::WorkerCrashed) }
    }
}

impl Drop for Turn {
    /// However a turn ends, somebody must end the transaction it may have opened.
    fn drop(&mut self) {
        self.due.notify_one();
    }
}
