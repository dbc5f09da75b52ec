//! A certificate that the broker orders itself, by ACME (RFC 8555): from whom, and how it proves its names.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use url::{Host, Url};

use super::CloudflareAccount;

/// From whom a certificate is ordered, and who writes the DNS records that prove its names (DNS-01, RFC 8555
/// section 8.4).
#[derive(Debug, Clone)]
pub struct Acme {
    /// The address of the CA's directory.
    pub directory: Url,
    /// Where the CA may write to.
    pub contact: Option<String>,
    /// Root certificates by which the CA's own address is believed, besides the system's; PEM.
    pub root: Option<PathBuf>,
    /// Zones at Cloudflare that records are written in.
    pub zones: Vec<CloudflareAccount>,
    /// The program that writes records of other names, with its first arguments; empty where there is none.
    pub hook: Vec<String>,
    /// How long a record that was written in a zone takes until the CA can see it everywhere.
    pub dns_wait: Duration,
}

/// The API answers before all of its name servers know; by what is told of it, they do within seconds. Not measured.
const DNS_WAIT: Duration = Duration::from_secs(15);
/// Longer than any zone takes, and shorter than an order lives.
const LONGEST_DNS_WAIT: u64 = 600;

/// What the settings say of it.
pub(super) struct Asked {
    pub directory: Option<Url>,
    pub agree_terms: Option<bool>,
    pub contact: Option<String>,
    pub root: Option<PathBuf>,
    /// A file of accounts for this alone.
    pub dns: Option<PathBuf>,
    pub hook: Option<Words>,
    pub dns_wait_seconds: Option<u64>,
    pub has_files: bool,
}

impl Asked {
    /// Checks it; none where no certificate is ordered.
    ///
    /// # Errors
    /// The first setting that is wrong or missing, by name.
    pub fn settle(self, public_url: &Url, tunnels: &[CloudflareAccount]) -> anyhow::Result<Option<Acme>> {
        let Some(directory) = self.directory else {
            let given = [
                ("acme_agree_terms", self.agree_terms == Some(true)),
                ("acme_contact", self.contact.is_some()),
                ("acme_root", self.root.is_some()),
                ("acme_dns_cloudflare", self.dns.is_some()),
                ("acme_dns_hook", self.hook.is_some()),
                ("acme_dns_wait_seconds", self.dns_wait_seconds.is_some_and(|s| s != DNS_WAIT.as_secs())),
            ];
            if let Some((name, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
                bail!("{name} is set and acme_directory is not: it says who issues the certificate");
            }
            return Ok(None);
        };
        ensure!(
            directory.scheme() == "https" && directory.host_str().is_some(),
            "acme_directory: {directory} must be https, such as https://acme-v02.api.letsencrypt.org/directory"
        );
        ensure!(
            !self.has_files,
            "acme_directory and tls_certificate are both set: the certificate comes from one of them"
        );
        ensure!(
            self.agree_terms == Some(true),
            "acme_agree_terms: {} issues certificates only to those who agree to its terms of service: read them and set it to true",
            directory.host_str().unwrap_or_default()
        );
        ensure!(
            public_url.scheme() == "https" && matches!(public_url.host(), Some(Host::Domain(_))),
            "public_url: {public_url} must be https and name a host for acme_directory to be of use"
        );
        if let Some(contact) = &self.contact {
            let is_mail =
                contact.split_once('@').is_some_and(|(who, host)| !who.is_empty() && host.contains('.'));
            ensure!(
                is_mail && contact.bytes().all(|b| b.is_ascii_graphic()),
                "acme_contact: {contact:?} is no email address"
            );
        }
        let zones = match &self.dns {
            Some(path) => super::read_cloudflare(path).context("acme_dns_cloudflare")?,
            None => tunnels.to_vec(),
        };
        let hook = self.hook.unwrap_or_default().0;
        ensure!(
            hook.first().is_none_or(|program| program.starts_with('/')),
            "acme_dns_hook: {:?} must be the whole path of a program",
            hook.first().map_or("", String::as_str)
        );
        ensure!(
            !hook.is_empty() || !zones.is_empty(),
            "acme_directory is set, and nobody writes the DNS records that prove the names: set acme_dns_cloudflare, or acme_dns_hook"
        );
        let seconds = self.dns_wait_seconds.unwrap_or(DNS_WAIT.as_secs());
        ensure!(
            seconds <= LONGEST_DNS_WAIT,
            "acme_dns_wait_seconds: {seconds} is more than {LONGEST_DNS_WAIT}"
        );
        let dns_wait = Duration::from_secs(seconds);
        Ok(Some(Acme { directory, contact: self.contact, root: self.root, zones, hook, dns_wait }))
    }
}

/// A program and its arguments: a list, or words with spaces between.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Words(pub Vec<String>);

impl FromStr for Words {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.split_whitespace().map(str::to_owned).collect()))
    }
}
