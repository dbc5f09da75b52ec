//! The rows of authorization codes.

use shared::id::{AccountId, GrantId, HomeId};
use sqlx::Row as _;

use crate::clock::Timestamp;
use crate::oauth::grant::Code;
use crate::oauth::rows::{approval, id, moment};
use crate::store::{Db, Result};

pub async fn add(db: &mut Db, hash: &[u8], client: &str, code: &Code) -> Result<()> {
    sqlx::query(
        "INSERT INTO authorization_code (code_hash, client_id, account_id, home_id, scopes, epoch,
           redirect_uri, redirect_uri_sent, challenge, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(hash)
    .bind(client)
    .bind(code.approval.account.map(AccountId::number))
    .bind(code.approval.home.map(HomeId::number))
    .bind(code.approval.scopes.to_string())
    .bind(code.approval.epoch)
    .bind(&code.redirect_uri)
    .bind(i64::from(code.redirect_uri_sent))
    .bind(code.challenge.clone())
    .bind(code.expires_at.millis())
    .execute(db)
    .await
    .map(drop)
}

/// Spends a client's code; only the first to ask gets it.
pub async fn spend(db: &mut Db, hash: &[u8], client: &str, now: Timestamp) -> Result<Option<Code>> {
    let row = sqlx::query(
        "UPDATE authorization_code SET spent_at = $3
         WHERE code_hash = $1 AND client_id = $2 AND spent_at IS NULL
         RETURNING account_id, home_id, scopes, epoch, redirect_uri, redirect_uri_sent, challenge, expires_at",
    )
    .bind(hash)
    .bind(client)
    .bind(now.millis())
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(Code {
            approval: approval(&row)?,
            redirect_uri: row.try_get("redirect_uri")?,
            redirect_uri_sent: row.try_get::<i64, _>("redirect_uri_sent")? != 0,
            challenge: row.try_get("challenge")?,
            expires_at: moment(&row, "expires_at")?,
        })
    })
    .transpose()
}

/// Notes what a code bought, so that showing it again can take that back.
pub async fn note_bought(db: &mut Db, hash: &[u8], family: GrantId) -> Result<()> {
    sqlx::query("UPDATE authorization_code SET grant_id = $2 WHERE code_hash = $1")
        .bind(hash)
        .bind(family.number())
        .execute(db)
        .await
        .map(drop)
}

/// What a client's spent code bought: `None` for no such code, `Some(None)` for one that was burnt.
pub async fn bought(db: &mut Db, hash: &[u8], client: &str) -> Result<Option<Option<GrantId>>> {
    let row = sqlx::query("SELECT grant_id FROM authorization_code WHERE code_hash = $1 AND client_id = $2")
        .bind(hash)
        .bind(client)
        .fetch_optional(db)
        .await?;
    row.map(|row| match row.try_get::<Option<i64>, _>("grant_id")? {
        Some(_) => id(&row, "grant_id").map(Some),
        None => Ok(None),
    })
    .transpose()
}

/// Takes back the codes that would buy a way into a home.
pub async fn forget_home(db: &mut Db, home: HomeId) -> Result<()> {
    sqlx::query("DELETE FROM authorization_code WHERE home_id = $1")
        .bind(home.number())
        .execute(db)
        .await
        .map(drop)
}
