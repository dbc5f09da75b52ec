//! Cloudflare's API v4, as far as a home's tunnel needs it. The only file that knows its paths.
//!
//! | what | how |
//! |---|---|
//! | a home's tunnel | `POST accounts/{a}/cfd_tunnel`, run by remote configuration (`config_src: cloudflare`) |
//! | where it leads | `PUT …/{id}/configurations`: hostname → origin, then 404; replaces the whole |
//! | its name in the world | `POST zones/{z}/dns_records`: a proxied CNAME to `{id}.cfargotunnel.com` |
//! | a proof of our own names | `POST zones/{z}/dns_records`: a TXT record, for as long as a CA looks at it |
//! | its token | `GET …/{id}/token`; a new secret by `PATCH …/{id}` |
//!
//! What creates is never repeated here: a call that was not answered may have been carried out, and only whoever
//! wanted it knows how to look.

mod call;
mod wire;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::secret::Secret;
use url::Url;

use crate::chance;
use call::{Call, Line};
pub use call::{Manners, Trouble};
pub use wire::{Connection, Connector, Record, Tunnel};

/// How many entries a page of a list has.
const PAGE: u32 = 100;
/// The most pages that are read of a list: a thousand tunnels is an account's limit.
const PAGES: u32 = 100;

/// Where the API is.
const API: &str = "https://api.cloudflare.com/client/v4";

/// An id that nothing has: what is asked of it changes nothing, and tells whether it might be asked.
pub const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// A result of the API.
pub type Result<T, E = Trouble> = std::result::Result<T, E>;

/// Whose tunnels, and under which domain their names are.
#[derive(Debug, Clone)]
pub struct Account {
    /// The account's tag, 32 hexadecimal digits.
    pub id: String,
    /// The zone's, 32 hexadecimal digits.
    pub zone: String,
    /// Account › Cloudflare Tunnel › Edit, Zone › DNS › Edit and Zone › Zone Settings › Read.
    pub token: Secret,
    /// How it is asked.
    pub manners: Manners,
}

/// The API of one account and zone.
pub struct Cloudflare {
    line: Line,
    account: String,
    zone: String,
}

impl Cloudflare {
    /// The API at `base`, or Cloudflare's own.
    pub fn new(http: reqwest::Client, base: Option<Url>, account: Account) -> Self {
        let Account { id, zone, token, manners } = account;
        let base = base.unwrap_or_else(|| API.parse().expect("the address above is a URL"));
        Self { line: Line::new(http, base, token, manners), account: id, zone }
    }

    /// Makes a tunnel.
    ///
    /// # Errors
    /// [`Trouble::NameTaken`]; after [`Trouble::Silence`] it may be there: [`Cloudflare::named`] tells.
    pub async fn create(&self, name: &str) -> Result<Tunnel> {
        let body = json!({"name": name, "config_src": "cloudflare"});
        self.one(Method::POST, &self.tunnels_path(&[]), Some(body)).await
    }

    /// The tunnel of a name that is not deleted.
    pub async fn named(&self, name: &str) -> Result<Option<Tunnel>> {
        let query = [("name", name), ("is_deleted", "false")];
        let found: Vec<Tunnel> = self.list(&self.tunnels_path(&[]), &query).await?;
        // Deleted ones have been seen in lists that were asked for others.
        Ok(found.into_iter().find(|tunnel| tunnel.name == name && tunnel.deleted_at.is_none()))
    }

    /// All tunnels whose names begin so and that are not deleted, with their status: one call a hundred.
    pub async fn beginning_with(&self, prefix: &str) -> Result<Vec<Tunnel>> {
        let query = [("include_prefix", prefix), ("is_deleted", "false")];
        let mut found: Vec<Tunnel> = self.list(&self.tunnels_path(&[]), &query).await?;
        found.retain(|tunnel| tunnel.name.starts_with(prefix) && tunnel.deleted_at.is_none());
        Ok(found)
    }

