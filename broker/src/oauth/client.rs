//! Clients: the programs that may ask, where their answers go, and how they prove who they are.
//!
//! Invariant: a redirect URI is compared as text, whole; the one exception is the port of a loopback address
//! (RFC 8252 section 7.3). No URL parser stands between what was registered and what was sent.

use std::collections::BTreeSet;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::header;
use shared::oauth::{AGENT_CLIENT_ID, AGENT_REDIRECT_URI, DEVICE_GRANT, Scope, Scopes};
use shared::secret::Secret;

use super::refusal::{Refusal, Wrong};
use crate::chance;
use crate::http::Asked;
use crate::http::form::Form;

/// A grant a client may be registered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GrantType {
    /// RFC 6749 section 4.1.
    Code,
    /// RFC 6749 section 6.
    Refresh,
    /// RFC 8628.
    Device,
}

impl GrantType {
    /// All that are offered.
    pub const ALL: [Self; 3] = [Self::Code, Self::Refresh, Self::Device];

    /// The `grant_type` on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Code => "authorization_code",
            Self::Refresh => "refresh_token",
            Self::Device => DEVICE_GRANT,
        }
    }

    /// The grant of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.word() == word)
    }
}

/// A program that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// What people see on the consent page.
    pub name: String,
    /// The hash of its secret; a client without one is public.
    pub secret_hash: Option<Vec<u8>>,
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
            name: "Latchkey Agent".to_owned(),
            secret_hash: None,
            redirect_uris: LOOPBACK.iter().map(|host| format!("{host}{path}")).collect(),
            grants: GrantType::ALL.into_iter().collect(),
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
        let most: Scopes = self.scopes.iter().filter(|scope| *scope != Scope::TunnelsManage).collect();
        let Some(asked) = asked else { return Ok(most) };
        let asked = Scopes::parse(asked).map_err(|_| Refusal::InvalidScope)?;
        if asked.is_empty() || !asked.within(&most) { Err(Refusal::InvalidScope) } else { Ok(asked) }
    }

    /// Whether the client may use a grant.
    pub fn may(&self, grant: GrantType) -> Result<(), Refusal> {
        if self.grants.contains(&grant) { Ok(()) } else { Err(Refusal::NotForThisClient) }
    }

    fn is_proved_by(&self, secret: Option<&Secret>) -> bool {
        match (&self.secret_hash, secret) {
            (None, None) => true,
            (Some(hash), Some(secret)) => {
                verify_slices_are_equal(hash, &chance::hash(secret.expose())).is_ok()
            }
            // A public client's secret proves nothing (TK-20); a confidential one must show it (TK-19).
            (None, Some(_)) | (Some(_), None) => false,
        }
    }
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

/// Who a client says it is, and its proof: RFC 6749 section 2.3.
#[derive(Debug)]
pub struct Claim {
    /// The `client_id`.
    pub id: String,
    secret: Option<Secret>,
}

impl Claim {
    /// Reads `client_secret_basic`, `client_secret_post` or a bare `client_id`; never two of them (TK-17).
    pub fn read(asked: &Asked, form: &Form) -> Result<Self, Wrong> {
        let (id, secret) = (form.optional("client_id")?, form.optional("client_secret")?);
        let claim = Self::put_together(asked, id, secret)?;
        // Failures are remembered by this text.
        if claim.id.len() > LONGEST_ID { Err(Refusal::UnknownClient.into()) } else { Ok(claim) }
    }

    fn put_together(asked: &Asked, id: Option<&str>, secret: Option<&str>) -> Result<Self, Refusal> {
        if !asked.headers.contains_key(header::AUTHORIZATION) {
            let id = id.ok_or(Refusal::UnknownClient)?.to_owned();
            return Ok(Self { id, secret: secret.map(|s| Secret::from(s.to_owned())) });
        }
        let claim = asked.header(header::AUTHORIZATION).and_then(basic).ok_or(Refusal::UnknownClient)?;
        if secret.is_some() {
            return Err(Refusal::Malformed("two ways of client authentication in one request"));
        }
        // The authenticated client decides, not one that is merely named (TK-21).
        if id.is_some_and(|id| id != claim.id) {
            return Err(Refusal::Malformed("client_id is not the client that authenticates"));
        }
        Ok(claim)
    }

    /// The client, if it is who it says.
    pub fn prove(&self, known: Option<Client>) -> Result<Client, Refusal> {
        let proved = known.as_ref().is_some_and(|client| client.is_proved_by(self.secret.as_ref()));
        known.filter(|client| proved && !client.disabled).ok_or(Refusal::UnknownClient)
    }
}

/// `Basic`, with both halves form-encoded inside (RFC 6749 section 2.3.1, TK-16).
fn basic(value: &str) -> Option<Claim> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let secret = decoded(secret)?;
    Some(Claim { id: decoded(id)?, secret: (!secret.is_empty()).then(|| Secret::from(secret)) })
}

fn decoded(text: &str) -> Option<String> {
    // Read as the value of one field; an `&` that was not escaped is the text's own and must stay.
    let form = Form::parse(format!("a={}", text.replace('&', "%26")).as_bytes()).ok()?;
    Some(form.optional("a").ok()?.unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests;
