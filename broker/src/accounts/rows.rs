//! The rows of accounts.

use shared::id::{AccountId, WorkspaceId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::clock::Timestamp;
use crate::store::{Db, Failure, Result};

/// A new account's row.
pub struct NewRow<'a> {
    pub account: AccountId,
    pub email: &'a str,
    pub name: &'a str,
    pub password: &'a str,
    pub now: Timestamp,
}

/// An account and the hash of its password at some moment: that of a proof, mostly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub account: AccountId,
    pub hash: String,
}

/// An account in the operator's list.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its id.
    pub id: AccountId,
    /// Its address.
    pub email: String,
    /// What the person is called.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was shut out, if it is.
    pub disabled_at: Option<Timestamp>,
}

/// Somebody who gets letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// The address.
    pub email: String,
    /// The language of our pages when they last signed in, such as `zh-Hant`; nothing before they did.
    pub language: Option<String>,
}

/// The owners and admins of a workspace who may sign in.
pub async fn managers(db: &mut Db, workspace: WorkspaceId) -> Result<Vec<Reader>> {
    let rows = sqlx::query(
        "SELECT a.email, a.language FROM member m JOIN account a ON a.id = m.account_id
         WHERE m.workspace_id = $1 AND m.role IN ('owner', 'admin') AND a.disabled_at IS NULL ORDER BY a.email",
    )
    .bind(workspace.number())
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| Ok(Reader { email: row.try_get("email")?, language: row.try_get("language")? }))
        .collect()
}

/// Notes the language of an account's pages.
pub async fn set_language(db: &mut Db, account: AccountId, language: &str) -> Result<()> {
    let sql = "UPDATE account SET language = $2 WHERE id = $1";
    sqlx::query(sql).bind(account.number()).bind(language).execute(db).await.map(drop)
}

/// The id in a column.
pub fn id<T: TryFrom<i64>>(number: i64) -> Result<T> {
    number.try_into().map_err(|_| Failure::Decode("an id in the database is out of range".into()))
}

/// Holds off other writers of accounts until this transaction ends. SQLite has one writer anyway.
pub async fn only_writer(db: &mut Db) -> Result<()> {
    if db.is_postgres() {
        sqlx::query("LOCK TABLE account IN SHARE ROW EXCLUSIVE MODE").execute(db).await?;
    }
    Ok(())
}

pub async fn any(db: &mut Db) -> Result<bool> {
    Ok(sqlx::query("SELECT 1 FROM account LIMIT 1").fetch_optional(db).await?.is_some())
}

/// False when the address has an account.
pub async fn add(db: &mut Db, new: &NewRow<'_>) -> Result<bool> {
    let added = sqlx::query(
        "INSERT INTO account (id, email, name, password, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (email) DO NOTHING",
    )
    .bind(new.account.number())
    .bind(new.email)
    .bind(new.name)
    .bind(new.password)
    .bind(new.now.millis())
    .execute(db)
    .await?;
    Ok(added.rows_affected() > 0)
}

/// The account of an address, unless it is disabled.
pub async fn password(db: &mut Db, email: &str) -> Result<Option<Known>> {
    let row = sqlx::query("SELECT id, password FROM account WHERE email = $1 AND disabled_at IS NULL")
        .bind(email)
        .fetch_optional(db)
        .await?;
    row.map(|row| Ok(Known { account: id(row.try_get("id")?)?, hash: row.try_get("password")? })).transpose()
}

/// The account of an address, disabled or not.
pub async fn of_email(db: &mut Db, email: &str) -> Result<Option<AccountId>> {
    let row = sqlx::query("SELECT id FROM account WHERE email = $1").bind(email).fetch_optional(db).await?;
    row.map(|row| id(row.try_get("id")?)).transpose()
}

/// An account with the hash it has now, unless it is disabled.
pub async fn standing(db: &mut Db, account: AccountId) -> Result<Option<Known>> {
    let row = sqlx::query("SELECT password FROM account WHERE id = $1 AND disabled_at IS NULL")
        .bind(account.number())
        .fetch_optional(db)
        .await?;
    row.map(|row| Ok(Known { account, hash: row.try_get("password")? })).transpose()
}

