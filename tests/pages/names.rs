//! Names that are markup, scripts or turn the text around stay names, wherever they are shown.

use agent::app::How;
use kit::browser::Browser;
use kit::home_assistant::{Mood, Socket};
use kit::owner::May;
use serde_json::{Value, json};

use crate::guest::until_line;
use crate::look::{assert_quiet, survey};
use crate::world;

/// Runs what it can, closes what is open, and turns what follows around.
const HOME: &str = "<svg onload=ran=1>\"'></title>\u{202e}emoh";
const DEVICE: &str = "\"><img src=x onerror=ran=2>'</script>\u{202e}hcroP";
const AREA: &str = "<svg/onload=ran=3> &lt;b&gt; {{7*7}} \u{2067}aerA";
const LABEL: &str = "'-ran=4-'<iframe srcdoc='<script>parent.ran=5</script>'>\u{202e}annA";
const LATER: &str = "</bdi></h1><svg onload=ran=6>\u{202e}retaL";

/// Each name stands on the page as it is, nothing of it ran, and it turns around nothing but itself.
async fn assert_inert(browser: &Browser, names: &[&str]) {
    let text = browser.run("return document.body.textContent").await.unwrap();
    for name in names {
        assert!(text.as_str().unwrap().contains(name), "{name:?} is not on the page:\n{text}");
    }
    assert_eq!(browser.run("return typeof window.ran").await.unwrap(), "undefined", "something ran");
    assert_eq!(browser.count("[onload], [onerror], iframe").await.unwrap(), 0, "markup came to life");
    let loose = "const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); const loose = []; \
        while (walk.nextNode()) if (/[\\u202a-\\u202e\\u2066-\\u2069]/.test(walk.currentNode.data) \
        && !walk.currentNode.parentElement.closest('bdi')) loose.push(walk.currentNode.parentElement.outerHTML); \
        return loose";
    assert_eq!(browser.run(loose).await.unwrap(), json!([]), "a name turns around what is beside it");
}

/// Makes the area, or finds the one of last time: the home may be everybody's.
async fn area(socket: &mut Socket) -> Value {
    if let Ok(made) = socket.call("config/area_registry/create", json!({"name": AREA})).await {
        return made["area_id"].clone();
    }
    let areas = socket.call("config/area_registry/list", json!({})).await.unwrap();
    let found = areas.as_array().unwrap().iter().find(|area| area["name"] == AREA);
    found.map(|area| area["area_id"].clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_never_more_than_a_name() {
    let mut world = world().await;
    let home = world.home().await;
    let porch = world.device("light", "Porch", Mood::Willing).await;
    home.make(&porch, DEVICE, Mood::Willing).await.unwrap();
    let mut socket = home.socket().await.unwrap();
    let area = area(&mut socket).await;
    let placed = json!({"entity_id": porch, "area_id": area, "name": DEVICE});
    socket.call("config/entity_registry/update", placed).await.unwrap();
    let id = world.pair_home(How::Browser, HOME).await;

    let browser = world.owners_browser().await;
    let page = format!("{}/homes/{id}", world.origin());
    browser.open(&world.origin()).await.unwrap();
    assert_inert(&browser, &[HOME]).await;
    survey(&browser, "names-homes").await;
    browser.open(&format!("{page}/share?entity={porch}")).await.unwrap();
    assert_inert(&browser, &[HOME, DEVICE, AREA]).await;
    survey(&browser, "names-share").await;
    browser.fill("#label", LABEL).await.unwrap();
    browser.press("Make the link").await.unwrap();
    browser.until_text("The key is ready").await.unwrap();
    assert_inert(&browser, &[HOME, DEVICE, LABEL]).await;
    survey(&browser, "names-link-made").await;
    browser.open(&page).await.unwrap();
    assert_inert(&browser, &[HOME, DEVICE, AREA, LABEL]).await;
    survey(&browser, "names-home").await;
    browser.click("button[popovertarget^=revoke]").await.unwrap();
    survey(&browser, "names-revoke").await;
    assert_quiet(&browser).await;

    // The guest's page learns names a second way, from its socket.
    let link = world.share(&porch, May::Control).await;
    let guest = world.browser().await;
    guest.open(&link).await.unwrap();
    assert_inert(&guest, &[HOME, DEVICE, AREA]).await;
    until_line(&guest, "live").await;
    let renamed = json!({"entity_id": porch, "name": LATER});
    socket.call("config/entity_registry/update", renamed).await.unwrap();
    guest.until_text(LATER).await.unwrap();
    assert_inert(&guest, &[HOME, LATER, AREA]).await;
    survey(&guest, "names-guest").await;
    assert_quiet(&guest).await;
    socket.call("config/area_registry/delete", json!({"area_id": area})).await.unwrap();
    world.end().await;
}
