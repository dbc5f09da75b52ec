//! A small web server that stands where Home Assistant would: it tells what reached it, and does what a test
//! asks for.
//!
//! | path | does |
//! |---|---|
//! | `/echo` | answers with method, path and headers as JSON |
//! | `/download/<bytes>` | streams so many bytes (see [`Digest::of_download`]) |
//! | `/upload` | reads the body, answers `{"bytes", "digest"}` |
//! | `/events` | server-sent events: whatever [`Origin::tell`] says |
//! | `/slow` | answers when [`Origin::tell`] says anything |
//! | `/status/<code>` | answers with this status |
//! | `/ws` | a WebSocket echo; takes the first subprotocol offered; the text `close` closes with 4001 |

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, stream};
use http::header::{
    CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use url::Url;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// One piece of a download.
const PIECE: usize = 64 << 10;

/// What has happened at the origin so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Connections accepted.
    pub connections: u64,
    /// Requests begun.
    pub requests: u64,
    /// Requests or sockets given up by the other side before they were over.
    pub abandoned: u64,
    /// Bytes of downloads taken from us.
    pub taken: u64,
}

/// The origin; ends when dropped.
pub struct Origin {
    /// Where it listens, on loopback.
    pub addr: SocketAddr,
    inner: Arc<Inner>,
    _stop: DropGuard,
}

struct Inner {
    seen: watch::Sender<Seen>,
    news: broadcast::Sender<String>,
}

impl Origin {
    /// Starts one on a free port of loopback.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let inner = Arc::new(Inner { seen: watch::Sender::default(), news: broadcast::channel(64).0 });
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(listener, inner.clone(), stop.clone())));
        Self { addr, inner, _stop: stop.drop_guard() }
    }

    /// Its base address.
    pub fn url(&self) -> Url {
        format!("http://{}", self.addr).parse().expect("an address makes a URL")
    }

    /// Sends a line to everyone at `/events`, and lets `/slow` answer.
    pub fn tell(&self, news: &str) {
        _ = self.inner.news.send(news.to_owned());
    }

    /// What has happened so far.
    pub fn seen(&self) -> Seen {
        self.inner.seen.borrow().clone()
    }

    /// Waits until what has happened satisfies `enough`; panics with `what` after ten seconds.
    pub async fn until(&self, what: &str, enough: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.inner.seen.subscribe();
        let waited = timeout(Duration::from_secs(10), seen.wait_for(enough)).await;
        match waited {
            Ok(Ok(seen)) => seen.clone(),
            _ => panic!("still missing: {what}; seen so far: {:?}", self.seen()),
        }
    }
}

/// A sum over a stream of bytes, the same however it was cut into pieces.
#[derive(Default)]
pub struct Digest {
    hasher: DefaultHasher,
    bytes: u64,
}

impl Digest {
    /// Adds a piece.
    pub fn add(&mut self, piece: &[u8]) {
        self.hasher.write(piece);
        self.bytes += piece.len() as u64;
    }

    /// Length in bytes, and the sum in hexadecimal.
    pub fn done(&self) -> (u64, String) {
        (self.bytes, format!("{:016x}", self.hasher.finish()))
    }

    /// What a download of so many bytes sums up to.
    pub fn of_download(bytes: usize) -> (u64, String) {
        let mut digest = Self::default();
        for at in (0..bytes).step_by(PIECE) {
            digest.add(&piece(at, bytes));
        }
        digest.done()
    }
}

/// The piece of a download at offset `at`: no two are alike.
pub fn piece(at: usize, bytes: usize) -> Bytes {
    let mut piece = vec![b'.'; PIECE.min(bytes - at)];
    let mark = at.to_be_bytes();
    let len = mark.len().min(piece.len());
    piece[..len].copy_from_slice(&mark[..len]);
    piece.into()
}

async fn accept(listener: TcpListener, inner: Arc<Inner>, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    while let Ok((tcp, _)) = listener.accept().await {
        inner.seen.send_modify(|seen| seen.connections += 1);
        tasks.spawn(stop.clone().run_until_cancelled_owned(serve(tcp, inner.clone(), stop.clone())));
    }
}

async fn serve(tcp: TcpStream, inner: Arc<Inner>, stop: CancellationToken) {
    _ = tcp.set_nodelay(true);
    let service = hyper::service::service_fn(move |request| {
        let (inner, stop) = (inner.clone(), stop.clone());
        async move { Ok::<_, Infallible>(answer(request, inner, stop).await) }
    });
    let server = hyper::server::conn::http1::Builder::new();
    _ = server.serve_connection(TokioIo::new(tcp), service).with_upgrades().await;
}

async fn answer(request: Request<Incoming>, inner: Arc<Inner>, stop: CancellationToken) -> Response<Body> {
    inner.seen.send_modify(|seen| seen.requests += 1);
    let path = request.uri().path().to_owned();
    match path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), "")) {
        ("echo", _) => echo(&request),
        ("download", bytes) => download(bytes.parse().unwrap_or(0), inner),
        ("upload", _) => upload(request, inner).await,
        ("events", _) => events(inner),
        ("slow", _) => slow(inner).await,
        ("status", code) => with_status(code.parse().unwrap_or(StatusCode::NOT_FOUND)),
        ("ws", _) => websocket(request, inner, stop),
        _ => with_status(StatusCode::NOT_FOUND),
    }
}

