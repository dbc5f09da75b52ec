//! The rows of tunnels.

use shared::id::{GrantId, HomeId};
use sqlx::Row as _;

use crate::clock::Timestamp;
use crate::store::{Db, Failure, Result};

/// A home's tunnel.
pub struct TunnelRow {
    pub token_sealed: Vec<u8>,
    /// Under which grant the token was taken.
    pub grant: Option<GrantId>,
}

/// A tunnel's token, as it is written down.
pub struct Token {
    pub hash: Vec<u8>,
    pub sealed: Vec<u8>,
    pub grant: GrantId,
}

/// What a presented token opens.
pub struct Opened {
    pub home: HomeId,
    pub label: String,
    pub grant: Option<GrantId>,
}

fn odd<E>(_: E) -> Failure {
    Failure::Decode("an id in the database is out of range".into())
}

fn grant(number: Option<i64>) -> Result<Option<GrantId>> {
    number.map(GrantId::try_from).transpose().map_err(odd)
}

pub async fn find(db: &mut Db, home: HomeId) -> Result<Option<TunnelRow>> {
    let row = sqlx::query("SELECT token_sealed, grant_id FROM tunnel WHERE home_id = $1")
        .bind(home.number())
        .fetch_optional(db)
        .await?;
    row.map(|row| {
        Ok(TunnelRow { token_sealed: row.try_get("token_sealed")?, grant: grant(row.try_get("grant_id")?)? })
    })
    .transpose()
}

/// Adds the home's tunnel, or gives the one that is there a new token.
pub async fn put(db: &mut Db, home: HomeId, tunnel_id: &str, token: &Token, now: Timestamp) -> Result<()> {
    sqlx::query(
        "INSERT INTO tunnel (home_id, tunnel_id, token_hash, token_sealed, grant_id, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (home_id) DO UPDATE SET
             token_hash = excluded.token_hash, token_sealed = excluded.token_sealed, grant_id = excluded.grant_id",
    )
    .bind(home.number())
    .bind(tunnel_id)
    .bind(token.hash.as_slice())
    .bind(token.sealed.as_slice())
    .bind(token.grant.number())
    .bind(now.millis())
    .execute(db)
    .await
    .map(drop)
}

/// Gives a home's tunnel another token, for the same grant; false when it has no tunnel.
pub async fn renew(db: &mut Db, home: HomeId, hash: &[u8], sealed: &[u8]) -> Result<bool> {
    let done = sqlx::query("UPDATE tunnel SET token_hash = $2, token_sealed = $3 WHERE home_id = $1")
        .bind(home.number())
        .bind(hash)
        .bind(sealed)
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// What a token's hash opens.
pub async fn by_token(db: &mut Db, hash: &[u8]) -> Result<Option<Opened>> {
    let row = sqlx::query(
        "SELECT h.id, h.label, t.grant_id FROM tunnel t JOIN home h ON h.id = t.home_id
         WHERE t.token_hash = $1 AND h.state <> 'deleting'",
    )
    .bind(hash)
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(Opened {
            home: row.try_get::<i64, _>("id")?.try_into().map_err(odd)?,
            label: row.try_get("label")?,
            grant: grant(row.try_get("grant_id")?)?,
        })
    })
    .transpose()
}
