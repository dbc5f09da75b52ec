//! Which grants and tokens live, by the rows of this moment: every answer is read anew.

use std::collections::HashMap;

use shared::id::{AccountId, GrantId, HomeId, WorkspaceId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::clock::Timestamp;
use crate::oauth::grant::Approval;
use crate::oauth::rows::{approval, id, moment, odd};
use crate::store::{Db, Result};

/// What a grant `g` needs to live at `$2`, with its client `c` and its account `a`: that neither it nor they are
/// ended or switched off, that the account has not taken back everything since (`epoch`), and, where it is for
/// one home, that the account still manages it.
macro_rules! lives {
    () => {
        "oauth_grant g JOIN client c ON c.client_id = g.client_id LEFT JOIN account a ON a.id = g.account_id
         WHERE g.revoked_at IS NULL AND g.ends_at > $2 AND c.disabled_at IS NULL
         AND (g.account_id IS NULL OR (a.epoch = g.epoch AND a.disabled_at IS NULL))
         AND (g.home_id IS NULL OR EXISTS (
           SELECT 1 FROM home h JOIN member m ON m.workspace_id = h.workspace_id
           WHERE h.id = g.home_id AND m.account_id = g.account_id AND m.role IN ('owner', 'admin')))"
    };
}

/// A token of either kind that is good.
pub struct Living {
    /// Its family.
    pub family: GrantId,
    /// The client it was given to.
    pub client: String,
    /// Whose that client is.
    pub workspace: Option<WorkspaceId>,
    /// For whom, and what it may do.
    pub approval: Approval,
    /// An access token, not a refresh token.
    pub is_access: bool,
    /// Whether it was presented before.
    pub is_used: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it lapses.
    pub expires_at: Timestamp,
}

/// A token of either kind, if it is good: a refresh token that was exchanged is not.
pub async fn living(db: &mut Db, token: &[u8], now: Timestamp) -> Result<Option<Living>> {
    let row = sqlx::query(concat!(
        "SELECT g.id, g.client_id, g.account_id, g.home_id, g.epoch, c.workspace_id, t.kind, t.scopes, t.used_at,
           t.created_at, t.expires_at FROM token t, ",
        lives!(),
        " AND g.id = t.grant_id AND t.token_hash = $1 AND t.revoked_at IS NULL AND t.expires_at > $2
          AND (t.kind = 'access' OR t.used_at IS NULL)"
    ))
    .bind(token)
    .bind(now.millis())
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        let workspace: Option<i64> = row.try_get("workspace_id")?;
        Ok(Living {
            family: id(&row, "id")?,
            client: row.try_get("client_id")?,
            workspace: workspace.map(WorkspaceId::try_from).transpose().map_err(odd)?,
            approval: approval(&row)?,
            is_access: row.try_get::<&str, _>("kind")? == "access",
            is_used: row.try_get::<Option<i64>, _>("used_at")?.is_some(),
            created_at: moment(&row, "created_at")?,
            expires_at: moment(&row, "expires_at")?,
        })
    })
    .transpose()
}

/// Whether a family lives.
pub async fn lives(db: &mut Db, family: GrantId, now: Timestamp) -> Result<bool> {
    let row = sqlx::query(concat!("SELECT g.id FROM ", lives!(), " AND g.id = $1"))
        .bind(family.number())
        .bind(now.millis())
        .fetch_optional(db)
        .await?;
    Ok(row.is_some())
}

/// Those of some families that live.
pub async fn living_among(db: &mut Db, families: &[GrantId], now: Timestamp) -> Result<Vec<GrantId>> {
    let Some(least) = families.iter().min() else { return Ok(Vec::new()) };
    let numbers: Vec<_> = families.iter().map(GrantId::to_string).collect();
    // Numbers of our own, and a list of any length: it cannot be bound alike on both databases.
    let sql = format!(
        concat!("SELECT g.id FROM ", lives!(), " AND g.id >= $1 AND g.id IN ({})"),
        numbers.join(",")
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .persistent(false)
        .bind(least.number())
        .bind(now.millis())
        .fetch_all(db)
        .await?;
    rows.iter().map(|row| id(row, "id")).collect()
}

/// The agent that a home has: the newest living family of a client that is bound to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Its machine, where it has said.
    pub machine: Option<String>,
    /// When it was paired.
    pub paired: Timestamp,
    /// Since when it is connected, at whichever broker, as far as that is written down; none while it is away.
    pub connected: Option<Timestamp>,
}

/// The homes of a workspace that a living family of a client is bound to.
pub async fn bound_homes(
    db: &mut Db,
    client: &str,
    workspace: WorkspaceId,
    now: Timestamp,
) -> Result<HashMap<HomeId, Bound>> {
    let rows = sqlx::query(concat!(
        "SELECT g.home_id, g.machine, g.created_at, (SELECT p.since FROM hop p
           WHERE p.home_id = b.id AND p.hop = 'agent' AND p.state = 'up') AS connected_at FROM home b, ",
        lives!(),
        " AND b.id = g.home_id AND g.client_id = $1 AND b.workspace_id = $3
          ORDER BY g.created_at, g.id"
    ))
    .bind(client)
    .bind(now.millis())
    .bind(workspace.number())
    .fetch_all(db)
    .await?;
    let bound = |row: &AnyRow| -> Result<Bound> {
        let connected: Option<i64> = row.try_get("connected_at")?;
        Ok(Bound {
            machine: row.try_get::<Option<String>, _>("machine")?.filter(|machine| !machine.is_empty()),
            paired: moment(row, "created_at")?,
            connected: connected.map(Timestamp::from_millis),
        })
    };
    // Of several the last one counts.
    rows.iter().map(|row| Ok((id(row, "home_id")?, bound(row)?))).collect()
}

/// Ends the families that an account has taken back by raising its epoch; which.
pub async fn end_taken_back(
    db: &mut Db,
    account: AccountId,
    why: &str,
    now: Timestamp,
) -> Result<Vec<GrantId>> {
    let rows = sqlx::query(
        "UPDATE oauth_grant SET revoked_at = $2, revoked_why = $3 WHERE account_id = $1 AND revoked_at IS NULL
         AND epoch < (SELECT a.epoch FROM account a WHERE a.id = $1) RETURNING id",
    )
    .bind(account.number())
    .bind(now.millis())
    .bind(why)
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| id(row, "id")).collect()
}

/// The families of an account that do not live, though nobody has ended them.
pub async fn suspended(db: &mut Db, account: AccountId, now: Timestamp) -> Result<Vec<GrantId>> {
    let rows = sqlx::query(concat!(
        "SELECT o.id FROM oauth_grant o WHERE o.account_id = $1 AND o.revoked_at IS NULL AND o.ends_at > $2
         AND o.id NOT IN (SELECT g.id FROM ",
        lives!(),
        " AND g.account_id = $1)"
    ))
    .bind(account.number())
    .bind(now.millis())
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| id(row, "id")).collect()
}
