//! What should be at the provider, to be compared with what is found there.

pub mod rows;

use std::collections::HashSet;

use shared::id::HomeId;

use crate::tunnels::cloudflare::Tunnel;

/// A tunnel that is as wanted, as far as we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Whose it is.
    pub home: HomeId,
    /// The domain it is under.
    pub domain: String,
    /// The tunnel's id.
    pub tunnel: String,
    /// The DNS record's id.
    pub record: String,
}

/// What should be in a list and is not.
pub fn missing<'a>(settled: &'a [Settled], tunnels: &[Tunnel]) -> Vec<&'a Settled> {
    let there: HashSet<&str> = tunnels.iter().map(|tunnel| &*tunnel.id).collect();
    settled.iter().filter(|home| !there.contains(&*home.tunnel)).collect()
}

/// The home that a tunnel's name says it is for.
pub fn home_of(prefix: &str, name: &str) -> Option<HomeId> {
    name.strip_prefix(prefix)?.parse().ok()
}
