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
