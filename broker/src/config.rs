//! Every setting, read once: from flags, then the environment, then a file, then the default.
//!
//! Invariant: nothing else in the broker reads the environment. A setting that is wrong is named, with what
//! would be right; a setting that is not known is refused, not skipped.

mod acme;
mod cloudflare;
mod commands;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Parser};
use serde::Deserialize;
use shared::secret::Secret;
use url::{Host, Url};

use crate::mail;
use crate::store::Where;

pub use acme::{Acme, Words};
pub use cloudflare::{CloudflareAccount, read_cloudflare};
pub use commands::{AddClient, AuditCommand, ClientCommand, Command, KeysCommand, UserCommand};

/// Latchkey's broker.
#[derive(Debug, Parser)]
#[command(name = "latchkey-broker", version, about, long_about = None, after_help = "Exit codes: 0 stopped as asked, 1 failed, 2 wrong usage.")]
pub struct Cli {
    /// A TOML file with any of the settings below (names with _ for -)
    #[arg(long, env = "LATCHKEY_SETTINGS", value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// What the flags and the environment say
    #[command(flatten)]
    pub given: Given,
    /// What to do; without a word, serve
    #[command(subcommand)]
    pub command: Option<Command>,
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])* $name:ident: $kind:ty, $env:literal, $value:literal;)*) => {
        /// What one source says; the others fill the gaps.
        #[derive(Debug, Default, Clone, Args, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Given { $(
            $(#[doc = $doc])*
            #[arg(long, env = $env, value_name = $value, hide_env_values = true)]
            pub $name: Option<$kind>,
        )* }

        impl Given {
            /// This, and where it is silent, the other.
            fn or(self, other: Self) -> Self {
                Self { $($name: self.$name.or(other.$name),)* }
            }
        }
    };
}

