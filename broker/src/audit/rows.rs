//! The rows of the list, and the one row that knows its end.

use sqlx::Row as _;

use super::Written;
use crate::store::{Db, Result};

/// The next number and the hash before it. Others who add wait until this transaction ends.
pub async fn take_end(db: &mut Db) -> Result<(i64, Vec<u8>)> {
    let row =
        sqlx::query("UPDATE audit_end SET entries = entries + 1 WHERE id = 1 RETURNING entries, last_hash")
            .fetch_one(db)
            .await?;
    Ok((row.try_get("entries")?, row.try_get("last_hash")?))
}

/// How many there are, and the last hash.
pub async fn end(db: &mut Db) -> Result<(i64, Vec<u8>)> {
    let row = sqlx::query("SELECT entries, last_hash FROM audit_end WHERE id = 1").fetch_one(db).await?;
    Ok((row.try_get("entries")?, row.try_get("last_hash")?))
}

pub async fn add(db: &mut Db, entry: &Written) -> Result<()> {
    sqlx::query(
        "INSERT INTO audit (entry, at, act, account_id, workspace_id, place, facts, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(entry.number)
    .bind(entry.at)
    .bind(&entry.act)
    .bind(entry.account)
    .bind(entry.workspace)
    .bind(entry.from.clone())
    .bind(&entry.facts)
    .bind(&entry.hash[..])
    .execute(&mut *db)
    .await?;
    sqlx::query("UPDATE audit_end SET last_hash = $1 WHERE id = 1")
        .bind(&entry.hash[..])
        .execute(db)
        .await
        .map(drop)
}

pub async fn after(db: &mut Db, number: i64, most: i64) -> Result<Vec<Written>> {
    let rows = sqlx::query(
        "SELECT entry, at, act, account_id, workspace_id, place, facts, hash
         FROM audit WHERE entry > $1 ORDER BY entry LIMIT $2",
    )
    .bind(number)
    .bind(most)
    .fetch_all(db)
    .await?;
    let read = |row: &sqlx::any::AnyRow| {
        Ok(Written {
            number: row.try_get("entry")?,
            at: row.try_get("at")?,
            act: row.try_get("act")?,
            account: row.try_get("account_id")?,
            workspace: row.try_get("workspace_id")?,
            from: row.try_get("place")?,
            facts: row.try_get("facts")?,
            hash: row.try_get("hash")?,
        })
    };
    rows.iter().map(read).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Does to the table what nobody should.
    pub async fn run(db: &mut Db, sql: &'static str) -> Result<()> {
        sqlx::query(sql).execute(db).await.map(drop)
    }
}
