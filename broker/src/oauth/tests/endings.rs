//! Accounts, roles and clients that change: what was granted by them or to them ends with them.

use super::*;
use crate::audit::Doer;
use crate::oauth::clients::Clients;

const OTHERS: &str = "https://web.example/cb?a=b";

/// What is changed, as the rows are.
async fn raise_epoch(provider: &Provider, person: &Person) {
    provider.tell(format!("UPDATE account SET epoch = epoch + 1 WHERE id = {}", person.account)).await;
}

async fn set_role(provider: &Provider, person: &Person, role: &str) {
    provider.tell(format!("UPDATE member SET role = '{role}' WHERE account_id = {}", person.account)).await;
}

/// A code that a person gave a program of the web, and the form that redeems it.
async fn code_for_web(provider: &Provider, person: &Person) -> String {
    let request = provider.request(&[("client_id", Some("web")), ("redirect_uri", Some(OTHERS))]);
    let pairs: Vec<_> = url::form_urlencoded::parse(request.as_bytes()).into_owned().collect();
    let mut form: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    form.extend([("decision", "allow"), ("grant", "smarthome:read"), ("grant", "smarthome:tunnel")]);
    provider.submit(person, path::AUTHORIZE, &form).await.sent("code").unwrap()
}

async fn redeem_for_web(provider: &Provider, code: &str) -> Said {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", OTHERS),
        ("code_verifier", VERIFIER),
        ("client_id", "web"),
    ];
    provider.token(&form).await
}

#[tokio::test]
async fn what_an_account_takes_back_ends_whatever_it_had_become() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    provider.client("web", None).await;
    let paired = provider.paired(&ada).await;
    let (code, device) = (code_for_web(&provider, &ada).await, provider.device().await);
    provider.let_in(&ada, &device.field("user_code")).await;
    raise_epoch(&provider, &ada).await;
    assert!(!provider.is_alive(&paired.field("access_token")).await, "RT-13");
    let dead = (400, "invalid_grant".to_owned());
    assert_eq!(provider.refresh(&paired.field("refresh_token")).await.error(), dead, "RT-13");
    assert_eq!(redeem_for_web(&provider, &code).await.error(), dead, "RT-13: a code of before");
    assert_eq!(provider.poll(&device.field("device_code")).await.error(), dead, "RT-13: a device of before");
    // What is approved from now on is good.
    let again = redeem_for_web(&provider, &code_for_web(&provider, &ada).await).await;
    assert_eq!(again.status, StatusCode::OK, "{again:?}");
}

#[tokio::test]
async fn an_account_that_is_switched_off_takes_its_programs_with_it() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    let tokens = provider.paired(&ada).await;
    let device = provider.device().await;
    provider.let_in(&ada, &device.field("user_code")).await;
    provider.oauth.0.accounts.set_disabled(ada.account, true).await.unwrap();
    assert!(!provider.is_alive(&tokens.field("access_token")).await, "TK-33");
    let dead = (400, "invalid_grant".to_owned());
    assert_eq!(provider.refresh(&tokens.field("refresh_token")).await.error(), dead, "TK-33");
    assert_eq!(provider.poll(&device.field("device_code")).await.error(), dead, "TK-33");
}

#[tokio::test]
async fn a_role_that_is_too_little_is_no_reason_to_sign_in_again() {
    let provider = Provider::new().await;
    let ada = provider.person("owner").await;
    provider.client("web", None).await;
    let paired = provider.paired(&ada).await.field("access_token");
    let tokens = redeem_for_web(&provider, &code_for_web(&provider, &ada).await).await;
    set_role(&provider, &ada, "member").await;
    let bearer = provider.bearer(&tokens.field("access_token"), Scope::SmarthomeTunnel).await.unwrap();
    let homes = provider.oauth.0.homes.list(&bearer.caller, ada.workspace).await.unwrap();
    let refused = provider.oauth.0.homes.owned(homes[0].id, &bearer.caller).await;
    assert!(matches!(refused, Err(Fault::Forbidden("insufficient_role", _))), "403, never 401");
    assert!(!provider.is_alive(&paired).await, "RT-13: an agent's grant needs a manager of its home");
}

/// Runs what looks after open things while `done` is waited for.
async fn looked_after<T>(provider: &Provider, done: impl Future<Output = T>) -> T {
    let stop = CancellationToken::new();
    let (looking, done) = tokio::join!(provider.oauth.clone().look_after(stop.clone()), async {
        let done = tokio::time::timeout(Duration::from_secs(20), done).await.expect("nobody told");
        stop.cancel();
        done
    });
    let () = looking;
    done
}

#[tokio::test]
async fn what_is_open_hears_of_every_change() {
    let provider = Provider::new().await;
    let (ada, bob, eve, kim) = (
        provider.person("owner").await,
        provider.person("owner").await,
        provider.person("owner").await,
        provider.person("owner").await,
    );
    let mut grants = Vec::new();
    for person in [&ada, &bob, &eve, &kim] {
        let access = provider.paired(person).await.field("access_token");
        grants.push(provider.bearer(&access, Scope::Relay).await.unwrap().grant);
    }
    let ended = |grant| provider.oauth.until_ended(grant, provider.oauth.revoked());
    // Told by accounts, at once.
    let heard = async {
        let waiting = ended(grants[0]);
        provider.oauth.0.accounts.set_disabled(ada.account, true).await.unwrap();
        waiting.await;
    };
    let began = std::time::Instant::now();
    looked_after(&provider, async { tokio::join!(tokio::task::yield_now(), heard) }).await;
    assert!(began.elapsed() < Duration::from_secs(2), "RT-13, TK-33: within a second");
    // Found by looking: a role, a client, an end that another broker wrote down.
    set_role(&provider, &bob, "observer").await;
    looked_after(&provider, ended(grants[1])).await;
    provider.tell(format!("UPDATE oauth_grant SET revoked_at = 1 WHERE id = {}", grants[2])).await;
    looked_after(&provider, ended(grants[2])).await;
    let clients = Clients::new(provider.store.clone(), provider.clock.clone());
    clients.set_disabled(AGENT_CLIENT_ID, true, &Doer::default()).await.unwrap();
    looked_after(&provider, ended(grants[3])).await;
    assert!(provider.oauth.0.open.lock().unwrap().is_empty(), "what is closed is not looked after");
}
