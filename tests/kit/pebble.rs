//! A real CA with an ACME server: Pebble, which Let's Encrypt tests clients with. It holds clients to RFC 8555
//! (signatures, nonces good once, of which it refuses one in twenty for nothing), asks a DNS server of ours for the
//! proofs, and issues a chain from a root of its own, new at each start. A [`Front`] stands before it, which can
//! fail.

mod front;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use broker::config::{Acme, CloudflareAccount};
use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tempfile::TempDir;

use crate::dns::{self, Zone};
use crate::process::{Process, free_port, which};
use crate::until::until;
pub use front::{Act, Asked, Front, When};

/// The CA. Stopped on drop.
pub struct Pebble {
    /// What stands before it.
    pub front: Front,
    /// The root of what it issues, PEM.
    pub root: String,
    front_root: PathBuf,
    _process: Process,
    _dns: dns::Server,
    _folder: TempDir,
}

impl Pebble {
    /// Starts one that looks for proofs in a zone. Panics when it cannot.
    pub async fn start(zone: Zone) -> Self {
        Self::try_start(zone).await.unwrap_or_else(|err| panic!("start a CA: {err:#}"))
    }

    async fn try_start(zone: Zone) -> Result<Self> {
        let program = which("pebble").context("Pebble is needed: apt-get install pebble")?;
        let dns = dns::Server::start(zone).await?;
        let folder = tempfile::Builder::new().prefix("latchkey-pebble-").tempdir()?;
        let own = Own::make(folder.path())?;
        let (port, management) = (free_port()?, free_port()?);
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": folder.path().join("certificate.pem"),
            "privateKey": folder.path().join("key.pem"),
            "httpPort": 1, "tlsPort": 1, "externalAccountBindingRequired": false,
        }});
        let path = folder.path().join("config.json");
        std::fs::write(&path, config.to_string())?;
        let mut command = Command::new(program);
        command.arg("-config").arg(path).arg("-strict").arg("-dnsserver").arg(dns.addr.to_string());
        // It looks at once, and each order anew.
        command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0");
        let process = Process::start("Pebble", &mut command, &folder.path().join("log"), Signal::SIGTERM)?;
        let (http, address) = (crate::http_client(), format!("https://127.0.0.1:{management}/roots/0"));
        let root = until("the CA's root", || async {
            anyhow::Ok(http.get(&address).send().await?.error_for_status()?.text().await?)
        });
        let root = root.await;
        let front = Front::start(port, &own.certificate, &own.key).await?;
        let front_root = folder.path().join("root.pem");
        Ok(Self { front, root, front_root, _process: process, _dns: dns, _folder: folder })
    }

    /// The settings of a broker that orders here, and proves its names in these zones or by this program.
    pub fn settings(&self, zones: Vec<CloudflareAccount>, hook: &[&Path]) -> Acme {
        Acme {
            directory: self.front.directory(),
            contact: Some("operator@example.com".to_owned()),
            root: Some(self.front_root.clone()),
            zones,
            hook: hook.iter().map(|path| path.display().to_string()).collect(),
            // Its DNS server reads what the zone holds at that moment.
            dns_wait: Duration::ZERO,
        }
    }
}

/// What Pebble and its front show: a certificate for loopback, by a root that is only for that.
struct Own {
    certificate: String,
    key: String,
}

impl Own {
    fn make(folder: &Path) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let certificate = CertificateParams::new(names)?.signed_by(&key, &root)?;
        let own = Self { certificate: certificate.pem(), key: key.serialize_pem() };
        for (name, text) in
            [("root.pem", &root.pem()), ("certificate.pem", &own.certificate), ("key.pem", &own.key)]
        {
            std::fs::write(folder.join(name), text)?;
        }
        Ok(own)
    }
}
