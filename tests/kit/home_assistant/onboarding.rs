//! Making a fresh Home Assistant somebody's: owner, long-lived token, floors and areas.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Client, Socket};
use crate::until::within;

/// The owner's name and password, for signing in to Home Assistant's own page.
pub const OWNER: (&str, &str) = ("owner", "owner-of-canal-house");

/// Home Assistant opens its port early and starts its integrations after; a loaded machine takes a while.
const START: Duration = Duration::from_secs(480);

/// An area: its name, its floor, what is put into it directly, and what comes into it with its device.
type Area = (&'static str, Option<&'static str>, &'static [&'static str], &'static [&'static str]);

const AREAS: &[Area] = &[
    (
        "Living Room",
        Some("Ground floor"),
        &["light.ceiling_lights", "fan.living_room_fan", "input_boolean.alpha"],
        &["light.living_room_rgbww_lights"],
    ),
    ("Kitchen", Some("Ground floor"), &["light.kitchen_lights"], &[]),
    ("Bedroom", Some("First floor"), &[], &["light.bed_light"]),
    ("Office", Some("First floor"), &["light.office_rgbw_lights", "switch.ac"], &[]),
    ("Garage", None, &["sensor.outside_temperature"], &[]),
];

/// Waits until the port is open and the onboarding steps can be read or are all done.
///
/// # Errors
/// When `is_alive` fails or nothing answers for eight minutes.
pub async fn until_open(url: &str, mut is_alive: impl FnMut() -> Result<()>) -> Result<()> {
    let client = Client::new(url, "");
    let mut died = None;
    let open = within(START, "Home Assistant to open its port", || {
        died = is_alive().err();
        let gone = died.is_some();
        let client = &client;
        async move {
            let known = |status: StatusCode| status.is_success() || status == StatusCode::NOT_FOUND;
            gone || client.status("/api/onboarding").await.is_ok_and(known)
        }
    });
    open.await?;
    died.map_or(Ok(()), Err)
}

/// Waits until every integration is up, as `get_config` tells it.
///
/// # Errors
/// When the token is refused or it takes longer than eight minutes.
pub async fn until_running(client: &Client) -> Result<()> {
    let running = within(START, "Home Assistant to be running", || async {
        let config = client.socket().await?.call("get_config", json!({})).await?;
        ensure!(config["state"] == "RUNNING", "it is {}", config["state"]);
        Ok(())
    });
    Ok(running.await?)
}

/// Makes the owner, goes through the other steps, and gives a token that lasts ten years.
///
/// # Errors
/// When a step is refused: also when somebody is the owner already.
pub async fn onboard(url: &str) -> Result<String> {
    let (user, password) = OWNER;
    let client_id = format!("{url}/");
    let stranger = Client::new(url, "");
    let owner = json!({
        "client_id": client_id, "name": "Owner", "username": user, "password": password, "language": "en",
    });
    let code = stranger.request(Method::POST, "/api/onboarding/users", Some(&owner)).await?;
    let code = code["auth_code"].as_str().context("no code came back for the owner")?;
    let form = [("grant_type", "authorization_code"), ("code", code), ("client_id", &client_id)];
    let token = stranger.form("/auth/token", &form).await?;
    let client = Client::new(url, token["access_token"].as_str().context("no access token came back")?);
    for step in ["core_config", "analytics"] {
        client.request(Method::POST, &format!("/api/onboarding/{step}"), None).await?;
    }
    let last = json!({"client_id": client_id, "redirect_uri": format!("{url}/?auth_callback=1")});
    client.request(Method::POST, "/api/onboarding/integration", Some(&last)).await?;
    until_running(&client).await?;
    let mut socket = client.socket().await?;
    furnish(&mut socket).await.context("set up floors and areas")?;
    let lasting = json!({"client_name": "latchkey", "lifespan": 3650});
    let token = socket.call("auth/long_lived_access_token", lasting).await?;
    Ok(token.as_str().context("no lasting token came back")?.to_owned())
}

/// Puts entities into areas and areas on floors, so that the agent has places to tell of.
async fn furnish(socket: &mut Socket) -> Result<()> {
    // Onboarding has made some of these areas already.
    let mut areas = ids(socket, "config/area_registry/list", "name", "area_id").await?;
    let devices = ids(socket, "config/entity_registry/list", "entity_id", "device_id").await?;
    let mut floors = HashMap::new();
    for &(name, floor, direct, by_device) in AREAS {
        if !areas.contains_key(name) {
            let made = socket.call("config/area_registry/create", json!({"name": name})).await?;
            areas.insert(name.into(), made["area_id"].clone());
        }
        let area = &areas[name];
        if let Some(floor) = floor {
            if !floors.contains_key(floor) {
                let fields = json!({"name": floor, "level": floors.len()});
                let made = socket.call("config/floor_registry/create", fields).await?;
                floors.insert(floor, made["floor_id"].clone());
            }
            let fields = json!({"area_id": area, "floor_id": floors[floor]});
            socket.call("config/area_registry/update", fields).await?;
        }
        for entity in direct {
            let fields = json!({"entity_id": entity, "area_id": area});
            // Since 2026.9 an entity without a name of its own takes the area of its device.
            if socket.call("config/entity_registry/update", fields).await.is_err() {
                place_device(socket, &devices, entity, area).await?;
            }
        }
        for entity in by_device {
            place_device(socket, &devices, entity, area).await?;
        }
    }
    Ok(())
}

async fn place_device(
    socket: &mut Socket,
    devices: &HashMap<String, Value>,
    entity: &str,
    area: &Value,
) -> Result<()> {
    let device = devices.get(entity).with_context(|| format!("there is no {entity}"))?;
    socket
        .call("config/device_registry/update", json!({"device_id": device, "area_id": area}))
        .await
        .map(drop)
}

/// Reads a registry as a table from one of its columns to another.
async fn ids(socket: &mut Socket, list: &str, from: &str, to: &str) -> Result<HashMap<String, Value>> {
    let rows = socket.call(list, json!({})).await?;
    let pair = |row: &Value| Some((row[from].as_str()?.to_owned(), row[to].clone()));
    Ok(rows.as_array().context("a registry is a list")?.iter().filter_map(pair).collect())
}
