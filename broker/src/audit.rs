//! Who did what, when and from where: a list that is only ever added to.
//!
//! Each entry carries a hash over itself and the hash of the one before, so an entry that is changed, taken out
//! or put in afterwards breaks the chain at that place ([`verify`]). What a chain alone cannot show is a tail
//! that was cut off: for that, keep the last hash of an export somewhere else.
//!
//! An entry is written in the transaction of what it tells, as its last step: either both are on disk or neither,
//! and whoever waits for the chain's end holds nothing that another waits for.

mod rows;

use std::collections::BTreeMap;
use std::net::IpAddr;

use aws_lc_rs::digest::{Context, SHA256};
use serde::Serialize;
use shared::id::{AccountId, WorkspaceId};

use crate::clock::Timestamp;
use crate::store::{Db, Result};

macro_rules! acts {
    ($($(#[doc = $doc:literal])* $name:ident = $word:literal,)*) => {
        /// What was done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        pub enum Act { $(
            $(#[doc = $doc])*
            #[serde(rename = $word)]
            $name,
        )* }

        impl Act {
            /// All there are.
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word in the table and in exports; never changed once released.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

acts! {
    /// The first account was made.
    FirstAccount = "account.first",
    /// Somebody made an account.
    Registered = "account.registered",
    /// An account may no longer sign in, or may again.
    AccountSwitched = "account.switched",
    /// A session began.
    SignedIn = "session.begun",
    /// A sign-in was refused.
    SignInRefused = "session.refused",
    /// One session, or all of an account, ended by request.
    SignedOut = "session.ended",
    /// A password was changed or reset.
    PasswordChanged = "password.changed",
    /// A letter with a way to a new password was asked for.
    ResetAsked = "password.reset-asked",
    /// A second factor was added or taken away.
    FactorChanged = "factor.changed",
    /// A workspace was made or renamed.
    WorkspaceChanged = "workspace.changed",
    /// Somebody was invited, or an invitation was taken back.
    Invited = "member.invited",
    /// Somebody came, left, was removed or got another role; or ownership went over.
    MemberChanged = "member.changed",
    /// A program was let in by a person.
    Consented = "grant.begun",
    /// A program was put out.
    GrantEnded = "grant.ended",
    /// A refresh token was used by two; its grant ended.
    TokenReused = "grant.reused",
    /// A client was registered, changed, disabled or removed.
    ClientChanged = "client.changed",
    /// A home was made.
    HomeMade = "home.made",
    /// A home got another name or port.
    HomeChanged = "home.changed",
    /// A home's tunnel got a new token.
    HomeRenewed = "home.renewed",
    /// A home was deleted.
    HomeDeleted = "home.deleted",
    /// A link was made.
    LinkMade = "link.made",
    /// A link was revoked.
    LinkRevoked = "link.revoked",
    /// A key was added to the list of those that seal; it seals nothing yet.
    KeyAdded = "keys.added",
    /// Secrets at rest were sealed anew with another key.
    KeysRotated = "keys.rotated",
    /// A key that sealed secrets was taken out of the key list.
    KeyRetired = "keys.retired",
}

/// Who does something, and from where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Doer {
    /// The person; none for a program or the broker itself.
    pub account: Option<AccountId>,
    /// The address they ask from.
    pub from: Option<IpAddr>,
}

/// One thing that was done.
#[derive(Debug, Clone)]
pub struct Entry {
    act: Act,
    account: Option<AccountId>,
    workspace: Option<WorkspaceId>,
    from: Option<IpAddr>,
    facts: BTreeMap<&'static str, String>,
}

impl Entry {
    /// An entry that says only what was done.
    pub fn new(act: Act) -> Self {
        Self { act, account: None, workspace: None, from: None, facts: BTreeMap::new() }
    }

    /// Who did it, and from where.
    pub fn by(self, doer: &Doer) -> Self {
        self.of(doer.account).from(doer.from)
    }

    /// Who did it, or to whose account it was done.
    pub fn of(mut self, account: impl Into<Option<AccountId>>) -> Self {
        self.account = account.into();
        self
    }

    /// In which workspace.
    pub fn within(mut self, workspace: impl Into<Option<WorkspaceId>>) -> Self {
        self.workspace = workspace.into();
        self
    }

    /// From where.
    pub fn from(mut self, place: impl Into<Option<IpAddr>>) -> Self {
        self.from = place.into();
        self
    }

    /// A fact more: a name or an id, never a secret.
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.facts.insert(name, value.to_string());
        self
    }
}

/// An entry as it stands in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Its place in the list, from 1.
    pub number: i64,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// What was done, in the words of [`Act`].
    pub act: String,
    /// Whose account.
    pub account: Option<i64>,
    /// Which workspace.
    pub workspace: Option<i64>,
    /// From where: an IP address.
    pub from: Option<String>,
    /// Names and ids, as JSON.
    #[serde(serialize_with = "as_json")]
    pub facts: String,
    /// Over all of the above and the hash before, in hexadecimal.
    #[serde(serialize_with = "hexadecimal")]
    pub hash: Vec<u8>,
}

fn as_json<S: serde::Serializer>(facts: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serde_json::from_str::<serde_json::Value>(facts).unwrap_or_default().serialize(serializer)
}

fn hexadecimal<S: serde::Serializer>(hash: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex(hash))
}

