//! Bodies: of any size, piece by piece, and no faster than the other side takes them.

use std::time::Duration;

use futures_util::stream;
use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use kit::origin::{Digest, Origin, piece};
use tokio::time::timeout;

use super::door::{Door, PATIENCE, empty};
use super::porch;

const MIB: usize = 1 << 20;

#[tokio::test]
async fn fifty_megabytes_each_way() {
    let (door, origin) = (Door::open().await, Origin::start().await);
    let _agent = door.agent(porch(), &origin).await;
    let size = 50 * MIB;
    let (bytes, expected) = Digest::of_download(size);

    let pieces = (0..size).step_by(64 << 10).map(move |at| Ok(Frame::data(piece(at, size))));
    let body = StreamBody::new(stream::iter(pieces)).boxed_unsync();
    let request = Request::post("/upload").header(HOST, door.host(porch())).body(body).unwrap();
    let sending = async {
        let mut browser = door.visit().await;
        let answer = browser.sender.send_request(request).await.unwrap();
        answer.into_body().collect().await.unwrap().to_bytes()
    };
    let told = timeout(6 * PATIENCE, sending).await.expect("the upload");
    let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told, serde_json::json!({ "bytes": bytes, "digest": expected }));

    let request =
        Request::get(format!("/download/{size}")).header(HOST, door.host(porch())).body(empty()).unwrap();
    let mut browser = door.visit().await;
    let mut body = browser.sender.send_request(request).await.unwrap().into_body();
    let mut digest = Digest::default();
    while let Some(frame) = timeout(PATIENCE, body.frame()).await.expect("the next piece") {
        digest.add(&frame.unwrap().into_data().unwrap());
    }
    assert_eq!(digest.done(), (bytes, expected));
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let (door, origin) = (Door::open().await, Origin::start().await);
    let _agent = door.agent(porch(), &origin).await;
    let request = Request::get("/events").header(HOST, door.host(porch())).body(empty()).unwrap();
    let mut browser = door.visit().await;
    let answer = timeout(PATIENCE, browser.sender.send_request(request)).await.expect("the head").unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut body = answer.into_body();
    for word in ["one", "two", "three"] {
        origin.tell(word);
        let event = timeout(PATIENCE, body.frame()).await.expect("an event").unwrap().unwrap();
        assert_eq!(event.into_data().unwrap(), format!("data: {word}\n\n"));
    }
}

#[tokio::test]
async fn a_slow_reader_slows_the_origin_and_nobody_else() {
    let (door, origin) = (Door::open().await, Origin::start().await);
    let _agent = door.agent(porch(), &origin).await;
    let request = Request::get(format!("/download/{}", 400 * MIB))
        .header(HOST, door.host(porch()))
        .body(empty())
        .unwrap();
    let mut lazy = door.visit().await;
    let answer = lazy.sender.send_request(request).await.unwrap();

    // The flow has stopped when nothing more is taken while others are served again and again.
    let mut before = 0;
    loop {
        for _ in 0..20 {
            assert_eq!(door.get(porch(), "/echo").await.0, StatusCode::OK);
        }
        let taken = origin.seen().taken as usize;
        if taken == before && taken > 0 {
            break;
        }
        before = taken;
    }
    // Two windows, the buffers of both hops and what the kernel takes of three loopback connections.
    assert!(before < 32 * MIB, "{} MiB are under way", before / MIB);

    drop((answer, lazy));
    origin.until("the download given up", |seen| seen.abandoned == 1).await;
}

#[tokio::test]
async fn many_lazy_readers_do_not_stop_the_line() {
    let (door, origin) = (Door::open().await, Origin::start().await);
    let _agent = door.agent(porch(), &origin).await;
    let mut lazy = Vec::new();
    for _ in 0..40 {
        let mut browser = door.visit().await;
        let request = Request::get(format!("/download/{}", 50 * MIB))
            .header(HOST, door.host(porch()))
            .body(empty())
            .unwrap();
        let answer =
            timeout(PATIENCE, browser.sender.send_request(request)).await.expect("the head").unwrap();
        lazy.push((browser, answer));
    }
    let served = timeout(PATIENCE, door.get(porch(), &format!("/download/{MIB}"))).await;
    assert_eq!(served.expect("a reader who reads").0, StatusCode::OK);
}

#[tokio::test]
async fn an_upload_waits_for_the_origin() {
    let (door, origin) = (Door::open().await, Origin::start().await);
    let _agent = door.agent(porch(), &origin).await;
    let (taken, mut takes) = tokio::sync::watch::channel(0usize);
    let size = 400 * MIB;
    let pieces = (0..size).step_by(64 << 10).map(move |at| {
        taken.send_modify(|taken| *taken += 64 << 10);
        Ok(Frame::data(piece(at, size)))
    });
    // `/slow` never reads what it is sent.
    let body = StreamBody::new(stream::iter(pieces)).boxed_unsync();
    let request = Request::post("/slow").header(HOST, door.host(porch())).body(body).unwrap();
    let mut browser = door.visit().await;
    let answer = tokio::spawn(browser.sender.send_request(request));
    origin.until("the upload begun", |seen| seen.requests == 1).await;
    while let Ok(changed) = timeout(Duration::from_millis(500), takes.changed()).await {
        changed.unwrap();
    }
    assert!(*takes.borrow() < 32 * MIB, "{} MiB are under way", *takes.borrow() / MIB);
    answer.abort();
}
