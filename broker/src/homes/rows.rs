//! The rows of homes.

use shared::id::{HomeId, WorkspaceId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Home, State};
use crate::clock::Timestamp;
use crate::store::{Db, Failure, Result};

const COLUMNS: &str = "SELECT id, workspace_id, name, label, ha_port, state, error, created_at FROM home";

fn odd<E: std::fmt::Debug>(err: E) -> Failure {
    Failure::Decode(format!("a home's row makes no sense: {err:?}").into())
}

fn home(row: &AnyRow) -> Result<Home> {
    let state: String = row.try_get("state")?;
    let state = State::ALL.into_iter().find(|s| s.word() == state).ok_or_else(|| odd(&state))?;
    Ok(Home {
        id: row.try_get::<i64, _>("id")?.try_into().map_err(odd)?,
        workspace: row.try_get::<i64, _>("workspace_id")?.try_into().map_err(odd)?,
        name: row.try_get("name")?,
        label: row.try_get("label")?,
        ha_port: u16::try_from(row.try_get::<i64, _>("ha_port")?).map_err(odd)?,
        state,
        error: row.try_get("error")?,
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
    })
}

pub async fn of(db: &mut Db, workspace: WorkspaceId) -> Result<Vec<Home>> {
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE workspace_id = $1 ORDER BY name, id"));
    sqlx::query(sql).bind(workspace.number()).fetch_all(db).await?.iter().map(home).collect()
}

pub async fn find(db: &mut Db, id: HomeId) -> Result<Option<Home>> {
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE id = $1"));
    sqlx::query(sql).bind(id.number()).fetch_optional(db).await?.as_ref().map(home).transpose()
}

pub async fn by_label(db: &mut Db, label: &str) -> Result<Option<HomeId>> {
    let row = sqlx::query("SELECT id FROM home WHERE label = $1 AND state <> 'deleting'")
        .bind(label)
        .fetch_optional(db)
        .await?;
    row.map(|row| row.try_get::<i64, _>("id")?.try_into().map_err(odd)).transpose()
}

pub async fn count(db: &mut Db, workspace: WorkspaceId) -> Result<i64> {
    sqlx::query("SELECT COUNT(*) AS homes FROM home WHERE workspace_id = $1")
        .bind(workspace.number())
        .fetch_one(db)
        .await?
        .try_get("homes")
}

pub async fn add(db: &mut Db, home: &Home, by: i64) -> Result<()> {
    sqlx::query(
        "INSERT INTO home (id, workspace_id, name, label, ha_port, state, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(home.id.number())
    .bind(home.workspace.number())
    .bind(&home.name)
    .bind(&home.label)
    .bind(i64::from(home.ha_port))
    .bind(home.state.word())
    .bind(by)
    .bind(home.created_at.millis())
    .execute(db)
    .await
    .map(drop)
}

/// A home that is being deleted stays so.
pub async fn set_state(db: &mut Db, id: HomeId, state: State, error: Option<&str>) -> Result<()> {
    sqlx::query("UPDATE home SET state = $2, error = $3 WHERE id = $1 AND state <> 'deleting'")
        .bind(id.number())
        .bind(state.word())
        .bind(error)
        .execute(db)
        .await
        .map(drop)
}

pub async fn change(db: &mut Db, id: HomeId, name: &str, ha_port: u16) -> Result<()> {
    sqlx::query("UPDATE home SET name = $2, ha_port = $3 WHERE id = $1 AND state <> 'deleting'")
        .bind(id.number())
        .bind(name)
        .bind(i64::from(ha_port))
        .execute(db)
        .await
        .map(drop)
}

/// False when it had been begun before.
pub async fn begin_deleting(db: &mut Db, id: HomeId) -> Result<bool> {
    let sql = "UPDATE home SET state = 'deleting', error = NULL WHERE id = $1 AND state <> 'deleting'";
    Ok(sqlx::query(sql).bind(id.number()).execute(db).await?.rows_affected() > 0)
}

pub async fn deleting(db: &mut Db) -> Result<Vec<Home>> {
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE state = 'deleting' ORDER BY id"));
    sqlx::query(sql).fetch_all(db).await?.iter().map(home).collect()
}

pub async fn remove(db: &mut Db, id: HomeId) -> Result<()> {
    sqlx::query("DELETE FROM home WHERE id = $1 AND state = 'deleting'")
        .bind(id.number())
        .execute(db)
        .await
        .map(drop)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A workspace to put homes in.
    pub async fn add_workspace(db: &mut Db, id: i64) -> Result<()> {
        sqlx::query("INSERT INTO workspace (id, name, slug, created_at) VALUES ($1, 'w', $2, 0)")
            .bind(id)
            .bind(id.to_string())
            .execute(db)
            .await
            .map(drop)
    }
}
