//! What should be at the provider, to be compared with what is found there.

use shared::id::HomeId;
use sqlx::Row as _;

use super::Settled;
use crate::clock::Timestamp;
use crate::store::{Db, Result};
use crate::tunnels::provider::rows::{UNSETTLED, home};

/// All tunnels that are as wanted.
pub async fn settled(db: &mut Db) -> Result<Vec<Settled>> {
    let sql = format!(
        "SELECT t.home_id, h.domain, t.tunnel_id, t.record_id FROM cloudflare_tunnel t JOIN home h ON h.id = t.home_id
         WHERE h.domain IS NOT NULL AND t.tunnel_id IS NOT NULL AND t.record_id IS NOT NULL AND NOT {UNSETTLED}"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(db).await?;
    rows.iter()
        .map(|row| {
            Ok(Settled {
                home: home(row)?,
                domain: row.try_get("domain")?,
                tunnel: row.try_get("tunnel_id")?,
                record: row.try_get("record_id")?,
            })
        })
        .collect()
}

/// A settled tunnel turned out not to be there: it is made anew.
pub async fn lost_tunnel(db: &mut Db, id: HomeId, tunnel: &str, now: Timestamp) -> Result<()> {
    sqlx::query(
        "UPDATE cloudflare_tunnel SET tunnel_id = NULL, port = NULL, record_id = NULL, token_sealed = NULL,
             is_settled = 0, since = $3, due_at = $3 WHERE home_id = $1 AND tunnel_id = $2",
    )
    .bind(id.number())
    .bind(tunnel)
    .bind(now.millis())
    .execute(db)
    .await
    .map(drop)
}

/// A settled tunnel's record turned out not to be there, or to lead elsewhere: it is made anew.
pub async fn lost_record(db: &mut Db, id: HomeId, record: &str, now: Timestamp) -> Result<()> {
    sqlx::query(
        "UPDATE cloudflare_tunnel SET record_id = NULL, is_settled = 0, since = $3, due_at = $3
         WHERE home_id = $1 AND record_id = $2",
    )
    .bind(id.number())
    .bind(record)
    .bind(now.millis())
    .execute(db)
    .await
    .map(drop)
}

/// All homes that tunnels may be for.
pub async fn homes(db: &mut Db) -> Result<Vec<HomeId>> {
    let rows = sqlx::query("SELECT id AS home_id FROM home WHERE domain IS NOT NULL").fetch_all(db).await?;
    rows.iter().map(home).collect()
}
