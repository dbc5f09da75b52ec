//! The rows of sessions.

use std::net::IpAddr;

use shared::id::{AccountId, WorkspaceId};
use shared::secret::Secret;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::SignedIn;
use crate::accounts::Role;
use crate::accounts::rows::id;
use crate::clock::Timestamp;
use crate::store::{Db, Result};

/// A live session with the account and workspace it speaks for.
pub struct Found {
    account: AccountId,
    name: String,
    email: String,
    workspace: WorkspaceId,
    workspace_name: String,
    role: Role,
    epoch: i64,
    proved_at: Timestamp,
    pub is_kept: bool,
    pub created_at: Timestamp,
    pub seen_at: Timestamp,
}

impl Found {
    pub fn signed_in(self, cookie: Secret, from: IpAddr) -> SignedIn {
        let Self { account, name, email, workspace, workspace_name, role, epoch, proved_at, is_kept, .. } =
            self;
        SignedIn {
            account,
            name,
            email,
            workspace,
            workspace_name,
            role,
            epoch,
            proved_at,
            is_kept,
            cookie,
            from,
        }
    }
}

/// A session in the list of them.
pub struct Line {
    pub hash: Vec<u8>,
    pub browser: String,
    pub ip: String,
    pub created_at: Timestamp,
    pub seen_at: Timestamp,
}

/// A new session.
pub struct New<'a> {
    pub hash: &'a [u8],
    pub account: AccountId,
    pub is_kept: bool,
    pub browser: &'a str,
    pub ip: &'a str,
    pub now: Timestamp,
    pub until: Timestamp,
}

fn moment(row: &AnyRow, column: &str) -> Result<Timestamp> {
    row.try_get(column).map(Timestamp::from_millis)
}

pub async fn add(db: &mut Db, new: &New<'_>) -> Result<()> {
    sqlx::query(
        "INSERT INTO session (token_hash, account_id, created_at, seen_at, expires_at, is_kept, proved_at, browser, ip)
         VALUES ($1, $2, $3, $3, $4, $5, $3, $6, $7)",
    )
    .bind(new.hash)
    .bind(new.account.number())
    .bind(new.now.millis())
    .bind(new.until.millis())
    .bind(i64::from(new.is_kept))
    .bind(new.browser)
    .bind(new.ip)
    .execute(db)
    .await
    .map(drop)
}

/// Ends all but so many of an account's sessions, and this one: those least used.
pub async fn keep(db: &mut Db, account: AccountId, hash: &[u8], most: i64) -> Result<()> {
    sqlx::query(
        "DELETE FROM session WHERE account_id = $1 AND token_hash <> $2 AND token_hash NOT IN
         (SELECT token_hash FROM session WHERE account_id = $1 AND token_hash <> $2
          ORDER BY seen_at DESC, token_hash LIMIT $3)",
    )
    .bind(account.number())
    .bind(hash)
    .bind(most - 1)
    .execute(db)
    .await
    .map(drop)
}

/// A live session. It looks at the workspace it was switched to, while its person is in that; else at the first.
pub async fn find(db: &mut Db, hash: &[u8], now: Timestamp) -> Result<Option<Found>> {
    let row = sqlx::query(
        "SELECT s.created_at, s.seen_at, s.is_kept, s.proved_at, a.id, a.name, a.email, a.epoch,
                m.workspace_id, m.role, w.name AS workspace_name
         FROM session s JOIN account a ON a.id = s.account_id
         JOIN member m ON m.account_id = a.id JOIN workspace w ON w.id = m.workspace_id
         WHERE s.token_hash = $1 AND s.expires_at > $2 AND a.disabled_at IS NULL
         ORDER BY CASE WHEN m.workspace_id = s.workspace_id THEN 0 ELSE 1 END, w.created_at, w.id LIMIT 1",
    )
    .bind(hash)
    .bind(now.millis())
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(Found {
            account: id(row.try_get("id")?)?,
            name: row.try_get("name")?,
            email: row.try_get("email")?,
            workspace: id(row.try_get("workspace_id")?)?,
            workspace_name: row.try_get("workspace_name")?,
            role: Role::parse(row.try_get("role")?),
            epoch: row.try_get("epoch")?,
            proved_at: moment(&row, "proved_at")?,
            is_kept: row.try_get::<i64, _>("is_kept")? != 0,
            created_at: moment(&row, "created_at")?,
            seen_at: moment(&row, "seen_at")?,
        })
    })
    .transpose()
}

