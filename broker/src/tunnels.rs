//! Tunnels: a public name for each home, and the token by which its agent opens the way.
//!
//! Two providers. `direct`: the agent dials us and we forward the home's hostname down that line. Cloudflare
//! ([`provider`]): the agent's `cloudflared` dials Cloudflare, and we see to it that there is a tunnel to dial.
//! A home with a `domain` of its own is at Cloudflare.
//!
//! Invariant of `direct`: a tunnel token is found by its hash and kept only sealed. Each grant of a person has a token of
//! its own, which opens the tunnel while the grant lives and whoever gave it manages the home; a program of the
//! workspace's own has one, too, for as long as it is switched on, whatever becomes of its hourly grants. When that
//! ends, the line that the token opened is hung up: within a second, or within [`LOOK`] where it ended elsewhere.

pub mod cloudflare;
pub mod direct;
mod ending;
mod forward;
pub mod hops;
mod operator;
mod proof;
pub mod provider;
mod rows;
mod web;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::id::HomeId;
use shared::secret::Secret;
use shared::tunnel::{HomeAnswer, TunnelTokenAnswer};
use tokio_util::task::TaskTracker;

use crate::accounts::Accounts;
use crate::chance::{self, Kind};
use crate::clock::{Clock, Timestamp};
use crate::homes::{self, Home, Homes, Owned, State};
use crate::http::{Fault, Routes, Site, routes};
use crate::mail::Mail;
use crate::oauth::{Bearer, OAuth};
use crate::relay::Relay;
use crate::store::Store;
use crate::vault::{Place, Vault};
use direct::Direct;
use provider::Provider;
use rows::Holder;

pub use forward::{asset_path, boxed};
pub use proof::{Finding, Proof};

/// How often open lines are looked at, for what was changed elsewhere.
const LOOK: Duration = Duration::from_secs(15);

/// The tunnels.
#[derive(Clone)]
pub struct Tunnels(Arc<Inner>);

/// What tunnels lean on.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The clock.
    pub clock: Clock,
    /// How the world knows us.
    pub site: Arc<Site>,
    /// What seals the tokens.
    pub vault: Vault,
    /// Whose workspaces there are.
    pub accounts: Accounts,
    /// Whose homes there are.
    pub homes: Homes,
    /// Who may take a token.
    pub oauth: OAuth,
    /// Who watches the homes.
    pub relay: Relay,
    /// The lines.
    pub direct: Direct,
    /// The homes that are at Cloudflare.
    pub provider: Provider,
    /// Where lines run until they end.
    pub tasks: TaskTracker,
    /// Letters to owners whose homes are offline.
    pub mail: Mail,
    /// How long a home may be so before there is one; none: there never is.
    pub offline_mail: Option<Duration>,
}

struct Inner {
    parts: Parts,
    /// The labels of homes that have dialled, so that a visitor's request costs no query.
    names: Mutex<HashMap<String, HomeId>>,
    /// How the way into each home is, as far as it is written down.
    board: hops::Board,
    prover: proof::Prover,
}

