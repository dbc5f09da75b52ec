//! A borrower: Home Assistant's own OAuth helper, as it is on PyPI, in a Home Assistant with a single integration.
//!
//! `fixtures/home_assistant/borrower/drive.py` runs it, a JSON object a line in and out. The sign-in itself is done
//! by whoever holds a browser.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use shared::oauth::path;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use url::Url;

use crate::home_assistant::{default_cache, install};

const DRIVER: &str = include_str!("../fixtures/home_assistant/borrower/drive.py");
const INTEGRATION: [(&str, &str); 3] = [
    (
        "manifest.json",
        include_str!("../fixtures/home_assistant/borrower/custom_components/borrower/manifest.json"),
    ),
    (
        "__init__.py",
        include_str!("../fixtures/home_assistant/borrower/custom_components/borrower/__init__.py"),
    ),
    (
        "config_flow.py",
        include_str!("../fixtures/home_assistant/borrower/custom_components/borrower/config_flow.py"),
    ),
];
/// Home Assistant itself waits half a minute for a token.
const ANSWER: Duration = Duration::from_secs(60);

/// A running one. Dropping it ends it: its input closes.
#[derive(Debug)]
pub struct Borrower {
    _child: Child,
    say: ChildStdin,
    hear: Lines<BufReader<ChildStdout>>,
    folder: TempDir,
}

/// How its integration stands, and what Home Assistant wants of its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Home Assistant's word: `loaded`, `setup_retry` (later), `setup_error` (somebody has to see to it).
    pub state: String,
    /// Sign-ins it asks its owner for.
    pub asks_again: u64,
}

impl Borrower {
    /// Starts one with a client's id and secret at a broker; installs Home Assistant the first time. The browser
    /// goes to `origin`; Home Assistant itself to `address`, as its resolver need not know `localhost`.
    ///
    /// # Errors
    /// When it cannot be installed or does not start.
    pub async fn start(origin: &str, address: SocketAddr, id: &str, secret: &str) -> Result<Self> {
        let installed = install(&default_cache(), |line| println!("home assistant: {line}")).await?;
        let folder = tempfile::Builder::new().prefix("latchkey-borrower-").tempdir()?;
        let integration = folder.path().join("custom_components/borrower");
        std::fs::create_dir_all(&integration)?;
        for (name, text) in INTEGRATION {
            std::fs::write(integration.join(name), text)?;
        }
        let driver = folder.path().join("drive.py");
        std::fs::write(&driver, DRIVER)?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let mut command = Command::new(installed.hass.with_file_name("python"));
        command.arg(driver).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().context("start Home Assistant's Python")?;
        let (say, hear) =
            (child.stdin.take().context("its input")?, child.stdout.take().context("its output")?);
        let hear = BufReader::new(hear).lines();
        let mut borrower = Self { _child: child, say, hear, folder };
        let given = json!({
            "folder": borrower.folder.path(),
            "client_id": id,
            "client_secret": secret,
            "authorize": format!("{origin}{}", path::AUTHORIZE),
            "token": format!("http://{address}{}", path::TOKEN),
        });
        borrower.ask(given).await?;
        Ok(borrower)
    }

    /// The address to sign in at: the first time, or again when Home Assistant wants it.
    ///
    /// # Errors
    /// When it has died; the end of its log is in the text.
    pub async fn sign_in(&mut self) -> Result<String> {
        let answer = self.ask(json!({"do": "sign_in"})).await?;
        Ok(answer["open"].as_str().context("an address to open")?.to_owned())
    }

    /// Brings what the broker sent the browser back with.
    ///
    /// # Errors
    /// Like [`Borrower::sign_in`].
    pub async fn come_back(&mut self, address: &Url) -> Result<Standing> {
        let query: BTreeMap<_, _> = address.query_pairs().into_owned().collect();
        let mut asked = json!(query);
        asked["do"] = json!("come_back");
        standing(&self.ask(asked).await?)
    }

    /// Lets the access token lapse, and so many parts of the integration call an address at once; the statuses.
    ///
    /// # Errors
    /// Like [`Borrower::sign_in`].
    pub async fn call(&mut self, address: &str, callers: usize) -> Result<Vec<u64>> {
        let answer = self.ask(json!({"do": "call", "url": address, "callers": callers})).await?;
        let statuses = answer["statuses"].as_array().context("statuses")?;
        Ok(statuses.iter().filter_map(Value::as_u64).collect())
    }

    /// Starts the integration again, with an access token that has lapsed.
    ///
    /// # Errors
    /// Like [`Borrower::sign_in`].
    pub async fn reload(&mut self) -> Result<Standing> {
        standing(&self.ask(json!({"do": "reload"})).await?)
    }

    async fn ask(&mut self, asked: Value) -> Result<Value> {
        let asking = async {
            self.say.write_all(format!("{asked}\n").as_bytes()).await?;
            self.hear.next_line().await
        };
        match timeout(ANSWER, asking).await {
            Ok(Ok(Some(line))) => serde_json::from_str(&line).with_context(|| format!("it says {line:?}")),
            failed => bail!("the borrower does not answer ({failed:?}); its log:\n{}", self.log()),
        }
    }

    /// What it has written of its troubles.
    pub fn log(&self) -> String {
        read(self.folder.path())
    }
}

fn read(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}

fn standing(answer: &Value) -> Result<Standing> {
    let state = answer["state"].as_str().with_context(|| format!("no state in {answer}"))?;
    Ok(Standing { state: state.to_owned(), asks_again: answer["again"].as_u64().unwrap_or_default() })
}
