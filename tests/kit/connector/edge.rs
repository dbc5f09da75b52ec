//! Its connection to the edge: once connected it tries for ever, whatever is wrong; refused as unauthorized, too.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::program::{HURRY, Shared, end};
use super::say;

/// A QUIC handshake that nobody answers is given up after so long.
const QUIC: Duration = Duration::from_secs(5);

pub async fn connect(shared: Arc<Shared>) {
    let mut tries = 0;
    let mut was_in = false;
    loop {
        let wants_quic = shared.protocol != "http2";
        if wants_quic && shared.orders.borrow().no_quic {
            sleep(QUIC.mul_f64(HURRY)).await;
            let why = "failed to dial to edge with quic: timeout: no recent network activity";
            say::error("Failed to dial a quic connection", why, json!({"connIndex": 0}));
        } else if let Some(refused) = session(&shared, &mut was_in, &mut tries).await {
            let more = json!({"connIndex": 0, "event": 0, "ip": "127.0.0.1"});
            say::error("Register tunnel error from server side", &refused, more);
            if !was_in && !refused.starts_with("Unauthorized") {
                say::error("initial tunnel connection failed", &refused, json!({}));
                end(1, &refused);
            }
        }
        tries += 1;
        let most = Duration::from_secs(1 << tries.min(6));
        say::info(&format!("Retrying connection in up to {most:?}"), json!({"connIndex": 0}));
        sleep(most.mul_f64(HURRY)).await;
    }
}

/// One connection, to its end; what the edge said if it let nobody in.
async fn session(shared: &Shared, was_in: &mut bool, tries: &mut u32) -> Option<String> {
    let edge = shared.orders.borrow().edge?;
    let Ok(mut socket) = TcpStream::connect(edge).await else {
        let why = "DialContext error: connect: connection refused";
        say::error("Unable to establish connection with Cloudflare edge", why, json!({"connIndex": 0}));
        return None;
    };
    let (from, mut to) = socket.split();
    let hello = format!("{}\n", json!({"token": shared.token}));
    to.write_all(hello.as_bytes()).await.ok()?;
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        if let Some(refused) = said["error"].as_str() {
            return Some(refused.to_owned());
        }
        if said["connector"].is_string() {
            (*was_in, *tries) = (true, 0);
            let protocol = if shared.protocol == "http2" { "http2" } else { "quic" };
            for index in 0..4 {
                let more = json!({"connIndex": index, "connection": said["connector"], "event": 0,
                    "ip": "127.0.0.1", "location": "sim01", "protocol": protocol});
                say::info("Registered tunnel connection", more);
            }
            shared.ready.store(4, Ordering::Relaxed);
        }
        if let Some(version) = said["version"].as_i64() {
            let config = said["config"].clone();
            let more = json!({"version": version, "config": config.to_string()});
            *shared.config.lock().expect("nobody panics holding it") = (version, config);
            say::info("Updated to new configuration", more);
        }
    }
    shared.ready.store(0, Ordering::Relaxed);
    say::error("Connection terminated", "connection with edge closed", json!({"connIndex": 0}));
    None
}
