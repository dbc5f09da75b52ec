//! The rows of tunnels at Cloudflare: what there is of each, who is at work on it, and when to try again.
//!
//! What is *wanted* stands in the home's own row (that it is there, its port) and in `secret_wanted`; what is
//! *made* stands here. A lease says who is at work: whoever has lost it changes nothing any more. When it runs out is
//! told by [everybody's time](crate::store::Store::everybodys_time), all else by this machine's.

use shared::id::{GrantId, HomeId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::clock::Timestamp;
use crate::homes::State;
use crate::store::{Db, Failure, Result};

/// What there is of a home's tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The tunnel's id, once it is known.
    pub tunnel: Option<String>,
    /// When one was asked for and no answer came yet.
    pub asked_at: Option<Timestamp>,
    /// The port that its configuration leads to, once it has one.
    pub port: Option<u16>,
    /// The DNS record's id, once it is known.
    pub record: Option<String>,
    /// Its token is here, and sealed.
    pub has_token: bool,
    /// How often its secret was wanted new, and how often it was made so.
    pub secret: (i64, i64),
    /// How many steps of deleting it are done for good.
    pub unmade: u8,
    /// Since when it is not as wanted.
    pub since: Timestamp,
    /// How often it was tried since.
    pub tries: u32,
}

impl Made {
    /// How many steps are done, of making and of deleting.
    pub fn steps(&self) -> (u8, u8) {
        let made = [self.tunnel.is_some(), self.port.is_some(), self.record.is_some(), self.has_token];
        (made.into_iter().map(u8::from).sum(), self.unmade)
    }
}

fn odd<E: std::fmt::Debug>(err: E) -> Failure {
    Failure::Decode(format!("a tunnel's row makes no sense: {err:?}").into())
}

/// The home a row is of.
pub fn home(row: &AnyRow) -> Result<HomeId> {
    row.try_get::<i64, _>("home_id")?.try_into().map_err(odd)
}

/// The name under which this installation makes its tunnels: this one, if it has none yet.
pub async fn name_installation(db: &mut Db, name: &str) -> Result<()> {
    sqlx::query("INSERT INTO installation (id, name) VALUES (1, $1) ON CONFLICT (id) DO NOTHING")
        .bind(name)
        .execute(db)
        .await
        .map(drop)
}

/// The name under which this installation makes its tunnels.
pub async fn installation(db: &mut Db) -> Result<Option<String>> {
    let row = sqlx::query("SELECT name FROM installation WHERE id = 1").fetch_optional(db).await?;
    row.map(|row| row.try_get("name")).transpose()
}

/// Gives every home under these domains a row; those that have one keep it.
pub async fn add(db: &mut Db, domain: &str, now: Timestamp) -> Result<u64> {
    let done = sqlx::query(
        "INSERT INTO cloudflare_tunnel (home_id, since, due_at)
         SELECT h.id, $2, $2 FROM home h WHERE h.domain = $1
             AND NOT EXISTS (SELECT 1 FROM cloudflare_tunnel t WHERE t.home_id = h.id)
         ON CONFLICT (home_id) DO NOTHING",
    )
    .bind(domain)
    .bind(now.millis())
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// What is not as wanted.
pub const UNSETTLED: &str = "(t.is_settled = 0 OR h.state = 'deleting' OR h.ha_port <> COALESCE(t.port, 0)
    OR t.secret_wanted <> t.secret_made)";

/// Homes that have work to do now and nobody at it.
pub async fn due(db: &mut Db, now: Timestamp, everybodys: Timestamp, most: i64) -> Result<Vec<HomeId>> {
    let sql = format!(
        "SELECT t.home_id FROM cloudflare_tunnel t JOIN home h ON h.id = t.home_id
         WHERE t.due_at <= $1 AND t.leased_until <= $2 AND {UNSETTLED} ORDER BY t.due_at, t.home_id LIMIT $3"
    );
    let due = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(now.millis()).bind(everybodys.millis()).bind(most);
    due.fetch_all(db).await?.iter().map(home).collect()
}

