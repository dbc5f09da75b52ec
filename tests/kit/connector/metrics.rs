//! Its metrics server: `/ready` and `/config`, on loopback.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::program::Shared;
use super::say;

pub async fn serve(shared: Arc<Shared>, late: Duration) {
    sleep(late).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    say::info(&format!("Starting metrics server on {address}/metrics"), json!({}));
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(answer(socket, shared.clone()));
    }
}

async fn answer(mut socket: TcpStream, shared: Arc<Shared>) -> std::io::Result<()> {
    let (from, mut to) = socket.split();
    let mut lines = BufReader::new(from).lines();
    let request = lines.next_line().await?.unwrap_or_default();
    while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
    if shared.orders.borrow().hangs {
        std::future::pending::<()>().await;
    }
    let (status, body) = match request.split(' ').nth(1) {
        Some("/ready") => {
            let ready = shared.ready.load(Ordering::Relaxed);
            let status = if ready > 0 { 200 } else { 503 };
            (status, json!({"status": status, "readyConnections": ready, "connectorId": "c"}))
        }
        Some("/config") => {
            let (version, config) = shared.config.lock().expect("nobody panics holding it").clone();
            (200, json!({"version": version, "config": config}))
        }
        _ => (404, json!({})),
    };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} -\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    to.write_all((head + &body).as_bytes()).await?;
    to.shutdown().await
}
