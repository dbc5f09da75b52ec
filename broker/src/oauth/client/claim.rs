//! Who a client says it is, and its proof (RFC 6749 section 2.3).
//!
//! Invariant: an unknown client, a wrong secret, a missing one and a disabled client cost the same work and are
//! told the same (TK-15).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::header;
use shared::secret::Secret;

use super::{Client, LONGEST_ID};
use crate::chance;
use crate::http::Asked;
use crate::http::form::Form;
use crate::oauth::refusal::{Refusal, Wrong};

/// A client as it stands in the database, with what proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The client.
    pub client: Client,
    /// The hashes of its secrets that are good now: one, or two while a rotation overlaps (TK-32).
    pub secrets: Vec<Vec<u8>>,
}

/// Who a client says it is, and its proof.
#[derive(Debug)]
pub struct Claim {
    /// The `client_id`.
    pub id: String,
    secret: Option<Secret>,
}

/// Stands in for the secret of a client that is not there; the hash of nothing a client could send.
const NOBODYS: [u8; 32] = [0; 32];

impl Known {
    fn is_proved_by(&self, presented: &[u8], has_secret: bool) -> bool {
        let fits = self.secrets.iter().fold(false, |fits, known| fits | is_equal(known, presented));
        // A public client's secret proves nothing (TK-20); a confidential one must show it (TK-19).
        if self.client.is_confidential { has_secret && fits } else { !has_secret }
    }
}

fn is_equal(known: &[u8], presented: &[u8]) -> bool {
    verify_slices_are_equal(known, presented).is_ok()
}

impl Claim {
    /// Reads `client_secret_basic`, `client_secret_post` or a bare `client_id`; never two of them (TK-17).
    pub fn read(asked: &Asked, form: &Form) -> Result<Self, Wrong> {
        // RFC 6749 section 2.3.1: never in the address, which every log on the way keeps (TK-18).
        let query = asked.query_form()?;
        if ["client_id", "client_secret"].iter().any(|name| query.all(name).next().is_some()) {
            return Err(Refusal::Malformed("credentials belong into the header or the body").into());
        }
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
    pub fn prove(&self, known: Option<Known>) -> Result<Client, Refusal> {
        let presented = chance::hash(self.secret.as_ref().map_or("", Secret::expose));
        let proved = match &known {
            Some(known) => known.is_proved_by(&presented, self.secret.is_some()),
            None => is_equal(&NOBODYS, &presented),
        };
        let client = known.map(|known| known.client);
        client.filter(|client| proved && !client.disabled).ok_or(Refusal::UnknownClient)
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
