//! Signing in, driven through the handlers on a database of its own.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use std::sync::atomic::Ordering;

use http::{HeaderMap, Method, StatusCode, header};

use super::*;
use crate::http::{Answer, Peer, csrf};
use crate::store::Where;

mod attacks;

struct Browser {
    accounts: Accounts,
    cookies: Vec<(String, String)>,
    peer: std::net::IpAddr,
    _folder: tempfile::TempDir,
}

impl Browser {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Where::Sqlite(folder.path().join("test.db"));
        let store = Store::open(&place, tokio_util::sync::CancellationToken::new()).await.unwrap();
        let site = Arc::new(Site { public_url: "http://localhost:8420".parse().unwrap() });
        Self {
            accounts: Accounts::for_tests(store, Clock::new(), site),
            cookies: vec![],
            peer: Ipv4Addr::LOCALHOST.into(),
            _folder: folder,
        }
    }

    fn asked(&self, method: Method, target: &str, form: &[(&str, &str)]) -> Asked {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/x-www-form-urlencoded".parse().unwrap());
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        headers.insert(header::COOKIE, cookies.join("; ").parse().unwrap());
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        Asked {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            peer: Peer { ip: self.peer, tls: false },
            body: Bytes::from(body),
            upgrade: None,
            site: self.accounts.0.site.clone(),
        }
    }

    async fn send(&mut self, asked: Asked) -> Result<Answer, Fault> {
        let answer = web::answer(&self.accounts, &asked).await?;
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let (pair, rest) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert!(rest.contains("HttpOnly") && rest.contains("SameSite=Lax"), "{rest}");
            self.cookies.retain(|(known, _)| known != name);
            if !rest.contains("Max-Age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(answer)
    }

    async fn get(&mut self, target: &str) -> Result<Answer, Fault> {
        let asked = self.asked(Method::GET, target, &[]);
        self.send(asked).await
    }

    async fn post(&mut self, target: &str, form: &[(&str, &str)]) -> Result<Answer, Fault> {
        // A page of somebody who is signed in hangs its forms on the session.
        let named = |name: &str| self.cookies.iter().find(|(known, _)| known == name);
        let cookie = named("session").or(named("visit")).map(|(_, value)| Secret::from(value.clone()));
        let csrf = cookie.map(|cookie| csrf::token(&cookie)).unwrap_or_default();
        let asked = self.asked(Method::POST, target, &[form, &[("csrf", csrf.as_str())]].concat());
        self.send(asked).await
    }

    async fn first_run(&mut self) {
        let address = self.accounts.first_run_address().await.unwrap().unwrap();
        let code = address.split_once("code=").unwrap().1.to_owned();
        self.get(&format!("/first-run?code={code}")).await.unwrap();
        let form = [
            ("code", code.as_str()),
            ("name", "Ada"),
            ("email", "Ada@Example.org "),
            ("password", "mauve teapot orbits"),
        ];
        assert_eq!(self.post("/first-run", &form).await.unwrap().status(), StatusCode::SEE_OTHER);
    }

    async fn is_signed_in(&self) -> bool {
        self.accounts.signed_in(&self.asked(Method::GET, "/", &[])).await.unwrap().is_some()
    }

    async fn sign_in(&mut self, password: &str) -> Result<Answer, Fault> {
        self.get("/sign-in").await.unwrap();
        self.post("/sign-in", &[("email", "ada@example.org"), ("password", password), ("next", "/homes/7")])
            .await
    }
}

#[tokio::test]
async fn the_first_account_is_made_once_and_signed_in() {
    let mut browser = Browser::new().await;
    browser.first_run().await;
    let who = browser.accounts.require(&browser.asked(Method::GET, "/", &[])).await.unwrap();
    assert_eq!((who.email.as_str(), who.role), ("ada@example.org", Role::Owner));
    assert_eq!(browser.accounts.memberships(who.account).await.unwrap(), who.caller().memberships);
    assert!(browser.accounts.first_run_address().await.unwrap().is_none());
    assert!(matches!(browser.get("/first-run?code=x").await, Err(Fault::NotFound)));
}

