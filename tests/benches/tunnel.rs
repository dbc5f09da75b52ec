//! The direct tunnel beside a bare reverse proxy, both in front of the same origin and on the same core.
//!
//! | way | client → | → origin |
//! |---|---|---|
//! | ours | broker → line → agent | HTTP/1.1 |
//! | bare | hyper's client and server in one process | HTTP/1.1 |
//!
//! Ours has two programs and a connection more than the bare one: that is what a tunnel is. What it costs beyond
//! is what we can make smaller.

use std::path::Path;
use std::time::Duration;

use agent::app::How;
use anyhow::{Context, Result, ensure};
use kit::agents;
use kit::process::{Process, free_port};
use kit::until::within;
use nix::sys::signal::Signal;

use crate::bare::{LARGE, LARGE_BYTES, SMALL};
use crate::load::{CONNECTIONS, Loaded, Measured, get, load, once};
use crate::servers::{Broker, Server as _, on_core_0, until_open};
use crate::{Arguments, middle, stay_on_core_1};

/// The home's name, and so the first label of its host.
const HOME: &str = "bench";
/// Downloads at once, where there are many.
const DOWNLOADS: usize = 8;
/// What is asked, and on how many connections.
const ASKED: [(&str, &str, usize); 3] =
    [("small", SMALL, CONNECTIONS), ("8 MB, one", LARGE, 1), ("8 MB, eight", LARGE, DOWNLOADS)];

/// One way to the origin.
struct Way {
    name: &'static str,
    /// What the client connects to.
    port: u16,
    host: String,
    /// What works for it, the origin last.
    processes: Vec<u32>,
    works: &'static [&'static str],
    /// For each of [`ASKED`], one of each round.
    measured: [Vec<Measured>; ASKED.len()],
}

/// Measures both ways in turn, and tells.
///
/// # Errors
/// When a program is not there or does not come up, or an answer is not 200.
pub async fn bench(arguments: &Arguments) -> Result<()> {
    stay_on_core_1().await?;
    let folder = tempfile::Builder::new().prefix("latchkey-bench-").tempdir()?;
    let (origin, origin_port) = start_bare("the origin", folder.path(), None).await?;
    let (proxy, proxy_port) = start_bare("the proxy", folder.path(), Some(origin_port)).await?;
    let broker = Broker::start(&folder.path().join("broker"), &arguments.programs).await?;
    let agent = start_agent(&broker, folder.path(), &arguments.programs, origin_port).await?;
    let way = |name, port, host, processes, works| Way {
        name,
        port,
        host,
        processes,
        works,
        measured: Default::default(),
    };
    let home = format!("{HOME}.localhost:{}", broker.port());
    let mut ours = way(
        "tunnel",
        broker.port(),
        home,
        vec![broker.process(), agent.id(), origin.id()],
        &["broker", "agent", "origin"],
    );
    let bare_host = format!("127.0.0.1:{proxy_port}");
    let mut bare =
        way("bare proxy", proxy_port, bare_host, vec![proxy.id(), origin.id()], &["proxy", "origin"]);
    let alone_host = format!("127.0.0.1:{origin_port}");
    let mut alone = way("origin alone", origin_port, alone_host, vec![origin.id()], &["origin"]);
    let span = Duration::from_secs(arguments.seconds);
    for _ in 0..arguments.rounds {
        for (at, (_, path, connections)) in ASKED.into_iter().enumerate() {
            for way in [&mut ours, &mut bare, &mut alone] {
                let request = get(path, &way.host);
                let (port, processes) = (way.port, way.processes.as_slice());
                let loaded = Loaded { port, processes, request: &request, connections };
                let measured = load(&loaded, span).await;
                way.measured[at].push(measured.with_context(|| format!("{}, {path}", way.name))?);
            }
        }
    }
    tell(&ours, &bare, &alone);
    Ok(())
}

