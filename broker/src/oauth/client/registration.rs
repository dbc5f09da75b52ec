//! What may be registered: pure rules, each with a sentence for whoever registers.
//!
//! Invariant: whatever passes here can be compared as text, put into a `Location` header and into a page's
//! policy without another look.

use std::collections::BTreeSet;

use shared::id::WorkspaceId;
use shared::oauth::{Scope, Scopes};

use super::{Client, ClientKind, GrantType, LONGEST_ID};
use crate::chance;
use crate::http::escape::is_unshowable;

/// The one address of Home Assistant's application credentials: it leads on to the person's own instance.
pub const HOME_ASSISTANT: &str = "https://my.home-assistant.io/redirect/oauth";

/// How many addresses a client may have, and how long each may be.
const MOST_ADDRESSES: usize = 20;
const LONGEST_ADDRESS: usize = 1000;

/// What somebody wants to register.
#[derive(Debug, Clone)]
pub struct Registration {
    /// What people will see.
    pub name: String,
    /// What sort of program it is; decides what is left open below.
    pub kind: ClientKind,
    /// Whose it is.
    pub workspace: Option<WorkspaceId>,
    /// Where answers may be sent; empty for the kind's own.
    pub redirect_uris: Vec<String>,
    /// The grants, where they are not the kind's own.
    pub grants: Option<BTreeSet<GrantType>>,
    /// The scopes, where they are not the kind's own.
    pub scopes: Option<Scopes>,
    /// Whether it gets a secret, where that is not the kind's own.
    pub is_confidential: Option<bool>,
    /// Its `client_id`; one is drawn where it does not matter.
    pub id: Option<String>,
    /// The operator asks, who may give what owners may not (O8, IN-06).
    pub by_operator: bool,
}

/// Why something is not registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// No name, a long one, or one that cannot be shown.
    Name,
    /// A `client_id` with other than letters, digits, `.`, `_` and `-`, or a long one.
    Id,
    /// The kind cannot be registered, or not by whoever asks.
    Kind,
    /// A grant that does not go with the kind.
    Grant(GrantType),
    /// A scope that may not be given to it, or none at all.
    Scope,
    /// A program that keeps no secret, where one is needed; or the other way round.
    Secret,
    /// A program of its own that belongs to no workspace would see nothing (O8).
    Workspace,
    /// No address, where answers need one.
    NoAddress,
    /// Too many addresses.
    ManyAddresses,
    /// An address, and what is wrong with it.
    Address(String, &'static str),
}

impl Unfit {
    /// The key of the sentence for people.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Name => "clients-wrong-name",
            Self::Id => "clients-wrong-id",
            Self::Kind => "clients-wrong-kind",
            Self::Grant(_) => "clients-wrong-grant",
            Self::Scope => "clients-wrong-scope",
            Self::Secret => "clients-wrong-secret",
            Self::Workspace => "clients-wrong-workspace",
            Self::NoAddress => "clients-no-address",
            Self::ManyAddresses => "clients-many-addresses",
            Self::Address(_, word) => word,
        }
    }

    /// What of the registration is meant, where there are several.
    pub fn subject(&self) -> &str {
        match self {
            Self::Address(address, _) => address,
            Self::Grant(grant) => grant.word(),
            _ => "",
        }
    }
}

/// What goes with a kind.
struct Manner {
    /// Its grants; those it may have besides.
    grants: &'static [GrantType],
    more: &'static [GrantType],
    /// Whether it keeps a secret; `None`: as it likes, by itself not.
    secret: Option<bool>,
}

