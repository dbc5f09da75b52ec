//! The rows of letters asked for, and of the links in them.

use shared::id::AccountId;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::Confirmed;
use crate::accounts::rows::id;
use crate::clock::Timestamp;
use crate::store::{Db, Result};

/// A letter somebody asked for.
pub struct Wish {
    pub id: i64,
    pub kind: String,
    pub email: String,
    pub language: String,
}

/// The link of a letter.
pub struct Token<'a> {
    pub hash: &'a [u8],
    pub kind: &'a str,
    pub email: &'a str,
    pub account: Option<AccountId>,
    pub now: Timestamp,
    pub lapses_at: Timestamp,
}

pub async fn count(db: &mut Db) -> Result<i64> {
    sqlx::query("SELECT COUNT(*) AS wishes FROM mail_wish").fetch_one(db).await?.try_get("wishes")
}

pub async fn add(db: &mut Db, wish: &Wish, now: Timestamp) -> Result<()> {
    sqlx::query("INSERT INTO mail_wish (id, kind, email, language, asked_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(wish.id)
        .bind(&wish.kind)
        .bind(&wish.email)
        .bind(&wish.language)
        .bind(now.millis())
        .execute(db)
        .await
        .map(drop)
}

pub async fn some(db: &mut Db) -> Result<Vec<Wish>> {
    let rows = sqlx::query("SELECT id, kind, email, language FROM mail_wish ORDER BY asked_at LIMIT 50")
        .fetch_all(db)
        .await?;
    let wish = |row: &AnyRow| {
        Ok(Wish {
            id: row.try_get("id")?,
            kind: row.try_get("kind")?,
            email: row.try_get("email")?,
            language: row.try_get("language")?,
        })
    };
    rows.iter().map(wish).collect()
}

/// False when another broker was quicker.
pub async fn take(db: &mut Db, id: i64) -> Result<bool> {
    let taken = sqlx::query("DELETE FROM mail_wish WHERE id = $1").bind(id).execute(db).await?;
    Ok(taken.rows_affected() > 0)
}

/// How many letters of those kinds an address got since then; with `alive`, whose links still work at that moment.
pub async fn recent(
    db: &mut Db,
    email: &str,
    kinds: [&str; 2],
    since: Timestamp,
    alive: Option<Timestamp>,
) -> Result<i64> {
    sqlx::query(
        "SELECT COUNT(*) AS letters FROM mail_token
         WHERE email = $1 AND kind IN ($2, $3) AND created_at > $4 AND expires_at > $5",
    )
    .bind(email)
    .bind(kinds[0])
    .bind(kinds[1])
    .bind(since.millis())
    .bind(alive.map_or(-1, Timestamp::millis))
    .fetch_one(db)
    .await?
    .try_get("letters")
}

pub async fn add_token(db: &mut Db, token: &Token<'_>) -> Result<()> {
    sqlx::query(
        "INSERT INTO mail_token (token_hash, kind, email, account_id, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(token.hash)
    .bind(token.kind)
    .bind(token.email)
    .bind(token.account.map(AccountId::number))
    .bind(token.now.millis())
    .bind(token.lapses_at.millis())
    .execute(db)
    .await
    .map(drop)
}

fn confirmed(row: &AnyRow) -> Result<Confirmed> {
    let account: Option<i64> = row.try_get("account_id")?;
    Ok(Confirmed { email: row.try_get("email")?, account: account.map(id).transpose()? })
}

pub async fn token(db: &mut Db, hash: &[u8], kind: &str, now: Timestamp) -> Result<Option<Confirmed>> {
    let sql =
        "SELECT email, account_id FROM mail_token WHERE token_hash = $1 AND kind = $2 AND expires_at > $3";
    let row = sqlx::query(sql).bind(hash).bind(kind).bind(now.millis()).fetch_optional(db).await?;
    row.as_ref().map(confirmed).transpose()
}

/// Uses a link up, once.
pub async fn spend(db: &mut Db, hash: &[u8], kind: &str, now: Timestamp) -> Result<Option<Confirmed>> {
    // It lapses rather than goes: it still counts as a letter of this hour.
    let row = sqlx::query(
        "UPDATE mail_token SET expires_at = 0 WHERE token_hash = $1 AND kind = $2 AND expires_at > $3
         RETURNING email, account_id",
    )
    .bind(hash)
    .bind(kind)
    .bind(now.millis())
    .fetch_optional(db)
    .await?;
    row.as_ref().map(confirmed).transpose()
}

/// No other link of the account works any more.
pub async fn end_tokens(db: &mut Db, account: AccountId) -> Result<()> {
    let sql = "UPDATE mail_token SET expires_at = 0 WHERE account_id = $1";
    sqlx::query(sql).bind(account.number()).execute(db).await.map(drop)
}

pub async fn forget(db: &mut Db, before: i64) -> Result<u64> {
    let gone = sqlx::query("DELETE FROM mail_token WHERE expires_at <= $1 AND created_at <= $1")
        .bind(before)
        .execute(db)
        .await?;
    Ok(gone.rows_affected())
}
