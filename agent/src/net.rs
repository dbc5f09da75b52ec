//! Dialling out: which address a name has, whom to trust, and WebSockets on top.

use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::ClientConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use shared::secret::Secret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config, tungstenite};
use url::{Host, Url};

use crate::config::{is_localhost, is_loopback};

/// How long any one step of reaching another machine may take.
pub const PATIENCE: Duration = Duration::from_secs(10);

const AGENT: &str = concat!("latchkey-agent/", env!("CARGO_PKG_VERSION"));

/// A WebSocket over TCP or TLS.
pub type WebSocket = WebSocketStream<Box<dyn Wire>>;

/// A connection, encrypted or not.
pub trait Wire: AsyncRead + AsyncWrite + Debug + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Debug + Send + Unpin> Wire for T {}

/// The one provider of cryptography in this program.
pub fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

/// Whom to trust: the system's certificates, and those of a PEM file if one is given.
///
/// # Errors
/// The file cannot be read, or the system has no certificates at all.
pub fn trust(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(provider());
    let mut extra = Vec::new();
    if let Some(path) = ca_file {
        let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
        extra = read().with_context(|| format!("read the certificates at {}", path.display()))?;
    }
    let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&provider))
        .context("load the system's certificates (is ca-certificates installed?)")?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS versions")?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A client for one origin: follows no redirects (tokens go where they were meant), waits for nothing long.
///
/// # Errors
/// Never on a sound TLS configuration.
pub fn http_client(origin: &Url, tls: &ClientConfig) -> Result<reqwest::Client> {
    let mut client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .dns_resolver(Resolver)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(PATIENCE)
        .timeout(3 * PATIENCE)
        .pool_idle_timeout(Duration::from_secs(30))
        .user_agent(AGENT);
    if is_loopback(origin) {
        client = client.no_proxy();
    }
    client.build().context("set up the HTTP client")
}

/// A client for one large file: follows redirects as GitHub's downloads have them, never to where it could be read
/// or changed on the way, and waits no longer than `silence` for the next piece.
///
/// # Errors
/// Never on a sound TLS configuration.
pub fn downloader(file: &Url, tls: &ClientConfig, silence: Duration) -> Result<reqwest::Client> {
    let mut client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .dns_resolver(Resolver)
        .redirect(reqwest::redirect::Policy::limited(5))
        .connect_timeout(PATIENCE)
        .read_timeout(silence)
        .user_agent(AGENT);
    client = if is_loopback(file) { client.no_proxy() } else { client.https_only(true) };
    client.build().context("set up the HTTP client")
}

