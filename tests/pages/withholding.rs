//! A home that stops all sharing while its owner and a guest look: both pages say so by themselves, and again when
//! it goes on.

use kit::home_assistant::Mood;
use kit::owner::May;
use kit::programs;

use crate::look::{assert_quiet, survey};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_that_shares_nothing_says_so_on_pages_that_are_open() {
    let mut world = crate::world().await;
    let porch = world.device("light", "Porch", Mood::Willing).await;
    let home = world.pair_agent().await;
    let link = world.share(&porch, May::Control).await;
    let (browser, guest) = (world.owners_browser().await, world.browser().await);
    browser.open(&format!("{}/homes/{home}", world.origin())).await.unwrap();
    browser.until_text("stay at home").await.unwrap();
    survey(&browser, "home-withheld").await;
    guest.open(&link).await.unwrap();
    guest.until_text("Off").await.unwrap();

    programs::sharing(&world.agent_settings(), "stop").unwrap();
    browser.until_text("This home has stopped all sharing").await.unwrap();
    survey(&browser, "home-stopped").await;
    guest.until_text("Unavailable").await.unwrap();
    guest.find("#flip:disabled").await.unwrap();
    survey(&guest, "guest-stopped").await;

    programs::sharing(&world.agent_settings(), "resume").unwrap();
    guest.find("#flip:not(:disabled)").await.unwrap();
    browser.find("#devices[data-shares='yes']").await.unwrap();
    assert_quiet(&browser).await;
    assert_quiet(&guest).await;
    world.end().await;
}
