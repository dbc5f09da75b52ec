//! Stand-ins for unit tests: a server that answers as a closure says, and hands over its WebSockets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Role, frame::coding::CloseCode};
use url::{Url, form_urlencoded};

const PATIENCE: Duration = Duration::from_secs(5);

/// A request as the stand-in saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub path: String,
    pub authorization: String,
    pub form: HashMap<String, String>,
}

/// A server on a loopback port of its own.
pub struct Server {
    pub url: Url,
    seen: Arc<Mutex<Vec<Seen>>>,
    sockets: mpsc::UnboundedReceiver<Socket>,
}

/// The server's end of a WebSocket.
pub struct Socket(WebSocketStream<TokioIo<Upgraded>>);

/// Serves until the test ends. An answer of 101 makes a WebSocket.
pub async fn serve(answer: impl Fn(&Seen) -> (u16, Value) + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (found, sockets) = mpsc::unbounded_channel();
    let (answer, here) = (Arc::new(answer), Arc::clone(&seen));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (answer, seen, found) = (Arc::clone(&answer), Arc::clone(&here), found.clone());
            let service = service_fn(move |request| {
                let (answer, seen, found) = (Arc::clone(&answer), Arc::clone(&seen), found.clone());
                async move { reply(request, &*answer, &seen, found).await }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(tcp), service).with_upgrades());
        }
    });
    Server { url, seen, sockets }
}

async fn reply(
    mut request: Request<Incoming>,
    answer: &(dyn Fn(&Seen) -> (u16, Value) + Send + Sync),
    seen: &Mutex<Vec<Seen>>,
    found: mpsc::UnboundedSender<Socket>,
) -> hyper::Result<Response<Full<Bytes>>> {
    let header =
        |name| request.headers().get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    let (authorization, key) = (header(header::AUTHORIZATION), header(header::SEC_WEBSOCKET_KEY));
    let path = request.uri().path().to_owned();
    let body = request.body_mut().collect().await?.to_bytes();
    let form = form_urlencoded::parse(&body).into_owned().collect();
    let one = Seen { path, authorization, form };
    let (status, json) = answer(&one);
    seen.lock().unwrap().push(one);
    let mut response = Response::new(Full::new(Bytes::from(json.to_string())));
    *response.status_mut() = status.try_into().unwrap();
    if status == 101 {
        *response.body_mut() = Full::default();
        for (name, value) in [
            (header::CONNECTION, "upgrade".to_owned()),
            (header::UPGRADE, "websocket".to_owned()),
            (header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes())),
        ] {
            response.headers_mut().insert(name, value.try_into().unwrap());
        }
        let upgrade = hyper::upgrade::on(request);
        tokio::spawn(async move {
            let io = TokioIo::new(upgrade.await.unwrap());
            _ = found.send(Socket(WebSocketStream::from_raw_socket(io, Role::Server, None).await));
        });
    }
    Ok(response)
}

impl Server {
    /// The next WebSocket that is opened.
    pub async fn socket(&mut self) -> Socket {
        timeout(PATIENCE, self.sockets.recv()).await.expect("nobody opened a WebSocket").unwrap()
    }

    /// What came in on a path so far.
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.path == path).cloned().collect()
    }
}

impl Socket {
    /// The next message as JSON; `null` for the end.
    pub async fn next(&mut self) -> Value {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("no message came") {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Value::Null,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Sends a message.
    pub async fn send(&mut self, word: impl Serialize) {
        self.0.send(Message::text(serde_json::to_string(&word).unwrap())).await.unwrap();
    }

    /// Closes with a code and hears the other side out: unread bytes would reset the connection, code and all.
    pub async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: Default::default() };
        self.0.close(Some(frame)).await.unwrap();
        while self.next().await != Value::Null {}
    }

    /// Plays Home Assistant up to the point where it waits for commands; registries are those of one lamp in
    /// a kitchen. Other commands are kept for [`Home::command`].
    pub async fn home_assistant(mut self) -> Home {
        self.send(json!({"type": "auth_required", "ha_version": "2026.2.3"})).await;
        assert_eq!(self.next().await, json!({"type": "auth", "access_token": "let me in"}));
        self.send(json!({"type": "auth_ok", "ha_version": "2026.2.3"})).await;
        Home { socket: self, last_id: 0, area: "Kitchen", registry_events: Value::Null }
    }
}

/// A stand-in for Home Assistant after the sign-in.
pub struct Home {
    pub socket: Socket,
    /// The name of the area the lamp is in.
    pub area: &'static str,
    /// The last subscription to changes of a registry.
    pub registry_events: Value,
    last_id: u64,
}

impl Home {
    /// The next command that is not the small talk of every connection, which is answered here.
    pub async fn command(&mut self) -> Value {
        loop {
            let command = self.socket.next().await;
            let Some(id) = command["id"].as_u64() else { return command };
            assert!(id > self.last_id, "ids must grow: {command}");
            self.last_id = id;
            let result = match command["type"].as_str().unwrap() {
                "supported_features" => Value::Null,
                "subscribe_events" => {
                    self.registry_events = command.clone();
                    Value::Null
                }
                "get_config" => json!({"state": "RUNNING"}),
                "config/area_registry/list" => {
                    json!([{"area_id": "kitchen", "name": self.area, "floor_id": "ground"}])
                }
                "config/floor_registry/list" => json!([{"floor_id": "ground", "name": "Ground floor"}]),
                "config/device_registry/list" => json!([{"id": "d1", "area_id": "kitchen"}]),
                "config/entity_registry/list_for_display" => {
                    json!({"entities": [{"ei": "light.lamp", "di": "d1"}]})
                }
                _ => return command,
            };
            self.result(&command, result).await;
        }
    }

    /// Answers a command.
    pub async fn result(&mut self, command: &Value, result: Value) {
        self.socket
            .send(json!({"id": command["id"], "type": "result", "success": true, "result": result}))
            .await;
    }

    /// Sends an event of a subscription.
    pub async fn event(&mut self, subscription: &Value, event: Value) {
        self.socket.send(json!({"id": subscription["id"], "type": "event", "event": event})).await;
    }

    /// Waits for a subscription and answers it with states.
    pub async fn subscribed(&mut self, states: Value) -> Value {
        let command = self.command().await;
        assert_eq!(command["type"], "subscribe_entities", "{command}");
        self.result(&command, Value::Null).await;
        self.event(&command, json!({"a": states})).await;
        command
    }
}
