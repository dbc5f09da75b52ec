//! The one door to the database: SQLite by default, PostgreSQL for more than one machine.
//!
//! Both speak through sqlx's `Any`, with `BIGINT`, `TEXT` and `BLOB`/`BYTEA` columns only, so each query
//! is written once. Rows functions take a [`Db`]; a [`Tx`] and a [`Reader`] both lead to one. PostgreSQL has sqlx's
//! driver under it, SQLite one of our own (`local.rs`).
//!
//! Invariant: when [`Tx::commit`] has returned `Ok`, what was written is on disk. On SQLite that costs one
//! fsync for all who wait (`sqlite.rs`); PostgreSQL groups commits itself.

mod db;
mod local;
mod sqlite;

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use sqlx::AnyPool;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use tokio_util::sync::CancellationToken;

use crate::clock::Timestamp;

pub use db::Db;
use db::Way;

/// What the database said instead of answering.
pub type Failure = sqlx::Error;

/// A result of the database.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

const READERS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the rows are.
#[derive(Debug, Clone)]
pub enum Where {
    /// A file; made if it is not there.
    Sqlite(PathBuf),
    /// A `postgres://` address, password included.
    Postgres(shared::secret::Secret),
}

/// The database.
#[derive(Clone)]
pub struct Store(Inner);

#[derive(Clone)]
enum Inner {
    Sqlite(sqlite::Writer, sqlite::Readers),
    Postgres(AnyPool),
}

/// A transaction. Dropped without [`Tx::commit`] it leaves nothing behind.
pub struct Tx(Begun);

enum Begun {
    Sqlite(sqlite::Turn),
    Postgres(Db),
}

/// A connection for reading what is committed.
pub struct Reader(Lent);

enum Lent {
    Sqlite(sqlite::Lent),
    Postgres(Db),
}

impl Store {
    /// Opens the database and brings its tables up to date. Must run inside tokio; the group committer of
    /// SQLite ends with `stop`.
    ///
    /// # Errors
    /// When it cannot be reached or opened, is newer than this program, or SQLite is too old to trust.
    pub async fn open(place: &Where, stop: CancellationToken) -> anyhow::Result<Self> {
        sqlx::any::install_default_drivers();
        match place {
            Where::Sqlite(path) => {
                let says = || format!("open the database at {}", path.display());
                let (writer, readers) = sqlite::open(path, stop).await.with_context(says)?;
                Ok(Self(Inner::Sqlite(writer, readers)))
            }
            Where::Postgres(url) => {
                let pool = Self::postgres(url.expose()).await.context("open the PostgreSQL database")?;
                Ok(Self(Inner::Postgres(pool)))
            }
        }
    }

    async fn postgres(url: &str) -> anyhow::Result<AnyPool> {
        // The text of a parse error would quote the address, password included.
        let options: AnyConnectOptions =
            url.parse().map_err(|_| anyhow::anyhow!("its address is not a postgres:// URL"))?;
        let pool = AnyPoolOptions::new()
            .max_connections(16)
            .acquire_timeout(PATIENCE)
            // As SQLite's busy timeout: a lock that somebody keeps is waited for so long, then 503.
            .after_connect(|db, _| {
                Box::pin(async { sqlx::raw_sql("SET lock_timeout = '5s'").execute(db).await.map(drop) })
            })
            .connect_with(options)
            .await?;
        sqlx::migrate!("migrations/postgres").run(&pool).await?;
        Ok(pool)
    }

    /// Begins a transaction. On SQLite there is one writer: this waits for its turn.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(Tx(match &self.0 {
            Inner::Sqlite(writer, _) => Begun::Sqlite(writer.turn().await?),
            Inner::Postgres(pool) => Begun::Postgres(Db(Way::Transaction(pool.begin().await?))),
        }))
    }

    /// A connection for reading.
    pub async fn read(&self) -> Result<Reader> {
        Ok(Reader(match &self.0 {
            Inner::Sqlite(_, readers) => Lent::Sqlite(readers.take().await?),
            Inner::Postgres(pool) => Lent::Postgres(Db(Way::Pool(pool.acquire().await?))),
        }))
    }

    /// What time it is for every broker on this database: PostgreSQL's own clock, where their machines' may differ.
    /// SQLite has one broker, whose clock says `here`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn everybodys_time(&self, db: &mut Db, here: Timestamp) -> Result<Timestamp> {
        if self.is_alone() {
            return Ok(here);
        }
        let sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";
        Ok(Timestamp::from_millis(sqlx::query_scalar(sql).fetch_one(db).await?))
    }

    /// Whether no other broker can be at work on the same database.
    pub fn is_alone(&self) -> bool {
        matches!(self.0, Inner::Sqlite(..))
    }

    /// Whether the database answers.
    pub async fn answers(&self) -> bool {
        async { sqlx::query("SELECT 1").execute(&mut *self.read().await?).await }.await.is_ok()
    }

    /// Closes every connection; what is committed is on disk already.
    pub async fn close(&self) {
        match &self.0 {
            Inner::Sqlite(writer, readers) => {
                readers.close().await;
                writer.close().await;
            }
            Inner::Postgres(pool) => pool.close().await,
        }
    }
}

impl Tx {
    /// Commits; when this returns `Ok`, it is on disk.
    ///
    /// # Errors
    /// When it could not be written: then treat it as not done, and let the caller try again.
    pub async fn commit(self) -> Result<()> {
        match self.0 {
            Begun::Sqlite(turn) => turn.commit().await,
            Begun::Postgres(Db(Way::Transaction(transaction))) => transaction.commit().await,
            Begun::Postgres(_) => Err(Failure::Protocol("no transaction was begun".to_owned())),
        }
    }
}

impl Deref for Tx {
    type Target = Db;
    fn deref(&self) -> &Db {
        match &self.0 {
            Begun::Sqlite(turn) => turn.connection(),
            Begun::Postgres(db) => db,
        }
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Db {
        match &mut self.0 {
            Begun::Sqlite(turn) => turn.connection_mut(),
            Begun::Postgres(db) => db,
        }
    }
}

impl Deref for Reader {
    type Target = Db;
    fn deref(&self) -> &Db {
        match &self.0 {
            Lent::Sqlite(lent) => lent,
            Lent::Postgres(db) => db,
        }
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut Db {
        match &mut self.0 {
            Lent::Sqlite(lent) => lent,
            Lent::Postgres(db) => db,
        }
    }
}

/// Whether a row was refused because its like is there already.
pub fn is_taken(failure: &Failure) -> bool {
    failure.as_database_error().is_some_and(|err| err.is_unique_violation())
}

/// Whether trying again later may help: locked, full, stopped, out of reach. Everything else is a fault of ours.
pub fn is_passing(failure: &Failure) -> bool {
    match failure {
        Failure::Io(_)
        | Failure::Tls(_)
        | Failure::PoolTimedOut
        | Failure::PoolClosed
        | Failure::WorkerCrashed => true,
        Failure::Database(err) => err.code().is_some_and(|code| passing_code(&code)),
        _ => false,
    }
}

/// SQLite's result codes (the low byte: BUSY 5, LOCKED 6, READONLY 8, IOERR 10, FULL 13, CANTOPEN 14) and
/// PostgreSQL's classes (08 connection, 40 rollback, 53 resources, 57 operator, 58 system, 25006 read-only, 55P03
/// a lock that was not to be had).
fn passing_code(code: &str) -> bool {
    if code.len() == 5 {
        return ["08", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class))
            || matches!(code, "25006" | "55P03");
    }
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14))
}

#[cfg(test)]
mod tests;
