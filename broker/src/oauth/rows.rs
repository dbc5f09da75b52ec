//! The rows of clients, families and tokens. Those of codes and devices are beside their flows.
//!
//! Whatever changes a family takes its row first (`UPDATE … RETURNING`), so that PostgreSQL puts those who
//! come at once in a line, as SQLite's one writer does.

use std::time::Duration;

use shared::id::{AccountId, GrantId, HomeId};
use shared::oauth::Scopes;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::grant::{Approval, Family, Refresh};
use super::token::Minted;
use crate::chance::Kind;
use crate::clock::Timestamp;
use crate::store::{Db, Failure, Result};

pub(super) fn odd(what: impl std::fmt::Debug) -> Failure {
    Failure::Decode(format!("a row of the provider makes no sense: {what:?}").into())
}

pub(super) fn id<T: TryFrom<i64>>(row: &AnyRow, column: &str) -> Result<T> {
    row.try_get::<i64, _>(column)?.try_into().map_err(|_| odd(column))
}

pub(super) fn moment(row: &AnyRow, column: &str) -> Result<Timestamp> {
    row.try_get(column).map(Timestamp::from_millis)
}

pub(super) fn scopes(row: &AnyRow, column: &str) -> Result<Scopes> {
    Scopes::parse(row.try_get(column)?).map_err(odd)
}

/// Reads `account_id`, `home_id`, `scopes` and `epoch`.
pub(super) fn approval(row: &AnyRow) -> Result<Approval> {
    let (account, home): (Option<i64>, Option<i64>) = (row.try_get("account_id")?, row.try_get("home_id")?);
    Ok(Approval {
        account: account.map(AccountId::try_from).transpose().map_err(odd)?,
        home: home.map(HomeId::try_from).transpose().map_err(odd)?,
        scopes: scopes(row, "scopes")?,
        epoch: row.try_get("epoch")?,
    })
}

/// Whether PostgreSQL broke off a transaction because others were in its way: it can be told again at once.
pub fn is_lost_race(failure: &Failure) -> bool {
    let code = failure.as_database_error().and_then(|err| err.code());
    code.is_some_and(|code| matches!(&*code, "40001" | "40P01"))
}

pub async fn add_family(
    db: &mut Db,
    client: &str,
    family: &Family,
    from: &str,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO oauth_grant (id, client_id, account_id, home_id, scopes, epoch, created_at, ends_at, used_at,
           used_from) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7, $9)",
    )
    .bind(family.id.number())
    .bind(client)
    .bind(family.approval.account.map(AccountId::number))
    .bind(family.approval.home.map(HomeId::number))
    .bind(family.approval.scopes.to_string())
    .bind(family.approval.epoch)
    .bind(now.millis())
    .bind(family.ends_at.millis())
    .bind(from)
    .execute(db)
    .await
    .map(drop)
}

pub async fn add_token(
    db: &mut Db,
    family: GrantId,
    token: &Minted,
    parent: Option<&[u8]>,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO token (token_hash, grant_id, kind, scopes, parent_hash, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&token.hash[..])
    .bind(family.number())
    .bind(word(token.kind))
    .bind(token.scopes.to_string())
    .bind(parent.map(<[u8]>::to_vec))
    .bind(now.millis())
    .bind(token.expires_at.millis())
    .execute(db)
    .await
    .map(drop)
}

fn word(kind: Kind) -> &'static str {
    if kind == Kind::Refresh { "refresh" } else { "access" }
}

/// Takes the family of a client's refresh token; others who want it wait until this transaction ends.
pub async fn hold_family(db: &mut Db, token: &[u8], client: &str) -> Result<Option<Family>> {
    let row = sqlx::query(
        "UPDATE oauth_grant SET revoked_at = revoked_at
         WHERE client_id = $2 AND id = (SELECT grant_id FROM token WHERE token_hash = $1 AND kind = 'refresh')
         RETURNING id, account_id, home_id, scopes, epoch, ends_at, revoked_at",
    )
    .bind(token)
    .bind(client)
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(Family {
            id: id(&row, "id")?,
            approval: approval(&row)?,
            ends_at: moment(&row, "ends_at")?,
            is_revoked: row.try_get::<Option<i64>, _>("revoked_at")?.is_some(),
        })
    })
    .transpose()
}

