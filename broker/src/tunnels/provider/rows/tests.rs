//! When work that must wait is tried again.

use std::time::Duration;

use super::*;
use crate::accounts::{Caller, Membership, Role};
use crate::audit::Doer;
use crate::homes::Provided;
use crate::relay::tests::{Quiet, World};

#[tokio::test]
async fn work_that_was_put_off_is_not_put_off_for_a_home_deleted_meanwhile() {
    let world = World::new(|_, _| std::sync::Arc::new(Quiet)).await;
    let homes = world.homes.clone().provided(vec![Provided { domain: "homes.example".to_owned(), most: 9 }]);
    let workspace = 1.try_into().unwrap();
    let memberships = vec![Membership { workspace, role: Role::Owner }];
    let caller = Caller { account: None, memberships, home: None };
    let home = homes.create("Lake", 8123, workspace, &caller).await.unwrap();
    let (now, later) = (world.clock.now(), world.clock.now().after(Duration::from_secs(600)));

    // Begun while the home was as `seen`, and then it must wait; when it is due then.
    let work = async |seen: State, meanwhile: bool| {
        let lease = Lease { number: 7, everybodys: now, until: now.after(Duration::from_secs(30)) };
        let mut tx = world.store.begin().await.unwrap();
        add(&mut tx, "homes.example", now).await.unwrap();
        assert!(super::lease(&mut tx, home.id, &lease, now).await.unwrap());
        tx.commit().await.unwrap();
        if meanwhile {
            homes.begin_deleting(&home, &Doer::default()).await.unwrap();
        }
        let mut tx = world.store.begin().await.unwrap();
        assert!(put_off(&mut tx, home.id, 7, 1, later, seen).await.unwrap());
        assert!(!put_off(&mut tx, home.id, 7, 1, later, seen).await.unwrap(), "the lease is given back");
        let due = next_due(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        due
    };
    assert_eq!(work(State::Provisioning, false).await, Some(later));
    let due = work(State::Provisioning, true).await.unwrap();
    assert!(due <= now, "to be deleted at once, not in {:?}", due.since(now));
    assert_eq!(work(State::Deleting, false).await, Some(later), "what fails in deleting waits like the rest");
}
