//! What only the operator does and sees: registering programs by command, looking into the database.

use anyhow::{Context as _, Result};
use broker::store::Where;
use serde_json::Value;
use sqlx::{AnyConnection, Connection as _};

use super::World;
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

    /// Runs one of the operator's commands.
    pub fn operator(&self, words: &[&str]) -> String {
        programs::brokers_operator(&self.settings, words).unwrap_or_else(|err| panic!("{err:#}"))
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
