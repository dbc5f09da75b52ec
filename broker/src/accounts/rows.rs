//! The rows of accounts, sessions, workspaces and members.

use shared::id::{AccountId, WorkspaceId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Membership, Role};
use crate::clock::Timestamp;
use crate::store::{Db, Failure, Result};

/// A session with the account and workspace it speaks for.
pub struct SessionRow {
    pub account: AccountId,
    pub name: String,
    pub email: String,
    pub workspace: WorkspaceId,
    pub role: Role,
    pub epoch: i64,
    pub created_at: Timestamp,
    pub seen_at: Timestamp,
}

/// A new account's row.
pub struct NewRow<'a> {
    pub account: AccountId,
    pub email: &'a str,
    pub name: &'a str,
    pub password: &'a str,
    pub now: Timestamp,
}

fn id<T: TryFrom<i64>>(number: i64) -> Result<T> {
    number.try_into().map_err(|_| Failure::Decode("an id in the database is out of range".into()))
}

/// Holds off other writers of accounts until this transaction ends. SQLite has one writer anyway.
pub async fn only_writer(db: &mut Db) -> Result<()> {
    if db.backend_name() == "PostgreSQL" {
        sqlx::query("LOCK TABLE account IN SHARE ROW EXCLUSIVE MODE").execute(db).await?;
    }
    Ok(())
}

pub async fn any(db: &mut Db) -> Result<bool> {
    Ok(sqlx::query("SELECT 1 FROM account LIMIT 1").fetch_optional(db).await?.is_some())
}

pub async fn add(db: &mut Db, new: &NewRow<'_>) -> Result<()> {
    sqlx::query("INSERT INTO account (id, email, name, password, created_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(new.account.number())
        .bind(new.email)
        .bind(new.name)
        .bind(new.password)
        .bind(new.now.millis())
        .execute(db)
        .await
        .map(drop)
}

pub async fn password(db: &mut Db, email: &str) -> Result<Option<(AccountId, String)>> {
    let row = sqlx::query("SELECT id, password FROM account WHERE email = $1 AND disabled_at IS NULL")
        .bind(email)
        .fetch_optional(db)
        .await?;
    row.map(|row| Ok((id(row.try_get("id")?)?, row.try_get("password")?))).transpose()
}

pub async fn add_workspace(db: &mut Db, workspace: WorkspaceId, name: &str, now: Timestamp) -> Result<()> {
    sqlx::query("INSERT INTO workspace (id, name, slug, created_at) VALUES ($1, $2, $3, $4)")
        .bind(workspace.number())
        .bind(name)
        .bind(workspace.to_string())
        .bind(now.millis())
        .execute(db)
        .await
        .map(drop)
}

pub async fn workspace(db: &mut Db, workspace: WorkspaceId) -> Result<Option<(String, String)>> {
    let row = sqlx::query("SELECT name, slug FROM workspace WHERE id = $1")
        .bind(workspace.number())
        .fetch_optional(db)
        .await?;
    row.map(|row| Ok((row.try_get("name")?, row.try_get("slug")?))).transpose()
}

pub async fn add_member(db: &mut Db, workspace: WorkspaceId, account: AccountId, role: Role) -> Result<()> {
    sqlx::query("INSERT INTO member (workspace_id, account_id, role) VALUES ($1, $2, $3)")
        .bind(workspace.number())
        .bind(account.number())
        .bind(role.word())
        .execute(db)
        .await
        .map(drop)
}

pub async fn memberships(db: &mut Db, account: AccountId) -> Result<Vec<Membership>> {
    let rows = sqlx::query(
        "SELECT m.workspace_id, m.role FROM member m JOIN account a ON a.id = m.account_id
         WHERE m.account_id = $1 AND a.disabled_at IS NULL ORDER BY m.workspace_id",
    )
    .bind(account.number())
    .fetch_all(db)
    .await?;
    let member = |row: &AnyRow| {
        Ok(Membership {
            workspace: id(row.try_get("workspace_id")?)?,
            role: Role::parse(row.try_get("role")?),
        })
    };
    rows.iter().map(member).collect()
}

pub async fn epoch(db: &mut Db, account: AccountId) -> Result<Option<i64>> {
    let row = sqlx::query("SELECT epoch FROM account WHERE id = $1 AND disabled_at IS NULL")
        .bind(account.number())
        .fetch_optional(db)
        .await?;
    row.map(|row| row.try_get("epoch")).transpose()
}

/// False when there is no such account.
pub async fn set_disabled(db: &mut Db, account: AccountId, at: Option<Timestamp>) -> Result<bool> {
    let done = sqlx::query("UPDATE account SET disabled_at = $2 WHERE id = $1")
        .bind(account.number())
        .bind(at.map(Timestamp::millis))
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}

pub async fn end_sessions(db: &mut Db, account: AccountId) -> Result<()> {
    let sql = "DELETE FROM session WHERE account_id = $1";
    sqlx::query(sql).bind(account.number()).execute(db).await.map(drop)
}

pub async fn add_session(
    db: &mut Db,
    hash: &[u8],
    account: AccountId,
    now: Timestamp,
    until: Timestamp,
) -> Result<()> {
    sqlx::query("INSERT INTO session (token_hash, account_id, created_at, seen_at, expires_at) VALUES ($1, $2, $3, $3, $4)")
        .bind(hash)
        .bind(account.number())
        .bind(now.millis())
        .bind(until.millis())
        .execute(db)
        .await
        .map(drop)
}

pub async fn session(db: &mut Db, hash: &[u8], now: Timestamp) -> Result<Option<SessionRow>> {
    let row = sqlx::query(
        "SELECT s.created_at, s.seen_at, a.id, a.name, a.email, a.epoch, m.workspace_id, m.role
         FROM session s JOIN account a ON a.id = s.account_id JOIN member m ON m.account_id = a.id
         WHERE s.token_hash = $1 AND s.expires_at > $2 AND a.disabled_at IS NULL
         ORDER BY CASE WHEN m.workspace_id = s.workspace_id THEN 0 ELSE 1 END, m.workspace_id LIMIT 1",
    )
    .bind(hash)
    .bind(now.millis())
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(SessionRow {
            account: id(row.try_get("id")?)?,
            name: row.try_get("name")?,
            email: row.try_get("email")?,
            workspace: id(row.try_get("workspace_id")?)?,
            role: Role::parse(row.try_get("role")?),
            epoch: row.try_get("epoch")?,
            created_at: Timestamp::from_millis(row.try_get("created_at")?),
            seen_at: Timestamp::from_millis(row.try_get("seen_at")?),
        })
    })
    .transpose()
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

pub async fn end_session(db: &mut Db, hash: &[u8]) -> Result<()> {
    sqlx::query("DELETE FROM session WHERE token_hash = $1").bind(hash).execute(db).await.map(drop)
}

pub async fn forget_sessions(db: &mut Db, now: Timestamp) -> Result<u64> {
    let gone =
        sqlx::query("DELETE FROM session WHERE expires_at <= $1").bind(now.millis()).execute(db).await?;
    Ok(gone.rows_affected())
}
