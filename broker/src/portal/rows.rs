//! Rows: shared entities and the links to them.

use shared::entity::EntityId;
use shared::id::{AccountId, HomeId, LinkId, SharedEntityId};
use shared::relay::Watched;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::link::{Link, NewLink, Permission};
use super::{LinkLine, SharedEntity};
use crate::clock::Timestamp;
use crate::store::{Db, Failure, Result};

/// A link with what it opens, and the home's name.
pub(super) struct Found {
    pub link: Link,
    pub entity: SharedEntity,
    pub home_name: String,
}

/// The link with this token hash, whatever its standing.
pub(super) async fn by_token(db: &mut Db, hash: Vec<u8>) -> Result<Option<Found>> {
    let row = sqlx::query(
        "SELECT l.id, l.label, l.permission, l.created_at, l.expires_at, l.revoked_at, l.used_at, \
         s.id AS shared_id, s.home_id, s.entity_id, s.name, s.area, h.name AS home_name \
         FROM link l JOIN shared_entity s ON s.id = l.shared_entity_id JOIN home h ON h.id = s.home_id \
         WHERE l.token_hash = $1 AND h.state <> 'deleting'",
    )
    .bind(hash)
    .fetch_optional(db)
    .await?;
    let found = |row: AnyRow| {
        Ok(Found { link: link(&row)?, entity: entity(&row)?, home_name: row.try_get("home_name")? })
    };
    row.map(found).transpose()
}

/// All links of a home, the newest first.
pub(super) async fn of_home(db: &mut Db, home: HomeId) -> Result<Vec<LinkLine>> {
    let rows = sqlx::query(
        "SELECT l.id, l.label, l.permission, l.created_at, l.expires_at, l.revoked_at, l.used_at, \
         s.id AS shared_id, s.home_id, s.entity_id, s.name, s.area \
         FROM link l JOIN shared_entity s ON s.id = l.shared_entity_id \
         WHERE s.home_id = $1 ORDER BY l.created_at DESC, l.id",
    )
    .bind(home.number())
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| Ok(LinkLine { link: link(row)?, entity: entity(row)? })).collect()
}

/// How many links of a home are live.
pub(super) async fn count_live(db: &mut Db, home: HomeId, now: Timestamp) -> Result<i64> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS live FROM link l JOIN shared_entity s ON s.id = l.shared_entity_id \
         WHERE s.home_id = $1 AND l.revoked_at IS NULL AND (l.expires_at IS NULL OR l.expires_at > $2)",
    )
    .bind(home.number())
    .bind(now.millis())
    .fetch_one(db)
    .await?;
    row.try_get("live")
}

/// What live links of a home share.
pub(super) async fn watched(db: &mut Db, home: HomeId, now: Timestamp) -> Result<Vec<Watched>> {
    let rows = sqlx::query(
        "SELECT s.entity_id, CAST(MAX(CASE WHEN l.permission = 'control' THEN 1 ELSE 0 END) AS BIGINT) AS control \
         FROM link l JOIN shared_entity s ON s.id = l.shared_entity_id JOIN home h ON h.id = s.home_id \
         WHERE s.home_id = $1 AND h.state <> 'deleting' AND l.revoked_at IS NULL AND (l.expires_at IS NULL OR l.expires_at > $2) \
         GROUP BY s.entity_id",
    )
    .bind(home.number())
    .bind(now.millis())
    .fetch_all(db)
    .await?;
    let watched = |row: &AnyRow| {
        Ok(Watched { entity_id: entity_id(row)?, control: row.try_get::<i64, _>("control")? > 0 })
    };
    rows.iter().map(watched).collect()
}

/// Notes that an entity is shared, under the name it has now; gives the number it has or gets.
pub(super) async fn share(db: &mut Db, entity: &SharedEntity, now: Timestamp) -> Result<SharedEntityId> {
    let row = sqlx::query(
        "INSERT INTO shared_entity (id, home_id, entity_id, name, area, created_at) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (home_id, entity_id) DO UPDATE SET name = excluded.name, area = excluded.area RETURNING id",
    )
    .bind(entity.id.number())
    .bind(entity.home.number())
    .bind(entity.entity_id.as_str())
    .bind(entity.name.as_str())
    .bind(entity.area.as_deref())
    .bind(now.millis())
    .fetch_one(db)
    .await?;
    id(&row, "id")
}

