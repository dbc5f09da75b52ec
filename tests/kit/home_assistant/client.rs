//! The smallest client of Home Assistant's REST and WebSocket APIs that tests can do with.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::until::within;

/// One entity's state, as `GET /api/states/{entity}` tells it.
#[derive(Debug, Clone, Deserialize)]
pub struct State {
    /// For example `light.bed_light`.
    pub entity_id: String,
    /// For example `on`.
    pub state: String,
    /// Everything else about it.
    pub attributes: Map<String, Value>,
    /// RFC 3339.
    pub last_changed: String,
}

/// What a device made by [`Client::make`] does when it is switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It switches.
    Willing,
    /// It switches after two seconds.
    Slow,
    /// Nothing happens, and nobody is told.
    Deaf,
    /// Home Assistant answers with an error.
    Refuses,
}

/// Speaks to one Home Assistant with one token.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    /// A client for the Home Assistant at `url` (no slash at the end). `token` may be empty before onboarding.
    pub fn new(url: &str, token: &str) -> Self {
        Self { http: crate::http_client(), url: url.into(), token: token.into() }
    }

    /// Sends JSON (or nothing) to a path and reads the JSON that comes back.
    ///
    /// # Errors
    /// When the request fails or the status is not a success; the status is in the text.
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        read(request.send().await?, path).await
    }

    /// Sends a form to a path without any token and reads the JSON that comes back.
    ///
    /// # Errors
    /// Like [`Client::request`].
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Result<Value> {
        read(self.http.post(format!("{}{path}", self.url)).form(fields).send().await?, path).await
    }

    /// The status with which a path answers.
    ///
    /// # Errors
    /// When nothing answers.
    pub async fn status(&self, path: &str) -> Result<StatusCode> {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        Ok(request.send().await?.status())
    }

    /// The state of an entity, or nothing when there is none such.
    ///
    /// # Errors
    /// When Home Assistant does not answer, or refuses.
    pub async fn state(&self, entity: &str) -> Result<Option<State>> {
        let path = format!("/api/states/{entity}");
        let reply = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token).send().await?;
        if reply.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(serde_json::from_value(read(reply, &path).await?)?))
    }

    /// The states of all entities.
    ///
    /// # Errors
    /// When Home Assistant does not answer, or refuses.
    pub async fn states(&self) -> Result<Vec<State>> {
        Ok(serde_json::from_value(self.request(Method::GET, "/api/states", None).await?)?)
    }

    /// Writes a state as an integration would; makes the entity if there is none such.
    ///
    /// # Errors
    /// When Home Assistant does not answer, or refuses.
    pub async fn set_state(&self, entity: &str, state: &str, attributes: Value) -> Result<()> {
        let body = json!({"state": state, "attributes": attributes});
        self.request(Method::POST, &format!("/api/states/{entity}"), Some(&body)).await.map(drop)
    }

    /// Calls a service, for example `light`, `turn_on`, `{"entity_id":"light.bed_light"}`.
    ///
    /// # Errors
    /// When Home Assistant does not answer, or refuses.
    pub async fn call_service(&self, domain: &str, service: &str, data: Value) -> Result<()> {
        let path = format!("/api/services/{domain}/{service}");
        self.request(Method::POST, &path, Some(&data)).await.map(drop)
    }

    /// Whether the kit's own component is there, which makes devices.
    ///
    /// # Errors
    /// When Home Assistant does not answer, or refuses.
    pub async fn has_workshop(&self) -> Result<bool> {
        let domains = self.request(Method::GET, "/api/services", None).await?;
        Ok(domains.as_array().is_some_and(|domains| domains.iter().any(|one| one["domain"] == "workshop")))
    }

    /// Makes a light, switch or fan of this test's own, switched off; the domain of `device` decides which.
    /// One that is there already is switched off and takes the mood.
    ///
    /// # Errors
    /// When it cannot be made: also when the Home Assistant that was given lacks the kit's component.
    pub async fn make(&self, device: &str, name: &str, mood: Mood) -> Result<()> {
        let mood = match mood {
            Mood::Willing => "willing",
            Mood::Slow => "slow",
            Mood::Deaf => "deaf",
            Mood::Refuses => "refuses",
        };
        let data = json!({"device": device, "name": name, "mood": mood});
        self.call_service("workshop", "make", data).await.with_context(|| format!("make {device}"))
    }

    /// Waits until an entity has a state.
    ///
    /// # Errors
    /// After ten seconds; the state it had last is in the text.
    pub async fn until_state(&self, entity: &str, wanted: &str) -> Result<()> {
        let what = format!("{entity} to be {wanted}");
        let reached = within(Duration::from_secs(10), &what, || async {
            let is = self.state(entity).await?.map(|found| found.state);
            ensure!(is.as_deref() == Some(wanted), "it is {is:?}");
            Ok(())
        });
        Ok(reached.await?)
    }

    /// Opens a WebSocket and signs in.
    ///
    /// # Errors
    /// When it cannot be opened or the token is refused.
    pub async fn socket(&self) -> Result<Socket> {
        let host = self.url.strip_prefix("http://").context("the kit speaks plain HTTP to Home Assistant")?;
        let stream = TcpStream::connect(host).await.with_context(|| format!("connect to {host}"))?;
        let url = format!("ws://{host}/api/websocket");
        let (stream, _) = tokio_tungstenite::client_async(url, stream).await?;
        let mut socket = Socket { stream, last_id: 0, events: VecDeque::new() };
        ensure!(socket.read().await?["type"] == "auth_required", "Home Assistant did not ask for a token");
        socket.send(&json!({"type": "auth", "access_token": self.token})).await?;
        let answer = socket.read().await?;
        ensure!(answer["type"] == "auth_ok", "the token was refused: {answer}");
        Ok(socket)
    }
}

