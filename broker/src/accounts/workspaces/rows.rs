//! The rows of workspaces and members.

use shared::id::{AccountId, WorkspaceId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Member, Mine};
use crate::accounts::rows::id;
use crate::accounts::{Membership, Role};
use crate::clock::Timestamp;
use crate::store::{Db, Result};

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

pub async fn rename(db: &mut Db, workspace: WorkspaceId, name: &str) -> Result<()> {
    let sql = "UPDATE workspace SET name = $2 WHERE id = $1";
    sqlx::query(sql).bind(workspace.number()).bind(name).execute(db).await.map(drop)
}

/// Holds off everybody else who would change the workspace's members, until this transaction ends.
pub async fn hold(db: &mut Db, workspace: WorkspaceId) -> Result<()> {
    let sql = "UPDATE workspace SET slug = slug WHERE id = $1";
    sqlx::query(sql).bind(workspace.number()).execute(db).await.map(drop)
}

pub async fn add_member(
    db: &mut Db,
    workspace: WorkspaceId,
    member: Membership,
    account: AccountId,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO member (workspace_id, account_id, role, joined_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
    )
    .bind(workspace.number())
    .bind(account.number())
    .bind(member.role.word())
    .bind(now.millis())
    .execute(db)
    .await
    .map(drop)
}

pub async fn role_of(db: &mut Db, workspace: WorkspaceId, account: AccountId) -> Result<Option<Role>> {
    let row = sqlx::query("SELECT role FROM member WHERE workspace_id = $1 AND account_id = $2")
        .bind(workspace.number())
        .bind(account.number())
        .fetch_optional(db)
        .await?;
    row.map(|row| Ok(Role::parse(row.try_get("role")?))).transpose()
}

pub async fn set_role(db: &mut Db, workspace: WorkspaceId, account: AccountId, role: Role) -> Result<()> {
    sqlx::query("UPDATE member SET role = $3 WHERE workspace_id = $1 AND account_id = $2")
        .bind(workspace.number())
        .bind(account.number())
        .bind(role.word())
        .execute(db)
        .await
        .map(drop)
}

pub async fn remove(db: &mut Db, workspace: WorkspaceId, account: AccountId) -> Result<()> {
    for sql in [
        "DELETE FROM member WHERE workspace_id = $1 AND account_id = $2",
        "UPDATE session SET workspace_id = NULL WHERE workspace_id = $1 AND account_id = $2",
    ] {
        sqlx::query(sql).bind(workspace.number()).bind(account.number()).execute(&mut *db).await?;
    }
    Ok(())
}

pub async fn end_invitations_by(db: &mut Db, workspace: WorkspaceId, account: AccountId) -> Result<()> {
    sqlx::query("DELETE FROM invitation WHERE workspace_id = $1 AND invited_by = $2")
        .bind(workspace.number())
        .bind(account.number())
        .execute(db)
        .await
        .map(drop)
}

pub async fn memberships_of(db: &mut Db, account: AccountId) -> Result<i64> {
    sqlx::query("SELECT COUNT(*) AS workspaces FROM member WHERE account_id = $1")
        .bind(account.number())
        .fetch_one(db)
        .await?
        .try_get("workspaces")
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
        let role = Role::parse(row.try_get("role")?);
        Ok(Membership { workspace: id(row.try_get("workspace_id")?)?, role })
    };
    rows.iter().map(member).collect()
}

pub async fn members(db: &mut Db, workspace: WorkspaceId) -> Result<Vec<Member>> {
    let rows = sqlx::query(
        "SELECT a.id, a.name, a.email, m.role, m.joined_at FROM member m JOIN account a ON a.id = m.account_id
         WHERE m.workspace_id = $1 ORDER BY a.name, a.id",
    )
    .bind(workspace.number())
    .fetch_all(db)
    .await?;
    let member = |row: &AnyRow| {
        Ok(Member {
            account: id(row.try_get("id")?)?,
            name: row.try_get("name")?,
            email: row.try_get("email")?,
            role: Role::parse(row.try_get("role")?),
            joined_at: Timestamp::from_millis(row.try_get("joined_at")?),
        })
    };
    rows.iter().map(member).collect()
}

pub async fn mine(db: &mut Db, account: AccountId) -> Result<Vec<Mine>> {
    let rows = sqlx::query(
        "SELECT w.id, w.name, m.role,
                (SELECT COUNT(*) FROM home h WHERE h.workspace_id = w.id) AS homes,
                (SELECT COUNT(*) FROM member o WHERE o.workspace_id = w.id) AS members
         FROM member m JOIN workspace w ON w.id = m.workspace_id WHERE m.account_id = $1 ORDER BY w.name, w.id",
    )
    .bind(account.number())
    .fetch_all(db)
    .await?;
    let mine = |row: &AnyRow| {
        Ok(Mine {
            id: id(row.try_get("id")?)?,
            name: row.try_get("name")?,
            role: Role::parse(row.try_get("role")?),
            homes: row.try_get("homes")?,
            members: row.try_get("members")?,
        })
    };
    rows.iter().map(mine).collect()
}
