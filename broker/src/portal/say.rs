//! A state in words: "Open" for a door's `on`, "21.5 °C" for a number with a unit.
//!
//! The page's script says the states that come later with the same [`table`], so that a page never changes
//! its manner of speaking.

use shared::entity::EntityState;

use crate::http::words::Words;

/// The state texts that have words of their own, with the keys of those words, for a kind of thing.
type Keys = &'static [(&'static str, &'static str)];

const ALWAYS: Keys = &[("unavailable", "portal-state-unavailable"), ("unknown", "portal-state-unknown")];

const ON_OFF: Keys = &[("on", "portal-state-on"), ("off", "portal-state-off")];
const OPENING: Keys = &[("on", "portal-state-open"), ("off", "portal-state-closed")];
const LOCK: Keys = &[("on", "portal-state-unlocked"), ("off", "portal-state-locked")];
const NOTICING: Keys = &[("on", "portal-state-detected"), ("off", "portal-state-clear")];
const WET: Keys = &[("on", "portal-state-wet"), ("off", "portal-state-dry")];
const BATTERY: Keys = &[("on", "portal-state-low"), ("off", "portal-state-normal")];
const CONNECTED: Keys = &[("on", "portal-state-connected"), ("off", "portal-state-disconnected")];
const PLUGGED: Keys = &[("on", "portal-state-plugged-in"), ("off", "portal-state-unplugged")];
const RUNNING: Keys = &[("on", "portal-state-running"), ("off", "portal-state-not-running")];
const HOME: Keys = &[("on", "portal-state-home"), ("off", "portal-state-away")];
const WARM: Keys = &[("on", "portal-state-hot"), ("off", "portal-state-normal")];
const COLD: Keys = &[("on", "portal-state-cold"), ("off", "portal-state-normal")];

const PLACES: Keys = &[("home", "portal-state-home"), ("not_home", "portal-state-away")];
const COVERS: Keys = &[
    ("open", "portal-state-open"),
    ("closed", "portal-state-closed"),
    ("opening", "portal-state-opening"),
    ("closing", "portal-state-closing"),
];
const LOCKS: Keys = &[
    ("locked", "portal-state-locked"),
    ("unlocked", "portal-state-unlocked"),
    ("locking", "portal-state-locking"),
    ("unlocking", "portal-state-unlocking"),
    ("open", "portal-state-open"),
    ("jammed", "portal-state-jammed"),
];
const CLIMATES: Keys = &[
    ("off", "portal-state-off"),
    ("heat", "portal-state-heating"),
    ("cool", "portal-state-cooling"),
    ("heat_cool", "portal-state-heating-cooling"),
    ("auto", "portal-state-automatic"),
    ("dry", "portal-state-drying"),
    ("fan_only", "portal-state-fan-only"),
];
const PLAYERS: Keys = &[
    ("on", "portal-state-on"),
    ("off", "portal-state-off"),
    ("playing", "portal-state-playing"),
    ("paused", "portal-state-paused"),
    ("idle", "portal-state-idle"),
    ("standby", "portal-state-standby"),
    ("buffering", "portal-state-buffering"),
];
const VACUUMS: Keys = &[
    ("cleaning", "portal-state-cleaning"),
    ("docked", "portal-state-docked"),
    ("returning", "portal-state-returning"),
    ("paused", "portal-state-paused"),
    ("idle", "portal-state-idle"),
    ("error", "portal-state-error"),
];

/// The words of the states that a thing of this domain and device class can have.
pub(super) fn table(w: &Words, domain: &str, device_class: Option<&str>) -> Vec<(&'static str, String)> {
    keys(domain, device_class).iter().chain(ALWAYS).map(|(state, key)| (*state, w.say(key))).collect()
}

