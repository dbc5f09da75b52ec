//! Cloudflare's accounts, from a TOML file of their own: each is one zone under which homes get names.
//!
//! ```toml
//! [[account]]
//! domain = "homes.example.com"                    # homes are <name>.<domain>
//! account = "699d98642c564d2e855e9661899b7252"    # the account's id
//! zone = "023e105f4ecef8ad9ca31a8372d0c353"       # the domain's zone id
//! token_file = "/etc/latchkey/cloudflare.token"   # a 0600 file with the API token
//! homes = 190                                     # as many as the zone has room for [default: 1000]
//! calls_per_second = 3.3                          # the API's limit is 1200 in five minutes [default: 3.3]
//! patience_seconds = 15                           # how long an answer may take [default: 15]
//! ```

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use shared::secret::Secret;
use url::Url;

use super::is_domain;

/// The limit is 1200 calls in five minutes; going over it blocks every call for as long.
const CALLS: f64 = 3.3;

/// cloudflared's own client waits as many seconds.
const PATIENCE: u64 = 15;

/// An account gets no more tunnels than this without asking Cloudflare for more.
const HOMES: u32 = 1000;

/// A zone in an account, and the API token for both.
#[derive(Debug, Clone)]
pub struct CloudflareAccount {
    /// Homes are `<name>.<domain>`.
    pub domain: String,
    /// The account's id, 32 hexadecimal digits.
    pub account: String,
    /// The zone's, 32 hexadecimal digits.
    pub zone: String,
    /// Account › Cloudflare Tunnel › Edit, Zone › DNS › Edit and Zone › Zone Settings › Read.
    pub token: Secret,
    /// The base of the API, where it is not Cloudflare's own.
    pub api: Option<Url>,
    /// New homes go elsewhere once it has so many.
    pub homes: u32,
    /// How fast the API is asked.
    pub calls_per_second: f64,
    /// How long an answer may take.
    pub patience: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    #[serde(default)]
    account: Vec<Given>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    domain: String,
    account: String,
    zone: String,
    token_file: PathBuf,
    api: Option<Url>,
    homes: Option<u32>,
    calls_per_second: Option<f64>,
    patience_seconds: Option<u64>,
}

/// Reads the accounts.
///
/// # Errors
/// The first thing that is wrong, with the account it is wrong in.
pub fn read_cloudflare(path: &Path) -> anyhow::Result<Vec<CloudflareAccount>> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let listed: Listed = toml::from_str(&text).with_context(|| format!("read {}", path.display()))?;
    ensure!(!listed.account.is_empty(), "{} names no [[account]]", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut accounts: Vec<CloudflareAccount> = Vec::new();
    for given in listed.account {
        let domain = given.domain.trim_start_matches('.').to_ascii_lowercase();
        let account = checked(given, folder, &domain).with_context(|| format!("the account of {domain}"))?;
        ensure!(accounts.iter().all(|other| other.domain != domain), "two accounts have the domain {domain}");
        accounts.push(account);
    }
    Ok(accounts)
}

fn checked(given: Given, folder: &Path, domain: &str) -> anyhow::Result<CloudflareAccount> {
    ensure!(is_domain(domain) && domain.contains('.'), "domain: {domain:?} is not a domain name");
    for (name, id) in [("account", &given.account), ("zone", &given.zone)] {
        let is_id = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
        ensure!(
            is_id,
            "{name}: {id:?} is not an id of 32 hexadecimal digits, as Cloudflare's dashboard shows it"
        );
    }
    if let Some(api) = &given.api {
        let is_local = api.host_str().is_some_and(|host| host == "localhost" || host == "127.0.0.1");
        ensure!(
            api.scheme() == "https" || is_local,
            "api: {api} must be https: the token would travel in clear"
        );
    }
    let homes = given.homes.unwrap_or(HOMES);
    ensure!(homes > 0, "homes: 0 leaves no room for any");
    let calls_per_second = given.calls_per_second.unwrap_or(CALLS);
    ensure!(
        (0.1..=1000.0).contains(&calls_per_second),
        "calls_per_second: {calls_per_second} is not between 0.1 and 1000"
    );
    let patience = given.patience_seconds.unwrap_or(PATIENCE);
    ensure!((1..=60).contains(&patience), "patience_seconds: {patience} is not between 1 and 60");
    Ok(CloudflareAccount {
        domain: domain.to_owned(),
        account: given.account,
        zone: given.zone,
        token: token(&folder.join(given.token_file))?,
        api: given.api,
        homes,
        calls_per_second,
        patience: Duration::from_secs(patience),
    })
}

/// The API token in a file that only we can read.
fn token(path: &Path) -> anyhow::Result<Secret> {
    let says = || format!("token_file: read {}", path.display());
    let mode = fs::metadata(path).with_context(says)?.permissions().mode();
    ensure!(mode & 0o077 == 0, "token_file: {} can be read by others: chmod 600 it", path.display());
    let token = fs::read_to_string(path).with_context(says)?.trim().to_owned();
    let is_token = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
    ensure!(is_token, "token_file: {} holds no API token", path.display());
    Ok(Secret::from(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [[account]]
        domain = "Homes.example.com"
        account = "699d98642c564d2e855e9661899b7252"
        zone = "023e105f4ecef8ad9ca31a8372d0c353"
        token_file = "token"
    "#;

    fn read_text(text: &str, mode: u32) -> anyhow::Result<Vec<CloudflareAccount>> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("token"), "secret-token\n").unwrap();
        fs::set_permissions(folder.path().join("token"), fs::Permissions::from_mode(mode)).unwrap();
        fs::write(folder.path().join("list.toml"), text).unwrap();
        read_cloudflare(&folder.path().join("list.toml"))
    }

    #[test]
    fn an_account_is_read_and_its_token_is_not_shown() {
        let accounts = read_text(GOOD, 0o600).unwrap();
        let [account] = &accounts[..] else { panic!("one account: {accounts:?}") };
        assert_eq!((&*account.domain, account.homes), ("homes.example.com", 1000));
        assert_eq!(account.api, None);
        assert_eq!(account.token.expose(), "secret-token");
        assert!(!format!("{accounts:?}").contains("secret-token"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let twice = GOOD.repeat(2);
        for (text, mode, says) in [
            ("", 0o600, "names no [[account]]"),
            (GOOD, 0o640, "chmod 600"),
            (&*twice, 0o600, "two accounts have the domain homes.example.com"),
            (&GOOD.replace("699d", "zzzz"), 0o600, "account: \"zzzz"),
            (
                &GOOD.replace("\"token\"", "\"token\"\napi = \"http://cloudflare.example\""),
                0o600,
                "must be https",
            ),
            (&GOOD.replace("\"token\"", "\"token\"\ncalls_per_second = 0"), 0o600, "calls_per_second: 0"),
            (&GOOD.replace("\"token\"", "\"token\"\npatience_seconds = 90"), 0o600, "patience_seconds: 90"),
            (&GOOD.replace("\"token\"", "\"nowhere\""), 0o600, "token_file: read"),
            (&GOOD.replace("\"token\"", "\"token\"\ncolour = 1"), 0o600, "unknown field `colour`"),
        ] {
            let err = format!("{:#}", read_text(text, mode).unwrap_err());
            assert!(err.contains(says), "{says}: {err}");
        }
    }
}
