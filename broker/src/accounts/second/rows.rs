//! The rows of second factors, and of sign-ins between their two steps.

use shared::id::AccountId;
use sqlx::Row as _;

use super::{Half, Second};
use crate::accounts::rows::{Known, id};
use crate::clock::Timestamp;
use crate::store::{Db, Result};

/// An app's secret.
pub struct Totp {
    pub sealed: Vec<u8>,
    pub is_confirmed: bool,
    pub created_at: Timestamp,
}

pub async fn second(db: &mut Db, account: AccountId) -> Result<Second> {
    let row = sqlx::query(
        "SELECT a.password_is_short,
                (SELECT COUNT(*) FROM totp t WHERE t.account_id = a.id AND t.confirmed_at IS NOT NULL) AS totp,
                (SELECT COUNT(*) FROM passkey p WHERE p.account_id = a.id) AS passkeys,
                (SELECT COUNT(*) FROM recovery_code r WHERE r.account_id = a.id) AS recovery
         FROM account a WHERE a.id = $1",
    )
    .bind(account.number())
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(Second::default()) };
    Ok(Second {
        totp: row.try_get::<i64, _>("totp")? > 0,
        passkeys: row.try_get("passkeys")?,
        recovery: row.try_get("recovery")?,
        password_is_short: row.try_get::<i64, _>("password_is_short")? != 0,
    })
}

pub async fn add_half(db: &mut Db, hash: &[u8], half: &Half, until: Timestamp) -> Result<()> {
    sqlx::query(
        "INSERT INTO sign_in (token_hash, account_id, next, is_kept, epoch, expires_at)
         SELECT $1, id, $3, $4, epoch, $5 FROM account WHERE id = $2",
    )
    .bind(hash)
    .bind(half.known.account.number())
    .bind(&half.next)
    .bind(i64::from(half.is_kept))
    .bind(until.millis())
    .execute(db)
    .await
    .map(drop)
}

pub async fn half(db: &mut Db, hash: &[u8], now: Timestamp) -> Result<Option<Half>> {
    let row = sqlx::query(
        "SELECT s.account_id, s.next, s.is_kept, a.password FROM sign_in s JOIN account a ON a.id = s.account_id
         WHERE s.token_hash = $1 AND s.expires_at > $2 AND a.disabled_at IS NULL AND a.epoch = s.epoch",
    )
    .bind(hash)
    .bind(now.millis())
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(Half {
            known: Known { account: id(row.try_get("account_id")?)?, hash: row.try_get("password")? },
            next: row.try_get("next")?,
            is_kept: row.try_get::<i64, _>("is_kept")? != 0,
        })
    })
    .transpose()
}

pub async fn end_half(db: &mut Db, hash: &[u8]) -> Result<bool> {
    let ended = sqlx::query("DELETE FROM sign_in WHERE token_hash = $1").bind(hash).execute(db).await?;
    Ok(ended.rows_affected() > 0)
}

pub async fn forget_halves(db: &mut Db, now: Timestamp) -> Result<u64> {
    let gone =
        sqlx::query("DELETE FROM sign_in WHERE expires_at <= $1").bind(now.millis()).execute(db).await?;
    Ok(gone.rows_affected())
}

pub async fn totp(db: &mut Db, account: AccountId) -> Result<Option<Totp>> {
    let row = sqlx::query("SELECT sealed, confirmed_at, created_at FROM totp WHERE account_id = $1")
        .bind(account.number())
        .fetch_optional(db)
        .await?;
    row.map(|row| {
        let confirmed: Option<i64> = row.try_get("confirmed_at")?;
        Ok(Totp {
            sealed: row.try_get("sealed")?,
            is_confirmed: confirmed.is_some(),
            created_at: Timestamp::from_millis(row.try_get("created_at")?),
        })
    })
    .transpose()
}

/// A secret that waits for its first code. One that is in use stays as it is.
pub async fn wait_for_totp(db: &mut Db, account: AccountId, sealed: &[u8], now: Timestamp) -> Result<()> {
    sqlx::query(
        "INSERT INTO totp (account_id, sealed, last_step, created_at) VALUES ($1, $2, 0, $3)
         ON CONFLICT (account_id) DO UPDATE SET sealed = excluded.sealed, created_at = excluded.created_at
         WHERE totp.confirmed_at IS NULL",
    )
    .bind(account.number())
    .bind(sealed)
    .bind(now.millis())
    .execute(db)
    .await
    .map(drop)
}

/// Forgets secrets that wait for their first code since before then.
pub async fn forget_waiting(db: &mut Db, before: i64) -> Result<u64> {
    let sql = "DELETE FROM totp WHERE confirmed_at IS NULL AND created_at <= $1";
    Ok(sqlx::query(sql).bind(before).execute(db).await?.rows_affected())
}

pub async fn confirm_totp(db: &mut Db, account: AccountId, step: i64, now: Timestamp) -> Result<()> {
    sqlx::query(
        "UPDATE totp SET confirmed_at = $3, last_step = $2 WHERE account_id = $1 AND confirmed_at IS NULL",
    )
    .bind(account.number())
    .bind(step)
    .bind(now.millis())
    .execute(db)
    .await
    .map(drop)
}

/// Uses a step up; false when it, or a later one, was used before (RFC 6238 section 5.2).
pub async fn take_step(db: &mut Db, account: AccountId, step: i64) -> Result<bool> {
    let taken = sqlx::query("UPDATE totp SET last_step = $2 WHERE account_id = $1 AND last_step < $2")
        .bind(account.number())
        .bind(step)
        .execute(db)
        .await?;
    Ok(taken.rows_affected() > 0)
}

pub async fn remove_totp(db: &mut Db, account: AccountId) -> Result<()> {
    sqlx::query("DELETE FROM totp WHERE account_id = $1").bind(account.number()).execute(db).await.map(drop)
}

pub async fn add_recovery(db: &mut Db, account: AccountId, hash: &[u8]) -> Result<()> {
    sqlx::query("INSERT INTO recovery_code (account_id, code_hash) VALUES ($1, $2)")
        .bind(account.number())
        .bind(hash)
        .execute(db)
        .await
        .map(drop)
}

/// Uses a recovery code up; false when there is no such.
pub async fn take_recovery(db: &mut Db, account: AccountId, hash: &[u8]) -> Result<bool> {
    let taken = sqlx::query("DELETE FROM recovery_code WHERE account_id = $1 AND code_hash = $2")
        .bind(account.number())
        .bind(hash)
        .execute(db)
        .await?;
    Ok(taken.rows_affected() > 0)
}

pub async fn forget_recovery(db: &mut Db, account: AccountId) -> Result<()> {
    let sql = "DELETE FROM recovery_code WHERE account_id = $1";
    sqlx::query(sql).bind(account.number()).execute(db).await.map(drop)
}

pub async fn remove_all(db: &mut Db, account: AccountId) -> Result<()> {
    for sql in [
        "DELETE FROM totp WHERE account_id = $1",
        "DELETE FROM passkey WHERE account_id = $1",
        "DELETE FROM recovery_code WHERE account_id = $1",
    ] {
        sqlx::query(sql).bind(account.number()).execute(&mut *db).await?;
    }
    Ok(())
}
