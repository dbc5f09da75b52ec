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

/// The header with which the broker asks a home's public address whether it works. No visitor's request carries it
/// down the line.
pub const DIRECT_PROOF_HEADER: &str = "latchkey-proof";

/// The header on a 400 of Home Assistant to such a request: the agent's address as Home Assistant sees it, which is
/// what `trusted_proxies` lacks.
pub const DIRECT_SEEN_AS_HEADER: &str = "latchkey-seen-as";

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
    /// What asking its public address came to last; only where one home is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ProofAnswer>,
}

/// What asking a home's public address came to (T9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofAnswer {
    /// Whether it leads to Home Assistant.
    pub is_proved: bool,
    /// `proved`, or in one word why not.
    pub finding: String,
    /// An address, a status or an error, as the finding has it; may be empty.
    #[serde(default)]
    pub detail: String,
    /// When it was asked, in milliseconds since the Unix epoch.
    pub at: i64,
}

/// `GET /api/smarthome/homes/{id}` and `…/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeEnvelope {
    /// The home.
    pub home: HomeAnswer,
    /// The steps of the way into the house, outermost first; in `…/status` only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hops: Vec<HopAnswer>,
}

/// One step of the way into the house (T5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopAnswer {
    /// `provider`, `tunnel`, `agent` or `home_assistant`; a newer broker may know more.
    pub hop: String,
    /// `up`, `down`, `error` (somebody must act) or `unknown`.
    pub state: String,
    /// Since when, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub since: Option<i64>,
    /// Why, as a code word such as `agent_gone`; nothing where there is nothing to say.
    #[serde(default)]
    pub reason: Option<String>,
    /// The same as a sentence, in the language of `Accept-Language`.
    #[serde(default)]
    pub sentence: Option<String>,
    /// More: a machine and its version, or what was said by whoever failed.
    #[serde(default)]
    pub detail: Option<String>,
}

/// `GET /api/smarthome/homes/{id}/history`: when a hop was down, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryAnswer {
    /// One page of them.
    pub events: Vec<HopEventAnswer>,
    /// What to ask `?before=` with for the next page; nothing at the end.
    #[serde(default)]
    pub next: Option<i64>,
}

/// One time that a hop was down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopEventAnswer {
    /// Its id.
    pub id: i64,
    /// Which hop, as in [`HopAnswer`].
    pub hop: String,
    /// `down` or `error`.
    pub state: String,
    /// Why, as a code word.
    #[serde(default)]
    pub reason: Option<String>,
    /// The same as a sentence, in the language of `Accept-Language`.
    #[serde(default)]
    pub sentence: Option<String>,
    /// More: what was said by whoever failed.
    #[serde(default)]
    pub detail: Option<String>,
    /// When it began, in milliseconds since the Unix epoch.
    pub at: i64,
    /// When it was over; nothing while it lasts.
    #[serde(default)]
    pub ended_at: Option<i64>,
}
