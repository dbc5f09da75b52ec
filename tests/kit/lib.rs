//! The kit: what the stories, the pages, `cargo demo` and `cargo verify` stand on.
//!
//! Everything it starts is real (Home Assistant, PostgreSQL, Chromium), listens on loopback only, and ends when
//! the one who started it ends, however that happens.

pub mod agents; // paired, started, waited for
pub mod borrower; // Home Assistant's own OAuth helper
pub mod browser; // Chromium, driven
pub mod cloudflare; // its API, as it was recorded
pub mod connector; // a stand-in for cloudflared
pub mod conformance; // which promises a test cites, and the page that says so
pub mod dns; // a zone's texts, for whoever asks
pub mod guest; // somebody with a link, by the page's own ways
pub mod home_assistant; // a real one from PyPI, or the one that was given
pub mod judge; // an outsider's checks of the OAuth provider
pub mod neighbour; // another account of the same broker
pub mod npm; // what others wrote to measure us by
pub mod origin; // a Home Assistant's HTTP side alone, that writes down what reaches it
pub mod owner; // what an owner does on the broker's pages
pub mod pebble; // a real CA that issues by ACME, and a front that fails
pub mod postgres; // a throw-away cluster
pub mod process; // children that end when we do
pub mod programs; // broker and agent as programs of their own, to be killed
pub mod service; // a program that asks the JSON routes
pub mod scales; // what broker and agent weigh
pub mod search; // secrets, where they must not lie
pub mod smtp; // a real mail server, to be stopped and started
pub mod tap; // what an agent says and hears, written down
pub mod tree; // the workspace as text
pub mod until; // waiting for what is meant
pub mod visitor; // a browser without a screen: cookies, forms, redirects
pub mod world; // all of it for one story

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// An HTTP client that goes straight to loopback (no proxy, every name under `localhost` included), follows no
/// redirects and gives up after half a minute.
pub fn http_client() -> reqwest::Client {
    straight().build().expect("a client without special wishes can be built")
}

/// The same, from another address of loopback: for the broker it comes from another place.
pub fn http_client_from(place: Ipv4Addr) -> reqwest::Client {
    straight().local_address(IpAddr::from(place)).build().expect("loopback has these addresses")
}

/// The same, which believes only certificates under this root (PEM), and tells which it was shown.
///
/// # Errors
/// When it is no root.
pub fn http_client_trusting(root: &str) -> reqwest::Result<reqwest::Client> {
    let roots = reqwest::Certificate::from_pem_bundle(root.as_bytes())?;
    straight().danger_accept_invalid_certs(false).tls_certs_only(roots).tls_info(true).build()
}

fn straight() -> reqwest::ClientBuilder {
    install_tls();
    reqwest::Client::builder()
        .no_proxy()
        .dns_resolver(Arc::new(Loopback))
        // Only loopback is asked, and its certificates are made by the tests.
        .danger_accept_invalid_certs(true)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
}

/// Names under `localhost` are loopback (RFC 6761 section 6.3), which browsers know and system resolvers may not.
struct Loopback;

impl Resolve for Loopback {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses: Addrs = if name.as_str() == "localhost" || name.as_str().ends_with(".localhost") {
                Box::new([SocketAddr::from((Ipv4Addr::LOCALHOST, 0))].into_iter())
            } else {
                let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
                Box::new(found.into_iter())
            };
            Ok(addresses)
        })
    }
}

/// Chooses this process's TLS provider; every way into the kit may call it, the first one counts.
pub fn install_tls() {
    _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Cargo's target folder: the one this program was built into, else the workspace's.
pub fn target_folder() -> PathBuf {
    let built = std::env::current_exe().ok();
    let built = built.as_deref().and_then(|exe| exe.ancestors().find(|folder| is_target(folder)));
    built.map_or_else(|| workspace().join("target"), Path::to_path_buf)
}

/// The folder of the workspace: the one cargo runs us in, else the one we were built in.
pub fn workspace() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = here.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    here.parent().expect("the tests are a member of the workspace").to_path_buf()
}

/// Cargo marks its target folder with this file.
fn is_target(folder: &Path) -> bool {
    folder.join("CACHEDIR.TAG").exists()
}
