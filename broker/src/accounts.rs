//! People, their sessions, and the workspaces they are in.
//!
//! The first account is made through a one-time address that the broker prints while there is none; later ones
//! by invitation ([`invitations`]) or, where the settings let anybody in, by a letter ([`wishes`]).
//!
//! 1. Signing in: the tries are counted ([`attempts`]), the password is compared ([`password`]), for an unknown
//!    address too. With a second factor the sign-in waits half done ([`second`], [`passkeys`]).
//! 2. Then a session begins ([`session`]): a random cookie whose hash lies in the database; forms carry a token
//!    derived from that cookie.
//! 3. Each account has an *epoch*. What it approves carries the number; when the password changes or the person
//!    signs out everywhere it is raised, and all that is void.
//! 4. What an account may do hangs on its roles in workspaces ([`role`], [`workspaces`]). Whoever keeps something
//!    open on the strength of that listens to [`Accounts::changed`].
//!
//! Invariant: only [`SignedIn`] speaks for an account, and only a session that is alive makes one.

mod attempts;
mod invitations;
mod letters;
mod passkeys;
mod password;
mod role;
mod rows;
mod second;
mod session;
mod strength;
mod web;
mod wishes;
mod workspaces;

use std::sync::{Arc, Mutex, PoisonError};

use shared::id::{AccountId, WorkspaceId};
use shared::secret::Secret;
use tokio::sync::{Notify, broadcast};
use webauthn_rs::Webauthn;

use crate::audit::{self, Act, Entry};
use crate::chance::{self, Kind};
use crate::clock::Clock;
use crate::http::cookie::Jar;
use crate::http::{Asked, Fault, Routes, Site, routes};
use crate::mail::Mail;
use crate::store::{Db, Store};
use crate::vault::Vault;

pub use password::Hashing;
use password::Verdict;
pub use role::{Caller, Membership, Role};
use rows::Known;
pub use rows::{Line, Reader};
pub use session::SignedIn;

/// So many changes may wait for a listener before it lags, and has to look at everything.
const CHANGES: usize = 1024;

const SESSION: Jar<'static> = Jar { name: "session", path: "/" };
/// For forms of people who are not signed in.
const VISIT: Jar<'static> = Jar { name: "visit", path: "/" };
/// Between the two steps of signing in.
const STEP: Jar<'static> = Jar { name: "step", path: "/" };

/// What accounts are put together from.
pub struct Parts {
    /// The rows.
    pub store: Store,
    /// What time it is.
    pub clock: Clock,
    /// How the world knows us.
    pub site: Arc<Site>,
    /// Seals the secrets of apps.
    pub vault: Vault,
    /// Letters.
    pub mail: Mail,
    /// Memory of one password hash, in KiB.
    pub password_memory_kib: u32,
    /// Whether anybody may make an account.
    pub open_registration: bool,
}

/// The accounts.
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    site: Arc<Site>,
    vault: Vault,
    mail: Mail,
    hashing: Hashing,
    open_registration: bool,
    passkeys: Option<Webauthn>,
    /// The hash of the one-time code, while there is no account.
    first_run: Mutex<Option<Vec<u8>>>,
    changes: broadcast::Sender<AccountId>,
    /// Somebody asked for a letter.
    wished: Notify,
}

/// What an account is made of.
struct NewAccount {
    name: String,
    email: String,
    /// Hashed.
    password: String,
}

