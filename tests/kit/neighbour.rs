//! A neighbour: another account, in a workspace of its own, at the same broker. The broker makes only the first
//! account by itself, so this one is written into its database, with the first one's password.

use anyhow::{Context, Result};
use broker::store::{Store, Where};
use tokio_util::sync::CancellationToken;

use crate::owner::{Identity, Owner};

/// Far from any number that a broker draws: ids are random and of 53 bits.
const NUMBER: i64 = 7;

/// Makes the neighbour of an owner and signs in.
///
/// # Errors
/// When the database or the broker refuses.
pub async fn move_in(database: &Where, origin: &str, owner: &Identity) -> Result<Owner> {
    let identity = Identity { name: "Bob".into(), email: "bob@example.org".into(), ..owner.clone() };
    let stop = CancellationToken::new();
    let store = Store::open(database, stop.clone()).await.context("open the broker's database")?;
    let mut tx = store.begin().await?;
    sqlx::query(
        "INSERT INTO account (id, email, name, password, created_at) \
         SELECT $1, $2, $3, password, created_at FROM account WHERE email = $4",
    )
    .bind(NUMBER)
    .bind(&identity.email)
    .bind(&identity.name)
    .bind(&owner.email)
    .execute(&mut *tx)
    .await?;
    sqlx::query("INSERT INTO workspace (id, name, slug, created_at) VALUES ($1, $2, $2, 0)")
        .bind(NUMBER)
        .bind(&identity.name)
        .execute(&mut *tx)
        .await?;
    sqlx::query("INSERT INTO member (workspace_id, account_id, role) VALUES ($1, $1, 'owner')")
        .bind(NUMBER)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    store.close().await;
    stop.cancel();
    Owner::sign_in(origin, identity).await
}
