//! The rows of homes.

use shared::id::{HomeId, WorkspaceId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Home, Request, State, Wrong};
use crate::clock::Timestamp;
use crate::store::{Db, Failure, Result};

const COLUMNS: &str =
    "SELECT id, workspace_id, name, label, domain, ha_port, state, error, error_code, created_at FROM home";

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
        domain: row.try_get("domain")?,
        ha_port: u16::try_from(row.try_get::<i64, _>("ha_port")?).map_err(odd)?,
        state,
        error: row.try_get("error")?,
        error_code: row.try_get("error_code")?,
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

/// The home that a request has made, and the hash of what it asked.
pub async fn by_request(db: &mut Db, key: &[u8]) -> Result<Option<(HomeId, Vec<u8>)>> {
    let row = sqlx::query("SELECT id, request_hash FROM home WHERE request_key = $1")
        .bind(key)
        .fetch_optional(db)
        .await?;
    row.map(|row| Ok((row.try_get::<i64, _>("id")?.try_into().map_err(odd)?, row.try_get("request_hash")?)))
        .transpose()
}

pub async fn count(db: &mut Db, workspace: WorkspaceId) -> Result<i64> {
    sqlx::query("SELECT COUNT(*) AS homes FROM home WHERE workspace_id = $1")
        .bind(workspace.number())
        .fetch_one(db)
        .await?
        .try_get("homes")
}

pub async fn add(db: &mut Db, home: &Home, by: i64, request: Option<&Request>) -> Result<()> {
    sqlx::query(
        "INSERT INTO home (id, workspace_id, name, label, domain, ha_port, state, created_by, created_at,
             request_key, request_hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(home.id.number())
    .bind(home.workspace.number())
    .bind(&home.name)
    .bind(&home.label)
    .bind(&home.domain)
    .bind(i64::from(home.ha_port))
    .bind(home.state.word())
    .bind(by)
    .bind(home.created_at.millis())
    .bind(request.map(|request| &*request.key))
    .bind(request.map(|request| &*request.hash))
    .execute(db)
    .await
    .map(drop)
}

pub async fn count_under(db: &mut Db, domain: &str) -> Result<i64> {
    sqlx::query("SELECT COUNT(*) AS homes FROM home WHERE domain = $1")
        .bind(domain)
        .fetch_one(db)
        .await?
        .try_get("homes")
}

/// A home that is being deleted stays so.
pub async fn set_state(db: &mut Db, id: HomeId, state: State, wrong: Option<&Wrong>) -> Result<()> {
    sqlx::query(
        "UPDATE home SET state = CASE WHEN state = 'deleting' THEN state ELSE $2 END, error_code = $3, error = $4
         WHERE id = $1",
    )
    .bind(id.number())
    .bind(state.word())
    .bind(wrong.map(|wrong| wrong.code))
    .bind(wrong.map(|wrong| &*wrong.sentence))
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
    let sql = "UPDATE home SET state = 'deleting', error = NULL, error_code = NULL WHERE id = $1 AND state <> 'deleting'";
    Ok(sqlx::query(sql).bind(id.number()).execute(db).await?.rows_affected() > 0)
}

pub async fn deleting(db: &mut Db) -> Result<Vec<Home>> {
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE state = 'deleting' ORDER BY id"));
    sqlx::query(sql).fetch_all(db).await?.iter().map(home).collect()
}

pub async fn in_trouble(db: &mut Db) -> Result<Vec<(HomeId, String)>> {
    let sql = "SELECT id, error FROM home WHERE error IS NOT NULL ORDER BY id";
    let rows = sqlx::query(sql).fetch_all(db).await?;
    rows.iter()
        .map(|row| Ok((row.try_get::<i64, _>("id")?.try_into().map_err(odd)?, row.try_get("error")?)))
        .collect()
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