/// When the next home has work to do, whoever is at it now.
pub async fn next_due(db: &mut Db) -> Result<Option<Timestamp>> {
    let sql = format!(
        "SELECT MIN(CASE WHEN t.due_at > t.leased_until THEN t.due_at ELSE t.leased_until END) AS due
         FROM cloudflare_tunnel t JOIN home h ON h.id = t.home_id WHERE {UNSETTLED}"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(db).await?;
    Ok(row.try_get::<Option<i64>, _>("due")?.map(Timestamp::from_millis))
}

/// A lease that is taken.
pub struct Lease {
    /// Its number: nobody else's.
    pub number: i64,
    /// Everybody's time.
    pub everybodys: Timestamp,
    /// When it runs out, by everybody's time.
    pub until: Timestamp,
}

/// Takes the work on a home; false when somebody else is at it.
pub async fn lease(db: &mut Db, id: HomeId, lease: &Lease, now: Timestamp) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE cloudflare_tunnel SET lease = $2, leased_until = $4, tries = CASE is_settled WHEN 0 THEN tries ELSE 0 END,
             since = CASE is_settled WHEN 0 THEN since ELSE $3 END, is_settled = 0
         WHERE home_id = $1 AND leased_until <= $5",
    )
    .bind(id.number())
    .bind(lease.number)
    .bind(now.millis())
    .bind(lease.until.millis())
    .bind(lease.everybodys.millis())
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Keeps the work on a home; false when it was lost.
pub async fn keep(db: &mut Db, id: HomeId, lease: i64, until: Timestamp) -> Result<bool> {
    let done =
        sqlx::query("UPDATE cloudflare_tunnel SET leased_until = $3 WHERE home_id = $1 AND lease = $2")
            .bind(id.number())
            .bind(lease)
            .bind(until.millis())
            .execute(db)
            .await?;
    Ok(done.rows_affected() > 0)
}

/// Nobody is at work any more: a broker that has its database to itself has just started.
pub async fn free_all(db: &mut Db) -> Result<()> {
    sqlx::query("UPDATE cloudflare_tunnel SET leased_until = 0, lease = 0").execute(db).await.map(drop)
}

/// What there is of a home's tunnel.
pub async fn find(db: &mut Db, id: HomeId) -> Result<Option<Made>> {
    let row = sqlx::query(
        "SELECT tunnel_id, asked_at, port, record_id, secret_wanted, secret_made, unmade,
             CAST(CASE WHEN token_sealed IS NULL THEN 0 ELSE 1 END AS BIGINT) AS has_token, since, tries FROM cloudflare_tunnel WHERE home_id = $1",
    )
    .bind(id.number())
    .fetch_optional(db)
    .await?;
    row.as_ref().map(made).transpose()
}

fn made(row: &AnyRow) -> Result<Made> {
    let port = row.try_get::<Option<i64>, _>("port")?;
    Ok(Made {
        tunnel: row.try_get("tunnel_id")?,
        asked_at: row.try_get::<Option<i64>, _>("asked_at")?.map(Timestamp::from_millis),
        port: port.map(u16::try_from).transpose().map_err(odd)?,
        record: row.try_get("record_id")?,
        has_token: row.try_get::<i64, _>("has_token")? != 0,
        secret: (row.try_get("secret_wanted")?, row.try_get("secret_made")?),
        unmade: u8::try_from(row.try_get::<i64, _>("unmade")?).map_err(odd)?,
        since: Timestamp::from_millis(row.try_get("since")?),
        tries: u32::try_from(row.try_get::<i64, _>("tries")?).map_err(odd)?,
    })
}

/// Writes down what there is now, if the lease is still held; false otherwise. The token stays as it is.
pub async fn save(db: &mut Db, id: HomeId, lease: i64, made: &Made, until: Timestamp) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE cloudflare_tunnel SET tunnel_id = $3, asked_at = $4, port = $5, record_id = $6, leased_until = $7,
             unmade = $8
         WHERE home_id = $1 AND lease = $2",
    )
    .bind(id.number())
    .bind(lease)
    .bind(made.tunnel.as_deref())
    .bind(made.asked_at.map(Timestamp::millis))
    .bind(made.port.map(i64::from))
    .bind(made.record.as_deref())
    .bind(until.millis())
    .bind(i64::from(made.unmade))
    .execute(&mut *db)
    .await?;
    let is_ours = done.rows_affected() > 0;
    if let Some(tunnel) = made.tunnel.as_deref().filter(|_| is_ours) {
        know(db, id, tunnel).await?;
    }
    Ok(is_ours)
}

/// Notes the id of a home's tunnel: a program that was told it finds the home by it for as long as there is the home,
/// whatever becomes of that tunnel.
async fn know(db: &mut Db, id: HomeId, tunnel: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO cloudflare_tunnel_id (tunnel_id, home_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(tunnel)
    .bind(id.number())
    .execute(db)
    .await
    .map(drop)
}

/// Writes down a token, and which secret it holds; none when the tunnel it opened is gone.
pub async fn save_token(
    db: &mut Db,
    id: HomeId,
    lease: i64,
    sealed: Option<&[u8]>,
    secret: i64,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE cloudflare_tunnel SET token_sealed = $3, secret_made = $4 WHERE home_id = $1 AND lease = $2",
    )
    .bind(id.number())
    .bind(lease)
    .bind(sealed)
    .bind(secret)
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// The work is done.
pub async fn settle(db: &mut Db, id: HomeId, lease: i64, now: Timestamp) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE cloudflare_tunnel SET is_settled = 1, tries = 0, due_at = $3, lease = 0, leased_until = 0
         WHERE home_id = $1 AND lease = $2",
    )
    .bind(id.number())
    .bind(lease)
    .bind(now.millis())
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// The work must wait; not so for a home that is to be deleted since it was `seen`.
pub async fn put_off(
    db: &mut Db,
    id: HomeId,
    lease: i64,
    tries: u32,
    due: Timestamp,
    seen: State,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE cloudflare_tunnel SET tries = $3, lease = 0, leased_until = 0, due_at = CASE
             WHEN EXISTS (SELECT 1 FROM home h WHERE h.id = $1 AND h.state = 'deleting' AND h.state <> $5) THEN 0
             ELSE $4 END
         WHERE home_id = $1 AND lease = $2",
    )
    .bind(id.number())
    .bind(lease)
    .bind(i64::from(tries))
    .bind(due.millis())
    .bind(seen.word())
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// What waits is tried now.
pub async fn hurry(db: &mut Db, id: HomeId, now: Timestamp) -> Result<()> {
    sqlx::query("UPDATE cloudflare_tunnel SET due_at = $2 WHERE home_id = $1 AND due_at > $2")
        .bind(id.number())
        .bind(now.millis())
        .execute(db)
        .await
        .map(drop)
}