/// A refresh token of a family that is held.
pub async fn refresh(db: &mut Db, token: &[u8]) -> Result<Refresh> {
    let row =
        sqlx::query("SELECT parent_hash, expires_at, used_at, revoked_at FROM token WHERE token_hash = $1")
            .bind(token)
            .fetch_one(&mut *db)
            .await?;
    let is_superseded = row.try_get::<Option<i64>, _>("revoked_at")?.is_some();
    let parent: Option<Vec<u8>> = row.try_get("parent_hash")?;
    let line = if is_superseded { parent.as_deref() } else { Some(token) };
    let used = match line {
        Some(line) => {
            sqlx::query("SELECT used_at FROM token WHERE parent_hash = $1 AND used_at IS NOT NULL LIMIT 1")
                .bind(line)
                .fetch_optional(db)
                .await?
        }
        None => None,
    };
    Ok(Refresh {
        expires_at: moment(&row, "expires_at")?,
        used_at: row.try_get::<Option<i64>, _>("used_at")?.map(Timestamp::from_millis),
        is_superseded,
        moved_on: used.is_some(),
    })
}

/// Notes that a token was used, once; false when it was before, or is revoked.
pub async fn use_token(db: &mut Db, token: &[u8], now: Timestamp) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE token SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL AND revoked_at IS NULL",
    )
    .bind(token)
    .bind(now.millis())
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Revokes the successors of a token that nobody has used. False when one was used after all: an access token
/// is used without its family being held.
pub async fn supersede(db: &mut Db, parent: &[u8], now: Timestamp) -> Result<bool> {
    sqlx::query(
        "UPDATE token SET revoked_at = $2 WHERE parent_hash = $1 AND used_at IS NULL AND revoked_at IS NULL",
    )
    .bind(parent)
    .bind(now.millis())
    .execute(&mut *db)
    .await?;
    let used =
        sqlx::query("SELECT used_at FROM token WHERE parent_hash = $1 AND used_at IS NOT NULL LIMIT 1")
            .bind(parent)
            .fetch_optional(db)
            .await?;
    Ok(used.is_none())
}

/// Notes that a family was used just now, and from where.
pub async fn see_family(db: &mut Db, family: GrantId, from: &str, now: Timestamp) -> Result<()> {
    sqlx::query("UPDATE oauth_grant SET used_at = $2, used_from = $3 WHERE id = $1")
        .bind(family.number())
        .bind(now.millis())
        .bind(from)
        .execute(db)
        .await
        .map(drop)
}

/// Ends a family; whose it was and which client's, or nothing when it had ended.
pub async fn end_family(
    db: &mut Db,
    family: GrantId,
    why: &str,
    from: Option<&str>,
    now: Timestamp,
) -> Result<Option<(Option<AccountId>, String)>> {
    let row = sqlx::query(
        "UPDATE oauth_grant SET revoked_at = $2, revoked_why = $3, revoked_from = $4
         WHERE id = $1 AND revoked_at IS NULL RETURNING account_id, client_id",
    )
    .bind(family.number())
    .bind(now.millis())
    .bind(why)
    .bind(from)
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        let account: Option<i64> = row.try_get("account_id")?;
        Ok((account.map(AccountId::try_from).transpose().map_err(odd)?, row.try_get("client_id")?))
    })
    .transpose()
}

/// Takes a home's row: of several agents that are let into it at once, each sees those before it.
pub async fn hold_home(db: &mut Db, home: HomeId) -> Result<()> {
    let sql = "UPDATE home SET state = state WHERE id = $1";
    sqlx::query(sql).bind(home.number()).execute(db).await.map(drop)
}

