//! A guest's page: live, switched by its guest, honest about what it does not know, and gone when the link is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kit::browser::Browser;
use kit::home_assistant::{Client, Mood};
use kit::owner::May;
use kit::until::within;
use serde_json::{Value, json};

use crate::look::{assert_quiet, complaints, survey};
use crate::world;

/// Notes when and with which code the page's sockets close, before any script of the page runs.
const NOTE_CLOSES: &str = "window.closes = []; const Real = WebSocket; \
    window.WebSocket = class extends Real { constructor(...all) { super(...all); \
    this.addEventListener('close', ({ code }) => closes.push([code, Date.now()])); } };";
/// Stands for a filter on the way: no handshake of a WebSocket is ever answered as one. (Chromium's blocked URLs
/// let WebSockets pass.)
const FILTER: &str = "const Real = WebSocket; \
    window.WebSocket = class extends Real { constructor(url) { super(`${url}/filtered`); } };";
/// Longer than the page waits for the home to confirm.
const CONFIRMING: Duration = Duration::from_secs(20);

/// Waits until the page says this state.
pub async fn until_state(browser: &Browser, wanted: &str) {
    let state = || async {
        let state = browser.text_of("#state").await.unwrap_or_default();
        if state.trim() == wanted { Ok(()) } else { Err(format!("it says {state:?}")) }
    };
    browser.until(&format!("the state {wanted}"), state).await;
}

/// Waits until the page says how it stays fresh: `live`, `polling`, `again` or `still`.
pub async fn until_line(browser: &Browser, wanted: &str) {
    let line = || async {
        let now = browser.run("return document.getElementById('line').dataset.now").await;
        if now.as_ref().is_ok_and(|now| now == wanted) { Ok(()) } else { Err(format!("it is {now:?}")) }
    };
    browser.until(&format!("the line to be {wanted}"), line).await;
}

/// Waits until the switch has this look.
async fn until_look(browser: &Browser, wanted: &str) {
    let what = format!("the switch to look {wanted}");
    let look = within(CONFIRMING, &what, || async {
        let now = browser.run("return document.getElementById('flip').dataset.look ?? ''").await;
        if now.as_ref().is_ok_and(|now| now == wanted) { Ok(()) } else { Err(format!("it looks {now:?}")) }
    });
    look.await.unwrap();
}

async fn is_hidden(browser: &Browser, id: &str) -> bool {
    browser.run(&format!("return document.getElementById('{id}').hidden")).await.unwrap() == true
}

async fn checked(browser: &Browser) -> Value {
    browser.run("return document.getElementById('flip').getAttribute('aria-checked')").await.unwrap()
}

