//! The rules of grants: what may be exchanged, when, and once only. No I/O, no clock, no chance.
//!
//! Invariants: a code buys one grant; a device code buys one grant; of a family of refresh tokens one line
//! lives; and whoever shows a token of a line that has moved on ends the family.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use shared::id::{AccountId, GrantId, HomeId};
use shared::oauth::Scopes;

use super::refusal::Refusal;
use crate::chance;
use crate::clock::Timestamp;

/// How much a poll that comes too early makes the interval longer (RFC 8628 section 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// Timers of clients may be early by a little.
const EARLY: Duration = Duration::from_millis(100);

/// What was granted: the beginning of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Who granted it; nobody, where a program asked in its own name (RFC 6749 section 4.4).
    pub account: Option<AccountId>,
    /// The one home it is for, if it is for one.
    pub home: Option<HomeId>,
    /// What may be done.
    pub scopes: Scopes,
    /// The account's epoch at that moment: when it is raised, everything from before it is void.
    pub epoch: i64,
}

/// A family: one consent and all tokens that come of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// Its id.
    pub id: GrantId,
    /// What was granted.
    pub approval: Approval,
    /// When it ends, however often it is refreshed.
    pub ends_at: Timestamp,
    /// It was revoked.
    pub is_revoked: bool,
}

/// An authorization code, as it was issued (RFC 6749 section 4.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// What it buys.
    pub approval: Approval,
    /// Where it was sent.
    pub redirect_uri: String,
    /// Whether the request named that address.
    pub redirect_uri_sent: bool,
    /// The `code_challenge`, S256.
    pub challenge: Option<String>,
    /// When it lapses.
    pub expires_at: Timestamp,
}

/// What a client shows with a code.
#[derive(Debug, Clone, Copy, Default)]
pub struct Proof<'a> {
    /// `redirect_uri`.
    pub redirect_uri: Option<&'a str>,
    /// `code_verifier`.
    pub verifier: Option<&'a str>,
}

impl Code {
    /// Whether the code can be exchanged. It is spent by then: a wrong proof burns it (PK-09).
    pub fn redeem(self, now: Timestamp, proof: Proof<'_>) -> Result<Approval, Refusal> {
        if self.expires_at <= now {
            return Err(Refusal::DeadGrant);
        }
        let address_fits = match proof.redirect_uri {
            Some(sent) => sent == self.redirect_uri,
            None => !self.redirect_uri_sent,
        };
        let verifier_fits = match (&self.challenge, proof.verifier) {
            (Some(challenge), Some(verifier)) => is_verified(challenge, verifier),
            (None, None) => true,
            // No verifier where one is needed; or one where none was announced, a downgrade (PK-03).
            (Some(_), None) | (None, Some(_)) => false,
        };
        if address_fits && verifier_fits { Ok(self.approval) } else { Err(Refusal::WrongProof) }
    }
}

/// Whether a `code_challenge` can be one of S256: 43 characters of base64url (RFC 7636 section 4.2).
pub fn is_challenge(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// RFC 7636 section 4.6, and the verifier's own form (section 4.1) even where the hash fits (PK-07).
fn is_verified(challenge: &str, verifier: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    let hashed = BASE64_URL_SAFE_NO_PAD.encode(chance::hash(verifier));
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(allowed)
        && verify_slices_are_equal(hashed.as_bytes(), challenge.as_bytes()).is_ok()
}

/// Where a device authorization stands (RFC 8628 section 3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has decided.
    Pending,
    /// Somebody has decided to let it in, and what it is let into is still being made.
    Claimed,
    /// Somebody let it in.
    Approved(Approval),
    /// Somebody said no.
    Denied,
    /// The device has its tokens.
    Spent,
}

/// A device that waits for a person's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Where it stands.
    pub standing: Standing,
    /// When both codes lapse.
    pub expires_at: Timestamp,
    /// The least time between polls.
    pub interval: Duration,
    /// The last poll.
    pub polled_at: Option<Timestamp>,
}

impl Device {
    /// One poll (RFC 8628 section 3.5). An approval is handed out once.
    pub fn poll(&mut self, now: Timestamp) -> Result<Approval, Refusal> {
        if self.expires_at <= now && self.standing != Standing::Spent {
            return Err(Refusal::DeviceLapsed);
        }
        match &self.standing {
            Standing::Pending | Standing::Claimed => Err(self.wait(now)),
            Standing::Denied => Err(Refusal::Denied),
            Standing::Spent => Err(Refusal::DeadGrant),
            Standing::Approved(approval) => {
                let approval = approval.clone();
                self.standing = Standing::Spent;
                Ok(approval)
            }
        }
    }

    fn wait(&mut self, now: Timestamp) -> Refusal {
        // A poll that lies ahead was noted before the clock was set back; it says nothing.
        let too_soon =
            self.polled_at.is_some_and(|last| last <= now && now.since(last) + EARLY < self.interval);
        self.polled_at = Some(now);
        if too_soon {
            self.interval += SLOWER;
            return Refusal::SlowDown;
        }
        Refusal::Pending
    }
}

/// A refresh token and what has become of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refresh {
    /// When it lapses.
    pub expires_at: Timestamp,
    /// When it was first exchanged.
    pub used_at: Option<Timestamp>,
    /// Its parent was exchanged again before it was used: a successor nobody was known to hold.
    pub is_superseded: bool,
    /// Something that came after it was used: an access token presented, a refresh token exchanged. For a
    /// superseded token, something that took its place.
    pub moved_on: bool,
}

/// What a refresh token does when it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It gets its first successors.
    First,
    /// Its successors were lost on the way, as far as anybody knows: they are revoked and it gets new ones.
    Again,
    /// Two hold the line, and one of them should not: the family ends.
    Reuse,
}

impl Refresh {
    /// Whether the token may be exchanged (RFC 6749 section 6, RFC 9700 section 4.14.2).
    ///
    /// A client that never got the answer asks again with the same token; that is told from theft by whether
    /// a successor was used. A superseded token is refused, and ends the family only when what took its place
    /// is in use: until then it is one client with two answers. A client that comes back later than `again`
    /// after its first try is taken for somebody else's.
    pub fn turn(&self, now: Timestamp, family: &Family, again: Duration) -> Result<Turn, Refusal> {
        if family.is_revoked || family.ends_at <= now || self.expires_at <= now {
            return Err(Refusal::DeadGrant);
        }
        match (self.is_superseded, self.used_at, self.moved_on) {
            (_, _, true) => Ok(Turn::Reuse),
            (true, _, false) => Err(Refusal::DeadGrant),
            (false, Some(first), false) if now.since(first) > again => Ok(Turn::Reuse),
            (false, Some(_), false) => Ok(Turn::Again),
            (false, None, false) => Ok(Turn::First),
        }
    }
}

/// The scopes of the next access token: what is asked, within what was granted. The grant keeps what it has
/// (RT-07).
pub fn narrowed(asked: Option<&str>, granted: &Scopes) -> Result<Scopes, Refusal> {
    let Some(asked) = asked else { return Ok(granted.clone()) };
    let asked = Scopes::parse(asked).map_err(|_| Refusal::InvalidScope)?;
    if asked.is_empty() || !asked.within(granted) { Err(Refusal::InvalidScope) } else { Ok(asked) }
}

#[cfg(test)]
mod tests;
