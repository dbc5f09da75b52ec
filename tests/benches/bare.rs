//! The two programs of the tunnel's measurement that are not ours: an origin, and the least a reverse proxy can be.
//!
//! Both are hyper and nothing else. They run as programs of their own (`bench serve`), so that the processor time of
//! each can be told apart.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

/// What a small request asks for.
pub const SMALL: &str = "/small";
/// What a download asks for.
pub const LARGE: &str = "/large";
/// The body of a small answer: what a state of one entity is long.
const SMALL_BYTES: usize = 256;
/// The body of a download.
pub const LARGE_BYTES: usize = 8 << 20;

/// Serves on a port of loopback, forever: as a proxy of another port, or as the origin.
///
/// # Errors
/// When the port is taken.
pub async fn serve(port: u16, to: Option<u16>) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.context("listen")?;
    match to {
        Some(to) => proxy(listener, SocketAddr::from((Ipv4Addr::LOCALHOST, to))).await,
        None => origin(listener).await,
    }
}

async fn origin(listener: TcpListener) -> Result<()> {
    let (small, large) = (Bytes::from(vec![b's'; SMALL_BYTES]), Bytes::from(vec![b'l'; LARGE_BYTES]));
    each_connection(listener, move |request: Request<Incoming>| {
        let body = if request.uri().path() == LARGE { large.clone() } else { small.clone() };
        async { Ok::<_, Infallible>(Response::new(Full::new(body))) }
    })
    .await
}

/// Sends each request on as it is, over connections that are kept.
async fn proxy(listener: TcpListener, to: SocketAddr) -> Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build(connector);
    each_connection(listener, move |mut request: Request<Incoming>| {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let there = format!("http://{to}{path}").parse::<Uri>();
        *request.uri_mut() = there.expect("an address and a path make a URI");
        client.request(request)
    })
    .await
}

async fn each_connection<A, F, B, E>(listener: TcpListener, answer: A) -> Result<()>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<B>, E>> + Send,
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let serving = http1::Builder::new().serve_connection(TokioIo::new(tcp), service_fn(answer.clone()));
        tokio::spawn(serving);
    }
}
