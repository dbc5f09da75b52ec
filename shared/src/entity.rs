//! Entities, in Home Assistant's words: what one is called, what it says, what it may be told to do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// Home Assistant's id of an entity, `domain.object_id`: lower-case letters, digits and single underscores.
/// Source: Home Assistant's `valid_entity_id` (homeassistant/core.py).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct EntityId(Box<str>);

/// Why a text is no entity id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnEntityId;

impl fmt::Display for NotAnEntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entity id looks like light.porch: a domain, a dot and a name of a-z, 0-9 and _")
    }
}

impl std::error::Error for NotAnEntityId {}

impl EntityId {
    /// The whole id, such as `light.porch`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the dot, such as `light`.
    pub fn domain(&self) -> &str {
        self.0.split_once('.').map_or("", |(domain, _)| domain)
    }

    /// May a guest switch such a thing at all? Only switches, lights and fans (S6).
    pub fn is_controllable(&self) -> bool {
        matches!(self.domain(), "switch" | "light" | "fan")
    }
}

impl FromStr for EntityId {
    type Err = NotAnEntityId;

    fn from_str(text: &str) -> Result<Self, NotAnEntityId> {
        let word = |part: &str| {
            !part.is_empty()
                && !part.starts_with('_')
                && !part.ends_with('_')
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        match text.split_once('.') {
            Some((domain, name))
                if text.len() <= 255 && word(domain) && word(name) && !domain.contains("__") =>
            {
                Ok(Self(text.into()))
            }
            _ => Err(NotAnEntityId),
        }
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EntityId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a guest may ask of a switch, light or fan. The entity's own domain decides the service's domain, and
/// no service data is taken at all (S6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// On if it is off, off if it is on.
    Toggle,
    /// On, whatever it was.
    TurnOn,
    /// Off, whatever it was.
    TurnOff,
}

impl Action {
    /// The name of Home Assistant's service.
    pub fn service(self) -> &'static str {
        match self {
            Self::Toggle => "toggle",
            Self::TurnOn => "turn_on",
            Self::TurnOff => "turn_off",
        }
    }
}

impl FromStr for Action {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Toggle, Self::TurnOn, Self::TurnOff].into_iter().find(|a| a.service() == text).ok_or(())
    }
}

/// An entity's state as it leaves the house: these fields and no others (S4). Times are milliseconds since
/// the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityState {
    /// Which entity.
    pub entity_id: EntityId,
    /// Home Assistant's state text, such as `on`, `21.5`, `unavailable`.
    pub state: String,
    /// Its friendly name, or the entity id where it has none.
    pub name: String,
    /// The area's name: the entity's own or its device's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<String>,
    /// When the state last changed (Home Assistant's `last_changed`), in milliseconds.
    pub last_changed: i64,
    /// The attributes that may be seen.
    #[serde(default)]
    pub attributes: Attributes,
}

/// The attributes that leave the house; every other one stays (S4).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Home Assistant's device class, such as `temperature`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_class: Option<String>,
    /// An icon the owner chose, such as `mdi:lamp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// The unit of a number, such as `°C`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_of_measurement: Option<String>,
}

/// One line of the list an owner asks for: a name and a place, no state (S11).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Which entity.
    pub entity_id: EntityId,
    /// Its friendly name, or the entity id where it has none.
    pub name: String,
    /// The area's name: the entity's own or its device's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<String>,
    /// The floor the area is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<String>,
    /// Whether the home's own policy lets it be seen only, never switched (S10).
    #[serde(default, skip_serializing_if = "is_false")]
    pub view_only: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_home_assistants_spelling_is_an_entity_id() {
        for good in ["light.porch", "sensor.load_0001", "a.1", "binary_sensor.front_door"] {
            assert_eq!(good.parse::<EntityId>().map(|e| e.as_str().to_owned()), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "all",
            "light.",
            ".porch",
            "Light.porch",
            "light.porch lamp",
            "light.a.b",
            "light._a",
            "li__ght.a",
            "light.a\n",
        ] {
            assert_eq!(bad.parse::<EntityId>(), Err(NotAnEntityId), "{bad:?}");
        }
    }

    #[test]
    fn three_domains_can_be_switched() {
        let can = |id: &str| id.parse::<EntityId>().unwrap().is_controllable();
        assert!(can("light.a") && can("switch.a") && can("fan.a"));
        assert!(!can("lock.a") && !can("cover.a") && !can("group.a") && !can("input_boolean.a"));
    }

    #[test]
    fn an_action_is_a_service_of_home_assistant() {
        for (action, word) in
            [(Action::Toggle, "toggle"), (Action::TurnOn, "turn_on"), (Action::TurnOff, "turn_off")]
        {
            assert_eq!(serde_json::to_string(&action).unwrap(), format!("\"{word}\""));
            assert_eq!(word.parse(), Ok(action));
            assert_eq!(action.service(), word);
        }
        assert_eq!("turn_on ".parse::<Action>(), Err(()));
    }
}
