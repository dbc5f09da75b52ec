//! The store's promises on SQLite; the stories hold both databases to them.

use super::*;
use sqlx::Row as _;

async fn store(folder: &tempfile::TempDir) -> Store {
    Store::open(&Where::Sqlite(folder.path().join("test.db")), CancellationToken::new()).await.unwrap()
}

async fn add(db: &mut Db, id: i64) -> Result<()> {
    sqlx::query("INSERT INTO workspace (id, name, slug, created_at) VALUES ($1, 'w', $2, 0)")
        .bind(id)
        .bind(format!("w{id}"))
        .execute(db)
        .await
        .map(drop)
}

async fn count(store: &Store) -> i64 {
    let row =
        sqlx::query("SELECT COUNT(*) FROM workspace").fetch_one(&mut *store.read().await.unwrap()).await;
    row.unwrap().get(0)
}

#[tokio::test]
async fn what_is_committed_is_there_and_what_is_dropped_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let mut kept = store.begin().await.unwrap();
    add(&mut kept, 1).await.unwrap();
    kept.commit().await.unwrap();
    let mut dropped = store.begin().await.unwrap();
    add(&mut dropped, 2).await.unwrap();
    drop(dropped);
    let mut after = store.begin().await.unwrap();
    add(&mut after, 3).await.unwrap();
    after.commit().await.unwrap();
    assert_eq!(count(&store).await, 2);
}

#[tokio::test]
async fn a_refused_row_spoils_nobody_elses_turn() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let turns = (1..=64).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut tx = store.begin().await?;
            add(&mut tx, n % 32 + 1).await?;
            tx.commit().await
        })
    });
    let turns: Vec<_> = turns.collect();
    let (mut kept, mut refused) = (0, 0);
    for turn in turns {
        match turn.await.unwrap() {
            Ok(()) => kept += 1,
            Err(failure) => {
                assert!(is_taken(&failure), "{failure}");
                refused += 1;
            }
        }
    }
    assert_eq!((kept, refused, count(&store).await), (32, 32, 32));
}

#[tokio::test]
async fn turns_cut_off_at_any_point_leave_the_line_usable() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    for wait in 0..200u64 {
        let turn = async {
            let mut tx = store.begin().await?;
            add(&mut tx, 1000).await?;
            std::future::pending::<()>().await;
            tx.commit().await
        };
        assert!(tokio::time::timeout(Duration::from_micros(wait * 5), turn).await.is_err());
    }
    let mut tx = store.begin().await.unwrap();
    add(&mut tx, 1).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(count(&store).await, 1);
}

#[tokio::test]
async fn many_waiting_writers_share_their_fsyncs() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let begun = std::time::Instant::now();
    let mut alone = 0;
    while begun.elapsed() < Duration::from_millis(300) {
        let mut tx = store.begin().await.unwrap();
        alone += 1;
        add(&mut tx, alone).await.unwrap();
        tx.commit().await.unwrap();
    }
    let each = begun.elapsed() / u32::try_from(alone).unwrap();
    let begun = std::time::Instant::now();
    let turns: Vec<_> = (0..256)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut tx = store.begin().await.unwrap();
                add(&mut tx, 1_000_000 + n).await.unwrap();
                tx.commit().await.unwrap();
            })
        })
        .collect();
    for turn in turns {
        turn.await.unwrap();
    }
    assert!(begun.elapsed() / 256 < each, "256 together took {:?}, one alone {each:?}", begun.elapsed());
}

#[test]
fn passing_faults_are_told_from_ours() {
    for code in ["5", "261", "6", "13", "10", "522", "40001", "53300", "57P01", "08006"] {
        assert!(passing_code(code), "{code}");
    }
    for code in ["1", "19", "2067", "23505", "42P01", "abc"] {
        assert!(!passing_code(code), "{code}");
    }
}
