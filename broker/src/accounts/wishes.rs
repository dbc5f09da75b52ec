//! Letters that anybody may ask for: a new password, an account of one's own.
//!
//! The page only writes down that somebody asked, the same for every address; a task of ours looks the address
//! up afterwards. So neither the answer nor the time it takes tells whether there is such an account (WB-05).
//!
//! Invariant: a link of a letter works once, for half an hour (a password) or a day (an address), and only its
//! hash is kept (WB-08).

mod rows;

use std::time::Duration;

use shared::id::AccountId;
use shared::secret::Secret;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::letters::Head;
use super::{Accounts, NewAccount, normal, session};
use crate::audit::{Act, Entry};
use crate::chance::{self, Kind};
use crate::clock::Timestamp;
use crate::http::words::{self, Words};
use crate::http::{Asked, Fault};
use crate::store::Db;

pub(super) use rows::end_tokens;

/// So many may wait to be looked at.
const MOST: i64 = 10_000;
/// So many letters of a purpose an hour to one address, however many ask for them.
const LETTERS_AN_HOUR: i64 = 3;
const HOUR: Duration = Duration::from_secs(3600);
/// How often wishes of other brokers are looked for.
const LOOK: Duration = Duration::from_secs(15);

/// What a letter is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A new password.
    Reset,
    /// A new account.
    Register,
}

impl Purpose {
    fn word(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Register => "register",
        }
    }

    /// How long its link works.
    fn life(self) -> Duration {
        match self {
            Self::Reset => HOUR / 2,
            Self::Register => HOUR * 24,
        }
    }
}

/// What a link of a letter is for.
pub struct Confirmed {
    /// The address it was sent to.
    pub email: String,
    /// The account, for a new password.
    pub account: Option<AccountId>,
}

impl Accounts {
    /// Writes down that somebody wants a letter.
    ///
    /// # Errors
    /// [`Fault::TooMany`] from one place; [`Fault::Unavailable`] while too many letters wait. Neither hangs on
    /// there being an account.
    pub(super) async fn wish(&self, asked: &Asked, purpose: Purpose, email: &str) -> Result<(), Fault> {
        self.try_letter(asked.peer.ip).await?;
        let mut tx = self.0.store.begin().await?;
        if rows::count(&mut tx).await? >= MOST || !self.0.mail.has_room(&mut tx).await? {
            return Err(Fault::Unavailable("too many letters are waiting".to_owned()));
        }
        let id = (chance::bits() >> 1) as i64;
        let wish = rows::Wish {
            id,
            kind: purpose.word().to_owned(),
            email: normal(email),
            language: asked.words().tag.to_owned(),
        };
        rows::add(&mut tx, &wish, self.0.clock.now()).await?;
        tx.commit().await?;
        self.0.wished.notify_one();
        Ok(())
    }

    /// Turns wishes into letters until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            if let Err(err) = self.fulfil().await {
                warn!("look for letters that were asked for: {err}");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.wished.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Looks at every wish, once.
    pub(super) async fn fulfil(&self) -> Result<(), Fault> {
        loop {
            let wishes = rows::some(&mut *self.0.store.read().await?).await?;
            if wishes.is_empty() {
                return Ok(());
            }
            for wish in wishes {
                self.fulfil_one(wish).await?;
            }
        }
    }

