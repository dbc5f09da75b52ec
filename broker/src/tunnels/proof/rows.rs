//! The rows of what asking homes' addresses came to.

use shared::id::HomeId;
use sqlx::Row as _;

use super::{Finding, Proof};
use crate::clock::Timestamp;
use crate::store::{Db, Failure, Result};

/// Writes down what came of it, in place of what did before.
pub async fn set(db: &mut Db, home: HomeId, proof: &Proof) -> Result<()> {
    // A home that was deleted meanwhile has no place for it.
    sqlx::query(
        "INSERT INTO proof (home_id, finding, detail, proved_at)
         SELECT id, $2, $3, $4 FROM home WHERE id = $1
         ON CONFLICT (home_id) DO UPDATE SET finding = excluded.finding, detail = excluded.detail,
           proved_at = excluded.proved_at",
    )
    .bind(home.number())
    .bind(proof.finding.word())
    .bind(&proof.detail)
    .bind(proof.at.millis())
    .execute(db)
    .await
    .map(drop)
}

/// What came of it last. A word of a later version counts as none.
pub async fn find(db: &mut Db, home: HomeId) -> Result<Option<Proof>> {
    let row = sqlx::query("SELECT finding, detail, proved_at FROM proof WHERE home_id = $1")
        .bind(home.number())
        .fetch_optional(db)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let word: String = row.try_get("finding")?;
    let Some(finding) = Finding::ALL.iter().copied().find(|one| one.word() == word) else { return Ok(None) };
    let at = Timestamp::from_millis(row.try_get("proved_at")?);
    Ok(Some(Proof { finding, detail: row.try_get("detail")?, at }))
}

/// Homes at a provider whose tunnel is made and whose address was never asked, or proved not after `proved`, or asked in
/// vain not after `failed`; those first that were not asked for the longest time.
pub async fn due(db: &mut Db, proved: Timestamp, failed: Timestamp) -> Result<Vec<HomeId>> {
    let rows = sqlx::query(
        "SELECT h.id FROM home h LEFT JOIN proof p ON p.home_id = h.id
         WHERE h.domain IS NOT NULL AND h.state = 'active' AND (p.proved_at IS NULL OR p.proved_at <= $1
             OR (p.finding <> $2 AND p.proved_at <= $3))
         ORDER BY COALESCE(p.proved_at, 0), h.id",
    )
    .bind(proved.millis())
    .bind(Finding::Proved.word())
    .bind(failed.millis())
    .fetch_all(db)
    .await?;
    let odd = |_| Failure::Decode("a home's id is out of range".into());
    rows.iter().map(|row| row.try_get::<i64, _>("id")?.try_into().map_err(odd)).collect()
}
