//! The socket itself: signing in, numbering commands, and taking frames apart.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::secret::Secret;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use url::Url;

use crate::net::{self, PATIENCE, WebSocket};

/// The longest message taken from Home Assistant: the full list of states of a very large home.
const LONGEST_MESSAGE: usize = 32 << 20;

/// Why a connection is over.
#[derive(Debug)]
pub enum Lost {
    /// `auth_invalid`: the only sign that the token is wrong. Every other end has close code 1000 too.
    Refused,
    /// Anything else; worth another try.
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Lost {
    fn from(err: E) -> Self {
        Self::Other(err.into())
    }
}

/// A connection that has signed in.
#[derive(Debug)]
pub struct Socket {
    socket: WebSocket,
    version: String,
    last_id: u64,
    /// The rest of a frame that held several messages.
    rest: VecDeque<Value>,
}

/// One message, read as far as is needed to know whose it is.
#[derive(Debug)]
pub struct Incoming {
    /// What all messages have.
    pub head: Head,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Text(Utf8Bytes),
    Parsed(Value),
}

/// What all messages have.
#[derive(Debug, Deserialize)]
pub struct Head {
    /// The number of the command it belongs to.
    #[serde(default)]
    pub id: u64,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// For a result: whether the command worked.
    #[serde(default)]
    pub success: bool,
    /// For a result that did not: why. Texts change between versions, so only the code may decide anything.
    #[serde(default)]
    pub error: Option<Fault>,
}

/// Home Assistant's error.
#[derive(Debug, Deserialize)]
pub struct Fault {
    /// Such as `not_found`.
    #[serde(default)]
    pub code: Value,
}

#[derive(Deserialize)]
struct Greeting {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    ha_version: String,
}

#[derive(Deserialize)]
struct Carrying<T> {
    #[serde(alias = "event")]
    result: T,
}

impl Incoming {
    /// Reads the result, or the event, of the message.
    ///
    /// # Errors
    /// It has another shape than is wanted.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        let carrying: Carrying<T> = match &self.body {
            Body::Text(text) => serde_json::from_str(text)?,
            Body::Parsed(value) => Carrying::deserialize(value)?,
        };
        Ok(carrying.result)
    }
}

impl Socket {
    /// Connects and signs in.
    ///
    /// # Errors
    /// `Refused` if the token is; `Other` for everything else.
    pub async fn open(base: &Url, token: &Secret, tls: &Arc<ClientConfig>) -> Result<Self, Lost> {
        let mut url = base.clone();
        url.set_path(&format!("{}/api/websocket", base.path().trim_end_matches('/')));
        let call = net::Call { url: &url, bearer: None, longest: LONGEST_MESSAGE };
        let socket = net::websocket(call, tls).await?;
        let mut this = Self { socket, version: String::new(), last_id: 0, rest: VecDeque::new() };
        match timeout(PATIENCE, this.sign_in(token)).await {
            Ok(signed_in) => signed_in?,
            Err(_) => return Err(anyhow!("no answer to the sign-in").into()),
        }
        // Several messages in one frame: a burst then does not overrun the queue of 4096 that we have there.
        this.send(json!({"type": "supported_features", "features": {"coalesce_messages": 1}})).await?;
        Ok(this)
    }

    async fn sign_in(&mut self, token: &Secret) -> Result<(), Lost> {
        loop {
            let text = self.text().await?;
            let greeting: Greeting = serde_json::from_str(&text).context("Home Assistant's greeting")?;
            match greeting.kind.as_str() {
                "auth_required" => self.post(json!({"type": "auth", "access_token": token.expose()})).await?,
                "auth_invalid" => return Err(Lost::Refused),
                "auth_ok" => {
                    self.version = greeting.ha_version;
                    return Ok(());
                }
                other => return Err(anyhow!("Home Assistant greets with {}", other.escape_debug()).into()),
            }
        }
    }

    /// Home Assistant's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Sends a command and returns its number.
    ///
    /// # Errors
    /// The connection is over, or takes nothing.
    pub async fn send(&mut self, mut command: Value) -> Result<u64, Lost> {
        self.last_id += 1;
        command["id"] = self.last_id.into();
        self.post(command).await?;
        Ok(self.last_id)
    }

    /// The next message. May be dropped while it waits without losing any.
    ///
    /// # Errors
    /// The connection is over, or spoke something else than Home Assistant.
    pub async fn next(&mut self) -> Result<Incoming, Lost> {
        loop {
            if let Some(value) = self.rest.pop_front() {
                let head = Head::deserialize(&value).context("a message of Home Assistant")?;
                return Ok(Incoming { head, body: Body::Parsed(value) });
            }
            let text = self.text().await?;
            if text.starts_with('[') {
                self.rest = serde_json::from_str(&text).context("messages of Home Assistant")?;
                continue;
            }
            let head = serde_json::from_str(&text).context("a message of Home Assistant")?;
            return Ok(Incoming { head, body: Body::Text(text) });
        }
    }

    /// Sends a command and waits for its result; what comes in between is passed over.
    ///
    /// # Errors
    /// The command failed, or the connection is over.
    pub async fn ask<T: DeserializeOwned>(&mut self, command: Value) -> Result<T, Lost> {
        let kind = command["type"].to_string();
        let id = self.send(command).await?;
        let answer = timeout(PATIENCE, async {
            loop {
                let incoming = self.next().await?;
                if incoming.head.id == id && incoming.head.kind == "result" {
                    return Ok::<_, Lost>(incoming);
                }
            }
        });
        let answer = answer.await.map_err(|_| anyhow!("no answer to {kind}"))??;
        if !answer.head.success {
            return Err(anyhow!("{kind} failed: {}", answer.head.code()).into());
        }
        Ok(answer.read().with_context(|| format!("the answer to {kind}"))?)
    }

    async fn post(&mut self, message: Value) -> Result<(), Lost> {
        let sent = timeout(PATIENCE, self.socket.send(Message::text(message.to_string()))).await;
        Ok(sent.map_err(|_| anyhow!("Home Assistant takes nothing"))??)
    }

    async fn text(&mut self) -> Result<Utf8Bytes, Lost> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(_))) | None => {
                    return Err(anyhow!("Home Assistant closed the connection").into());
                }
                Some(Ok(_)) => {}
                Some(Err(err)) => {
                    return Err(anyhow!(err).context("Home Assistant's connection broke").into());
                }
            }
        }
    }
}

impl Head {
    /// The code of a failed command, such as `not_found`.
    pub fn code(&self) -> String {
        self.error.as_ref().map_or_else(|| "no reason given".to_owned(), |fault| fault.code.to_string())
    }
}
