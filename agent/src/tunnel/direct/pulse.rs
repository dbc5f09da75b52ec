//! Notices a line on which nothing arrives any more.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

/// When something last arrived.
pub(super) struct Pulse(Arc<Mutex<Instant>>);

/// A connection whose pulse is taken.
pub(super) struct Pulsing<IO> {
    io: IO,
    heard: Arc<Mutex<Instant>>,
}

impl Pulse {
    pub(super) fn take<IO>(io: IO) -> (Pulsing<IO>, Self) {
        let heard = Arc::new(Mutex::new(Instant::now()));
        (Pulsing { io, heard: heard.clone() }, Self(heard))
    }

    /// Resolves when nothing has arrived for `span`. One timer, set again only when it fires.
    pub(super) async fn silent_for(self, span: Duration) {
        loop {
            let dead = *self.0.lock().unwrap_or_else(PoisonError::into_inner) + span;
            if dead <= Instant::now() {
                return;
            }
            sleep_until(dead).await;
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Pulsing<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if polled.is_ready() {
            *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        polled
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Pulsing<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_line_is_silent_only_some_time_after_its_last_byte() {
        let span = Duration::from_millis(50);
        let (mut far, near) = duplex(64);
        let (mut near, pulse) = Pulse::take(near);
        let mut silent = Box::pin(pulse.silent_for(span));
        let mut last = Instant::now();
        for _ in 0..3 {
            assert!(tokio::time::timeout(span / 2, &mut silent).await.is_err());
            far.write_all(b"ping").await.unwrap();
            last = Instant::now();
            near.read_exact(&mut [0; 4]).await.unwrap();
        }
        silent.await;
        assert!(last.elapsed() >= span);
    }
}
