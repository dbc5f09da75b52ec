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

#[tokio::test]
async fn arguments_go_by_their_number_and_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let mut reader = store.read().await.unwrap();
    let row = sqlx::query("SELECT $3 AS text, $1 AS number, $2 AS bytes, $4 AS absent, $1 + $1 AS twice")
        .bind(21_i64)
        .bind(&b"\0\xff"[..])
        .bind("a 'quoted' text; $1")
        .bind(None::<i64>)
        .fetch_one(&mut *reader)
        .await
        .unwrap();
    assert_eq!(row.get::<&str, _>("text"), "a 'quoted' text; $1");
    assert_eq!((row.get::<i64, _>("number"), row.get::<i64, _>("twice")), (21, 42));
    assert_eq!(row.get::<Vec<u8>, _>("bytes"), b"\0\xff");
    assert_eq!((row.get::<Option<i64>, _>("absent"), row.get::<Option<&str>, _>(3)), (None, None));
    assert!(row.try_get::<i64, _>("absent").is_err() && row.try_get::<i64, _>("missing").is_err());
    let too_few = sqlx::query("SELECT $1, $2").bind(1_i64).fetch_one(&mut *reader).await;
    assert!(matches!(too_few, Err(Failure::Protocol(_))));
}

#[tokio::test]
async fn a_statement_tells_how_many_rows_it_changed_and_brings_those_it_returns() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let mut tx = store.begin().await.unwrap();
    for id in 1..=3 {
        add(&mut tx, id).await.unwrap();
    }
    let changed =
        sqlx::query("UPDATE workspace SET name = 'x' WHERE id > $1").bind(1_i64).execute(&mut *tx).await;
    assert_eq!(changed.unwrap().rows_affected(), 2);
    let none = sqlx::query("DELETE FROM workspace WHERE id = 9").execute(&mut *tx).await.unwrap();
    assert_eq!(none.rows_affected(), 0);
    // Only one is looked at; all are changed.
    let one = sqlx::query("UPDATE workspace SET name = 'y' RETURNING id").fetch_optional(&mut *tx).await;
    assert!(one.unwrap().is_some());
    let named = sqlx::query("SELECT id FROM workspace WHERE name = 'y'").fetch_all(&mut *tx).await.unwrap();
    assert_eq!(named.len(), 3);
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn what_sqlite_refuses_is_told_by_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let mut tx = store.begin().await.unwrap();
    add(&mut tx, 1).await.unwrap();
    let taken = add(&mut tx, 1).await.unwrap_err();
    assert!(is_taken(&taken) && !is_passing(&taken), "{taken}");
    let orphan = "INSERT INTO member (workspace_id, account_id, role) VALUES (1, 404, 'owner')";
    let orphan = sqlx::query(orphan).execute(&mut *tx).await.unwrap_err();
    assert!(orphan.as_database_error().unwrap().is_foreign_key_violation(), "{orphan}");
    let mistake = sqlx::query("SELECT FROM").execute(&mut *tx).await.unwrap_err();
    assert!(!is_taken(&mistake) && !is_passing(&mistake), "{mistake}");
    let written = add(&mut store.read().await.unwrap(), 2).await.unwrap_err();
    assert!(is_passing(&written), "a reader writes nothing: {written}");
}

/// One thread: whoever held it while waiting would wait for ever.
#[tokio::test]
async fn a_lock_of_another_process_is_waited_for_and_holds_up_no_reader() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (store(&folder).await, store(&folder).await);
    let mut held = there.begin().await.unwrap();
    add(&mut held, 1).await.unwrap();
    let (waiting, ()) = tokio::join!(
        async {
            let mut tx = here.begin().await?;
            add(&mut tx, 2).await?;
            tx.commit().await
        },
        async {
            assert_eq!(count(&here).await, 0);
            held.commit().await.unwrap();
        }
    );
    waiting.unwrap();
    assert_eq!((count(&here).await, count(&there).await), (2, 2));
}

#[tokio::test]
async fn what_another_process_has_committed_is_read_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (store(&folder).await, store(&folder).await);
    for id in 1..=20 {
        let mut tx = there.begin().await.unwrap();
        add(&mut tx, id).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(count(&here).await, id);
    }
}

#[tokio::test]
async fn a_closed_store_says_so_and_leaves_no_log_behind() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let reader = store.read().await.unwrap();
    let (_, ()) = tokio::join!(async { drop(reader) }, store.close());
    assert!(matches!(store.read().await, Err(Failure::PoolClosed)));
    assert!(matches!(store.begin().await, Err(Failure::PoolClosed)));
    assert!(!folder.path().join("test.db-wal").exists(), "the last to leave moves the log into the file");
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
