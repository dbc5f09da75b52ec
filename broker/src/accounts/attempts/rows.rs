//! The rows of failed tries.

use shared::id::AccountId;
use sqlx::Row as _;

use super::Count;
use crate::clock::Timestamp;
use crate::store::{Db, Result};

/// Whether the account of an address was signed in at a place lately.
pub async fn was_here(db: &mut Db, email: &str, ip: &str) -> Result<bool> {
    let row = sqlx::query(
        "SELECT 1 FROM session s JOIN account a ON a.id = s.account_id WHERE a.email = $1 AND s.ip = $2 LIMIT 1",
    )
    .bind(email)
    .bind(ip)
    .fetch_optional(db)
    .await?;
    Ok(row.is_some())
}

/// Whether an account has a session that began at a place.
pub async fn signed_in_from(db: &mut Db, account: AccountId, ip: &str) -> Result<bool> {
    let row = sqlx::query("SELECT 1 FROM session WHERE account_id = $1 AND ip = $2 LIMIT 1")
        .bind(account.number())
        .bind(ip)
        .fetch_optional(db)
        .await?;
    Ok(row.is_some())
}

/// What is known of a key; nobody else changes it until this transaction ends.
pub async fn hold(db: &mut Db, key: &[u8], now: Timestamp) -> Result<Option<Count>> {
    // The row is made before it is locked, so that the first two tries do not miss each other.
    sqlx::query(
        "INSERT INTO attempt (key_hash, failures, failed_at, free_at) VALUES ($1, 0, $2, $2)
         ON CONFLICT (key_hash) DO UPDATE SET failures = attempt.failures",
    )
    .bind(key)
    .bind(now.millis())
    .execute(&mut *db)
    .await?;
    let row = sqlx::query("SELECT failures, failed_at, free_at FROM attempt WHERE key_hash = $1")
        .bind(key)
        .fetch_one(db)
        .await?;
    let count = Count {
        failures: row.try_get("failures")?,
        failed_at: Timestamp::from_millis(row.try_get("failed_at")?),
        free_at: Timestamp::from_millis(row.try_get("free_at")?),
    };
    Ok(Some(count).filter(|count| count.failures > 0))
}

pub async fn set(db: &mut Db, key: &[u8], count: Count) -> Result<()> {
    sqlx::query("UPDATE attempt SET failures = $2, failed_at = $3, free_at = $4 WHERE key_hash = $1")
        .bind(key)
        .bind(count.failures)
        .bind(count.failed_at.millis())
        .bind(count.free_at.millis())
        .execute(db)
        .await
        .map(drop)
}

pub async fn forgive(db: &mut Db, key: &[u8]) -> Result<()> {
    let sql = "UPDATE attempt SET failures = failures - 1 WHERE key_hash = $1 AND failures > 0";
    sqlx::query(sql).bind(key).execute(db).await.map(drop)
}

pub async fn forget(db: &mut Db, key: &[u8]) -> Result<()> {
    sqlx::query("DELETE FROM attempt WHERE key_hash = $1").bind(key).execute(db).await.map(drop)
}

pub async fn forget_old(db: &mut Db, before: Timestamp) -> Result<u64> {
    let gone =
        sqlx::query("DELETE FROM attempt WHERE failed_at < $1").bind(before.millis()).execute(db).await?;
    Ok(gone.rows_affected())
}
