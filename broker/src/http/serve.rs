//! Our own accept loop: TLS where configured, a timeout for headers, the client's address, a graceful end.
//!
//! warp's server has none of these. Invariant: every connection's task is waited for, at most [`GRACE`].

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::Peer;
use super::patient::{PATIENCE, Patient};
use super::strict::Strict;

/// How long connections have to finish what they are at.
const GRACE: Duration = Duration::from_secs(8);
const HANDSHAKE: Duration = Duration::from_secs(10);
const HEADERS: Duration = Duration::from_secs(10);

/// The body of any answer, forwarded ones included.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// What answers requests.
pub trait Dispatch: Clone + Send + Sync + 'static {
    /// Answers one request.
    fn dispatch(&self, request: Request<Incoming>, peer: Peer)
    -> impl Future<Output = Response<Body>> + Send;
}

/// What the accept loop is made of.
pub struct Serving<D> {
    /// Where connections come in.
    pub listener: TcpListener,
    /// Certificate and key, the newest for each new connection; `None` serves plain.
    pub tls: Option<watch::Receiver<TlsAcceptor>>,
    /// Proxies whose headers are believed.
    pub trusted_proxies: Arc<[IpAddr]>,
    /// What answers.
    pub dispatch: D,
    /// Ends the loop.
    pub stop: CancellationToken,
}

/// Serves until told to stop, then lets connections finish.
pub async fn serve<D: Dispatch>(serving: Serving<D>) {
    let Serving { listener, tls, trusted_proxies, dispatch, stop } = serving;
    let graceful = Arc::new(GracefulShutdown::new());
    let tasks = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (tcp, from) = match accepted {
            Ok(accepted) => accepted,
            Err(err) => {
                // Out of file descriptors, most likely: waiting is all that helps.
                warn!("accept a connection: {err}");
                _ = stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(100))).await;
                continue;
            }
        };
        _ = tcp.set_nodelay(true);
        let connection = Connection {
            from,
            tls: tls.is_some(),
            trusted_proxies: trusted_proxies.clone(),
            dispatch: dispatch.clone(),
            graceful: graceful.clone(),
        };
        let tls = tls.as_ref().map(|newest| newest.borrow().clone());
        tasks.spawn(accept(tcp, tls, connection));
    }
    drop(listener);
    tasks.close();
    if let Some(graceful) = Arc::into_inner(graceful) {
        _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
    }
    _ = tokio::time::timeout(GRACE, tasks.wait()).await;
}

struct Connection<D> {
    from: SocketAddr,
    tls: bool,
    trusted_proxies: Arc<[IpAddr]>,
    dispatch: D,
    graceful: Arc<GracefulShutdown>,
}

async fn accept<D: Dispatch>(tcp: TcpStream, tls: Option<TlsAcceptor>, connection: Connection<D>) {
    let tcp = Patient::new(tcp, PATIENCE);
    let Some(tls) = tls else { return connection.serve(tcp).await };
    match tokio::time::timeout(HANDSHAKE, tls.accept(tcp)).await {
        Ok(Ok(stream)) => connection.serve(stream).await,
        Ok(Err(err)) => debug!(from = %connection.from, "TLS handshake: {err}"),
        Err(_) => debug!(from = %connection.from, "TLS handshake took too long"),
    }
}

impl<D: Dispatch> Connection<D> {
    async fn serve<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, io: IO) {
        let Self { from, tls, trusted_proxies, dispatch, graceful } = self;
        let service = service_fn(move |mut request: Request<Incoming>| {
            let peer = peer(from.ip(), tls, &trusted_proxies, request.headers());
            request.extensions_mut().insert(peer);
            let dispatch = dispatch.clone();
            async move {
                // A fault in one request must not take the connection's other requests with it.
                let answered = AssertUnwindSafe(dispatch.dispatch(request, peer)).catch_unwind().await;
                Ok::<_, Infallible>(answered.unwrap_or_else(|_| broken()))
            }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(64 << 10);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(Duration::from_secs(30)))
            .max_concurrent_streams(Some(128));
        let serving =
            builder.serve_connection_with_upgrades(TokioIo::new(Strict::new(io)), service).into_owned();
        let serving = graceful.watch(serving);
        // The shutdown waits for whoever holds it: let go before the connection runs.
        drop(graceful);
        if let Err(err) = serving.await {
            debug!(%from, "connection: {err}");
        }
    }
}

fn broken() -> Response<Body> {
    let mut answer = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    answer
}

/// Who asks. Behind a trusted proxy: the last address in `X-Forwarded-For` that is not itself such a proxy.
fn peer(from: IpAddr, tls: bool, trusted: &[IpAddr], headers: &HeaderMap) -> Peer {
    let from = from.to_canonical();
    if !trusted.contains(&from) {
        return Peer { ip: from, tls };
    }
    let named = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let named: Vec<_> = named.map_while(|part| part.trim().parse::<IpAddr>().ok()).collect();
    let ip = named.iter().rev().find(|ip| !trusted.contains(ip)).copied().unwrap_or(from);
    let tls = headers.get("x-forwarded-proto").map_or(tls, |scheme| scheme == "https");
    Peer { ip, tls }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MD-13
    #[test]
    fn forwarding_headers_are_believed_from_trusted_proxies_only() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "6.6.6.6, 9.9.9.9, 10.0.0.2".parse().unwrap());
        headers.insert("x-forwarded-proto", "https".parse().unwrap());
        let trusted = [ip("10.0.0.1"), ip("10.0.0.2")];
        assert_eq!(peer(ip("10.0.0.1"), false, &trusted, &headers), Peer { ip: ip("9.9.9.9"), tls: true });
        assert_eq!(peer(ip("10.0.0.3"), false, &trusted, &headers), Peer { ip: ip("10.0.0.3"), tls: false });
        assert_eq!(peer(ip("::ffff:10.0.0.1"), false, &trusted, &headers).ip, ip("9.9.9.9"));
        assert_eq!(peer(ip("10.0.0.1"), false, &trusted, &HeaderMap::new()).ip, ip("10.0.0.1"));
    }
}
