//! Programs: those that are let in and those that are registered; and that nobody frames any page of ours.

use kit::browser::Browser;
use kit::world::World;
use serde_json::{Value, json};
use shared::oauth::{AGENT_CLIENT_ID, path};

use crate::look::{assert_quiet, survey};
use crate::world;

/// Somebody else's page, which shows one of ours in a frame.
const THIEF: &str = "data:text/html,<title>Prizes</title><iframe width=800 height=600></iframe>";
/// A page of each sort: before one is in and after, with a form and without.
const PAGES: [&str; 14] = [
    "/",
    "/sign-in",
    "/forgotten",
    "/register",
    "/device",
    "/account",
    "/account/password",
    "/members",
    "/workspaces",
    "/programs",
    "/clients",
    "/clients/new",
    "/portal/entity/1",
    "/nowhere",
];

/// Lets a device in, so that there is a program to be seen.
async fn let_a_device_in(world: &World) {
    let asked = kit::http_client().post(format!("{}{}", world.origin(), path::DEVICE_AUTHORIZATION));
    let device = asked.form(&[("client_id", AGENT_CLIENT_ID)]).send().await.unwrap();
    let device: Value = device.json().await.unwrap();
    let let_in = world.owner().allow_by_code(device["user_code"].as_str().unwrap(), "Lake House").await;
    let_in.unwrap();
    let grant = [
        ("grant_type", shared::oauth::DEVICE_GRANT),
        ("device_code", device["device_code"].as_str().unwrap()),
        ("client_id", AGENT_CLIENT_ID),
    ];
    let polled = kit::http_client().post(format!("{}{}", world.origin(), path::TOKEN)).form(&grant).send();
    assert!(polled.await.unwrap().status().is_success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_are_seen_registered_and_put_out() {
    let world = world().await;
    let browser = world.owners_browser().await;
    let page = |path: &str| format!("{}{path}", world.origin());
    browser.open(&page("/programs")).await.unwrap();
    survey(&browser, "programs-none").await;
    let_a_device_in(&world).await;
    browser.open(&page("/programs")).await.unwrap();
    browser.until_text("Latchkey Agent").await.unwrap();
    survey(&browser, "programs").await;

    browser.open(&page("/clients")).await.unwrap();
    survey(&browser, "clients-none").await;
    browser.open(&page("/clients/new")).await.unwrap();
    survey(&browser, "client-new").await;
    browser.fill("[name=name]", "Home Assistant").await.unwrap();
    browser.click("input[name=kind][value=home-assistant]").await.unwrap();
    browser.click("form[action^='/clients'] button.primary").await.unwrap();
    browser.find("#secret").await.unwrap();
    survey(&browser, "client-secret").await;
    browser.open(&page("/clients")).await.unwrap();
    browser.until_text("Home Assistant").await.unwrap();
    survey(&browser, "clients").await;
    browser.click("button[popovertarget^=rotate]").await.unwrap();
    survey(&browser, "client-rotate").await;
    assert_quiet(&browser).await;
    world.end().await;
}

/// What stands in the first frame of the page, once it has loaded.
async fn framed(browser: &Browser, address: &str) -> Value {
    browser.open(THIEF).await.unwrap();
    let load = "const [address, done] = arguments; const frame = document.querySelector('iframe'); \
        frame.onload = () => done(true); frame.src = address";
    browser.page().execute_async(load, vec![json!(address)]).await.unwrap();
    browser.page().enter_frame(0).await.unwrap();
    let shown =
        browser.run("return [location.protocol, document.querySelectorAll('form, main').length]").await;
    browser.page().enter_parent_frame().await.unwrap();
    shown.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_ours_is_framed() {
    let world = world().await;
    let browser = world.owners_browser().await;
    for path in PAGES {
        let shown = framed(&browser, &format!("{}{path}", world.origin())).await;
        assert_eq!(shown, json!(["chrome-error:", 0]), "AZ-18, DG-19: {path} is shown in a frame");
    }
    world.end().await;
}
