//! People, their sessions, and the workspace each is in.
//!
//! A session is a random cookie whose hash lies in the database; forms carry a token derived from that
//! cookie. The first account is made through a one-time address that the broker prints while there is none.
//!
//! Invariant: only [`SignedIn`] speaks for an account, and only a session that is alive makes one.

mod password;
mod role;
mod rows;
mod web;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use shared::id::{AccountId, WorkspaceId};
use shared::secret::Secret;
use tokio::sync::broadcast;

use crate::chance::{self, Kind};
use crate::clock::Clock;
use crate::http::cookie::Jar;
use crate::http::form::Form;
use crate::http::limit::place;
use crate::http::page::Frame;
use crate::http::tries::Tries;
use crate::http::{Asked, Fault, Routes, Site, csrf, routes};
use crate::store::Store;

pub use password::Hashing;
pub use role::{Caller, Membership, Role};

/// A session lives this long unused, and no longer than [`SESSION_AT_MOST`].
const SESSION_IDLE: Duration = Duration::from_secs(30 * 24 * 3600);
const SESSION_AT_MOST: Duration = Duration::from_secs(365 * 24 * 3600);
/// How exact "last seen" is: a write per request would cost more than it tells.
const SEEN_EVERY: Duration = Duration::from_secs(60);
/// So many changes may wait for a listener before it lags, and has to look at everything.
const CHANGES: usize = 1024;

const SESSION: Jar<'static> = Jar { name: "session", path: "/" };
/// For forms of people who are not signed in.
const VISIT: Jar<'static> = Jar { name: "visit", path: "/" };

/// A person with a live session.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Who.
    pub account: AccountId,
    /// What they are called.
    pub name: String,
    /// Their address.
    pub email: String,
    /// The workspace they are looking at.
    pub workspace: WorkspaceId,
    /// Their role in it.
    pub role: Role,
    /// How often everything the account approved was taken back; what it approves now carries this number.
    pub epoch: i64,
    cookie: Secret,
}

impl SignedIn {
    /// Whether a form (or, without one, a script's request) comes from a page made for this session.
    ///
    /// # Errors
    /// [`Fault::Forged`].
    pub fn check(&self, asked: &Asked, form: Option<&Form>) -> Result<(), Fault> {
        csrf::check(asked, form, &self.cookie)
    }

    /// What this person's pages carry.
    pub fn frame(&self, asked: &Asked) -> Frame {
        Frame { w: asked.words(), csrf: csrf::token(&self.cookie), account: Some(self.name.clone()) }
    }

    /// This person as a caller, in the workspace they are looking at.
    pub fn caller(&self) -> Caller {
        let here = Membership { workspace: self.workspace, role: self.role };
        Caller { account: Some(self.account), memberships: vec![here], home: None }
    }
}

/// The accounts.
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    site: Arc<Site>,
    hashing: Hashing,
    /// The hash of the one-time code, while there is no account.
    first_run: Mutex<Option<Vec<u8>>>,
    changes: broadcast::Sender<AccountId>,
    tries_by_place: Tries<IpAddr>,
    /// By the hash of the address: what is typed there may be long.
    tries_by_email: Tries<Vec<u8>>,
}

impl Accounts {
    /// The accounts in a store.
    pub fn new(store: Store, clock: Clock, site: Arc<Site>, password_memory_kib: u32) -> Self {
        Self(Arc::new(Inner {
            store,
            clock,
            site,
            hashing: Hashing::new(password_memory_kib),
            first_run: Mutex::default(),
            changes: broadcast::channel(CHANGES).0,
            tries_by_place: Tries::new(10, Duration::from_secs(120)),
            tries_by_email: Tries::new(10, Duration::from_secs(60)),
        }))
    }

