//! Tunnelling: a visitor's request comes out at the home's origin as it was, and nowhere else.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as loudly as the tests")]

pub mod door;
mod endings;
mod keeping;
mod smuggling;
mod speed;
mod streams;
mod websockets;

use http::header::{CONNECTION, COOKIE, HOST};
use http::{Request, StatusCode};
use kit::origin::Origin;
use serde_json::{Value, json};
use shared::id::HomeId;
use tokio::task::JoinSet;

use door::{Door, empty};

fn porch() -> HomeId {
    HomeId::try_from(42).unwrap()
}

/// What `/echo` says about one header, in order.
fn header(echo: &Value, name: &str) -> Vec<String> {
    let headers = echo["headers"].as_array().unwrap();
    let wanted = headers.iter().filter(|header| header[0] == name);
    wanted.map(|header| header[1].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_page_arrives_as_it_was_asked_for() {
    let (door, origin) = (Door::open().await, Origin::start().await);
    let _agent = door.agent(porch(), &origin).await;
    let host = door.host(porch());
    let request = Request::get("/echo/a%20b?q=1&q=2")
        .header(HOST, &host)
        .header(COOKIE, "session=1")
        .header(COOKIE, "theme=dark")
        .header("accept-language", "zh-Hant")
        .header("authorization", "Bearer home-assistants-own")
        .body(empty())
        .unwrap();
    let mut browser = door.visit().await;
    let answer = browser.sender.send_request(request).await.unwrap();

    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers().get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
    for private in ["x-for-the-proxy", "latchkey-origin"] {
        assert!(!answer.headers().contains_key(private), "{private}");
    }
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    let echo: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&echo["method"], &echo["target"]), (&json!("GET"), &json!("/echo/a%20b?q=1&q=2")));
    assert_eq!(header(&echo, "host"), [host.as_str()]);
    assert_eq!(header(&echo, "cookie"), ["session=1; theme=dark"]);
    assert_eq!(header(&echo, "accept-language"), ["zh-Hant"]);
    assert_eq!(header(&echo, "authorization"), ["Bearer home-assistants-own"]);
    assert_eq!(header(&echo, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(header(&echo, "x-forwarded-proto"), ["http"]);
    assert_eq!(header(&echo, "x-forwarded-host"), [host]);
}

#[tokio::test]
async fn a_visitor_cannot_be_somebody_else() {
    let (door, origin) = (Door::open().await, Origin::start().await);
    let _agent = door.agent(porch(), &origin).await;
    let claims = [
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "forwarded",
        "x-real-ip",
        "cf-connecting-ip",
    ];
    let mut request =
        Request::get("/echo").header(HOST, door.host(porch())).header(CONNECTION, "x-forwarded-for");
    for claim in claims {
        request = request.header(claim, "203.0.113.9").header(claim, "198.51.100.7");
    }
    let (status, body) = door.visit().await.ask(request.body(empty()).unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let echo: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(header(&echo, "x-forwarded-for"), ["127.0.0.1"]);
    assert!(!body.contains("203.0.113.9") && !body.contains("198.51.100.7"), "{body}");
}

#[tokio::test]
async fn statuses_methods_and_empty_answers_pass() {
    let (door, origin) = (Door::open().await, Origin::start().await);
    let _agent = door.agent(porch(), &origin).await;
    for code in [204, 206, 302, 304, 401, 404, 418, 500, 502] {
        assert_eq!(door.get(porch(), &format!("/status/{code}")).await.0, code);
    }
    let mut browser = door.visit().await;
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let request = Request::builder().method(method).uri("/echo").header(HOST, door.host(porch()));
        let (status, body) = browser.ask(request.body(empty()).unwrap()).await;
        assert_eq!((status, body.is_empty()), (StatusCode::OK, method == "HEAD"), "{method}");
        assert!(body.is_empty() || body.contains(&format!("\"method\":\"{method}\"")), "{method}: {body}");
    }
}

#[tokio::test]
async fn two_hundred_at_once() {
    let (door, origin) = (Door::open().await, Origin::start().await);
    let _agent = door.agent(porch(), &origin).await;
    let mut browsers = JoinSet::new();
    for _ in 0..200 {
        let (mut browser, host) = (door.visit().await, door.host(porch()));
        browsers.spawn(async move {
            let request = Request::get("/slow").header(HOST, host).body(empty()).unwrap();
            browser.ask(request).await
        });
    }
    origin.until("200 requests under way", |seen| seen.requests >= 200).await;
    origin.tell("go on");
    for (status, body) in browsers.join_all().await {
        assert_eq!((status, body.as_str()), (StatusCode::OK, "at last"));
    }
}

#[tokio::test]
async fn connections_to_the_origin_are_used_again() {
    let (door, origin) = (Door::open().await, Origin::start().await);
    let _agent = door.agent(porch(), &origin).await;
    let mut browser = door.visit().await;
    for _ in 0..50 {
        let request = Request::get("/echo").header(HOST, door.host(porch())).body(empty()).unwrap();
        assert_eq!(browser.ask(request).await.0, StatusCode::OK);
    }
    assert!(origin.seen().connections <= 3, "{:?}", origin.seen());
}

#[tokio::test]
async fn a_home_is_reached_by_its_own_name_only() {
    let (door, porch_origin, attic_origin) =
        (Door::open().await, Origin::start().await, Origin::start().await);
    let attic = HomeId::try_from(43).unwrap();
    let _agents = (door.agent(porch(), &porch_origin).await, door.agent(attic, &attic_origin).await);
    for _ in 0..3 {
        assert_eq!(door.get(attic, "/echo").await.0, StatusCode::OK);
    }
    assert_eq!((porch_origin.seen().requests, attic_origin.seen().requests), (0, 3));
}
