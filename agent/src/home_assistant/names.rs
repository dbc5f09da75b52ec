//! Names and places: which area an entity is in, and on which floor.
//!
//! Registries differ between versions (2026.8 dropped fields, 2026.9 brought child devices with few of them),
//! so only what is needed is read, and only ids must be there.

use std::collections::HashMap;

use serde::Deserialize;

use super::socket::Incoming;

/// Which registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registry {
    /// `config/area_registry/list`
    Areas,
    /// `config/device_registry/list`
    Devices,
    /// `config/entity_registry/list_for_display`, a fifth of the size of `list`
    Entities,
    /// `config/floor_registry/list`
    Floors,
}

impl Registry {
    /// All that are read.
    pub const ALL: [Self; 4] = [Self::Areas, Self::Devices, Self::Entities, Self::Floors];

    /// The command that lists it.
    pub fn command(self) -> &'static str {
        match self {
            Self::Areas => "config/area_registry/list",
            Self::Devices => "config/device_registry/list",
            Self::Entities => "config/entity_registry/list_for_display",
            Self::Floors => "config/floor_registry/list",
        }
    }

    /// The event that tells of a change in it.
    pub fn event(self) -> &'static str {
        match self {
            Self::Areas => "area_registry_updated",
            Self::Devices => "device_registry_updated",
            Self::Entities => "entity_registry_updated",
            Self::Floors => "floor_registry_updated",
        }
    }
}

/// A row of `config/area_registry/list`.
#[derive(Debug, Deserialize)]
struct Area {
    area_id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    floor_id: Option<String>,
}

/// A row of `config/floor_registry/list`.
#[derive(Debug, Deserialize)]
struct Floor {
    floor_id: String,
    #[serde(default)]
    name: Option<String>,
}

/// A row of `config/device_registry/list`.
#[derive(Debug, Deserialize)]
struct Device {
    id: String,
    #[serde(default)]
    area_id: Option<String>,
    /// Since 2026.9: the device this one is a part of.
    #[serde(default)]
    parent_device_id: Option<String>,
}

/// The answer of `config/entity_registry/list_for_display`.
#[derive(Debug, Deserialize)]
struct ForDisplay {
    entities: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(rename = "ei")]
    entity_id: String,
    #[serde(rename = "ai", default)]
    area_id: Option<String>,
    #[serde(rename = "di", default)]
    device_id: Option<String>,
}

/// The registries, as far as places go.
#[derive(Debug, Default)]
pub struct Names {
    /// Area id to name and floor id.
    areas: HashMap<String, (String, Option<String>)>,
    floors: HashMap<String, String>,
    /// Device id to area id and parent device.
    devices: HashMap<String, (Option<String>, Option<String>)>,
    /// Entity id to area id and device id.
    entities: HashMap<String, (Option<String>, Option<String>)>,
}

impl Names {
    /// Takes in the answer to a registry's command.
    ///
    /// # Errors
    /// It has another shape than is known, or is an error; what was there stays.
    pub fn read(&mut self, registry: Registry, answer: &Incoming) -> Result<(), serde_json::Error> {
        match registry {
            Registry::Areas => self.set_areas(answer.read()?),
            Registry::Devices => self.set_devices(answer.read()?),
            Registry::Entities => self.set_entities(answer.read()?),
            Registry::Floors => self.set_floors(answer.read()?),
        }
        Ok(())
    }

    fn set_areas(&mut self, rows: Vec<Area>) {
        self.areas = rows
            .into_iter()
            .map(|row| (row.area_id.clone(), (row.name.unwrap_or(row.area_id), row.floor_id)))
            .collect();
    }

    fn set_floors(&mut self, rows: Vec<Floor>) {
        self.floors =
            rows.into_iter().map(|row| (row.floor_id.clone(), row.name.unwrap_or(row.floor_id))).collect();
    }

    /// Devices that say nothing of a place are not kept.
    fn set_devices(&mut self, rows: Vec<Device>) {
        let placed = rows.into_iter().filter(|row| row.area_id.is_some() || row.parent_device_id.is_some());
        self.devices = placed.map(|row| (row.id, (row.area_id, row.parent_device_id))).collect();
    }

