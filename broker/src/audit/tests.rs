//! The chain is whole while nobody touches it, and says where it was touched (LG-01).

use tokio_util::sync::CancellationToken;

use super::*;
use crate::store::{Store, Where};

async fn store() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let place = Where::Sqlite(folder.path().join("test.db"));
    (Store::open(&place, CancellationToken::new()).await.unwrap(), folder)
}

async fn write(store: &Store, act: Act, name: &str) {
    let mut tx = store.begin().await.unwrap();
    let entry = Entry::new(act)
        .of(AccountId::from_random_bits(7 << 11))
        .from("192.0.2.7".parse::<IpAddr>().unwrap())
        .with("name", name);
    note(&mut tx, &entry, Timestamp::from_millis(1_000)).await.unwrap();
    tx.commit().await.unwrap();
}

async fn filled() -> (Store, tempfile::TempDir) {
    let (store, folder) = store().await;
    for (act, name) in [(Act::SignedIn, "ada"), (Act::LinkMade, "porch"), (Act::LinkRevoked, "porch")] {
        write(&store, act, name).await;
    }
    (store, folder)
}

#[tokio::test]
async fn what_is_noted_is_there_in_order_and_the_chain_is_whole_lg_01() {
    let (store, _folder) = filled().await;
    let mut db = store.read().await.unwrap();
    let all = after(&mut db, 0, 10).await.unwrap();
    let told: Vec<_> = all.iter().map(|entry| (entry.number, &*entry.act, &*entry.facts)).collect();
    assert_eq!(
        told,
        [
            (1, "session.begun", r#"{"name":"ada"}"#),
            (2, "link.made", r#"{"name":"porch"}"#),
            (3, "link.revoked", r#"{"name":"porch"}"#),
        ],
        "LG-01"
    );
    assert_eq!((all[0].account, all[0].from.as_deref()), (Some(7), Some("192.0.2.7")));
    let end = all[2].hash.clone();
    assert_eq!(verify(&mut db).await.unwrap(), Chain::Whole { entries: 3, end }, "LG-01");
    let line = serde_json::to_value(&all[1]).unwrap();
    assert_eq!(line["hash"].as_str().unwrap().len(), 64, "{line}");
}

#[tokio::test]
async fn nothing_is_noted_of_what_was_not_done() {
    let (store, _folder) = filled().await;
    let mut tx = store.begin().await.unwrap();
    note(&mut tx, &Entry::new(Act::SignedIn), Timestamp::from_millis(2_000)).await.unwrap();
    drop(tx);
    let mut db = store.read().await.unwrap();
    assert!(matches!(verify(&mut db).await.unwrap(), Chain::Whole { entries: 3, .. }));
}

#[tokio::test]
async fn whoever_changes_takes_out_or_puts_in_is_found() {
    for (touch, at) in [
        ("UPDATE audit SET facts = '{\"name\":\"shed\"}' WHERE entry = 2", 2),
        ("UPDATE audit SET at = at + 1 WHERE entry = 1", 1),
        ("UPDATE audit SET account_id = NULL WHERE entry = 3", 3),
        ("DELETE FROM audit WHERE entry = 2", 2),
        ("DELETE FROM audit WHERE entry = 3", 3),
        (
            "INSERT INTO audit SELECT 4, at, act, account_id, workspace_id, place, facts, hash FROM audit WHERE entry = 3",
            4,
        ),
    ] {
        let (store, _folder) = filled().await;
        let mut tx = store.begin().await.unwrap();
        rows::tests::run(&mut tx, touch).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(verify(&mut store.read().await.unwrap()).await.unwrap(), Chain::Broken { at }, "{touch}");
    }
}

#[test]
fn every_act_has_a_word_of_its_own() {
    let words: std::collections::BTreeSet<_> = Act::ALL.iter().map(|act| act.word()).collect();
    assert_eq!(words.len(), Act::ALL.len());
}
