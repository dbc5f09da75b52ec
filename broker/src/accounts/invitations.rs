//! Invitations into a workspace: a link by mail, for one address and one role, good once for seven days.
//!
//! Invariant: an invitation lives only while whoever wrote it may still invite; taken out or lowered in role,
//! their invitations go with them.

mod rows;

use std::time::Duration;

use shared::id::{AccountId, WorkspaceId};
use shared::secret::Secret;

use super::letters::Head;
use super::role::may_invite;
use super::workspaces::{Not, missing_role};
use super::{Accounts, Membership, NewAccount, Role, SignedIn, normal, workspaces};
use crate::audit::{Act, Entry};
use crate::chance::{self, Kind};
use crate::clock::Timestamp;
use crate::http::words::Words;
use crate::http::{Fault, Site};
use crate::mail;

/// How long it is good.
const LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// So many open ones a workspace may have.
const MOST: i64 = 100;

/// An open invitation, for the list of them.
pub struct Open {
    pub id: i64,
    pub email: String,
    pub role: Role,
    pub by: String,
    pub lapses_at: Timestamp,
}

/// An invitation, as the invited see it.
pub struct Invitation {
    pub workspace: WorkspaceId,
    pub workspace_name: String,
    pub email: String,
    pub role: Role,
    pub by: String,
    /// The address has an account already.
    pub is_known: bool,
}

/// What came of taking an invitation up.
pub enum Joined {
    /// In the workspace, as this account.
    Yes(AccountId),
    /// The invitation is not good any more.
    Gone,
    /// The address has an account by now: sign in with it.
    Known,
    /// It is for another address.
    Other,
}

impl Accounts {
    /// Invites somebody by mail. An open invitation for the same address is replaced.
    ///
    /// # Errors
    /// 403 `insufficient_role`; [`Fault::TooMany`] from one person or to one address; [`Fault::Unavailable`] while
    /// too many letters wait.
    pub(super) async fn invite(
        &self,
        person: &SignedIn,
        email: &str,
        role: Role,
        w: &'static Words,
    ) -> Result<Result<(), Not>, Fault> {
        let email = normal(email);
        if !mail::is_address(&email) {
            return Ok(Err(Not("accounts-wrong-email")));
        }
        // Whoever may not invite anyway uses up no letters of the address.
        if !may_invite(person.role, role) {
            return Err(missing_role());
        }
        self.try_invitation(person.account, &email).await?;
        let now = self.0.clock.now();
        let mut tx = self.0.store.begin().await?;
        let actor = self.actor(&mut tx, person).await?;
        if !may_invite(actor, role) {
            return Err(missing_role());
        }
        if rows::is_member(&mut tx, person.workspace, &email).await? {
            return Ok(Err(Not("members-is-member")));
        }
        rows::forget_lapsed(&mut tx, now).await?;
        rows::remove_for(&mut tx, person.workspace, &email).await?;
        if rows::count(&mut tx, person.workspace).await? >= MOST {
            return Ok(Err(Not("members-too-many")));
        }
        if !self.0.mail.has_room_to_spare(&mut tx).await? {
            return Err(Fault::Unavailable("too many letters are waiting".to_owned()));
        }
        let token = chance::token(Kind::Invitation);
        let lapses_at = now.after(LIFE);
        let new = rows::New {
            id: (chance::bits() >> 1) as i64,
            hash: &chance::hash(token.expose()),
            workspace: person.workspace,
            email: &email,
            role,
            by: person.account,
            now,
            lapses_at,
        };
        rows::add(&mut tx, &new).await?;
        let origin = self.0.site.origin();
        let head = Head { w, to: &email, origin: &origin, lapses_at };
        let letter = head.invitation(&person.name, &person.workspace_name, &address(&self.0.site, &token))?;
        self.0.mail.enqueue(&mut tx, &letter).await?;
        let entry = person.entry(Act::Invited).within(person.workspace);
        self.note(&mut tx, entry.with("invitation", new.id).with("role", role.word())).await?;
        tx.commit().await?;
        self.0.mail.wake();
        Ok(Ok(()))
    }

    /// The open invitations of a workspace.
    pub(super) async fn invitations(&self, workspace: WorkspaceId) -> Result<Vec<Open>, Fault> {
        Ok(rows::of(&mut *self.0.store.read().await?, workspace, self.0.clock.now()).await?)
    }