    /// The one-time address that makes the first account, while there is none (D5).
    pub async fn first_run_address(&self) -> Result<Option<String>, Fault> {
        if rows::any(&mut *self.0.store.read().await?).await? {
            return Ok(None);
        }
        let code = chance::token(Kind::FirstRun);
        *self.0.first_run.lock().unwrap_or_else(PoisonError::into_inner) = Some(chance::hash(code.expose()));
        Ok(Some(self.0.site.address(&format!("/first-run?code={}", code.expose()))))
    }

    /// Whose session a request carries, if it carries a live one.
    pub async fn signed_in(&self, asked: &Asked) -> Result<Option<SignedIn>, Fault> {
        let Some(cookie) = SESSION.read(asked).filter(|c| chance::looks_like(Kind::Session, c.expose()))
        else {
            return Ok(None);
        };
        let (hash, now) = (chance::hash(cookie.expose()), self.0.clock.now());
        let Some(row) = rows::session(&mut *self.0.store.read().await?, &hash, now).await? else {
            return Ok(None);
        };
        if now.since(row.seen_at) > SEEN_EVERY {
            let mut tx = self.0.store.begin().await?;
            let until = now.after(SESSION_IDLE).min(row.created_at.after(SESSION_AT_MOST));
            rows::see(&mut tx, &hash, now, until).await?;
            tx.commit().await?;
        }
        let rows::SessionRow { account, name, email, workspace, role, epoch, .. } = row;
        Ok(Some(SignedIn { account, name, email, workspace, role, epoch, cookie }))
    }

    /// Whose session a request carries.
    ///
    /// # Errors
    /// [`Fault::SignIn`], which leads back here afterwards.
    pub async fn require(&self, asked: &Asked) -> Result<SignedIn, Fault> {
        let query = if asked.query.is_empty() { String::new() } else { format!("?{}", asked.query) };
        let here =
            if asked.method == Method::GET { format!("{}{query}", asked.path) } else { "/".to_owned() };
        self.signed_in(asked).await?.ok_or(Fault::SignIn(here))
    }

    /// The workspaces an account is in, and as what; none while the account is disabled.
    pub async fn memberships(&self, account: AccountId) -> Result<Vec<Membership>, Fault> {
        Ok(rows::memberships(&mut *self.0.store.read().await?, account).await?)
    }

    /// How often everything an account approved was taken back; nothing for one that is gone or disabled.
    pub async fn epoch(&self, account: AccountId) -> Result<Option<i64>, Fault> {
        Ok(rows::epoch(&mut *self.0.store.read().await?, account).await?)
    }

    /// Tells of accounts whose epoch, standing, membership or role changed, after it is on disk. Whoever lags
    /// behind must look at every account again.
    pub fn changed(&self) -> broadcast::Receiver<AccountId> {
        self.0.changes.subscribe()
    }

    /// The workspaces a caller may ask about: id, name and slug.
    pub async fn workspaces(&self, caller: &Caller) -> Result<Vec<(WorkspaceId, String, String)>, Fault> {
        let mut reader = self.0.store.read().await?;
        let mut found = Vec::with_capacity(caller.memberships.len());
        for Membership { workspace, .. } in &caller.memberships {
            let named = rows::workspace(&mut reader, *workspace).await?;
            found.extend(named.map(|(name, slug)| (*workspace, name, slug)));
        }
        Ok(found)
    }

    /// Forgets sessions that have lapsed; how many.
    pub async fn forget_lapsed(&self) -> Result<u64, Fault> {
        let mut tx = self.0.store.begin().await?;
        let gone = rows::forget_sessions(&mut tx, self.0.clock.now()).await?;
        tx.commit().await?;
        Ok(gone)
    }

    /// `/sign-in`, `/sign-out` and `/first-run`.
    pub fn routes(&self) -> Routes {
        let accounts = self.clone();
        routes(self.0.site.clone(), &["sign-in", "sign-out", "first-run"], move |asked| {
            let accounts = accounts.clone();
            async move { web::answer(&accounts, &asked).await }
        })
    }

