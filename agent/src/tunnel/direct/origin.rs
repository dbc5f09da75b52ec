//! Where connections go: to the broker, and to Home Assistant with its pool of idle ones.
//!
//! Invariant: a connection is in the pool only while nothing of an exchange is left on it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{io, mem};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::Crew;

/// The time for a connection, its TLS handshake included.
const CONNECTING: Duration = Duration::from_secs(5);

/// Idle connections kept. When there are more, the one that comes back is closed.
const IDLE: usize = 64;

/// How long an idle one is trusted; Home Assistant closes them after 75 s.
const IDLE_FOR: Duration = Duration::from_secs(45);

/// A connection, plain or over TLS.
pub(super) type Io = Box<dyn Duplex>;

/// What a connection can do.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A place to connect to.
#[derive(Clone)]
pub(super) struct Remote {
    host: Host,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Remote {
    /// `None` when the address is neither `http` nor `https` or has no host.
    pub(super) fn of(url: &Url, tls: &ClientConfig) -> Option<Self> {
        let host = url.host()?.to_owned();
        let tls = match url.scheme() {
            "http" => None,
            "https" => {
                let mut tls = tls.clone();
                tls.alpn_protocols = vec![b"http/1.1".to_vec()];
                let name = match &host {
                    Host::Domain(name) => ServerName::try_from(name.clone()).ok()?,
                    Host::Ipv4(address) => ServerName::IpAddress(IpAddr::V4(*address).into()),
                    Host::Ipv6(address) => ServerName::IpAddress(IpAddr::V6(*address).into()),
                };
                Some((TlsConnector::from(Arc::new(tls)), name))
            }
            _ => return None,
        };
        Some(Self { host, port: url.port_or_known_default()?, tls })
    }

    #[cfg(test)]
    pub(super) fn plain(address: std::net::SocketAddr) -> Self {
        let host = match address.ip() {
            IpAddr::V4(address) => Host::Ipv4(address),
            IpAddr::V6(address) => Host::Ipv6(address),
        };
        Self { host, port: address.port(), tls: None }
    }

    /// Connects; also tells the address from which we are seen there.
    pub(super) async fn connect(&self) -> io::Result<(Io, IpAddr)> {
        timeout(CONNECTING, self.connect_at_leisure()).await?
    }

    async fn connect_at_leisure(&self) -> io::Result<(Io, IpAddr)> {
        let tcp = match self.host.clone() {
            Host::Domain(name) if is_local(&name) => {
                match TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await {
                    Err(err) if err.kind() == io::ErrorKind::ConnectionRefused => {
                        TcpStream::connect((Ipv6Addr::LOCALHOST, self.port)).await.map_err(|_| err)?
                    }
                    connected => connected?,
                }
            }
            Host::Domain(name) => TcpStream::connect((name, self.port)).await?,
            Host::Ipv4(address) => TcpStream::connect((address, self.port)).await?,
            Host::Ipv6(address) => TcpStream::connect((address, self.port)).await?,
        };
        tcp.set_nodelay(true)?;
        let seen_as = tcp.local_addr()?.ip();
        Ok(match &self.tls {
            None => (Box::new(tcp), seen_as),
            Some((connector, name)) => (Box::new(connector.connect(name.clone(), tcp).await?), seen_as),
        })
    }
}

/// `localhost` and all below it are this machine (RFC 6761 section 6.3), also where DNS does not say so.
fn is_local(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Why Home Assistant gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreachable {
    #[error("connect to home assistant: {0}")]
    Io(#[from] io::Error),
    #[error("talk to home assistant: {0}")]
    Http(#[from] hyper::Error),
}

/// Home Assistant.
pub(super) struct Origin {
    pub(super) remote: Remote,
    /// The address Home Assistant sees us at, once we have been there.
    pub(super) seen_as: OnceLock<IpAddr>,
    idle: Mutex<Vec<(SendRequest<Incoming>, Instant)>>,
    crew: Crew,
}

impl Origin {
    pub(super) fn new(remote: Remote, crew: Crew) -> Arc<Self> {
        Arc::new(Self { remote, seen_as: OnceLock::new(), idle: Mutex::default(), crew })
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// A pooled connection may have been closed under us. While hyper hands the request back, not one byte
    /// of it was sent, so the next connection may have it, whatever its method; otherwise the visitor
    /// decides whether to try again.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Result<Response<Streaming>, Unreachable> {
        while let Some(mut sender) = self.take_idle() {
            match sender.try_send_request(request).await {
                Ok(answer) => return Ok(self.streaming(answer, sender)),
                Err(mut err) => match err.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(err.into_error().into()),
                },
            }
        }
        let (io, seen_as) = self.remote.connect().await?;
        _ = self.seen_as.set(seen_as);
        let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
        self.crew.spawn(async move {
            // Its error is also the request's.
            _ = connection.await;
        });
        let answer = sender.send_request(request).await?;
        Ok(self.streaming(answer, sender))
    }

    fn streaming(
        self: &Arc<Self>,
        answer: Response<Incoming>,
        sender: SendRequest<Incoming>,
    ) -> Response<Streaming> {
        let mut lease = Some(Lease { sender, origin: self.clone() });
        answer.map(|body| {
            if hyper::body::Body::is_end_stream(&body)
                && let Some(lease) = lease.take()
            {
                lease.give_back();
            }
            Streaming { body, lease }
        })
    }

    fn take_idle(&self) -> Option<SendRequest<Incoming>> {
        let mut idle = self.idle();
        let (sender, since) = idle.pop()?;
        if since.elapsed() < IDLE_FOR {
            return Some(sender);
        }
        // The newest lies on top: all below it are older still.
        let stale = mem::take(&mut *idle);
        drop((idle, stale, sender));
        None
    }

    fn put_idle(&self, sender: SendRequest<Incoming>) {
        let mut idle = self.idle();
        if idle.len() == IDLE {
            idle.retain(|(sender, _)| !sender.is_closed());
        }
        if idle.len() < IDLE {
            idle.push((sender, Instant::now()));
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(SendRequest<Incoming>, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pooled connection in use.
struct Lease {
    sender: SendRequest<Incoming>,
    origin: Arc<Origin>,
}

impl Lease {
    /// Back into the pool, as soon as the rest of the exchange (perhaps still an upload) is over.
    fn give_back(self) {
        let Self { mut sender, origin } = self;
        if sender.is_ready() {
            return origin.put_idle(sender);
        }
        origin.crew.clone().spawn(async move {
            if sender.ready().await.is_ok() {
                origin.put_idle(sender);
            }
        });
    }
}

/// An answer's body; when it is over its connection goes back into the pool, and when it is dropped before,
/// the connection is closed, which tells Home Assistant that nobody waits.
pub(super) struct Streaming {
    body: Incoming,
    lease: Option<Lease>,
}

impl From<Incoming> for Streaming {
    fn from(body: Incoming) -> Self {
        Self { body, lease: None }
    }
}

impl hyper::body::Body for Streaming {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let over = matches!(polled, Poll::Ready(None)) || (polled.is_ready() && self.body.is_end_stream());
        if over && let Some(lease) = self.lease.take() {
            lease.give_back();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