impl ClientKind {
    fn manner(self) -> Manner {
        use GrantType::{Client, Code, Device, Refresh};
        match self {
            Self::Agent => Manner { grants: &[Code, Refresh, Device], more: &[], secret: Some(false) },
            Self::Web => Manner { grants: &[Code, Refresh], more: &[Client, Device], secret: Some(true) },
            Self::HomeAssistant => Manner { grants: &[Code, Refresh], more: &[], secret: Some(true) },
            Self::Native => Manner { grants: &[Code, Refresh], more: &[Device], secret: None },
            Self::Device => Manner { grants: &[Device, Refresh], more: &[], secret: None },
            Self::Service => Manner { grants: &[Client], more: &[], secret: Some(true) },
            Self::ResourceServer => Manner { grants: &[], more: &[], secret: Some(true) },
        }
    }

    /// What it may do unless said otherwise.
    pub fn scopes(self) -> Scopes {
        match self {
            Self::Agent => Scopes::agent(),
            Self::HomeAssistant => {
                [Scope::WorkspaceRead, Scope::SmarthomeRead, Scope::SmarthomeTunnel].into_iter().collect()
            }
            Self::ResourceServer => Scopes::default(),
            _ => [Scope::WorkspaceRead, Scope::SmarthomeRead].into_iter().collect(),
        }
    }
}

impl Registration {
    /// The client this comes to.
    ///
    /// # Errors
    /// The first thing that is unfit.
    pub fn check(self) -> Result<Client, Unfit> {
        let name = self.name.trim().to_owned();
        if name.is_empty() || name.chars().count() > 80 || name.chars().any(is_unshowable) {
            return Err(Unfit::Name);
        }
        let operators = self.kind == ClientKind::ResourceServer;
        if self.kind == ClientKind::Agent || (operators && !self.by_operator) {
            return Err(Unfit::Kind);
        }
        let manner = self.kind.manner();
        let is_confidential = match (manner.secret, self.is_confidential) {
            (Some(must), Some(wish)) if must != wish => return Err(Unfit::Secret),
            (must, wish) => wish.or(must).unwrap_or(false),
        };
        let grants = self.grants.clone().unwrap_or_else(|| manner.grants.iter().copied().collect());
        let fits = |grant: &GrantType| manner.grants.contains(grant) || manner.more.contains(grant);
        if let Some(wrong) = grants.iter().find(|grant| !fits(grant)) {
            return Err(Unfit::Grant(*wrong));
        }
        if grants.contains(&GrantType::Client) && self.workspace.is_none() {
            return Err(Unfit::Workspace);
        }
        let id = match &self.id {
            Some(id) if !is_id(id) => return Err(Unfit::Id),
            Some(id) => id.clone(),
            None => drawn_id(&name),
        };
        Ok(Client {
            id,
            workspace: self.workspace,
            kind: self.kind,
            is_confidential,
            // Off for that one kind, whose client cannot do it (PK-11); and that kind keeps a secret.
            pkce_required: self.kind != ClientKind::HomeAssistant,
            redirect_uris: self.addresses(&grants, is_confidential)?,
            scopes: self.scopes(&grants)?,
            grants,
            name,
            disabled: false,
        })
    }

    fn addresses(&self, grants: &BTreeSet<GrantType>, is_confidential: bool) -> Result<Vec<String>, Unfit> {
        let mut addresses: Vec<String> = self.redirect_uris.iter().map(|uri| uri.trim().to_owned()).collect();
        addresses.retain(|uri| !uri.is_empty());
        if addresses.is_empty() && self.kind == ClientKind::HomeAssistant {
            addresses.push(HOME_ASSISTANT.to_owned());
        }
        if addresses.len() > MOST_ADDRESSES {
            return Err(Unfit::ManyAddresses);
        }
        if addresses.is_empty() && grants.contains(&GrantType::Code) {
            return Err(Unfit::NoAddress);
        }
        for uri in &addresses {
            may_be_sent_to(uri, is_confidential).map_err(|word| Unfit::Address(uri.clone(), word))?;
        }
        let mut seen = BTreeSet::new();
        addresses.retain(|uri| seen.insert(uri.clone()));
        Ok(addresses)
    }