/// Counts an exchange as abandoned unless it comes to its end.
struct Unfinished(Option<Arc<Inner>>);

impl Unfinished {
    fn finish(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(inner) = &self.0 {
            inner.seen.send_modify(|seen| seen.abandoned += 1);
        }
    }
}

fn text(text: String) -> Response<Body> {
    Response::new(Full::from(text).boxed_unsync())
}

fn with_status(status: StatusCode) -> Response<Body> {
    let mut answer = text(status.to_string());
    *answer.status_mut() = status;
    answer
}

fn echo<B>(request: &Request<B>) -> Response<Body> {
    let headers: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let told = serde_json::json!({
        "method": request.method().as_str(), "target": request.uri().to_string(), "headers": headers,
    });
    let mut answer = text(told.to_string());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.append("set-cookie", HeaderValue::from_static("a=1"));
    headers.append("set-cookie", HeaderValue::from_static("b=2"));
    headers.insert("connection", HeaderValue::from_static("x-for-the-proxy"));
    headers.insert("x-for-the-proxy", HeaderValue::from_static("not for the visitor"));
    headers.insert("latchkey-origin", HeaderValue::from_static("unreachable"));
    answer
}

fn download(bytes: usize, inner: Arc<Inner>) -> Response<Body> {
    let unfinished = Unfinished(Some(inner.clone()));
    let pieces = stream::unfold((0, unfinished), move |(at, unfinished)| {
        let inner = inner.clone();
        async move {
            if at >= bytes {
                unfinished.finish();
                return None;
            }
            let piece = piece(at, bytes);
            inner.seen.send_modify(|seen| seen.taken += piece.len() as u64);
            Some((Ok(Frame::data(piece.clone())), (at + piece.len(), unfinished)))
        }
    });
    Response::new(BodyExt::boxed_unsync(StreamBody::new(pieces)))
}

async fn upload(request: Request<Incoming>, inner: Arc<Inner>) -> Response<Body> {
    let unfinished = Unfinished(Some(inner));
    let (mut digest, mut body) = (Digest::default(), request.into_body());
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(piece)) => digest.add(&piece),
            Ok(Err(_trailers)) => {}
            Err(_) => return with_status(StatusCode::BAD_REQUEST),
        }
    }
    unfinished.finish();
    let (bytes, digest) = digest.done();
    text(serde_json::json!({ "bytes": bytes, "digest": digest }).to_string())
}

fn events(inner: Arc<Inner>) -> Response<Body> {
    let news = inner.news.subscribe();
    let events = stream::unfold((news, Unfinished(Some(inner))), |(mut news, unfinished)| async move {
        let line = news.recv().await.ok()?;
        Some((Ok(Frame::data(format!("data: {line}\n\n").into())), (news, unfinished)))
    });
    let mut answer = Response::new(BodyExt::boxed_unsync(StreamBody::new(events)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer
}

async fn slow(inner: Arc<Inner>) -> Response<Body> {
    let mut news = inner.news.subscribe();
    let unfinished = Unfinished(Some(inner));
    _ = news.recv().await;
    unfinished.finish();
    text("at last".to_owned())
}

fn websocket(mut request: Request<Incoming>, inner: Arc<Inner>, stop: CancellationToken) -> Response<Body> {
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY).cloned() else {
        return with_status(StatusCode::UPGRADE_REQUIRED);
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        let unfinished = Unfinished(Some(inner));
        if let Ok(io) = upgraded.await {
            let socket = WebSocketStream::from_raw_socket(TokioIo::new(io), Role::Server, None).await;
            if converse(socket).await.is_some() {
                unfinished.finish();
            }
        }
    }));
    let mut answer = Response::new(Empty::new().boxed_unsync());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let accept = derive_accept_key(key.as_bytes()).parse().expect("base64 is a header value");
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    let offered = request.headers().get(SEC_WEBSOCKET_PROTOCOL).and_then(|offered| offered.to_str().ok());
    if let Some(first) = offered.and_then(|offered| offered.split(',').next()) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, first.trim().parse().expect("a token is a header value"));
    }
    answer
}

/// Echoes until a close frame has gone one way or the other; `None` when the connection just broke.
async fn converse(mut socket: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>) -> Option<()> {
    while let Some(message) = socket.next().await {
        match message.ok()? {
            Message::Text(text) if text.as_str() == "close" => {
                let reason = CloseFrame { code: CloseCode::from(4001), reason: "as you wish".into() };
                socket.close(Some(reason)).await.ok()?;
            }
            Message::Close(_) => return Some(()),
            message @ (Message::Text(_) | Message::Binary(_)) => socket.send(message).await.ok()?,
            _ => {}
        }
    }
    None
}
