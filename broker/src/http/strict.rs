//! Refuses requests whose body has two lengths, before the HTTP server resolves the contradiction.
//!
//! hyper follows RFC 9112 section 6.3: with `Transfer-Encoding` and `Content-Length` the chunks win, and equal
//! lengths count once. That is safe here, because requests are re-framed on their way down, but nobody
//! honest sends such a request, and whoever stood in front of us may have read it differently. By the time
//! a handler sees the headers the contradiction is gone, so it must be caught on the wire.
//!
//! Invariant: bytes pass unchanged, except that the end of a contradicting header line becomes a zero byte,
//! to which the server behind answers 400 and closes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The part of a line that is remembered. The lines that matter are far shorter.
const LINE: usize = 128;

/// An accepted connection on which HTTP/1.1 requests arrive; HTTP/2 and upgraded connections pass freely.
pub struct Strict<IO> {
    io: IO,
    framing: Framing,
}

impl<IO> Strict<IO> {
    /// Wraps a connection before its first byte was read.
    pub fn new(io: IO) -> Self {
        Self { io, framing: Framing::default() }
    }
}

/// What the next byte belongs to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    #[default]
    RequestLine,
    Header,
    Body(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    /// No HTTP/1.1 any more, or refused.
    Free,
}

/// Follows the requests on one connection.
#[derive(Default)]
struct Framing {
    at: At,
    line: Vec<u8>,
    length: Option<u64>,
    chunked: bool,
}

/// A header line that must not stand.
struct Contradiction;

impl Framing {
    /// Looks at what has arrived.
    fn follow(&mut self, bytes: &mut [u8]) {
        let mut next = 0;
        while next < bytes.len() && self.at != At::Free {
            let rest = &mut bytes[next..];
            match &mut self.at {
                At::Body(left) | At::Chunk(left) => {
                    let skipped = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= skipped as u64;
                    next += skipped;
                    self.at = match self.at {
                        At::Body(0) => At::RequestLine,
                        At::Chunk(0) => At::ChunkEnd,
                        inside => inside,
                    };
                }
                _ => {
                    let end = rest.iter().position(|&byte| byte == b'\n');
                    let part = &rest[..end.unwrap_or(rest.len())];
                    self.line.extend_from_slice(&part[..part.len().min(LINE - self.line.len().min(LINE))]);
                    let Some(end) = end else { return };
                    if let Err(Contradiction) = self.end_of_line() {
                        rest[end] = 0;
                        self.at = At::Free;
                    }
                    self.line.clear();
                    next += end + 1;
                }
            }
        }
    }

    fn end_of_line(&mut self) -> Result<(), Contradiction> {
        let line = std::mem::take(&mut self.line);
        let whole = line.len() < LINE;
        let text = line.trim_ascii_end();
        self.at = match self.at {
            At::RequestLine if text.is_empty() => At::RequestLine,
            At::RequestLine if text == b"PRI * HTTP/2.0" => At::Free,
            At::RequestLine => {
                (self.length, self.chunked) = (None, false);
                At::Header
            }
            At::Header if text.is_empty() => match self.length {
                _ if self.chunked => At::ChunkSize,
                None | Some(0) => At::RequestLine,
                Some(length) => At::Body(length),
            },
            At::Header => {
                self.header(text, whole)?;
                At::Header
            }
            At::ChunkSize => match chunk_size(text).ok_or(Contradiction)? {
                0 => At::Trailer,
                size => At::Chunk(size),
            },
            At::ChunkEnd => At::ChunkSize,
            At::Trailer if text.is_empty() => At::RequestLine,
            elsewhere => elsewhere,
        };
        self.line = line;
        Ok(())
    }

    fn header(&mut self, line: &[u8], whole: bool) -> Result<(), Contradiction> {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { return Ok(()) };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let said_before = self.chunked || self.length.is_some();
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = number(value, 10).filter(|_| whole && !said_before);
            self.length = Some(length.ok_or(Contradiction)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = whole && !said_before && value.eq_ignore_ascii_case(b"chunked");
            return if self.chunked { Ok(()) } else { Err(Contradiction) };
        }
        Ok(())
    }

    /// Looks at what is answered: after a 101 the connection is no longer ours to read.
    fn answered(&mut self, bytes: &[u8]) {
        if self.at == At::RequestLine && bytes.starts_with(b"HTTP/1.1 101") {
            self.at = At::Free;
        }
    }
}

/// The size of a chunk, without its extensions.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let size = line.split(|&byte| byte == b';').next()?;
    number(size.trim_ascii_end(), 16)
}

/// Digits only: Rust's own parsing would also take a sign.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    let only_digits = text.chars().all(|digit| digit.is_digit(radix));
    u64::from_str_radix(text, radix).ok().filter(|_| only_digits)
}

impl<IO: AsyncRead + Unpin> AsyncRead for Strict<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.framing.follow(&mut buf.filled_mut()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Strict<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.framing.answered(buf);
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(first) = bufs.iter().find(|buf| !buf.is_empty()) {
            self.framing.answered(first);
        }
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
    use super::*;

    /// Feeds `bytes` in pieces of every size; whether they passed unchanged, and where the reader is then.
    fn follow(bytes: &str) -> (bool, At) {
        let mut seen = Vec::new();
        for size in 1..=bytes.len() {
            let mut framing = Framing::default();
            let mut passed = bytes.as_bytes().to_vec();
            passed.chunks_mut(size).for_each(|piece| framing.follow(piece));
            seen.push((passed == bytes.as_bytes(), framing.at));
        }
        assert!(seen.windows(2).all(|two| two[0] == two[1]), "pieces matter: {bytes:?} {seen:?}");
        seen[0]
    }

    #[test]
    fn honest_requests_pass_one_after_the_other() {
        let requests = [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 31\r\n\r\nContent-Length: 1\r\nContent-Length",
            "\r\nPOST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\n\r\n\r\n:\r\n0A\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
            "GET / HTTP/1.1\nHost: bare-newlines\n\n",
        ];
        for request in requests {
            assert_eq!(follow(request), (true, At::RequestLine), "{request:?}");
        }
        assert_eq!(follow(&requests.concat()), (true, At::RequestLine));
    }

    #[test]
    fn contradictions_do_not_pass() {
        for lines in [
            "Content-Length: 4\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nX: y\r\nContent-Length: 4",
            "Content-Length: 4\r\ncontent-length: 4",
            "Content-Length: 4\r\nContent-Length: 5",
            "Content-Length: 4, 4",
            "Content-Length: +4",
            "Content-Length:",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: \x0bchunked",
        ] {
            let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
            assert_eq!(follow(&request), (false, At::Free), "{lines:?}");
        }
        let long = format!("POST / HTTP/1.1\r\nTransfer-Encoding: {}chunked\r\n\r\n", " ".repeat(LINE));
        assert_eq!(follow(&long), (false, At::Free));
    }

    #[test]
    fn what_is_no_longer_http_1_is_let_be() {
        assert_eq!(follow("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), (true, At::Free));
        let mut framing = Framing::default();
        framing.follow(&mut b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n".to_vec());
        framing.answered(b"HTTP/1.1 101 Switching Protocols\r\n");
        assert_eq!(framing.at, At::Free);
    }
}
