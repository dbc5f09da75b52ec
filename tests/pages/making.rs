//! Making: an owner sees a home's tunnel being made, why it is not, and that it is done, without loading anything.

use kit::cloudflare::{Asked, Cloudflare, When};
use kit::world::{Database, World};
use reqwest::Method;

use crate::look::{complaints, survey};

/// Holds up a call, and those that come when the broker has lost patience with it.
fn hold(cloudflare: &Cloudflare, is_it: fn(&Asked) -> bool) {
    for _ in 0..50 {
        cloudflare.hold(When::Before, is_it);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_is_seen_being_made_and_deleted() {
    let mut world = World::new(Database::Sqlite).await;
    let cloudflare = world.move_to_cloudflare().await;
    let browser = world.owners_browser().await;

    hold(&cloudflare, |asked| asked.path.ends_with("dns_records") && asked.changes());
    browser.fill("#name", "Lake House").await.unwrap();
    browser.press("Add a home").await.unwrap();
    browser.until_text("The home’s address is being made").await.unwrap();
    cloudflare.until_held(1).await;
    survey(&browser, "making-busy").await;
    cloudflare.release();
    // Nothing is pressed: the page follows by itself.
    browser
        .until("the notice to go", || async { !browser.text().await.unwrap().contains("is being made") })
        .await;
    browser.until_text("lake-house.homes.example").await.unwrap();
    survey(&browser, "made").await;

    cloudflare.state().add_record("A", "attic.homes.example", "192.0.2.1", "mine");
    let attic = world.owner().add_home("Attic").await.unwrap();
    browser.open(&format!("{}/homes/{attic}", world.origin())).await.unwrap();
    browser.until_text("A DNS record of that name is there already").await.unwrap();
    survey(&browser, "making-stuck").await;
    cloudflare.state().records.retain(|record| record.kind != "A");
    browser.press("Try again now").await.unwrap();
    browser
        .until("the complaint to go", || async { !browser.text().await.unwrap().contains("DNS record") })
        .await;

    cloudflare
        .hold(When::Before, |asked| asked.path.contains("dns_records") && asked.method == Method::DELETE);
    browser.click("button[popovertarget=delete].danger").await.unwrap();
    browser.fill("#delete input[name=typed]", "Attic").await.unwrap();
    browser.click("#delete button.danger").await.unwrap();
    cloudflare.until_held(1).await;
    browser.open(&format!("{}/homes/{attic}", world.origin())).await.unwrap();
    browser.until_text("The home is being deleted").await.unwrap();
    survey(&browser, "making-deleting").await;
    cloudflare.release();
    // Back to the list, by itself, when the provider has confirmed.
    browser.until("the list of homes", || async { browser.address().await.unwrap().ends_with('/') }).await;
    assert!(!browser.text().await.unwrap().contains("Attic"));
    // That it is not there any more is how the page learns that it is gone.
    assert_eq!(complaints(&browser, &["/making - Failed to load resource"]).await, Vec::<String>::new());
    world.end().await;
}
