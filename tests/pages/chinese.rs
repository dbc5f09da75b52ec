//! The same pages in Traditional Chinese: its words are shorter, its lines break elsewhere.

use agent::app::How;
use kit::agents;
use kit::browser::{Browser, Settings};
use kit::home_assistant::{Client, Mood};
use kit::owner::{Identity, May};
use serde_json::json;

use crate::look::{assert_quiet, complaints, survey};
use crate::world;

async fn reader() -> Browser {
    Browser::start_with(Settings { language: "zh-TW", ..Settings::default() }).await.unwrap()
}

async fn rename(home: &Client, entity: &str) {
    let mut socket = home.socket().await.unwrap();
    let renamed = json!({"entity_id": entity, "name": "玄關燈"});
    socket.call("config/entity_registry/update", renamed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_whole_in_chinese() {
    let mut world = world().await;
    let porch = world.device("light", "Porch", Mood::Willing).await;
    rename(&world.home().await, &porch).await;
    let browser = reader().await;
    let origin = world.origin();
    let Identity { email, password, .. } = Identity::ada();
    browser.open(&format!("{origin}/sign-in")).await.unwrap();
    assert_eq!(browser.run("return document.documentElement.lang").await.unwrap(), "zh-Hant");
    survey(&browser, "zh-sign-in").await;
    browser.fill("#email", &email).await.unwrap();
    browser.fill("#password", &password).await.unwrap();
    browser.click("form[action='/sign-in'] button").await.unwrap();
    browser.find("#add-home").await.unwrap();
    survey(&browser, "zh-homes-empty").await;

    agents::pair_when(&world.agent_settings(), How::Device, |code| {
        let browser = &browser;
        let origin = &origin;
        async move {
            browser.open(&format!("{origin}/device")).await?;
            survey(browser, "zh-device").await;
            browser.fill("input[name=user_code]", &code).await?;
            browser.click("form[action='/device'] button").await?;
            browser.find("input[name=home_name]").await?;
            survey(browser, "zh-device-consent").await;
            browser.fill("input[name=home_name]", "運河小屋").await?;
            browser.click("button[value=allow]").await?;
            browser.find(".centred h1").await?;
            survey(browser, "zh-device-done").await;
            Ok(())
        }
    })
    .await
    .unwrap();
    world.start_agent().await;

    let link = world.share(&porch, May::Control).await;
    let home = format!("{origin}/homes/{}", world.home_id());
    for (path, name) in [("", "zh-home"), (&*format!("/share?entity={porch}"), "zh-share")] {
        browser.open(&format!("{home}{path}")).await.unwrap();
        browser.until_text("玄關燈").await.unwrap();
        survey(&browser, name).await;
    }
    browser.open(&origin).await.unwrap();
    survey(&browser, "zh-homes").await;
    assert_quiet(&browser).await;

    let guest = reader().await;
    guest.open(&link).await.unwrap();
    guest.until_text("玄關燈").await.unwrap();
    survey(&guest, "zh-guest").await;
    assert_quiet(&guest).await;
    world.revoke(&porch).await;
    guest.find("#revoked:not([hidden])").await.unwrap();
    survey(&guest, "zh-guest-revoked").await;
    guest.open(&link).await.unwrap();
    survey(&guest, "zh-guest-refused").await;
    guest.open(&format!("{origin}/nothing-here")).await.unwrap();
    survey(&guest, "zh-not-found").await;
    assert_eq!(complaints(&guest, &["status of 403", "status of 404"]).await, Vec::<String>::new());
    world.end().await;
}
