//! Ends connections whose other side stopped reading.
//!
//! Whoever asks for much and reads nothing keeps a place on a home's line and half a megabyte of it. Silence
//! is no offence (a viewer may listen for hours), but bytes that nobody takes are.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long an accepted connection may refuse what we write.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A connection on which a write that makes no progress for a while is an error of kind `TimedOut`.
pub struct Patient<IO> {
    io: IO,
    span: Duration,
    /// Only while a write waits, so that nothing is paid for a connection that flows or rests.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<IO> Patient<IO> {
    /// Wraps a connection; `span` is how long a write may wait, usually [`PATIENCE`].
    pub fn new(io: IO, span: Duration) -> Self {
        Self { io, span, waiting: None }
    }

    fn judge<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        let span = self.span;
        ready!(self.waiting.get_or_insert_with(|| Box::pin(sleep(span))).as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Patient<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Patient<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.judge(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.judge(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        // A flush with nothing to flush must not end the wait of a write.
        if polled.is_ready() && self.waiting.is_some() { polled } else { self.judge(cx, polled) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_shutdown(cx);
        self.judge(cx, polled)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, timeout};

    use super::*;

    const SPAN: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn a_side_that_reads_nothing_is_given_up() {
        let (near, _far) = duplex(16);
        let mut near = Patient::new(near, SPAN);
        let start = Instant::now();
        let ended = near.write_all(&[0; 64]).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() >= SPAN);
    }

    #[tokio::test]
    async fn a_side_that_reads_slowly_or_is_sent_nothing_is_not() {
        let (near, mut far) = duplex(16);
        let mut near = Patient::new(near, SPAN);
        let writing = near.write_all(&[0; 64]);
        let reading = async {
            let mut left = 64;
            while left > 0 {
                let pause = timeout(SPAN / 2, std::future::pending::<()>());
                assert!(pause.await.is_err());
                left -= far.read(&mut [0; 8]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(writing, reading);
        written.unwrap();
        assert!(timeout(3 * SPAN, near.read(&mut [0; 1])).await.is_err(), "silence is no offence");
    }
}