    /// Takes an invitation back.
    ///
    /// # Errors
    /// 403 `insufficient_role`; [`Fault::NotFound`] for one of another workspace.
    pub(super) async fn uninvite(&self, person: &SignedIn, id: i64) -> Result<(), Fault> {
        let mut tx = self.0.store.begin().await?;
        if !self.actor(&mut tx, person).await?.manages() {
            return Err(missing_role());
        }
        if !rows::remove(&mut tx, person.workspace, id).await? {
            return Err(Fault::NotFound);
        }
        let entry = person.entry(Act::Invited).within(person.workspace);
        self.note(&mut tx, entry.with("invitation", id).with("role", "none")).await?;
        Ok(tx.commit().await?)
    }

    /// The invitation of a link, while it is good. Looking does not use it up.
    pub(super) async fn invitation(&self, token: &str) -> Result<Option<Invitation>, Fault> {
        if !chance::looks_like(Kind::Invitation, token) {
            return Ok(None);
        }
        let mut reader = self.0.store.read().await?;
        Ok(rows::find(&mut reader, &chance::hash(token), self.0.clock.now()).await?)
    }

    /// Takes an invitation up with the account it is for.
    pub(super) async fn join(&self, token: &str, person: &SignedIn) -> Result<Joined, Fault> {
        let account = person.account;
        let now = self.0.clock.now();
        let mut tx = self.0.store.begin().await?;
        let Some(found) = rows::spend(&mut tx, &chance::hash(token), now).await? else {
            return Ok(Joined::Gone);
        };
        if found.email != person.email {
            // The transaction is dropped: the invitation stays for whom it is for.
            return Ok(Joined::Other);
        }
        let workspace = found.workspace;
        if workspaces::role_of(&mut tx, workspace, account).await?.is_none() {
            let member = Membership { workspace, role: found.role };
            workspaces::add_member(&mut tx, workspace, member, account, now).await?;
            let entry = person.entry(Act::MemberChanged).within(workspace);
            self.note(&mut tx, entry.with("member", account).with("role", found.role.word())).await?;
        }
        tx.commit().await?;
        self.announce(account);
        Ok(Joined::Yes(account))
    }

    /// Takes an invitation up with a new account; the link proves the address.
    pub(super) async fn join_new(
        &self,
        token: &str,
        name: String,
        password: Secret,
    ) -> Result<Joined, Fault> {
        match self.invitation(token).await? {
            None => return Ok(Joined::Gone),
            Some(invitation) if invitation.is_known => return Ok(Joined::Known),
            Some(_) => {}
        }
        let hash = self.0.hashing.hash(password).await?;
        let now = self.0.clock.now();
        let mut tx = self.0.store.begin().await?;
        let Some(found) = rows::spend(&mut tx, &chance::hash(token), now).await? else {
            return Ok(Joined::Gone);
        };
        let new = NewAccount { name, email: found.email, password: hash };
        let Some(account) = self.add(&mut tx, &new).await? else { return Ok(Joined::Known) };
        let member = Membership { workspace: found.workspace, role: found.role };
        workspaces::add_member(&mut tx, found.workspace, member, account, now).await?;
        let entry = Entry::new(Act::Registered).of(account).within(found.workspace);
        self.note(&mut tx, entry.with("by", "invitation").with("role", found.role.word())).await?;
        tx.commit().await?;
        self.announce(account);
        Ok(Joined::Yes(account))
    }

    #[cfg(test)]
    pub(super) async fn invitation_for_tests(&self, by: &SignedIn, email: &str) -> String {
        let (token, now) = (chance::token(Kind::Invitation), self.0.clock.now());
        let new = rows::New {
            id: 1,
            hash: &chance::hash(token.expose()),
            workspace: by.workspace,
            email,
            role: Role::Member,
            by: by.account,
            now,
            lapses_at: now.after(LIFE),
        };
        let mut tx = self.0.store.begin().await.unwrap();
        rows::add(&mut tx, &new).await.unwrap();
        tx.commit().await.unwrap();
        token.expose().to_owned()
    }

    pub(super) async fn forget_invitations(&self) -> Result<u64, Fault> {
        let mut tx = self.0.store.begin().await?;
        let gone = rows::forget_lapsed(&mut tx, self.0.clock.now()).await?;
        tx.commit().await?;
        Ok(gone)
    }
}

fn address(site: &Site, token: &Secret) -> String {
    site.address(&format!("/invitation?token={}", token.expose()))
}
