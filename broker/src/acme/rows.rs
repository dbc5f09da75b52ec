//! The one row of the certificate that is ordered: what is in use, what is under way, who is at work on it.
//!
//! Whoever has lost the lease changes nothing any more. When it runs out is told by
//! [everybody's time](crate::store::Store::everybodys_time), all else by this machine's.

use sqlx::Row as _;

use super::ways::Record;
use crate::clock::Timestamp;
use crate::store::{Db, Failure, Result};

/// The certificate and all around it.
#[derive(Debug, Clone)]
pub struct Row {
    /// The directory that the account is of, and its sealed key.
    pub account: Option<(String, Vec<u8>)>,
    /// The contact that the CA was told.
    pub contact: Option<String>,
    /// Of whom and for which names another one is ordered, the order's address, and the sealed key it will be for.
    pub order: Option<(String, String, Vec<u8>)>,
    /// DNS records that may be there.
    pub records: Vec<Record>,
    /// Of whom and for which names the one in use was ordered, its chain (PEM) and its sealed key.
    pub made: Option<(String, String, Vec<u8>)>,
    /// When the one in use is to be replaced.
    pub renew_at: Timestamp,
    /// Counted up with each new certificate.
    pub version: i64,
    /// The next attempt comes no sooner.
    pub due_at: Timestamp,
    /// How often it was tried since it last went well.
    pub tries: u32,
    /// Why the last attempt failed, and since when none went well.
    pub trouble: Option<(String, Timestamp)>,
}

fn odd<E: std::fmt::Display>(err: E) -> Failure {
    Failure::Decode(format!("the certificate's row makes no sense: {err}").into())
}

/// How it stands.
pub async fn find(db: &mut Db) -> Result<Row> {
    let row = sqlx::query(
        "SELECT account_of, account_sealed, contact, order_of, order_url, order_key_sealed, records, made_of, chain,
             key_sealed, renew_at, version, due_at, tries, trouble, trouble_since
         FROM certificate WHERE id = 1",
    )
    .fetch_one(db)
    .await?;
    let text = |name: &str| row.try_get::<Option<String>, _>(name);
    let bytes = |name: &str| row.try_get::<Option<Vec<u8>>, _>(name);
    let moment = |name: &str| row.try_get::<i64, _>(name).map(Timestamp::from_millis);
    let records = text("records")?.map(|json| serde_json::from_str(&json)).transpose().map_err(odd)?;
    let since = row.try_get::<Option<i64>, _>("trouble_since")?.map(Timestamp::from_millis);
    let three = |of: &str, what: &str, sealed: &str| {
        Ok::<_, Failure>(match (text(of)?, text(what)?, bytes(sealed)?) {
            (Some(of), Some(what), Some(sealed)) => Some((of, what, sealed)),
            _ => None,
        })
    };
    Ok(Row {
        account: text("account_of")?.zip(bytes("account_sealed")?),
        contact: text("contact")?,
        order: three("order_of", "order_url", "order_key_sealed")?,
        records: records.unwrap_or_default(),
        made: three("made_of", "chain", "key_sealed")?,
        renew_at: moment("renew_at")?,
        version: row.try_get("version")?,
        due_at: moment("due_at")?,
        tries: u32::try_from(row.try_get::<i64, _>("tries")?).map_err(odd)?,
        trouble: text("trouble")?.zip(since),
    })
}

/// Frees the work of whoever had it, and lets it be tried now: for a broker that starts. `is_alone`: nobody else
/// can have it.
pub async fn begin(db: &mut Db, is_alone: bool, now: Timestamp) -> Result<()> {
    if is_alone {
        sqlx::query("UPDATE certificate SET leased_until = 0 WHERE id = 1").execute(&mut *db).await?;
    }
    sqlx::query(
        "UPDATE certificate SET due_at = not_before WHERE id = 1 AND due_at > $1 AND trouble IS NOT NULL",
    )
    .bind(now.millis())
    .execute(db)
    .await
    .map(drop)
}

