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
#[derive(Debug, Clone)]
pub struct Measured {
    /// Answers a second.
    pub rate: f64,
    /// The server's processor time for one answer, in microseconds; of all its processes together.
    pub cpu: f64,
    /// The same of each process, in the order they were given.
    pub each: Vec<f64>,
    /// Bytes of bodies a second.
    pub bytes: f64,
    /// How long an answer takes, in milliseconds: half of them, and 99 of 100, take no longer.
    pub p50: f64,
    /// See `p50`.
    pub p99: f64,
}

/// What is loaded.
pub struct Loaded<'a> {
    /// Its port on loopback.
    pub port: u16,
    /// The processes that do the work.
    pub processes: &'a [u32],
    /// The bytes to send, over and over.
    pub request: &'a [u8],
    /// On so many connections at once.
    pub connections: usize,
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

/// A request for a path of a host, as bytes of HTTP/1.1.
pub fn get(path: &str, host: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

/// Sends a request once; the answer's body.
pub async fn once(port: u16, request: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let mut buffer = vec![];
    let (head, body) = exchange(&mut stream, request, &mut buffer, Keep::All).await?;
    Ok(String::from_utf8_lossy(&buffer[head..head + body]).into_owned())
}

/// Keeps all connections busy for a while, after a second of warming up.
pub async fn load(loaded: &Loaded<'_>, span: Duration) -> Result<Measured> {
    run(loaded, Duration::from_secs(1)).await?;
    let times =
        || loaded.processes.iter().map(|process| processor_time(*process)).collect::<Result<Vec<_>>>();
    let (before, began) = (times()?, Instant::now());
    let Done { mut waited, bytes } = run(loaded, span).await?;
    let (after, took) = (times()?, began.elapsed().as_secs_f64());
    waited.sort_unstable();
    let answers = waited.len() as f64;
    let spent = after.iter().zip(before).map(|(after, before)| (*after - before).as_secs_f64() * 1e6);
    let each: Vec<f64> = spent.map(|spent| spent / answers).collect();
    let within =
        |share: usize| waited.get(waited.len() * share / 100).map_or(f64::NAN, |it| it.as_secs_f64() * 1e3);
    let (rate, cpu) = (answers / took, each.iter().sum());
    Ok(Measured { rate, cpu, each, bytes: bytes as f64 / took, p50: within(50), p99: within(99) })
}

/// What all connections did together.
#[derive(Default)]
struct Done {
    /// How long each answer took.
    waited: Vec<Duration>,
    /// Of all bodies.
    bytes: usize,
}

async fn run(loaded: &Loaded<'_>, span: Duration) -> Result<Done> {
    let until = Instant::now() + span;
    let mut connections = JoinSet::new();
    for _ in 0..loaded.connections {
        let (port, request) = (loaded.port, loaded.request.to_vec());
        connections.spawn(async move {
            let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
            stream.set_nodelay(true)?;
            let (mut done, mut buffer) = (Done::default(), Vec::with_capacity(256 << 10));
            let mut asked = Instant::now();
            while asked < until {
                done.bytes += exchange(&mut stream, &request, &mut buffer, Keep::Nothing).await?.1;
                let answered = Instant::now();
                done.waited.push(answered - asked);
                asked = answered;
            }
            anyhow::Ok(done)
        });
    }
    let mut all = Done::default();
    while let Some(connection) = connections.join_next().await {
        let done = connection??;
        all.waited.extend(done.waited);
        all.bytes += done.bytes;
    }
    Ok(all)
}

/// Whether a body is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    All,
    /// It is counted and thrown away: eight megabytes would only measure this machine's memory.
    Nothing,
}

/// One request and its answer, which stays in the buffer if it is kept: the lengths of its head and of its body.
async fn exchange(
    stream: &mut TcpStream,
    request: &[u8],
    buffer: &mut Vec<u8>,
    keep: Keep,
) -> Result<(usize, usize)> {
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
        let head = end + 4;
        while buffer.len() < head + length && keep == Keep::All {
            ensure!(stream.read_buf(buffer).await? > 0, "the server hung up");
        }
        let mut missing = (head + length).saturating_sub(buffer.len());
        while missing > 0 {
            buffer.clear();
            let read = stream.read_buf(buffer).await?;
            ensure!(read > 0, "the server hung up");
            missing = missing.saturating_sub(read);
        }
        return Ok((head, length));
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
