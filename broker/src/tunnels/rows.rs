//! The rows of tunnels and of the tokens that open them.

use shared::id::{AccountId, GrantId, HomeId};
use sqlx::Row as _;

use crate::clock::Timestamp;
use crate::store::{Db, Failure, Result};

/// A token, as it is written down: each grant has one of its own.
pub struct Token {
    pub id: i64,
    pub home: HomeId,
    pub grant: GrantId,
    pub hash: Vec<u8>,
    pub sealed: Vec<u8>,
}

/// What a presented token opens.
pub struct Opened {
    pub home: HomeId,
    pub label: String,
    pub grant: GrantId,
    /// Who granted it; nobody for a program of its own.
    pub account: Option<AccountId>,
}

fn odd<E>(_: E) -> Failure {
    Failure::Decode("an id in the database is out of range".into())
}

/// The token of a grant, sealed, and the row it is sealed for.
pub async fn find(db: &mut Db, home: HomeId, grant: GrantId) -> Result<Option<(i64, Vec<u8>)>> {
    let row = sqlx::query("SELECT id, token_sealed FROM tunnel_token WHERE home_id = $1 AND grant_id = $2")
        .bind(home.number())
        .bind(grant.number())
        .fetch_optional(db)
        .await?;
    row.map(|row| Ok((row.try_get("id")?, row.try_get("token_sealed")?))).transpose()
}

/// Notes that a home has a tunnel; again does no harm.
pub async fn add(db: &mut Db, home: HomeId, tunnel_id: &str, now: Timestamp) -> Result<()> {
    sqlx::query(
        "INSERT INTO tunnel (home_id, tunnel_id, created_at) VALUES ($1, $2, $3) ON CONFLICT (home_id) DO NOTHING",
    )
    .bind(home.number())
    .bind(tunnel_id)
    .bind(now.millis())
    .execute(db)
    .await
    .map(drop)
}

/// Adds a grant's token. Of two at once the first counts; false for the other.
pub async fn add_token(db: &mut Db, token: &Token, now: Timestamp) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO tunnel_token (id, home_id, grant_id, token_hash, token_sealed, created_at)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (home_id, grant_id) DO NOTHING",
    )
    .bind(token.id)
    .bind(token.home.number())
    .bind(token.grant.number())
    .bind(token.hash.as_slice())
    .bind(token.sealed.as_slice())
    .bind(now.millis())
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Forgets all tokens of a home's tunnel; false when it had none.
pub async fn forget_tokens(db: &mut Db, home: HomeId) -> Result<bool> {
    let done =
        sqlx::query("DELETE FROM tunnel_token WHERE home_id = $1").bind(home.number()).execute(db).await?;
    Ok(done.rows_affected() > 0)
}

/// What a token's hash opens: the person it was given to still manages the home, or the client still belongs to
/// the home's workspace. Whether the grant itself lives is not looked at here.
pub async fn by_token(db: &mut Db, hash: &[u8]) -> Result<Option<Opened>> {
    let row = sqlx::query(
        "SELECT h.id, h.label, t.grant_id, g.account_id FROM tunnel_token t JOIN home h ON h.id = t.home_id
         JOIN oauth_grant g ON g.id = t.grant_id JOIN client c ON c.client_id = g.client_id
         WHERE t.token_hash = $1 AND h.state <> 'deleting' AND (
             EXISTS (SELECT 1 FROM member m WHERE m.account_id = g.account_id
                 AND m.workspace_id = h.workspace_id AND m.role IN ('owner', 'admin'))
             OR (g.account_id IS NULL AND c.workspace_id = h.workspace_id))",
    )
    .bind(hash)
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        let account: Option<i64> = row.try_get("account_id")?;
        Ok(Opened {
            home: row.try_get::<i64, _>("id")?.try_into().map_err(odd)?,
            label: row.try_get("label")?,
            grant: row.try_get::<i64, _>("grant_id")?.try_into().map_err(odd)?,
            account: account.map(AccountId::try_from).transpose().map_err(odd)?,
        })
    })
    .transpose()
}