settings! {
    /// Address and port to listen on [default: 127.0.0.1:8420]
    listen: SocketAddr, "LATCHKEY_LISTEN", "ADDRESS";
    /// The address people and programs know the broker by; the issuer of its tokens [default: http://localhost:PORT]
    public_url: Url, "LATCHKEY_PUBLIC_URL", "URL";
    /// Homes get names under this domain, such as lakehouse.DOMAIN [default: the public address's host]
    home_domain: String, "LATCHKEY_HOME_DOMAIN", "DOMAIN";
    /// A TOML file with Cloudflare accounts; with it new homes get Cloudflare tunnels instead of direct ones
    cloudflare: PathBuf, "LATCHKEY_CLOUDFLARE", "FILE";
    /// Folder for the database and the key list [default: $STATE_DIRECTORY, else ./latchkey-data]
    data_dir: PathBuf, "LATCHKEY_DATA_DIR", "FOLDER";
    /// A postgres:// address; without it, SQLite in the data folder
    database: String, "LATCHKEY_DATABASE", "URL";
    /// The key list that seals secrets at rest [default: `keys` in the data folder, made if missing]
    keys_file: PathBuf, "LATCHKEY_KEYS_FILE", "FILE";
    /// Certificate chain, PEM; with it the broker speaks TLS. Read anew when it changes
    tls_certificate: PathBuf, "LATCHKEY_TLS_CERTIFICATE", "FILE";
    /// The certificate's private key, PEM
    tls_key: PathBuf, "LATCHKEY_TLS_KEY", "FILE";
    /// A CA's ACME directory, such as https://acme-v02.api.letsencrypt.org/directory; from there the broker gets its certificate
    acme_directory: Url, "LATCHKEY_ACME_DIRECTORY", "URL";
    /// Agree to the CA's terms of service; without, none issues anything
    acme_agree_terms: bool, "LATCHKEY_ACME_AGREE_TERMS", "BOOL";
    /// Where the CA may write to [default: it has no address of ours]
    acme_contact: String, "LATCHKEY_ACME_CONTACT", "EMAIL";
    /// Root certificates, PEM, by which a private CA's own address is believed
    acme_root: PathBuf, "LATCHKEY_ACME_ROOT", "FILE";
    /// A TOML file with Cloudflare accounts in whose zones the names are proved [default: the one of `cloudflare`]
    acme_dns_cloudflare: PathBuf, "LATCHKEY_ACME_DNS_CLOUDFLARE", "FILE";
    /// A program that writes the DNS records of names that are not at Cloudflare, with its first arguments
    acme_dns_hook: Words, "LATCHKEY_ACME_DNS_HOOK", "PROGRAM";
    /// Seconds from a record's being written at Cloudflare to the CA's being asked to look [default: 15]
    acme_dns_wait_seconds: u64, "LATCHKEY_ACME_DNS_WAIT_SECONDS", "SECONDS";
    /// Serve without TLS on an address that is not loopback (true behind a proxy that speaks TLS)
    allow_plain_http: bool, "LATCHKEY_ALLOW_PLAIN_HTTP", "BOOL";
    /// Proxies in front, by IP address, whose X-Forwarded-For and -Proto are believed (comma-separated)
    trusted_proxies: Addresses, "LATCHKEY_TRUSTED_PROXIES", "ADDRESSES";
    /// Seconds an access token lives, 60 to 3600 [default: 3600]
    access_token_seconds: u64, "LATCHKEY_ACCESS_TOKEN_SECONDS", "SECONDS";
    /// Days a refresh token lives unused, 1 to 365 [default: 30]
    refresh_token_days: u64, "LATCHKEY_REFRESH_TOKEN_DAYS", "DAYS";
    /// Seconds in which a refresh token may be shown again because its answer was lost, 0 to 31536000 [default: 31536000]
    lost_answer_seconds: u64, "LATCHKEY_LOST_ANSWER_SECONDS", "SECONDS";
    /// Seconds an authorization code lives, 30 to 600 [default: 600]
    code_seconds: u64, "LATCHKEY_CODE_SECONDS", "SECONDS";
    /// Seconds a device code lives, 60 to 1800 [default: 900]
    device_code_seconds: u64, "LATCHKEY_DEVICE_CODE_SECONDS", "SECONDS";
    /// MiB of memory one password hash takes, 19 to 1024 [default: 64]
    password_memory_mib: u32, "LATCHKEY_PASSWORD_MEMORY_MIB", "MIB";
    /// The server that sends letters: smtps://NAME:PASSWORD@HOST, or smtp://…?tls=required; without it they become files in `mail` in the data folder
    smtp_url: String, "LATCHKEY_SMTP_URL", "URL";
    /// Who letters are from [default: Latchkey, at the public address's host]
    mail_from: String, "LATCHKEY_MAIL_FROM", "ADDRESS";
    /// Let anybody with an email address make an account; otherwise an invitation is needed [default: false]
    open_registration: bool, "LATCHKEY_OPEN_REGISTRATION", "BOOL";
    /// Minutes a home may be offline before its owners get a letter, 0 (never) to 1440 [default: 10]
    offline_mail_minutes: u64, "LATCHKEY_OFFLINE_MAIL_MINUTES", "MINUTES";
}

/// IP addresses with commas between.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Addresses(pub Vec<IpAddr>);

impl std::str::FromStr for Addresses {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(|part| part.trim().to_owned())
            .filter(|p| !p.is_empty())
            .collect::<Vec<_>>()
            .try_into()
    }
}

impl TryFrom<Vec<String>> for Addresses {
    type Error = String;
    fn try_from(parts: Vec<String>) -> Result<Self, String> {
        let parse = |part: &String| part.parse().map_err(|_| format!("{part:?} is not an IP address"));
        parts.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }
}

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Scheme, host and port the world uses; no path.
    pub public_url: Url,
    /// Homes are `<name>.<home_domain>`.
    pub home_domain: String,
    /// Cloudflare's accounts, one for each domain under which homes get tunnels there; none for direct tunnels.
    pub cloudflare: Vec<CloudflareAccount>,
    /// The folder for what must survive.
    pub data_dir: PathBuf,
    /// The database.
    pub database: Where,
    /// The key list.
    pub keys_file: PathBuf,
    /// Certificate chain and key, where the broker speaks TLS itself.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Whom the broker gets its certificate from, where it orders one itself.
    pub acme: Option<Acme>,
    /// Proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// How long OAuth's codes and tokens live (O2).
    pub lifetimes: Lifetimes,
    /// Memory of one password hash, in KiB.
    pub password_memory_kib: u32,
    /// Where letters go.
    pub mail: mail::Settings,
    /// Whether anybody may make an account.
    pub open_registration: bool,
    /// How long a home may be offline before its owners get a letter; none: they never do.
    pub offline_mail: Option<Duration>,
}

