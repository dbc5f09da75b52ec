//! The rows of hops: how each is, when each was cut, whose hearts beat, and what was written to owners.

use shared::id::{HomeId, WorkspaceId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::board::Row;
use super::{Hop, Reason, Spell, State, Which};
use crate::clock::Timestamp;
use crate::store::{Db, Failure, Result};

fn odd<E: std::fmt::Debug>(err: E) -> Failure {
    Failure::Decode(format!("a hop's row makes no sense: {err:?}").into())
}

fn moment(row: &AnyRow, column: &str) -> Result<Option<Timestamp>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_millis))
}

fn home(row: &AnyRow) -> Result<HomeId> {
    row.try_get::<i64, _>("home_id")?.try_into().map_err(odd)
}

/// A row of `hop` or `hop_event`; `since` is in this column. A word of a newer broker is taken for nothing known.
fn hop(row: &AnyRow, since: &str) -> Result<Option<Hop>> {
    let (which, state): (String, String) = (row.try_get("hop")?, row.try_get("state")?);
    let reason: Option<String> = row.try_get("reason")?;
    let (Some(which), Some(state)) = (Which::of_word(&which), State::of_word(&state)) else {
        return Ok(None);
    };
    let reason = reason.and_then(|word| Reason::of_word(&word));
    Ok(Some(Hop { which, state, since: moment(row, since)?, reason, detail: row.try_get("detail")? }))
}

fn read(rows: &[AnyRow]) -> Result<Vec<(HomeId, Row)>> {
    let mut read = Vec::with_capacity(rows.len());
    for row in rows {
        if let Some(hop) = hop(row, "since")? {
            read.push((home(row)?, Row { hop, broker: row.try_get("broker_id")? }));
        }
    }
    Ok(read)
}

/// The hops that brokers other than this one wrote last.
pub async fn not_of(db: &mut Db, broker: i64) -> Result<Vec<(HomeId, Row)>> {
    let sql = "SELECT home_id, hop, state, reason, detail, since, broker_id FROM hop WHERE broker_id <> $1";
    read(&sqlx::query(sql).bind(broker).fetch_all(db).await?)
}

/// The hops of one home.
pub async fn of(db: &mut Db, home: HomeId) -> Result<Vec<(HomeId, Row)>> {
    let sql = "SELECT home_id, hop, state, reason, detail, since, broker_id FROM hop WHERE home_id = $1";
    read(&sqlx::query(sql).bind(home.number()).fetch_all(db).await?)
}

/// All homes, with the domain of those at a provider.
pub async fn homes(db: &mut Db) -> Result<Vec<(HomeId, Option<String>)>> {
    let rows = sqlx::query("SELECT id AS home_id, domain FROM home").fetch_all(db).await?;
    rows.iter().map(|row| Ok((home(row)?, row.try_get("domain")?))).collect()
}

/// Writes a hop in the place of what was read of it; false when that is there no longer.
pub async fn replace(
    db: &mut Db,
    home: HomeId,
    hop: &Hop,
    broker: i64,
    before: Option<&Row>,
) -> Result<bool> {
    let sql = match before {
        Some(_) => {
            "UPDATE hop SET state = $3, reason = $4, detail = $5, since = $6, broker_id = $7
             WHERE home_id = $1 AND hop = $2 AND state = $8 AND since = $9 AND broker_id = $10"
        }
        None => {
            "INSERT INTO hop (home_id, hop, state, reason, detail, since, broker_id)
             SELECT $1, $2, $3, $4, $5, $6, $7 FROM home WHERE id = $1
             ON CONFLICT (home_id, hop) DO NOTHING"
        }
    };
    let since = hop.since.ok_or_else(|| odd("a hop to be written has no date"))?;
    let mut query = sqlx::query(sql)
        .bind(home.number())
        .bind(hop.which.word())
        .bind(hop.state.word())
        .bind(hop.reason.map(Reason::word))
        .bind(hop.detail.as_deref())
        .bind(since.millis())
        .bind(broker);
    if let Some(Row { hop, broker }) = before {
        let since = hop.since.map_or(0, Timestamp::millis);
        query = query.bind(hop.state.word()).bind(since).bind(*broker);
    }
    Ok(query.execute(db).await?.rows_affected() > 0)
}