async fn switch(home: &Client, entity: &str, to: &str) {
    home.call_service("light", to, json!({"entity_id": entity})).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_watches_and_is_shown_out() {
    let mut world = world().await;
    let porch = world.device("light", "Porch", Mood::Willing).await;
    world.pair_agent().await;
    let home = world.home().await;
    let link = world.share(&porch, May::View).await;
    let browser = world.browser().await;
    let note = json!({"source": NOTE_CLOSES});
    browser.chrome("Page.addScriptToEvaluateOnNewDocument", note).await.unwrap();
    browser.open(&link).await.unwrap();

    // The token was taken out of everything that others might read or keep.
    let (_, token) = link.split_once("access_token=").unwrap();
    let traces = "return [location.href, document.referrer, document.cookie, document.documentElement.outerHTML, \
        JSON.stringify(history.state), ...navigation.entries().map(entry => entry.url), \
        ...performance.getEntriesByType('resource').map(entry => entry.name)].join('\\n')";
    let traces = browser.run(traces).await.unwrap();
    assert!(!traces.as_str().unwrap().contains(token), "{traces}");

    until_line(&browser, "live").await;
    until_state(&browser, "Off").await;
    switch(&home, &porch, "turn_on").await;
    until_state(&browser, "On").await;
    assert_eq!(browser.count("#flip").await.unwrap(), 0, "who may look has no switch");
    survey(&browser, "guest-view").await;

    world.stop_agent().await.unwrap();
    browser
        .until("the page to say that the home is away", || async { !is_hidden(&browser, "offline").await })
        .await;
    assert!(!browser.text_of("#since").await.unwrap().is_empty(), "it says since when");
    assert!(browser.text().await.unwrap().contains("On"), "what was known last is still there");
    survey(&browser, "guest-offline").await;
    world.start_agent().await;
    browser.until("the page to see it come back", || async { is_hidden(&browser, "offline").await }).await;
    switch(&home, &porch, "turn_off").await;
    until_state(&browser, "Off").await;
    assert_quiet(&browser).await;

    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    world.revoke(&porch).await;
    browser.until_text("This link is no longer valid").await.unwrap();
    let closes = browser.run("return closes").await.unwrap();
    let last = closes.as_array().unwrap().last().unwrap();
    let after = u128::from(last[1].as_u64().unwrap()).saturating_sub(began);
    println!("revoked: the guest's socket closed {after} ms after the owner began to press the button");
    assert_eq!(last[0], 4403);
    assert!(after < 1000, "it took {after} ms");
    assert!(!browser.text().await.unwrap().contains("Porch"), "nothing of the home stays on the page");
    survey(&browser, "guest-revoked").await;
    assert_quiet(&browser).await;

    // Whoever comes again finds a closed door; a page that is not there looks the same.
    browser.open(&link).await.unwrap();
    survey(&browser, "guest-refused").await;
    assert_eq!(complaints(&browser, &["status of 403"]).await, Vec::<String>::new());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_switches_and_is_told_what_became_of_it() {
    let mut world = world().await;
    let porch = world.device("light", "Porch", Mood::Slow).await;
    world.pair_agent().await;
    let home = world.home().await;
    let link = world.share(&porch, May::Control).await;
    let browser = world.browser().await;
    browser.open(&link).await.unwrap();
    until_line(&browser, "live").await;
    survey(&browser, "guest-control").await;

    // Slow: pending while the home works, and the switch does not move before it has.
    browser.click("#flip").await.unwrap();
    until_look(&browser, "pending").await;
    assert_eq!(checked(&browser).await, "false");
    browser.screenshot("guest-pending").await.unwrap();
    until_look(&browser, "confirmed").await;
    assert_eq!(checked(&browser).await, "true");
    home.until_state(&porch, "on").await.unwrap();
    until_state(&browser, "On").await;
    survey(&browser, "guest-confirmed").await;

    home.make(&porch, "Porch", Mood::Willing).await.unwrap();
    until_state(&browser, "Off").await;
    browser.click("#flip").await.unwrap();
    home.until_state(&porch, "on").await.unwrap();
    until_look(&browser, "confirmed").await;
    assert_quiet(&browser).await;

    home.make(&porch, "Porch", Mood::Refuses).await.unwrap();
    until_state(&browser, "Off").await;
    browser.click("#flip").await.unwrap();
    until_look(&browser, "refused").await;
    assert_eq!(checked(&browser).await, "false");
    survey(&browser, "guest-switch-refused").await;

    home.make(&porch, "Porch", Mood::Deaf).await.unwrap();
    browser.click("#flip").await.unwrap();
    until_look(&browser, "timed-out").await;
    assert_eq!(checked(&browser).await, "false");
    survey(&browser, "guest-timed-out").await;

    world.stop_agent().await.unwrap();
    browser
        .until("the page to say that the home is away", || async { !is_hidden(&browser, "offline").await })
        .await;
    browser.click("#flip").await.unwrap();
    until_look(&browser, "offline").await;
    survey(&browser, "guest-control-offline").await;
    // A fetch that is answered with such a status is always told of in the console.
    let meant = ["status of 409", "status of 503", "status of 504"];
    assert_eq!(complaints(&browser, &meant).await, Vec::<String>::new());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_behind_a_filter_is_kept_fresh_by_asking() {
    let mut world = world().await;
    let porch = world.device("light", "Porch", Mood::Willing).await;
    world.pair_agent().await;
    let home = world.home().await;
    let link = world.share(&porch, May::Control).await;
    let browser = world.browser().await;
    let filter = json!({"source": FILTER});
    browser.chrome("Page.addScriptToEvaluateOnNewDocument", filter).await.unwrap();
    browser.open(&link).await.unwrap();
    until_line(&browser, "polling").await;
    for (service, state) in [("turn_on", "On"), ("turn_off", "Off")] {
        switch(&home, &porch, service).await;
        until_state(&browser, state).await;
    }
    browser.click("#flip").await.unwrap();
    home.until_state(&porch, "on").await.unwrap();
    until_look(&browser, "confirmed").await;
    survey(&browser, "guest-polling").await;
    assert_eq!(complaints(&browser, &["/live/filtered' failed"]).await, Vec::<String>::new());

    world.revoke(&porch).await;
    browser.until_text("This link is no longer valid").await.unwrap();
    world.end().await;
}