pub async fn of(db: &mut Db, account: AccountId, now: Timestamp) -> Result<Vec<Line>> {
    let rows = sqlx::query(
        "SELECT token_hash, browser, ip, created_at, seen_at FROM session
         WHERE account_id = $1 AND expires_at > $2 ORDER BY seen_at DESC, token_hash LIMIT 200",
    )
    .bind(account.number())
    .bind(now.millis())
    .fetch_all(db)
    .await?;
    let line = |row: &AnyRow| {
        Ok(Line {
            hash: row.try_get("token_hash")?,
            browser: row.try_get("browser")?,
            ip: row.try_get("ip")?,
            created_at: moment(row, "created_at")?,
            seen_at: moment(row, "seen_at")?,
        })
    };
    rows.iter().map(line).collect()
}

pub async fn see(db: &mut Db, hash: &[u8], now: Timestamp, until: Timestamp) -> Result<()> {
    sqlx::query("UPDATE session SET seen_at = $2, expires_at = $3 WHERE token_hash = $1")
        .bind(hash)
        .bind(now.millis())
        .bind(until.millis())
        .execute(db)
        .await
        .map(drop)
}

pub async fn renew(db: &mut Db, hash: &[u8], new_hash: &[u8], now: Timestamp) -> Result<()> {
    sqlx::query("UPDATE session SET token_hash = $2, proved_at = $3 WHERE token_hash = $1")
        .bind(hash)
        .bind(new_hash)
        .bind(now.millis())
        .execute(db)
        .await
        .map(drop)
}

/// False when the account has no such session, or is not in that workspace.
pub async fn switch(db: &mut Db, hash: &[u8], account: AccountId, workspace: WorkspaceId) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE session SET workspace_id = $3 WHERE token_hash = $1 AND account_id = $2
         AND EXISTS (SELECT 1 FROM member WHERE account_id = $2 AND workspace_id = $3)",
    )
    .bind(hash)
    .bind(account.number())
    .bind(workspace.number())
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// False when the account has no such session.
pub async fn end(db: &mut Db, account: AccountId, hash: &[u8]) -> Result<bool> {
    let done = sqlx::query("DELETE FROM session WHERE token_hash = $1 AND account_id = $2")
        .bind(hash)
        .bind(account.number())
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Ends all sessions but one, sign-ins that are between their steps, and second factors not yet confirmed.
pub async fn end_others(db: &mut Db, account: AccountId, hash: &[u8]) -> Result<()> {
    sqlx::query("DELETE FROM session WHERE account_id = $1 AND token_hash <> $2")
        .bind(account.number())
        .bind(hash)
        .execute(&mut *db)
        .await?;
    end_begun(db, account).await
}

pub async fn end_all(db: &mut Db, account: AccountId) -> Result<()> {
    let sql = "DELETE FROM session WHERE account_id = $1";
    sqlx::query(sql).bind(account.number()).execute(&mut *db).await?;
    end_begun(db, account).await
}

/// Ends what a session or a first step began: or a secret that a thief saw would wait for its owner.
async fn end_begun(db: &mut Db, account: AccountId) -> Result<()> {
    for sql in [
        "DELETE FROM sign_in WHERE account_id = $1",
        "DELETE FROM totp WHERE account_id = $1 AND confirmed_at IS NULL",
        "DELETE FROM ceremony WHERE account_id = $1",
    ] {
        sqlx::query(sql).bind(account.number()).execute(&mut *db).await?;
    }
    Ok(())
}

pub async fn forget(db: &mut Db, now: Timestamp) -> Result<u64> {
    let gone =
        sqlx::query("DELETE FROM session WHERE expires_at <= $1").bind(now.millis()).execute(db).await?;
    Ok(gone.rows_affected())
}