/// Ends the families of a client that are bound to a home, but for one; which.
pub async fn end_other_families(
    db: &mut Db,
    (home, client): (HomeId, &str),
    but: GrantId,
    why: &str,
    now: Timestamp,
) -> Result<Vec<GrantId>> {
    let rows = sqlx::query(
        "UPDATE oauth_grant SET revoked_at = $4, revoked_why = $5
         WHERE home_id = $1 AND client_id = $2 AND id <> $3 AND revoked_at IS NULL RETURNING id",
    )
    .bind(home.number())
    .bind(client)
    .bind(but.number())
    .bind(now.millis())
    .bind(why)
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| id(row, "id")).collect()
}

/// Why a family ended before its time, if it did.
pub async fn why_ended(db: &mut Db, family: GrantId) -> Result<Option<String>> {
    let row = sqlx::query("SELECT revoked_why FROM oauth_grant WHERE id = $1")
        .bind(family.number())
        .fetch_optional(db)
        .await?;
    row.map_or(Ok(None), |row| row.try_get("revoked_why"))
}

/// Notes the machine a family's agent runs on.
pub async fn note_machine(db: &mut Db, family: GrantId, machine: &str) -> Result<()> {
    let sql = "UPDATE oauth_grant SET machine = $2 WHERE id = $1";
    sqlx::query(sql).bind(family.number()).bind(machine).execute(db).await.map(drop)
}

/// Ends all families of a home; which.
pub async fn end_families_of_home(
    db: &mut Db,
    home: HomeId,
    why: &str,
    now: Timestamp,
) -> Result<Vec<GrantId>> {
    let rows = sqlx::query(
        "UPDATE oauth_grant SET revoked_at = $2, revoked_why = $3
         WHERE home_id = $1 AND revoked_at IS NULL RETURNING id",
    )
    .bind(home.number())
    .bind(now.millis())
    .bind(why)
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| id(row, "id")).collect()
}

/// The family of a client's token of either kind.
pub async fn family_of(db: &mut Db, token: &[u8], client: &str) -> Result<Option<GrantId>> {
    let row = sqlx::query(
        "SELECT g.id FROM token t JOIN oauth_grant g ON g.id = t.grant_id
         WHERE t.token_hash = $1 AND g.client_id = $2",
    )
    .bind(token)
    .bind(client)
    .fetch_optional(db)
    .await?;
    row.map(|row| id(&row, "id")).transpose()
}

/// Forgets some of what lapsed `margin` ago; nothing is left when it says 0. What was used stays while the token it came of can still be shown: it is
/// the witness against whoever shows that one again.
pub async fn forget(db: &mut Db, now: Timestamp, margin: Duration) -> Result<u64> {
    let before = now.millis().saturating_sub(i64::try_from(margin.as_millis()).unwrap_or(i64::MAX));
    let mut gone = 0;
    // Some at a time: whoever wants to write meanwhile waits for one such turn, not for a month's.
    for sql in [
        "DELETE FROM authorization_code WHERE code_hash IN
           (SELECT code_hash FROM authorization_code WHERE expires_at < $1 LIMIT 500)",
        "DELETE FROM device_authorization WHERE device_code_hash IN
           (SELECT device_code_hash FROM device_authorization WHERE expires_at < $1 LIMIT 500)",
        "DELETE FROM token WHERE token_hash IN (SELECT t.token_hash FROM token t WHERE t.expires_at < $1
           AND (t.used_at IS NULL OR t.parent_hash IS NULL
             OR NOT EXISTS (SELECT 1 FROM token p WHERE p.token_hash = t.parent_hash)) LIMIT 500)",
        "DELETE FROM oauth_grant WHERE id IN (SELECT g.id FROM oauth_grant g WHERE g.ends_at < $1
           OR (g.revoked_at < $1 AND NOT EXISTS (SELECT 1 FROM token t WHERE t.grant_id = g.id)) LIMIT 500)",
    ] {
        gone += sqlx::query(sql).bind(before).execute(&mut *db).await?.rows_affected();
    }
    Ok(gone)
}
