//! A line: one open socket, fed from its mailbox, until either side ends it.
//!
//! Reading, pings and the close handshake are tokio-tungstenite's; our own frames are whole already and go
//! to the connection directly. Invariant: a frame once begun is written to its end before the socket writes
//! anything of its own, and the other way round.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures_util::{Sink as _, SinkExt as _, StreamExt as _};
use tokio::io::{AsyncWrite as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::mailbox::{Mail, Mailbox};
use crate::http::socket::Socket;

/// How long a close handshake may take.
const GOODBYE: Duration = Duration::from_secs(1);

struct Line<'a, H> {
    socket: Socket,
    mailbox: &'a Mailbox,
    hear: H,
    /// What is left of the frames begun.
    writing: Bytes,
    /// The connection may hold back what was written (TLS).
    unflushed: bool,
    /// The socket may have something of its own to write.
    own: bool,
}

/// How it came to an end: gone, or to be closed with a code.
type End = Option<u16>;

/// Serves a socket until it is gone or its mailbox says that it ends. `hear` takes what the other side says,
/// or answers with a code to close with.
pub(super) async fn keep<H>(socket: Socket, mailbox: &Mailbox, hear: H)
where
    H: FnMut(Message) -> Result<(), u16> + Unpin,
{
    let mut line = Line { socket, mailbox, hear, writing: Bytes::new(), unflushed: false, own: false };
    let end = std::future::poll_fn(|cx| line.poll(cx)).await;
    if let Some(code) = end {
        // Boxed: a timer would otherwise lie in every idle socket's task.
        _ = Box::pin(tokio::time::timeout(GOODBYE, goodbye(line.socket, line.writing, code))).await;
    }
}

impl<H: FnMut(Message) -> Result<(), u16> + Unpin> Line<'_, H> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            match self.poll_write(cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(None),
                // One who reads nothing still learns that it is over.
                Poll::Pending => return self.mailbox.poll_end(cx).map(Some),
            }
            match self.mailbox.poll(cx) {
                Poll::Ready(Mail::End(code)) => return Poll::Ready(Some(code)),
                Poll::Ready(Mail::Frames(frames)) => {
                    self.writing = frames;
                    continue;
                }
                Poll::Ready(Mail::Ping) => {
                    self.own = true;
                    if Pin::new(&mut self.socket).start_send(Message::Ping(Bytes::new())).is_err() {
                        return Poll::Ready(None);
                    }
                    continue;
                }
                Poll::Pending => {}
            }
            match self.socket.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(message))) => {
                    self.mailbox.heard();
                    self.own |= !(message.is_text() || message.is_binary());
                    if let Err(code) = (self.hear)(message) {
                        return Poll::Ready(Some(code));
                    }
                }
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Writes what was begun, ours or the socket's own; `false` when the connection is gone.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.own {
            match Pin::new(&mut self.socket).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.own = false,
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                Poll::Pending => return Poll::Pending,
            }
        }
        while !self.writing.is_empty() {
            match Pin::new(self.socket.get_mut()).poll_write(cx, &self.writing) {
                Poll::Ready(Ok(written)) if written > 0 => {
                    self.writing.advance(written);
                    self.unflushed = true;
                }
                Poll::Ready(_) => return Poll::Ready(false),
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.unflushed {
            match Pin::new(self.socket.get_mut()).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(true)
    }
}

/// Ends the frame that was begun, says the code, and waits until the other side has taken note.
async fn goodbye(mut socket: Socket, mut writing: Bytes, code: u16) {
    if socket.get_mut().write_all_buf(&mut writing).await.is_err() {
        return;
    }
    let close = CloseFrame { code: code.into(), reason: Default::default() };
    if socket.send(Message::Close(Some(close))).await.is_ok() {
        while let Some(Ok(_)) = socket.next().await {}
    }
}
