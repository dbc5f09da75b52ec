//! WebSockets: an extended CONNECT from the broker (RFC 8441), an HTTP/1.1 upgrade at Home Assistant, and
//! bytes between the two.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy, split};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::answer::{Answerer, Body, plainly, strip_hops, towards_broker, towards_home_assistant};
use super::origin::{Streaming, Unreachable};

/// How long one direction may go on after the other has ended. WebSockets do not live half closed.
const LINGER: Duration = Duration::from_secs(5);

/// Opens the WebSocket at Home Assistant. 200 means that it is open; any other answer is Home Assistant's.
pub(super) async fn answer(
    answerer: &Answerer,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Unreachable> {
    let broker = hyper::upgrade::on(&mut request);
    let key = generate_key();
    let mut answer = ask_for_upgrade(answerer, request, &key).await?;
    let expected = derive_accept_key(key.as_bytes());
    let accepted = answer.headers().get(SEC_WEBSOCKET_ACCEPT).is_some_and(|accept| *accept == *expected);
    match answer.status() {
        StatusCode::SWITCHING_PROTOCOLS if accepted => {}
        // To the broker any 2xx would mean an open WebSocket.
        status if status.is_success() || status.is_informational() => {
            return Ok(plainly(StatusCode::BAD_GATEWAY, "home assistant did not open the websocket"));
        }
        _ => return Ok(towards_broker(answer.map(Streaming::from))),
    }
    let home = hyper::upgrade::on(&mut answer);
    answerer.crew.spawn(async move {
        if let (Ok(broker), Ok(home)) = tokio::join!(broker, home) {
            splice(TokioIo::new(broker), TokioIo::new(home)).await;
        }
    });
    let mut open = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *open.headers_mut() = std::mem::take(answer.headers_mut());
    strip_hops(open.headers_mut());
    open.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
    Ok(open)
}

/// Asks on a connection of its own, with a key of our own.
async fn ask_for_upgrade(
    answerer: &Answerer,
    request: Request<Incoming>,
    key: &str,
) -> Result<Response<Incoming>, Unreachable> {
    let (mut head, _no_body) = request.into_parts();
    towards_home_assistant(&mut head);
    head.method = Method::GET;
    head.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    head.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    head.headers.entry(SEC_WEBSOCKET_VERSION).or_insert(HeaderValue::from_static("13"));
    if let Ok(key) = HeaderValue::from_str(key) {
        head.headers.insert(SEC_WEBSOCKET_KEY, key);
    }
    let (io, _) = answerer.origin.remote.connect().await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await?;
    answerer.crew.spawn(async move {
        // Its error is also the request's.
        _ = connection.with_upgrades().await;
    });
    Ok(sender.send_request(Request::from_parts(head, Empty::<Bytes>::new())).await?)
}

/// Carries bytes both ways until both directions are over, or [`LINGER`] after the first is.
async fn splice<A, B>(broker: A, home: B)
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let (mut from_broker, mut to_broker) = split(broker);
    let (mut from_home, mut to_home) = split(home);
    let down = async {
        _ = copy(&mut from_broker, &mut to_home).await;
        _ = to_home.shutdown().await;
    };
    let up = async {
        _ = copy(&mut from_home, &mut to_broker).await;
        _ = to_broker.shutdown().await;
    };
    tokio::pin!(down, up);
    _ = tokio::select! {
        () = &mut down => timeout(LINGER, up).await,
        () = &mut up => timeout(LINGER, down).await,
    };
}
