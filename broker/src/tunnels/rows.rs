//! The rows of tunnels and of the tokens that open them.

use shared::id::{AccountId, GrantId, HomeId};
use sqlx::Row as _;

use crate::clock::Timestamp;
use crate::store::{Db, Failure, Result};

/// Who may hold a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A person's program: by the grant it was given.
    Grant(GrantId),
    /// A program of its own: by what it is, for its grants last an hour only and it may always have another.
    Client(String),
}

impl Holder {
    fn columns(&self) -> (Option<i64>, Option<&str>) {
        match self {
            Self::Grant(grant) => (Some(grant.number()), None),
            Self::Client(client) => (None, Some(client)),
        }
    }
}

/// A token, as it is written down: each holder has one of its own.
pub struct Token<'a> {
    pub id: i64,
    pub home: HomeId,
    pub holder: &'a Holder,
    pub hash: Vec<u8>,
    pub sealed: Vec<u8>,
}

/// What a presented token opens.
pub struct Opened {
    pub home: HomeId,
    pub label: String,
    pub holder: Holder,
    /// Who granted it; nobody for a program of its own.
    pub account: Option<AccountId>,
}

fn odd<E>(_: E) -> Failure {
    Failure::Decode("an id in the database is out of range".into())
}

/// The token of a holder, sealed, and the row it is sealed for.
pub async fn find(db: &mut Db, home: HomeId, holder: &Holder) -> Result<Option<(i64, Vec<u8>)>> {
    let (grant, client) = holder.columns();
    let row = sqlx::query(
        "SELECT id, token_sealed FROM tunnel_token WHERE home_id = $1 AND (grant_id = $2 OR client_id = $3)",
    )
    .bind(home.number())
    .bind(grant)
    .bind(client)
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

/// Adds a holder's token. Of two at once the first counts; false for the other.
pub async fn add_token(db: &mut Db, token: &Token<'_>, now: Timestamp) -> Result<bool> {
    let (grant, client) = token.holder.columns();
    let done = sqlx::query(
        "INSERT INTO tunnel_token (id, home_id, grant_id, client_id, token_hash, token_sealed, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
    )
    .bind(token.id)
    .bind(token.home.number())
    .bind(grant)
    .bind(client)
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

/// What a token's hash opens: the person it was given to still manages the home, or the client is switched on and
/// belongs to the home's workspace. Whether a person's grant itself lives is not looked at here.
pub async fn by_token(db: &mut Db, hash: &[u8]) -> Result<Option<Opened>> {
    let row = sqlx::query(
        "SELECT h.id, h.label, t.grant_id, t.client_id, g.account_id FROM tunnel_token t
         JOIN home h ON h.id = t.home_id LEFT JOIN oauth_grant g ON g.id = t.grant_id
         WHERE t.token_hash = $1 AND h.state <> 'deleting' AND (
             EXISTS (SELECT 1 FROM member m WHERE m.account_id = g.account_id
                 AND m.workspace_id = h.workspace_id AND m.role IN ('owner', 'admin'))
             OR EXISTS (SELECT 1 FROM client c WHERE c.client_id = t.client_id
                 AND c.workspace_id = h.workspace_id AND c.disabled_at IS NULL))",
    )
    .bind(hash)
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        let account: Option<i64> = row.try_get("account_id")?;
        let holder = match row.try_get::<Option<String>, _>("client_id")? {
            Some(client) => Holder::Client(client),
            None => Holder::Grant(row.try_get::<i64, _>("grant_id")?.try_into().map_err(odd)?),
        };
        Ok(Opened {
            home: row.try_get::<i64, _>("id")?.try_into().map_err(odd)?,
            label: row.try_get("label")?,
            holder,
            account: account.map(AccountId::try_from).transpose().map_err(odd)?,
        })
    })
    .transpose()
}