    fn scopes(&self, grants: &BTreeSet<GrantType>) -> Result<Scopes, Unfit> {
        let scopes = self.scopes.clone().unwrap_or_else(|| self.kind.scopes());
        // A program in its own name only, and by the operator only (O8).
        let manages = self.by_operator && grants.contains(&GrantType::Client);
        let given = |scope| match scope {
            Scope::Relay => false,
            Scope::TunnelsManage => manages,
            _ => true,
        };
        if !scopes.iter().all(given) || (scopes.is_empty() && !grants.is_empty()) {
            return Err(Unfit::Scope);
        }
        Ok(scopes)
    }
}

fn is_id(id: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(allowed)
}

/// The name's own letters, so that logs can be read, and enough chance that it is nobody else's.
fn drawn_id(name: &str) -> String {
    let slug = chance::slug(name);
    let start = if slug.is_empty() { "client" } else { &*slug };
    format!("{start}-{}", chance::text(12, chance::LEGIBLE))
}

/// Whether answers may be sent to an address at all (RU-02, RU-04, RU-05, RU-07); the key of the sentence that
/// says why not.
pub fn may_be_sent_to(uri: &str, is_confidential: bool) -> Result<(), &'static str> {
    if uri.len() > LONGEST_ADDRESS {
        return Err("clients-address-long");
    }
    // RFC 3986 appendix A: what is not of these is written as a percent escape.
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()+,;=%".contains(&b);
    match uri.bytes().find(|b| !unreserved(*b)) {
        Some(b'#') => return Err("clients-address-fragment"),
        Some(b'*') => return Err("clients-address-wildcard"),
        Some(_) => return Err("clients-address-characters"),
        None => {}
    }
    let (scheme, rest) =
        uri.split_once(':').filter(|(scheme, _)| is_scheme(scheme)).ok_or("clients-address-relative")?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    has_own_names_free(query)?;
    match scheme {
        "https" => has_authority(path, is_host),
        "http" => has_authority(path, is_loopback).map_err(|word| match word {
            "clients-address-host" => "clients-address-http",
            other => other,
        }),
        own if !own.contains('.') => Err("clients-address-scheme"),
        _ if is_confidential => Err("clients-address-private"),
        _ if !path.starts_with('/') || path.starts_with("//") => Err("clients-address-slash"),
        _ => has_plain_path(path),
    }
}

/// RFC 3986 section 3.1, in the one spelling that is compared.
fn is_scheme(text: &str) -> bool {
    let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.');
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(rest)
}

/// What our answer says must not be said twice (RU-07).
fn has_own_names_free(query: &str) -> Result<(), &'static str> {
    const OURS: [&str; 6] = ["code", "state", "error", "iss", "error_description", "error_uri"];
    let taken = url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| OURS.contains(&&*name));
    if taken { Err("clients-address-query") } else { Ok(()) }
}

fn has_authority(rest: &str, host_fits: fn(&str) -> bool) -> Result<(), &'static str> {
    let rest = rest.strip_prefix("//").ok_or("clients-address-host")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let bracket = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[bracket..].find(':') {
        Some(at) => (&authority[..bracket + at], &authority[bracket + at + 1..]),
        None => (authority, "443"),
    };
    let is_port =
        !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if !host_fits(host) || !is_port { Err("clients-address-host") } else { has_plain_path(path) }
}

/// No way up and down again: browsers would follow it before they ask.
fn has_plain_path(path: &str) -> Result<(), &'static str> {
    let is_dots = |part: &str| matches!(&*part.to_ascii_lowercase().replace("%2e", "."), "." | "..");
    if path.split('/').any(is_dots) { Err("clients-address-dots") } else { Ok(()) }
}

fn is_host(host: &str) -> bool {
    if let Some(literal) = host.strip_prefix('[') {
        return literal.strip_suffix(']').is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let is_label = |label: &str| {
        let fits = label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        fits && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    host.split('.').all(is_label)
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "127.0.0.1" | "[::1]" | "localhost")
}

#[cfg(test)]
mod tests;
