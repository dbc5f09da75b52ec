//! An owner's first evening, by clicks alone: from the first account to a link that is made, used and revoked.

use agent::app::How;
use kit::agents;
use kit::browser::Browser;
use kit::home_assistant::Mood;
use kit::owner::Identity;
use kit::world::{Database, World};
use serde_json::{Value, json};

use crate::guest::{until_line, until_state};
use crate::look::{assert_quiet, complaints, survey};

/// Makes the first account and signs in with it, by hand.
async fn claim(browser: &Browser, world: &World) {
    let Identity { name, email, password } = Identity::ada();
    browser.open(world.first_run()).await.unwrap();
    survey(browser, "first-run").await;
    browser.fill("#name", &name).await.unwrap();
    browser.fill("#email", &email).await.unwrap();
    browser.fill("#password", &password).await.unwrap();
    browser.press("Create account").await.unwrap();
    browser.until_text("Let’s bring your first home online").await.unwrap();
    browser.sign_out().await.unwrap();

    survey(browser, "sign-in").await;
    browser.fill("#email", &email).await.unwrap();
    browser.fill("#password", "not the password").await.unwrap();
    browser.click("form[action='/sign-in'] button").await.unwrap();
    browser.until_text("Email and password do not fit together").await.unwrap();
    survey(browser, "sign-in-wrong").await;
    browser.fill("#password", &password).await.unwrap();
    browser.click("form[action='/sign-in'] button").await.unwrap();
    browser.until_text("Let’s bring your first home online").await.unwrap();
    survey(browser, "homes-empty").await;
}

/// What the copy button put on the clipboard.
async fn clipboard(browser: &Browser) -> String {
    let read =
        "const [done] = arguments; navigator.clipboard.readText().then(done, fault => done(String(fault)))";
    let Value::String(text) = browser.page().execute_async(read, vec![]).await.unwrap() else {
        panic!("the clipboard holds no text")
    };
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_first_account_to_a_link_revoked() {
    let mut world = World::unclaimed(Database::Sqlite).await;
    let porch = world.device("light", "Porch", Mood::Willing).await;
    let browser = world.browser().await;
    let rights = json!({"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]});
    browser.chrome("Browser.grantPermissions", rights).await.unwrap();
    claim(&browser, &world).await;

    browser.fill("#name", "Canal House").await.unwrap();
    browser.click("form[action='/homes'] button:not([type])").await.unwrap();
    browser.until_text("Connect this home").await.unwrap();
    survey(&browser, "home-new").await;
    let homes_own_page = browser.address().await.unwrap();

    agents::pair_when(&world.agent_settings(), How::Browser, |shown| {
        let browser = &browser;
        async move {
            browser.open(&shown).await?;
            browser.until_text("Canal House").await?;
            survey(browser, "consent").await;
            browser.press("Allow").await
        }
    })
    .await
    .unwrap();
    assert!(browser.text().await.unwrap().contains("Almost there"), "the agent's own page thanks them");
    survey(&browser, "paired").await;
    world.start_agent().await;

    browser.open(&homes_own_page).await.unwrap();
    browser.until_text("Porch").await.unwrap();
    let text = browser.text().await.unwrap();
    for words in ["Living Room", "Ground floor", "No area", "Nothing is shared"] {
        assert!(text.contains(words), "{words} is missing from:\n{text}");
    }
    survey(&browser, "home").await;
    browser.fill("[data-filter]", "porc").await.unwrap();
    browser.click(&format!("a[href$='share?entity={porch}']")).await.unwrap();
    browser.until_text("For whom?").await.unwrap();
    survey(&browser, "share").await;
    browser.fill("#label", "Anna, while we are away").await.unwrap();
    browser.click("input[name=permission][value=control]").await.unwrap();
    browser.click("input[name=expires][value=day]").await.unwrap();
    browser.press("Make the link").await.unwrap();
    browser.until_text("The key is ready").await.unwrap();
    survey(&browser, "link-made").await;
    browser.until_text("in 1 day").await.unwrap();
    browser.click("[data-copy=url]").await.unwrap();
    browser.until_text("Copied").await.unwrap();
    let link = clipboard(&browser).await;
    assert!(link.starts_with(&format!("{}/portal/entity/", world.origin())), "{link:?}");

    let guest = world.browser().await;
    guest.open(&link).await.unwrap();
    until_line(&guest, "live").await;
    guest.click("#flip").await.unwrap();
    until_state(&guest, "On").await;
    world.home().await.until_state(&porch, "on").await.unwrap();

    browser.press("Done").await.unwrap();
    browser.until_text("Anna, while we are away").await.unwrap();
    survey(&browser, "home-with-link").await;
    browser.click("button[popovertarget^=revoke]").await.unwrap();
    browser.until_text("Revoke this link?").await.unwrap();
    survey(&browser, "revoke").await;
    browser.click("form[action$='/revoke'] button.danger").await.unwrap();
    browser.until_text("Revoked").await.unwrap();
    guest.until_text("This link is no longer valid").await.unwrap();
    survey(&browser, "home-link-revoked").await;
    browser.press("Your homes").await.unwrap();
    browser.until_text("Add a home").await.unwrap();
    survey(&browser, "homes").await;
    browser.press("Add a home").await.unwrap();
    browser.find("#add-home #name").await.unwrap();
    survey(&browser, "homes-add").await;

    world.stop_agent().await.unwrap();
    browser.open(&homes_own_page).await.unwrap();
    browser.until_text("Your home is away right now").await.unwrap();
    survey(&browser, "home-away").await;
    browser.open(&format!("{}/device", world.origin())).await.unwrap();
    survey(&browser, "device").await;

    browser.open(&homes_own_page).await.unwrap();
    browser.click("button[popovertarget=delete]").await.unwrap();
    browser.until_text("Delete this home?").await.unwrap();
    survey(&browser, "home-delete").await;
    browser.fill("input[name=typed]", "Canal House").await.unwrap();
    browser.click("form[action$='/delete'] button.danger").await.unwrap();
    browser.until_text("Let’s bring your first home online").await.unwrap();
    let meant = ["status of 401", "status of 403", "status of 422"];
    assert_eq!(complaints(&browser, &meant).await, Vec::<String>::new());
    assert_quiet(&guest).await;
    world.end().await;
}
