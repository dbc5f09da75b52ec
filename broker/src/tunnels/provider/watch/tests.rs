//! What is remembered of the tunnels in a list.

use super::*;
use crate::config::CloudflareAccount;
use crate::relay::tests::{Quiet, World};
use crate::tunnels::provider::Parts;
use crate::vault::Vault;

fn account(domain: &str) -> CloudflareAccount {
    CloudflareAccount {
        domain: domain.to_owned(),
        account: "a".repeat(32),
        zone: "b".repeat(32),
        token: "nobody asks".to_owned().into(),
        api: None,
        homes: 10,
        calls_per_second: 1.0,
        patience: Duration::from_secs(1),
    }
}

fn tunnel(id: &str, home: i64, status: &str) -> Tunnel {
    let [id, status] = [id, status].map(str::to_owned);
    Tunnel { id, name: format!("latchkey-x-{home}"), status, deleted_at: None }
}

#[tokio::test]
async fn what_is_in_no_list_any_more_is_forgotten_and_what_stays_keeps_its_date() {
    _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let world = World::new(|_, _| std::sync::Arc::new(Quiet)).await;
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::new(Parts {
        store: world.store.clone(),
        clock: world.clock.clone(),
        vault: Vault::open(&folder.path().join("keys")).unwrap(),
        homes: world.homes.clone(),
        oauth: world.oauth.clone(),
        accounts: vec![account("one.example"), account("two.example")],
    });
    let provider = provider.unwrap();
    let [one, two] = &provider.0.ours.accounts[..] else { panic!("two accounts") };
    let see = |account, tunnels: &[Tunnel]| provider.see(account, "latchkey-x-", tunnels);
    let seen = |home: i64| provider.seen(home.try_into().unwrap());

    see(one, &[tunnel("t1", 1, "healthy"), tunnel("t2", 2, "healthy")]);
    see(two, &[tunnel("t3", 3, "down")]);
    let first = seen(1).unwrap();
    world.clock.turn(Duration::from_secs(60));
    see(one, &[tunnel("t1", 1, "healthy")]);
    assert_eq!(seen(1), Some(first.clone()), "nothing has changed");
    assert_eq!(seen(2), None, "nobody has it any more, whatever was seen of it");
    assert_eq!(seen(3).unwrap().tunnel, "t3", "the other account's list says nothing of this one's");

    // Another tunnel of the same home, or another status of it: seen since now.
    for again in [tunnel("t4", 1, "healthy"), tunnel("t4", 1, "down")] {
        let before = seen(1).unwrap();
        world.clock.turn(Duration::from_secs(60));
        see(one, std::slice::from_ref(&again));
        let now = seen(1).unwrap();
        assert_eq!((&*now.tunnel, &*now.status), (&*again.id, &*again.status));
        assert!(now.since > before.since && now.connectors.is_none());
    }
    see(one, &[]);
    assert_eq!((seen(1), seen(3).is_some()), (None, true));
}
