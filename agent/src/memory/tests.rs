//! Memory: what is written survives, only its owner reads it, and damage is named, never overwritten.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn pairing(refresh: &str) -> Pairing {
    Pairing {
        broker: "https://b.example/".into(),
        home: 7.try_into().unwrap(),
        refresh_token: refresh.to_owned().into(),
        access: None,
        tunnel_token: None,
    }
}

async fn open(dir: &Path) -> Memory {
    Memory::open(dir, Keeping::File).await.unwrap()
}

#[tokio::test]
async fn what_was_changed_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("data");
    open(&dir).await.change(|all| all.pairing = Some(pairing("one"))).await.unwrap();
    let again = open(&dir).await;
    assert!(again.recall().pairing.unwrap().refresh_token.same_as("one"));
    again.forget().await.unwrap();
    assert!(again.recall().pairing.is_none() && open(&dir).await.recall().pairing.is_none());
    again.forget().await.unwrap();
}

#[tokio::test]
async fn only_the_owner_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.path().join("memory.new"), "left over").unwrap();
    open(dir.path()).await.change(|all| all.pairing = Some(pairing("one"))).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.path()), 0o700);
    assert_eq!(mode(&dir.path().join("memory.json")), 0o600);
}

#[tokio::test]
async fn a_damaged_file_is_named_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("memory.json");
    for damage in ["", "{", r#"{"pairing":{"refresh_token":"hush"#, r#"{"pairing":"hush"}"#] {
        fs::write(&path, damage).unwrap();
        let err = Memory::open(dir.path(), Keeping::File).await.unwrap_err().to_string();
        assert!(err.contains("memory.json") && err.contains("pair again") && !err.contains("hush"), "{err}");
        assert_eq!(fs::read_to_string(&path).unwrap(), damage);
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_written_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path()).await;
    memory.change(|all| all.pairing = Some(pairing("one"))).await.unwrap();
    // A directory in the way of the new file: even root cannot write there.
    fs::create_dir(dir.path().join("memory.new")).unwrap();
    fs::write(dir.path().join("memory.new/x"), "").unwrap();
    assert!(memory.change(|all| all.pairing = Some(pairing("two"))).await.is_err());
    assert!(memory.recall().pairing.unwrap().refresh_token.same_as("one"));
    assert!(open(dir.path()).await.recall().pairing.unwrap().refresh_token.same_as("one"));
}

#[tokio::test]
async fn a_change_that_is_not_waited_for_is_whole_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path()).await;
    for n in 0..50 {
        let mut change = Box::pin(memory.change(|all| all.pairing = Some(pairing(&n.to_string()))));
        // Polled once, so that it has begun, and dropped.
        assert!(futures_util::poll!(change.as_mut()).is_pending());
    }
    memory.change(|all| all.home_assistant_token = Some("t".to_owned().into())).await.unwrap();
    for seen in [memory.recall(), open(dir.path()).await.recall()] {
        assert!(seen.pairing.is_some() && seen.home_assistant_token.is_some());
    }
}

#[tokio::test]
async fn one_agent_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!Claim::is_taken(dir.path()));
    let claim = Claim::take(dir.path()).await.unwrap();
    assert!(Claim::is_taken(dir.path()));
    assert!(matches!(Claim::take(dir.path()).await, Err(MemoryError::InUse(_))));
    drop(claim);
    Claim::take(dir.path()).await.unwrap();
}