/// Names to addresses, for reqwest: as everywhere here, `*.localhost` is this machine.
struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = addresses(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The addresses of a name. `localhost` and what is under it is loopback without asking anyone (RFC 6761
/// section 6.3); many resolvers do not know the latter.
async fn addresses(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if is_localhost(name) {
        let here = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        return Ok(here.map(|address| SocketAddr::new(address, port)).to_vec());
    }
    Ok(lookup_host((name, port)).await?.collect())
}

/// Opens a connection to the host of a URL; `https` and `wss` get TLS.
///
/// # Errors
/// The last address's error, or a certificate that is not trusted.
pub async fn dial(url: &Url, tls: &Arc<ClientConfig>) -> Result<Box<dyn Wire>> {
    let (host, port, tcp) = reach(url).await?;
    tcp.set_nodelay(true).context("turn off Nagle's delay")?;
    if !is_encrypted(url) {
        return Ok(Box::new(tcp));
    }
    let name = match host {
        Host::Domain(name) => ServerName::try_from(name.to_owned()).context("a host name for TLS")?,
        Host::Ipv4(address) => ServerName::from(IpAddr::V4(address)),
        Host::Ipv6(address) => ServerName::from(IpAddr::V6(address)),
    };
    let secure = timeout(PATIENCE, TlsConnector::from(Arc::clone(tls)).connect(name, tcp)).await;
    let secure = secure.map_err(|_| anyhow!("{host}:{port} does not answer in TLS"))?;
    Ok(Box::new(secure.with_context(|| format!("TLS with {host}:{port}"))?))
}

/// The address of this machine that the host of a URL sees.
///
/// # Errors
/// As [`dial`].
pub async fn own_address(url: &Url) -> Result<IpAddr> {
    Ok(reach(url).await?.2.local_addr()?.ip())
}

fn is_encrypted(url: &Url) -> bool {
    matches!(url.scheme(), "https" | "wss")
}

async fn reach(url: &Url) -> Result<(Host<&str>, u16, TcpStream)> {
    let host = url.host().ok_or_else(|| anyhow!("no host in the address"))?;
    let port = url.port().unwrap_or(if is_encrypted(url) { 443 } else { 80 });
    let found = match host {
        Host::Domain(name) => timeout(PATIENCE, addresses(name, port))
            .await
            .map_err(|_| anyhow!("{name}: the resolver does not answer"))?
            .with_context(|| format!("look up {name}"))?,
        Host::Ipv4(address) => vec![(address, port).into()],
        Host::Ipv6(address) => vec![(address, port).into()],
    };
    let tcp = connect(&found).await.with_context(|| format!("connect to {host}:{port}"))?;
    Ok((host, port, tcp))
}

async fn connect(found: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in found {
        match timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(err)) => last = err,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// A WebSocket's address and manners.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// An `http`, `https`, `ws` or `wss` URL.
    pub url: &'a Url,
    /// For `Authorization: Bearer`, where one is asked for in the handshake.
    pub bearer: Option<&'a Secret>,
    /// The longest message taken, in bytes.
    pub longest: usize,
}

/// Opens a WebSocket. An answer other than 101 is `tungstenite::Error::Http` at the root of the error.
///
/// # Errors
/// As [`dial`], or what the server answered.
pub async fn websocket(call: Call<'_>, tls: &Arc<ClientConfig>) -> Result<WebSocket> {
    let mut url = call.url.clone();
    let scheme = if is_encrypted(&url) { "wss" } else { "ws" };
    if url.set_scheme(scheme).is_err() {
        bail!("not an address of a WebSocket");
    }
    let wire = dial(&url, tls).await?;
    let mut request = url.as_str().into_client_request()?;
    if let Some(token) = call.bearer {
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
            .map_err(|_| anyhow!("the token holds characters no header may"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    // tungstenite's own 128 KiB buffers would be most of this program's memory.
    let manners = WebSocketConfig::default()
        .read_buffer_size(8 << 10)
        .write_buffer_size(8 << 10)
        .max_message_size(Some(call.longest))
        .max_frame_size(Some(call.longest));
    let handshake = timeout(PATIENCE, client_async_with_config(request, wire, Some(manners))).await;
    let (socket, _) = handshake.map_err(|_| anyhow!("no answer to the WebSocket handshake"))??;
    Ok(socket)
}

/// The HTTP status with which a WebSocket was refused, if that is what the error is.
pub fn refused_with(err: &anyhow::Error) -> Option<u16> {
    match err.downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Http(answer)) => Some(answer.status().as_u16()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_under_localhost_are_this_machine() {
        for name in ["localhost", "home-1.latchkey.localhost", "LOCALHOST", "a.localhost."] {
            let found = addresses(name, 80).await.unwrap();
            assert!(
                !found.is_empty() && found.iter().all(|a| a.ip().is_loopback() && a.port() == 80),
                "{name}"
            );
        }
    }

    #[tokio::test]
    async fn a_closed_port_is_named() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let url = Url::parse(&format!("http://127.0.0.1:{port}")).unwrap();
        let err = dial(&url, &trust(None).unwrap()).await.err().unwrap();
        assert!(format!("{err:#}").contains(&format!("connect to 127.0.0.1:{port}")), "{err:#}");
    }
}