/// Ends the time that a hop was cut, if it was.
pub async fn end_spell(db: &mut Db, home: HomeId, which: Which, at: Timestamp) -> Result<()> {
    sqlx::query("UPDATE hop_event SET ended_at = $3 WHERE home_id = $1 AND hop = $2 AND ended_at IS NULL")
        .bind(home.number())
        .bind(which.word())
        .bind(at.millis())
        .execute(db)
        .await
        .map(drop)
}

/// Begins one.
pub async fn add_spell(db: &mut Db, id: i64, home: HomeId, hop: &Hop) -> Result<()> {
    sqlx::query(
        "INSERT INTO hop_event (id, home_id, hop, state, reason, detail, at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(id)
    .bind(home.number())
    .bind(hop.which.word())
    .bind(hop.state.word())
    .bind(hop.reason.map(Reason::word))
    .bind(hop.detail.as_deref())
    .bind(hop.since.map_or(0, Timestamp::millis))
    .execute(db)
    .await
    .map(drop)
}

fn spells(rows: &[AnyRow]) -> Result<Vec<Spell>> {
    let mut spells = Vec::with_capacity(rows.len());
    for row in rows {
        if let Some(hop) = hop(row, "at")? {
            let at = Timestamp::from_millis(row.try_get("at")?);
            spells.push(Spell { id: row.try_get("id")?, hop, at, ended: moment(row, "ended_at")? });
        }
    }
    Ok(spells)
}

/// The newest times that hops of a home were cut.
pub async fn newest(db: &mut Db, home: HomeId, most: i64) -> Result<Vec<Spell>> {
    let rows = sqlx::query(
        "SELECT id, hop, state, reason, detail, at, ended_at FROM hop_event WHERE home_id = $1
         ORDER BY at DESC, id DESC LIMIT $2",
    )
    .bind(home.number())
    .bind(most)
    .fetch_all(db)
    .await?;
    spells(&rows)
}

/// Those before one of them, which need not be there any more.
pub async fn before(db: &mut Db, home: HomeId, (at, id): (Timestamp, i64), most: i64) -> Result<Vec<Spell>> {
    let rows = sqlx::query(
        "SELECT id, hop, state, reason, detail, at, ended_at FROM hop_event
         WHERE home_id = $1 AND (at < $2 OR (at = $2 AND id < $3)) ORDER BY at DESC, id DESC LIMIT $4",
    )
    .bind(home.number())
    .bind(at.millis())
    .bind(id)
    .bind(most)
    .fetch_all(db)
    .await?;
    spells(&rows)
}

/// When one of them began.
pub async fn begun(db: &mut Db, home: HomeId, id: i64) -> Result<Option<Timestamp>> {
    let row = sqlx::query("SELECT at FROM hop_event WHERE home_id = $1 AND id = $2")
        .bind(home.number())
        .bind(id)
        .fetch_optional(db)
        .await?;
    row.map(|row| row.try_get("at").map(Timestamp::from_millis)).transpose()
}

/// Forgets what ended before a moment, and of each home what goes beyond so many.
pub async fn forget(db: &mut Db, before: Timestamp, most: i64) -> Result<u64> {
    let old = sqlx::query("DELETE FROM hop_event WHERE ended_at < $1").bind(before.millis());
    let old = old.execute(&mut *db).await?.rows_affected();
    let many = sqlx::query(
        "DELETE FROM hop_event WHERE id IN (SELECT id FROM (SELECT id, ROW_NUMBER() OVER
         (PARTITION BY home_id ORDER BY at DESC, id DESC) AS place FROM hop_event) AS placed WHERE place > $1)",
    );
    Ok(old + many.bind(most).execute(db).await?.rows_affected())
}

/// One more beat of this broker's heart, and the ids of the keys it knows; then how often each has beaten.
pub async fn beat(db: &mut Db, us: i64, count: i64, keys: &str, now: Timestamp) -> Result<Vec<(i64, i64)>> {
    sqlx::query(
        "INSERT INTO broker (id, beat, keys, seen_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET beat = $2, keys = $3, seen_at = $4",
    )
    .bind(us)
    .bind(count)
    .bind(keys)
    .bind(now.millis())
    .execute(&mut *db)
    .await?;
    let rows = sqlx::query("SELECT id, beat FROM broker WHERE id <> $1").bind(us).fetch_all(db).await?;
    rows.iter().map(|row| Ok((row.try_get("id")?, row.try_get("beat")?))).collect()
}

