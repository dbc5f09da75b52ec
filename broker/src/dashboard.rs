//! The owner's pages: homes with their lights, the devices of a home, and the links that share them.
//!
//! Every page works without a script; scripts only keep it fresh (`assets/live.js`), narrow it down
//! (`filter.js`) and copy (`copy.js`). What may be shared is asked of the home while its owner looks (S11).
//!
//! Invariant: what changes or lists anything of a home goes through [`Homes::owned`]; members without that
//! right see the lights alone.

mod devices;
mod lights;
mod links;
mod making;
mod pages;
mod settings;
mod sharing;
mod web;

use std::sync::Arc;

use crate::accounts::Accounts;
use crate::clock::Clock;
use crate::homes::Homes;
use crate::http::{Routes, Site, routes};
use crate::portal::Portal;
use crate::relay::Relay;
use crate::tunnels::Tunnels;

/// The dashboard.
#[derive(Clone)]
pub struct Dashboard(Arc<Inner>);

struct Inner {
    site: Arc<Site>,
    accounts: Accounts,
    homes: Homes,
    relay: Relay,
    portal: Portal,
    tunnels: Tunnels,
    clock: Clock,
}

impl Dashboard {
    /// The dashboard over the features it shows.
    pub fn new(
        site: Arc<Site>,
        accounts: Accounts,
        homes: Homes,
        relay: Relay,
        portal: Portal,
        tunnels: Tunnels,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Inner { site, accounts, homes, relay, portal, tunnels, clock }))
    }

    /// `/` and everything under `/homes`.
    pub fn routes(&self) -> Routes {
        let dashboard = self.clone();
        routes(self.0.site.clone(), &["", "homes"], move |asked| {
            let dashboard = dashboard.clone();
            async move { web::answer(&dashboard.0, &asked).await }
        })
    }
}

#[cfg(test)]
mod tests;