/// Starts this very program as the origin, or as the proxy of a port, and waits until it listens.
async fn start_bare(name: &str, folder: &Path, to: Option<u16>) -> Result<(Process, u16)> {
    let (own, port) = (std::env::current_exe().context("where this program lies")?, free_port()?);
    let mut command = on_core_0(&own);
    command.arg("serve").arg(port.to_string()).args(to.map(|to| to.to_string()));
    let mut process = Process::start(name, &mut command, &folder.join("bare.log"), Signal::SIGTERM)?;
    until_open(port, &mut process).await?;
    Ok((process, port))
}

/// Pairs an agent with a home of the broker's owner, starts its program, and waits until the origin answers at the
/// home's own address. What stands behind it is no Home Assistant, which the tunnel does not ask for.
async fn start_agent(broker: &Broker, folder: &Path, programs: &Path, origin: u16) -> Result<Process> {
    let (issuer, origin) =
        (format!("http://localhost:{}", broker.port()), format!("http://127.0.0.1:{origin}"));
    let settings = agents::settings(&folder.join("agent"), &issuer, (&origin, "there is nobody to ask"))?;
    agents::pair(&settings, How::Browser, &broker.owner, HOME).await?;
    let program = programs.join("latchkey-agent");
    let there = program.is_file();
    ensure!(there, "{} is not there: cargo build --release -p latchkey-agent", program.display());
    let mut command = on_core_0(&program);
    command.args(["run", "--memory", "file", "--home-assistant", &origin, "--data-dir"]);
    command.arg(&settings.data_dir);
    let log = folder.join("agent.log");
    let mut agent = Process::start("the agent", &mut command, &log, Signal::SIGTERM)?;
    let (port, request) = (broker.port(), get(SMALL, &format!("{HOME}.localhost:{}", broker.port())));
    within(Duration::from_secs(30), "the origin to answer through the tunnel", || {
        let (alive, request) = (agent.check(), &request);
        async move {
            alive?;
            once(port, request).await
        }
    })
    .await?;
    Ok(agent)
}

fn tell(ours: &Way, bare: &Way, alone: &Way) {
    println!("one core for all servers, medians of {} rounds", ours.measured[0].len());
    for (at, (what, path, connections)) in ASKED.into_iter().enumerate() {
        println!("{what} ({connections} at once)");
        for way in [ours, bare, alone] {
            let of = |of: fn(&Measured) -> f64| middle(way.measured[at].iter().map(of).collect());
            let speed = if path == LARGE {
                format!("{:>8.0} MB/s", of(|one| one.bytes) / 1e6)
            } else {
                format!("{:>8.0} /s", of(|one| one.rate))
            };
            let parts = way.works.iter().enumerate().map(|(part, name)| {
                let cpu = middle(way.measured[at].iter().map(|one| one.each[part]).collect());
                format!("{name} {cpu:.0}")
            });
            let (p50, p99, cpu) = (of(|one| one.p50), of(|one| one.p99), of(|one| one.cpu));
            let parts = parts.collect::<Vec<_>>().join(", ");
            println!(
                "  {:<14} {speed}  p50 {p50:>7.2} ms  p99 {p99:>7.2} ms  {cpu:>7.0} µs of CPU each ({parts})",
                way.name
            );
        }
        // Each round's pair stands for itself: what slows the machine down slows both.
        let ratio = |of: fn(&Measured) -> f64| {
            let pairs = ours.measured[at].iter().zip(&bare.measured[at]);
            middle(pairs.map(|(ours, bare)| of(ours) / of(bare)).collect())
        };
        println!(
            "  tunnel / bare  rate {:.3}  p50 {:.2}  p99 {:.2}  CPU {:.2}",
            ratio(|one| one.rate),
            ratio(|one| one.p50),
            ratio(|one| one.p99),
            ratio(|one| one.cpu)
        );
    }
    println!("a download is {LARGE_BYTES} bytes; {}", load_of_machine());
}

/// How busy the machine was: figures of a machine that others use mean little.
fn load_of_machine() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let last = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    format!("load of this machine over 1, 5 and 15 minutes: {last}")
}
