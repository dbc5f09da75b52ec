//! A certificate and its key: whether they belong together, and what the certificate says of itself.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::TlsAcceptor;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use crate::clock::Timestamp;

const DAY: u64 = 24 * 3600;

/// What a certificate says of itself.
#[derive(Debug, Clone)]
pub struct Shown {
    names: Vec<String>,
    not_before: Timestamp,
    not_after: Timestamp,
    leaf: CertificateDer<'static>,
}

/// What is wrong with a certificate and a key.
#[derive(Debug, thiserror::Error)]
pub enum Misfit {
    /// The first is no certificate that can be read; the text goes on from what it was read from.
    #[error("the certificate {0}")]
    Certificate(String),
    /// The second holds no private key.
    #[error("the key is no private key")]
    Key,
    /// Each is good, and they do not belong together.
    #[error("certificate and key do not fit together: {0}")]
    Pair(rustls::Error),
}

/// What to accept connections with, of a certificate chain and its key (PEM), and what the chain says of itself.
///
/// # Errors
/// When either makes no sense, or they do not belong together.
pub fn fit(certificate: &[u8], key: &[u8]) -> Result<(TlsAcceptor, Shown), Misfit> {
    let chain = chain(certificate)?;
    let shown = Shown::of(&chain)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| Misfit::Key)?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    Ok((speaking(config.map_err(Misfit::Pair)?), shown))
}

/// What to accept connections with while there is no certificate: each is told so by TLS's own alert, and closed.
pub fn none() -> TlsAcceptor {
    speaking(ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::new(Nothing)))
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Misfit> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    chain.map_err(|_| Misfit::Certificate("is no PEM".to_owned()))
}

fn speaking(mut config: ServerConfig) -> TlsAcceptor {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

#[derive(Debug)]
struct Nothing;

impl ResolvesServerCert for Nothing {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

impl Shown {
    /// What the first certificate of a chain (PEM) says.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn read(pem: &[u8]) -> Result<Self, Misfit> {
        Self::of(&chain(pem)?)
    }

    fn of(chain: &[CertificateDer<'_>]) -> Result<Self, Misfit> {
        let leaf = chain.first().ok_or_else(|| Misfit::Certificate("holds no certificate".to_owned()))?;
        let odd = |err: &dyn fmt::Display| Misfit::Certificate(format!("cannot be read: {err}"));
        let (_, parsed) = parse_x509_certificate(leaf).map_err(|err| odd(&err))?;
        let moment = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
        let alternative = parsed.subject_alternative_name().map_err(|err| odd(&err))?;
        let names = alternative.iter().flat_map(|names| &names.value.general_names).filter_map(name);
        Ok(Self {
            names: names.collect(),
            not_before: moment(parsed.validity().not_before.timestamp()),
            not_after: moment(parsed.validity().not_after.timestamp()),
            leaf: leaf.clone().into_owned(),
        })
    }

    /// Whole days until it lapses.
    pub fn days_left(&self, now: Timestamp) -> u64 {
        self.not_after.since(now).as_secs() / DAY
    }

    /// When two thirds of its life are over: time for another.
    pub fn renew_at(&self) -> Timestamp {
        self.not_before.after(self.not_after.since(self.not_before) * 2 / 3)
    }

    /// When it begins to count.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Why nobody will believe it now, whatever its name; none if it counts.
    pub fn is_out_of_time(&self, now: Timestamp) -> Option<String> {
        if self.not_after <= now {
            Some(format!("it lapsed at {}: renew it", self.not_after))
        } else if now < self.not_before {
            Some(format!("it counts from {} on: is the clock right?", self.not_before))
        } else {
            None
        }
    }

    /// A sentence for each of these names that it does not cover.
    pub fn misses(&self, needed: &[String]) -> Vec<String> {
        let missing = needed.iter().filter(|name| !self.covers(name));
        missing.map(|name| format!("it does not cover {name}: visitors there are warned off")).collect()
    }

    /// By the rules that clients go by (RFC 9525 section 6.3); a wildcard is covered if any one label is.
    fn covers(&self, name: &str) -> bool {
        let one = name.strip_prefix("*.").map_or_else(|| name.to_owned(), |rest| format!("any-home.{rest}"));
        let asked = ServerName::try_from(one).ok();
        let covered = asked.zip(ParsedCertificate::try_from(&self.leaf).ok());
        covered.is_some_and(|(asked, leaf)| verify_server_name(&leaf, &asked).is_ok())
    }
}

impl fmt::Display for Shown {
    /// The names it covers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.names.is_empty() { f.write_str("no name") } else { f.write_str(&self.names.join(", ")) }
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}
