//! Smuggling: requests that two servers could read differently go nowhere (RFC 9112 section 11.2).

use kit::origin::Origin;
use shared::id::HomeId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::door::{Door, PATIENCE};
use super::porch;

/// Sends raw bytes and returns all that comes back until the other side closes.
async fn raw(door: &Door, bytes: &str) -> String {
    let mut tcp = TcpStream::connect(door.addr).await.unwrap();
    tcp.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    _ = timeout(PATIENCE, tcp.read_to_end(&mut answer)).await.unwrap_or_else(|_| panic!("no end: {bytes:?}"));
    String::from_utf8_lossy(&answer).into_owned()
}

/// Two homes that must not be mixed up.
struct Street {
    door: Door,
    porch: Origin,
    attic: Origin,
    _agents: [super::door::Agent; 2],
}

impl Street {
    async fn build() -> Self {
        let (door, porch_origin, attic_origin) =
            (Door::open().await, Origin::start().await, Origin::start().await);
        let agents = [door.agent(porch(), &porch_origin).await, door.agent(attic(), &attic_origin).await];
        Self { door, porch: porch_origin, attic: attic_origin, _agents: agents }
    }

    /// Requests that have reached the porch and the attic.
    fn reached(&self) -> (u64, u64) {
        (self.porch.seen().requests, self.attic.seen().requests)
    }
}

fn attic() -> HomeId {
    HomeId::try_from(43).unwrap()
}

/// Sends each head (with `HERE` and `THERE` for the two hosts) and a body; all must be refused.
async fn refused(street: &Street, heads: &[&str], body: &str) {
    let (here, there) = (street.door.host(porch()), street.door.host(attic()));
    for head in heads {
        let head = head.replace("HERE", &here).replace("THERE", &there);
        let answer = raw(&street.door, &format!("{head}\r\nConnection: close\r\n\r\n{body}")).await;
        assert!(
            answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.0 400"),
            "{head:?}: {answer}"
        );
    }
    assert_eq!(street.reached(), (0, 0));
}

#[tokio::test]
async fn two_lengths_are_refused() {
    let street = Street::build().await;
    let heads = [
        "POST /upload HTTP/1.1\r\nHost: HERE\r\nContent-Length: 4\r\nContent-Length: 5",
        "POST /upload HTTP/1.1\r\nHost: HERE\r\nContent-Length: 4\r\nContent-Length: 4",
        "POST /upload HTTP/1.1\r\nHost: HERE\r\nContent-Length: 4, 4",
        "POST /upload HTTP/1.1\r\nHost: HERE\r\nContent-Length: +4",
        "POST /upload HTTP/1.1\r\nHost: HERE\r\nContent-Length : 4",
        "POST /upload HTTP/1.1\r\nHost: HERE\r\nContent-Length: 4\r\nTransfer-Encoding: chunked",
        "POST /upload HTTP/1.1\r\nHost: HERE\r\nTransfer-Encoding: chunked\r\nContent-Length: 4",
        "POST /upload HTTP/1.1\r\nHost: HERE\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "POST /upload HTTP/1.1\r\nHost: HERE\r\nTransfer-Encoding: chunked, identity",
        "POST /upload HTTP/1.1\r\nHost: HERE\r\nTransfer-Encoding: gzip, chunked",
        "POST /upload HTTP/1.0\r\nHost: HERE\r\nTransfer-Encoding: chunked",
    ];
    refused(&street, &heads, "0\r\n\r\n").await;
}

#[tokio::test]
async fn malformed_heads_are_refused() {
    let street = Street::build().await;
    let heads = [
        "GET /echo HTTP/1.1\r\nHost: HERE\r\nX-A: b\r\n c",
        "GET /echo HTTP/1.1\r\nHost: HERE\r\nX-A: b\0c",
        "GET /echo HTTP/1.1\r\nHost: HERE\r\nX-A: b\rX-B: c",
        "GET /echo\0 HTTP/1.1\r\nHost: HERE",
        "CONNECT HERE HTTP/1.1\r\nHost: HERE",
        "OPTIONS * HTTP/1.1\r\nHost: HERE",
    ];
    refused(&street, &heads, "").await;
}

#[tokio::test]
async fn two_hosts_are_refused() {
    let street = Street::build().await;
    let heads = [
        "GET http://THERE/echo HTTP/1.1\r\nHost: HERE",
        "GET /echo HTTP/1.1\r\nHost: HERE\r\nHost: THERE",
        "GET /echo HTTP/1.1\r\nHost: HERE\r\nHost: HERE",
        "GET /echo HTTP/1.1\r\nHost: home-42.x@THERE",
    ];
    refused(&street, &heads, "").await;
}

#[tokio::test]
async fn a_request_inside_a_body_stays_there() {
    let street = Street::build().await;
    let (here, there) = (street.door.host(porch()), street.door.host(attic()));
    let hidden = format!("GET /echo HTTP/1.1\r\nHost: {there}\r\n\r\n");
    let (length, next) =
        (hidden.len(), format!("GET /echo HTTP/1.1\r\nHost: {here}\r\nConnection: close\r\n\r\n"));
    for body in [
        format!("Content-Length: {length}\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{hidden}\r\n0\r\n\r\n"),
    ] {
        let answers =
            raw(&street.door, &format!("POST /upload HTTP/1.1\r\nHost: {here}\r\n{body}{next}")).await;
        assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    }
    assert_eq!(street.reached(), (4, 0));
}

#[tokio::test]
async fn other_upgrades_do_not_pass() {
    let street = Street::build().await;
    let here = street.door.host(porch());
    let h2c =
        "Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__";
    let answer = raw(&street.door, &format!("GET /echo HTTP/1.1\r\nHost: {here}\r\n{h2c}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!answer.contains("http2-settings") && !answer.contains("h2c"), "{answer}");
}

#[tokio::test]
async fn a_websocket_without_a_right_key_is_refused() {
    let street = Street::build().await;
    let here = street.door.host(porch());
    let upgrade = "Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13";
    for key in [
        "X-No: key",
        "Sec-WebSocket-Key: short",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 5",
    ] {
        let request = format!("GET /ws HTTP/1.1\r\nHost: {here}\r\n{upgrade}\r\n{key}\r\n\r\n");
        let answer = raw(&street.door, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{key}: {answer}");
    }
    assert_eq!(street.reached(), (0, 0));
}
