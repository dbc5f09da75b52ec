//! Revocation (RFC 7009), and the other ways in which a grant is ended before its time.
//!
//! Either token of a grant ends the whole grant: whoever wants one of them gone wants the program out. Each
//! end is told to [`OAuth::revoked`] after it is on disk.

use shared::id::{GrantId, HomeId};
use tracing::info;

use super::refusal::{Refusal, Wrong};
use super::{OAuth, authorize, device, rows};
use crate::audit::{self, Act, Entry};
use crate::chance::{self, Kind};
use crate::http::{Asked, Fault};
use crate::store::{Failure, Tx};

/// Why a grant ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its client gave it back (RFC 7009).
    Client,
    /// The person took it back.
    Person,
    /// A refresh token was shown by two (RFC 9700 section 4.14.2).
    Reuse,
    /// A code was shown again (RFC 6749 section 4.1.2).
    CodeAgain,
    /// The home it was for is gone.
    Home,
    /// Another agent was paired with its home (T8).
    TakenOver,
    /// The account took back everything: a new password, or signing out everywhere.
    Account,
}

impl Why {
    /// The word in the database and the log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Person => "person",
            Self::Reuse => "reuse",
            Self::CodeAgain => "code-again",
            Self::Home => "home",
            Self::TakenOver => "taken-over",
            Self::Account => "account",
        }
    }
}

impl OAuth {
    /// `POST /oauth2/revoke`: flow D. Unknown tokens and those of other clients are answered alike (RV-03,
    /// RV-04); `token_type_hint` is not needed to find a token, and so not read (RV-06).
    pub(super) async fn revoke(&self, asked: &Asked) -> Result<(), Wrong> {
        self.limited(asked, async |form, claim| {
            let client = self.authenticate(claim).await?;
            let token = form.optional("token")?.ok_or(Refusal::Malformed("token is missing"))?;
            if ![Kind::Access, Kind::Refresh].iter().any(|kind| chance::looks_like(*kind, token)) {
                return Ok(());
            }
            let mut tx = self.0.store.begin().await?;
            if let Some(family) = rows::family_of(&mut tx, &chance::hash(token), &client.id).await? {
                self.end(tx, family, Why::Client, None).await?;
            }
            Ok(())
        })
        .await
    }

    /// Ends a grant, and tells once it is on disk. `from` is where a token came from that should not have.
    pub(super) async fn end(
        &self,
        mut tx: Tx,
        family: GrantId,
        why: Why,
        from: Option<&str>,
    ) -> Result<(), Failure> {
        let now = self.0.clock.now();
        let ended = rows::end_family(&mut tx, family, why.word(), from, now).await?;
        if let Some((account, client)) = &ended {
            let act = if why == Why::Reuse { Act::TokenReused } else { Act::GrantEnded };
            let entry = Entry::new(act).of(*account).from(from.and_then(|place| place.parse().ok()));
            let entry = entry.with("client", client).with("grant", family).with("why", why.word());
            audit::note(&mut tx, &entry, now).await?;
        }
        tx.commit().await?;
        if ended.is_some() {
            info!(grant.id = %family, why = why.word(), "a grant ends");
            self.tell(family);
        }
        Ok(())
    }

    /// Whether a grant ended because another agent was paired with its home.
    pub async fn was_taken_over(&self, family: GrantId) -> Result<bool, Fault> {
        let why = rows::why_ended(&mut *self.0.store.read().await?, family).await?;
        Ok(why.is_some_and(|why| why == Why::TakenOver.word()))
    }

    /// Notes what the machine of a grant's agent calls itself.
    pub async fn note_machine(&self, family: GrantId, machine: &str) -> Result<(), Fault> {
        let mut tx = self.0.store.begin().await?;
        rows::note_machine(&mut tx, family, machine).await?;
        Ok(tx.commit().await?)
    }

    /// Ends every grant that is bound to a home, and whatever would have become one: for a home that goes.
    pub async fn revoke_home(&self, home: HomeId) -> Result<(), Fault> {
        let now = self.0.clock.now();
        let mut tx = self.0.store.begin().await?;
        // First what would buy a grant: who is buying now is waited for, and their grant is found below.
        authorize::rows::forget_home(&mut tx, home).await?;
        device::rows::forget_home(&mut tx, home).await?;
        let ended = rows::end_families_of_home(&mut tx, home, Why::Home.word(), now).await?;
        tx.commit().await?;
        info!(home.id = %home, grants = ended.len(), "a home's grants end");
        ended.into_iter().for_each(|family| self.tell(family));
        Ok(())
    }
}
