//! The JSON of Cloudflare's API v4, as far as we read it. Every field may be missing: objects differ between
//! plans and change without notice.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared::secret::Secret;

/// What wraps every answer: `{"success", "errors", "messages", "result", "result_info"}`.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
pub struct Envelope<T> {
    #[serde(default)]
    pub success: bool,
    #[serde(default)]
    pub errors: Vec<ApiError>,
    #[serde(default = "none")]
    pub result: Option<T>,
    #[serde(default)]
    pub result_info: Option<PageInfo>,
}

fn none<T>() -> Option<T> {
    None
}

/// One of the errors. Codes of DNS are greater than 16 bits.
#[derive(Debug, Clone, Deserialize)]
pub struct ApiError {
    #[serde(default)]
    pub code: i64,
    #[serde(default)]
    pub message: String,
}

/// Where in a list an answer is.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct PageInfo {
    /// How many entries there are on all pages.
    #[serde(default)]
    pub total_count: u32,
}

/// A tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tunnel {
    /// Its UUID.
    pub id: String,
    /// Unique among those that are not deleted.
    #[serde(default)]
    pub name: String,
    /// `inactive` (never run), `degraded`, `healthy` or `down`.
    #[serde(default)]
    pub status: String,
    /// Set once it is deleted; deleted ones stay in lists.
    #[serde(default)]
    pub deleted_at: Option<String>,
}

/// A running `cloudflared` of a tunnel, with its connections to the edge.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Connector {
    /// The same as in its own `/ready`; new at each start.
    pub id: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// Its machine, such as `linux_arm64`.
    #[serde(default)]
    pub arch: String,
    /// Its connections.
    #[serde(default)]
    pub conns: Vec<Connection>,
}

/// One connection to the edge.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Connection {
    /// Where it comes from.
    #[serde(default)]
    pub origin_ip: String,
    /// When it was opened, RFC 3339.
    #[serde(default)]
    pub opened_at: String,
    /// It is gone, and still counted for some minutes.
    #[serde(default)]
    pub is_pending_reconnect: bool,
}

/// A DNS record.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// The whole name.
    #[serde(default)]
    pub name: String,
    /// `CNAME`, `A`, …
    #[serde(default, rename = "type")]
    pub kind: String,
    /// What it points at.
    #[serde(default)]
    pub content: String,
    /// What its maker wrote beside it.
    #[serde(default)]
    pub comment: Option<String>,
}

/// The version of a configuration, counted up by each PUT.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Configured {
    #[serde(default)]
    pub version: i64,
}

/// A switch of a zone.
#[derive(Debug, Clone, Deserialize)]
pub struct Setting {
    #[serde(default)]
    pub value: String,
}

/// A zone.
#[derive(Debug, Clone, Deserialize)]
pub struct Zone {
    #[serde(default)]
    pub name: String,
}

/// What a tunnel's token holds, as far as we check it: base64 of JSON, the account under `a`, the secret under `s`.
#[derive(Deserialize)]
pub struct Token {
    #[serde(rename = "t")]
    pub tunnel: String,
}

impl Token {
    /// None for what `cloudflared` would refuse.
    pub fn read(token: &Secret) -> Option<Self> {
        serde_json::from_slice(&BASE64_STANDARD.decode(token.expose()).ok()?).ok()
    }
}
