//! The rows of passkeys, and of ceremonies that wait for a browser's answer.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use shared::id::AccountId;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::accounts::rows::id;
use crate::clock::Timestamp;
use crate::store::{Db, Result};

/// A passkey.
pub struct Row {
    pub id: Vec<u8>,
    pub account: AccountId,
    pub name: String,
    /// Public key and counter, as the library writes them.
    pub credential: String,
    pub created_at: Timestamp,
    pub used_at: Option<Timestamp>,
}

const COLUMNS: &str = "SELECT credential_id, account_id, name, credential, created_at, used_at FROM passkey";

fn passkey(row: &AnyRow) -> Result<Row> {
    let used_at: Option<i64> = row.try_get("used_at")?;
    Ok(Row {
        id: row.try_get("credential_id")?,
        account: id(row.try_get("account_id")?)?,
        name: row.try_get("name")?,
        credential: row.try_get("credential")?,
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
        used_at: used_at.map(Timestamp::from_millis),
    })
}

/// What a form calls a passkey.
pub fn name(id: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(id)
}

pub async fn add(db: &mut Db, new: &Row) -> Result<()> {
    sqlx::query(
        "INSERT INTO passkey (credential_id, account_id, name, credential, created_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&new.id)
    .bind(new.account.number())
    .bind(&new.name)
    .bind(&new.credential)
    .bind(new.created_at.millis())
    .execute(db)
    .await
    .map(drop)
}

pub async fn of(db: &mut Db, account: AccountId) -> Result<Vec<Row>> {
    let sql =
        sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE account_id = $1 ORDER BY created_at, credential_id"));
    sqlx::query(sql).bind(account.number()).fetch_all(db).await?.iter().map(passkey).collect()
}

pub async fn find(db: &mut Db, id: &[u8]) -> Result<Option<Row>> {
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE credential_id = $1"));
    sqlx::query(sql).bind(id).fetch_optional(db).await?.as_ref().map(passkey).transpose()
}

/// False when the account has no such passkey.
pub async fn remove(db: &mut Db, account: AccountId, id: &str) -> Result<bool> {
    let Ok(id) = BASE64_URL_SAFE_NO_PAD.decode(id) else { return Ok(false) };
    let done = sqlx::query("DELETE FROM passkey WHERE account_id = $1 AND credential_id = $2")
        .bind(account.number())
        .bind(id)
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}

pub async fn set_used(db: &mut Db, id: &[u8], credential: &str, now: Timestamp) -> Result<()> {
    sqlx::query("UPDATE passkey SET credential = $2, used_at = $3 WHERE credential_id = $1")
        .bind(id)
        .bind(credential)
        .bind(now.millis())
        .execute(db)
        .await
        .map(drop)
}

pub async fn add_ceremony(
    db: &mut Db,
    hash: &[u8],
    account: Option<AccountId>,
    state: &str,
    until: Timestamp,
) -> Result<()> {
    sqlx::query("INSERT INTO ceremony (token_hash, account_id, state, expires_at) VALUES ($1, $2, $3, $4)")
        .bind(hash)
        .bind(account.map(AccountId::number))
        .bind(state)
        .bind(until.millis())
        .execute(db)
        .await
        .map(drop)
}

/// What a ceremony of that account (or of nobody yet) remembered; it is over.
pub async fn take_ceremony(
    db: &mut Db,
    hash: &[u8],
    account: Option<AccountId>,
    now: Timestamp,
) -> Result<Option<String>> {
    let row = sqlx::query(
        "DELETE FROM ceremony WHERE token_hash = $1 AND COALESCE(account_id, 0) = $2 AND expires_at > $3 RETURNING state",
    )
    .bind(hash)
    .bind(account.map_or(0, AccountId::number))
    .bind(now.millis())
    .fetch_optional(db)
    .await?;
    row.map(|row| row.try_get("state")).transpose()
}

pub async fn forget(db: &mut Db, now: Timestamp) -> Result<u64> {
    let gone =
        sqlx::query("DELETE FROM ceremony WHERE expires_at <= $1").bind(now.millis()).execute(db).await?;
    Ok(gone.rows_affected())
}
