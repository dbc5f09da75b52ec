//! Sessions: a random cookie in the browser, its hash in the database.
//!
//! A session is kept (thirty days unused, a year at most) when the person ticked "stay signed in"; else it is
//! brief (half an hour unused, a day at most) and its cookie goes with the browser (WB-11). Whoever proves
//! again that it is them gets a new cookie, and so does whoever signs in (WB-01).

mod rows;

use std::net::IpAddr;
use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use http::{Method, header};
use shared::id::{AccountId, WorkspaceId};
use shared::secret::Secret;

use super::rows::Known;
use super::{Accounts, Role, SESSION};
use crate::audit::{Act, Entry};
use crate::chance::{self, Kind};
use crate::clock::Timestamp;
use crate::http::form::Form;
use crate::http::limit::place;
use crate::http::page::{Frame, Here};
use crate::http::{Answer, Asked, Fault, csrf};

pub(super) use rows::{Line, end_all, end_others};

/// So many sessions an account has at most: as many as its page shows.
const MOST: i64 = 200;
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long a password or second factor that was typed counts for what asks for it again.
pub const FRESH: Duration = Duration::from_secs(600);
/// How exact "last seen" is: a write per request would cost more than it tells.
const SEEN_EVERY: Duration = Duration::from_secs(60);

/// How long a session lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Unused.
    pub idle: Duration,
    /// However often it is used.
    pub at_most: Duration,
}

impl Life {
    /// Of a session that is kept, or not.
    pub fn of(is_kept: bool) -> Self {
        if is_kept {
            Self { idle: DAY * 30, at_most: DAY * 365 }
        } else {
            Self { idle: HOUR / 2, at_most: DAY }
        }
    }

    /// When a session that was made then and is used now lapses.
    pub fn ends(self, made: Timestamp, now: Timestamp) -> Timestamp {
        now.after(self.idle).min(made.after(self.at_most))
    }
}

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
    /// What that is called.
    pub workspace_name: String,
    /// Their role in it.
    pub role: Role,
    /// How often everything the account approved was taken back; what it approves now carries this number.
    pub epoch: i64,
    /// When they last proved that it is them.
    pub(super) proved_at: Timestamp,
    pub(super) is_kept: bool,
    /// Where this request comes from.
    pub(super) from: IpAddr,
    pub(super) cookie: Secret,
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
        let here = Here { workspace: self.workspace_name.clone(), manages: self.role.manages() };
        Frame {
            w: asked.words(),
            csrf: csrf::token(&self.cookie),
            account: Some(self.name.clone()),
            here: Some(here),
        }
    }

    /// This person as a caller, in the workspace they are looking at.
    pub fn caller(&self) -> super::Caller {
        let here = super::Membership { workspace: self.workspace, role: self.role };
        super::Caller { account: Some(self.account), memberships: vec![here], home: None }
    }

    /// The beginning of an entry about what this person does.
    pub(super) fn entry(&self, act: Act) -> Entry {
        Entry::new(act).of(self.account).from(self.from)
    }

    pub(super) fn hash(&self) -> Vec<u8> {
        chance::hash(self.cookie.expose())
    }
}

/// A session for the list of them.
pub struct Listed {
    /// Names the session in a form; opens nothing.
    pub id: String,
    pub browser: String,
    pub ip: String,
    pub created_at: Timestamp,
    pub seen_at: Timestamp,
    pub is_this: bool,
}