/// A new secret is wanted; false while the home has no tunnel.
pub async fn want_secret(db: &mut Db, id: HomeId, now: Timestamp) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE cloudflare_tunnel SET secret_wanted = secret_wanted + 1, due_at = $2
         WHERE home_id = $1 AND tunnel_id IS NOT NULL",
    )
    .bind(id.number())
    .bind(now.millis())
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// The token of a home whose tunnel is as wanted: tunnel, and the token sealed.
pub async fn token(db: &mut Db, id: HomeId) -> Result<Option<(String, Vec<u8>)>> {
    let row = sqlx::query(
        "SELECT tunnel_id, token_sealed FROM cloudflare_tunnel
         WHERE home_id = $1 AND tunnel_id IS NOT NULL AND token_sealed IS NOT NULL AND secret_wanted = secret_made",
    )
    .bind(id.number())
    .fetch_optional(db)
    .await?;
    row.map(|row| Ok((row.try_get("tunnel_id")?, row.try_get("token_sealed")?))).transpose()
}

/// The home whose tunnel has this id, or once had it.
pub async fn by_tunnel(db: &mut Db, tunnel: &str) -> Result<Option<HomeId>> {
    let row = sqlx::query("SELECT home_id FROM cloudflare_tunnel_id WHERE tunnel_id = $1")
        .bind(tunnel)
        .fetch_optional(db)
        .await?;
    row.as_ref().map(home).transpose()
}

/// Notes who has read the token: a person's program by its grant, a program of its own by what it is, for its
/// grants last an hour only and it may always have another.
pub async fn add_reader(db: &mut Db, id: HomeId, grant: GrantId) -> Result<()> {
    sqlx::query(
        "INSERT INTO tunnel_reader (home_id, grant_id, client_id)
         SELECT $1, CASE WHEN g.account_id IS NULL THEN 0 ELSE g.id END, g.client_id FROM oauth_grant g WHERE g.id = $2
         ON CONFLICT (home_id, grant_id, client_id) DO NOTHING",
    )
    .bind(id.number())
    .bind(grant.number())
    .execute(db)
    .await
    .map(drop)
}

/// Someone who has read a home's token.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// Whose token.
    pub home: HomeId,
    /// Under which grant, for a person; whether that lives is not looked at here.
    pub grant: Option<GrantId>,
    /// Whoever granted it still manages the home; a program of its own still belongs to the home's workspace.
    pub may: bool,
}

/// Everybody who has read the token of a home that is there to stay.
pub async fn readers(db: &mut Db) -> Result<Vec<Reader>> {
    let rows = sqlx::query(
        "SELECT r.home_id, r.grant_id, (SELECT COUNT(*) FROM oauth_grant g
             JOIN member m ON m.account_id = g.account_id AND m.workspace_id = h.workspace_id
             WHERE g.id = r.grant_id AND m.role IN ('owner', 'admin'))
             + (SELECT COUNT(*) FROM client c WHERE r.grant_id = 0 AND c.client_id = r.client_id
                 AND c.workspace_id = h.workspace_id AND c.disabled_at IS NULL) AS may
         FROM tunnel_reader r JOIN home h ON h.id = r.home_id WHERE h.state <> 'deleting'",
    )
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            let grant = row.try_get::<i64, _>("grant_id")?;
            let grant = (grant != 0).then(|| GrantId::try_from(grant)).transpose().map_err(odd)?;
            Ok(Reader { home: home(row)?, grant, may: row.try_get::<i64, _>("may")? > 0 })
        })
        .collect()
}

/// Whoever has read a home's token holds nothing any more; false when nobody had.
pub async fn forget_readers(db: &mut Db, id: HomeId) -> Result<bool> {
    let sql = "DELETE FROM tunnel_reader WHERE home_id = $1";
    Ok(sqlx::query(sql).bind(id.number()).execute(db).await?.rows_affected() > 0)
}

#[cfg(test)]
mod tests;