    async fn fulfil_one(&self, wish: rows::Wish) -> Result<(), Fault> {
        let now = self.0.clock.now();
        let mut tx = self.0.store.begin().await?;
        if !rows::take(&mut tx, wish.id).await? {
            return Ok(());
        }
        let account = super::rows::password(&mut tx, &wish.email).await?.map(|known| known.account);
        let purpose = if wish.kind == Purpose::Reset.word() { Purpose::Reset } else { Purpose::Register };
        let is_wanted = match purpose {
            Purpose::Reset => account.is_some(),
            Purpose::Register => self.0.open_registration,
        };
        if is_wanted && self.recent(&mut tx, purpose, &wish.email).await? < LETTERS_AN_HOUR {
            let token = chance::token(Kind::Mail);
            let hash = chance::hash(token.expose());
            let lapses_at = now.after(purpose.life());
            // Who has an account gets no link to make another, but is counted all the same.
            let kind =
                if purpose == Purpose::Register && account.is_some() { "known" } else { purpose.word() };
            let row = rows::Token { hash: &hash, kind, email: &wish.email, account, now, lapses_at };
            rows::add_token(&mut tx, &row).await?;
            let origin = self.0.site.origin();
            let head =
                Head { w: words::for_header(&wish.language), to: &wish.email, origin: &origin, lapses_at };
            let link = |path: &str| self.0.site.address(&format!("/{path}?token={}", token.expose()));
            let letter = match kind {
                "reset" => head.reset(&link("reset"))?,
                "known" => head.known(&self.0.site.address("/sign-in"))?,
                _ => head.register(&link("register"))?,
            };
            self.0.mail.enqueue(&mut tx, &letter).await?;
            if purpose == Purpose::Reset {
                self.note(&mut tx, Entry::new(Act::ResetAsked).of(account)).await?;
            }
        }
        tx.commit().await?;
        self.0.mail.wake();
        Ok(())
    }

    /// How many letters of a purpose an address got lately. Letters of another purpose do not count, or anybody
    /// could use up those for a new password; and of those only the ones that still help.
    async fn recent(&self, db: &mut Db, purpose: Purpose, email: &str) -> Result<i64, Fault> {
        let now = self.0.clock.now();
        let since = |time: Duration| Timestamp::from_millis(now.millis() - time.as_millis() as i64);
        Ok(match purpose {
            Purpose::Reset => {
                rows::recent(db, email, ["reset", "reset"], since(purpose.life()), Some(now)).await?
            }
            Purpose::Register => rows::recent(db, email, ["register", "known"], since(HOUR), None).await?,
        })
    }

    /// A link to set a new password that goes into nobody's letter; for the operator, who passes it on. Works for an
    /// account that is disabled too, and leaves it so.
    ///
    /// # Errors
    /// [`Fault::NotFound`] for an address without an account.
    pub async fn reset_link(&self, email: &str) -> Result<String, Fault> {
        let (email, now) = (normal(email), self.0.clock.now());
        let mut tx = self.0.store.begin().await?;
        let account = super::rows::of_email(&mut tx, &email).await?.ok_or(Fault::NotFound)?;
        let token = chance::token(Kind::Mail);
        let (hash, lapses_at) = (chance::hash(token.expose()), now.after(Purpose::Reset.life()));
        let row = rows::Token {
            hash: &hash,
            kind: Purpose::Reset.word(),
            email: &email,
            account: Some(account),
            now,
            lapses_at,
        };
        rows::add_token(&mut tx, &row).await?;
        tx.commit().await?;
        Ok(self.0.site.address(&format!("/reset?token={}", token.expose())))
    }

    /// What a link of a letter is for, while it works. Looking does not use it up: mail programs look too.
    pub(super) async fn confirmed(&self, purpose: Purpose, token: &str) -> Result<Option<Confirmed>, Fault> {
        if !chance::looks_like(Kind::Mail, token) {
            return Ok(None);
        }
        let mut reader = self.0.store.read().await?;
        Ok(rows::token(&mut reader, &chance::hash(token), purpose.word(), self.0.clock.now()).await?)
    }

