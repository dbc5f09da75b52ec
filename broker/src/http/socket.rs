//! WebSockets (RFC 6455), upgraded through hyper: warp's own way costs 134 KiB a connection.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::{Answer, Asked, Fault, empty};

/// An open socket.
pub type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// How much one socket may hold.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// The longest message taken, in bytes.
    pub message: usize,
    /// The read buffer, in bytes; it is resident for as long as the socket is open.
    pub buffer: usize,
}

/// The 101, and what becomes the socket once the answer is out.
///
/// # Errors
/// [`Fault::Bad`] when this is no WebSocket handshake.
pub fn upgrade(asked: &mut Asked) -> Result<(Answer, Opening), Fault> {
    let says = |name, word: &str| {
        asked
            .header(name)
            .is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    let key = asked.header(header::SEC_WEBSOCKET_KEY).unwrap_or("");
    let whole = says(header::CONNECTION, "upgrade")
        && says(header::UPGRADE, "websocket")
        && asked.header(header::SEC_WEBSOCKET_VERSION) == Some("13")
        && BASE64_STANDARD.decode(key).is_ok_and(|key| key.len() == 16);
    if !whole {
        return Err(Fault::bad("this address speaks WebSocket (RFC 6455, version 13)"));
    }
    let accept = derive_accept_key(key.as_bytes());
    let taken = asked.upgrade.take().ok_or_else(|| Fault::bad("this connection cannot be upgraded"))?;
    let mut answer = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers
        .insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).map_err(anyhow::Error::from)?);
    Ok((answer, Opening(taken)))
}

/// A socket whose 101 is on its way.
pub struct Opening(OnUpgrade);

impl Opening {
    /// The socket; `None` when the client was gone before the 101 reached it.
    pub async fn open(self, size: Size) -> Option<Socket> {
        let io = TokioIo::new(self.0.await.ok()?);
        let config = WebSocketConfig::default()
            .read_buffer_size(size.buffer)
            .write_buffer_size(0)
            .max_write_buffer_size(size.message.max(64 << 10) * 2)
            .max_message_size(Some(size.message))
            .max_frame_size(Some(size.message));
        Some(WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await)
    }
}
