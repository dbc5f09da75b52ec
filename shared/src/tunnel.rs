//! Tunnels: the JSON by which an agent learns its own, and how the `direct` one is dialled.
//!
//! The direct tunnel: the agent sends `GET` [`DIRECT_PATH`] over HTTP/1.1 with `Connection: Upgrade`,
//! `Upgrade:` [`DIRECT_PROTOCOL`] and the tunnel token in `Authorization: Bearer`. The broker answers 101 and
//! the roles turn round: on that connection the broker is the HTTP/2 client and the agent the server
//! (WebSockets by RFC 8441).
//!
//! 1. The broker's first request is [`DIRECT_HELLO`] to [`DIRECT_CONTROL`]; any answer will do. Only then is
//!    the line used: it is proof that somebody serves, and the agent's settings have come before it.
//! 2. Each visitor's request follows as a stream of its own, with the visitor's `Host` as `:authority`.
//! 3. An agent that gets no answer from Home Assistant says 502 with [`DIRECT_ORIGIN_HEADER`].
//! 4. When another agent of the home has dialled, the broker asks [`DIRECT_TAKEN_OVER`] and hangs up.

use serde::{Deserialize, Serialize};

use crate::id::HomeId;
use crate::secret::Secret;

/// Where the agent dials the direct tunnel.
pub const DIRECT_PATH: &str = "/agent/tunnel";

/// The word in `Upgrade:`.
pub const DIRECT_PROTOCOL: &str = "latchkey-tunnel-1";

/// Direct tunnel tokens begin with this; Cloudflare's begin with `eyJ`.
pub const DIRECT_TOKEN_PREFIX: &str = "lkt_";

/// The authority of what the broker says to the agent itself. No visitor's request carries it: `.invalid`
/// is nobody's name (RFC 6761 section 6.4).
pub const DIRECT_CONTROL: &str = "agent.invalid";

/// The path of the first request down a fresh line.
pub const DIRECT_HELLO: &str = "/hello";

/// The path that tells an agent that it has been replaced and should not come back soon.
pub const DIRECT_TAKEN_OVER: &str = "/taken-over";

/// The header on an agent's own 502; it never stands on an answer of Home Assistant.
pub const DIRECT_ORIGIN_HEADER: &str = "latchkey-origin";

/// Its value.
pub const DIRECT_ORIGIN_UNREACHABLE: &str = "unreachable";

/// `GET /api/smarthome/homes/{id}/tunnel-token`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TunnelTokenAnswer {
    /// The secret that opens the tunnel.
    pub tunnel_token: Secret,
    /// The provider's id of the tunnel.
    pub tunnel_id: String,
    /// The home's whole hostname.
    pub subdomain: String,
}

/// A home as the JSON routes show it (T1); never the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeAnswer {
    /// The home's id.
    pub id: HomeId,
    /// Its name.
    pub name: String,
    /// `pending`, `provisioning`, `active`, `error` or `deleting`.
    pub state: String,
    /// The home's whole hostname, once it has one.
    #[serde(default)]
    pub subdomain: Option<String>,
    /// `connected`, `disconnected` or `error`.
    pub tunnel_status: String,
    /// The address to open in a browser.
    #[serde(default)]
    pub url: Option<String>,
    /// The port of Home Assistant on the agent's side.
    #[serde(default)]
    pub ha_port: Option<u16>,
    /// Since when the tunnel is connected, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub connected_since: Option<i64>,
    /// What is wrong, for the owner.
    #[serde(default)]
    pub error_message: Option<String>,
    /// When the home was made, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub created_at: Option<i64>,
}

/// `GET /api/smarthome/homes/{id}` and `…/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeEnvelope {
    /// The home.
    pub home: HomeAnswer,
}
