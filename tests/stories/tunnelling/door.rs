//! A front door with nothing behind it but the hub of direct lines, and one agent's session in front of an
//! origin: the tunnel's two sides without the rest of the product.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent::tunnel::direct::{Dial, DialError, session};
use broker::http::patient::Patient;
use broker::http::strict::Strict;
use broker::tunnels::direct::{Away, Body, Direct, Ended, Visitor};
use bytes::Bytes;
use http::header::{CONNECTION, HOST, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kit::origin::Origin;
use shared::id::HomeId;
use shared::tunnel::{DIRECT_PATH, DIRECT_PROTOCOL};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use url::Url;

/// The longest anything may take here.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The door; closes when dropped.
pub struct Door {
    pub addr: SocketAddr,
    pub direct: Direct,
    /// How lines have ended.
    pub endings: mpsc::UnboundedReceiver<Ended>,
    _stop: DropGuard,
}

impl Door {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let direct = Direct::new(stop.clone());
        let (told, endings) = mpsc::unbounded_channel();
        let porter = Porter { direct: direct.clone(), told, stop: stop.clone() };
        tokio::spawn(stop.clone().run_until_cancelled_owned(porter.accept(listener)));
        Self { addr, direct, endings, _stop: stop.drop_guard() }
    }

    /// The host under which a visitor finds a home.
    pub fn host(&self, home: HomeId) -> String {
        format!("home-{home}.localhost:{}", self.addr.port())
    }

    /// Lets an agent of `home` dial in front of `origin` and waits until the hub knows.
    pub async fn agent(&self, home: HomeId, origin: &Origin) -> Agent {
        let mut changes = self.direct.changes();
        let agent = Agent::dial(self.addr, home, origin.url());
        loop {
            let change = timeout(PATIENCE, changes.recv()).await.expect("the agent's line").unwrap();
            if change.home == home && change.up {
                return agent;
            }
        }
    }

    /// A visitor's connection.
    pub async fn visit(&self) -> Browser {
        let tcp = TcpStream::connect(self.addr).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(tcp)).await.unwrap();
        Browser { sender, connection: tokio::spawn(async move { _ = connection.with_upgrades().await }) }
    }

    /// One GET on a connection of its own.
    pub async fn get(&self, home: HomeId, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).header(HOST, self.host(home)).body(empty()).unwrap();
        self.visit().await.ask(request).await
    }
}

/// An agent's running session; ends when dropped.
pub struct Agent {
    pub running: JoinHandle<Result<(), DialError>>,
    stop: CancellationToken,
}

impl Agent {
    pub fn dial(broker: SocketAddr, home: HomeId, origin: Url) -> Self {
        Self::dial_with(broker, &format!("lkt_{home}"), origin)
    }

    pub fn dial_with(broker: SocketAddr, token: &str, origin: Url) -> Self {
        let stop = CancellationToken::new();
        let dial = Dial {
            broker: format!("http://api.localhost:{}", broker.port()).parse().unwrap(),
            token: token.to_owned().into(),
            tls: tls(),
            origin,
            stop: stop.clone(),
        };
        Self { running: tokio::spawn(async move { session(&dial).await }), stop }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A visitor's HTTP/1.1 connection; gone when dropped.
pub struct Browser {
    pub sender: http1::SendRequest<Body>,
    connection: JoinHandle<()>,
}

impl Browser {
    /// Asks and reads the whole answer.
    pub async fn ask(&mut self, request: Request<Body>) -> (StatusCode, String) {
        let answer = timeout(PATIENCE, self.sender.send_request(request)).await.expect("an answer").unwrap();
        let status = answer.status();
        let body = timeout(PATIENCE, answer.into_body().collect()).await.expect("the whole answer").unwrap();
        (status, String::from_utf8_lossy(&body.to_bytes()).into_owned())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// An agent's TLS settings, for plain connections: it trusts nobody.
pub fn tls() -> Arc<rustls::ClientConfig> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Arc::new(tls)
}

pub fn empty() -> Body {
    Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync()
}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

#[derive(Clone)]
struct Porter {
    direct: Direct,
    told: mpsc::UnboundedSender<Ended>,
    stop: CancellationToken,
}

impl Porter {
    async fn accept(self, listener: TcpListener) {
        let tasks = TaskTracker::new();
        while let Ok((tcp, peer)) = listener.accept().await {
            tcp.set_nodelay(true).unwrap();
            let porter = self.clone();
            tasks.spawn(self.stop.clone().run_until_cancelled_owned(async move {
                let service = hyper::service::service_fn(move |request| porter.clone().answer(peer, request));
                let server = hyper::server::conn::http1::Builder::new();
                _ = server
                    .serve_connection(TokioIo::new(Strict::new(Patient::new(tcp, PATIENCE))), service)
                    .with_upgrades()
                    .await;
            }));
        }
    }

    async fn answer(
        self,
        peer: SocketAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        if request.uri().path() == DIRECT_PATH {
            return Ok(self.let_in(request));
        }
        let host =
            request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
        let number = host.strip_prefix("home-").and_then(|rest| rest.split('.').next()?.parse().ok());
        let Some(home) = number else { return Ok(status(StatusCode::NOT_FOUND, "no such home")) };
        let visitor = Visitor { peer: peer.ip(), scheme: "http", host };
        Ok(self.direct.forward(home, &visitor, request).await.unwrap_or_else(|away| match away {
            Away::BadRequest(why) => status(StatusCode::BAD_REQUEST, why),
            Away::NotConnected => status(StatusCode::SERVICE_UNAVAILABLE, "not connected"),
            Away::Broke(_) => status(StatusCode::BAD_GATEWAY, "broke"),
            Away::OriginDown => status(StatusCode::BAD_GATEWAY, "origin down"),
        }))
    }

    fn let_in(self, mut request: Request<Incoming>) -> Response<Body> {
        let bearer = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        let home = bearer.and_then(|bearer| bearer.strip_prefix("Bearer lkt_")?.parse::<HomeId>().ok());
        let Some(home) = home else { return status(StatusCode::UNAUTHORIZED, "no") };
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(self.stop.clone().run_until_cancelled_owned(async move {
            if let Ok(io) = upgraded.await {
                _ = self.told.send(self.direct.serve(home, TokioIo::new(io)).await);
            }
        }));
        let mut answer = status(StatusCode::SWITCHING_PROTOCOLS, "");
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        answer.headers_mut().insert(UPGRADE, HeaderValue::from_static(DIRECT_PROTOCOL));
        answer
    }
}

fn status(status: StatusCode, why: &'static str) -> Response<Body> {
    let mut answer = Response::new(full(why));
    *answer.status_mut() = status;
    answer
}
