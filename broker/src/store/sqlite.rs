//! SQLite: one writer with group commit, a few readers.
//!
//! Writers take turns on one connection. A turn is a savepoint inside a transaction that stays open while
//! others wait in line; the committer stands in the same (fair) line, so one fsync serves all who queued
//! before it. Invariant: nobody's commit returns before the fsync that covers it.
//!
//! Statements run in the thread that asks ([`local`](super::local)); what waits for the disk, or for another
//! process, does not hold that thread.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use sqlx::any::AnyConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};
use tokio::sync::{self, Notify, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::db::Way;
use super::local::Local;
use super::{Db, Failure, PATIENCE, READERS, Result};

/// The first release whose write-ahead log cannot be corrupted by a reset (3.7.0 to 3.51.2 can).
const OLDEST: (u32, u32, u32) = (3, 51, 3);

/// A lock is waited for [elsewhere](Seat::begin). Tokens lie at random places: pages are kept, and moved from the log
/// into the file (in pages of 4 KiB) seldom enough that those that change again and again are moved once.
const WRITES: &str = "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 0;
    PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 4000";
const READS: &str = "PRAGMA query_only = ON; PRAGMA busy_timeout = 5000";
/// How often a lock that another process has is asked for.
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Clone)]
pub(super) struct Writer {
    line: Arc<sync::Mutex<Seat>>,
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
}

/// One writer's turn.
pub(super) struct Turn {
    seat: OwnedMutexGuard<Seat>,
    due: Arc<Notify>,
}

/// Connections for reading what is committed: opened when they are needed, lent to one at a time.
#[derive(Clone)]
pub(super) struct Readers {
    path: Arc<Path>,
    places: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Db>>>,
}

/// A connection that is lent.
pub(super) struct Lent {
    /// There until it is given back.
    db: Option<Db>,
    readers: Readers,
    _place: OwnedSemaphorePermit,
}

pub(super) async fn open(path: &Path, stop: CancellationToken) -> anyhow::Result<(Writer, Readers)> {
    let path = std::path::absolute(path)?;
    migrate(&path).await?;
    let db = connect(&path, WRITES)?;
    let writer = Writer {
        line: Arc::new(sync::Mutex::new(Seat {
            connection: Some(db),
            group: None,
            unfinished: false,
            broken: false,
        })),
        due: Arc::default(),
    };
    tokio::spawn(writer.clone().keep_committing(stop));
    let readers =
        Readers { path: path.into(), places: Arc::new(Semaphore::new(READERS)), idle: Arc::default() };
    Ok((writer, readers))
}

/// Makes the file, if it is not there, and brings its tables up to date, by sqlx's own driver.
async fn migrate(path: &Path) -> anyhow::Result<()> {
    let place = url::Url::from_file_path(path).map_err(|()| anyhow::anyhow!("not a path"))?;
    let address = format!("sqlite://{}?mode=rwc", place.path());
    let mut connection = address.parse::<AnyConnectOptions>()?.connect().await?;
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
    Ok(connection.close().await?)
}

fn connect(path: &Path, pragmas: &str) -> Result<Db> {
    let local = Local::open(path)?;
    local.tell_all(pragmas)?;
    Ok(Db(Way::Sqlite(local)))
}

fn is_trusted(version: &str) -> bool {
    let mut numbers = version.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next()) >= OLDEST
}

impl Readers {
    pub(super) async fn take(&self) -> Result<Lent> {
        let place = timeout(PATIENCE, self.places.clone().acquire_owned()).await;
        let place = place.map_err(|_| Failure::PoolTimedOut)?.map_err(|_| Failure::PoolClosed)?;
        let idle = self.idle().pop();
        let db = match idle {
            Some(db) => db,
            None => connect(&self.path, READS)?,
        };
        Ok(Lent { db: Some(db), readers: self.clone(), _place: place })
    }

    pub(super) async fn close(&self) {
        // Who reads at this moment is waited for, as long as anybody is.
        let all = u32::try_from(READERS).unwrap_or(u32::MAX);
        _ = timeout(PATIENCE, self.places.acquire_many(all)).await;
        self.places.close();
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Db>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(db) = self.db.take().filter(|_| !self.readers.places.is_closed()) {
            self.readers.idle().push(db);
        }
    }
}