/// Takes the work; false when somebody else is at it.
pub async fn lease(db: &mut Db, lease: i64, everybodys: Timestamp, until: Timestamp) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE certificate SET lease = $1, leased_until = $3 WHERE id = 1 AND leased_until <= $2",
    )
    .bind(lease)
    .bind(everybodys.millis())
    .bind(until.millis())
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Keeps the work; false when it was lost.
pub async fn keep(db: &mut Db, lease: i64, until: Timestamp) -> Result<bool> {
    let done = sqlx::query("UPDATE certificate SET leased_until = $2 WHERE id = 1 AND lease = $1")
        .bind(lease)
        .bind(until.millis())
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Gives up the work in the middle; somebody may go on with it at once.
pub async fn give_up(db: &mut Db, lease: i64) -> Result<()> {
    let sql = "UPDATE certificate SET leased_until = 0 WHERE id = 1 AND lease = $1";
    sqlx::query(sql).bind(lease).execute(db).await.map(drop)
}

/// Writes down the account's key, before the CA hears of it.
pub async fn save_account(db: &mut Db, lease: i64, of: &str, sealed: &[u8]) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE certificate SET account_of = $2, account_sealed = $3, contact = NULL, order_of = NULL, order_url = NULL,
             order_key_sealed = NULL
         WHERE id = 1 AND lease = $1",
    )
    .bind(lease)
    .bind(of)
    .bind(sealed)
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Writes down which contact the CA was told.
pub async fn save_contact(db: &mut Db, lease: i64, contact: Option<&str>) -> Result<bool> {
    let done = sqlx::query("UPDATE certificate SET contact = $2 WHERE id = 1 AND lease = $1")
        .bind(lease)
        .bind(contact)
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Writes down an order, and the key that its certificate will be for.
pub async fn save_order(db: &mut Db, lease: i64, (of, url, key): (&str, &str, &[u8])) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE certificate SET order_of = $2, order_url = $3, order_key_sealed = $4 WHERE id = 1 AND lease = $1",
    )
    .bind(lease)
    .bind(of)
    .bind(url)
    .bind(key)
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Forgets an order that came to nothing, and its key.
pub async fn drop_order(db: &mut Db, lease: i64) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE certificate SET order_of = NULL, order_url = NULL, order_key_sealed = NULL WHERE id = 1 AND lease = $1",
    )
    .bind(lease)
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Writes down which DNS records may be there.
pub async fn save_records(db: &mut Db, lease: i64, records: &[Record]) -> Result<bool> {
    let json = (!records.is_empty()).then(|| serde_json::to_string(records)).transpose().map_err(odd)?;
    let done = sqlx::query("UPDATE certificate SET records = $2 WHERE id = 1 AND lease = $1")
        .bind(lease)
        .bind(json)
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Puts a new certificate in the place of the one in use; its order is done.
pub async fn save_made(
    db: &mut Db,
    lease: i64,
    (of, chain, key): (&str, &str, &[u8]),
    renew_at: Timestamp,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE certificate SET made_of = $2, chain = $3, key_sealed = $4, renew_at = $5, version = version + 1,
             order_of = NULL, order_url = NULL, order_key_sealed = NULL
         WHERE id = 1 AND lease = $1",
    )
    .bind(lease)
    .bind(of)
    .bind(chain)
    .bind(key)
    .bind(renew_at.millis())
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Gives up the work that went well.
pub async fn settle(db: &mut Db, lease: i64) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE certificate SET due_at = 0, not_before = 0, tries = 0, trouble = NULL, trouble_since = NULL,
             leased_until = 0
         WHERE id = 1 AND lease = $1",
    )
    .bind(lease)
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// When to come back: by our own pauses, and by the CA's wish.
#[derive(Debug, Clone, Copy)]
pub struct Again {
    /// The next attempt comes no sooner.
    pub due_at: Timestamp,
    /// Nor after a restart sooner than this.
    pub not_before: Timestamp,
}

/// Gives up the work that failed.
pub async fn put_off(db: &mut Db, lease: i64, now: Timestamp, again: Again, trouble: &str) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE certificate SET due_at = $3, not_before = $4, tries = tries + 1, trouble = $5,
             trouble_since = COALESCE(trouble_since, $2), leased_until = 0
         WHERE id = 1 AND lease = $1",
    )
    .bind(lease)
    .bind(now.millis())
    .bind(again.due_at.millis())
    .bind(again.not_before.millis())
    .bind(trouble)
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}
