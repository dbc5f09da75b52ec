//! Workspaces and who is in them.
//!
//! Invariants: a workspace has exactly one owner, also while ownership changes hands; and an account is in one
//! workspace at least: whoever is taken out of the last one gets an empty one of their own.

mod rows;

use shared::id::{AccountId, WorkspaceId};

use super::role::{may_change, may_hand_over, may_leave, may_remove};
use super::{Accounts, Membership, Role, SignedIn};
use crate::audit::Act;
use crate::chance;
use crate::clock::Timestamp;
use crate::http::Fault;
use crate::http::escape::is_unshowable;
use crate::store::Db;

pub(super) use rows::{add_member, role_of};

/// So many workspaces an account may be in, before it makes another.
const MOST: usize = 50;

/// A member of a workspace, for the list of them.
pub struct Member {
    pub account: AccountId,
    pub name: String,
    pub email: String,
    pub role: Role,
    pub joined_at: Timestamp,
}

/// A workspace of a person, for the list of them.
pub struct Mine {
    pub id: WorkspaceId,
    pub name: String,
    pub role: Role,
    pub homes: i64,
    pub members: i64,
}

/// Why something about members is not done; the word that tells the person.
pub struct Not(pub &'static str);

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= 60 && !name.chars().any(is_unshowable)
}

/// What whoever may not do something in a workspace is told.
pub fn missing_role() -> Fault {
    Fault::Forbidden("insufficient_role", "an owner or admin of the workspace may do this".to_owned())
}

impl Accounts {
    /// The workspaces an account is in, and as what; none while the account is disabled.
    pub async fn memberships(&self, account: AccountId) -> Result<Vec<Membership>, Fault> {
        Ok(rows::memberships(&mut *self.0.store.read().await?, account).await?)
    }

    /// The workspaces a caller may ask about: id, name and slug.
    pub async fn workspaces(
        &self,
        caller: &super::Caller,
    ) -> Result<Vec<(WorkspaceId, String, String)>, Fault> {
        let mut reader = self.0.store.read().await?;
        let mut found = Vec::with_capacity(caller.memberships.len());
        for Membership { workspace, .. } in &caller.memberships {
            let named = rows::workspace(&mut reader, *workspace).await?;
            found.extend(named.map(|(name, slug)| (*workspace, name, slug)));
        }
        Ok(found)
    }

    /// A person's workspaces, by name.
    pub(super) async fn my_workspaces(&self, person: &SignedIn) -> Result<Vec<Mine>, Fault> {
        Ok(rows::mine(&mut *self.0.store.read().await?, person.account).await?)
    }

    /// Who is in a workspace, the owner first, then by name.
    pub(super) async fn members(&self, workspace: WorkspaceId) -> Result<Vec<Member>, Fault> {
        let mut members = rows::members(&mut *self.0.store.read().await?, workspace).await?;
        members.sort_by_key(|member| Role::ALL.iter().position(|role| *role == member.role));
        Ok(members)
    }

    /// Makes a workspace that a person owns, and looks at it from now on.
    pub(super) async fn make_workspace(
        &self,
        person: &SignedIn,
        name: &str,
    ) -> Result<Result<(), Not>, Fault> {
        let name = name.trim();
        if !is_name(name) {
            return Ok(Err(Not("workspaces-wrong-name")));
        }
        if self.memberships(person.account).await?.len() >= MOST {
            return Ok(Err(Not("workspaces-too-many")));
        }
        let mut tx = self.0.store.begin().await?;
        let workspace = self.add_workspace(&mut tx, person.account, name).await?;
        self.note(&mut tx, person.entry(Act::WorkspaceChanged).within(workspace).with("name", name)).await?;
        tx.commit().await?;
        self.switch(person, workspace).await?;
        self.announce(person.account);
        Ok(Ok(()))
    }

    /// Adds a workspace with its owner.
    pub(super) async fn add_workspace(
        &self,
        db: &mut Db,
        owner: AccountId,
        name: &str,
    ) -> Result<WorkspaceId, Fault> {
        let workspace = WorkspaceId::from_random_bits(chance::bits());
        let now = self.0.clock.now();
        let name: String = name.chars().take(60).collect();
        rows::add_workspace(db, workspace, &name, now).await?;
        rows::add_member(db, workspace, Membership { workspace, role: Role::Owner }, owner, now).await?;
        Ok(workspace)
    }

