//! The stand-in itself: `cloudflared --version`, and `cloudflared tunnel … run --token-file FILE`, as it was recorded
//! of 2026.8.2.

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{interval, sleep};

use super::{Beside, Entry, Orders, Start, edge, metrics, say};

/// How often the orders are looked at.
const PACE: Duration = Duration::from_millis(10);
/// Waits are so much shorter than the real one's.
pub const HURRY: f64 = 0.1;

/// Flags that come with a value, and flags that come alone.
const VALUED: &[&str] = &[
    "--metrics",
    "--output",
    "--loglevel",
    "--grace-period",
    "--protocol",
    "--token-file",
    "--edge",
    "--cacert",
    "--region",
    "--edge-ip-version",
    "--label",
];
const ALONE: &[&str] = &["--no-autoupdate", "--no-prechecks", "--post-quantum"];

/// What all parts of a running one know.
pub struct Shared {
    /// What it is to do.
    pub orders: watch::Receiver<Orders>,
    /// Connections to the edge.
    pub ready: AtomicU32,
    /// The remote configuration and its version.
    pub config: Mutex<(i64, Value)>,
    /// How it was told to reach the edge.
    pub protocol: String,
    /// Which tunnel it runs.
    pub token: String,
}

/// What the program does.
pub fn main() {
    let arguments: Vec<String> = env::args().collect();
    let program = PathBuf::from(&arguments[0]);
    let beside = Beside::new(&program);
    let orders = beside.orders();
    if arguments.get(1).is_some_and(|word| word == "--version") {
        let version = orders.version.as_deref().unwrap_or("2026.8.2");
        println!("cloudflared version {version} (built 2026-08-12-1010 UTC)");
        return;
    }
    let flags = match read(&arguments[1..]) {
        Ok(flags) => flags,
        Err(unknown) => {
            // And ends well.
            eprintln!(
                "Incorrect Usage. flag provided but not defined: {unknown}\n\nNAME:\n   cloudflared tunnel"
            );
            return;
        }
    };
    let value = |name: &str| flags.iter().find(|(flag, _)| flag == name).map(|(_, value)| value.clone());
    let token_file = value("--token-file").unwrap_or_default();
    write_down(&beside, &arguments[1..], Path::new(&token_file));
    let token = match fs::read_to_string(&token_file) {
        Ok(token) => token.trim().to_owned(),
        Err(_) => {
            end(255, &format!("Failed to read token file: open {token_file}: no such file or directory"))
        }
    };
    if BASE64_STANDARD.decode(&token).is_err() {
        end(255, "Provided Tunnel token is not valid.\nSee 'cloudflared tunnel run --help'.");
    }
    let grace = value("--grace-period").and_then(|text| text.strip_suffix("ms")?.parse().ok());
    let grace = Duration::from_millis(grace.unwrap_or(30_000));
    let protocol = value("--protocol").unwrap_or_else(|| "auto".to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(run(beside, grace, protocol, token));
}

fn read(arguments: &[String]) -> Result<Vec<(String, String)>, String> {
    let mut flags = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if VALUED.contains(&word.as_str()) {
            flags.push((word.clone(), words.next().cloned().unwrap_or_default()));
        } else if word.starts_with('-') && !ALONE.contains(&word.as_str()) {
            return Err(format!("-{}", word.trim_start_matches('-')));
        }
    }
    Ok(flags)
}

fn write_down(beside: &Beside, arguments: &[String], token_file: &Path) {
    let mode = |path: &Path| fs::metadata(path).map_or(0, |file| file.permissions().mode() & 0o777);
    let home = env::var_os("HOME").unwrap_or_default();
    let in_home = fs::read_dir(home).into_iter().flatten().flatten();
    let start = Start {
        pid: std::process::id(),
        arguments: arguments.to_vec(),
        environment: env::vars().map(|(name, _)| name).collect(),
        home: in_home.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect(),
        modes: (mode(token_file), token_file.parent().map_or(0, mode)),
    };
    _ = beside.write(&Entry::Start(start));
}

/// Ends at once, with a last line.
pub fn end(code: i32, last: &str) -> ! {
    if !last.is_empty() {
        _ = writeln!(std::io::stderr(), "{last}");
    }
    exit(code)
}

async fn run(beside: Beside, grace: Duration, protocol: String, token: String) {
    let (orders, seen) = watch::channel(beside.orders());
    let began = beside.orders();
    if let Some((code, last)) = began.start {
        // No network: it gives up after 0.9 s.
        sleep(Duration::from_millis(900).mul_f64(HURRY)).await;
        say::error("Couldn't start tunnel", "", json!({}));
        end(code, &last);
    }
    let shared = Arc::new(Shared {
        orders: seen,
        ready: AtomicU32::new(0),
        config: Mutex::new((-1, json!({}))),
        protocol,
        token,
    });
    say::info("Version 2026.8.2", json!({}));
    tokio::spawn(metrics::serve(shared.clone(), Duration::from_millis(began.metrics_after)));
    tokio::spawn(edge::connect(shared.clone()));
    let flooding = shared.clone();
    std::thread::spawn(move || flood(&flooding));
    tokio::spawn(follow(beside.clone(), orders));
    obey_signals(&beside, &shared, grace).await;
}

/// Looks at the orders again and again.
async fn follow(beside: Beside, orders: watch::Sender<Orders>) {
    let mut tick = interval(PACE);
    loop {
        tick.tick().await;
        let now = beside.orders();
        if let Some(code) = now.exits {
            end(code, "");
        }
        orders.send_if_modified(|known| {
            let is_news = *known != now;
            *known = now;
            is_news
        });
    }
}

/// As with one edge address that refuses: no wait between two tries.
fn flood(shared: &Shared) {
    loop {
        if shared.orders.borrow().floods {
            let why = "DialContext error: dial tcp 127.0.0.1:7844: connect: connection refused";
            say::error("Unable to establish connection with Cloudflare edge", why, json!({"connIndex": 0}));
            say::info("Retrying connection in up to 1s", json!({"connIndex": 0}));
        } else {
            std::thread::sleep(PACE);
        }
    }
}

async fn obey_signals(beside: &Beside, shared: &Shared, grace: Duration) {
    let mut terminate = signal(SignalKind::terminate()).expect("listen for SIGTERM");
    let id = std::process::id();
    terminate.recv().await;
    _ = beside.write(&Entry::Asked(id));
    let twice = async {
        terminate.recv().await;
        _ = beside.write(&Entry::AskedTwice(id));
        exit(128 + 15);
    };
    let ending = async {
        say::info("Initiating graceful shutdown due to signal terminated ...", json!({}));
        let orders = shared.orders.borrow().clone();
        if orders.deaf {
            std::future::pending::<()>().await;
        }
        shared.ready.store(0, Ordering::Relaxed);
        // The edge closes its side at once, or not at all.
        sleep(if orders.slow { grace } else { Duration::from_millis(70) }).await;
        say::error("no more connections active and exiting", "", json!({}));
        exit(0);
    };
    tokio::join!(twice, ending);
}
