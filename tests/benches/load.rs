//! Load: one HTTP request over and over on many connections, and what it costs the server.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connections at once.
pub const CONNECTIONS: usize = 64;

/// What came of a load.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Answers a second.
    pub rate: f64,
    /// The server's processor time for one answer, in microseconds.
    pub cpu: f64,
}

/// A form with Basic credentials, as bytes of HTTP/1.1.
pub fn form(port: u16, path: &str, (id, secret): (&str, &str), body: &str) -> Vec<u8> {
    let credentials = BASE64_STANDARD.encode(format!("{id}:{secret}"));
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Basic {credentials}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends a request once; the answer's body.
pub async fn once(port: u16, request: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let mut buffer = vec![];
    let (head, body) = exchange(&mut stream, request, &mut buffer).await?;
    Ok(String::from_utf8_lossy(&buffer[head..head + body]).into_owned())
}

/// Keeps all connections busy for a while, after a second of warming up.
pub async fn load(port: u16, process: u32, request: &[u8], span: Duration) -> Result<Measured> {
    run(port, request, Duration::from_secs(1)).await?;
    let (before, began) = (processor_time(process)?, Instant::now());
    let answers = run(port, request, span).await?;
    let (spent, took) = (processor_time(process)? - before, began.elapsed());
    let answers = answers as f64;
    Ok(Measured { rate: answers / took.as_secs_f64(), cpu: spent.as_secs_f64() * 1e6 / answers })
}

async fn run(port: u16, request: &[u8], span: Duration) -> Result<usize> {
    let until = Instant::now() + span;
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let request = request.to_vec();
        connections.spawn(async move {
            let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
            stream.set_nodelay(true)?;
            let (mut answers, mut buffer) = (0, Vec::with_capacity(4096));
            while Instant::now() < until {
                exchange(&mut stream, &request, &mut buffer).await?;
                answers += 1;
            }
            anyhow::Ok(answers)
        });
    }
    let mut answers = 0;
    while let Some(connection) = connections.join_next().await {
        answers += connection??;
    }
    Ok(answers)
}

/// One request and its answer, which stays in the buffer: the lengths of its head and of its body.
async fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> Result<(usize, usize)> {
    buffer.clear();
    stream.write_all(request).await?;
    loop {
        ensure!(stream.read_buf(buffer).await? > 0, "the server hung up");
        let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end])?;
        if !head.starts_with("HTTP/1.1 200") {
            bail!("the server said: {}", String::from_utf8_lossy(buffer));
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let length = length.context("an answer without a length")?;
        if buffer.len() >= end + 4 + length {
            return Ok((end + 4, length));
        }
    }
}

/// What all threads of a process have run, by the scheduler's count (proc(5), `schedstat`).
fn processor_time(process: u32) -> Result<Duration> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{process}/task")).context("the server is gone")?.flatten() {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or_default();
    }
    Ok(Duration::from_nanos(nanoseconds))
}