    /// A tunnel; `None` once it is deleted.
    pub async fn tunnel(&self, id: &str) -> Result<Option<Tunnel>> {
        match self.one::<Tunnel>(Method::GET, &self.tunnels_path(&[id]), None).await {
            Ok(tunnel) => Ok(tunnel.deleted_at.is_none().then_some(tunnel)),
            Err(Trouble::Gone) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// Says where a tunnel leads: its hostname to an origin (scheme, host and port), all else to 404. The
    /// configuration's new version.
    pub async fn configure(&self, id: &str, hostname: &str, origin: &str) -> Result<i64> {
        let ingress = json!([{"hostname": hostname, "service": origin}, {"service": "http_status:404"}]);
        let path = self.tunnels_path(&[id, "configurations"]);
        let body = json!({"config": {"ingress": ingress}});
        Ok(self.one::<wire::Configured>(Method::PUT, &path, Some(body)).await?.version)
    }

    /// The token by which `cloudflared` runs a tunnel.
    ///
    /// # Errors
    /// [`Trouble::Refused`] for one that would open another tunnel, or none.
    pub async fn token(&self, id: &str) -> Result<Secret> {
        let token: String = self.one(Method::GET, &self.tunnels_path(&[id, "token"]), None).await?;
        let token = Secret::from(token);
        let is_its = wire::Token::read(&token).is_some_and(|read| read.tunnel == id);
        if is_its { Ok(token) } else { Err(Trouble::Refused("a token that is not this tunnel's".to_owned())) }
    }

    /// Gives a tunnel a new secret that nobody knows: its old tokens open nothing any more. What is open stays
    /// so until [`Cloudflare::cut`].
    pub async fn renew(&self, id: &str) -> Result<()> {
        let body = json!({"tunnel_secret": BASE64_STANDARD.encode(chance::bytes::<32>())});
        self.one::<Value>(Method::PATCH, &self.tunnels_path(&[id]), Some(body)).await.map(drop)
    }

    /// Which connectors a tunnel has.
    pub async fn connectors(&self, id: &str) -> Result<Vec<Connector>> {
        let call = Call {
            method: Method::GET,
            path: &self.tunnels_path(&[id, "connections"]),
            query: &[],
            body: None,
        };
        Ok(self.line.call(call).await?.0.unwrap_or_default())
    }

    /// Cuts all connections of a tunnel.
    pub async fn cut(&self, id: &str) -> Result<()> {
        self.gone(&self.tunnels_path(&[id, "connections"])).await
    }

    /// Deletes a tunnel; one that is not there is deleted.
    ///
    /// # Errors
    /// [`Trouble::StillConnected`] for some minutes after its last connection went.
    pub async fn delete(&self, id: &str) -> Result<()> {
        self.gone(&self.tunnels_path(&[id])).await
    }

    /// The records of a name.
    pub async fn records(&self, name: &str) -> Result<Vec<Record>> {
        self.list(&self.records_path(&[]), &[("name.exact", name)]).await
    }

    /// The records that point at a tunnel.
    pub async fn records_of(&self, tunnel: &str) -> Result<Vec<Record>> {
        self.list(&self.records_path(&[]), &[("content.exact", &target(tunnel))]).await
    }

    /// The records whose comment begins so.
    pub async fn records_marked(&self, comment: &str) -> Result<Vec<Record>> {
        self.list(&self.records_path(&[]), &[("comment.startswith", comment)]).await
    }

    /// Names a tunnel in the zone.
    ///
    /// # Errors
    /// [`Trouble::RecordTaken`], whoever made the one that is there.
    pub async fn name(&self, name: &str, tunnel: &str, comment: &str) -> Result<Record> {
        self.one(Method::POST, &self.records_path(&[]), Some(record(name, tunnel, comment))).await
    }

    /// Points a record at a tunnel.
    pub async fn point(&self, id: &str, name: &str, tunnel: &str, comment: &str) -> Result<Record> {
        self.one(Method::PUT, &self.records_path(&[id]), Some(record(name, tunnel, comment))).await
    }

    /// Writes a text beside whatever else its name holds; one that is there already is written.
    pub async fn write_text(&self, name: &str, text: &str, comment: &str) -> Result<()> {
        // Quoted, as zone files have it; 60 s is the shortest that every plan allows.
        let body = json!({"type": "TXT", "name": name, "content": format!("\"{text}\""), "ttl": 60, "comment": comment});
        match self.one::<Record>(Method::POST, &self.records_path(&[]), Some(body)).await {
            Ok(_) | Err(Trouble::RecordTaken) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    /// Removes a text that a name holds, and nothing else of it.
    pub async fn remove_text(&self, name: &str, text: &str) -> Result<()> {
        for record in self.records(name).await? {
            if record.kind == "TXT" && record.content.trim_matches('"') == text {
                self.unname(&record.id).await?;
            }
        }
        Ok(())
    }

    /// The domain whose names are in the zone.
    pub async fn zone_name(&self) -> Result<String> {
        Ok(self.one::<wire::Zone>(Method::GET, &["zones", &self.zone], None).await?.name)
    }

    /// Removes a record; one that is not there is removed.
    pub async fn unname(&self, id: &str) -> Result<()> {
        self.gone(&self.records_path(&[id])).await
    }

    /// Whether the zone lets WebSockets through, without which Home Assistant's page cannot connect.
    pub async fn lets_websockets_through(&self) -> Result<bool> {
        let path = ["zones", &self.zone, "settings", "websockets"];
        Ok(self.one::<wire::Setting>(Method::GET, &path, None).await?.value == "on")
    }

    fn tunnels_path<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        [&["accounts", &self.account, "cfd_tunnel"], rest].concat()
    }

    fn records_path<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        [&["zones", &self.zone, "dns_records"], rest].concat()
    }

    async fn one<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Value>,
    ) -> Result<T> {
        let (result, _) = self.line.call(Call { method, path, query: &[], body }).await?;
        result.ok_or_else(|| Trouble::Refused("an answer without a result".to_owned()))
    }

    /// DELETE, where not being there is as good.
    async fn gone(&self, path: &[&str]) -> Result<()> {
        let call = Call { method: Method::DELETE, path, query: &[], body: None };
        match self.line.call::<Value>(call).await {
            Ok(_) | Err(Trouble::Gone) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    async fn list<T: DeserializeOwned>(&self, path: &[&str], filter: &[(&str, &str)]) -> Result<Vec<T>> {
        let mut all = Vec::new();
        for number in 1..=PAGES {
            let (page, per_page) = (number.to_string(), PAGE.to_string());
            let query = [filter, &[("page", &*page), ("per_page", &*per_page)]].concat();
            let call = Call { method: Method::GET, path, query: &query, body: None };
            let (some, info) = self.line.call::<Vec<T>>(call).await?;
            let some = some.unwrap_or_default();
            let count = some.len();
            all.extend(some);
            // A page may be smaller than was asked for; only the count of all says that it was the last.
            let total = info.map_or(0, |info| info.total_count as usize);
            if count == 0 || all.len() >= total {
                break;
            }
        }
        Ok(all)
    }
}

/// What a record points at.
fn target(tunnel: &str) -> String {
    format!("{tunnel}.cfargotunnel.com")
}

fn record(name: &str, tunnel: &str, comment: &str) -> Value {
    json!({"type": "CNAME", "name": name, "content": target(tunnel), "proxied": true, "ttl": 1, "comment": comment})
}

/// Whether a record points at a tunnel.
pub fn points_at(record: &Record, tunnel: &str) -> bool {
    record.kind == "CNAME" && record.content.eq_ignore_ascii_case(&target(tunnel))
}
