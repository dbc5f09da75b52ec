//! Names, labels, and whose home is whose.

use super::*;
use crate::accounts::{Membership, Role};
use crate::store::Where;

async fn homes() -> (Homes, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let place = Where::Sqlite(folder.path().join("test.db"));
    let store = Store::open(&place, tokio_util::sync::CancellationToken::new()).await.unwrap();
    for id in [1, 2] {
        let mut tx = store.begin().await.unwrap();
        rows::tests::add_workspace(&mut tx, id).await.unwrap();
        tx.commit().await.unwrap();
    }
    let site = Arc::new(Site { public_url: "https://key.example:8443".parse().unwrap() });
    (Homes::new(store, Clock::new(), site, "homes.example"), folder)
}

fn workspace(number: i64) -> WorkspaceId {
    number.try_into().unwrap()
}

fn caller(number: i64, role: Role) -> Caller {
    Caller { account: None, memberships: vec![Membership { workspace: workspace(number), role }], home: None }
}

#[tokio::test]
async fn another_workspaces_home_looks_like_none_and_an_observer_may_only_look() {
    let (homes, _folder) = homes().await;
    let owner = caller(1, Role::Owner);
    let home = homes.create("Lake House", 8123, workspace(1), &owner).await.unwrap();
    assert_eq!(homes.url(&home), "https://lake-house.homes.example:8443/");
    assert_eq!(homes.owned(home.id, &owner).await.unwrap().id, home.id);
    let stranger = caller(2, Role::Owner);
    assert!(matches!(homes.visible(home.id, &stranger).await, Err(Fault::NotFound)));
    assert!(matches!(homes.owned(home.id, &stranger).await, Err(Fault::NotFound)));
    let observer = caller(1, Role::Observer);
    assert_eq!(homes.visible(home.id, &observer).await.unwrap(), *home);
    assert!(matches!(homes.owned(home.id, &observer).await, Err(Fault::Forbidden("insufficient_role", _))));
    assert!(matches!(
        homes.create("x", 1, workspace(1), &observer).await,
        Err(Fault::Forbidden("insufficient_role", _))
    ));
    let other = homes.create("Other", 8123, workspace(1), &owner).await.unwrap();
    let bound = Caller { home: Some(other.id), ..owner };
    assert!(matches!(homes.visible(home.id, &bound).await, Err(Fault::NotFound)));
    assert_eq!(homes.list(&bound, workspace(1)).await.unwrap().len(), 1);
    assert!(matches!(homes.list(&stranger, workspace(1)).await, Err(Fault::NotFound)));
    assert!(matches!(homes.create("x", 1, workspace(1), &stranger).await, Err(Fault::NotFound)));
}

#[tokio::test]
async fn two_homes_of_one_name_get_two_hostnames() {
    let (homes, _folder) = homes().await;
    let (one, two) = (caller(1, Role::Owner), caller(2, Role::Admin));
    let first = homes.create("Home", 8123, workspace(1), &one).await.unwrap();
    let second = homes.create("Home", 8123, workspace(2), &two).await.unwrap();
    assert_eq!(first.label, "home");
    assert!(second.label.starts_with("home-") && second.label.len() == 9, "{}", second.label);
    assert_eq!(homes.by_label(&second.label).await.unwrap(), Some(second.id));
    for bad in ["", "  ", "a\nb", &"x".repeat(61)] {
        assert!(matches!(homes.create(bad, 8123, workspace(1), &one).await, Err(Fault::Bad(_))), "{bad:?}");
    }
}

#[tokio::test]
async fn a_host_header_names_a_home_only_under_our_domain() {
    let (homes, _folder) = homes().await;
    for (host, label) in [
        ("lake.homes.example", Some("lake")),
        ("lake.HOMES.example:8443", Some("lake")),
        ("homes.example", None),
        (".homes.example", None),
        ("a.b.homes.example", None),
        ("lake.homes.example.evil", None),
        ("lakehomes.example", None),
        ("lake.homes.example:x", None),
        ("é.homes.example", Some("é")),
        ("", None),
    ] {
        assert_eq!(homes.label_in(host), label, "{host}");
    }
}

#[test]
fn a_label_is_made_of_a_name() {
    for (name, wanted) in
        [("Lake House", "lake-house"), ("  Zoë's place! ", "zo-s-place"), ("別墅", "home"), ("a--b", "a-b")]
    {
        assert_eq!(label(name, 0), wanted);
    }
    for reserved in ["www", "API", "xn--evil"] {
        assert_ne!(label(reserved, 0), reserved.to_lowercase());
        assert!(!label(reserved, 0).starts_with("xn-"));
    }
}
