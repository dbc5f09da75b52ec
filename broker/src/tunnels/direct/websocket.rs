//! WebSockets through a line: an HTTP/1.1 upgrade on the visitor's side, an extended CONNECT (RFC 8441) on
//! the home's, and bytes between them. Frames are not looked at, so subprotocols and extensions are between
//! the browser and Home Assistant.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy, split};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::line::{Line, boxed, hand_on};
use super::{Away, Body, Visitor, headers};

/// How long one direction may go on after the other has ended. WebSockets do not live half closed.
const LINGER: Duration = Duration::from_secs(5);

/// Whether a request asks for a WebSocket (RFC 6455 section 4.1). Other upgrades are not passed on.
pub(super) fn asked_by<B>(request: &Request<B>) -> bool {
    let says =
        |name, word: &str| headers::tokens(request.headers(), name).any(|t| t.eq_ignore_ascii_case(word));
    request.version() == Version::HTTP_11
        && request.method() == Method::GET
        && says(&CONNECTION, "upgrade")
        && says(&UPGRADE, "websocket")
}

/// Opens the WebSocket in the home. When Home Assistant accepts, answers 101 and leaves a task in the line's
/// crew that carries the bytes; any other answer is the visitor's answer.
pub(super) async fn forward<B>(
    line: &Line,
    visitor: &Visitor,
    mut request: Request<B>,
) -> Result<Response<Body>, Away> {
    let accept = accept(request.headers())?;
    let browser = request.extensions_mut().remove::<OnUpgrade>();
    let browser = browser.ok_or(Away::BadRequest("this connection cannot become a websocket"))?;
    let (mut head, _no_body) = request.into_parts();
    headers::prepare(&mut head, visitor)?;
    head.headers.remove(SEC_WEBSOCKET_KEY);
    head.headers.remove(CONTENT_LENGTH);
    head.method = Method::CONNECT;
    head.extensions.insert(Protocol::from_static("websocket"));

    let (mut answer, place) = line.ask(Request::from_parts(head, boxed(Empty::<Bytes>::new()))).await?;
    if answer.status() != StatusCode::OK {
        return Ok(hand_on(answer, place));
    }
    let home = hyper::upgrade::on(&mut answer);
    line.crew.spawn(async move {
        // Either side may be gone before the 101 is out; then there is nothing to carry.
        if let (Ok(browser), Ok(home)) = tokio::join!(browser, home) {
            splice(TokioIo::new(browser), TokioIo::new(home)).await;
        }
        drop(place);
    });
    Ok(switching(answer.headers(), accept))
}

/// Checks the key and computes its answer (RFC 6455 section 4.2.2).
fn accept(headers: &HeaderMap) -> Result<HeaderValue, Away> {
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let key = keys
        .next()
        .filter(|_| keys.next().is_none())
        .ok_or(Away::BadRequest("there is not one websocket key"))?;
    if !STANDARD.decode(key.as_bytes()).is_ok_and(|bytes| bytes.len() == 16) {
        return Err(Away::BadRequest("the websocket key is not 16 bytes in base64"));
    }
    let no_length = headers.get(CONTENT_LENGTH).is_none_or(|length| length == "0");
    if !no_length || headers.contains_key(TRANSFER_ENCODING) {
        return Err(Away::BadRequest("a websocket request has no body"));
    }
    HeaderValue::try_from(derive_accept_key(key.as_bytes()))
        .map_err(|_| Away::BadRequest("the websocket key has no answer"))
}

fn switching(home: &HeaderMap, accept: HeaderValue) -> Response<Body> {
    let mut answer = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.clone_from(home);
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    answer
}

/// Carries bytes both ways until both directions are over, or [`LINGER`] after the first is.
async fn splice<A, B>(browser: A, home: B)
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let (mut from_browser, mut to_browser) = split(browser);
    let (mut from_home, mut to_home) = split(home);
    let up = async {
        _ = copy(&mut from_browser, &mut to_home).await;
        _ = to_home.shutdown().await;
    };
    let down = async {
        _ = copy(&mut from_home, &mut to_browser).await;
        _ = to_browser.shutdown().await;
    };
    tokio::pin!(up, down);
    _ = tokio::select! {
        () = &mut up => timeout(LINGER, down).await,
        () = &mut down => timeout(LINGER, up).await,
    };
}