    /// Entities that say nothing of a place are not kept.
    fn set_entities(&mut self, rows: ForDisplay) {
        let placed = rows.entities.into_iter().filter(|row| row.area_id.is_some() || row.device_id.is_some());
        self.entities = placed.map(|row| (row.entity_id, (row.area_id, row.device_id))).collect();
    }

    /// The name of an entity's area: its own, else its device's, else that of the device it is a part of.
    pub fn area(&self, entity_id: &str) -> Option<&str> {
        Some(self.place(entity_id)?.0.as_str())
    }

    /// The name of the floor an entity's area is on.
    pub fn floor(&self, entity_id: &str) -> Option<&str> {
        let floor_id = self.place(entity_id)?.1.as_deref()?;
        self.floors.get(floor_id).map(String::as_str)
    }

    fn place(&self, entity_id: &str) -> Option<&(String, Option<String>)> {
        let (area_id, device_id) = self.entities.get(entity_id)?;
        let mut area_id = area_id.as_deref();
        let mut device_id = device_id.as_deref();
        // A device may be part of another; the bound is against a registry that goes in circles.
        for _ in 0..8 {
            if area_id.is_some() {
                break;
            }
            let (area, parent) = self.devices.get(device_id?)?;
            (area_id, device_id) = (area.as_deref(), parent.as_deref());
        }
        self.areas.get(area_id?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn names(devices: Value, entities: Value) -> Names {
        let mut names = Names::default();
        let areas = json!([
            {"aliases": [], "area_id": "kitchen", "floor_id": "ground_floor", "icon": null, "name": "Kitchen"},
            {"area_id": "garage", "name": "Garage", "floor_id": null}
        ]);
        names.set_areas(from_value(areas).unwrap());
        names.set_floors(
            from_value(json!([{"floor_id": "ground_floor", "level": 0, "name": "Ground floor"}])).unwrap(),
        );
        names.set_devices(from_value(devices).unwrap());
        names.set_entities(from_value(json!({"entity_categories": {}, "entities": entities})).unwrap());
        names
    }

    #[test]
    fn an_entitys_own_area_goes_before_its_devices() {
        let devices = json!([
            {"id": "d1", "area_id": "garage", "name": "Box", "identifiers": [["demo", "1"]], "via_device_id": null},
            {"id": "d2", "area_id": null}
        ]);
        let entities = json!([
            {"ei": "light.own", "pl": "demo", "lb": [], "ai": "kitchen", "di": "d1", "en": "Own"},
            {"ei": "light.box", "pl": "demo", "lb": [], "di": "d1"},
            {"ei": "light.nowhere", "pl": "demo", "lb": [], "di": "d2"},
            {"ei": "light.lost", "pl": "demo", "di": "d9"},
            {"ei": "light.gone", "pl": "demo", "ai": "attic"}
        ]);
        let names = names(devices, entities);
        assert_eq!(
            (names.area("light.own"), names.floor("light.own")),
            (Some("Kitchen"), Some("Ground floor"))
        );
        assert_eq!((names.area("light.box"), names.floor("light.box")), (Some("Garage"), None));
        for nowhere in ["light.nowhere", "light.lost", "light.gone", "light.unheard_of"] {
            assert_eq!((names.area(nowhere), names.floor(nowhere)), (None, None), "{nowhere}");
        }
    }

    #[test]
    fn a_part_is_where_the_whole_is() {
        let devices = json!([
            {"id": "whole", "area_id": "kitchen", "parent_device_id": null},
            {"id": "part", "parent_device_id": "whole"},
            {"id": "a", "parent_device_id": "b"},
            {"id": "b", "parent_device_id": "a"}
        ]);
        let names =
            names(devices, json!([{"ei": "light.part", "di": "part"}, {"ei": "light.circle", "di": "a"}]));
        assert_eq!(names.area("light.part"), Some("Kitchen"));
        assert_eq!(names.area("light.circle"), None);
    }
}
