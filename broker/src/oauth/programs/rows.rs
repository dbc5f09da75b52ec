//! The rows behind the page of connected programs.

use std::time::Duration;

use shared::id::{AccountId, GrantId};
use shared::oauth::Scopes;
use sqlx::Row as _;

use crate::clock::Timestamp;
use crate::oauth::rows::{id, moment, scopes};
use crate::store::{Db, Result};

/// How many programs one page shows.
const MOST: i64 = 200;

/// A program that a person has let in.
pub struct Program {
    pub grant: GrantId,
    pub name: String,
    pub registered_by: Option<String>,
    pub home: Option<String>,
    pub scopes: Scopes,
    pub created_at: Timestamp,
    pub used_at: Timestamp,
    pub used_from: String,
    /// When its last good token lapses.
    pub unused: Option<Timestamp>,
    pub ends_at: Timestamp,
}

/// A program that was put out because a token of it was shown by two.
pub struct Ended {
    pub name: String,
    pub home: Option<String>,
    pub at: Timestamp,
    pub from: Option<String>,
}

/// The programs of an account that have a token left, the last used first. One that is paused (its client is
/// switched off) is still there, and can be put out for good.
pub async fn of(db: &mut Db, account: AccountId, now: Timestamp) -> Result<Vec<Program>> {
    let rows = sqlx::query(
        "SELECT g.id, c.name, w.name AS registered_by, h.name AS home, g.scopes, g.created_at, g.used_at,
           g.used_from, g.ends_at, MAX(t.expires_at) AS unused
         FROM oauth_grant g JOIN account a ON a.id = g.account_id AND a.epoch = g.epoch
         JOIN client c ON c.client_id = g.client_id LEFT JOIN workspace w ON w.id = c.workspace_id
         LEFT JOIN home h ON h.id = g.home_id
         JOIN token t ON t.grant_id = g.id AND t.revoked_at IS NULL AND t.expires_at > $2
         WHERE g.account_id = $1 AND g.revoked_at IS NULL AND g.ends_at > $2
         GROUP BY g.id, c.name, w.name, h.name, g.scopes, g.created_at, g.used_at, g.used_from, g.ends_at
         ORDER BY g.used_at DESC, g.id LIMIT $3",
    )
    .bind(account.number())
    .bind(now.millis())
    .bind(MOST)
    .fetch_all(db)
    .await?;
    let program = |row| {
        Ok(Program {
            grant: id(row, "id")?,
            name: row.try_get("name")?,
            registered_by: row.try_get("registered_by")?,
            home: row.try_get("home")?,
            scopes: scopes(row, "scopes")?,
            created_at: moment(row, "created_at")?,
            used_at: moment(row, "used_at")?,
            used_from: row.try_get("used_from")?,
            unused: row.try_get::<Option<i64>, _>("unused")?.map(Timestamp::from_millis),
            ends_at: moment(row, "ends_at")?,
        })
    };
    rows.iter().map(program).collect()
}

/// The programs of an account that ended within a time because of a second user, the last first.
pub async fn reused(db: &mut Db, account: AccountId, now: Timestamp, within: Duration) -> Result<Vec<Ended>> {
    let since = now.millis().saturating_sub(i64::try_from(within.as_millis()).unwrap_or(i64::MAX));
    let rows = sqlx::query(
        "SELECT c.name, h.name AS home, g.revoked_at, g.revoked_from FROM oauth_grant g
         JOIN client c ON c.client_id = g.client_id LEFT JOIN home h ON h.id = g.home_id
         WHERE g.account_id = $1 AND g.revoked_at > $2 AND g.revoked_why IN ('reuse', 'code-again')
         ORDER BY g.revoked_at DESC LIMIT $3",
    )
    .bind(account.number())
    .bind(since)
    .bind(MOST)
    .fetch_all(db)
    .await?;
    let ended = |row: &sqlx::any::AnyRow| {
        Ok(Ended {
            name: row.try_get("name")?,
            home: row.try_get("home")?,
            at: moment(row, "revoked_at")?,
            from: row.try_get("revoked_from")?,
        })
    };
    rows.iter().map(ended).collect()
}

/// Whether a grant is this account's and has not ended.
pub async fn is_of(db: &mut Db, grant: GrantId, account: AccountId) -> Result<bool> {
    let row =
        sqlx::query("SELECT id FROM oauth_grant WHERE id = $1 AND account_id = $2 AND revoked_at IS NULL")
            .bind(grant.number())
            .bind(account.number())
            .fetch_optional(db)
            .await?;
    Ok(row.is_some())
}