/// How long OAuth's codes and tokens live (O2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Access tokens.
    pub access: Duration,
    /// Refresh tokens, unused.
    pub refresh: Duration,
    /// A whole grant, however often it is refreshed: a year.
    pub grant: Duration,
    /// How long after its first use a refresh token may be shown again, while nothing that came of it was used:
    /// a program that lost the answer to a power cut comes back when the power does.
    pub again: Duration,
    /// Authorization codes.
    pub code: Duration,
    /// Device and user codes.
    pub device: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR: u64 = 365 * 24 * 3600;

impl Cli {
    /// Puts flags, environment, file and defaults together.
    ///
    /// # Errors
    /// When the file cannot be read or a setting is wrong; the text names it.
    pub fn settle(&self) -> anyhow::Result<Settings> {
        let file = match &self.settings {
            Some(path) => read(path)?,
            None => Given::default(),
        };
        self.given.clone().or(file).settle(std::env::var_os("STATE_DIRECTORY").map(PathBuf::from))
    }
}

fn read(path: &Path) -> anyhow::Result<Given> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("read the settings at {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("read the settings at {}", path.display()))
}

impl Given {
    /// Checks everything and fills in the defaults.
    ///
    /// # Errors
    /// The first setting that is wrong, by name.
    pub fn settle(self, state_dir: Option<PathBuf>) -> anyhow::Result<Settings> {
        let listen = self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8420)));
        let tls = match (self.tls_certificate, self.tls_key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => bail!("tls_certificate is set and tls_key is not: both are needed"),
            (None, Some(_)) => bail!("tls_key is set and tls_certificate is not: both are needed"),
        };
        let public_url = public_url(self.public_url, listen)?;
        let cloudflare = match &self.cloudflare {
            Some(path) => read_cloudflare(path).context("cloudflare")?,
            None => Vec::new(),
        };
        let acme = acme::Asked {
            directory: self.acme_directory,
            agree_terms: self.acme_agree_terms,
            contact: self.acme_contact,
            root: self.acme_root,
            dns: self.acme_dns_cloudflare,
            hook: self.acme_dns_hook,
            dns_wait_seconds: self.acme_dns_wait_seconds,
            has_files: tls.is_some(),
        };
        let acme = acme.settle(&public_url, &cloudflare)?;
        let speaks_tls = tls.is_some() || acme.is_some();
        let plain_is_fine = speaks_tls || listen.ip().is_loopback() || self.allow_plain_http == Some(true);
        ensure!(
            plain_is_fine,
            "listen: {listen} is not loopback and would be served without TLS; set tls_certificate and tls_key, or acme_directory, or allow_plain_http behind a proxy that speaks TLS"
        );
        let data_dir = self.data_dir.or(state_dir).unwrap_or_else(|| PathBuf::from("latchkey-data"));
        let home_domain = home_domain(self.home_domain, &public_url)?;
        let database = match self.database {
            Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Where::Postgres(Secret::from(url))
            }
            Some(_) => bail!("database: it must begin with postgres://; without it SQLite is used"),
            None => Where::Sqlite(data_dir.join("latchkey.db")),
        };
        let offline_mail = within("offline_mail_minutes", self.offline_mail_minutes, 10, 0..=1440)?;
        let mib = within("password_memory_mib", self.password_memory_mib.map(u64::from), 64, 19..=1024)?;
        Ok(Settings {
            listen,
            cloudflare,
            home_domain,
            database,
            mail: mail::Settings {
                smtp: self.smtp_url.map(Secret::from),
                from: mail_from(self.mail_from, &public_url),
                folder: data_dir.join("mail"),
            },
            open_registration: self.open_registration.unwrap_or(false),
            offline_mail: (offline_mail > 0).then(|| Duration::from_secs(offline_mail * 60)),
            keys_file: self.keys_file.unwrap_or_else(|| data_dir.join("keys")),
            data_dir,
            tls,
            acme,
            public_url,
            trusted_proxies: self.trusted_proxies.unwrap_or_default().0,
            lifetimes: Lifetimes {
                access: seconds("access_token_seconds", self.access_token_seconds, 3600, 60..=3600)?,
                refresh: DAY
                    * u32::try_from(within("refresh_token_days", self.refresh_token_days, 30, 1..=365)?)?,
                grant: DAY * 365,
                again: seconds("lost_answer_seconds", self.lost_answer_seconds, YEAR, 0..=YEAR)?,
                code: seconds("code_seconds", self.code_seconds, 600, 30..=600)?,
                device: seconds("device_code_seconds", self.device_code_seconds, 900, 60..=1800)?,
            },
            password_memory_kib: u32::try_from(mib)? * 1024,
        })
    }
}

