//! The local policy: which entities may ever be shown, which may be switched, and whether any are (S10).
//!
//! It is a file on this machine, so the home has the last word: what it forbids no broker can undo. Two rules:
//! - `deny` is stronger than `allow`, and `stop_all_sharing` stronger than both.
//! - A policy that cannot be read shares nothing, until it can be.

mod file;

use serde::Deserialize;
use shared::entity::EntityId;
use wildmatch::WildMatch;

pub use file::{InForce, PolicyFile, set_stopped};

/// What tells who is at home, or opens it: never shown without a yes of this home (Home Assistant's domains).
/// The state of a zone is the number of persons in it.
const KEPT_AT_HOME: [&str; 6] = ["alarm_control_panel", "camera", "device_tracker", "lock", "person", "zone"];

/// The longest list of patterns that is taken; each is tried for each entity.
const MOST_PATTERNS: usize = 1000;

/// What may be done with one entity, for whomever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum May {
    /// Nothing; not even its name leaves the house.
    Nothing,
    /// It may be seen.
    Show,
    /// And it may be switched, if it is a thing that can be.
    Control,
}

/// The local policy, as it stands in its file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    stop_all_sharing: bool,
    allow: Patterns,
    deny: Patterns,
    view_only: Patterns,
}

/// Entity ids in which `*` stands for anything.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(try_from = "Vec<String>")]
struct Patterns(Vec<WildMatch>);

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// Names the line and what is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|err| err.to_string().trim_end().to_owned())
    }

    /// The policy that shares nothing.
    pub fn nothing() -> Self {
        Self { stop_all_sharing: true, ..Self::default() }
    }

    /// Whether nothing is shared at all.
    pub fn is_stopped(&self) -> bool {
        self.stop_all_sharing
    }

    /// What may be done with an entity, if something shares it.
    pub fn may(&self, entity: &EntityId) -> May {
        let is_private = KEPT_AT_HOME.contains(&entity.domain());
        if self.stop_all_sharing || self.deny.any_fits(entity) || (is_private && !self.allow.any_fits(entity))
        {
            May::Nothing
        } else if self.view_only.any_fits(entity) {
            May::Show
        } else {
            May::Control
        }
    }
}

impl Patterns {
    fn any_fits(&self, entity: &EntityId) -> bool {
        self.0.iter().any(|pattern| pattern.matches(entity.as_str()))
    }
}

impl TryFrom<Vec<String>> for Patterns {
    type Error = String;

    fn try_from(all: Vec<String>) -> Result<Self, String> {
        if all.len() > MOST_PATTERNS {
            return Err(format!("more than {MOST_PATTERNS} entities: use * for several at once"));
        }
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'*');
        // A pattern that can never fit would be a wish that is silently not heeded.
        let is_one = |text: &str| text.contains(['.', '*']) && text.bytes().all(letter);
        match all.iter().find(|text| !is_one(text)) {
            Some(wrong) => {
                Err(format!("{wrong:?} is no entity id: write light.porch, or light.* for all of a domain"))
            }
            None => Ok(Self(all.iter().map(|text| WildMatch::new(text)).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(policy: &str, entity: &str) -> May {
        Policy::read(policy).unwrap().may(&entity.parse().unwrap())
    }

    #[test]
    fn what_tells_who_is_at_home_or_opens_it_needs_a_yes() {
        for entity in [
            "lock.door",
            "alarm_control_panel.home",
            "camera.porch",
            "person.ada",
            "device_tracker.phone",
            "zone.home",
        ] {
            assert_eq!(may("", entity), May::Nothing, "{entity}");
            assert_eq!(may(&format!("allow = ['{entity}']"), entity), May::Control, "{entity}");
        }
        assert_eq!(may("", "light.porch"), May::Control);
        assert_eq!(may("", "sensor.outside"), May::Control);
        assert_eq!(may("allow = ['camera.*']", "lock.door"), May::Nothing);
    }

    #[test]
    fn a_no_is_stronger_than_a_yes() {
        let both = "allow = ['lock.*']\ndeny = ['*.shed*']";
        assert_eq!(may(both, "lock.door"), May::Control);
        assert_eq!(may(both, "lock.shed"), May::Nothing);
        assert_eq!(may(both, "light.shed_2"), May::Nothing);
        assert_eq!(may("view_only = ['fan.*']", "fan.attic"), May::Show);
        assert_eq!(may("view_only = ['*']\ndeny = ['fan.*']", "fan.attic"), May::Nothing);
        assert_eq!(may("stop_all_sharing = true\nallow = ['*']", "light.porch"), May::Nothing);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |text| Policy::read(text).unwrap_err();
        assert!(wrong("deny = ['Front door']").contains("\"Front door\" is no entity id"));
        assert!(wrong("deny = ['lights']").contains("light.*"));
        let unknown = wrong("\nforbid = []");
        assert!(unknown.contains("line 2") && unknown.contains("forbid"), "{unknown}");
        assert!(wrong("stop_all_sharing = 1").contains("boolean"));
    }

    #[test]
    fn the_policy_of_a_new_home_is_the_default_with_words() {
        assert_eq!(Policy::read(file::NEW).unwrap(), Policy::default());
    }
}
