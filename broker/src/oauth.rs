//! Letting programs act for people: an OAuth 2.0 provider (RFC 6749 with RFC 9700's advice).
//!
//! **A. Authorization code** (RFC 6749 section 4.1, PKCE of RFC 7636; `authorize`, `exchange`)
//!  1. The browser brings the request. Client and redirect URI are checked first; without both, nothing is
//!     sent anywhere.
//!  2. Whoever is not signed in does that first, with the request whole in `next`.
//!  3. The person sees who asks for what, narrows it, and for an agent chooses or makes the home (O7).
//!  4. The browser goes back with a code (or the refusal), the state and the issuer (RFC 9207).
//!  5. The client brings the code. It is spent by that, whatever comes of it.
//!  6. Redirect URI and verifier must be those of the request.
//!  7. A family begins; the code notes which, so that showing it again takes back what it bought.
//!
//! **B. Device** (RFC 8628; `device`, `exchange`)
//!  1. The device asks, and is counted.
//!  2. It gets a device code to poll with and a user code to show.
//!  3. A person who is signed in types the user code and sees who asks, from where, since when.
//!  4. The first decision stands.
//!  5. The device polls; too fast, and it is slowed down for good.
//!  6. An approval is spent and a family begins.
//!
//! **C. Refresh** (RFC 6749 section 6, RFC 9700 section 4.14.2; `exchange`)
//!  1. The family's row is taken, so those who come at once stand in a line.
//!  2. The token's first use brings the next pair.
//!  3. The same token again, while nothing that came of it was used: the answer was lost. The successors are
//!     revoked and a new pair is made, for as long as an answer may be called lost (`lost_answer_seconds`).
//!  4. The same token again after a successor was used: somebody else has it. The family ends.
//!
//!  An access token lives its hour whatever its refresh token does meanwhile, unless its family ends or it was
//!  superseded in step 3. A narrower `scope` is for that access token only.
//!
//! **D. Revocation** (RFC 7009; `revoke`)
//!  1. The client proves who it is. 2. Either of its tokens ends the whole grant. 3. When that is on disk it is
//!     answered, and told to whoever keeps something open for the grant.
//!
//! **E. Client credentials** (RFC 6749 section 4.4; `exchange`)
//!  1. The client proves who it is; a public one cannot. 2. It gets an access token for its own workspace, with
//!     scopes it is registered for, no account and no refresh token. 3. Its subject is `client:` and its id.
//!
//! **F. Introspection** (RFC 7662; `introspect`)
//!  1. The client proves who it is. 2. A token of its own, or for a resource server any, is looked up with
//!     everything it hangs on. 3. What is good is described; all else is `{"active":false}`.
//!
//! **Who may ask.** Clients are registered by owners (`/clients`) and by the operator; nobody registers one by
//! protocol (RFC 7591), so every redirect URI was vouched for by somebody known. To those that the operator
//! registered an error may be sent before anybody has signed in; to a workspace's own, after that only (AZ-24). A
//! client that a workspace registered may ask every account, as people expect of a program they come across; the
//! consent page says which workspace it is of. Without a person it
//! sees that workspace alone (O8). Pushed requests (RFC 9126) and DPoP (RFC 9449) are not offered.
//!
//! **For whom.** There is one resource server, the broker itself: every token's audience is the issuer (BR-07),
//! and a `resource` (RFC 8707) that is any other is refused with `invalid_target` (TK-31).
//!
//! **When the database is in trouble** nothing is refused for good: a lock is waited for, a few seconds, and the
//! answer is 503 with `Retry-After` (TK-30, RV-07); what was written before it is on disk, or was not done.
//!
//! Invariant: codes and tokens exist here as hashes only. A code that another client shows is unknown to it,
//! and stays good for its own.

mod alive;
mod authorize;
mod bearer;
pub(crate) mod client;
pub(crate) mod clients;
mod consent;
mod device;
mod exchange;
mod grant;
mod introspect;
mod metadata;
mod programs;
mod refusal;
mod revoke;
mod rows;
mod token;
mod user_code;
mod web;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shared::id::{AccountId, GrantId};
use tokio::sync::broadcast;

