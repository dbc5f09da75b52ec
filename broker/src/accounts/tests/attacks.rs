//! What somebody would try who has a part of what an account takes: its password, its address, a device.

use super::*;

fn secret(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

impl Browser {
    async fn ada(&self) -> SignedIn {
        self.accounts.require(&self.asked(Method::GET, "/", &[])).await.unwrap()
    }

    /// Sets a new password by a link as a letter has it.
    async fn reset(&self, password: &str) {
        let link = self.accounts.reset_link("ada@example.org").await.unwrap();
        let token = link.split_once("token=").unwrap().1;
        self.accounts.reset(token, secret(password), true).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_password_that_is_changed_while_it_is_compared_opens_nothing() {
    let mut browser = Browser::new().await;
    browser.first_run().await;
    let ada = browser.ada().await;
    let accounts = browser.accounts.clone();
    let compared =
        async |password| accounts.check_password("ada@example.org", secret(password)).await.unwrap().unwrap();
    let stale = compared("mauve teapot orbits").await;
    let asked = browser.asked(Method::POST, "/sign-in", &[]);
    browser.reset("ochre kettle drifts").await;
    let answer = accounts.welcome(&asked, &stale, true, crate::http::see_other("/")).await.unwrap();
    assert!(answer.is_none(), "WB-08: no session");
    assert!(accounts.begin_half(&stale, "/", true).await.unwrap().is_none(), "WB-08: no first step");
    let changed = accounts.change_password(&asked, &ada, &stale, secret("thief was here too"), true).await;
    assert!(!changed.unwrap(), "WB-08: nor does the old password set another one");
    let good = compared("ochre kettle drifts").await;
    accounts.set_disabled(ada.account, true).await.unwrap();
    let answer = accounts.welcome(&asked, &good, true, crate::http::see_other("/")).await.unwrap();
    assert!(answer.is_none(), "a disabled account has no session");
}

#[tokio::test]
async fn letters_for_an_account_use_up_none_for_a_new_password() {
    let mut browser = Browser::new().await;
    Arc::get_mut(&mut browser.accounts.0).unwrap().open_registration = true;
    browser.first_run().await;
    browser.cookies.clear();
    for target in ["/register", "/register", "/register", "/register", "/forgotten"] {
        browser.get(target).await.unwrap();
        browser.post(target, &[("email", "ada@example.org")]).await.unwrap();
    }
    browser.accounts.fulfil().await.unwrap();
    assert_eq!(browser.accounts.0.mail.waiting().await, 4, "three of one kind, and one to help");
    for minutes in [1, 1, 1, 1, 31] {
        browser.accounts.0.clock.turn(Duration::from_secs(60 * minutes));
        browser.post("/forgotten", &[("email", "ada@example.org")]).await.unwrap();
        browser.accounts.fulfil().await.unwrap();
    }
    assert_eq!(
        browser.accounts.0.mail.waiting().await,
        7,
        "three whose links work, and when they lapsed another"
    );
}

#[tokio::test]
async fn invitations_are_no_way_to_send_letters_to_anybody() {
    let mut browser = Browser::new().await;
    browser.first_run().await;
    let ada = browser.ada().await;
    let w = crate::http::words::english();
    let (mut sent, mut refused) = (0, 0);
    for n in 0..30 {
        let email = if n < 5 { "bob@example.org".to_owned() } else { format!("p{n}@example.org") };
        match browser.accounts.invite(&ada, &email, Role::Member, w).await {
            Ok(done) => (assert!(done.is_ok()), sent += 1).1,
            Err(Fault::TooMany(_)) => refused += 1,
            Err(fault) => panic!("{fault}"),
        }
    }
    assert_eq!((sent, refused), (20, 10), "three to one address, twenty from one person");
    assert_eq!(browser.accounts.0.mail.waiting().await, 20);
}

#[tokio::test]
async fn a_secret_that_was_shown_and_not_confirmed_is_not_shown_again_later() {
    let mut browser = Browser::new().await;
    browser.first_run().await;
    let ada = browser.ada().await;
    let accounts = browser.accounts.clone();
    let shown = async || accounts.setup(&ada).await.unwrap().text;
    let first = shown().await;
    assert_eq!(shown().await, first, "a mistyped code does not change it");
    accounts.0.clock.turn(Duration::from_secs(601));
    let second = shown().await;
    assert_ne!(second, first);
    browser.reset("ochre kettle drifts").await;
    let third = shown().await;
    assert_ne!(third, second, "what ends the sessions ends what they began");
    accounts.0.clock.turn(Duration::from_secs(601));
    accounts.forget_steps().await.unwrap();
    let late = second::code_at(&third, u64::try_from(accounts.0.clock.now().millis() / 1000).unwrap());
    let w = crate::http::words::english();
    assert!(accounts.confirm_totp(&ada, &late, w).await.unwrap().is_none(), "forgotten");
}

#[tokio::test]
async fn a_link_is_no_way_to_have_passwords_hashed_all_day() {
    let mut browser = Browser::new().await;
    Arc::get_mut(&mut browser.accounts.0).unwrap().open_registration = true;
    browser.first_run().await;
    let ada = browser.ada().await;
    let accounts = browser.accounts.clone();
    let token = accounts.token_for_tests("bob@example.org").await;
    let hashed = secret("ochre kettle drifts");
    let password = accounts.0.hashing.hash(hashed.clone()).await.unwrap();
    let mut tx = accounts.0.store.begin().await.unwrap();
    let bob = NewAccount { name: "Bob".into(), email: "bob@example.org".into(), password };
    accounts.add(&mut tx, &bob).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    assert!(accounts.register(&token, "Bob".into(), hashed).await.unwrap().is_none(), "the address has one");
    let left = accounts.confirmed(wishes::Purpose::Register, &token).await.unwrap();
    assert!(left.is_none(), "the link is used up");
    let ip = browser.peer;
    for _ in 0..10 {
        accounts.try_new_password(ip).await.unwrap();
    }
    let link = accounts.reset_link(&ada.email).await.unwrap();
    browser.cookies.clear();
    browser.get("/sign-in").await.unwrap();
    let form = [("token", link.split_once("token=").unwrap().1), ("password", "ochre kettle drifts")];
    assert!(matches!(browser.post("/reset", &form).await, Err(Fault::TooMany(_))));
}

#[tokio::test]
async fn whoever_knows_the_password_does_not_keep_its_person_from_the_second_step() {
    let mut browser = Browser::new().await;
    browser.first_run().await;
    let ada = browser.ada().await;
    let accounts = browser.accounts.clone();
    let home = browser.peer;
    let (mut waits, mut tries) = (0, 0);
    for place in 0..200 {
        browser.peer = [198, 51, 100, place % 100].into();
        let thief = browser.asked(Method::POST, "/sign-in/second", &[]);
        tries += 1;
        match accounts.try_code(&thief, ada.account).await {
            Ok(_) => {}
            Err(Fault::TooMany(wait)) => {
                waits += 1;
                accounts.0.clock.turn(wait);
            }
            Err(fault) => panic!("{fault}"),
        }
    }
    assert!(waits > 80, "WB-09: {waits} waits for {tries} tries");
    browser.peer = home;
    let from_home = browser.asked(Method::POST, "/sign-in/second", &[]);
    accounts
        .try_code(&from_home, ada.account)
        .await
        .expect("where she was signed in before nobody waits (WB-04)");
    browser.peer = [203, 0, 113, 7].into();
    let from_elsewhere = browser.asked(Method::POST, "/sign-in/second", &[]);
    if let Err(fault) = accounts.try_code(&from_elsewhere, ada.account).await {
        assert!(
            matches!(fault, Fault::TooMany(wait) if wait <= Duration::from_secs(60)),
            "WB-04: a softlock"
        );
    }
}

#[tokio::test]
async fn an_account_that_is_let_in_again_starts_anew() {
    let mut browser = Browser::new().await;
    browser.first_run().await;
    let ada = browser.ada().await;
    let accounts = browser.accounts.clone();
    accounts.set_disabled(ada.account, true).await.unwrap();
    browser.reset("ochre kettle drifts").await;
    assert_eq!(accounts.epoch(ada.account).await.unwrap(), None, "a new password leaves it disabled");
    accounts.set_disabled(ada.account, false).await.unwrap();
    assert_eq!(
        accounts.epoch(ada.account).await.unwrap(),
        Some(ada.epoch + 1),
        "what it approved stays void"
    );
    browser.cookies.clear();
    browser.sign_in("ochre kettle drifts").await.unwrap();
    assert!(browser.is_signed_in().await);
    accounts.remove_second_factors(ada.account).await.unwrap();
    assert!(!browser.is_signed_in().await, "without its second factors no session goes on");
    browser.cookies.clear();
    let answer = browser.sign_in("ochre kettle drifts").await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "and the password alone opens nothing");
}

#[tokio::test]
async fn a_first_passkey_brings_recovery_codes_and_the_second_step_takes_them() {
    let mut browser = Browser::new().await;
    browser.first_run().await;
    let ada = browser.ada().await;
    let accounts = browser.accounts.clone();
    let codes = accounts.passkey_for_tests(&ada, 0).await.unwrap();
    assert_eq!(codes.len(), 10);
    for id in 1..20 {
        assert!(accounts.passkey_for_tests(&ada, id).await.unwrap().is_empty(), "they are shown once");
    }
    assert!(matches!(accounts.passkey_for_tests(&ada, 20).await, Err(Fault::Bad(_))), "twenty are enough");
    browser.cookies.clear();
    let answer = browser.sign_in("mauve teapot orbits").await.unwrap();
    assert_eq!(answer.headers()[header::LOCATION], "/sign-in/second");
    browser.get("/sign-in/second").await.unwrap();
    browser.post("/sign-in/second", &[("code", &codes[3])]).await.unwrap();
    assert!(browser.is_signed_in().await, "WB-09: without the passkey");
}

#[tokio::test]
async fn an_account_has_two_hundred_sessions_at_most_and_the_oldest_go() {
    let mut browser = Browser::new().await;
    browser.first_run().await;
    let (ada, first) = (browser.ada().await, browser.cookies.clone());
    let known = browser.accounts.standing(ada.account).await.unwrap().unwrap();
    browser.cookies.clear();
    let asked = browser.asked(Method::POST, "/sign-in", &[]);
    for _ in 0..200 {
        browser.accounts.0.clock.turn(Duration::from_millis(5));
        browser.accounts.welcome(&asked, &known, true, crate::http::see_other("/")).await.unwrap().unwrap();
    }
    assert_eq!(browser.accounts.sessions(&ada).await.unwrap().len(), 200);
    browser.cookies = first;
    assert!(!browser.is_signed_in().await, "the one used least lately is over");
}

#[tokio::test]
async fn an_invitation_is_for_one_address_and_lives_with_whoever_wrote_it() {
    use super::invitations::Joined;
    let mut browser = Browser::new().await;
    browser.first_run().await;
    let ada = browser.ada().await;
    let accounts = browser.accounts.clone();
    let eve = SignedIn { email: "eve@example.org".into(), ..ada.clone() };
    let bob = SignedIn { email: "bob@example.org".into(), ..ada.clone() };
    let token = accounts.invitation_for_tests(&ada, "bob@example.org").await;
    assert!(
        matches!(accounts.join(&token, &eve).await, Ok(Joined::Other)),
        "the letter was for somebody else"
    );
    accounts.set_disabled(ada.account, true).await.unwrap();
    assert!(accounts.invitation(&token).await.unwrap().is_none());
    assert!(matches!(accounts.join(&token, &bob).await, Ok(Joined::Gone)), "who wrote it is shut out");
    accounts.set_disabled(ada.account, false).await.unwrap();
    assert!(matches!(accounts.join(&token, &bob).await, Ok(Joined::Yes(_))));
    assert!(matches!(accounts.join(&token, &bob).await, Ok(Joined::Gone)), "once");
}