    /// Checks an address and a password; `None` is all that a wrong one is told (WB-05).
    async fn check_password(&self, email: &str, password: Secret) -> Result<Option<AccountId>, Fault> {
        let found = rows::password(&mut *self.0.store.read().await?, &normal(email)).await?;
        let (account, hash) = found.map_or((None, None), |(account, hash)| (Some(account), Some(hash)));
        Ok(self.0.hashing.verify(password, hash).await?.then_some(account).flatten())
    }

    async fn begin_session(&self, account: AccountId) -> Result<Secret, Fault> {
        let (cookie, now) = (chance::token(Kind::Session), self.0.clock.now());
        let mut tx = self.0.store.begin().await?;
        rows::add_session(&mut tx, &chance::hash(cookie.expose()), account, now, now.after(SESSION_IDLE))
            .await?;
        tx.commit().await?;
        Ok(cookie)
    }

    async fn end_session(&self, signed_in: &SignedIn) -> Result<(), Fault> {
        let mut tx = self.0.store.begin().await?;
        rows::end_session(&mut tx, &chance::hash(signed_in.cookie.expose())).await?;
        Ok(tx.commit().await?)
    }

    /// Shuts an account out, with its sessions and all it approved, or lets it in again. Its rows stay.
    ///
    /// # Errors
    /// [`Fault::NotFound`] when there is no such account.
    pub async fn set_disabled(&self, account: AccountId, disabled: bool) -> Result<(), Fault> {
        let at = disabled.then(|| self.0.clock.now());
        let mut tx = self.0.store.begin().await?;
        if !rows::set_disabled(&mut tx, account, at).await? {
            return Err(Fault::NotFound);
        }
        if disabled {
            rows::end_sessions(&mut tx, account).await?;
        }
        tx.commit().await?;
        self.announce(account);
        Ok(())
    }

    /// Tells whoever listens; nobody may.
    fn announce(&self, account: AccountId) {
        _ = self.0.changes.send(account);
    }

    /// Whether the code of the one-time address is the one that was printed and is still good.
    fn is_first_run_code(&self, code: &str) -> bool {
        let hash = chance::hash(code);
        self.0.first_run.lock().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(&hash)
    }

    /// Makes the first account and its workspace; false when there is an account already.
    async fn make_first(&self, new: NewAccount) -> Result<Option<AccountId>, Fault> {
        let NewAccount { name, email, password } = new;
        let hash = self.0.hashing.hash(password).await?;
        let account = AccountId::from_random_bits(chance::bits());
        let workspace = WorkspaceId::from_random_bits(chance::bits());
        let now = self.0.clock.now();
        let mut tx = self.0.store.begin().await?;
        rows::only_writer(&mut tx).await?;
        if rows::any(&mut tx).await? {
            return Ok(None);
        }
        rows::add(
            &mut tx,
            &rows::NewRow { account, email: &normal(&email), name: &name, password: &hash, now },
        )
        .await?;
        rows::add_workspace(&mut tx, workspace, &name, now).await?;
        rows::add_member(&mut tx, workspace, account, Role::Owner).await?;
        tx.commit().await?;
        *self.0.first_run.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(Some(account))
    }

    /// Counts one try at signing in; a right one is forgiven, so that a houseful of people is never too many.
    fn take_try(&self, asked: &Asked, email: &str) -> Result<(), Fault> {
        let now = self.0.clock.now();
        self.0.tries_by_place.take(&place(asked.peer.ip), now)?;
        self.0.tries_by_email.take(&chance::hash(&normal(email)), now)
    }

    fn forgive_try(&self, asked: &Asked, email: &str) {
        self.0.tries_by_place.forgive(&place(asked.peer.ip));
        self.0.tries_by_email.forgive(&chance::hash(&normal(email)));
    }
}

/// What an account is made of.
struct NewAccount {
    name: String,
    email: String,
    password: Secret,
}

/// One spelling for an address: people type capitals and spaces that mean nothing.
fn normal(email: &str) -> String {
    email.trim().to_lowercase()
}

#[cfg(test)]
mod tests;