async fn read(reply: reqwest::Response, path: &str) -> Result<Value> {
    let status = reply.status();
    let text = reply.text().await?;
    ensure!(status.is_success(), "{path} answered {status}: {text}");
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// A signed-in WebSocket. Events that arrive while an answer is awaited are kept for [`Socket::event`].
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    last_id: u64,
    events: VecDeque<Value>,
}

impl Socket {
    /// Sends a command and gives the `result` of its answer.
    ///
    /// # Errors
    /// When the answer is a refusal, or the socket is closed.
    pub async fn call(&mut self, kind: &str, fields: Value) -> Result<Value> {
        self.last_id += 1;
        let mut message = json!({"id": self.last_id, "type": kind});
        for (name, value) in fields.as_object().into_iter().flatten() {
            message[name] = value.clone();
        }
        self.send(&message).await?;
        loop {
            let mut answer = self.read().await?;
            if answer["type"] == "event" {
                self.events.push_back(answer);
            } else if answer["id"] == self.last_id {
                ensure!(answer["success"] == true, "{kind}: {}", answer["error"]);
                return Ok(answer["result"].take());
            }
        }
    }

    /// Subscribes to some entities; the first event brings their present states. Gives the subscription's id.
    ///
    /// # Errors
    /// Like [`Socket::call`].
    pub async fn subscribe_entities(&mut self, entities: &[&str]) -> Result<u64> {
        // An empty list would mean everything.
        ensure!(!entities.is_empty(), "subscribe to at least one entity");
        self.call("subscribe_entities", json!({"entity_ids": entities})).await?;
        Ok(self.last_id)
    }

    /// Subscribes to one type of event. Gives the subscription's id.
    ///
    /// # Errors
    /// Like [`Socket::call`].
    pub async fn subscribe_events(&mut self, kind: &str) -> Result<u64> {
        self.call("subscribe_events", json!({"event_type": kind})).await?;
        Ok(self.last_id)
    }

    /// The next event of any subscription: `{"id","type":"event","event":…}`. Waits for as long as it takes.
    ///
    /// # Errors
    /// When the socket is closed.
    pub async fn event(&mut self) -> Result<Value> {
        if let Some(event) = self.events.pop_front() {
            return Ok(event);
        }
        loop {
            let message = self.read().await?;
            if message["type"] == "event" {
                return Ok(message);
            }
        }
    }

    async fn send(&mut self, message: &Value) -> Result<()> {
        Ok(self.stream.send(Message::text(message.to_string())).await?)
    }

    async fn read(&mut self) -> Result<Value> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text)?),
                Some(Ok(Message::Close(_))) | None => bail!("Home Assistant closed the socket"),
                Some(Ok(_)) => {}
                Some(Err(err)) => return Err(err.into()),
            }
        }
    }
}