impl Tunnels {
    /// The tunnels of a store.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(parts: Parts) -> anyhow::Result<Self> {
        let board = hops::Board::new(parts.clock.now());
        let prover = proof::Prover::new()?;
        Ok(Self(Arc::new(Inner { parts, names: Mutex::default(), board, prover })))
    }

    /// The home's tunnel token for whoever a bearer let in. At Cloudflare all have the same. Of the direct tunnel
    /// each holder has its own, so that ending one takes nothing from another; it is made if this is the first
    /// time.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] while the tunnel is being made.
    pub async fn token(&self, home: &Owned, bearer: &Bearer) -> Result<TunnelTokenAnswer, Fault> {
        let Parts { store, vault, homes, provider, .. } = &self.0.parts;
        let grant = bearer.grant;
        if home.domain.is_some() {
            let token = provider.token(home, grant).await?;
            let (tunnel_id, tunnel_token) =
                token.ok_or_else(|| Fault::Unavailable("the tunnel is being made".to_owned()))?;
            return Ok(TunnelTokenAnswer { tunnel_token, tunnel_id, subdomain: homes.hostname(home) });
        }
        let holder = match bearer.caller.account {
            Some(_) => Holder::Grant(grant),
            None => Holder::Client(bearer.client.clone()),
        };
        let mut known = rows::find(&mut *store.read().await?, home.id, &holder).await?;
        if known.is_none() {
            self.make(home, &holder).await?;
            known = rows::find(&mut *store.read().await?, home.id, &holder).await?;
        }
        // Between the two a renewal may have taken it away again: the agent asks again.
        let (row, sealed) =
            known.ok_or_else(|| Fault::Unavailable("the token was just renewed".to_owned()))?;
        Ok(TunnelTokenAnswer {
            tunnel_token: vault.unseal(&sealed, place(row))?,
            tunnel_id: tunnel_id(home.id),
            subdomain: homes.hostname(home),
        })
    }

    /// Makes the home's tunnel, and a holder's token for it; of two at once the first counts.
    async fn make(&self, home: &Owned, holder: &Holder) -> Result<(), Fault> {
        let Parts { store, clock, vault, .. } = &self.0.parts;
        let token = chance::token(Kind::Tunnel);
        let id = (chance::bits() >> 1) as i64;
        let row = rows::Token {
            id,
            home: home.id,
            holder,
            hash: chance::hash(token.expose()),
            sealed: vault.seal(&token, place(id)),
        };
        let now = clock.now();
        let mut tx = store.begin().await?;
        rows::add(&mut tx, home.id, &tunnel_id(home.id), now).await?;
        rows::add_token(&mut tx, &row, now).await?;
        homes::note(&mut tx, home.id, State::Active, None).await?;
        Ok(tx.commit().await?)
    }

    /// What a presented token opens, if whoever it was given to may still hold it.
    async fn opened_by(&self, token: &Secret) -> Result<Option<rows::Opened>, Fault> {
        if !chance::looks_like(Kind::Tunnel, token.expose()) {
            return Ok(None);
        }
        let hash = chance::hash(token.expose());
        let found = rows::by_token(&mut *self.0.parts.store.read().await?, &hash).await?;
        let lives = match found.as_ref().map(|opened| &opened.holder) {
            Some(Holder::Grant(grant)) => self.0.parts.oauth.lives(*grant).await?,
            Some(Holder::Client(_)) => true,
            None => false,
        };
        Ok(found.filter(|_| lives))
    }

    /// What is at Cloudflare.
    pub fn provider(&self) -> Provider {
        self.0.parts.provider.clone()
    }

    /// The home as the JSON routes for one home show it: with what came of checking its address.
    async fn told(&self, home: &Home) -> Result<HomeAnswer, Fault> {
        let proof = self.proof(home.id).await?.map(|proof| proof.answer());
        Ok(HomeAnswer { proof, ..self.shown(home) })
    }

    /// The home as the JSON routes show it.
    fn shown(&self, home: &Home) -> HomeAnswer {
        let hops = self.hops(home);
        let tunnel = hops.get(hops::Which::Tunnel);
        let status = match tunnel.state {
            hops::State::Up => "connected",
            hops::State::Error => "error",
            hops::State::Down | hops::State::Unknown => "disconnected",
        };
        HomeAnswer {
            id: home.id,
            name: home.name.clone(),
            state: home.state.word().to_owned(),
            subdomain: Some(self.0.parts.homes.hostname(home)),
            tunnel_status: status.to_owned(),
            url: Some(self.0.parts.homes.url(home)),
            ha_port: Some(home.ha_port),
            connected_since: tunnel.since.filter(|_| tunnel.state == hops::State::Up).map(Timestamp::millis),
            error_message: home.error.clone(),
            created_at: Some(home.created_at.millis()),
            proof: None,
        }
    }

    /// `/api/smarthome/…`, `/api/tunnels…` and the address agents dial.
    pub fn routes(&self) -> Routes {
        let tunnels = self.clone();
        routes(self.0.parts.site.clone(), &["api/smarthome", "api/tunnels", "agent/tunnel"], move |asked| {
            let tunnels = tunnels.clone();
            async move { web::answer(&tunnels, asked).await }
        })
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, HomeId>> {
        self.0.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Derived from the home, so that making a tunnel twice makes one.
fn tunnel_id(home: HomeId) -> String {
    format!("direct-{home}")
}

fn place(row: i64) -> Place {
    Place { table: "tunnel_token", column: "token_sealed", row }
}

#[cfg(test)]
mod tests;