/// Device classes: Home Assistant's `BinarySensorDeviceClass`; what on and off mean is its documentation's.
fn keys(domain: &str, device_class: Option<&str>) -> Keys {
    match (domain, device_class.unwrap_or("")) {
        ("binary_sensor", "door" | "garage_door" | "opening" | "window") => OPENING,
        ("binary_sensor", "lock") => LOCK,
        ("binary_sensor", "moisture") => WET,
        ("binary_sensor", "battery") => BATTERY,
        ("binary_sensor", "connectivity") => CONNECTED,
        ("binary_sensor", "plug") => PLUGGED,
        ("binary_sensor", "running") => RUNNING,
        ("binary_sensor", "presence") => HOME,
        ("binary_sensor", "heat") => WARM,
        ("binary_sensor", "cold") => COLD,
        (
            "binary_sensor",
            "carbon_monoxide" | "gas" | "light" | "motion" | "moving" | "occupancy" | "power" | "problem"
            | "safety" | "smoke" | "sound" | "tamper" | "vibration",
        ) => NOTICING,
        ("person" | "device_tracker", _) => PLACES,
        ("cover" | "valve", _) => COVERS,
        ("lock", _) => LOCKS,
        ("climate" | "water_heater", _) => CLIMATES,
        ("media_player", _) => PLAYERS,
        ("vacuum" | "lawn_mower", _) => VACUUMS,
        _ => ON_OFF,
    }
}

/// A state in words, for those who do not say the next one of the same thing.
pub fn said(w: &Words, state: &EntityState) -> String {
    let attributes = &state.attributes;
    let table = table(w, state.entity_id.domain(), attributes.device_class.as_deref());
    self::state(&table, &state.state, attributes.unit_of_measurement.as_deref())
}

/// A state in words.
pub(super) fn state(table: &[(&str, String)], state: &str, unit: Option<&str>) -> String {
    if let Some((_, words)) = table.iter().find(|(text, _)| *text == state) {
        return words.clone();
    }
    match unit {
        Some(unit) if state.parse::<f64>().is_ok() => {
            // A percent or degree sign stands close to its number.
            let gap = if matches!(unit, "%" | "°") { "" } else { "\u{a0}" };
            format!("{state}{gap}{unit}")
        }
        _ => plain(state),
    }
}

/// A word of Home Assistant's that we have none for: without its underscores, beginning large.
fn plain(state: &str) -> String {
    let is_word = !state.is_empty() && state.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if !is_word {
        return state.to_owned();
    }
    let text = state.replace('_', " ");
    text[..1].to_ascii_uppercase() + &text[1..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::words::{english, for_header};

    fn says(domain: &str, class: Option<&str>, text: &str, unit: Option<&str>) -> String {
        state(&table(english(), domain, class), text, unit)
    }

    #[test]
    fn a_state_is_said_as_people_say_it() {
        for (domain, class, text, unit, said) in [
            ("light", None, "on", None, "On"),
            ("binary_sensor", Some("door"), "on", None, "Open"),
            ("binary_sensor", Some("motion"), "off", None, "Clear"),
            ("binary_sensor", Some("of_a_newer_release"), "off", None, "Off"),
            ("sensor", Some("temperature"), "21.5", Some("°C"), "21.5\u{a0}°C"),
            ("sensor", None, "45", Some("%"), "45%"),
            ("sensor", None, "unavailable", Some("°C"), "Unavailable"),
            ("sensor", None, "Washing 30°", Some("°C"), "Washing 30°"),
            ("weather", None, "partlycloudy", None, "Partlycloudy"),
            ("alarm_control_panel", None, "armed_home", None, "Armed home"),
            ("sensor", None, "", None, ""),
        ] {
            assert_eq!(says(domain, class, text, unit), said, "{domain} {text}");
        }
    }

    #[test]
    fn every_state_has_words_in_every_language() {
        for w in [english(), for_header("zh-TW")] {
            for domain in ["light", "person", "cover", "lock", "climate", "media_player", "vacuum"] {
                for (_, words) in table(w, domain, None) {
                    assert!(!words.starts_with("portal-"), "{words}");
                }
            }
        }
    }
}
