//! A link: one key to one shared entity. Pure rules, no I/O; the moment is handed in.
//!
//! Invariant: a link that was revoked or has lapsed admits nobody, and never will again.

use std::time::Duration;

use shared::entity::EntityId;
use shared::id::LinkId;

use crate::audit::Doer;
use crate::clock::Timestamp;
use crate::http::Fault;

/// The longest label, in characters.
const LABEL: usize = 80;
/// A link lapses at the latest so long after it was made, if it lapses at all.
const FARTHEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What a link lets its guest do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// See the entity.
    View,
    /// See it and switch it.
    Control,
}

impl Permission {
    /// The word of forms, JSON and the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Control => "control",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::View, Self::Control].into_iter().find(|permission| permission.word() == word)
    }
}

/// Whether a link still opens something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Live,
    /// Its time is over, since then.
    Lapsed(Timestamp),
    /// Its owner took it back, then.
    Revoked(Timestamp),
}

/// A link, without its token: that was shown once and is known only as a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its id.
    pub id: LinkId,
    /// For whom it is, as its maker put it.
    pub label: String,
    /// What its guest may do.
    pub permission: Permission,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it lapses, if it does.
    pub expires: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked: Option<Timestamp>,
    /// When a guest last used it, to the minute.
    pub used: Option<Timestamp>,
}

impl Link {
    /// How it stands.
    pub fn standing(&self, now: Timestamp) -> Standing {
        match (self.revoked, self.expires) {
            (Some(at), _) => Standing::Revoked(at),
            (None, Some(at)) if at <= now => Standing::Lapsed(at),
            _ => Standing::Live,
        }
    }

    /// Whether it opens its entity now.
    pub fn admits(&self, now: Timestamp) -> bool {
        self.standing(now) == Standing::Live
    }
}

/// What an owner asks a new link to be.
#[derive(Debug, Clone)]
pub struct NewLink {
    /// For whom: 1 to 80 characters.
    pub label: String,
    /// What its guest may do; control only of switches, lights and fans.
    pub permission: Permission,
    /// When it lapses; nothing: never.
    pub expires: Option<Timestamp>,
    /// Who makes it; nobody where a program of its own does.
    pub by: Doer,
}

impl NewLink {
    /// The same, cleaned and checked.
    ///
    /// # Errors
    /// [`Fault::Bad`] with what is wrong.
    pub(super) fn checked(self, entity: &EntityId, now: Timestamp) -> Result<Self, Fault> {
        let label = self.label.trim();
        if label.is_empty() || label.chars().count() > LABEL || label.chars().any(char::is_control) {
            return Err(Fault::bad("a link's label has 1 to 80 characters"));
        }
        if self.permission == Permission::Control && !entity.is_controllable() {
            return Err(Fault::bad("only switches, lights and fans can be controlled through a link"));
        }
        if self.expires.is_some_and(|at| at <= now || at > now.after(FARTHEST)) {
            return Err(Fault::bad("a link lapses in the future, within ten years"));
        }
        Ok(Self { label: label.to_owned(), ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn link(expires: Option<Timestamp>, revoked: Option<Timestamp>) -> Link {
        Link {
            id: LinkId::from_random_bits(1 << 20),
            label: "Anna".into(),
            permission: Permission::View,
            created_at: Timestamp::from_millis(0),
            expires,
            revoked,
            used: None,
        }
    }

    #[test]
    fn a_link_admits_until_it_lapses_or_is_revoked() {
        let later = NOON.after(Duration::from_millis(1));
        assert!(link(None, None).admits(NOON));
        assert!(link(Some(later), None).admits(NOON));
        assert!(!link(Some(NOON), None).admits(NOON));
        assert_eq!(link(Some(NOON), None).standing(later), Standing::Lapsed(NOON));
        assert_eq!(link(Some(later), Some(NOON)).standing(NOON), Standing::Revoked(NOON));
        assert_eq!(link(None, Some(NOON)).standing(later), Standing::Revoked(NOON));
    }

    fn new(label: &str, permission: Permission, expires: Option<Timestamp>) -> NewLink {
        NewLink { label: label.into(), permission, expires, by: Doer::default() }
    }

    #[test]
    fn only_switches_lights_and_fans_are_shared_for_control() {
        for (entity, may) in
            [("light.a", true), ("fan.a", true), ("lock.front_door", false), ("sensor.a", false)]
        {
            let entity = entity.parse().unwrap();
            assert_eq!(new("x", Permission::Control, None).checked(&entity, NOON).is_ok(), may, "{entity}");
            assert!(new("x", Permission::View, None).checked(&entity, NOON).is_ok());
        }
    }

    #[test]
    fn labels_and_expiries_have_bounds() {
        let entity = "light.a".parse().unwrap();
        let check = |label: &str, expires| new(label, Permission::View, expires).checked(&entity, NOON);
        assert_eq!(check("  Anna ", None).unwrap().label, "Anna");
        for bad in ["", "  ", "a\nb", &"x".repeat(81)] {
            assert!(check(bad, None).is_err(), "{bad:?}");
        }
        assert!(check(&"門".repeat(80), Some(NOON.after(FARTHEST))).is_ok());
        assert!(check("x", Some(NOON)).is_err());
        assert!(check("x", Some(NOON.after(FARTHEST + Duration::from_millis(1)))).is_err());
    }

    #[test]
    fn a_permission_has_one_word() {
        for permission in [Permission::View, Permission::Control] {
            assert_eq!(Permission::parse(permission.word()), Some(permission));
        }
        assert_eq!(Permission::parse("Control"), None);
    }
}
