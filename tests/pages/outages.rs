//! A home that is cut off while its owner looks: the lights turn by themselves, the outage is noted, and what the
//! page cannot know it does not pretend to.

use std::time::{Duration, Instant};

use kit::browser::{Browser, Settings};
use kit::owner::Identity;
use kit::until::within;
use kit::world::World;

use crate::look::{assert_quiet, complaints, survey};
use crate::world;

/// From the failure to the right light on the open page: T5.
const PROMISE: Duration = Duration::from_secs(30);

/// A browser in Chinese in which the owner is signed in.
async fn reader(world: &World) -> Browser {
    let settings = Settings { language: "zh-TW", ..Settings::default() };
    let browser = Browser::start_with(settings).await.unwrap();
    let Identity { email, password, .. } = Identity::ada();
    browser.open(&format!("{}/sign-in", world.origin())).await.unwrap();
    browser.fill("#email", &email).await.unwrap();
    browser.fill("#password", &password).await.unwrap();
    browser.click("form[action='/sign-in'] button").await.unwrap();
    browser.find("form[action='/sign-out']").await.unwrap();
    browser
}

/// Waits until a hop's card, or a home's, says these words.
async fn until_says(browser: &Browser, key: &str, words: &str) {
    let script = format!("return document.querySelector('[data-hop$=\".{key}\"]')?.innerText ?? 'nothing'");
    let what = format!("{key} to say {words:?}");
    let says = within(PROMISE, &what, || async {
        let said = browser.run(&script).await.map_err(|err| err.to_string())?;
        if said.as_str().is_some_and(|said| said.contains(words)) { Ok(()) } else { Err(said.to_string()) }
    });
    says.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lights_turn_while_one_looks() {
    let mut world = world().await;
    let home = world.pair_agent().await;
    let agent = world.agent_outside().await;
    let (browser, list) = (world.owners_browser().await, world.owners_browser().await);
    let page = format!("{}/homes/{home}", world.origin());
    browser.open(&page).await.unwrap();
    list.open(&world.origin()).await.unwrap();
    for (key, words) in [
        ("provider", "Answers"),
        ("tunnel", "Connected"),
        ("agent", "Connected"),
        ("home_assistant", "Running"),
    ] {
        until_says(&browser, key, words).await;
    }
    browser.until_text("None so far").await.unwrap();
    for one in [&browser, &list] {
        one.run("window.untouched = true").await.unwrap();
    }
    survey(&browser, "home-well").await;

    let began = Instant::now();
    agent.freeze();
    until_says(&browser, "agent", "Nothing is heard from the agent").await;
    println!("agent frozen: the open page told it after {:.1} s", began.elapsed().as_secs_f64());
    until_says(&browser, "tunnel", "Not connected").await;
    until_says(&browser, "home_assistant", "Not known").await;
    until_says(&list, "home", "Nothing is heard from the agent").await;
    browser.until_text("still so").await.unwrap();
    survey(&browser, "home-frozen").await;
    survey(&list, "homes-frozen").await;
    let chinese = reader(&world).await;
    chinese.open(&page).await.unwrap();
    chinese.until_text("收不到代理程式的消息").await.unwrap();
    survey(&chinese, "zh-home-frozen").await;

    agent.thaw();
    until_says(&browser, "agent", "Connected").await;
    until_says(&browser, "home_assistant", "Running").await;
    until_says(&list, "home", "Connected").await;
    let over = within(PROMISE, "the outage to be over", || async {
        let past = browser.text_of("[data-past]").await?;
        anyhow::ensure!(past.contains("seconds") && !past.contains("still so"), "{past}");
        Ok(())
    });
    over.await.unwrap();
    for one in [&browser, &list] {
        assert_eq!(one.run("return window.untouched").await.unwrap(), true, "nothing was loaded anew");
        assert_quiet(one).await;
    }

    world.plant_outages(home, 120).await;
    browser.open(&page).await.unwrap();
    assert_eq!(browser.count("[data-past] > li").await.unwrap(), 5, "a short list");
    survey(&browser, "home-after").await;
    browser.press("Earlier").await.unwrap();
    browser.until_text("for the last 90 days").await.unwrap();
    survey(&browser, "outages").await;
    let mut seen = 0;
    for expected in [50, 50, 22] {
        let lines = browser.count(".past > li").await.unwrap();
        assert_eq!(lines, expected);
        seen += lines;
        if expected == 50 {
            browser.press("Earlier").await.unwrap();
            browser.until_text("Back to the newest").await.unwrap();
            let fresh = || async { browser.count(".past > li").await.unwrap_or(0) > 0 };
            browser.until("the next page", fresh).await;
        }
    }
    assert_eq!(seen, 122);
    survey(&browser, "outages-last").await;
    chinese.open(&format!("{page}/history")).await.unwrap();
    survey(&chinese, "zh-outages").await;
    assert_quiet(&browser).await;
    assert_quiet(&chinese).await;

    browser.open(&page).await.unwrap();
    world.stop_broker().await;
    browser.until_text("No news from the broker").await.unwrap();
    survey(&browser, "home-stale").await;
    world.start_broker().await;
    until_says(&browser, "agent", "Connected").await;
    let told = within(PROMISE, "the note to go", || async {
        browser
            .run("return document.querySelector('[data-stale]').hidden")
            .await
            .is_ok_and(|gone| gone == true)
    });
    told.await.unwrap();
    let meant = ["ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET", "status of 503"];
    assert_eq!(complaints(&browser, &meant).await, Vec::<String>::new());
    drop(agent);
    world.end().await;
}
