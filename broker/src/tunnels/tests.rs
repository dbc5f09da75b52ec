//! Tunnels of a world for tests, with nobody at a provider.

use super::*;
use crate::relay::tests::World;

impl Tunnels {
    /// The tunnels of a world.
    pub(crate) fn for_tests(world: &World) -> Self {
        // Those who ask Cloudflare and homes' addresses make HTTP clients. Another test may have been first.
        _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let World { store, clock, site, oauth, homes, relay, stop, tasks, .. } = world;
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(&folder.path().join("keys")).unwrap();
        let provider = Provider::new(provider::Parts {
            store: store.clone(),
            clock: clock.clone(),
            vault: vault.clone(),
            homes: homes.clone(),
            oauth: oauth.clone(),
            accounts: Vec::new(),
        });
        let tunnels = Self::new(Parts {
            store: store.clone(),
            clock: clock.clone(),
            site: site.clone(),
            vault,
            provider: provider.unwrap(),
            accounts: Accounts::for_tests(store.clone(), clock.clone(), site.clone()),
            homes: homes.clone(),
            oauth: oauth.clone(),
            relay: relay.clone(),
            direct: Direct::new(stop.clone()),
            tasks: tasks.clone(),
            mail: Mail::for_tests(store, clock),
            offline_mail: Some(Duration::from_secs(600)),
        });
        tunnels.unwrap()
    }
}
