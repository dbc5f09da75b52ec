//! The states of watched entities, kept up to date by `subscribe_entities`' compressed events.
//!
//! An event says what was added (`a`), changed (`c`: new values under `+`, removed attributes under `-`) and
//! removed (`r`). Only what may leave the house (S4) is kept, besides the id of the context of the last change.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use shared::entity::{Attributes, EntityId, EntityState};

use super::names::Names;

/// No text of an attribute leaves the house longer than this, in characters; states have the same limit.
const LONGEST_TEXT: usize = 255;

/// One event of `subscribe_entities`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Event {
    a: HashMap<String, Added>,
    c: HashMap<String, Diff>,
    r: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Added {
    s: String,
    #[serde(default)]
    a: Seen,
    #[serde(default)]
    c: Option<Context>,
    lc: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Diff {
    #[serde(rename = "+")]
    plus: Plus,
    #[serde(rename = "-")]
    minus: Minus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Plus {
    s: Option<String>,
    a: Seen,
    c: Option<Context>,
    lc: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Minus {
    a: Vec<String>,
}

/// The attributes that may be seen; for each, whether it was named and what it says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Seen {
    #[serde(deserialize_with = "named")]
    friendly_name: Option<Option<String>>,
    #[serde(deserialize_with = "named")]
    device_class: Option<Option<String>>,
    #[serde(deserialize_with = "named")]
    icon: Option<Option<String>>,
    #[serde(deserialize_with = "named")]
    unit_of_measurement: Option<Option<String>>,
}

/// A key that is there: `Some`, and in it a text if it says one.
fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Ok(Some(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(shortened(text)),
        _ => None,
    }))
}

/// A friendly name or the like, cut to what may leave the house.
pub fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST_TEXT) {
        text.truncate(end);
    }
    text
}

/// A context: its id alone, or an object of which only the changed keys are there.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Context {
    Id(String),
    Object { id: Option<String> },
}

impl Context {
    fn id(self) -> Option<String> {
        match self {
            Self::Id(id) => Some(id),
            Self::Object { id } => id,
        }
    }
}

/// One entity, as far as it may be seen.
#[derive(Debug, Default)]
pub struct Entity {
    /// Its state.
    pub state: String,
    /// The context of the last change of its state: whose doing that was.
    pub changed_by: Option<String>,
    name: Option<String>,
    attributes: Attributes,
    last_changed: i64,
}

impl Entity {
    /// Returns whether anything that may be seen changed.
    fn apply(&mut self, diff: Diff) -> bool {
        let mut changed = false;
        let mut set = |slot: &mut Option<String>, new: Option<String>| {
            changed |= *slot != new;
            *slot = new;
        };
        let Seen { friendly_name, device_class, icon, unit_of_measurement } = diff.plus.a;
        let slots = [
            ("friendly_name", friendly_name, &mut self.name),
            ("device_class", device_class, &mut self.attributes.device_class),
            ("icon", icon, &mut self.attributes.icon),
            ("unit_of_measurement", unit_of_measurement, &mut self.attributes.unit_of_measurement),
        ];
        for (key, new, slot) in slots {
            match new {
                Some(new) => set(slot, new),
                None if diff.minus.a.iter().any(|gone| gone == key) => set(slot, None),
                None => {}
            }
        }
        if let Some(state) = diff.plus.s {
            changed = true;
            self.state = shortened(state);
            self.changed_by = diff.plus.c.and_then(Context::id);
        }
        if let Some(at) = diff.plus.lc {
            changed = true;
            self.last_changed = milliseconds(at);
        }
        changed
    }
}

impl From<Added> for Entity {
    fn from(added: Added) -> Self {
        let mut entity = Self::default();
        let plus = Plus { s: Some(added.s), a: added.a, c: added.c, lc: Some(added.lc) };
        entity.apply(Diff { plus, minus: Minus::default() });
        entity
    }
}

fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

/// Every watched entity that is there.
#[derive(Debug, Default)]
pub struct Entities(HashMap<EntityId, Entity>);

impl Entities {
    /// Takes in an event and returns the watched entities of which something visible changed, or that went.
    pub fn apply(&mut self, event: Event, watched: &BTreeSet<EntityId>) -> Vec<EntityId> {
        let ours = |id: String| id.parse::<EntityId>().ok().filter(|id| watched.contains(id));
        let mut touched = Vec::new();
        for (id, added) in event.a {
            let Some(id) = ours(id) else { continue };
            self.0.insert(id.clone(), added.into());
            touched.push(id);
        }
        for (id, diff) in event.c {
            let Some(id) = ours(id) else { continue };
            if self.0.get_mut(&id).is_some_and(|entity| entity.apply(diff)) {
                touched.push(id);
            }
        }
        for id in event.r {
            let Some(id) = ours(id) else { continue };
            self.0.remove(&id);
            touched.push(id);
        }
        touched
    }

    /// One entity, if it is there.
    pub fn get(&self, entity_id: &EntityId) -> Option<&Entity> {
        self.0.get(entity_id)
    }

    /// One entity as it leaves the house, if it is there.
    pub fn show(&self, entity_id: &EntityId, names: &Names) -> Option<EntityState> {
        let entity = self.0.get(entity_id)?;
        Some(EntityState {
            entity_id: entity_id.clone(),
            state: entity.state.clone(),
            name: entity.name.clone().unwrap_or_else(|| entity_id.to_string()),
            area: names.area(entity_id.as_str()).map(str::to_owned),
            last_changed: entity.last_changed,
            attributes: entity.attributes.clone(),
        })
    }
}

#[cfg(test)]
mod tests;
