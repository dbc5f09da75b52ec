//! The rows of the outbox.

use sqlx::Row as _;

use crate::clock::Timestamp;
use crate::store::{Db, Result};

/// A letter that waits.
pub struct Waiting {
    pub id: i64,
    pub to: String,
    pub sealed: Vec<u8>,
    pub due_at: i64,
    pub tries: i64,
    pub lapses_at: Timestamp,
}

/// A new letter.
pub struct New<'a> {
    pub id: i64,
    pub to: &'a str,
    pub sealed: &'a [u8],
    pub now: Timestamp,
    pub lapses_at: Timestamp,
}

pub async fn count(db: &mut Db) -> Result<i64> {
    sqlx::query("SELECT COUNT(*) AS letters FROM letter").fetch_one(db).await?.try_get("letters")
}

pub async fn add(db: &mut Db, new: &New<'_>) -> Result<()> {
    sqlx::query(
        "INSERT INTO letter (id, to_address, sealed, created_at, due_at, tries, lapses_at)
         VALUES ($1, $2, $3, $4, $4, 0, $5)",
    )
    .bind(new.id)
    .bind(new.to)
    .bind(new.sealed)
    .bind(new.now.millis())
    .bind(new.lapses_at.millis())
    .execute(db)
    .await
    .map(drop)
}

pub async fn due(db: &mut Db, now: Timestamp, most: i64) -> Result<Vec<Waiting>> {
    let rows = sqlx::query(
        "SELECT id, to_address, sealed, due_at, tries, lapses_at FROM letter
         WHERE due_at <= $1 ORDER BY due_at LIMIT $2",
    )
    .bind(now.millis())
    .bind(most)
    .fetch_all(db)
    .await?;
    let waiting = |row: &sqlx::any::AnyRow| {
        Ok(Waiting {
            id: row.try_get("id")?,
            to: row.try_get("to_address")?,
            sealed: row.try_get("sealed")?,
            due_at: row.try_get("due_at")?,
            tries: row.try_get("tries")?,
            lapses_at: Timestamp::from_millis(row.try_get("lapses_at")?),
        })
    };
    rows.iter().map(waiting).collect()
}

/// Takes a letter for oneself; false when somebody else did.
pub async fn claim(db: &mut Db, letter: &Waiting, until: Timestamp) -> Result<bool> {
    let taken = sqlx::query("UPDATE letter SET due_at = $3, tries = tries + 1 WHERE id = $1 AND due_at = $2")
        .bind(letter.id)
        .bind(letter.due_at)
        .bind(until.millis())
        .execute(db)
        .await?;
    Ok(taken.rows_affected() > 0)
}

pub async fn postpone(db: &mut Db, id: i64, due_at: Timestamp) -> Result<()> {
    let sql = "UPDATE letter SET due_at = $2 WHERE id = $1";
    sqlx::query(sql).bind(id).bind(due_at.millis()).execute(db).await.map(drop)
}

pub async fn remove(db: &mut Db, id: i64) -> Result<()> {
    sqlx::query("DELETE FROM letter WHERE id = $1").bind(id).execute(db).await.map(drop)
}
