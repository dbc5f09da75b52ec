//! Home Assistant's own front page, at the home's own address, through the tunnel; and what stands there while
//! the home is away.

use kit::browser::Browser;
use kit::home_assistant::{Mood, OWNER};
use serde_json::{Value, json};

use crate::look::{complaints, survey};
use crate::world;

/// Looks for elements through every shadow root.
const DEEP: &str = "const deep = (root, css) => { for (const one of root.querySelectorAll('*')) { \
    if (one.matches(css)) return one; \
    const inside = one.shadowRoot && deep(one.shadowRoot, css); if (inside) return inside; } return null; };";

/// Puts the cursor into a field, wherever it is hidden.
async fn focus(browser: &Browser, css: &str) {
    let script = format!(
        "{DEEP} const it = deep(document, {css:?}); if (!it) return false; it.focus(); \
         let at = document.activeElement; while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement; \
         return at === it;"
    );
    browser.until(css, || async { browser.run(&script).await.is_ok_and(|there| there == true) }).await;
}

async fn type_text(browser: &Browser, text: &str) {
    browser.chrome("Input.insertText", json!({"text": text})).await.unwrap();
}

/// What Home Assistant's page knows of an entity.
async fn known(browser: &Browser, entity: &str) -> Value {
    let script =
        format!("return document.querySelector('home-assistant')?.hass?.states?.[{entity:?}]?.state");
    browser.run(&script).await.unwrap_or(Value::Null)
}

async fn until_known(browser: &Browser, entity: &str, wanted: &str) {
    let look = || async {
        let is = known(browser, entity).await;
        if is == wanted { Ok(()) } else { Err(format!("it is {is}")) }
    };
    browser.until(&format!("Home Assistant's page to know that {entity} is {wanted}"), look).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn home_assistants_own_page_lives_at_the_homes_address() {
    let mut world = world().await;
    // Its owner's password is known for one of our own only.
    let home = world.home_of_its_own().await;
    let porch = world.device("light", "Porch", Mood::Willing).await;
    world.pair_agent().await;
    let url = world.home_url();
    let browser = world.browser().await;
    browser.open(&url).await.unwrap();
    let (name, password) = OWNER;
    focus(&browser, "input[name=username]").await;
    type_text(&browser, name).await;
    focus(&browser, "input[name=password]").await;
    type_text(&browser, password).await;
    browser.screenshot("front-sign-in").await.unwrap();
    let enter = |kind| json!({"type": kind, "key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13});
    for kind in ["keyDown", "keyUp"] {
        browser.chrome("Input.dispatchKeyEvent", enter(kind)).await.unwrap();
    }

    until_known(&browser, &porch, "off").await;
    assert!(browser.address().await.unwrap().starts_with(&url), "it is still the home's own address");
    home.call_service("light", "turn_on", json!({"entity_id": porch})).await.unwrap();
    until_known(&browser, &porch, "on").await;
    let off = format!(
        "document.querySelector('home-assistant').hass.callService('light', 'turn_off', {{ entity_id: {porch:?} }})"
    );
    browser.run(&off).await.unwrap();
    home.until_state(&porch, "off").await.unwrap();
    until_known(&browser, &porch, "off").await;
    let shown = format!("{DEEP} return Boolean(deep(document, 'ha-card'))");
    browser
        .until("cards on the page", || async { browser.run(&shown).await.is_ok_and(|there| there == true) })
        .await;
    browser.screenshot("front").await.unwrap();
    // Home Assistant's own page complains of itself (its demo's pictures are on the internet); nothing that we put in its way may be among it.
    let heard = complaints(&browser, &[]).await;
    let ours = [
        "Content Security Policy",
        "WebSocket",
        "Mixed Content",
        "status of 502",
        "status of 503",
        "status of 504",
    ];
    assert!(!heard.iter().any(|words| ours.iter().any(|ours| words.contains(ours))), "{heard:#?}");

    world.stop_agent().await.unwrap();
    let away = world.stranger().get_once(&url).await.unwrap();
    assert_eq!(away.status.as_u16(), 503, "{}", away.text);
    let visitor = world.browser().await;
    visitor.open(&url).await.unwrap();
    survey(&visitor, "away").await;
    assert_eq!(complaints(&visitor, &["status of 503"]).await, Vec::<String>::new());
    world.end().await;
}