fn within(
    name: &str,
    given: Option<u64>,
    default: u64,
    bounds: std::ops::RangeInclusive<u64>,
) -> anyhow::Result<u64> {
    let value = given.unwrap_or(default);
    ensure!(
        bounds.contains(&value),
        "{name}: {value} is not between {} and {}",
        bounds.start(),
        bounds.end()
    );
    Ok(value)
}

fn seconds(
    name: &str,
    given: Option<u64>,
    default: u64,
    bounds: std::ops::RangeInclusive<u64>,
) -> anyhow::Result<Duration> {
    within(name, given, default, bounds).map(Duration::from_secs)
}

fn public_url(given: Option<Url>, listen: SocketAddr) -> anyhow::Result<Url> {
    let Some(url) = given else {
        return Ok(Url::parse(&format!("http://localhost:{}", listen.port()))?);
    };
    ensure!(matches!(url.scheme(), "http" | "https"), "public_url: {url} is neither http nor https");
    ensure!(url.host_str().is_some_and(|h| !h.is_empty()), "public_url: {url} names no host");
    let bare =
        url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    ensure!(bare, "public_url: only scheme, host and port, such as https://latchkey.example.com");
    let local = matches!(url.host(), Some(Host::Ipv4(ip)) if ip.is_loopback())
        || matches!(url.host(), Some(Host::Ipv6(ip)) if ip.is_loopback())
        || url.host_str().is_some_and(|host| host == "localhost" || host.ends_with(".localhost"));
    ensure!(
        url.scheme() == "https" || local,
        "public_url: {url} must be https: cookies and tokens would travel in clear"
    );
    Ok(url)
}

fn mail_from(given: Option<String>, public_url: &Url) -> String {
    given.unwrap_or_else(|| match public_url.host() {
        Some(Host::Domain(host)) => format!("Latchkey <latchkey@{host}>"),
        Some(Host::Ipv4(ip)) => format!("Latchkey <latchkey@[{ip}]>"),
        Some(Host::Ipv6(ip)) => format!("Latchkey <latchkey@[IPv6:{ip}]>"),
        None => "Latchkey <latchkey@localhost>".to_owned(),
    })
}

fn home_domain(given: Option<String>, public_url: &Url) -> anyhow::Result<String> {
    let domain = match (given, public_url.host()) {
        (Some(domain), _) => domain.trim_start_matches('.').to_ascii_lowercase(),
        (None, Some(Host::Domain(host))) => host.to_owned(),
        (None, _) => bail!("home_domain: it is needed when public_url names an IP address"),
    };
    ensure!(is_domain(&domain), "home_domain: {domain:?} is not a domain name");
    Ok(domain)
}

fn is_domain(text: &str) -> bool {
    text.split('.').all(|part| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    })
}

#[cfg(test)]
mod tests;
