//! Who writes the DNS records that prove a name: Cloudflare's API where an account has the name's zone, else the
//! operator's program.
//!
//! Invariant: a record is removed only where name and value are those of a proof of ours.

use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::sync::OnceCell;

use super::stuck::Stuck;
use crate::config::{Acme, CloudflareAccount};
use crate::tunnels::cloudflare::{self, Cloudflare, Manners, NOBODY, Trouble};

/// How long the operator's program may take; it comes back when the record can be seen.
const PATIENCE: Duration = Duration::from_secs(300);
/// What the operator's program finds in its environment; nothing of ours, where secrets may be.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Of what it says when it fails, so many characters are told.
const SAYS: usize = 300;
/// What a record's comment at Cloudflare says.
const COMMENT: &str = "latchkey: proves a name to a CA, and goes when that is done";

/// A TXT record that proves a name (RFC 8555 section 8.4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// `_acme-challenge.` and the name.
    pub name: String,
    /// What the CA looks for; nothing secret.
    pub value: String,
}

/// Everybody who may write records.
pub struct Ways {
    zones: Vec<Zone>,
    hook: Vec<String>,
    wait: Duration,
}

struct Zone {
    domain: String,
    api: Cloudflare,
    /// Its own name, once the API has told it.
    name: OnceCell<String>,
}

/// Who writes one name's records.
enum Way<'a> {
    Zone(&'a Zone),
    Hook,
}

impl Ways {
    /// Those that the settings name.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(given: &Acme) -> anyhow::Result<Self> {
        let zone = |account: &CloudflareAccount| {
            let CloudflareAccount { domain, account: id, zone, token, api, .. } = account.clone();
            let manners = Manners { pace: account.calls_per_second, patience: account.patience };
            let http = reqwest::Client::builder().user_agent("latchkey-broker").build()?;
            let api = Cloudflare::new(http, api, cloudflare::Account { id, zone, token, manners });
            anyhow::Ok(Zone { domain, api, name: OnceCell::new() })
        };
        let zones = given.zones.iter().map(zone).collect::<Result<_, _>>()?;
        Ok(Self { zones, hook: given.hook.clone(), wait: given.dns_wait })
    }

    /// Writes a record beside whatever is there; gives how long it takes from now on until all can see it.
    pub async fn present(&self, record: &Record) -> Result<Duration, Stuck> {
        let (written, wait) = match self.way(&record.name).await? {
            Way::Zone(zone) => {
                (zone.api.write_text(&record.name, &record.value, COMMENT).await.map_err(told), self.wait)
            }
            // The program itself comes back no sooner.
            Way::Hook => (self.call("present", record).await, Duration::ZERO),
        };
        let stuck = |why| Stuck::Record { name: record.name.clone(), what: "written", why };
        written.map(|()| wait).map_err(stuck)
    }

    /// Removes a record; one that is not there is removed.
    pub async fn remove(&self, record: &Record) -> Result<(), Stuck> {
        let removed = match self.way(&record.name).await? {
            Way::Zone(zone) => zone.api.remove_text(&record.name, &record.value).await.map_err(told),
            Way::Hook => self.call("cleanup", record).await,
        };
        removed.map_err(|why| Stuck::Record { name: record.name.clone(), what: "removed", why })
    }

    /// In words, who writes the records of a name; whether they may is asked, and nothing changed.
    ///
    /// # Errors
    /// Why nobody does, in words.
    pub async fn examine(&self, name: &str) -> Result<String, String> {
        match self.way(name).await.map_err(|stuck| stuck.to_string())? {
            Way::Zone(zone) => match zone.api.unname(NOBODY).await {
                Ok(()) => Ok(format!("{name} is written at Cloudflare, in the zone with {}", zone.domain)),
                Err(Trouble::Denied(why)) => Err(format!(
                    "the API token of {} lacks the permission Zone > DNS > Edit, or is no good ({why})",
                    zone.domain
                )),
                Err(trouble) => Err(trouble.to_string()),
            },
            Way::Hook => {
                let program = self.hook.first().map_or("", String::as_str);
                match is_program(program) {
                    true => Ok(format!("{name} is written by {program}")),
                    false => Err(format!("acme_dns_hook: {program} is no program that can be run")),
                }
            }
        }
    }

    /// The zone whose domain is the longest that has the name, by the settings or by the API; else the program.
    async fn way(&self, name: &str) -> Result<Way<'_>, Stuck> {
        let given = self.zones.iter().filter(|zone| is_under(name, &zone.domain));
        if let Some(zone) = given.max_by_key(|zone| zone.domain.len()) {
            return Ok(Way::Zone(zone));
        }
        let mut best: Option<(&Zone, usize)> = None;
        let mut silent = None;
        for zone in &self.zones {
            match zone.name().await {
                Ok(its) if is_under(name, its) && best.is_none_or(|(_, most)| its.len() > most) => {
                    best = Some((zone, its.len()));
                }
                Ok(_) => {}
                Err(trouble) => silent = Some(trouble),
            }
        }
        match (best, silent) {
            (Some((zone, _)), _) => Ok(Way::Zone(zone)),
            (None, Some(trouble)) if trouble.passes() || self.hook.is_empty() => {
                Err(Stuck::Record { name: name.to_owned(), what: "brought to its zone", why: told(trouble) })
            }
            (None, _) if !self.hook.is_empty() => Ok(Way::Hook),
            (None, _) => Err(Stuck::NoWay(name.to_owned())),
        }
    }

    /// Runs the operator's program: its own arguments, what to do, the name, the value.
    async fn call(&self, what: &str, record: &Record) -> Result<(), String> {
        let Some((program, first)) = self.hook.split_first() else { return Ok(()) };
        let mut command = Command::new(program);
        command.args(first).args([what, &record.name, &record.value]).env_clear().env("PATH", PATH);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let ended = tokio::time::timeout(PATIENCE, command.output()).await;
        let ended =
            ended.map_err(|_| format!("{program} {what} has not ended in {} s", PATIENCE.as_secs()))?;
        let ended = ended.map_err(|err| format!("{program} cannot be run: {err}"))?;
        if ended.status.success() {
            return Ok(());
        }
        let says = String::from_utf8_lossy(&ended.stderr);
        let says: String = says.trim().lines().next_back().unwrap_or_default().chars().take(SAYS).collect();
        Err(format!("{program} {what}: {}: {says}", ended.status))
    }
}

impl Zone {
    async fn name(&self) -> cloudflare::Result<&str> {
        Ok(self.name.get_or_try_init(|| self.api.zone_name()).await?)
    }
}

fn told(trouble: Trouble) -> String {
    trouble.to_string()
}

fn is_under(name: &str, domain: &str) -> bool {
    !domain.is_empty() && name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_program(path: &str) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_under_its_own_domain_only() {
        for (name, domain, is_so) in [
            ("_acme-challenge.homes.example.com", "example.com", true),
            ("_acme-challenge.example.com", "example.com", true),
            ("example.com", "example.com", true),
            ("_acme-challenge.badexample.com", "example.com", false),
            ("_acme-challenge.example.com", "", false),
        ] {
            assert_eq!(is_under(name, domain), is_so, "{name} {domain}");
        }
    }
}
