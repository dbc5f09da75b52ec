//! OAuth 2.0 as the agent and the broker speak it: scopes, grants, and the JSON of the token endpoint.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::HomeId;
use crate::secret::Secret;

/// The `client_id` under which every broker knows the agent: public, PKCE, device and code grants.
pub const AGENT_CLIENT_ID: &str = "latchkey-agent";

/// The agent's redirect URI; the port is free at request time (RFC 8252 section 7.3).
pub const AGENT_REDIRECT_URI: &str = "http://127.0.0.1/callback";

/// The device grant's `grant_type` (RFC 8628 section 3.4).
pub const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Paths of the provider (O1).
pub mod path {
    /// RFC 8414 metadata.
    pub const METADATA: &str = "/.well-known/oauth-authorization-server";
    /// RFC 6749 section 3.1.
    pub const AUTHORIZE: &str = "/oauth2/authorize";
    /// RFC 6749 section 3.2.
    pub const TOKEN: &str = "/oauth2/token";
    /// RFC 7662.
    pub const INTROSPECT: &str = "/oauth2/introspect";
    /// RFC 7009.
    pub const REVOKE: &str = "/oauth2/revoke";
    /// RFC 8628 section 3.1.
    pub const DEVICE_AUTHORIZATION: &str = "/oauth2/device_authorization";
    /// Where people type the user code.
    pub const DEVICE: &str = "/device";
}

/// What a token may be used for (O4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Read the workspaces one is in.
    WorkspaceRead,
    /// Read homes and their status.
    SmarthomeRead,
    /// Take a home's tunnel token.
    SmarthomeTunnel,
    /// Relay states and controls of one home (agents only).
    Relay,
    /// Make and revoke links.
    SharesManage,
    /// Manage tunnels (operators' programs only).
    TunnelsManage,
}

impl Scope {
    /// All of them, in the order they are shown.
    pub const ALL: [Self; 6] = [
        Self::WorkspaceRead,
        Self::SmarthomeRead,
        Self::SmarthomeTunnel,
        Self::Relay,
        Self::SharesManage,
        Self::TunnelsManage,
    ];

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::WorkspaceRead => "workspace:read",
            Self::SmarthomeRead => "smarthome:read",
            Self::SmarthomeTunnel => "smarthome:tunnel",
            Self::Relay => "relay",
            Self::SharesManage => "shares:manage",
            Self::TunnelsManage => "tunnels:manage",
        }
    }
}

/// A set of scopes: sorted, each once. On the wire: words with a space between (RFC 6749 section 3.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

/// A word that is no scope of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownScope;

impl Scopes {
    /// What the agent asks for.
    pub fn agent() -> Self {
        [Scope::WorkspaceRead, Scope::SmarthomeRead, Scope::SmarthomeTunnel, Scope::Relay]
            .into_iter()
            .collect()
    }

    /// Reads words with spaces between; an empty text is the empty set.
    pub fn parse(text: &str) -> Result<Self, UnknownScope> {
        text.split(' ')
            .filter(|word| !word.is_empty())
            .map(|word| Scope::ALL.into_iter().find(|s| s.word() == word).ok_or(UnknownScope))
            .collect::<Result<Self, _>>()
    }

    /// Whether a scope is in the set.
    pub fn has(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Whether the set holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every scope of this set is in the other.
    pub fn within(&self, other: &Self) -> bool {
        self.0.iter().all(|scope| other.has(*scope))
    }

    /// The scopes, in order.
    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut all: Vec<_> = scopes.into_iter().collect();
        all.sort_unstable();
        all.dedup();
        Self(all)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.0.iter().map(|s| s.word()).collect();
        f.write_str(&words.join(" "))
    }
}

/// The token endpoint's answer (RFC 6749 section 5.1).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenAnswer {
    /// For `Authorization: Bearer`.
    pub access_token: Secret,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until the access token lapses.
    pub expires_in: u64,
    /// For the next access token; every use brings a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<Secret>,
    /// What was granted, words with spaces between.
    pub scope: String,
    /// An extension of ours: the home this grant is bound to, for agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home_id: Option<HomeId>,
}

/// The device authorization endpoint's answer (RFC 8628 section 3.2).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeviceAnswer {
    /// What the device polls with.
    pub device_code: Secret,
    /// What the person types.
    pub user_code: String,
    /// Where they type it.
    pub verification_uri: String,
    /// The same with the code filled in; opening it approves nothing.
    pub verification_uri_complete: String,
    /// Seconds until both codes lapse.
    pub expires_in: u64,
    /// Seconds between polls.
    pub interval: u64,
}

/// An error of the provider's JSON endpoints (RFC 6749 section 5.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorAnswer {
    /// The error word.
    pub error: String,
    /// More for a developer to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_description: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_a_set_with_one_spelling() {
        let scopes = Scopes::parse("relay  workspace:read relay").unwrap();
        assert_eq!(scopes.to_string(), "workspace:read relay");
        assert!(scopes.has(Scope::Relay) && !scopes.has(Scope::SmarthomeTunnel));
        assert!(scopes.within(&Scopes::agent()) && !Scopes::agent().within(&scopes));
        assert_eq!(Scopes::parse("relay admin"), Err(UnknownScope));
        assert_eq!(Scopes::parse("Relay"), Err(UnknownScope));
        assert!(Scopes::parse("").unwrap().is_empty());
    }

    #[test]
    fn a_token_answer_hides_its_tokens_when_printed() {
        let json = r#"{"access_token":"aaa","token_type":"Bearer","expires_in":3600,"refresh_token":"bbb","scope":"relay"}"#;
        let answer: TokenAnswer = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&answer).unwrap(), json);
        let printed = format!("{answer:?}");
        assert!(!printed.contains("aaa") && !printed.contains("bbb"), "{printed}");
    }
}
