//! The hub and agents that do not behave. Whole stories, with a real agent, are in `tests/stories/tunnelling`.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

fn porch() -> HomeId {
    HomeId::try_from(42).unwrap()
}

fn visitor() -> Visitor {
    Visitor { peer: IpAddr::V4(Ipv4Addr::LOCALHOST), scheme: "http", host: "porch.localhost".to_owned() }
}

fn page() -> Request<Empty<Bytes>> {
    Request::get("/page").header("host", "porch.localhost").body(Empty::new()).unwrap()
}

/// Answers the hello and nothing else; stops reading altogether once `deaf` is told.
async fn silent_agent(io: DuplexStream, deaf: Arc<Notify>) {
    let service = hyper::service::service_fn(|request: Request<Incoming>| async move {
        if request.uri().path() == shared::tunnel::DIRECT_HELLO {
            return Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()));
        }
        std::future::pending().await
    });
    let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    server.max_concurrent_streams(2000);
    let mut connection = std::pin::pin!(server.serve_connection(TokioIo::new(io), service));
    tokio::select! {
        _ = &mut connection => {}
        () = deaf.notified() => std::future::pending().await,
    }
}

/// A hub with one silent agent's line; also how the line ends.
async fn hub(deaf: Arc<Notify>) -> (Direct, JoinHandle<Ended>) {
    let direct = Direct::new(CancellationToken::new()).pinging_every(Duration::from_millis(200));
    let (near, far) = duplex(64 << 10);
    tokio::spawn(silent_agent(far, deaf));
    let mut changes = direct.changes();
    let serving = direct.clone();
    let ended = tokio::spawn(async move { serving.serve(porch(), near).await });
    assert_eq!(changes.recv().await.unwrap(), Change { home: porch(), up: true });
    (direct, ended)
}

#[tokio::test]
async fn a_dead_line_is_noticed_within_two_pings() {
    let deaf = Arc::new(Notify::new());
    let (direct, ended) = hub(deaf.clone()).await;
    let (visitor, asked) = (visitor(), Instant::now());
    let answer = direct.forward(porch(), &visitor, page());
    deaf.notify_one();
    let answer = timeout(PATIENCE, answer).await.expect("an answer");
    assert!(matches!(answer, Err(Away::Broke(_))));
    assert!(asked.elapsed() >= Duration::from_millis(200), "it was only silent, not dead");
    assert!(matches!(ended.await.unwrap(), Ended::Lost(_)));
    assert!(matches!(direct.forward(porch(), &visitor, page()).await, Err(Away::NotConnected)));
}

#[tokio::test]
async fn a_silent_origin_is_not_a_dead_line() {
    let (direct, ended) = hub(Arc::default()).await;
    let waited = timeout(Duration::from_secs(1), direct.forward(porch(), &visitor(), page())).await;
    assert!(waited.is_err(), "pings are answered, so the line holds");
    assert!(!ended.is_finished());
}

#[tokio::test]
async fn a_full_line_refuses_instead_of_queueing() {
    let (direct, _ended) = hub(Arc::default()).await;
    let mut waiting = JoinSet::new();
    for _ in 0..1001 {
        let direct = direct.clone();
        waiting.spawn(async move { direct.forward(porch(), &visitor(), page()).await.map(drop) });
    }
    let refused = timeout(PATIENCE, waiting.join_next()).await.expect("one refusal").unwrap().unwrap();
    assert!(matches!(&refused, Err(Away::Broke(why)) if why.contains("1000")), "{refused:?}");
    direct.hang_up(porch());
    for answer in waiting.join_all().await {
        assert!(matches!(answer, Err(Away::Broke(_))));
    }
}

#[tokio::test]
async fn who_does_not_speak_the_protocol_gets_no_line() {
    let direct = Direct::new(CancellationToken::new());
    let (near, far) = duplex(1024);
    drop(far);
    assert!(matches!(direct.serve(porch(), near).await, Ended::NeverUp(_)));
    assert_eq!(direct.since(porch()), None);
}

#[tokio::test]
async fn a_line_hung_up_on_before_its_hello_does_not_come_up() {
    let direct = Direct::new(CancellationToken::new());
    let (near, far) = duplex(64 << 10);
    let mut serving = std::pin::pin!(direct.serve(porch(), near));
    assert!(timeout(Duration::from_millis(50), &mut serving).await.is_err());
    direct.hang_up(porch());
    tokio::spawn(silent_agent(far, Arc::default()));
    assert_eq!(timeout(PATIENCE, serving).await.expect("the end"), Ended::HungUp);
    assert_eq!(direct.since(porch()), None);
}

#[tokio::test]
async fn stopping_ends_every_line() {
    let stop = CancellationToken::new();
    let direct = Direct::new(stop.clone());
    let (near, far) = duplex(64 << 10);
    tokio::spawn(silent_agent(far, Arc::default()));
    let mut changes = direct.changes();
    let serving = direct.clone();
    let ended = tokio::spawn(async move { serving.serve(porch(), near).await });
    assert!(changes.recv().await.unwrap().up);
    stop.cancel();
    assert_eq!(timeout(PATIENCE, ended).await.expect("the end").unwrap(), Ended::Stopped);
    assert!(!changes.recv().await.unwrap().up);
}
