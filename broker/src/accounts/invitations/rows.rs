//! The rows of invitations.

use shared::id::{AccountId, WorkspaceId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Invitation, Open};
use crate::accounts::Role;
use crate::accounts::rows::id;
use crate::clock::Timestamp;
use crate::store::{Db, Result};

/// A new invitation.
pub struct New<'a> {
    pub id: i64,
    pub hash: &'a [u8],
    pub workspace: WorkspaceId,
    pub email: &'a str,
    pub role: Role,
    pub by: AccountId,
    pub now: Timestamp,
    pub lapses_at: Timestamp,
}

/// One that was taken up.
pub struct Spent {
    pub workspace: WorkspaceId,
    pub email: String,
    pub role: Role,
}

/// Whoever invited is still there, is not shut out, and manages the workspace.
const STANDS: &str = "EXISTS (SELECT 1 FROM member m JOIN account o ON o.id = m.account_id
    WHERE m.workspace_id = invitation.workspace_id AND m.account_id = invitation.invited_by
    AND m.role IN ('owner', 'admin') AND o.disabled_at IS NULL)";

pub async fn add(db: &mut Db, new: &New<'_>) -> Result<()> {
    sqlx::query(
        "INSERT INTO invitation (id, token_hash, workspace_id, email, role, invited_by, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(new.id)
    .bind(new.hash)
    .bind(new.workspace.number())
    .bind(new.email)
    .bind(new.role.word())
    .bind(new.by.number())
    .bind(new.now.millis())
    .bind(new.lapses_at.millis())
    .execute(db)
    .await
    .map(drop)
}

pub async fn is_member(db: &mut Db, workspace: WorkspaceId, email: &str) -> Result<bool> {
    let row = sqlx::query(
        "SELECT 1 FROM member m JOIN account a ON a.id = m.account_id WHERE m.workspace_id = $1 AND a.email = $2",
    )
    .bind(workspace.number())
    .bind(email)
    .fetch_optional(db)
    .await?;
    Ok(row.is_some())
}

pub async fn count(db: &mut Db, workspace: WorkspaceId) -> Result<i64> {
    sqlx::query("SELECT COUNT(*) AS open FROM invitation WHERE workspace_id = $1")
        .bind(workspace.number())
        .fetch_one(db)
        .await?
        .try_get("open")
}

pub async fn of(db: &mut Db, workspace: WorkspaceId, now: Timestamp) -> Result<Vec<Open>> {
    let rows = sqlx::query(
        "SELECT i.id, i.email, i.role, i.expires_at, a.name FROM invitation i JOIN account a ON a.id = i.invited_by
         WHERE i.workspace_id = $1 AND i.expires_at > $2 ORDER BY i.email",
    )
    .bind(workspace.number())
    .bind(now.millis())
    .fetch_all(db)
    .await?;
    let open = |row: &AnyRow| {
        Ok(Open {
            id: row.try_get("id")?,
            email: row.try_get("email")?,
            role: Role::parse(row.try_get("role")?),
            by: row.try_get("name")?,
            lapses_at: Timestamp::from_millis(row.try_get("expires_at")?),
        })
    };
    rows.iter().map(open).collect()
}

pub async fn find(db: &mut Db, hash: &[u8], now: Timestamp) -> Result<Option<Invitation>> {
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT workspace_id, invitation.email, role, w.name AS workspace_name, a.name, k.id AS known
         FROM invitation JOIN workspace w ON w.id = workspace_id JOIN account a ON a.id = invited_by
         LEFT JOIN account k ON k.email = invitation.email WHERE token_hash = $1 AND expires_at > $2 AND {STANDS}"
    ));
    let row = sqlx::query(sql).bind(hash).bind(now.millis()).fetch_optional(db).await?;
    row.map(|row| {
        Ok(Invitation {
            workspace: id(row.try_get("workspace_id")?)?,
            workspace_name: row.try_get("workspace_name")?,
            email: row.try_get("email")?,
            role: Role::parse(row.try_get("role")?),
            by: row.try_get("name")?,
            is_known: row.try_get::<Option<i64>, _>("known")?.is_some(),
        })
    })
    .transpose()
}

/// Uses an invitation up, once.
pub async fn spend(db: &mut Db, hash: &[u8], now: Timestamp) -> Result<Option<Spent>> {
    let sql = sqlx::AssertSqlSafe(format!(
        "DELETE FROM invitation WHERE token_hash = $1 AND expires_at > $2 AND {STANDS}
         RETURNING workspace_id, email, role"
    ));
    let row = sqlx::query(sql).bind(hash).bind(now.millis()).fetch_optional(db).await?;
    row.map(|row| {
        Ok(Spent {
            workspace: id(row.try_get("workspace_id")?)?,
            email: row.try_get("email")?,
            role: Role::parse(row.try_get("role")?),
        })
    })
    .transpose()
}

/// False when the workspace has no such invitation.
pub async fn remove(db: &mut Db, workspace: WorkspaceId, id: i64) -> Result<bool> {
    let done = sqlx::query("DELETE FROM invitation WHERE workspace_id = $1 AND id = $2")
        .bind(workspace.number())
        .bind(id)
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}

pub async fn remove_for(db: &mut Db, workspace: WorkspaceId, email: &str) -> Result<()> {
    sqlx::query("DELETE FROM invitation WHERE workspace_id = $1 AND email = $2")
        .bind(workspace.number())
        .bind(email)
        .execute(db)
        .await
        .map(drop)
}

pub async fn forget_lapsed(db: &mut Db, now: Timestamp) -> Result<u64> {
    let gone =
        sqlx::query("DELETE FROM invitation WHERE expires_at <= $1").bind(now.millis()).execute(db).await?;
    Ok(gone.rows_affected())
}
