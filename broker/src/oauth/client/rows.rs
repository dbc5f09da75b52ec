//! The rows of clients and their secrets.

use shared::id::{GrantId, WorkspaceId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::claim::Known;
use super::{Client, ClientKind, GrantType};
use crate::clock::Timestamp;
use crate::oauth::rows::{id, moment, odd, scopes};
use crate::store::{Db, Result};

macro_rules! columns {
    () => {
        "c.client_id, c.workspace_id, c.kind, c.name, c.is_confidential, c.pkce_required, c.redirect_uris, c.grants,
         c.scopes, c.created_at, c.disabled_at"
    };
}

/// A client as its managers see it.
pub struct Listed {
    pub client: Client,
    pub created_at: Timestamp,
    /// When each secret was made and until when it is good, the newest first.
    pub secrets: Vec<(Timestamp, Option<Timestamp>)>,
}

fn client(row: &AnyRow) -> Result<Client> {
    let words = |column| row.try_get::<String, _>(column);
    let is = |column| Ok::<_, crate::store::Failure>(row.try_get::<i64, _>(column)? != 0);
    let kind = words("kind")?;
    Ok(Client {
        id: words("client_id")?,
        workspace: workspace(row)?,
        kind: ClientKind::parse(&kind).ok_or_else(|| odd(&kind))?,
        name: words("name")?,
        is_confidential: is("is_confidential")?,
        pkce_required: is("pkce_required")?,
        redirect_uris: words("redirect_uris")?.split_whitespace().map(str::to_owned).collect(),
        // A grant this program does not know comes from a newer one and is not offered here.
        grants: words("grants")?.split_whitespace().filter_map(GrantType::parse).collect(),
        scopes: scopes(row, "scopes")?,
        disabled: row.try_get::<Option<i64>, _>("disabled_at")?.is_some(),
    })
}

fn workspace(row: &AnyRow) -> Result<Option<WorkspaceId>> {
    let workspace: Option<i64> = row.try_get("workspace_id")?;
    workspace.map(WorkspaceId::try_from).transpose().map_err(odd)
}

/// A client and its good secrets, in one question: every token request begins with it.
pub async fn known(db: &mut Db, client_id: &str, now: Timestamp) -> Result<Option<Known>> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        columns!(),
        ", s.secret_hash FROM client c LEFT JOIN client_secret s
           ON s.client_id = c.client_id AND (s.expires_at IS NULL OR s.expires_at > $2)
         WHERE c.client_id = $1"
    ))
    .bind(client_id)
    .bind(now.millis())
    .fetch_all(db)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let secrets = rows.iter().filter_map(|row| row.try_get("secret_hash").transpose());
    Ok(Some(Known { client: client(first)?, secrets: secrets.collect::<Result<_>>()? }))
}

/// A client alone.
pub async fn find(db: &mut Db, client_id: &str) -> Result<Option<Client>> {
    sqlx::query(concat!("SELECT ", columns!(), " FROM client c WHERE c.client_id = $1"))
        .bind(client_id)
        .fetch_optional(db)
        .await?
        .as_ref()
        .map(client)
        .transpose()
}

