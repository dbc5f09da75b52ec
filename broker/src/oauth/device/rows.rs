//! The rows of device authorizations.

use std::time::Duration;

use shared::id::{AccountId, HomeId};
use shared::oauth::Scopes;
use sqlx::Row as _;

use crate::clock::Timestamp;
use crate::oauth::grant::{Approval, Device, Standing};
use crate::oauth::rows::{approval, moment, odd, scopes};
use crate::oauth::user_code::UserCode;
use crate::store::{Db, Result};

/// A device that begins to wait.
pub struct New<'a> {
    pub hash: &'a [u8],
    pub user_code: &'a UserCode,
    pub client: &'a str,
    pub scopes: &'a Scopes,
    pub asked_from: &'a str,
    pub asked_at: Timestamp,
    pub expires_at: Timestamp,
    pub interval: Duration,
}

/// What a person sees of a device.
pub struct Seen {
    pub client: String,
    pub scopes: Scopes,
    pub asked_from: String,
    pub asked_at: Timestamp,
    pub is_open: bool,
    /// Who has decided to let it in.
    pub decided_by: Option<i64>,
}

fn seconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

/// How many devices wait: all of them, and those from one place.
pub async fn waiting(db: &mut Db, from: &str, now: Timestamp) -> Result<(i64, i64)> {
    let all = sqlx::query("SELECT COUNT(*) AS waiting FROM device_authorization WHERE expires_at > $1")
        .bind(now.millis())
        .fetch_one(&mut *db)
        .await?;
    let here = sqlx::query(
        "SELECT COUNT(*) AS waiting FROM device_authorization WHERE asked_from = $1 AND expires_at > $2",
    )
    .bind(from)
    .bind(now.millis())
    .fetch_one(db)
    .await?;
    Ok((all.try_get("waiting")?, here.try_get("waiting")?))
}

pub async fn add(db: &mut Db, new: &New<'_>) -> Result<()> {
    sqlx::query(
        "INSERT INTO device_authorization (device_code_hash, user_code, client_id, scopes, asked_from,
           asked_at, expires_at, poll_interval, standing) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'pending')",
    )
    .bind(new.hash)
    .bind(new.user_code.letters())
    .bind(new.client)
    .bind(new.scopes.to_string())
    .bind(new.asked_from)
    .bind(new.asked_at.millis())
    .bind(new.expires_at.millis())
    .bind(seconds(new.interval))
    .execute(db)
    .await
    .map(drop)
}

/// Takes a client's device; others who poll for it wait until this transaction ends.
pub async fn hold(db: &mut Db, hash: &[u8], client: &str) -> Result<Option<Device>> {
    let row = sqlx::query(
        "UPDATE device_authorization SET polled_at = polled_at WHERE device_code_hash = $1 AND client_id = $2
         RETURNING standing, account_id, home_id, granted_scopes AS scopes, epoch, expires_at, poll_interval,
           polled_at",
    )
    .bind(hash)
    .bind(client)
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        let standing = match row.try_get::<&str, _>("standing")? {
            "pending" => Standing::Pending,
            "claimed" => Standing::Claimed,
            "approved" => Standing::Approved(approval(&row)?),
            "denied" => Standing::Denied,
            "spent" => Standing::Spent,
            other => return Err(odd(other)),
        };
        let polled: Option<i64> = row.try_get("polled_at")?;
        Ok(Device {
            standing,
            expires_at: moment(&row, "expires_at")?,
            interval: Duration::from_secs(row.try_get::<i64, _>("poll_interval")?.unsigned_abs()),
            polled_at: polled.map(Timestamp::from_millis),
        })
    })
    .transpose()
}

/// Notes what a poll did to a device that is held.
pub async fn save(db: &mut Db, hash: &[u8], device: &Device) -> Result<()> {
    let sql = match device.standing {
        Standing::Spent => {
            "UPDATE device_authorization SET polled_at = $2, poll_interval = $3, standing = 'spent'
             WHERE device_code_hash = $1"
        }
        _ => "UPDATE device_authorization SET polled_at = $2, poll_interval = $3 WHERE device_code_hash = $1",
    };
    sqlx::query(sql)
        .bind(hash)
        .bind(device.polled_at.map(Timestamp::millis))
        .bind(seconds(device.interval))
        .execute(db)
        .await
        .map(drop)
}

/// The device of a user code that has not lapsed. A claim made before `stale` leaves it open.
pub async fn see(db: &mut Db, code: &UserCode, now: Timestamp, stale: Timestamp) -> Result<Option<Seen>> {
    let row = sqlx::query(
        "SELECT client_id, scopes, asked_from, asked_at, standing, account_id, decided_at
         FROM device_authorization WHERE user_code = $1 AND expires_at > $2",
    )
    .bind(code.letters())
    .bind(now.millis())
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        let standing: &str = row.try_get("standing")?;
        let decided: Option<i64> = row.try_get("decided_at")?;
        let is_stale = standing == "claimed" && decided.is_some_and(|at| at < stale.millis());
        Ok(Seen {
            client: row.try_get("client_id")?,
            scopes: scopes(&row, "scopes")?,
            asked_from: row.try_get("asked_from")?,
            asked_at: moment(&row, "asked_at")?,
            is_open: standing == "pending" || is_stale,
            decided_by: row.try_get("account_id")?,
        })
    })
    .transpose()
}

/// Says no to a device; false when somebody decided before.
pub async fn deny(db: &mut Db, code: &UserCode, now: Timestamp) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE device_authorization SET standing = 'denied'
         WHERE user_code = $1 AND standing = 'pending' AND expires_at > $2",
    )
    .bind(code.letters())
    .bind(now.millis())
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Decides to let a device in, ahead of what it is let into; false when somebody decided before. A claim that
/// was made before `stale` and led nowhere (the page was closed meanwhile) is void.
pub async fn claim(
    db: &mut Db,
    code: &UserCode,
    by: AccountId,
    now: Timestamp,
    stale: Timestamp,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE device_authorization SET standing = 'claimed', account_id = $2, decided_at = $3
         WHERE user_code = $1 AND expires_at > $3
         AND (standing = 'pending' OR (standing = 'claimed' AND decided_at < $4))",
    )
    .bind(code.letters())
    .bind(by.number())
    .bind(now.millis())
    .bind(stale.millis())
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Gives a claim back.
pub async fn release(db: &mut Db, code: &UserCode, by: AccountId) -> Result<()> {
    sqlx::query(
        "UPDATE device_authorization SET standing = 'pending', account_id = NULL
         WHERE user_code = $1 AND standing = 'claimed' AND account_id = $2",
    )
    .bind(code.letters())
    .bind(by.number())
    .execute(db)
    .await
    .map(drop)
}

/// Lets a claimed device in; false when the claim is gone.
pub async fn approve(db: &mut Db, code: &UserCode, approval: &Approval) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE device_authorization SET standing = 'approved', home_id = $3, granted_scopes = $4, epoch = $5
         WHERE user_code = $1 AND standing = 'claimed' AND account_id = $2",
    )
    .bind(code.letters())
    .bind(approval.account.map(AccountId::number))
    .bind(approval.home.map(HomeId::number))
    .bind(approval.scopes.to_string())
    .bind(approval.epoch)
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Takes back the approvals that would lead into a home.
pub async fn forget_home(db: &mut Db, home: HomeId) -> Result<()> {
    sqlx::query(
        "UPDATE device_authorization SET standing = 'denied' WHERE home_id = $1 AND standing = 'approved'",
    )
    .bind(home.number())
    .execute(db)
    .await
    .map(drop)
}
