//! Borrowing: Home Assistant's own OAuth helper, as it comes from PyPI, signs in, refreshes, and asks its owner
//! again only when it must.

use kit::borrower::{Borrower, Standing};
use kit::world::World;
use reqwest::StatusCode;
use shared::oauth::path;
use url::Url;

/// Callers that find the access token lapsed, all at once.
const CALLERS: usize = 10;

/// Presses Allow as the world's owner; where the browser would go then.
async fn allow(world: &World, address: &str) -> Url {
    let visitor = &world.owner().visitor;
    let page = visitor.get(address).await.unwrap();
    assert!(page.text.contains("Home Assistant"), "AZ-22: {page:?}");
    let form = page.form(path::AUTHORIZE).unwrap().filled(&[("decision", "allow")]);
    let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let sent = visitor.post(path::AUTHORIZE, &fields).await.unwrap();
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "AZ-14: {sent:?}");
    let to = Url::parse(sent.header("location").unwrap()).unwrap();
    assert!(to.as_str().starts_with("https://my.home-assistant.io/redirect/oauth?"), "RU-08: {to}");
    to
}

fn stands(state: &str, asks_again: u64) -> Standing {
    Standing { state: state.into(), asks_again }
}

kit::stories! {
    /// The client sends no PKCE and its secret in the form (PK-11, RU-08), a state of 250 signs (AZ-11), and breaks
    /// without expires_in (TK-04).
    async fn home_assistants_own_helper_borrows_an_account(world: World) {
        let client = world.register(&["--kind", "home-assistant", "--name", "Home Assistant"]);
        let secret = client.secret.clone().unwrap();
        let mut borrower = Borrower::start(&world.origin(), world.address(), &client.id, &secret).await.unwrap();
        let address = borrower.sign_in().await.unwrap();
        assert!(!address.contains("code_challenge"), "PK-11: it sends a challenge by now: {address}");
        let back = allow(&world, &address).await;
        assert_eq!(borrower.come_back(&back).await.unwrap(), stands("loaded", 0), "AZ-11: {}", borrower.log());

        let api = format!("http://{}/api/smarthome/workspaces", world.address());
        let before = world.refresh_tokens().await;
        assert_eq!(borrower.call(&api, CALLERS).await.unwrap(), [200; CALLERS], "RT-01: {}", borrower.log());
        assert_eq!(world.refresh_tokens().await, before + 1, "ten callers, one refresh");

        // The broker cannot write: that is no reason to sign in again.
        let spoiled = world.spoil_database().await;
        assert_eq!(borrower.reload().await.unwrap(), stands("setup_retry", 0), "TK-30: {}", borrower.log());
        spoiled.mend().await;
        assert_eq!(borrower.reload().await.unwrap(), stands("loaded", 0), "TK-30: {}", borrower.log());

        // Disabled by the operator: now it asks its owner, and once it may, it comes back the same way.
        world.operator(&["client", "disable", &client.id]);
        assert_eq!(borrower.reload().await.unwrap(), stands("setup_error", 1), "TK-33: {}", borrower.log());
        world.operator(&["client", "enable", &client.id]);
        let back = allow(&world, &borrower.sign_in().await.unwrap()).await;
        assert_eq!(borrower.come_back(&back).await.unwrap(), stands("loaded", 0), "{}", borrower.log());
        assert_eq!(borrower.call(&api, 1).await.unwrap(), [200], "{}", borrower.log());
        world.end().await;
    }
}
