//! The rows of accounts, sessions, workspaces and members.

use shared::id::{AccountId, WorkspaceId};
use sqlx::Row as _;

use super::Role;
use crate::clock::Timestamp;
use crate::store::{Db, Failure, Result};

/// A session with the account and workspace it speaks for.
pub struct SessionRow {
    pub account: AccountId,
    pub name: String,
    pub email: String,
    pub workspace: WorkspaceId,
    pub role: Role,
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
    let row = sqlx::query("SELECT id, password FROM account WHERE email = $1")
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

pub async fn membership(db: &mut Db, account: AccountId) -> Result<Option<(WorkspaceId, Role)>> {
    let row = sqlx::query(
        "SELECT workspace_id, role FROM member WHERE account_id = $1 ORDER BY workspace_id LIMIT 1",
    )
    .bind(account.number())
    .fetch_optional(db)
    .await?;
    row.map(|row| Ok((id(row.try_get("workspace_id")?)?, Role::parse(row.try_get("role")?)))).transpose()
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
        "SELECT s.created_at, s.seen_at, a.id, a.name, a.email, m.workspace_id, m.role
         FROM session s JOIN account a ON a.id = s.account_id JOIN member m ON m.account_id = a.id
         WHERE s.token_hash = $1 AND s.expires_at > $2 ORDER BY m.workspace_id LIMIT 1",
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