/// A hash for people and files.
pub fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Written {
    /// The hash this entry must have after one with that hash. Every field comes with its length, so that no two
    /// entries read alike.
    fn chained(&self, before: &[u8]) -> Vec<u8> {
        let number = |value: Option<i64>| value.map(|value| value.to_string()).unwrap_or_default();
        let mut context = Context::new(&SHA256);
        let fields = [
            self.number.to_string(),
            self.at.to_string(),
            self.act.clone(),
            number(self.account),
            number(self.workspace),
            self.from.clone().unwrap_or_default(),
            self.facts.clone(),
        ];
        for field in std::iter::once(before).chain(fields.iter().map(String::as_bytes)) {
            context.update(&(field.len() as u64).to_be_bytes());
            context.update(field);
        }
        context.finish().as_ref().to_vec()
    }
}

/// Adds an entry, in the transaction of what it tells and as its last step.
pub async fn note(tx: &mut Db, entry: &Entry, now: Timestamp) -> Result<()> {
    let (number, before) = rows::take_end(tx).await?;
    let mut written = Written {
        number,
        at: now.millis(),
        act: entry.act.word().to_owned(),
        account: entry.account.map(AccountId::number),
        workspace: entry.workspace.map(WorkspaceId::number),
        from: entry.from.map(|place| place.to_string()),
        facts: serde_json::to_string(&entry.facts).unwrap_or_default(),
        hash: Vec::new(),
    };
    written.hash = written.chained(&before);
    rows::add(tx, &written).await
}

/// Up to `most` entries after a number, oldest first.
pub async fn after(db: &mut Db, number: i64, most: i64) -> Result<Vec<Written>> {
    rows::after(db, number, most).await
}

/// What walking the chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// So many entries, each fits the one before; the last hash.
    Whole {
        /// How many entries there are.
        entries: i64,
        /// The last hash.
        end: Vec<u8>,
    },
    /// The entry with this number is missing, was changed, or something before it was.
    Broken {
        /// The first number that does not fit.
        at: i64,
    },
}

/// Walks the whole chain.
pub async fn verify(db: &mut Db) -> Result<Chain> {
    let (mut number, mut end) = (0, Vec::new());
    loop {
        // Asked first: what is added meanwhile is walked, too.
        let told = rows::end(db).await?;
        if told == (number, end.clone()) {
            return Ok(Chain::Whole { entries: number, end });
        }
        let some = rows::after(db, number, 1000).await?;
        if some.is_empty() {
            return Ok(Chain::Broken { at: number + 1 });
        }
        for entry in some {
            if entry.number != number + 1 || entry.hash != entry.chained(&end) {
                return Ok(Chain::Broken { at: number + 1 });
            }
            (number, end) = (entry.number, entry.hash);
        }
    }
}

#[cfg(test)]
mod tests;