/// Whether the account still has that password and is not disabled; it stays so until this transaction ends.
pub async fn stands(db: &mut Db, known: &Known) -> Result<bool> {
    let held = sqlx::query(
        "UPDATE account SET epoch = epoch WHERE id = $1 AND password = $2 AND disabled_at IS NULL",
    )
    .bind(known.account.number())
    .bind(&known.hash)
    .execute(db)
    .await?;
    Ok(held.rows_affected() > 0)
}

/// Holds off everybody else who would change the account, until this transaction ends. First of all in it, or
/// what is read before may be old.
pub async fn hold(db: &mut Db, account: AccountId) -> Result<()> {
    let sql = "UPDATE account SET epoch = epoch WHERE id = $1";
    sqlx::query(sql).bind(account.number()).execute(db).await.map(drop)
}

pub async fn set_password(db: &mut Db, account: AccountId, hash: &str, is_short: bool) -> Result<()> {
    sqlx::query("UPDATE account SET password = $2, password_is_short = $3 WHERE id = $1")
        .bind(account.number())
        .bind(hash)
        .bind(i64::from(is_short))
        .execute(db)
        .await
        .map(drop)
}

/// The same password, hashed with more work; false where it was changed meanwhile.
pub async fn rehash(db: &mut Db, known: &Known, new: &str) -> Result<bool> {
    let done = sqlx::query("UPDATE account SET password = $3 WHERE id = $1 AND password = $2")
        .bind(known.account.number())
        .bind(&known.hash)
        .bind(new)
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Voids everything the account approved.
pub async fn take_back(db: &mut Db, account: AccountId) -> Result<()> {
    let sql = "UPDATE account SET epoch = epoch + 1 WHERE id = $1";
    sqlx::query(sql).bind(account.number()).execute(db).await.map(drop)
}

pub async fn epoch(db: &mut Db, account: AccountId) -> Result<Option<i64>> {
    let row = sqlx::query("SELECT epoch FROM account WHERE id = $1 AND disabled_at IS NULL")
        .bind(account.number())
        .fetch_optional(db)
        .await?;
    row.map(|row| row.try_get("epoch")).transpose()
}

pub async fn email(db: &mut Db, account: AccountId) -> Result<Option<String>> {
    let row = sqlx::query("SELECT email FROM account WHERE id = $1")
        .bind(account.number())
        .fetch_optional(db)
        .await?;
    row.map(|row| row.try_get("email")).transpose()
}

pub async fn name(db: &mut Db, account: AccountId) -> Result<Option<String>> {
    let row = sqlx::query("SELECT name FROM account WHERE id = $1")
        .bind(account.number())
        .fetch_optional(db)
        .await?;
    row.map(|row| row.try_get("name")).transpose()
}

pub async fn set_name(db: &mut Db, account: AccountId, name: &str) -> Result<()> {
    let sql = "UPDATE account SET name = $2 WHERE id = $1";
    sqlx::query(sql).bind(account.number()).bind(name).execute(db).await.map(drop)
}

pub async fn all(db: &mut Db) -> Result<Vec<Line>> {
    let rows = sqlx::query("SELECT id, email, name, created_at, disabled_at FROM account ORDER BY email")
        .fetch_all(db)
        .await?;
    let line = |row: &AnyRow| {
        let disabled_at: Option<i64> = row.try_get("disabled_at")?;
        Ok(Line {
            id: id(row.try_get("id")?)?,
            email: row.try_get("email")?,
            name: row.try_get("name")?,
            created_at: Timestamp::from_millis(row.try_get("created_at")?),
            disabled_at: disabled_at.map(Timestamp::from_millis),
        })
    };
    rows.iter().map(line).collect()
}

/// False when there is no such account.
pub async fn set_disabled(db: &mut Db, account: AccountId, at: Option<Timestamp>) -> Result<bool> {
    let done = sqlx::query("UPDATE account SET disabled_at = $2 WHERE id = $1")
        .bind(account.number())
        .bind(at.map(Timestamp::millis))
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}
