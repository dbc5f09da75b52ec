//! Clients: the programs that may ask, where their answers go, and how they prove who they are.
//!
//! Invariant: a redirect URI is compared as text, whole; the one exception is the port of a loopback address
//! (RFC 8252 section 7.3). No URL parser stands between what was registered and what was sent.

pub(crate) mod claim;
pub(crate) mod registration;
pub(crate) mod rows;

use std::collections::BTreeSet;

use shared::id::WorkspaceId;
use shared::oauth::{AGENT_CLIENT_ID, AGENT_REDIRECT_URI, DEVICE_GRANT, Scope, Scopes};

use super::refusal::Refusal;

/// A grant a client may be registered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GrantType {
    /// RFC 6749 section 4.1.
    Code,
    /// RFC 6749 section 6.
    Refresh,
    /// RFC 6749 section 4.4.
    Client,
    /// RFC 8628.
    Device,
}

impl GrantType {
    /// All that are offered.
    pub const ALL: [Self; 4] = [Self::Code, Self::Refresh, Self::Client, Self::Device];

    /// The `grant_type` on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Code => "authorization_code",
            Self::Refresh => "refresh_token",
            Self::Client => "client_credentials",
            Self::Device => DEVICE_GRANT,
        }
    }

    /// The grant of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.word() == word)
    }
}

/// What sort of program a client is: what it is registered with unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// The agent, which is built in.
    Agent,
    /// A program on a server, which can keep a secret.
    Web,
    /// Home Assistant's application credentials: its OAuth helper keeps a secret and sends no PKCE (PK-11).
    HomeAssistant,
    /// An app or command-line program: it keeps no secret, and is reached on loopback or by a scheme of its own.
    Native,
    /// A machine without a browser.
    Device,
    /// A program of the workspace's own, without a person.
    Service,
    /// A service that is shown our tokens and asks whether they are good (RFC 7662). The operator's to give.
    ResourceServer,
}

impl ClientKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Agent,
        Self::Web,
        Self::HomeAssistant,
        Self::Native,
        Self::Device,
        Self::Service,
        Self::ResourceServer,
    ];

    /// The word of the command line, the forms and the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Web => "web",
            Self::HomeAssistant => "home-assistant",
            Self::Native => "native",
            Self::Device => "device",
            Self::Service => "service",
            Self::ResourceServer => "resource-server",
        }
    }

    /// The kind of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// A program that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// Whose it is; a client of no workspace is the broker's own, for everybody.
    pub workspace: Option<WorkspaceId>,
    /// What sort of program it is.
    pub kind: ClientKind,
    /// What people see on the consent page.
    pub name: String,
    /// It has a secret and must show it; one that does not is public.
    pub is_confidential: bool,
    /// An authorization request without PKCE is refused.
    pub pkce_required: bool,
    /// Where answers may be sent.
    pub redirect_uris: Vec<String>,
    /// The grants it may use.
    pub grants: BTreeSet<GrantType>,
    /// The most it may be given.
    pub scopes: Scopes,
    /// Nothing of it works any more.
    pub disabled: bool,
}

/// Loopback addresses as they stand in a URI, without a port (RFC 8252 section 7.3: the literals, not
/// `localhost`, which may lead elsewhere).
const LOOPBACK: [&str; 2] = ["http://127.0.0.1", "http://[::1]"];

/// The longest `client_id`, in bytes.
const LONGEST_ID: usize = 100;

impl Client {
    /// The agent, which every broker knows: public, with the device and the code grant.
    pub fn agent() -> Self {
        let path = AGENT_REDIRECT_URI.strip_prefix(LOOPBACK[0]).unwrap_or("/callback");
        Self {
            id: AGENT_CLIENT_ID.to_owned(),
            workspace: None,
            kind: ClientKind::Agent,
            name: "Latchkey Agent".to_owned(),
            is_confidential: false,
            pkce_required: true,
            redirect_uris: LOOPBACK.iter().map(|host| format!("{host}{path}")).collect(),
            grants: [GrantType::Code, GrantType::Refresh, GrantType::Device].into(),
            scopes: Scopes::agent(),
            disabled: false,
        }
    }

    /// Where the answer goes: the URI that was sent if it is registered, or the only registered one if none
    /// was sent (RU-01, RU-06).
    pub fn redirect_uri(&self, sent: Option<&str>) -> Option<String> {
        match (sent, &self.redirect_uris[..]) {
            (Some(sent), all) => all.iter().any(|known| is_the_same(known, sent)).then(|| sent.to_owned()),
            (None, [only]) => Some(only.clone()),
            (None, _) => None,
        }
    }

    /// What a request for scopes comes to: without one, all the client is registered for. Scopes that only
    /// the operator grants are never had from a person.
    pub fn asked_scopes(&self, asked: Option<&str>) -> Result<Scopes, Refusal> {
        within(asked, self.scopes.iter().filter(|scope| *scope != Scope::TunnelsManage).collect())
    }

    /// The same for a program that asks in its own name (CC-03). A home is an agent's to speak for.
    pub fn own_scopes(&self, asked: Option<&str>) -> Result<Scopes, Refusal> {
        within(asked, self.scopes.iter().filter(|scope| *scope != Scope::Relay).collect())
    }

    /// Whether the client may use a grant.
    pub fn may(&self, grant: GrantType) -> Result<(), Refusal> {
        if self.grants.contains(&grant) { Ok(()) } else { Err(Refusal::NotForThisClient) }
    }

    /// Whether it may ask about every token, not only its own (IN-06).
    pub fn is_resource_server(&self) -> bool {
        self.kind == ClientKind::ResourceServer
    }
}

fn within(asked: Option<&str>, most: Scopes) -> Result<Scopes, Refusal> {
    let Some(asked) = asked else { return Ok(most) };
    let asked = Scopes::parse(asked).map_err(|_| Refusal::InvalidScope)?;
    if asked.is_empty() || !asked.within(&most) { Err(Refusal::InvalidScope) } else { Ok(asked) }
}

fn is_the_same(registered: &str, sent: &str) -> bool {
    registered == sent
        || LOOPBACK.iter().any(|host| {
            let (Some(known), Some(sent)) = (registered.strip_prefix(host), sent.strip_prefix(host)) else {
                return false;
            };
            without_port(known).is_some() && without_port(known) == without_port(sent)
        })
}

/// What follows the port, if what stands there is a port or nothing.
fn without_port(rest: &str) -> Option<&str> {
    let Some(after) = rest.strip_prefix(':') else { return Some(rest) };
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    let (port, path) = after.split_at(digits);
    (!port.starts_with('0') && port.parse::<u16>().is_ok()).then_some(path)
}

#[cfg(test)]
mod tests;
