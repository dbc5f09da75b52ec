//! Endings: whoever goes away, nobody is left waiting.

use std::time::{Duration, Instant};

use broker::tunnels::direct::{Change, Ended};
use http::header::HOST;
use http::{Request, StatusCode};
use kit::origin::Origin;
use tokio::time::timeout;

use super::door::{Agent, Browser, Door, PATIENCE, empty};
use super::porch;

fn slowly(door: &Door) -> Request<broker::tunnels::direct::Body> {
    Request::get("/slow").header(HOST, door.host(porch())).body(empty()).unwrap()
}

async fn ask_slowly(
    door: &Door,
    origin: &Origin,
    browser: &mut Browser,
) -> tokio::task::JoinHandle<StatusCode> {
    let asked = browser.sender.send_request(slowly(door));
    let waiting = tokio::spawn(async move { asked.await.unwrap().status() });
    let before = origin.seen().requests;
    origin.until("the request under way", |seen| seen.requests > before).await;
    waiting
}

#[tokio::test]
async fn a_visitor_who_leaves_cancels_the_request() {
    let (door, origin) = (Door::open().await, Origin::start().await);
    let _agent = door.agent(porch(), &origin).await;
    let mut browser = door.visit().await;
    let waiting = ask_slowly(&door, &origin, &mut browser).await;
    drop(browser);
    origin.until("the request given up", |seen| seen.abandoned == 1).await;
    waiting.abort();
    assert_eq!(door.get(porch(), "/echo").await.0, StatusCode::OK);
}

/// Cancelled requests leave resets and stray frames behind; they must not add up to the end of the line.
#[tokio::test]
async fn hundreds_of_visitors_who_leave_do_not_end_the_line() {
    let (mut door, origin) = (Door::open().await, Origin::start().await);
    let _agent = door.agent(porch(), &origin).await;
    let since = door.direct.since(porch());
    for _ in 0..5 {
        let mut browsers = Vec::new();
        for _ in 0..100 {
            let mut browser = door.visit().await;
            let request =
                Request::get("/download/4000000").header(HOST, door.host(porch())).body(empty()).unwrap();
            browsers.push((tokio::spawn(browser.sender.send_request(request)), browser));
        }
        assert_eq!(door.get(porch(), "/echo").await.0, StatusCode::OK);
        drop(browsers);
    }
    assert_eq!(door.get(porch(), "/echo").await.0, StatusCode::OK);
    assert_eq!(door.direct.since(porch()), since);
    assert!(door.endings.try_recv().is_err());
}

#[tokio::test]
async fn an_agent_that_leaves_is_an_error_not_a_wait() {
    let (mut door, origin) = (Door::open().await, Origin::start().await);
    let agent = door.agent(porch(), &origin).await;
    let mut browser = door.visit().await;
    let waiting = ask_slowly(&door, &origin, &mut browser).await;
    drop(agent);
    assert_eq!(timeout(PATIENCE, waiting).await.expect("an answer").unwrap(), StatusCode::BAD_GATEWAY);
    assert!(matches!(timeout(PATIENCE, door.endings.recv()).await, Ok(Some(Ended::Lost(_)))));
    assert_eq!(door.get(porch(), "/echo").await.0, StatusCode::SERVICE_UNAVAILABLE);
    origin.until("the request given up", |seen| seen.abandoned == 1).await;
}

#[tokio::test]
async fn a_home_without_agent_or_origin_says_so_at_once() {
    let door = Door::open().await;
    assert_eq!(door.get(porch(), "/").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(door.direct.since(porch()), None);

    let origin = Origin::start().await;
    let _agent = door.agent(porch(), &origin).await;
    assert_eq!(door.get(porch(), "/echo").await.0, StatusCode::OK);
    drop(origin);
    let (status, body) = door.get(porch(), "/echo").await;
    assert_eq!((status, body.as_str()), (StatusCode::BAD_GATEWAY, "origin down"));
}

#[tokio::test]
async fn the_newest_agent_has_the_line_and_the_older_knows() {
    let (mut door, first, second) = (Door::open().await, Origin::start().await, Origin::start().await);
    let mut older = door.agent(porch(), &first).await;
    let mut changes = door.direct.changes();
    let newer = door.agent(porch(), &second).await;
    assert_eq!(door.get(porch(), "/echo").await.0, StatusCode::OK);
    assert_eq!((first.seen().requests, second.seen().requests), (0, 1));
    assert_eq!(timeout(PATIENCE, door.endings.recv()).await.unwrap(), Some(Ended::TakenOver));
    let told = timeout(PATIENCE, &mut older.running).await.expect("the older session's end").unwrap();
    assert!(matches!(told, Err(agent::tunnel::direct::DialError::TakenOver)), "{told:?}");
    drop(newer);
    assert_eq!(
        timeout(PATIENCE, door.endings.recv()).await.unwrap().map(|e| matches!(e, Ended::Lost(_))),
        Some(true)
    );
    let seen = [changes.recv().await.unwrap(), changes.recv().await.unwrap()];
    assert_eq!(seen, [true, false].map(|up| Change { home: porch(), up }));
}

#[tokio::test]
async fn hanging_up_ends_everything_within_a_second() {
    let (mut door, origin) = (Door::open().await, Origin::start().await);
    let mut agent = door.agent(porch(), &origin).await;
    let mut browser = door.visit().await;
    let waiting = ask_slowly(&door, &origin, &mut browser).await;
    let before = Instant::now();
    door.direct.hang_up(porch());
    assert_eq!(timeout(PATIENCE, door.endings.recv()).await.unwrap(), Some(Ended::HungUp));
    timeout(PATIENCE, &mut agent.running).await.expect("the session's end").unwrap().ok();
    assert_eq!(waiting.await.unwrap(), StatusCode::BAD_GATEWAY);
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    assert_eq!(door.direct.since(porch()), None);
}

#[tokio::test]
async fn a_wrong_token_is_told_apart_from_a_broken_line() {
    let (door, origin) = (Door::open().await, Origin::start().await);
    let stranger = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = stranger.local_addr().unwrap();
    drop(stranger);
    let mut unreachable = Agent::dial(nobody, porch(), origin.url());
    let told = timeout(PATIENCE, &mut unreachable.running).await.unwrap().unwrap();
    assert!(matches!(told, Err(agent::tunnel::direct::DialError::Io(_))), "{told:?}");

    let mut wrong = Agent::dial_with(door.addr, "lkt_wrong", origin.url());
    let told = timeout(PATIENCE, &mut wrong.running).await.unwrap().unwrap();
    assert!(matches!(told, Err(agent::tunnel::direct::DialError::Unauthorized)), "{told:?}");
}