use crate::accounts::Accounts;
use crate::clock::Clock;
use crate::config::Lifetimes;
use crate::homes::Homes;
use crate::http::form::Form;
use crate::http::limit::Limit;
use crate::http::tries::Tries;
use crate::http::{Fault, Routes, Site, routes};
use crate::store::Store;

pub use alive::LOOK;
pub use bearer::Bearer;
use client::Client;
use clients::Clients;
use refusal::Refusal;

/// How many ends of grants a listener may be behind before it must ask for each ([`OAuth::lives`]).
const ENDS: usize = 1024;
/// Failures of one client from one place.
const FAILURES: (u32, Duration) = (20, Duration::from_secs(60));
/// What has lapsed is kept a day longer, for whoever looks into what happened.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// The provider.
#[derive(Clone)]
pub struct OAuth(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    site: Arc<Site>,
    lifetimes: Lifetimes,
    accounts: Accounts,
    homes: Homes,
    clients: Clients,
    ended: broadcast::Sender<GrantId>,
    open: Mutex<alive::Open>,
    failures: Tries<(String, IpAddr)>,
    device_requests: Limit<IpAddr>,
    unknown_tokens: Tries<String>,
    wrong_codes: Tries<AccountId>,
    wrong_codes_here: Tries<IpAddr>,
}

impl OAuth {
    /// The provider over a store.
    pub fn new(
        store: Store,
        clock: Clock,
        site: Arc<Site>,
        lifetimes: Lifetimes,
        accounts: Accounts,
        homes: Homes,
    ) -> Self {
        let (requests, every) = device::REQUESTS;
        let clients = Clients::new(store.clone(), clock.clone());
        Self(Arc::new(Inner {
            store,
            clock,
            site,
            lifetimes,
            accounts,
            homes,
            clients,
            ended: broadcast::Sender::new(ENDS),
            open: Mutex::default(),
            failures: Tries::new(FAILURES.0, FAILURES.1),
            device_requests: Limit::new(requests, every),
            unknown_tokens: Tries::new(introspect::MISSES.0, introspect::MISSES.1),
            wrong_codes: Tries::new(device::WRONG_CODES.0, device::WRONG_CODES.1),
            wrong_codes_here: Tries::new(device::WRONG_CODES_HERE.0, device::WRONG_CODES_HERE.1),
        }))
    }

    /// Writes the built-in client down, if it is not there.
    pub async fn seed(&self) -> Result<(), Fault> {
        let mut tx = self.0.store.begin().await?;
        client::rows::add(&mut tx, &Client::agent(), self.0.clock.now()).await?;
        Ok(tx.commit().await?)
    }

    /// Forgets codes, devices, tokens and grants that lapsed a day ago or more; how many rows.
    pub async fn forget_lapsed(&self) -> Result<u64, Fault> {
        let mut all = 0;
        loop {
            let mut tx = self.0.store.begin().await?;
            let gone = rows::forget(&mut tx, self.0.clock.now(), KEPT).await?;
            tx.commit().await?;
            all += gone;
            if gone == 0 {
                return Ok(all);
            }
        }
    }

    /// Whether a request is for tokens of ours; those of others we cannot give (RFC 8707 section 2).
    fn is_for_us(&self, form: &Form) -> Result<(), Refusal> {
        let us = self.0.site.origin();
        let is_us = |named: &str| named.is_empty() || named.strip_suffix('/').unwrap_or(named) == us;
        if form.all("resource").all(is_us) { Ok(()) } else { Err(Refusal::InvalidTarget) }
    }

    /// `/oauth2/…`, `/device`, `/programs`, `/clients` and the metadata under `/.well-known/`.
    pub fn routes(&self) -> Routes {
        let oauth = self.clone();
        routes(
            self.0.site.clone(),
            &["oauth2", "device", "programs", "clients", ".well-known"],
            move |asked| {
                let oauth = oauth.clone();
                async move { web::answer(&oauth, &asked).await }
            },
        )
    }
}

#[cfg(test)]
mod tests;