/// Forgets brokers that were not seen since a moment.
pub async fn forget_brokers(db: &mut Db, before: Timestamp) -> Result<u64> {
    let sql = "DELETE FROM broker WHERE seen_at < $1";
    Ok(sqlx::query(sql).bind(before.millis()).execute(db).await?.rows_affected())
}

/// A time that a home is offline, from the first hop cut to a minute after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incident {
    pub home: HomeId,
    pub began: Timestamp,
    /// When its owners were told.
    pub told: Option<Timestamp>,
    /// Since when it is well again.
    pub well: Option<Timestamp>,
}

pub async fn incidents(db: &mut Db) -> Result<Vec<Incident>> {
    let rows = sqlx::query("SELECT home_id, began_at, told_at, well_at FROM incident").fetch_all(db).await?;
    let incident = |row: &AnyRow| {
        let began = Timestamp::from_millis(row.try_get("began_at")?);
        Ok(Incident { home: home(row)?, began, told: moment(row, "told_at")?, well: moment(row, "well_at")? })
    };
    rows.iter().map(incident).collect()
}

/// Notes that a home is offline; again, by another broker, does no harm.
pub async fn open_incident(db: &mut Db, home: HomeId, began: Timestamp) -> Result<()> {
    sqlx::query(
        "INSERT INTO incident (home_id, began_at) SELECT $1, $2 FROM home WHERE id = $1
         ON CONFLICT (home_id) DO NOTHING",
    )
    .bind(home.number())
    .bind(began.millis())
    .execute(db)
    .await
    .map(drop)
}

/// Notes since when it is well, or that it is not. What another broker changed meanwhile stays.
pub async fn set_well(db: &mut Db, incident: &Incident, well: Option<Timestamp>) -> Result<()> {
    let sql = match incident.well {
        Some(_) => "UPDATE incident SET well_at = $3 WHERE home_id = $1 AND began_at = $2",
        None => "UPDATE incident SET well_at = $3 WHERE home_id = $1 AND began_at = $2 AND well_at IS NULL",
    };
    sqlx::query(sql)
        .bind(incident.home.number())
        .bind(incident.began.millis())
        .bind(well.map(Timestamp::millis))
        .execute(db)
        .await
        .map(drop)
}

/// Takes it on oneself to tell the owners; false when that was done.
pub async fn take_telling(db: &mut Db, incident: &Incident, now: Timestamp) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE incident SET told_at = $3 WHERE home_id = $1 AND began_at = $2 AND told_at IS NULL",
    )
    .bind(incident.home.number())
    .bind(incident.began.millis())
    .bind(now.millis())
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Ends an incident that is still as it was read; false when it is not.
pub async fn end_incident(db: &mut Db, incident: &Incident) -> Result<bool> {
    let well = incident.well.map_or(0, Timestamp::millis);
    let done = sqlx::query("DELETE FROM incident WHERE home_id = $1 AND began_at = $2 AND well_at = $3")
        .bind(incident.home.number())
        .bind(incident.began.millis())
        .bind(well)
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// What a letter says of a home.
pub struct About {
    pub name: String,
    pub workspace: WorkspaceId,
}

/// The home a letter is about; none when it is being deleted, or wants no letters.
pub async fn about(db: &mut Db, home: HomeId) -> Result<Option<About>> {
    let row = sqlx::query(
        "SELECT name, workspace_id FROM home WHERE id = $1 AND state <> 'deleting' AND offline_mail <> 0",
    )
    .bind(home.number())
    .fetch_optional(db)
    .await?;
    let about = |row: AnyRow| {
        let workspace = row.try_get::<i64, _>("workspace_id")?.try_into().map_err(odd)?;
        Ok(About { name: row.try_get("name")?, workspace })
    };
    row.map(about).transpose()
}

/// Whether a home's owners want letters.
pub async fn wants_letters(db: &mut Db, home: HomeId) -> Result<bool> {
    let row = sqlx::query("SELECT offline_mail FROM home WHERE id = $1").bind(home.number());
    let row = row.fetch_optional(db).await?;
    row.map_or(Ok(false), |row| Ok(row.try_get::<i64, _>("offline_mail")? != 0))
}

pub async fn set_letters(db: &mut Db, home: HomeId, on: bool) -> Result<()> {
    let sql = "UPDATE home SET offline_mail = $2 WHERE id = $1";
    sqlx::query(sql).bind(home.number()).bind(i64::from(on)).execute(db).await.map(drop)
}