    /// Sets a new password by a link of a letter, and ends all sessions; `keep` spares programs and agents. None
    /// when the link does not work any more.
    pub(super) async fn reset(&self, token: &str, password: Secret, keep: bool) -> Result<Option<()>, Fault> {
        let confirmed = self.confirmed(Purpose::Reset, token).await?;
        let Some(account) = confirmed.and_then(|confirmed| confirmed.account) else { return Ok(None) };
        let is_short = super::strength::is_short(password.expose());
        let hash = self.0.hashing.hash(password).await?;
        let mut tx = self.0.store.begin().await?;
        super::rows::hold(&mut tx, account).await?;
        let now = self.0.clock.now();
        if rows::spend(&mut tx, &chance::hash(token), Purpose::Reset.word(), now).await?.is_none() {
            return Ok(None);
        }
        super::rows::set_password(&mut tx, account, &hash, is_short).await?;
        if !self.may_stand(&mut tx, account).await? {
            return Err(Fault::bad("the second factor was taken away meanwhile"));
        }
        session::end_all(&mut tx, account).await?;
        rows::end_tokens(&mut tx, account).await?;
        if !keep {
            super::rows::take_back(&mut tx, account).await?;
        }
        self.notice(&mut tx, account, words::english(), "mail-changed-password").await?;
        self.note(&mut tx, Entry::new(Act::PasswordChanged).of(account).with("by", "letter")).await?;
        tx.commit().await?;
        self.announce(account);
        self.0.mail.wake();
        info!(account.id = %account, "a password was reset by mail");
        Ok(Some(()))
    }

    /// Makes the account of a confirmed address. None when the link does not work any more.
    pub(super) async fn register(
        &self,
        token: &str,
        name: String,
        password: Secret,
    ) -> Result<Option<AccountId>, Fault> {
        if self.confirmed(Purpose::Register, token).await?.is_none() {
            return Ok(None);
        }
        let hash = self.0.hashing.hash(password).await?;
        let mut tx = self.0.store.begin().await?;
        let now = self.0.clock.now();
        let confirmed = rows::spend(&mut tx, &chance::hash(token), Purpose::Register.word(), now).await?;
        let Some(Confirmed { email, .. }) = confirmed else { return Ok(None) };
        let new = NewAccount { name, email, password: hash };
        let Some(account) = self.add(&mut tx, &new).await? else {
            // The link is used up all the same: each hashes one password.
            tx.commit().await?;
            return Ok(None);
        };
        self.add_workspace(&mut tx, account, &new.name).await?;
        self.note(&mut tx, Entry::new(Act::Registered).of(account).with("by", "letter")).await?;
        tx.commit().await?;
        Ok(Some(account))
    }

    /// Puts a letter into the outbox that tells of a change; whoever did not make it should know.
    pub(super) async fn notice(
        &self,
        db: &mut Db,
        account: AccountId,
        w: &'static Words,
        what: &str,
    ) -> Result<(), Fault> {
        let Some(to) = super::rows::email(db, account).await? else { return Ok(()) };
        let origin = self.0.site.origin();
        let head = Head { w, to: &to, origin: &origin, lapses_at: self.0.clock.now().after(HOUR * 24) };
        Ok(self.0.mail.enqueue(db, &head.notice(what)?).await?)
    }

    #[cfg(test)]
    pub(super) async fn token_for_tests(&self, email: &str) -> String {
        let (token, now) = (chance::token(Kind::Mail), self.0.clock.now());
        let (hash, lapses_at) = (chance::hash(token.expose()), now.after(HOUR));
        let row = rows::Token { hash: &hash, kind: "register", email, account: None, now, lapses_at };
        let mut tx = self.0.store.begin().await.unwrap();
        rows::add_token(&mut tx, &row).await.unwrap();
        tx.commit().await.unwrap();
        token.expose().to_owned()
    }

    pub(super) async fn forget_mail_tokens(&self) -> Result<u64, Fault> {
        let mut tx = self.0.store.begin().await?;
        // They count towards the letters of an hour for an hour.
        let before = self.0.clock.now().millis() - HOUR.as_millis() as i64;
        let gone = rows::forget(&mut tx, before).await?;
        tx.commit().await?;
        Ok(gone)
    }
}
