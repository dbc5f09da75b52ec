//! The direct tunnel: one connection dialled to the broker, on which we then serve HTTP/2.
//!
//! 1. `GET /agent/tunnel` over HTTP/1.1 with `Upgrade: latchkey-tunnel-1` and the tunnel token; 101.
//! 2. The roles turn round: the broker asks, we answer (hello first); see `shared::tunnel`.
//! 3. Each request goes to Home Assistant over a pooled HTTP/1.1 connection; a WebSocket over its own.

mod answer;
mod origin;
mod pulse;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, CONNECTION, HOST, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ClientConfig;
use shared::secret::Secret;
use shared::tunnel::{DIRECT_PATH, DIRECT_PROTOCOL};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use answer::Answerer;
use origin::{Io, Remote};
use pulse::Pulse;

/// The time for everything from the first packet to the 101.
const DIALLING: Duration = Duration::from_secs(15);

/// A ping after this long without a frame. After two such spans in which nothing at all has arrived the line
/// is dead, whatever the operating system believes.
const PING: Duration = Duration::from_secs(10);

/// Streams at once: what the broker opens at most, and room for its own words.
const STREAMS: u32 = 1024;

/// How much of one upload may lie here unread.
const STREAM_WINDOW: u32 = 512 << 10;

/// The same for all uploads together.
const LINE_WINDOW: u32 = 16 << 20;

/// A quarter of HTTP/2's smallest number of frames for the same bytes, and still short on a slow line.
const FRAME: u32 = 64 << 10;

/// Bytes an answer may have waiting for the connection.
const SEND_BUFFER: usize = 256 << 10;

/// The longest request head, by HTTP/2's way of counting.
const HEAD_LIMIT: u32 = 128 << 10;

/// What it takes to dial.
pub struct Dial {
    /// The broker's base address, `http` or `https`.
    pub broker: Url,
    /// The tunnel token.
    pub token: Secret,
    /// Trust in the broker's (and an https origin's) certificate.
    pub tls: Arc<ClientConfig>,
    /// Home Assistant's base address.
    pub origin: Url,
    /// Ends the session.
    pub stop: CancellationToken,
}

/// Why there is no tunnel, or no longer one.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The broker does not accept the token: ask for a fresh one.
    #[error("the broker refused the tunnel token")]
    Unauthorized,
    /// Another agent of this home has dialled: two agents with one identity, or an old copy of this one.
    #[error("another agent took this home's tunnel over")]
    TakenOver,
    /// The broker answered something else than 101.
    #[error("the broker answered {0}")]
    Refused(StatusCode),
    /// An address that cannot be dialled.
    #[error("{0} is not an address to dial")]
    Address(Url),
    /// Neither an answer nor an error within the time for it.
    #[error("the broker does not answer")]
    Silent,
    /// The connection could not be made, or it broke.
    #[error("reach the broker")]
    Io(#[from] std::io::Error),
    /// The broker does not speak as agreed, or the connection broke in the middle.
    #[error("talk to the broker")]
    Http(#[from] hyper::Error),
}

/// Dials and serves until the line is over.
pub async fn session(dial: &Dial) -> Result<(), DialError> {
    connect(dial).await?.serve().await
}

/// Dials; nobody serves the line yet when this returns.
pub async fn connect(dial: &Dial) -> Result<Established, DialError> {
    let remote =
        Remote::of(&dial.broker, &dial.tls).ok_or_else(|| DialError::Address(dial.broker.clone()))?;
    let origin =
        Remote::of(&dial.origin, &dial.tls).ok_or_else(|| DialError::Address(dial.origin.clone()))?;
    let request = request(dial)?;
    let upgrading = async move {
        let (io, _) = remote.connect().await?;
        ask_for_upgrade(request, io).await
    };
    let io = timeout(DIALLING, upgrading).await.map_err(|_| DialError::Silent)??;
    Ok(Established { io, origin, stop: dial.stop.clone(), greeted: CancellationToken::new() })
}

/// Sends the request and drives its connection until it has turned into a stream of bytes.
async fn ask_for_upgrade(request: Request<Empty<Bytes>>, io: Io) -> Result<Upgraded, DialError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await?;
    let asking = async move {
        let answer = sender.send_request(request).await?;
        hyper::upgrade::on(switched(answer)?).await.map_err(DialError::from)
    };
    // Boxed, because inside this future the compiler cannot prove that it is `Send`.
    let driving: BoxFuture<'static, hyper::Result<()>> = Box::pin(connection.with_upgrades());
    let (_, upgraded) = tokio::join!(driving, asking);
    upgraded
}

fn request(dial: &Dial) -> Result<Request<Empty<Bytes>>, DialError> {
    let wrong = || DialError::Address(dial.broker.clone());
    let host = dial.broker.host_str().ok_or_else(wrong)?;
    let host = dial.broker.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", dial.token.expose()))
        .map_err(|_| DialError::Unauthorized)?;
    bearer.set_sensitive(true);
    let path = format!("{}{DIRECT_PATH}", dial.broker.path().trim_end_matches('/'));
    Request::get(path)
        .header(HOST, host)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, DIRECT_PROTOCOL)
        .header(AUTHORIZATION, bearer)
        .body(Empty::new())
        .map_err(|_| wrong())
}

