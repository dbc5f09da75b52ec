//! What people may do in the workspaces they are in.

use shared::id::{AccountId, HomeId, WorkspaceId};

/// What a member of a workspace may do there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything, ownership included.
    Owner,
    /// Everything but ownership.
    Admin,
    /// See homes, answer comments.
    Member,
    /// See homes.
    Observer,
}

impl Role {
    /// All of them, the greatest right first.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Admin, Self::Member, Self::Observer];

    /// May make homes, take tunnel tokens, share and revoke.
    pub fn manages(self) -> bool {
        matches!(self, Self::Owner | Self::Admin)
    }

    /// The word of forms and the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Observer => "observer",
        }
    }

    /// The role of a word of the database.
    pub(super) fn parse(word: &str) -> Self {
        // A word this program does not know comes from a newer one: the least right is the safe reading.
        Self::ALL.into_iter().find(|r| r.word() == word).unwrap_or(Self::Observer)
    }
}

/// Being in a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// Which.
    pub workspace: WorkspaceId,
    /// As what.
    pub role: Role,
}

/// On whose behalf something is asked: a person's, or a program's that a person let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The person; none for a program of its own.
    pub account: Option<AccountId>,
    /// The workspaces that can be asked about. Others look like none.
    pub memberships: Vec<Membership>,
    /// A program that was let into one home sees only that.
    pub home: Option<HomeId>,
}

impl Caller {
    /// What the caller may do in a workspace; nothing in one they are not in.
    pub fn role_in(&self, workspace: WorkspaceId) -> Option<Role> {
        self.memberships.iter().find(|member| member.workspace == workspace).map(|member| member.role)
    }
}

/// Whether somebody may invite people as `role`. There is one owner, and nobody becomes it by invitation.
pub fn may_invite(actor: Role, role: Role) -> bool {
    actor.manages() && role != Role::Owner
}

/// Whether somebody may turn another member's role into a new one. Ownership only moves by being handed over.
pub fn may_change(actor: Role, from: Role, to: Role) -> bool {
    actor.manages() && from != Role::Owner && to != Role::Owner
}

/// Whether somebody may take another member out.
pub fn may_remove(actor: Role, target: Role) -> bool {
    actor.manages() && target != Role::Owner
}

/// Whether somebody may go. An owner hands the workspace over first: it must not be left without one.
pub fn may_leave(role: Role) -> bool {
    role != Role::Owner
}

/// Whether somebody may make another member the owner.
pub fn may_hand_over(actor: Role, target: Role) -> bool {
    actor == Role::Owner && target != Role::Owner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_and_admins_manage_and_nobody_but_the_owner_gives_ownership_away() {
        for actor in Role::ALL {
            for target in Role::ALL {
                let manages = matches!(actor, Role::Owner | Role::Admin);
                assert_eq!(may_invite(actor, target), manages && target != Role::Owner);
                assert_eq!(may_remove(actor, target), manages && target != Role::Owner);
                assert_eq!(may_hand_over(actor, target), actor == Role::Owner && target != Role::Owner);
                for to in Role::ALL {
                    let wanted = manages && target != Role::Owner && to != Role::Owner;
                    assert_eq!(may_change(actor, target, to), wanted, "{actor:?}: {target:?} to {to:?}");
                }
            }
            assert_eq!(may_leave(actor), actor != Role::Owner, "a workspace keeps its owner");
        }
    }

    #[test]
    fn a_role_reads_back_and_an_unknown_one_is_the_least() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.word()), role);
        }
        assert_eq!(Role::parse("emperor"), Role::Observer);
    }
}
