//! What stands before the CA: it speaks TLS, passes on what is asked, writes it down, and fails when it is told to.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

/// When, within a call, it is held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The CA has not heard of it.
    Before,
    /// The CA has done it, and nobody was told.
    After,
}

/// What is done instead of passing a call on and its answer back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A problem document (RFC 8555 section 6.7): status, type, and seconds of `Retry-After`.
    Problem(u16, &'static str, Option<u64>),
    /// A page of HTML with 502.
    Html,
    /// The call is carried out, and the connection closes before the answer.
    Lose,
    /// It is held up until [`Front::release`], and then gets no answer.
    Hold(When),
}

/// One call, as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// What is asked for: the first part of the path, such as `order-plz`.
    pub what: String,
    /// The CA's answer; none where it was not asked.
    pub answered: Option<StatusCode>,
}

/// The front; ends when dropped.
pub struct Front {
    addr: SocketAddr,
    inner: Arc<Inner>,
    _stop: DropGuard,
}

struct Inner {
    /// The CA's port on loopback.
    behind: u16,
    http: reqwest::Client,
    asked: watch::Sender<Vec<Asked>>,
    /// What is to happen to calls for something, how many more times.
    acts: Mutex<Vec<(&'static str, Act, usize)>>,
    /// How many calls are held up, and how often they were let go.
    held: watch::Sender<(usize, u64)>,
}

impl Front {
    /// Starts one on a free port of loopback, before the port of a CA.
    pub(super) async fn start(behind: u16, certificate: &str, key: &str) -> Result<Self> {
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
        let tls = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
        let http =
            reqwest::Client::builder().no_proxy().http1_only().danger_accept_invalid_certs(true).build()?;
        let listener = TcpListener::bind("127.0.0.1:0").await.context("bind a port for the CA's front")?;
        let (asked, held) = (watch::Sender::default(), watch::Sender::default());
        let inner = Arc::new(Inner { behind, http, asked, acts: Mutex::default(), held });
        let addr = listener.local_addr()?;
        let stop = CancellationToken::new();
        let tls = TlsAcceptor::from(Arc::new(tls));
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(
            listener,
            tls,
            inner.clone(),
            stop.clone(),
        )));
        Ok(Self { addr, inner, _stop: stop.drop_guard() })
    }

    /// The address of the CA's directory.
    pub fn directory(&self) -> Url {
        format!("https://localhost:{}/dir", self.addr.port()).parse().expect("a port makes a URL")
    }

    /// Lets something happen to the next so many calls for `what`.
    pub fn act(&self, what: &'static str, act: Act, times: usize) {
        self.inner.acts().push((what, act, times));
    }

    /// How many calls for `what` the CA has carried out so far.
    pub fn done(&self, what: &str) -> usize {
        let is_done =
            |asked: &&Asked| asked.what == what && asked.answered.is_some_and(|its| its.is_success());
        self.inner.asked.borrow().iter().filter(is_done).count()
    }

    /// How many calls came in so far.
    pub fn calls(&self) -> usize {
        self.inner.asked.borrow().len()
    }

    /// Waits until a call is held up; panics after twenty seconds.
    pub async fn until_held(&self) {
        let mut held = self.inner.held.subscribe();
        let waited = tokio::time::timeout(Duration::from_secs(20), held.wait_for(|(now, _)| *now > 0)).await;
        let asked = self.inner.asked.borrow().clone();
        assert!(matches!(waited, Ok(Ok(_))), "no call is held up; asked so far: {asked:#?}");
    }

    /// Lets go what is held up, without an answer, and nothing more is to happen to any call.
    pub fn release(&self) {
        self.inner.acts().clear();
        self.inner.held.send_modify(|(now, releases)| (*now, *releases) = (0, *releases + 1));
    }
}

impl Inner {
    fn acts(&self) -> MutexGuard<'_, Vec<(&'static str, Act, usize)>> {
        self.acts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to happen to this call.
    fn drawn(&self, what: &str) -> Option<(Act, u64)> {
        let mut acts = self.acts();
        let (_, act, left) = acts.iter_mut().find(|(its, _, left)| *its == what && *left > 0)?;
        *left -= 1;
        Some((*act, self.held.borrow().1))
    }

    async fn hold_up(&self, releases: u64) {
        self.held.send_modify(|(now, count)| *now += usize::from(*count == releases));
        // Fails only when the front itself has ended.
        _ = self.held.subscribe().wait_for(|(_, count)| *count > releases).await;
    }

    /// Asks the CA, under the name that we were asked by: its own addresses are made of it.
    async fn pass(&self, parts: http::request::Parts, body: Bytes) -> reqwest::Result<Response<Full<Bytes>>> {
        let address = format!("https://127.0.0.1:{}{}", self.behind, parts.uri);
        let mut asked = self.http.request(parts.method, address).body(body);
        for name in [header::HOST, header::CONTENT_TYPE, header::USER_AGENT] {
            if let Some(value) = parts.headers.get(&name) {
                asked = asked.header(name, value);
            }
        }
        let answer = asked.send().await?;
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await?;
        for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION] {
            headers.remove(name);
        }
        Ok(with(status, headers, body))
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, inner: Arc<Inner>, stop: CancellationToken) {
    while let Ok((socket, _)) = listener.accept().await {
        let serving = serve(socket, tls.clone(), inner.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(serving));
    }
}

async fn serve(socket: TcpStream, tls: TlsAcceptor, inner: Arc<Inner>) {
    let Ok(stream) = tls.accept(socket).await else { return };
    let service = hyper::service::service_fn(move |request| answer(inner.clone(), request));
    _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The connection is closed instead of an answer.
#[derive(Debug, thiserror::Error)]
#[error("no answer")]
struct NoAnswer;

impl From<Infallible> for NoAnswer {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

async fn answer(inner: Arc<Inner>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, NoAnswer> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| NoAnswer)?.to_bytes();
    let what = parts.uri.path().trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
    let drawn = inner.drawn(&what);
    let mut asked = Asked { method: parts.method.clone(), what, answered: None };
    let note = |asked: Asked| inner.asked.send_modify(|all| all.push(asked));
    match drawn {
        Some((Act::Hold(When::Before), releases)) => {
            note(asked);
            inner.hold_up(releases).await;
            return Err(NoAnswer);
        }
        Some((Act::Problem(status, kind, after), _)) => {
            note(asked);
            return Ok(problem(status, kind, after));
        }
        Some((Act::Html, _)) => {
            note(asked);
            let page = Bytes::from_static(b"<html><title>502 Bad Gateway</title></html>");
            return Ok(with(StatusCode::BAD_GATEWAY, HeaderMap::new(), page));
        }
        _ => {}
    }
    let answer = inner.pass(parts, body).await.map_err(|_| NoAnswer)?;
    asked.answered = Some(answer.status());
    note(asked);
    match drawn {
        Some((Act::Lose, _)) => Err(NoAnswer),
        Some((Act::Hold(When::After), releases)) => {
            inner.hold_up(releases).await;
            Err(NoAnswer)
        }
        _ => Ok(answer),
    }
}

fn problem(status: u16, kind: &str, after: Option<u64>) -> Response<Full<Bytes>> {
    let said = json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "as the test wants it", "status": status});
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, "application/problem+json".parse().expect("a good value"));
    if let Some(seconds) = after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    with(StatusCode::from_u16(status).expect("a status of ours"), headers, said.to_string().into())
}

fn with(status: StatusCode, headers: HeaderMap, body: Bytes) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body));
    (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
    answer
}
