//! Compressed events as Home Assistant 2026.2 and 2026.11 send them.

use serde_json::json;

use super::*;

fn watched(ids: &[&str]) -> BTreeSet<EntityId> {
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

fn apply(entities: &mut Entities, event: Value) -> Vec<String> {
    let watched = watched(&["light.bed_light", "sensor.ghost"]);
    let touched = entities.apply(serde_json::from_value(event).unwrap(), &watched);
    touched.iter().map(ToString::to_string).collect()
}

fn show(entities: &Entities, id: &str) -> Option<EntityState> {
    entities.show(&id.parse().unwrap(), &Names::default())
}

fn bed_light() -> Value {
    json!({"a": {"light.bed_light": {
        "s": "off",
        "a": {"min_mireds": 153, "effect_list": ["rainbow", "off"], "brightness": null, "friendly_name": "Bed Light"},
        "c": "01M80R4P7HZYFA9HPC4KA8ZV8Y", "lc": 1795321649.3932984
    }}})
}

#[test]
fn an_added_entity_shows_only_what_may_be_seen() {
    let mut entities = Entities::default();
    assert_eq!(apply(&mut entities, bed_light()), ["light.bed_light"]);
    let shown = serde_json::to_value(show(&entities, "light.bed_light")).unwrap();
    assert_eq!(
        shown,
        json!({"entity_id": "light.bed_light", "state": "off", "name": "Bed Light", "last_changed": 1795321649393i64,
            "attributes": {}})
    );
}

#[test]
fn a_change_of_state_brings_its_time_and_its_context() {
    let mut entities = Entities::default();
    apply(&mut entities, bed_light());
    let on = json!({"c": {"light.bed_light": {"+": {
        "s": "on", "lc": 1795321778.756388, "c": {"user_id": "a4cc", "id": "01M80R8MJ3AMN42BE999HMRG62"},
        "a": {"effect": "rainbow", "brightness": 100, "hs_color": [26.752, 31.945]}
    }}}});
    assert_eq!(apply(&mut entities, on), ["light.bed_light"]);
    let shown = show(&entities, "light.bed_light").unwrap();
    assert_eq!((shown.state.as_str(), shown.last_changed), ("on", 1795321778756));
    let entity = entities.get(&"light.bed_light".parse().unwrap()).unwrap();
    assert_eq!(entity.changed_by.as_deref(), Some("01M80R8MJ3AMN42BE999HMRG62"));
}

#[test]
fn what_may_not_be_seen_is_no_news() {
    let mut entities = Entities::default();
    apply(&mut entities, bed_light());
    let brighter = json!({"c": {"light.bed_light": {"+": {"lu": 1795321779.1, "c": "01M80", "a": {"brightness": 101}}}}});
    assert!(apply(&mut entities, brighter).is_empty());
    // Somebody else's context on an unseen attribute is not who switched it.
    let entity = entities.get(&"light.bed_light".parse().unwrap()).unwrap();
    assert_eq!(entity.changed_by.as_deref(), Some("01M80R4P7HZYFA9HPC4KA8ZV8Y"));
}

#[test]
fn attributes_come_change_and_go() {
    let mut entities = Entities::default();
    let ghost = json!({"a": {"sensor.ghost": {"s": "1", "a": {"unit_of_measurement": "°C", "icon": "mdi:ghost"},
        "c": {"id": "01M80", "parent_id": null, "user_id": null}, "lc": 1795321782.0}}});
    apply(&mut entities, ghost);
    let change = json!({"c": {"sensor.ghost": {"+": {"lu": 1.0, "a": {"device_class": "temperature", "icon": null}},
        "-": {"a": ["unit_of_measurement", "y"]}}}});
    assert_eq!(apply(&mut entities, change), ["sensor.ghost"]);
    let shown = show(&entities, "sensor.ghost").unwrap();
    assert_eq!(shown.attributes.device_class.as_deref(), Some("temperature"));
    assert_eq!((shown.attributes.icon, shown.attributes.unit_of_measurement), (None, None));
    assert_eq!(shown.name, "sensor.ghost");
    assert_eq!(apply(&mut entities, json!({"r": ["sensor.ghost"]})), ["sensor.ghost"]);
    assert_eq!(show(&entities, "sensor.ghost"), None);
}

#[test]
fn nothing_but_the_watched_is_kept() {
    let mut entities = Entities::default();
    let others = json!({
        "a": {"lock.front": {"s": "locked", "lc": 1.0}, "not an id": {"s": "x", "lc": 1.0}},
        "c": {"lock.back": {"+": {"s": "open"}}, "sensor.ghost": {"+": {"s": "never added"}}},
        "r": ["lock.side"]
    });
    assert!(apply(&mut entities, others).is_empty());
    assert!(entities.0.is_empty());
}

#[test]
fn a_monstrous_name_is_cut_and_an_odd_one_is_none() {
    let mut entities = Entities::default();
    let long = "ü".repeat(300);
    apply(
        &mut entities,
        json!({"a": {"sensor.ghost": {"s": "1", "a": {"friendly_name": long, "icon": 7}, "lc": 1.0}}}),
    );
    let shown = show(&entities, "sensor.ghost").unwrap();
    assert_eq!((shown.name.chars().count(), shown.attributes.icon), (255, None));
}
