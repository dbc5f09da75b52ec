//! Tokens: a pair is minted at each exchange, and only its hashes stay here.

use shared::oauth::{Scopes, TokenAnswer};
use shared::secret::Secret;

use super::grant::Family;
use crate::chance::{self, Kind};
use crate::clock::Timestamp;
use crate::config::Lifetimes;

/// A token and what of it is kept.
#[derive(Debug)]
pub struct Minted {
    /// Access or refresh.
    pub kind: Kind,
    /// The token itself, for its client only.
    pub secret: Secret,
    /// What is stored.
    pub hash: Vec<u8>,
    /// What it may be used for.
    pub scopes: Scopes,
    /// When it lapses.
    pub expires_at: Timestamp,
}

/// What one exchange gives.
#[derive(Debug)]
pub struct Pair {
    /// For `Authorization: Bearer`.
    pub access: Minted,
    /// For the next pair; none for a client that may not refresh.
    pub refresh: Option<Minted>,
}

fn mint(kind: Kind, scopes: &Scopes, expires_at: Timestamp) -> Minted {
    let secret = chance::token(kind);
    let hash = chance::hash(secret.expose());
    Minted { kind, secret, hash, scopes: scopes.clone(), expires_at }
}

impl Pair {
    /// Mints a pair of a family. Neither outlives the family, however often it is refreshed (RT-12).
    pub fn mint(family: &Family, access: &Scopes, refreshes: bool, now: Timestamp, live: &Lifetimes) -> Self {
        let until = |span| now.after(span).min(family.ends_at);
        // The refresh token keeps what was granted, even where this access token is narrower (RT-07).
        let refresh = || mint(Kind::Refresh, &family.approval.scopes, until(live.refresh));
        Self { access: mint(Kind::Access, access, until(live.access)), refresh: refreshes.then(refresh) }
    }

    /// Both tokens, for the rows.
    pub fn minted(&self) -> impl Iterator<Item = &Minted> {
        std::iter::once(&self.access).chain(&self.refresh)
    }

    /// RFC 6749 section 5.1; `expires_in` is always said, Home Assistant's client stops without it (TK-04).
    pub fn answer(self, family: &Family, now: Timestamp) -> TokenAnswer {
        TokenAnswer {
            expires_in: self.access.expires_at.since(now).as_secs().max(1),
            access_token: self.access.secret,
            token_type: "Bearer".to_owned(),
            refresh_token: self.refresh.map(|minted| minted.secret),
            scope: self.access.scopes.to_string(),
            home_id: family.approval.home,
        }
    }
}
