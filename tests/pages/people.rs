//! The account's own pages: passkeys with Chromium's virtual authenticator, codes, members, workspaces.

use std::time::Duration;

use kit::browser::Browser;
use kit::owner::Identity;
use serde_json::json;

use crate::look::{assert_quiet, survey};

/// A phone with a fingerprint reader, whose owner always puts the finger on it.
async fn add_authenticator(browser: &Browser) -> String {
    browser.chrome("WebAuthn.enable", json!({})).await.unwrap();
    let options = json!({"options": {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
        "isUserVerified": true, "automaticPresenceSimulation": true,
    }});
    let added = browser.chrome("WebAuthn.addVirtualAuthenticator", options).await.unwrap();
    added["authenticatorId"].as_str().unwrap().to_owned()
}

async fn until_at(browser: &Browser, path: &str) {
    browser
        .until(&format!("the address to be {path}"), || async {
            browser.address().await.is_ok_and(|at| at.contains(path))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passkey_is_made_and_opens_the_door_alone_and_as_the_second_step() {
    let world = crate::world().await;
    let browser = world.owners_browser().await;
    add_authenticator(&browser).await;
    let page = |path: &str| format!("{}{path}", world.origin());
    browser.open(&page("/account/passkeys/new")).await.unwrap();
    browser.find("[data-passkey]:not([hidden])").await.unwrap();
    survey(&browser, "account-passkey").await;
    browser.fill("#name", "My phone").await.unwrap();
    browser.press("Make a passkey").await.unwrap();
    browser.until_text("Your recovery codes").await.unwrap();
    survey(&browser, "account-passkey-codes").await;
    browser.press("I have kept them").await.unwrap();
    until_at(&browser, "done=second").await;
    browser.until_text("My phone").await.unwrap();
    browser.until_text("For the day your phone is lost").await.unwrap();
    survey(&browser, "account-passkeys").await;
    browser.click("form[action='/account/second-factor/codes'] button").await.unwrap();
    until_at(&browser, "/codes").await;
    survey(&browser, "account-codes").await;
    assert_quiet(&browser).await;

    // Alone, without a word typed, and on to where one wanted to go.
    browser.sign_out().await.unwrap();
    browser.open(&page("/sign-in?next=%2Fworkspaces")).await.unwrap();
    browser.press("Sign in with a passkey").await.unwrap();
    until_at(&browser, "/workspaces").await;
    survey(&browser, "workspaces").await;

    // As the second step after the password (WB-09).
    let Identity { email, password, .. } = &world.owner().identity;
    browser.sign_out().await.unwrap();
    browser.open(&page("/sign-in?next=%2Fmembers")).await.unwrap();
    browser.fill("#email", email).await.unwrap();
    browser.fill("#password", password).await.unwrap();
    browser.click("#sign-in button").await.unwrap();
    until_at(&browser, "/sign-in/second").await;
    browser.find("[data-passkey]:not([hidden])").await.unwrap();
    survey(&browser, "second-passkey").await;
    browser.press("Use a passkey").await.unwrap();
    until_at(&browser, "/members").await;
    survey(&browser, "members").await;

    // Taken away, it opens nothing.
    browser.open(&page("/account")).await.unwrap();
    browser.click("form[action='/account/passkeys/remove'] button").await.unwrap();
    browser
        .until("the passkey to be gone", || async {
            browser.count("form[action='/account/passkeys/remove']").await.is_ok_and(|n| n == 0)
        })
        .await;
    browser.sign_out().await.unwrap();
    browser.open(&page("/sign-in")).await.unwrap();
    browser.press("Sign in with a passkey").await.unwrap();
    browser.until_text("The passkey did not work").await.unwrap();
    survey(&browser, "sign-in-passkey-refused").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_accounts_pages_look_well() {
    let world = crate::world().await;
    let browser = world.owners_browser().await;
    let show = async |path: &str, name: &str| {
        browser.open(&format!("{}{path}", world.origin())).await.unwrap();
        survey(&browser, name).await;
    };
    show("/account", "account").await;
    show("/account/password", "account-password").await;
    show("/account/second-factor", "account-totp").await;
    show("/members", "members-alone").await;
    world.clock().turn(Duration::from_secs(11 * 60));
    show("/account/passkeys/new", "account-prove").await;
    browser.open(&format!("{}/members", world.origin())).await.unwrap();
    browser.fill("#email", "bob@example.org").await.unwrap();
    browser.press("Send the invitation").await.unwrap();
    browser.until_text("The invitation is on its way").await.unwrap();
    survey(&browser, "members-invited").await;
    let link = world.link_for("bob@example.org", "/invitation?").await;
    browser.open(&link).await.unwrap();
    survey(&browser, "invitation").await;
    browser.open(&format!("{}/account", world.origin())).await.unwrap();
    browser.sign_out().await.unwrap();
    browser.open(&link).await.unwrap();
    survey(&browser, "invitation-new").await;
    show("/forgotten", "forgotten").await;
    browser.fill("#email", "ada@example.org").await.unwrap();
    browser.press("Send me a link").await.unwrap();
    browser.until_text("Look into your mail").await.unwrap();
    survey(&browser, "forgotten-sent").await;
    let link = world.link_for("ada@example.org", "/reset?").await;
    browser.open(&link).await.unwrap();
    survey(&browser, "reset").await;
    assert_quiet(&browser).await;
    world.end().await;
}
