//! The rows of tunnels.

use shared::id::HomeId;
use sqlx::Row as _;

use crate::clock::Timestamp;
use crate::store::{Db, Failure, Result};

/// A home's tunnel.
pub struct TunnelRow {
    pub tunnel_id: String,
    pub token_sealed: Vec<u8>,
}

pub async fn find(db: &mut Db, home: HomeId) -> Result<Option<TunnelRow>> {
    let row = sqlx::query("SELECT tunnel_id, token_sealed FROM tunnel WHERE home_id = $1")
        .bind(home.number())
        .fetch_optional(db)
        .await?;
    row.map(|row| Ok(TunnelRow { tunnel_id: row.try_get("tunnel_id")?, token_sealed: row.try_get("token_sealed")? })).transpose()
}

/// Adds the home's tunnel; one that is there already stays as it is.
pub async fn add(db: &mut Db, home: HomeId, tunnel_id: &str, token: (&[u8], &[u8]), now: Timestamp) -> Result<()> {
    sqlx::query(
        "INSERT INTO tunnel (home_id, tunnel_id, token_hash, token_sealed, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (home_id) DO NOTHING",
    )
    .bind(home.number())
    .bind(tunnel_id)
    .bind(token.0)
    .bind(token.1)
    .bind(now.millis())
    .execute(db)
    .await
    .map(drop)
}

pub async fn replace_token(db: &mut Db, home: HomeId, hash: &[u8], sealed: &[u8]) -> Result<()> {
    sqlx::query("UPDATE tunnel SET token_hash = $2, token_sealed = $3 WHERE home_id = $1")
        .bind(home.number())
        .bind(hash)
        .bind(sealed)
        .execute(db)
        .await
        .map(drop)
}

/// The home a token's hash belongs to, and its label.
pub async fn by_token(db: &mut Db, hash: &[u8]) -> Result<Option<(HomeId, String)>> {
    let row = sqlx::query("SELECT h.id, h.label FROM tunnel t JOIN home h ON h.id = t.home_id WHERE t.token_hash = $1")
        .bind(hash)
        .fetch_optional(db)
        .await?;
    let odd = |_| Failure::Decode("a home's id is out of range".into());
    row.map(|row| Ok((row.try_get::<i64, _>("id")?.try_into().map_err(odd)?, row.try_get("label")?))).transpose()
}
