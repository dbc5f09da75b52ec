//! A DNS server for TXT records alone (RFC 1035), which tells what a test's zone holds at that moment.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::net::UdpSocket;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What a zone holds: the texts of a name, without a dot at its end.
pub type Zone = Arc<dyn Fn(&str) -> Vec<String> + Send + Sync>;

const TXT: [u8; 2] = [0, 16];
/// Of a query's header; its answer's is as long.
const HEADER: usize = 12;

/// The server; ends when dropped.
#[derive(Debug)]
pub struct Server {
    /// Where it listens, on loopback, UDP.
    pub addr: SocketAddr,
    _stop: DropGuard,
}

impl Server {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(zone: Zone) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.context("bind a port for DNS")?;
        let addr = socket.local_addr()?;
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(serve(socket, zone)));
        Ok(Self { addr, _stop: stop.drop_guard() })
    }
}

async fn serve(socket: UdpSocket, zone: Zone) {
    let mut query = [0; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut query).await {
        if let Some(said) = answer(&query[..length], &zone) {
            _ = socket.send_to(&said, from).await;
        }
    }
}

/// The answer to a query with one question; none where it is no such query.
fn answer(query: &[u8], zone: &Zone) -> Option<Vec<u8>> {
    let (name, end) = name(query)?;
    let question = query.get(HEADER..end + 4)?;
    let texts = if question.get(question.len() - 4..)?.starts_with(&TXT) { zone(&name) } else { Vec::new() };
    let count = u16::try_from(texts.len()).ok()?.to_be_bytes();
    // An answer, with authority; recursion as it was asked for; one question.
    let mut said =
        vec![query[0], query[1], 0x84 | (query[2] & 1), 0x80, 0, 1, count[0], count[1], 0, 0, 0, 0];
    said.extend(question);
    for text in texts {
        let length = u8::try_from(text.len()).ok()?;
        // The question's name, TXT, IN, good for no time at all.
        said.extend([0xc0, HEADER as u8, TXT[0], TXT[1], 0, 1, 0, 0, 0, 0, 0, length + 1, length]);
        said.extend(text.bytes());
    }
    Some(said)
}

/// The name in the question, in small letters, and where it ends.
fn name(query: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (Vec::new(), HEADER);
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join(".").to_lowercase(), at));
        }
        labels.push(String::from_utf8(query.get(at..at + length)?.to_vec()).ok()?);
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_with_the_texts_of_its_name() {
        let zone: Zone = Arc::new(|name| match name {
            "a.example" => vec!["one".to_owned(), "two".to_owned()],
            _ => Vec::new(),
        });
        let asked = |kind: u8| {
            let header = [7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            [&header[..], b"\x01A\x07example\x00\x00", &[kind], b"\x00\x01"].concat()
        };
        let said = answer(&asked(16), &zone).unwrap();
        assert_eq!(said[..8], [7, 9, 0x85, 0x80, 0, 1, 0, 2]);
        assert!(said.ends_with(b"\x00\x04\x03two"), "{said:?}");
        let other = answer(&asked(1), &zone).unwrap();
        assert_eq!((other.len(), other[7]), (asked(1).len(), 0));
        assert!(answer(b"no query", &zone).is_none());
    }
}