/// Adds a link.
pub(super) async fn add(
    db: &mut Db,
    id: LinkId,
    entity: SharedEntityId,
    hash: Vec<u8>,
    new: &NewLink,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO link (id, shared_entity_id, token_hash, label, permission, created_by, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(id.number())
    .bind(entity.number())
    .bind(hash)
    .bind(new.label.as_str())
    .bind(new.permission.word())
    .bind(new.by.account.map_or(0, AccountId::number))
    .bind(now.millis())
    .bind(new.expires.map(Timestamp::millis))
    .execute(db)
    .await
    .map(drop)
}

/// Whether a link belongs to a home.
pub(super) async fn is_of(db: &mut Db, id: LinkId, home: HomeId) -> Result<bool> {
    let row = sqlx::query(
        "SELECT l.id FROM link l JOIN shared_entity s ON s.id = l.shared_entity_id WHERE l.id = $1 AND s.home_id = $2",
    )
    .bind(id.number())
    .bind(home.number())
    .fetch_optional(db)
    .await?;
    Ok(row.is_some())
}

/// Revokes a link; the first time counts.
pub(super) async fn revoke(db: &mut Db, id: LinkId, now: Timestamp) -> Result<bool> {
    let done = sqlx::query("UPDATE link SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL")
        .bind(now.millis())
        .bind(id.number())
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Notes a use; never an earlier one than is there.
pub(super) async fn use_at(db: &mut Db, id: LinkId, now: Timestamp) -> Result<()> {
    sqlx::query("UPDATE link SET used_at = $1 WHERE id = $2 AND (used_at IS NULL OR used_at < $1)")
        .bind(now.millis())
        .bind(id.number())
        .execute(db)
        .await
        .map(drop)
}

/// When the next link lapses.
pub(super) async fn next_expiry(db: &mut Db, after: Timestamp) -> Result<Option<Timestamp>> {
    let row =
        sqlx::query("SELECT MIN(expires_at) AS next FROM link WHERE revoked_at IS NULL AND expires_at > $1")
            .bind(after.millis())
            .fetch_one(db)
            .await?;
    Ok(row.try_get::<Option<i64>, _>("next")?.map(Timestamp::from_millis))
}

/// The links that lapsed after one moment and up to another, and their homes.
pub(super) async fn lapsed(db: &mut Db, after: Timestamp, until: Timestamp) -> Result<Vec<(LinkId, HomeId)>> {
    let rows = sqlx::query(
        "SELECT l.id, s.home_id FROM link l JOIN shared_entity s ON s.id = l.shared_entity_id \
         WHERE l.revoked_at IS NULL AND l.expires_at > $1 AND l.expires_at <= $2",
    )
    .bind(after.millis())
    .bind(until.millis())
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| Ok((id(row, "id")?, id(row, "home_id")?))).collect()
}

fn id<T: TryFrom<i64>>(row: &AnyRow, column: &str) -> Result<T>
where
    T::Error: std::error::Error + Send + Sync + 'static,
{
    row.try_get::<i64, _>(column)?.try_into().map_err(|err| Failure::Decode(Box::new(err)))
}

fn entity_id(row: &AnyRow) -> Result<EntityId> {
    row.try_get::<String, _>("entity_id")?.parse().map_err(|err| Failure::Decode(Box::new(err)))
}

fn moment(row: &AnyRow, column: &str) -> Result<Option<Timestamp>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_millis))
}

fn link(row: &AnyRow) -> Result<Link> {
    let permission: String = row.try_get("permission")?;
    Ok(Link {
        id: id(row, "id")?,
        label: row.try_get("label")?,
        // A word this program does not know comes from a newer one: the least right is the safe reading.
        permission: Permission::parse(&permission).unwrap_or(Permission::View),
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
        expires: moment(row, "expires_at")?,
        revoked: moment(row, "revoked_at")?,
        used: moment(row, "used_at")?,
    })
}

fn entity(row: &AnyRow) -> Result<SharedEntity> {
    Ok(SharedEntity {
        id: id(row, "shared_id")?,
        home: id(row, "home_id")?,
        entity_id: entity_id(row)?,
        name: row.try_get("name")?,
        area: row.try_get("area")?,
    })
}