    /// Gives the workspace a person looks at another name.
    ///
    /// # Errors
    /// 403 `insufficient_role`.
    pub(super) async fn rename_workspace(
        &self,
        person: &SignedIn,
        name: &str,
    ) -> Result<Result<(), Not>, Fault> {
        let name = name.trim();
        if !is_name(name) {
            return Ok(Err(Not("workspaces-wrong-name")));
        }
        let mut tx = self.0.store.begin().await?;
        self.actor(&mut tx, person).await?.manages().then_some(()).ok_or_else(missing_role)?;
        rows::rename(&mut tx, person.workspace, name).await?;
        let entry = person.entry(Act::WorkspaceChanged).within(person.workspace);
        self.note(&mut tx, entry.with("name", name)).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// A person's role of this moment in the workspace they look at; nobody else changes its members until the
    /// transaction ends.
    ///
    /// # Errors
    /// [`Fault::NotFound`] when they are not in it any more.
    pub(super) async fn actor(&self, db: &mut Db, person: &SignedIn) -> Result<Role, Fault> {
        rows::hold(db, person.workspace).await?;
        rows::role_of(db, person.workspace, person.account).await?.ok_or(Fault::NotFound)
    }

    /// Gives another member another role.
    ///
    /// # Errors
    /// 403 `insufficient_role`; [`Fault::NotFound`] for nobody of the workspace.
    pub(super) async fn change_role(
        &self,
        person: &SignedIn,
        target: AccountId,
        to: Role,
    ) -> Result<(), Fault> {
        let mut tx = self.0.store.begin().await?;
        let actor = self.actor(&mut tx, person).await?;
        let from = rows::role_of(&mut tx, person.workspace, target).await?.ok_or(Fault::NotFound)?;
        if !may_change(actor, from, to) {
            return Err(missing_role());
        }
        rows::set_role(&mut tx, person.workspace, target, to).await?;
        if !to.manages() {
            rows::end_invitations_by(&mut tx, person.workspace, target).await?;
        }
        let entry = person.entry(Act::MemberChanged).within(person.workspace);
        self.note(&mut tx, entry.with("member", target).with("role", to.word())).await?;
        tx.commit().await?;
        self.announce(target);
        Ok(())
    }

    /// Takes a member out: another one, or oneself.
    ///
    /// # Errors
    /// 403 `insufficient_role`, also for an owner who would leave a workspace without one.
    pub(super) async fn remove_member(&self, person: &SignedIn, target: AccountId) -> Result<(), Fault> {
        let mut tx = self.0.store.begin().await?;
        // Or two workspaces that take them out at once would both be the last but one.
        super::rows::hold(&mut tx, target).await?;
        let actor = self.actor(&mut tx, person).await?;
        let role = rows::role_of(&mut tx, person.workspace, target).await?.ok_or(Fault::NotFound)?;
        let may = if target == person.account { may_leave(role) } else { may_remove(actor, role) };
        if !may {
            return Err(missing_role());
        }
        rows::remove(&mut tx, person.workspace, target).await?;
        // Or whoever is taken out comes back by an invitation of their own.
        rows::end_invitations_by(&mut tx, person.workspace, target).await?;
        if rows::memberships_of(&mut tx, target).await? == 0 {
            let name = super::rows::name(&mut tx, target).await?.unwrap_or_else(|| "Home".to_owned());
            self.add_workspace(&mut tx, target, &name).await?;
        }
        let entry = person.entry(Act::MemberChanged).within(person.workspace);
        self.note(&mut tx, entry.with("member", target).with("role", "none")).await?;
        tx.commit().await?;
        self.announce(target);
        Ok(())
    }

    /// Makes another member the owner; who was it is an admin from then on.
    ///
    /// # Errors
    /// 403 `insufficient_role`; [`Fault::NotFound`] for nobody of the workspace.
    pub(super) async fn hand_over(&self, person: &SignedIn, target: AccountId) -> Result<(), Fault> {
        let mut tx = self.0.store.begin().await?;
        let actor = self.actor(&mut tx, person).await?;
        let role = rows::role_of(&mut tx, person.workspace, target).await?.ok_or(Fault::NotFound)?;
        if !may_hand_over(actor, role) {
            return Err(missing_role());
        }
        rows::set_role(&mut tx, person.workspace, target, Role::Owner).await?;
        rows::set_role(&mut tx, person.workspace, person.account, Role::Admin).await?;
        let entry = person.entry(Act::MemberChanged).within(person.workspace);
        self.note(&mut tx, entry.with("member", target).with("role", Role::Owner.word())).await?;
        tx.commit().await?;
        self.announce(target);
        self.announce(person.account);
        Ok(())
    }
}