impl Accounts {
    /// Whose session a request carries, if it carries a live one.
    pub async fn signed_in(&self, asked: &Asked) -> Result<Option<SignedIn>, Fault> {
        let Some(cookie) = SESSION.read(asked).filter(|c| chance::looks_like(Kind::Session, c.expose()))
        else {
            return Ok(None);
        };
        let (hash, now) = (chance::hash(cookie.expose()), self.0.clock.now());
        let Some(row) = rows::find(&mut *self.0.store.read().await?, &hash, now).await? else {
            return Ok(None);
        };
        if now.since(row.seen_at) > SEEN_EVERY {
            let mut tx = self.0.store.begin().await?;
            let until = Life::of(row.is_kept).ends(row.created_at, now);
            rows::see(&mut tx, &hash, now, until).await?;
            tx.commit().await?;
        }
        Ok(Some(row.signed_in(cookie, asked.peer.ip)))
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

    /// Whose session a request carries, when they typed a password or second factor within ten minutes.
    ///
    /// # Errors
    /// [`Fault::SignIn`]; [`Fault::Prove`], which leads to `back` afterwards.
    pub async fn require_fresh(&self, asked: &Asked, back: &str) -> Result<SignedIn, Fault> {
        let person = self.require(asked).await?;
        if self.0.clock.now().since(person.proved_at) < FRESH {
            Ok(person)
        } else {
            Err(Fault::Prove(back.to_owned()))
        }
    }

    /// A new session with a new cookie, never the one somebody may have planted (WB-01). None when the account is
    /// not any more what the person proved it to be.
    pub(super) async fn welcome(
        &self,
        asked: &Asked,
        known: &Known,
        is_kept: bool,
        mut answer: Answer,
    ) -> Result<Option<Answer>, Fault> {
        if let Some(old) = self.signed_in(asked).await? {
            self.end_session(&old).await?;
        }
        let account = known.account;
        let (cookie, now) = (chance::token(Kind::Session), self.0.clock.now());
        let new = rows::New {
            hash: &chance::hash(cookie.expose()),
            account,
            is_kept,
            browser: &browser(asked.header(header::USER_AGENT).unwrap_or("")),
            ip: &place(asked.peer.ip).to_string(),
            now,
            until: Life::of(is_kept).ends(now, now),
        };
        let mut tx = self.0.store.begin().await?;
        if !super::rows::stands(&mut tx, known).await? {
            return Ok(None);
        }
        rows::add(&mut tx, &new).await?;
        rows::keep(&mut tx, account, new.hash, MOST).await?;
        if asked.header(header::ACCEPT_LANGUAGE).is_some() {
            super::rows::set_language(&mut tx, account, asked.words().tag).await?;
        }
        self.note(&mut tx, Entry::new(Act::SignedIn).of(account).from(asked.peer.ip)).await?;
        tx.commit().await?;
        give(&mut answer, asked, &cookie, is_kept);
        super::VISIT.forget(&mut answer, &asked.site);
        Ok(Some(answer))
    }

    /// Writes down that a sign-in was refused: the same for an address without an account, so without whose.
    pub(super) async fn note_refusal(&self, asked: &Asked) -> Result<(), Fault> {
        let mut tx = self.0.store.begin().await?;
        self.note(&mut tx, Entry::new(Act::SignInRefused).from(asked.peer.ip)).await?;
        Ok(tx.commit().await?)
    }

    /// The person proved again that it is them: the session goes on under a new cookie (WB-01).
    pub(super) async fn renew(
        &self,
        asked: &Asked,
        person: &SignedIn,
        answer: &mut Answer,
    ) -> Result<(), Fault> {
        let cookie = chance::token(Kind::Session);
        let mut tx = self.0.store.begin().await?;
        rows::renew(&mut tx, &person.hash(), &chance::hash(cookie.expose()), self.0.clock.now()).await?;
        tx.commit().await?;
        give(answer, asked, &cookie, person.is_kept);
        Ok(())
    }

    pub(super) async fn end_session(&self, person: &SignedIn) -> Result<(), Fault> {
        let mut tx = self.0.store.begin().await?;
        rows::end(&mut tx, person.account, &person.hash()).await?;
        self.note(&mut tx, person.entry(Act::SignedOut)).await?;
        Ok(tx.commit().await?)
    }

    /// Ends one of a person's sessions, named as [`Listed::id`].
    ///
    /// # Errors
    /// [`Fault::NotFound`] for somebody else's, or none.
    pub(super) async fn end_listed(&self, person: &SignedIn, id: &str) -> Result<(), Fault> {
        let hash = BASE64_URL_SAFE_NO_PAD.decode(id).map_err(|_| Fault::NotFound)?;
        let mut tx = self.0.store.begin().await?;
        if !rows::end(&mut tx, person.account, &hash).await? {
            return Err(Fault::NotFound);
        }
        self.note(&mut tx, person.entry(Act::SignedOut).with("session", "another")).await?;
        Ok(tx.commit().await?)
    }

    /// Ends all sessions of a person, this one too, and everything they approved (WB-11).
    pub(super) async fn sign_out_everywhere(&self, person: &SignedIn) -> Result<(), Fault> {
        let mut tx = self.0.store.begin().await?;
        super::rows::take_back(&mut tx, person.account).await?;
        end_all(&mut tx, person.account).await?;
        self.note(&mut tx, person.entry(Act::SignedOut).with("session", "all")).await?;
        tx.commit().await?;
        self.announce(person.account);
        Ok(())
    }

    /// A person's sessions, the one last used first.
    pub(super) async fn sessions(&self, person: &SignedIn) -> Result<Vec<Listed>, Fault> {
        let now = self.0.clock.now();
        let lines = rows::of(&mut *self.0.store.read().await?, person.account, now).await?;
        let this = person.hash();
        let listed = |line: Line| Listed {
            is_this: line.hash == this,
            id: BASE64_URL_SAFE_NO_PAD.encode(&line.hash),
            browser: line.browser,
            ip: line.ip,
            created_at: line.created_at,
            seen_at: line.seen_at,
        };
        Ok(lines.into_iter().map(listed).collect())
    }

    /// Which workspace the session looks at from now on.
    ///
    /// # Errors
    /// [`Fault::NotFound`] when the person is not in it.
    pub(super) async fn switch(&self, person: &SignedIn, workspace: WorkspaceId) -> Result<(), Fault> {
        let mut tx = self.0.store.begin().await?;
        if !rows::switch(&mut tx, &person.hash(), person.account, workspace).await? {
            return Err(Fault::NotFound);
        }
        Ok(tx.commit().await?)
    }

    pub(super) async fn forget_sessions(&self) -> Result<u64, Fault> {
        let mut tx = self.0.store.begin().await?;
        let gone = rows::forget(&mut tx, self.0.clock.now()).await?;
        tx.commit().await?;
        Ok(gone)
    }
}

fn give(answer: &mut Answer, asked: &Asked, cookie: &Secret, is_kept: bool) {
    let age = is_kept.then(|| Life::of(true).at_most.as_secs());
    SESSION.set(answer, &asked.site, cookie, age);
}

/// A browser in words, such as `Firefox, Linux`: enough to know one's own, and nothing to track anybody by.
fn browser(agent: &str) -> String {
    let find = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    // The order matters: most browsers claim to be those after them.
    let program = find(&[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("FxiOS", "Firefox"),
        ("CriOS", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = find(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("CrOS", "ChromeOS"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    [program, system].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_told_by_its_own_name() {
        for (agent, wanted) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox, Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
                "Edge, Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18 Mobile Safari/604",
                "Safari, iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36",
                "Chrome, Android",
            ),
            ("<script>", ""),
        ] {
            assert_eq!(browser(agent), wanted);
        }
    }

    #[test]
    fn a_session_ends_unused_and_at_last_even_used() {
        let made = Timestamp::from_millis(0);
        let kept = Life::of(true);
        assert_eq!(kept.ends(made, made), made.after(DAY * 30), "WB-11");
        assert_eq!(kept.ends(made, made.after(DAY * 364)), made.after(DAY * 365), "WB-11");
        let brief = Life::of(false);
        assert_eq!(brief.ends(made, made.after(HOUR)), made.after(HOUR + HOUR / 2), "WB-11");
        assert_eq!(brief.ends(made, made.after(HOUR * 24)), made.after(DAY), "WB-11");
    }
}