#[tokio::test]
async fn signing_out_kills_the_cookie_and_signing_in_makes_another() {
    let mut browser = Browser::new().await;
    browser.first_run().await;
    let before = browser.cookies.clone();
    browser.post("/sign-out", &[]).await.unwrap();
    browser.cookies = before.clone();
    assert!(!browser.is_signed_in().await, "WB-10: a replayed cookie opens nothing");
    browser.cookies.clear();
    let refused = browser.sign_in("wrong password").await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let answer = browser.sign_in("mauve teapot orbits").await.unwrap();
    assert_eq!(answer.headers()[header::LOCATION], "/homes/7");
    assert!(browser.is_signed_in().await && browser.cookies != before, "WB-01");
}

#[tokio::test]
async fn a_form_from_elsewhere_is_refused() {
    let mut browser = Browser::new().await;
    browser.first_run().await;
    for (name, value) in [
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil"),
        ("origin", "null"),
    ] {
        let csrf = csrf::token(&Secret::from(browser.cookies[0].1.clone()));
        let mut asked = browser.asked(Method::POST, "/sign-out", &[("csrf", &csrf)]);
        asked.headers.insert(name, value.parse().unwrap());
        assert!(matches!(browser.send(asked).await, Err(Fault::Forged)), "{name}: {value}");
    }
    let asked = browser.asked(Method::POST, "/sign-out", &[("csrf", "guess")]);
    assert!(matches!(browser.send(asked).await, Err(Fault::Forged)));
    assert!(browser.is_signed_in().await);
}

#[tokio::test]
async fn an_unused_session_lapses() {
    let mut browser = Browser::new().await;
    browser.first_run().await;
    let idle = session::Life::of(true).idle;
    browser.accounts.0.clock.turn(idle - Duration::from_secs(60));
    assert!(browser.is_signed_in().await, "used before it lapsed, it goes on");
    browser.accounts.0.clock.turn(idle - Duration::from_secs(60));
    assert!(browser.is_signed_in().await);
    browser.accounts.0.clock.turn(idle + Duration::from_secs(60));
    assert!(!browser.is_signed_in().await, "WB-11");
    assert_eq!(browser.accounts.forget_lapsed().await.unwrap(), 1);
    browser.cookies.clear();
    browser.sign_in("mauve teapot orbits").await.unwrap();
    browser.accounts.0.clock.turn(Duration::from_secs(29 * 60));
    assert!(browser.is_signed_in().await);
    browser.accounts.0.clock.turn(Duration::from_secs(31 * 60));
    assert!(!browser.is_signed_in().await, "WB-11: half an hour where staying was not asked for");
}

#[tokio::test]
async fn guessing_a_password_is_slowed_down_and_whoever_knows_it_gets_in_from_elsewhere() {
    let mut browser = Browser::new().await;
    browser.first_run().await;
    for _ in 0..12 {
        browser.cookies.clear();
        let answer = browser.sign_in("mauve teapot orbits").await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "being right is never too often");
    }
    browser.cookies.clear();
    browser.peer = [203, 0, 113, 9].into();
    let (mut refused, mut waits) = (0, 0);
    for _ in 0..200 {
        match browser.sign_in("wrong password").await {
            Ok(answer) => refused += usize::from(answer.status() == StatusCode::FORBIDDEN),
            Err(Fault::TooMany(_)) => waits += 1,
            Err(fault) => panic!("{fault}"),
        }
    }
    assert!(refused <= 10 && waits >= 190, "WB-04: {refused} were looked at");
    browser.peer = [198, 51, 100, 7].into();
    let answer = browser.sign_in("mauve teapot orbits").await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "WB-04: from elsewhere, at once");
}

