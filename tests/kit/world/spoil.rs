//! A database that is there and cannot be written: what a full disk or a failing-over server looks like.

use anyhow::{Context, Result};
use broker::store::Where;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};
use url::Url;

use super::World;

/// As long as this is kept, nothing can be written. [`Spoiled::mend`] ends it.
pub struct Spoiled {
    held: AnyConnection,
    mend: Vec<String>,
}

impl World {
    /// Makes the database refuse to be written: SQLite's is locked by somebody else, PostgreSQL's is read-only.
    pub async fn spoil_database(&self) -> Spoiled {
        let spoiled = match &self.settings.database {
            Where::Sqlite(path) => lock(&format!("sqlite:{}", path.display())).await,
            Where::Postgres(url) => make_read_only(url.expose()).await,
        };
        spoiled.unwrap_or_else(|err| panic!("spoil the database: {err:#}"))
    }
}

impl Spoiled {
    /// Makes it good again.
    pub async fn mend(mut self) {
        for sql in &self.mend {
            let mended = sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut self.held).await;
            mended.unwrap_or_else(|err| panic!("{sql}: {err}"));
        }
        _ = self.held.close().await;
    }
}

async fn lock(address: &str) -> Result<Spoiled> {
    sqlx::any::install_default_drivers();
    let mut held = AnyConnection::connect(address).await.context("open the file")?;
    sqlx::raw_sql("PRAGMA busy_timeout = 10000; BEGIN IMMEDIATE").execute(&mut held).await?;
    Ok(Spoiled { held, mend: vec!["ROLLBACK".to_owned()] })
}

/// Sessions that begin from now on may not write, and the others are ended.
async fn make_read_only(address: &str) -> Result<Spoiled> {
    sqlx::any::install_default_drivers();
    let mut url: Url = address.parse()?;
    let name = url.path().trim_start_matches('/').to_owned();
    url.set_path("/postgres");
    let mut held = AnyConnection::connect(url.as_str()).await.context("reach the server")?;
    let setting = format!("ALTER DATABASE \"{name}\" SET default_transaction_read_only");
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    for sql in [format!("{setting} = on"), end.clone()] {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut held).await?;
    }
    Ok(Spoiled { held, mend: vec![format!("{setting} = off"), end] })
}
