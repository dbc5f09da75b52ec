//! What only the operator does and sees: registering programs by command, looking into the database.

use anyhow::{Context as _, Result};
use broker::store::Where;
use serde_json::Value;
use sqlx::{AnyConnection, Connection as _};

use super::World;
use crate::process::Process;
use crate::programs;

/// A program that the broker knows.
#[derive(Debug, Clone)]
pub struct Registered {
    /// Its `client_id`.
    pub id: String,
    /// Its secret, unless it is public.
    pub secret: Option<String>,
}

impl World {
    /// Registers a client: `latchkey-broker client add` with these words.
    pub fn register(&self, words: &[&str]) -> Registered {
        let words = [&["client", "add", "--json"][..], words].concat();
        let said = self.operator(&words);
        let said: Value = serde_json::from_str(&said).unwrap_or_else(|err| panic!("{err}: {said}"));
        let text = |name: &str| said[name].as_str().map(str::to_owned);
        Registered { id: text("client_id").expect("a client has an id"), secret: text("client_secret") }
    }

    /// How many refresh tokens the broker has ever given out.
    pub async fn refresh_tokens(&self) -> i64 {
        self.number("SELECT COUNT(*) FROM token WHERE kind = 'refresh'").await
    }

    /// The short name of the owner's workspace.
    pub async fn workspace(&self) -> String {
        workspace_of(&self.settings.database).await.unwrap_or_else(|err| panic!("the workspace: {err:#}"))
    }

    /// The one number a query gives.
    pub async fn number(&self, sql: &'static str) -> i64 {
        let number = async {
            let mut database = open(&self.settings.database).await?;
            anyhow::Ok(sqlx::query_scalar(sql).fetch_one(&mut database).await?)
        };
        number.await.unwrap_or_else(|err| panic!("{sql}: {err:#}"))
    }

    /// Changes rows behind the broker's back.
    pub async fn write(&self, sql: &'static str) {
        let written = async {
            let mut database = open(&self.settings.database).await?;
            anyhow::Ok(sqlx::query(sql).execute(&mut database).await?)
        };
        written.await.unwrap_or_else(|err| panic!("{sql}: {err:#}"));
    }

    /// Writes so many outages of a home's agent into its history, one an hour, each a few minutes long.
    pub async fn plant_outages(&self, home: shared::id::HomeId, count: i64) {
        let sql = format!(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count})
             INSERT INTO hop_event (id, home_id, hop, state, reason, at, ended_at)
             SELECT n, {home}, 'agent', 'down', 'agent_gone', {now} - n * 3600000, {now} - n * 3600000 + n * 7000 FROM n",
            now = self.clock().now().millis(),
        );
        let planted = async {
            let mut database = open(&self.settings.database).await?;
            anyhow::Ok(sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut database).await?)
        };
        planted.await.unwrap_or_else(|err| panic!("plant outages: {err:#}"));
    }

    /// Runs one of the operator's commands.
    pub fn operator(&self, words: &[&str]) -> String {
        self.try_operator(words).unwrap_or_else(|err| panic!("{err:#}"))
    }

    /// Runs one of the operator's commands, which may say no.
    ///
    /// # Errors
    /// Its words, when it does.
    pub fn try_operator(&self, words: &[&str]) -> Result<String> {
        programs::brokers_operator(&self.settings, words)
    }

    /// Starts one of the operator's commands, to be killed.
    pub fn operator_program(&self, words: &[&str]) -> Process {
        let started = programs::brokers_operator_started(&self.settings, words, self.folder.path());
        started.unwrap_or_else(|err| panic!("{err:#}"))
    }

    /// Runs one of the operator's commands that must fail, and gives all it says.
    pub fn operator_fails(&self, words: &[&str]) -> String {
        programs::brokers_operator_fails(&self.settings, words).unwrap_or_else(|err| panic!("{err:#}"))
    }
}

/// The short name of the first workspace in a broker's database.
///
/// # Errors
/// When the database cannot be read, or nobody has made the first account.
pub async fn workspace_of(database: &Where) -> Result<String> {
    let mut database = open(database).await?;
    let slug = sqlx::query_scalar("SELECT slug FROM workspace ORDER BY created_at");
    slug.fetch_one(&mut database).await.context("the first workspace")
}

async fn open(database: &Where) -> Result<AnyConnection> {
    sqlx::any::install_default_drivers();
    let address = match database {
        Where::Sqlite(path) => format!("sqlite:{}", path.display()),
        Where::Postgres(url) => url.expose().to_owned(),
    };
    AnyConnection::connect(&address).await.context("look into the database")
}
