//! Tunnels: a public name for each home, and the token by which its agent opens the way.
//!
//! One provider so far, `direct`: the agent dials us and we forward the home's hostname down that line.
//!
//! Invariant: a tunnel token is found by its hash and kept only sealed. Each grant has a token of its own, which
//! opens the tunnel while the grant lives and whoever gave it manages the home; when that ends, the line that the
//! token opened is hung up: within a second, or within [`LOOK`] where it ended at another broker.

pub mod cloudflare;
pub mod direct;
mod ending;
mod forward;
mod rows;
mod web;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::id::{GrantId, HomeId};
use shared::secret::Secret;
use shared::tunnel::{HomeAnswer, TunnelTokenAnswer};
use tokio_util::task::TaskTracker;

use crate::accounts::Accounts;
use crate::chance::{self, Kind};
use crate::clock::{Clock, Timestamp};
use crate::homes::{Home, Homes, Owned};
use crate::http::{Fault, Routes, Site, routes};
use crate::oauth::OAuth;
use crate::relay::Relay;
use crate::store::Store;
use crate::vault::{Place, Vault};
use direct::Direct;

pub use forward::{asset_path, boxed};

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
    /// Where lines run until they end.
    pub tasks: TaskTracker,
}

struct Inner {
    parts: Parts,
    /// The labels of homes that have dialled, so that a visitor's request costs no query.
    names: Mutex<HashMap<String, HomeId>>,
}

impl Tunnels {
    /// The tunnels of a store.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner { parts, names: Mutex::default() }))
    }

    /// The home's tunnel token for whoever a grant let in: each grant has its own, so that ending one takes
    /// nothing from another. The tunnel is made if this is the first time.
    pub async fn token(&self, home: &Owned, grant: GrantId) -> Result<TunnelTokenAnswer, Fault> {
        let Parts { store, vault, homes, .. } = &self.0.parts;
        let mut known = rows::find(&mut *store.read().await?, home.id, grant).await?;
        if known.is_none() {
            self.make(home, grant).await?;
            known = rows::find(&mut *store.read().await?, home.id, grant).await?;
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

    /// Makes the home's tunnel, and a grant's token for it; of two at once the first counts.
    async fn make(&self, home: &Owned, grant: GrantId) -> Result<(), Fault> {
        let Parts { store, clock, homes, vault, .. } = &self.0.parts;
        let token = chance::token(Kind::Tunnel);
        let id = (chance::bits() >> 1) as i64;
        let row = rows::Token {
            id,
            home: home.id,
            grant,
            hash: chance::hash(token.expose()),
            sealed: vault.seal(&token, place(id)),
        };
        let now = clock.now();
        let mut tx = store.begin().await?;
        rows::add(&mut tx, home.id, &tunnel_id(home.id), now).await?;
        rows::add_token(&mut tx, &row, now).await?;
        tx.commit().await?;
        homes.activate(home).await
    }

    /// What a presented token opens, if the grant it was given under lives and may still open it.
    async fn opened_by(&self, token: &Secret) -> Result<Option<rows::Opened>, Fault> {
        if !chance::looks_like(Kind::Tunnel, token.expose()) {
            return Ok(None);
        }
        let hash = chance::hash(token.expose());
        let found = rows::by_token(&mut *self.0.parts.store.read().await?, &hash).await?;
        match found {
            Some(opened) if self.0.parts.oauth.lives(opened.grant).await? => Ok(Some(opened)),
            _ => Ok(None),
        }
    }

    /// Since when the home can be reached through its tunnel.
    pub fn connected_since(&self, home: HomeId) -> Option<Timestamp> {
        let since = self.0.parts.direct.since(home)?;
        let ago = i64::try_from(since.elapsed().as_millis()).unwrap_or(0);
        Some(Timestamp::from_millis(self.0.parts.clock.now().millis() - ago))
    }

    /// The home as the JSON routes show it.
    fn shown(&self, home: &Home) -> HomeAnswer {
        let since = self.connected_since(home.id);
        HomeAnswer {
            id: home.id,
            name: home.name.clone(),
            state: home.state.word().to_owned(),
            subdomain: Some(self.0.parts.homes.hostname(home)),
            tunnel_status: if since.is_some() { "connected" } else { "disconnected" }.to_owned(),
            url: Some(self.0.parts.homes.url(home)),
            ha_port: Some(home.ha_port),
            connected_since: since.map(Timestamp::millis),
            error_message: home.error.clone(),
            created_at: Some(home.created_at.millis()),
        }
    }

    /// `/api/smarthome/…` and the address agents dial.
    pub fn routes(&self) -> Routes {
        let tunnels = self.clone();
        routes(self.0.parts.site.clone(), &["api/smarthome", "agent/tunnel"], move |asked| {
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