impl Deref for Lent {
    type Target = Db;
    fn deref(&self) -> &Db {
        self.db.as_ref().expect("it is there until it is given back")
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Db {
        self.db.as_mut().expect("it is there until it is given back")
    }
}

impl Writer {
    pub(super) async fn turn(&self) -> Result<Turn> {
        let seat = timeout(PATIENCE, self.line.clone().lock_owned()).await;
        let mut turn = Turn { seat: seat.map_err(|_| Failure::PoolTimedOut)?, due: self.due.clone() };
        turn.begin().await?;
        Ok(turn)
    }

    /// Stands in line for whoever ended a turn. It goes on after `stop` until `close` has taken the
    /// connection, so that turns under way are still answered.
    async fn keep_committing(self, stop: CancellationToken) {
        while stop.run_until_cancelled(self.due.notified()).await.is_some() {
            // Whose request has arrived already comes along: one fsync more costs all of them more than this.
            tokio::task::yield_now().await;
            self.line.lock().await.commit().await;
        }
        // Those who were in line when the broker was told to stop are still served, until `close`.
        while self.line.lock().await.commit().await {
            _ = timeout(Duration::from_millis(200), self.due.notified()).await;
        }
    }

    pub(super) async fn close(&self) {
        let mut seat = self.line.lock().await;
        seat.commit().await;
        if let Some(Db(Way::Sqlite(local))) = seat.connection.take() {
            // The last to leave moves what is in the log into the file.
            _ = spawn_blocking(|| local.close()).await;
        }
    }
}

impl Seat {
    fn tell(&mut self, sql: &'static str) -> Result<()> {
        self.connection.as_mut().ok_or(Failure::PoolClosed)?.local()?.tell(sql)
    }

    /// Ends the open transaction and tells its members; false once the connection is closed.
    ///
    /// Who drops this while the disk is being waited for loses the connection: only the committer and `close` wait.
    async fn commit(&mut self) -> bool {
        self.undo();
        if self.broken {
            self.give_up();
        }
        if let Some(group) = self.group.take() {
            let done = self.sync().await.is_ok();
            if !done {
                // Whether SQLite had rolled back by itself does not matter: after this nothing is open.
                _ = self.tell("ROLLBACK");
            }
            group.send_replace(Some(done));
        }
        self.connection.is_some()
    }

    async fn sync(&mut self) -> Result<()> {
        let mut db = self.connection.take().ok_or(Failure::PoolClosed)?;
        let done = spawn_blocking(move || {
            let done = db.local().and_then(|local| local.tell("COMMIT"));
            (db, done)
        });
        let (db, done) = done.await.map_err(|_| Failure::WorkerCrashed)?;
        self.connection = Some(db);
        done
    }

    /// Ends the open transaction as not done.
    fn give_up(&mut self) {
        _ = self.tell("ROLLBACK");
        self.broken = false;
        if let Some(group) = self.group.take() {
            group.send_replace(Some(false));
        }
    }

    /// Undoes the turn that was dropped, if one was. Where that fails nothing of this group can be trusted.
    fn undo(&mut self) {
        if std::mem::take(&mut self.unfinished) {
            let undone = self.tell("ROLLBACK TO turn").and_then(|()| self.tell("RELEASE turn"));
            self.broken |= undone.is_err();
        }
    }

    /// Waits for a lock that another process has: a command beside the broker.
    async fn begin(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.tell("BEGIN IMMEDIATE") {
                Err(failure) if is_locked(&failure) && Instant::now() < until => sleep(PAUSE).await,
                done => return done,
            }
        }
    }
}

/// BUSY or LOCKED: somebody else writes.
fn is_locked(failure: &Failure) -> bool {
    let code = failure.as_database_error().and_then(|err| err.code()?.parse::<u32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, 5 | 6))
}

impl Turn {
    pub(super) fn connection(&self) -> &Db {
        self.seat.connection.as_ref().expect("a turn begins only on an open connection")
    }

    pub(super) fn connection_mut(&mut self) -> &mut Db {
        self.seat.connection.as_mut().expect("a turn begins only on an open connection")
    }

    async fn begin(&mut self) -> Result<()> {
        self.seat.undo();
        if self.seat.broken {
            self.seat.give_up();
        }
        if self.seat.group.is_none() {
            self.seat.begin().await?;
            self.seat.group = Some(watch::Sender::new(None));
        }
        self.seat.tell("SAVEPOINT turn")?;
        self.seat.unfinished = true;
        Ok(())
    }

    pub(super) async fn commit(mut self) -> Result<()> {
        let released = self.seat.tell("RELEASE turn");
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