impl Accounts {
    /// The accounts in a store.
    pub fn new(parts: Parts) -> Self {
        let Parts { store, clock, site, vault, mail, password_memory_kib, open_registration } = parts;
        Self(Arc::new(Inner {
            passkeys: passkeys::relying_party(&site.public_url),
            store,
            clock,
            site,
            vault,
            mail,
            hashing: Hashing::new(password_memory_kib),
            open_registration,
            first_run: Mutex::default(),
            changes: broadcast::channel(CHANGES).0,
            wished: Notify::new(),
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

    /// How often everything an account approved was taken back; nothing for one that is gone or disabled.
    pub async fn epoch(&self, account: AccountId) -> Result<Option<i64>, Fault> {
        Ok(rows::epoch(&mut *self.0.store.read().await?, account).await?)
    }

    /// Tells of accounts whose epoch, standing, membership or role changed, after it is on disk. Whoever lags
    /// behind must look at every account again.
    pub fn changed(&self) -> broadcast::Receiver<AccountId> {
        self.0.changes.subscribe()
    }

    /// Writes down what is done, as the last step of its transaction.
    async fn note(&self, db: &mut Db, entry: Entry) -> Result<(), Fault> {
        Ok(audit::note(db, &entry, self.0.clock.now()).await?)
    }

    /// Tells whoever listens; nobody may.
    fn announce(&self, account: AccountId) {
        _ = self.0.changes.send(account);
    }

    /// All accounts, by address; for the operator.
    pub async fn all(&self) -> Result<Vec<Line>, Fault> {
        Ok(rows::all(&mut *self.0.store.read().await?).await?)
    }

    /// Who looks after a workspace: its owners and admins, to be written to.
    pub async fn managers(&self, db: &mut Db, workspace: WorkspaceId) -> Result<Vec<Reader>, Fault> {
        Ok(rows::managers(db, workspace).await?)
    }

    /// The account of an address, disabled or not; for the operator.
    pub async fn find(&self, email: &str) -> Result<Option<Line>, Fault> {
        let email = normal(email);
        Ok(self.all().await?.into_iter().find(|line| line.email == email))
    }

    /// Makes an account with a workspace of its own, whose password is still to be set by a letter; for the
    /// operator. The link to set it, which is shown once.
    ///
    /// # Errors
    /// [`Fault::Bad`] for an address that is none, or is taken.
    pub async fn invite_by_operator(&self, email: &str, name: &str) -> Result<String, Fault> {
        let email = normal(email);
        if let Some(wrong) = web::wrong_with_person(name, &email) {
            return Err(Fault::bad(crate::http::words::english().say(wrong)));
        }
        // No password fits: the hash is of chance that nobody saw.
        let password = self.0.hashing.hash(chance::token(Kind::Step)).await?;
        let mut tx = self.0.store.begin().await?;
        let new = NewAccount { name: name.to_owned(), email, password };
        let account =
            self.add(&mut tx, &new).await?.ok_or_else(|| Fault::bad("this address has an account"))?;
        self.add_workspace(&mut tx, account, name).await?;
        self.note(&mut tx, Entry::new(Act::Registered).of(account).with("by", "operator")).await?;
        tx.commit().await?;
        self.reset_link(&new.email).await
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
            // Let in again, it approves anew: what was stolen meanwhile stays dead.
            rows::take_back(&mut tx, account).await?;
            session::end_all(&mut tx, account).await?;
        }
        self.note(&mut tx, Entry::new(Act::AccountSwitched).of(account).with("disabled", disabled)).await?;
        tx.commit().await?;
        self.announce(account);
        Ok(())
    }

    /// Forgets what has lapsed; how many rows.
    pub async fn forget_lapsed(&self) -> Result<u64, Fault> {
        Ok(self.forget_sessions().await?
            + self.forget_attempts().await?
            + self.forget_mail_tokens().await?
            + self.forget_invitations().await?
            + self.forget_steps().await?)
    }

    /// All pages of accounts.
    pub fn routes(&self) -> Routes {
        let accounts = self.clone();
        routes(self.0.site.clone(), web::PATHS, move |asked| {
            let accounts = accounts.clone();
            async move { web::answer(&accounts, &asked).await }
        })
    }

    /// Checks an address and a password; `None` is all that a wrong one is told (WB-05). A right one that was
    /// hashed with less work than today's is hashed anew (WB-06).
    ///
    /// Comparing takes long, and the password may be changed meanwhile: what the proof is used for must ask
    /// [`rows::stands`] in its own transaction.
    async fn check_password(&self, email: &str, password: Secret) -> Result<Option<Known>, Fault> {
        let found = rows::password(&mut *self.0.store.read().await?, &normal(email)).await?;
        let hash = found.as_ref().map(|known| known.hash.clone());
        let verdict = self.0.hashing.verify(password.clone(), hash).await?;
        match (verdict, found) {
            (Verdict::Right, found) => Ok(found),
            (Verdict::Outdated, Some(known)) => {
                let hash = self.0.hashing.hash(password).await?;
                let mut tx = self.0.store.begin().await?;
                let is_same = rows::rehash(&mut tx, &known, &hash).await?;
                tx.commit().await?;
                Ok(is_same.then_some(Known { hash, ..known }))
            }
            _ => Ok(None),
        }
    }

    /// An account as it is now, unless it is disabled; for whoever proved it otherwise than by its password.
    async fn standing(&self, account: AccountId) -> Result<Option<Known>, Fault> {
        Ok(rows::standing(&mut *self.0.store.read().await?, account).await?)
    }

    /// Changes a person's password: ends their other sessions and, unless `keep`, all that they approved. False
    /// when the old one is not theirs any more.
    async fn change_password(
        &self,
        asked: &Asked,
        person: &SignedIn,
        old: &Known,
        password: Secret,
        keep: bool,
    ) -> Result<bool, Fault> {
        let is_short = strength::is_short(password.expose());
        let hash = self.0.hashing.hash(password).await?;
        let mut tx = self.0.store.begin().await?;
        if !rows::stands(&mut tx, old).await? {
            return Ok(false);
        }
        rows::set_password(&mut tx, person.account, &hash, is_short).await?;
        if !self.may_stand(&mut tx, person.account).await? {
            return Err(Fault::bad("the second factor was taken away meanwhile"));
        }
        session::end_others(&mut tx, person.account, &person.hash()).await?;
        wishes::end_tokens(&mut tx, person.account).await?;
        if !keep {
            rows::take_back(&mut tx, person.account).await?;
        }
        self.notice(&mut tx, person.account, asked.words(), "mail-changed-password").await?;
        self.note(&mut tx, person.entry(Act::PasswordChanged).with("kept_programs", keep)).await?;
        tx.commit().await?;
        self.announce(person.account);
        self.0.mail.wake();
        Ok(true)
    }

    /// Adds an account; none when the address has one.
    async fn add(&self, db: &mut Db, new: &NewAccount) -> Result<Option<AccountId>, Fault> {
        let account = AccountId::from_random_bits(chance::bits());
        let row = rows::NewRow {
            account,
            email: &normal(&new.email),
            name: &new.name,
            password: &new.password,
            now: self.0.clock.now(),
        };
        Ok(rows::add(db, &row).await?.then_some(account))
    }

    /// Whether the code of the one-time address is the one that was printed and is still good.
    fn is_first_run_code(&self, code: &str) -> bool {
        let hash = chance::hash(code);
        self.0.first_run.lock().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(&hash)
    }

    /// Makes the first account and its workspace; none when there is an account already.
    async fn make_first(
        &self,
        name: String,
        email: String,
        password: Secret,
    ) -> Result<Option<AccountId>, Fault> {
        let new = NewAccount { name, email, password: self.0.hashing.hash(password).await? };
        let mut tx = self.0.store.begin().await?;
        rows::only_writer(&mut tx).await?;
        if rows::any(&mut tx).await? {
            return Ok(None);
        }
        let Some(account) = self.add(&mut tx, &new).await? else { return Ok(None) };
        self.add_workspace(&mut tx, account, &new.name).await?;
        self.note(&mut tx, Entry::new(Act::FirstAccount).of(account)).await?;
        tx.commit().await?;
        *self.0.first_run.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(Some(account))
    }
}

/// One spelling for an address: people type capitals and spaces that mean nothing.
fn normal(email: &str) -> String {
    email.trim().to_lowercase()
}

#[cfg(test)]
impl Accounts {
    /// Accounts that write letters into a folder, with a vault of their own.
    pub(crate) fn for_tests(store: Store, clock: Clock, site: Arc<Site>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(&folder.path().join("keys")).unwrap();
        let mail = Mail::for_tests(&store, &clock);
        Self::new(Parts {
            store,
            clock,
            site,
            vault,
            mail,
            password_memory_kib: 19 * 1024,
            open_registration: false,
        })
    }
}

#[cfg(test)]
mod tests;
