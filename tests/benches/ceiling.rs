//! The ceiling: what SQLite itself can put on this disk, durably, when as many rows as there are connections share
//! a transaction. No provider that keeps a row for each token can be faster.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use rusqlite::{Connection, params};

use crate::load::CONNECTIONS;

/// Rows a second: one for each connection in every transaction, at places as random as those of tokens.
pub fn rows_a_second(file: &Path, span: Duration) -> Result<f64> {
    let sqlite = Connection::open(file)?;
    sqlite.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE kept (hash BLOB PRIMARY KEY NOT NULL, payload TEXT NOT NULL) WITHOUT ROWID",
    )?;
    let (began, mut rows) = (Instant::now(), 0);
    while began.elapsed() < span {
        sqlite.execute_batch("BEGIN IMMEDIATE")?;
        let mut insert = sqlite.prepare_cached("INSERT INTO kept VALUES (randomblob(32), $1)")?;
        for _ in 0..CONNECTIONS {
            rows += insert.execute(params!["smarthome:read"])?;
        }
        sqlite.execute_batch("COMMIT")?;
    }
    Ok(rows as f64 / began.elapsed().as_secs_f64())
}
