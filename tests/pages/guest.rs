//! A guest's page: live, switched by its guest, and gone when the link is.

use kit::browser::{Browser, DESKTOP, PHONE, Scheme};
use kit::home_assistant::Mood;
use kit::owner::May;
use kit::world::World;
use serde_json::json;

/// Waits until the page says this state.
async fn until_state(browser: &Browser, wanted: &str) {
    let state =
        || async { browser.text_of("#state").await.map(|state| state.trim() == wanted).unwrap_or(false) };
    browser.until(&format!("the state {wanted}"), state).await;
}

kit::stories! {
    async fn a_guest_watches_and_switches_the_porch_light(mut world: World) {
        let porch = world.device("light", "Porch", Mood::Willing).await;
        world.pair_agent().await;
        let link = world.share(&porch, May::Control).await;
        let browser = world.browser().await;
        browser.open(&link).await.unwrap();
        assert!(!browser.address().await.unwrap().contains("access_token"), "the token stays in the address");
        until_state(&browser, "Off").await;
        let live = || async { browser.run("return document.getElementById('line').dataset.now").await.is_ok_and(|now| now == "live") };
        browser.until("the page to be live", live).await;

        let home = world.home().await;
        home.call_service("light", "turn_on", json!({"entity_id": porch})).await.unwrap();
        until_state(&browser, "On").await;
        browser.click("#flip").await.unwrap();
        home.until_state(&porch, "off").await.unwrap();
        until_state(&browser, "Off").await;
        assert_eq!(browser.complaints().await.unwrap(), Vec::<String>::new());
        for (name, viewport, scheme) in [("light", DESKTOP, Scheme::Light), ("dark-phone", PHONE, Scheme::Dark)] {
            browser.set_viewport(viewport).await.unwrap();
            browser.prefer(scheme).await.unwrap();
            browser.screenshot(&format!("guest-{name}")).await.unwrap();
        }

        world.revoke(&porch).await;
        let gone = || async { browser.run("return !document.getElementById('revoked').hidden").await.is_ok_and(|gone| gone == true) };
        browser.until("the page to say that the link was revoked", gone).await;
        world.end().await;
    }
}
