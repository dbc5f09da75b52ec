//! Introspection (RFC 7662): whether a token is good, for the client it was given to and for resource servers.
//!
//! Invariant: a token that is unknown, mistyped, lapsed, revoked or not the asker's to know about is told alike:
//! `{"active":false}`, and nothing else (IN-04).
//!
//! Two questions to the database, no transaction: the client with its secrets, the token with its grant. Nothing is
//! remembered from one introspection to the next: a grant may be ended by a command or a broker beside this one, and
//! what was revoked is not called active a moment longer.

use std::time::Duration;

use serde::Serialize;

use super::refusal::{Refusal, Wrong};
use super::{OAuth, alive, client};
use crate::chance::{self, Kind};
use crate::clock::Timestamp;
use crate::http::{Asked, Fault};

/// Inactive answers of one client, a hundred a second: whoever asks about good tokens is not scanning (IN-07).
pub const MISSES: (u32, Duration) = (500, Duration::from_secs(5));

/// What is said of a token (RFC 7662 section 2.2).
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Introspection {
    /// Nothing.
    Inactive {
        /// Always false.
        active: bool,
    },
    /// All there is.
    Active(Box<Active>),
}

/// A token that is good.
#[derive(Debug, Serialize)]
pub struct Active {
    active: bool,
    scope: String,
    client_id: String,
    /// Access tokens only: a refresh token has no type (RFC 6749 section 5.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    exp: i64,
    iat: i64,
    sub: String,
    /// The one resource server there is: ourselves (BR-07).
    aud: String,
    iss: String,
}

/// The subject of a token. An account's id is digits; a client's has a prefix no id has, whatever the client is
/// called (CC-04).
fn subject(living: &alive::rows::Living) -> String {
    match living.approval.account {
        Some(account) => account.to_string(),
        None => format!("client:{}", living.client),
    }
}

fn seconds(moment: Timestamp) -> i64 {
    moment.millis().div_euclid(1000)
}

impl OAuth {
    /// `POST /oauth2/introspect`. `token_type_hint` is not needed to find a token, and so not read (IN-05).
    pub(super) async fn introspect(&self, asked: &Asked) -> Result<Introspection, Wrong> {
        self.limited(asked, async |form, claim| {
            let client = self.authenticate(claim).await?;
            // RFC 7662 section 2.1: whoever asks is authorised; a name alone is no proof (IN-02).
            if !client.is_confidential {
                return Err(Refusal::UnknownClient.into());
            }
            let token = form.optional("token")?.ok_or(Refusal::Malformed("token is missing"))?;
            let now = self.0.clock.now();
            self.0.unknown_tokens.take(&client.id, now)?;
            let living = self.living(&client, token, now).await?;
            let Some(living) = living else { return Ok(Introspection::Inactive { active: false }) };
            self.0.unknown_tokens.forgive(&client.id);
            Ok(Introspection::Active(Box::new(self.told(&living))))
        })
        .await
    }

    /// The token, if it is good and the client's to know about (IN-06).
    async fn living(
        &self,
        client: &client::Client,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<alive::rows::Living>, Wrong> {
        if ![Kind::Access, Kind::Refresh].iter().any(|kind| chance::looks_like(*kind, token)) {
            return Ok(None);
        }
        let hash = chance::hash(token);
        let living = alive::rows::living(&mut *self.0.store.read().await?, &hash, now).await?;
        let Some(living) = living.filter(|l| client.is_resource_server() || l.client == client.id) else {
            return Ok(None);
        };
        // A resource server was shown the token, so its client has it: the answer it came in was not lost.
        if client.is_resource_server() && living.is_access && !living.is_used {
            return match self.note_use(&hash, living.family, None).await {
                Ok(()) => Ok(Some(living)),
                Err(Fault::Unauthorized(_)) => Ok(None),
                Err(fault) => Err(fault.into()),
            };
        }
        Ok(Some(living))
    }

    fn told(&self, living: &alive::rows::Living) -> Active {
        Active {
            active: true,
            scope: living.approval.scopes.to_string(),
            client_id: living.client.clone(),
            token_type: living.is_access.then_some("Bearer"),
            exp: seconds(living.expires_at),
            iat: seconds(living.created_at),
            sub: subject(living),
            aud: self.0.site.origin(),
            iss: self.0.site.origin(),
        }
    }
}
