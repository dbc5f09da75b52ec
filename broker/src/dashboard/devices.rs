//! Devices: a home's entities as its owner looks for them, by area.

use std::collections::{BTreeMap, HashMap};

use shared::entity::{EntityId, Listed};

use crate::relay::Listing;

/// One entity.
#[derive(Debug, Clone)]
pub struct Device {
    /// Which.
    pub entity_id: EntityId,
    /// What it is called.
    pub name: String,
    /// Its icon in `icons.svg`.
    pub icon: &'static str,
    /// Whether a guest could be let to switch it.
    pub controllable: bool,
    /// How many links to it are alive.
    pub shared: usize,
}

/// An area with what is in it.
#[derive(Debug)]
pub struct Area {
    /// Its name; none for what is in no area.
    pub name: Option<String>,
    /// The floor it is on.
    pub floor: Option<String>,
    /// What is in it: what can be switched first, then by name.
    pub devices: Vec<Device>,
}

/// The entities of a home, or that it cannot be asked.
#[derive(Debug)]
pub enum Devices {
    /// The home told.
    Here {
        /// By name; what is in no area comes last.
        areas: Vec<Area>,
        /// How many entities there are.
        count: usize,
        /// How many more the home's own policy keeps at home.
        withheld: u32,
    },
    /// The home's own policy shares nothing at all.
    Stopped,
    /// The home's agent is not connected, or did not answer.
    Away,
}

impl Devices {
    /// Puts a home's list in order; `shared` counts the links alive by entity.
    pub fn here(listing: Listing, shared: &HashMap<EntityId, usize>) -> Self {
        let Listing { entities, withheld } = listing;
        let count = entities.len();
        let mut areas: BTreeMap<_, Area> = BTreeMap::new();
        for entity in entities {
            let key = (entity.area.is_none(), entity.area.as_deref().map(str::to_lowercase));
            let device = Device::new(&entity, shared.get(&entity.entity_id).copied().unwrap_or(0));
            let area = || Area { name: entity.area, floor: entity.floor, devices: Vec::new() };
            areas.entry(key).or_insert_with(area).devices.push(device);
        }
        let mut areas: Vec<_> = areas.into_values().collect();
        for area in &mut areas {
            area.devices.sort_by_cached_key(|d| (!d.controllable, d.name.to_lowercase()));
        }
        Self::Here { areas, count, withheld }
    }
}

impl Device {
    /// An entity as a line.
    pub fn new(entity: &Listed, shared: usize) -> Self {
        Self {
            entity_id: entity.entity_id.clone(),
            name: entity.name.clone(),
            icon: icon(entity.entity_id.domain()),
            controllable: entity.entity_id.is_controllable() && !entity.view_only,
            shared,
        }
    }
}

/// The symbol for a domain of Home Assistant.
pub fn icon(domain: &str) -> &'static str {
    match domain {
        "light" => "light",
        "switch" | "input_boolean" | "button" | "input_button" | "siren" => "switch",
        "fan" | "air_quality" => "fan",
        "sensor" | "number" | "input_number" | "counter" => "sensor",
        "binary_sensor" | "event" => "binary_sensor",
        "climate" | "water_heater" | "humidifier" => "climate",
        "cover" | "valve" => "cover",
        "lock" | "alarm_control_panel" => "lock",
        "camera" | "image" => "camera",
        "media_player" | "remote" => "media_player",
        "person" | "device_tracker" | "zone" => "person",
        "weather" | "sun" => "weather",
        "scene" | "script" | "automation" => "scene",
        "vacuum" | "lawn_mower" => "vacuum",
        "timer" | "calendar" | "schedule" | "date" | "time" | "datetime" | "input_datetime" => "clock",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(id: &str, name: &str, area: Option<&str>) -> Listed {
        let (name, area) = (name.to_owned(), area.map(str::to_owned));
        Listed { entity_id: id.parse().unwrap(), name, area, floor: None, view_only: false }
    }

    #[test]
    fn what_can_be_switched_comes_first_and_what_is_nowhere_last() {
        let list = vec![
            listed("sun.sun", "Sun", None),
            listed("sensor.a", "Air", Some("kitchen")),
            listed("light.z", "zenith", Some("Kitchen")),
            listed("light.b", "Bed", Some("Attic")),
        ];
        let shared = HashMap::from([("light.z".parse().unwrap(), 2)]);
        let listing = Listing { entities: list, withheld: 0 };
        let Devices::Here { areas, count, .. } = Devices::here(listing, &shared) else { panic!("away") };
        let names: Vec<_> = areas
            .iter()
            .map(|area| (area.name.as_deref(), area.devices.iter().map(|d| d.name.as_str()).collect()))
            .collect::<Vec<(_, Vec<_>)>>();
        assert_eq!(
            names,
            [(Some("Attic"), vec!["Bed"]), (Some("kitchen"), vec!["zenith", "Air"]), (None, vec!["Sun"])]
        );
        assert_eq!((count, areas[1].devices[0].shared, areas[1].devices[1].shared), (4, 2, 0));
    }
}