fn switched(answer: Response<Incoming>) -> Result<Response<Incoming>, DialError> {
    let agreed = answer.headers().get(UPGRADE).is_some_and(|word| word == DIRECT_PROTOCOL);
    match answer.status() {
        StatusCode::SWITCHING_PROTOCOLS if agreed => Ok(answer),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(DialError::Unauthorized),
        status => Err(DialError::Refused(status)),
    }
}

/// A line that was dialled.
pub struct Established {
    io: Upgraded,
    origin: Remote,
    stop: CancellationToken,
    greeted: CancellationToken,
}

impl Established {
    /// Cancelled once the broker has said hello: only then does it send visitors.
    pub fn greeted(&self) -> CancellationToken {
        self.greeted.clone()
    }

    /// Answers what the broker sends down, until it hangs up, goes silent or `stop`.
    pub async fn serve(self) -> Result<(), DialError> {
        serve(TokioIo::new(self.io), (self.origin, self.greeted), self.stop, PING).await
    }
}

async fn serve<IO>(
    io: IO,
    (origin, greeted): (Remote, CancellationToken),
    stop: CancellationToken,
    ping: Duration,
) -> Result<(), DialError>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let crew = Crew { tasks: TaskTracker::new(), cut: stop.child_token() };
    let _cut_on_drop = crew.cut.clone().drop_guard();
    let answerer = Arc::new(Answerer::new(origin, crew.clone(), greeted));
    let (io, pulse) = Pulse::take(io);
    let ended = tokio::select! {
        ended = connection(io, answerer.clone(), crew.clone(), ping) => ended.map_err(DialError::from),
        () = pulse.silent_for(2 * ping) => Err(DialError::Silent),
        () = stop.cancelled_owned() => Ok(()),
    };
    crew.end().await;
    if answerer.was_taken_over() { Err(DialError::TakenOver) } else { ended }
}

/// Takes the server's part.
fn connection<IO>(
    io: IO,
    answerer: Arc<Answerer>,
    crew: Crew,
    ping: Duration,
) -> impl Future<Output = hyper::Result<()>> + Send
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request| answerer.clone().answer(request));
    hyper::server::conn::http2::Builder::new(crew)
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(LINE_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(HEAD_LIMIT)
        .max_frame_size(FRAME)
        // Visitors come and go: the broker may open and reset as it likes, that is not an attack on us.
        .max_pending_accept_reset_streams(STREAMS as usize)
        .max_local_error_reset_streams(None)
        // Only asks for signs of life: on a dead line hyper would wait for its own farewell to be sent, so it
        // is the pulse that decides.
        .keep_alive_interval(ping)
        .keep_alive_timeout(10 * ping)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(io), service)
}

/// The tasks that work for one line; they end with it.
#[derive(Clone)]
struct Crew {
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl Crew {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move { cut.run_until_cancelled(task).await });
    }

    async fn end(&self) {
        self.cut.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl<F> hyper::rt::Executor<F> for Crew
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::{BodyExt, StreamBody};
    use hyper::body::Frame;
    use hyper_util::rt::TokioExecutor;
    use tokio::io::{DuplexStream, duplex};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;
    use tokio::time::{Instant, interval};

    use super::*;

    const SHORT: Duration = Duration::from_millis(200);

    /// Sends one word each 50 ms, for ever.
    async fn ticking_origin(listener: TcpListener) {
        let (tcp, _) = listener.accept().await.unwrap();
        let service = hyper::service::service_fn(|_| async {
            let ticks = stream::unfold(interval(Duration::from_millis(50)), |mut ticks| async {
                ticks.tick().await;
                Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"tick"))), ticks))
            });
            Ok::<_, Infallible>(Response::new(StreamBody::new(ticks)))
        });
        let server = hyper::server::conn::http1::Builder::new();
        _ = server.serve_connection(TokioIo::new(tcp), service).await;
    }

    /// A line in front of a ticking origin.
    async fn line() -> (DuplexStream, JoinHandle<Result<(), DialError>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Remote::plain(listener.local_addr().unwrap());
        tokio::spawn(ticking_origin(listener));
        let (broker, io) = duplex(64 << 10);
        (broker, tokio::spawn(serve(io, (origin, CancellationToken::new()), CancellationToken::new(), SHORT)))
    }

    /// A broker that only reads sends nothing of its own accord; the line must not be taken for dead.
    #[tokio::test]
    async fn a_line_on_which_only_we_speak_is_alive() {
        let (broker, session) = line().await;
        let executor = TokioExecutor::new();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(executor, TokioIo::new(broker)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("http://porch/").body(Empty::<Bytes>::new()).unwrap();
        let mut ticks = sender.send_request(request).await.unwrap().into_body();
        let start = Instant::now();
        while start.elapsed() < 6 * SHORT {
            ticks.frame().await.expect("the line holds").unwrap();
        }
        assert!(!session.is_finished());
    }

    #[tokio::test]
    async fn a_silent_line_is_dead_after_two_pings() {
        let (_broker, session) = line().await;
        let start = Instant::now();
        let ended = timeout(10 * SHORT, session).await.expect("the end").unwrap();
        assert!(matches!(ended, Err(DialError::Silent)), "{ended:?}");
        assert!(start.elapsed() >= 2 * SHORT);
    }
}