#[tokio::test]
async fn a_disabled_account_is_told_from_a_wrong_password_by_nobody() {
    let mut browser = Browser::new().await;
    browser.first_run().await;
    let who = browser.accounts.require(&browser.asked(Method::GET, "/", &[])).await.unwrap();
    let mut changed = browser.accounts.changed();
    browser.accounts.set_disabled(who.account, true).await.unwrap();
    assert_eq!(changed.try_recv().unwrap(), who.account);
    assert!(!browser.is_signed_in().await, "its sessions are dead");
    assert_eq!(browser.accounts.memberships(who.account).await.unwrap(), []);
    assert_eq!(browser.accounts.epoch(who.account).await.unwrap(), None);
    browser.cookies.clear();
    let disabled = browser.sign_in("mauve teapot orbits").await.unwrap();
    browser.cookies.clear();
    let wrong = browser.sign_in("wrong password").await.unwrap();
    assert_eq!((disabled.status(), wrong.status()), (StatusCode::FORBIDDEN, StatusCode::FORBIDDEN), "WB-05");
    browser.accounts.set_disabled(who.account, false).await.unwrap();
    browser.cookies.clear();
    assert_eq!(browser.sign_in("mauve teapot orbits").await.unwrap().status(), StatusCode::SEE_OTHER);
    let nobody = AccountId::from_random_bits(7);
    assert!(matches!(browser.accounts.set_disabled(nobody, true).await, Err(Fault::NotFound)));
}

#[tokio::test]
async fn over_https_the_cookie_is_for_this_host_and_goes_with_the_browser_unless_asked_to_stay() {
    let folder = tempfile::tempdir().unwrap();
    let place = Where::Sqlite(folder.path().join("test.db"));
    let store = Store::open(&place, tokio_util::sync::CancellationToken::new()).await.unwrap();
    let site = Arc::new(Site { public_url: "https://key.example".parse().unwrap() });
    let accounts = Accounts::for_tests(store, Clock::new(), site);
    let password = Secret::from("mauve teapot orbits".to_owned());
    let ada = accounts.make_first("Ada".into(), "ada@example.org".into(), password).await.unwrap().unwrap();
    let browser = Browser { accounts, cookies: vec![], peer: Ipv4Addr::LOCALHOST.into(), _folder: folder };
    let asked = browser.asked(Method::POST, "/sign-in", &[]);
    for (is_kept, age) in [(false, ""), (true, "; Max-Age=31536000")] {
        let answer = crate::http::see_other("/");
        let known = browser.accounts.standing(ada).await.unwrap().unwrap();
        let answer = browser.accounts.welcome(&asked, &known, is_kept, answer).await.unwrap().unwrap();
        let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
        let (name, rest) = cookie.split_once('=').unwrap();
        assert_eq!(name, "__Host-session", "WB-02");
        let (_, attributes) = rest.split_once(';').unwrap();
        let wanted = ["Path=/", "HttpOnly", "SameSite=Lax", "Secure"];
        assert!(wanted.iter().all(|one| attributes.contains(one)), "WB-02: {attributes}");
        assert!(!attributes.contains("Domain"), "WB-02: {attributes}");
        assert_eq!(attributes.contains("Max-Age"), is_kept, "WB-11: {attributes}");
        assert!(attributes.contains(age.trim_start_matches("; ")), "WB-11: {attributes}");
    }
}

#[tokio::test]
async fn whoever_has_no_account_costs_what_a_wrong_password_costs() {
    let mut browser = Browser::new().await;
    browser.first_run().await;
    browser.cookies.clear();
    browser.get("/sign-in").await.unwrap();
    let compared = browser.accounts.0.hashing.compared.clone();
    let mut answers = vec![];
    for email in ["ada@example.org", "nobody@example.org"] {
        let before = compared.load(Ordering::Relaxed);
        let answer =
            browser.post("/sign-in", &[("email", email), ("password", "not the password")]).await.unwrap();
        assert_eq!(compared.load(Ordering::Relaxed) - before, 1, "WB-05: {email}");
        answers.push(answer.status());
    }
    assert_eq!(answers, [StatusCode::FORBIDDEN; 2], "WB-05");
}
