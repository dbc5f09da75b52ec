//! WebSockets through the tunnel.

use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use kit::origin::Origin;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::door::{Door, PATIENCE};
use super::porch;

async fn open(
    door: &Door,
    path: &str,
    subprotocols: &str,
) -> Result<(WebSocketStream<TcpStream>, String), Error> {
    let mut request = format!("ws://{}{path}", door.host(porch())).into_client_request()?;
    if !subprotocols.is_empty() {
        request.headers_mut().insert("sec-websocket-protocol", subprotocols.parse().unwrap());
    }
    let tcp = TcpStream::connect(door.addr).await.unwrap();
    let (socket, answer) = timeout(PATIENCE, client_async(request, tcp)).await.expect("an answer")?;
    let chosen =
        answer.headers().get("sec-websocket-protocol").map(|chosen| chosen.to_str().unwrap().to_owned());
    Ok((socket, chosen.unwrap_or_default()))
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Message {
    timeout(PATIENCE, socket.next()).await.expect("a message").expect("not the end").unwrap()
}

#[tokio::test]
async fn a_websocket_carries_texts_bytes_and_closes() {
    let (door, origin) = (Door::open().await, Origin::start().await);
    let _agent = door.agent(porch(), &origin).await;
    let (mut socket, chosen) = open(&door, "/ws?x=1", "graphql-ws, chat").await.unwrap();
    assert_eq!(chosen, "graphql-ws");
    for message in [
        Message::text("hello"),
        Message::text(""),
        Message::text("門廊"),
        Message::binary(vec![7; 3]),
        Message::binary(vec![9; 2 << 20]),
    ] {
        socket.send(message.clone()).await.unwrap();
        assert!(next(&mut socket).await == message);
    }
    socket.send(Message::text("close")).await.unwrap();
    let Message::Close(Some(close)) = next(&mut socket).await else { panic!("a close was asked for") };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (4001, "as you wish"));
    assert!(timeout(PATIENCE, socket.next()).await.expect("the end").is_none_or(|rest| rest.is_err()));
    assert_eq!(origin.seen().abandoned, 0);
}

#[tokio::test]
async fn a_refused_websocket_is_refused_as_the_origin_did() {
    let (door, origin) = (Door::open().await, Origin::start().await);
    let _agent = door.agent(porch(), &origin).await;
    for (path, expected) in [
        ("/status/401", StatusCode::UNAUTHORIZED),
        ("/nowhere", StatusCode::NOT_FOUND),
        ("/status/200", StatusCode::BAD_GATEWAY),
        ("/status/204", StatusCode::BAD_GATEWAY),
    ] {
        match open(&door, path, "").await {
            Err(Error::Http(answer)) => assert_eq!(answer.status(), expected, "{path}"),
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn many_websockets_at_once() {
    let (door, origin) = (Door::open().await, Origin::start().await);
    let _agent = door.agent(porch(), &origin).await;
    let mut sockets = Vec::new();
    for _ in 0..100 {
        sockets.push(open(&door, "/ws", "").await.unwrap().0);
    }
    for (at, socket) in sockets.iter_mut().enumerate() {
        socket.send(Message::text(at.to_string())).await.unwrap();
    }
    for (at, socket) in sockets.iter_mut().enumerate() {
        assert_eq!(next(socket).await, Message::text(at.to_string()));
    }
}

#[tokio::test]
async fn a_websocket_ends_with_its_visitor() {
    let (door, origin) = (Door::open().await, Origin::start().await);
    let _agent = door.agent(porch(), &origin).await;
    let (mut socket, _) = open(&door, "/ws", "").await.unwrap();
    socket.send(Message::text("here")).await.unwrap();
    next(&mut socket).await;
    drop(socket);
    origin.until("the socket given up", |seen| seen.abandoned == 1).await;
}

#[tokio::test]
async fn a_websocket_ends_with_its_line() {
    let (door, origin) = (Door::open().await, Origin::start().await);
    let _agent = door.agent(porch(), &origin).await;
    let (mut socket, _) = open(&door, "/ws", "").await.unwrap();
    socket.send(Message::text("here")).await.unwrap();
    next(&mut socket).await;
    let before = std::time::Instant::now();
    door.direct.hang_up(porch());
    let ended = timeout(PATIENCE, socket.next()).await.expect("the end");
    assert!(ended.is_none_or(|last| last.is_err()));
    assert!(before.elapsed().as_millis() < 1000);
    origin.until("the socket given up", |seen| seen.abandoned == 1).await;
}
