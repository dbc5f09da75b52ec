//! A guest: somebody with a link, by the page's own ways. The token moves into a cookie at the first visit; the
//! state comes over the live socket, and a socket that is lost is opened again as `guest.js` does it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::visitor::Visitor;

/// The longest wait of the page between two tries, in `guest.js`.
const LONGEST: Duration = Duration::from_secs(5);
const SHORTEST: Duration = Duration::from_millis(500);

/// Somebody who was given a link and has opened its page.
#[derive(Debug)]
pub struct Guest {
    visitor: Visitor,
    http: reqwest::Client,
    page: Url,
    token: String,
}

/// A live socket.
#[derive(Debug)]
pub struct Live(WebSocketStream<TcpStream>);

/// What a live socket brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    /// The entity, as the page is told.
    State(Value),
    /// Whether the home is online.
    Home(bool),
    /// The end, with its code; none when the line broke.
    Closed(Option<u16>),
}

impl Guest {
    /// Opens the link's page.
    ///
    /// # Errors
    /// When the link is no address or does not admit.
    pub async fn open(link: &str) -> Result<Self> {
        let guest = Self::holding(link)?;
        guest.visitor.get(link).await?.well()?;
        Ok(guest)
    }

    /// Somebody who has the link in hand and has not opened it.
    ///
    /// # Errors
    /// When the link is no address with a token.
    pub fn holding(link: &str) -> Result<Self> {
        let mut page = Url::parse(link).with_context(|| format!("{link} is no link"))?;
        let token =
            page.query_pairs().find(|(name, _)| name == "access_token").map(|(_, token)| token.into());
        let token = token.with_context(|| format!("{link} carries no token"))?;
        page.set_query(None);
        Ok(Self { visitor: Visitor::new(link)?, http: crate::http_client(), page, token })
    }

    /// The browser, with the link's cookie in it.
    pub fn visitor(&self) -> &Visitor {
        &self.visitor
    }

    /// The page's address, without the token.
    pub fn page(&self) -> &Url {
        &self.page
    }

    /// The link's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The address of `state`, `control` or `live` below the page.
    pub fn below(&self, what: &str) -> Url {
        let mut url = self.page.clone();
        url.set_path(&format!("{}/{what}", self.page.path()));
        url
    }

    /// Asks for the state as the page does; status and JSON.
    ///
    /// # Errors
    /// When nothing answers, or no JSON.
    pub async fn state(&self) -> Result<(StatusCode, Value)> {
        self.post("state", &json!({})).await
    }

    /// Presses the switch as the page does; status and JSON.
    ///
    /// # Errors
    /// When nothing answers, or no JSON.
    pub async fn control(&self, action: &str) -> Result<(StatusCode, Value)> {
        self.post("control", &json!({"action": action})).await
    }

    async fn post(&self, what: &str, body: &Value) -> Result<(StatusCode, Value)> {
        let url = self.below(what);
        let request = self.http.post(url.clone()).header("cookie", self.visitor.cookies(&url));
        let reply = request.header("sec-fetch-site", "same-origin").json(body).send().await?;
        Ok((reply.status(), reply.json().await?))
    }

    /// Opens the live socket as the page does: with the cookie, from the page's origin.
    ///
    /// # Errors
    /// When nothing answers, or with a refusal.
    pub async fn live(&self) -> Result<Live> {
        let url = self.below("live");
        let port = url.port_or_known_default().context("an address has a port")?;
        let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await?;
        stream.set_nodelay(true)?;
        let mut request = url.as_str().replacen("http", "ws", 1).into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("cookie", self.visitor.cookies(&url).parse()?);
        headers.insert("origin", self.page.origin().ascii_serialization().parse()?);
        Ok(Live(tokio_tungstenite::client_async(request, stream).await?.0))
    }
}

impl Live {
    /// The next word; waits for as long as it takes. After [`Word::Closed`] there is no other.
    pub async fn word(&mut self) -> Word {
        loop {
            let text = match self.0.next().await {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(frame))) => {
                    return Word::Closed(frame.map(|CloseFrame { code, .. }| code.into()));
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return Word::Closed(None),
            };
            let mut word: Value = serde_json::from_str(&text).expect("a live socket speaks JSON");
            match word["type"].as_str() {
                Some("state") => return Word::State(word["entity"].take()),
                Some("home") => return Word::Home(word["online"] == true),
                _ => {}
            }
        }
    }

    /// The next state text that this entity has.
    ///
    /// # Errors
    /// When the socket ends before.
    pub async fn until_state(&mut self, wanted: &str) -> Result<Value> {
        loop {
            match self.word().await {
                Word::State(entity) if entity["state"] == wanted => return Ok(entity),
                Word::Closed(code) => bail!("the socket closed ({code:?})"),
                _ => {}
            }
        }
    }

    /// Waits for the end and gives its code.
    pub async fn until_closed(&mut self) -> Option<u16> {
        loop {
            if let Word::Closed(code) = self.word().await {
                return code;
            }
        }
    }
}

/// What a guest's page shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// The entity's state text; empty before the first.
    pub state: String,
    /// Whether the home is said to be online.
    pub online: bool,
    /// Whether the live socket stands.
    pub connected: bool,
    /// Whether the page said that the link has ended; then it is not opened again.
    pub over: bool,
}

/// A page that is left open.
#[derive(Debug)]
pub struct Watching {
    shown: watch::Receiver<Shown>,
    _stop: DropGuard,
}

impl Watching {
    /// Leaves the guest's page open until this is dropped.
    pub fn start(guest: Guest) -> Self {
        let (tell, shown) = watch::channel(Shown::default());
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move { keep_open(&guest, &tell).await }));
        Self { shown, _stop: stop.drop_guard() }
    }

    /// What the page shows now.
    pub fn shown(&self) -> Shown {
        self.shown.borrow().clone()
    }
}

/// The page's loop, with its waits.
async fn keep_open(guest: &Guest, tell: &watch::Sender<Shown>) {
    let mut failures = 0;
    loop {
        if let Ok(mut live) = guest.live().await {
            failures = 0;
            tell.send_modify(|shown| shown.connected = true);
            loop {
                match live.word().await {
                    Word::State(entity) => tell.send_modify(|shown| {
                        shown.state = entity["state"].as_str().unwrap_or_default().to_owned();
                    }),
                    Word::Home(online) => tell.send_modify(|shown| shown.online = online),
                    Word::Closed(code) => {
                        let over = code == Some(shared::relay::close::REVOKED);
                        tell.send_modify(|shown| (shown.connected, shown.over) = (false, over));
                        break;
                    }
                }
            }
        }
        if tell.borrow().over {
            return;
        }
        failures = (failures + 1).min(4);
        // The page waits between half of this and all of it, by chance; here always all of it.
        sleep((SHORTEST * (1 << failures)).min(LONGEST)).await;
    }
}
