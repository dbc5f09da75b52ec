//! Grants for played agents, written straight into the rows.

use shared::oauth::AGENT_CLIENT_ID;

use super::*;
use crate::accounts::Accounts;
use crate::chance::{self, Kind};
use crate::config::Lifetimes;

/// A provider that knows the agent's client.
pub(crate) async fn oauth(store: &Store, clock: &Clock, site: &Arc<Site>, homes: &Homes) -> OAuth {
    let hour = Duration::from_secs(3600);
    let lifetimes = Lifetimes {
        access: hour,
        refresh: hour * 24,
        grant: hour * 48,
        again: hour,
        code: hour / 6,
        device: hour / 4,
    };
    let accounts = Accounts::for_tests(store.clone(), clock.clone(), site.clone());
    let oauth = OAuth::new(store.clone(), clock.clone(), site.clone(), lifetimes, accounts, homes.clone());
    oauth.seed().await.unwrap();
    oauth
}

async fn add(world: &World, workspace: i64, home: Option<HomeId>) -> String {
    let (token, id, now) =
        (chance::token(Kind::Access), GrantId::from_random_bits(chance::bits()), world.clock.now());
    let (far, home) = (
        now.after(Duration::from_secs(24 * 3600)).millis(),
        home.map_or("NULL".to_owned(), |id| id.to_string()),
    );
    let sql = format!(
        "INSERT INTO account (id, email, name, password, created_at) VALUES ({id}, '{id}@example.org', 'Ada', 'x', 0);
         INSERT INTO member (workspace_id, account_id, role) VALUES ({workspace}, {id}, 'owner');
         INSERT INTO oauth_grant (id, client_id, account_id, home_id, scopes, epoch, created_at, ends_at, used_at,
             used_from) VALUES ({id}, '{AGENT_CLIENT_ID}', {id}, {home}, '{}', 0, 0, {far}, 0, '');",
        shared::oauth::Scopes::agent()
    );
    let mut tx = world.store.begin().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
    sqlx::query("INSERT INTO token (token_hash, grant_id, kind, scopes, created_at, expires_at) VALUES ($1, $2, 'access', $3, 0, $4)")
        .bind(chance::hash(token.expose()))
        .bind(id.number())
        .bind(shared::oauth::Scopes::agent().to_string())
        .bind(far)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    token.expose().to_owned()
}

/// An agent's access token for a home.
pub(crate) async fn token(world: &World, home: &Owned) -> String {
    add(world, home.workspace.number(), Some(home.id)).await
}

/// A token of a program that is bound to no home.
pub(crate) async fn unbound(world: &World, home: &Owned) -> String {
    add(world, home.workspace.number(), None).await
}
