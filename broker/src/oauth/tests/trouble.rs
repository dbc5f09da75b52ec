//! A database that is locked, read-only or gone for a while: programs are told to come back, never to sign in
//! again.

use sqlx::Connection as _;

use super::*;

/// What keeps a database locked until it is dropped: another program's transaction.
enum Lock {
    Sqlite(sqlx::AnyConnection),
    Postgres(crate::store::Tx),
}

async fn lock(provider: &Provider) -> Lock {
    match &provider.place {
        Where::Sqlite(file) => {
            let mut other =
                sqlx::AnyConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
            sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
            Lock::Sqlite(other)
        }
        Where::Postgres(_) => {
            let mut other = provider.store.begin().await.unwrap();
            let all = "LOCK TABLE token, oauth_grant, authorization_code IN ACCESS EXCLUSIVE MODE";
            sqlx::raw_sql(all).execute(&mut *other).await.unwrap();
            Lock::Postgres(other)
        }
    }
}

async fn unlock(lock: Lock) {
    match lock {
        Lock::Sqlite(mut other) => drop(sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap()),
        Lock::Postgres(other) => drop(other),
    }
}

fn assert_told_to_come_back(said: &Said, id: &str) {
    assert_eq!(said.error(), (503, "unavailable".into()), "{id}: {said:?}");
    let wait: u64 =
        said.header("retry-after").parse().unwrap_or_else(|_| panic!("{id}: no Retry-After: {said:?}"));
    assert!(wait > 0, "{id}");
    assert_eq!(said.header("cache-control"), "no-store", "{id} (TK-23)");
}

#[tokio::test]
async fn a_locked_database_is_waited_for_and_then_told_as_what_it_is() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let (tokens, code) = (provider.paired(&ada).await, provider.code(&ada).await);
    let (access, refresh) = (tokens.field("access_token"), tokens.field("refresh_token"));
    let locked = lock(&provider).await;
    let began = std::time::Instant::now();
    let form = [("client_id", AGENT_CLIENT_ID), ("token", &*access)];
    let (refreshed, redeemed, revoked) = tokio::join!(
        provider.refresh(&refresh),
        provider.redeem(&code, VERIFIER),
        provider.post(path::REVOKE, &form)
    );
    assert_told_to_come_back(&refreshed, "TK-30");
    assert_told_to_come_back(&redeemed, "TK-30");
    assert_told_to_come_back(&revoked, "RV-07");
    assert!(began.elapsed() < Duration::from_secs(25), "the wait has an end (TK-30)");
    unlock(locked).await;
    assert_eq!(provider.refresh(&refresh).await.status, StatusCode::OK, "TK-30: nothing was lost");
    assert_eq!(provider.redeem(&code, VERIFIER).await.status, StatusCode::OK, "TK-30: the code is not burnt");
    let refused = provider.refresh(&refresh).await;
    assert_eq!(refused.status, StatusCode::OK, "RT-05");
}

#[tokio::test]
async fn a_revocation_that_cannot_be_written_is_no_success() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let access = provider.paired(&ada).await.field("access_token");
    assert!(provider.is_alive(&access).await);
    if matches!(provider.place, Where::Postgres(_)) {
        return; // A session of a pool cannot be made read-only from here; the locked tables above show the same.
    }
    let form = [("client_id", AGENT_CLIENT_ID), ("token", &*access)];
    provider.tell("PRAGMA query_only = ON".into()).await;
    let said = provider.post(path::REVOKE, &form).await;
    assert_told_to_come_back(&said, "RV-07");
    let provider = provider.restarted().await;
    assert!(provider.is_alive(&access).await, "RV-07: not revoked, and not said to be");
    assert_eq!(provider.post(path::REVOKE, &form).await.status, StatusCode::OK, "RV-07");
    assert!(!provider.is_alive(&access).await, "RV-01");
}

#[tokio::test]
async fn a_database_that_is_gone_refuses_nobody_for_good() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let tokens = provider.paired(&ada).await;
    provider.store.close().await;
    assert_told_to_come_back(&provider.refresh(&tokens.field("refresh_token")).await, "TK-30");
    let bearer = provider.bearer(&tokens.field("access_token"), Scope::Relay).await;
    assert!(matches!(bearer, Err(Fault::Unavailable(_))), "TK-30: never 401");
    let provider = provider.restarted().await;
    assert_eq!(provider.refresh(&tokens.field("refresh_token")).await.status, StatusCode::OK, "TK-30, RT-15");
}