/// Writes a client down; false when there is one of that id, which stays as it is.
pub async fn add(db: &mut Db, client: &Client, now: Timestamp) -> Result<bool> {
    let grants: Vec<_> = client.grants.iter().map(|grant| grant.word()).collect();
    let done = sqlx::query(
        "INSERT INTO client (client_id, workspace_id, kind, name, is_confidential, pkce_required, redirect_uris,
           grants, scopes, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (client_id) DO NOTHING",
    )
    .bind(&client.id)
    .bind(client.workspace.map(WorkspaceId::number))
    .bind(client.kind.word())
    .bind(&client.name)
    .bind(i64::from(client.is_confidential))
    .bind(i64::from(client.pkce_required))
    .bind(client.redirect_uris.join(" "))
    .bind(grants.join(" "))
    .bind(client.scopes.to_string())
    .bind(now.millis())
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub async fn add_secret(db: &mut Db, client: &str, hash: &[u8], now: Timestamp) -> Result<()> {
    sqlx::query("INSERT INTO client_secret (secret_hash, client_id, created_at) VALUES ($1, $2, $3)")
        .bind(hash)
        .bind(client)
        .bind(now.millis())
        .execute(db)
        .await
        .map(drop)
}

/// Sets an end to every secret of a client that is good for longer.
pub async fn retire_secrets(db: &mut Db, client: &str, until: Timestamp) -> Result<()> {
    sqlx::query(
        "UPDATE client_secret SET expires_at = $2 WHERE client_id = $1 AND (expires_at IS NULL OR expires_at > $2)",
    )
    .bind(client)
    .bind(until.millis())
    .execute(db)
    .await
    .map(drop)
}

/// Forgets the secrets of a client that have ended.
pub async fn forget_secrets(db: &mut Db, client: &str, now: Timestamp) -> Result<()> {
    sqlx::query("DELETE FROM client_secret WHERE client_id = $1 AND expires_at <= $2")
        .bind(client)
        .bind(now.millis())
        .execute(db)
        .await
        .map(drop)
}

/// Takes a client's row, so that those who change it stand in a line; it, if it is there.
pub async fn hold(db: &mut Db, client_id: &str) -> Result<Option<Client>> {
    let done = sqlx::query("UPDATE client SET disabled_at = disabled_at WHERE client_id = $1")
        .bind(client_id)
        .execute(&mut *db)
        .await?;
    if done.rows_affected() == 0 { Ok(None) } else { find(db, client_id).await }
}

pub async fn set_disabled(db: &mut Db, client: &str, since: Option<Timestamp>) -> Result<()> {
    sqlx::query("UPDATE client SET disabled_at = $2 WHERE client_id = $1")
        .bind(client)
        .bind(since.map(Timestamp::millis))
        .execute(db)
        .await
        .map(drop)
}

/// Removes a client and, with it, all it was ever granted.
pub async fn remove(db: &mut Db, client: &str) -> Result<()> {
    sqlx::query("DELETE FROM client WHERE client_id = $1").bind(client).execute(db).await.map(drop)
}

/// The grants of a client that have not ended.
pub async fn open_grants(db: &mut Db, client: &str, now: Timestamp) -> Result<Vec<GrantId>> {
    let rows = sqlx::query(
        "SELECT id FROM oauth_grant WHERE client_id = $1 AND revoked_at IS NULL AND ends_at > $2",
    )
    .bind(client)
    .bind(now.millis())
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| id(row, "id")).collect()
}

/// How many clients a workspace has.
pub async fn count(db: &mut Db, workspace: WorkspaceId) -> Result<i64> {
    sqlx::query("SELECT COUNT(*) AS clients FROM client WHERE workspace_id = $1")
        .bind(workspace.number())
        .fetch_one(db)
        .await?
        .try_get("clients")
}

/// All clients, or those of one workspace, by name.
pub async fn list(db: &mut Db, of: Option<WorkspaceId>, only: Option<&str>) -> Result<Vec<Listed>> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        columns!(),
        ", s.created_at AS secret_made, s.expires_at AS secret_ends
         FROM client c LEFT JOIN client_secret s ON s.client_id = c.client_id
         WHERE (CAST($1 AS BIGINT) IS NULL OR c.workspace_id = $1)
           AND (CAST($2 AS TEXT) IS NULL OR c.client_id = $2)
         ORDER BY c.name, c.client_id, s.created_at DESC"
    ))
    .bind(of.map(WorkspaceId::number))
    .bind(only)
    .fetch_all(db)
    .await?;
    let mut all: Vec<Listed> = Vec::new();
    for row in &rows {
        let client = client(row)?;
        if all.last().is_none_or(|last| last.client.id != client.id) {
            all.push(Listed { client, created_at: moment(row, "created_at")?, secrets: Vec::new() });
        }
        let made: Option<i64> = row.try_get("secret_made")?;
        let ends: Option<i64> = row.try_get("secret_ends")?;
        let ends = ends.map(Timestamp::from_millis);
        if let (Some(made), Some(last)) = (made.map(Timestamp::from_millis), all.last_mut()) {
            last.secrets.push((made, ends));
        }
    }
    Ok(all)
}

/// What a workspace is called.
pub async fn workspace_name(db: &mut Db, workspace: WorkspaceId) -> Result<Option<String>> {
    let row = sqlx::query("SELECT name FROM workspace WHERE id = $1")
        .bind(workspace.number())
        .fetch_optional(db)
        .await?;
    row.map(|row| row.try_get("name")).transpose()
}

/// The workspace a text names, by id or slug.
pub async fn workspace_named(db: &mut Db, named: &str) -> Result<Option<WorkspaceId>> {
    let number = named.parse::<WorkspaceId>().map_or(0, WorkspaceId::number);
    let row = sqlx::query(
        "SELECT id AS workspace_id FROM workspace WHERE slug = $1 OR id = $2 ORDER BY id LIMIT 1",
    )
    .bind(named)
    .bind(number)
    .fetch_optional(db)
    .await?;
    row.as_ref().map_or(Ok(None), workspace)
}
