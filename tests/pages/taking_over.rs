//! Taking over: a second agent asks for a home that has one.

use kit::browser::{Browser, Settings};
use kit::owner::Identity;
use kit::world::World;
use serde_json::Value;
use shared::oauth::{AGENT_CLIENT_ID, path};

use crate::look::{assert_quiet, survey};
use crate::world;

/// A second agent asks; the code it shows.
async fn ask(world: &World) -> String {
    let asked = kit::http_client().post(format!("{}{}", world.origin(), path::DEVICE_AUTHORIZATION));
    let device = asked.form(&[("client_id", AGENT_CLIENT_ID)]).send().await.unwrap();
    let device: Value = device.json().await.unwrap();
    device["user_code"].as_str().unwrap().to_owned()
}

async fn choose_the_home(world: &World, browser: &Browser) {
    browser.open(&format!("{}/device?user_code={}", world.origin(), ask(world).await)).await.unwrap();
    browser.click(&format!("input[name=home][value='{}']", world.home_id())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_would_end_another_agent_is_asked_twice() {
    let mut world = world().await;
    world.pair_agent().await;
    let browser = world.owners_browser().await;
    choose_the_home(&world, &browser).await;
    survey(&browser, "consent-occupied").await;
    browser.click("button[value=allow]").await.unwrap();
    browser.until_text("Take over?").await.unwrap();
    survey(&browser, "consent-take-over").await;
    browser.click("button[value=allow]").await.unwrap();
    browser.find(".centred h1").await.unwrap();
    assert_quiet(&browser).await;

    let reader = Browser::start_with(Settings { language: "zh-TW", ..Settings::default() }).await.unwrap();
    let Identity { email, password, .. } = Identity::ada();
    reader.open(&format!("{}/sign-in", world.origin())).await.unwrap();
    reader.fill("#email", &email).await.unwrap();
    reader.fill("#password", &password).await.unwrap();
    reader.click("form[action='/sign-in'] button").await.unwrap();
    reader.find("#add-home").await.unwrap();
    choose_the_home(&world, &reader).await;
    survey(&reader, "zh-consent-occupied").await;
    reader.click("button[value=allow]").await.unwrap();
    reader.until_text("要接手嗎？").await.unwrap();
    survey(&reader, "zh-consent-take-over").await;
    assert_quiet(&reader).await;
    world.end().await;
}
