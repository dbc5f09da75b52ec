//! Benchmarks: the OAuth provider beside npm's oidc-provider, or the [direct tunnel](tunnel) beside a bare reverse
//! proxy, in the same run, server on core 0 and client on core 1. Machines are noisy: what counts are the ratios,
//! medians over paired rounds.
//!
//! Beside the providers stand two floors of ours, so that what is missed can be told from what nobody could reach: an answer
//! that does nothing (`/healthz`: the kernel, hyper and warp), and [SQLite alone](ceiling).

mod bare;
mod ceiling;
mod load;
mod servers;
mod tunnel;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use tokio::process::Command;

use load::{CONNECTIONS, Loaded, Measured, load};
use servers::{Asked, Broker, Peer, Server};

/// Token issue and introspection, ours against oidc-provider's; or the tunnel against a bare reverse proxy.
#[derive(Debug, Parser)]
#[command(name = "bench", after_help = "Exit codes: 0 measured, 1 could not measure.")]
struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// The folder with the broker and the agent to measure
    #[arg(long, global = true, default_value = "target/release", value_name = "FOLDER")]
    programs: PathBuf,
    /// Rounds, of which the median counts
    #[arg(long, global = true, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement
    #[arg(long, global = true, default_value_t = 4)]
    seconds: u64,
}

/// What to do other than the default.
#[derive(Debug, Subcommand)]
enum What {
    /// A home's direct tunnel beside a bare reverse proxy
    Tunnel,
    /// Serves as one of the two programs that are not ours, until stopped
    #[command(hide = true)]
    Serve {
        /// On this port of loopback
        port: u16,
        /// As a reverse proxy of that port; else as the origin
        to: Option<u16>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    kit::install_tls();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("{err:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    use tokio::runtime::Builder;
    // Who serves gets the runtime that any server has: as many threads as it has cores, which is one.
    let serves = matches!(arguments.what, Some(What::Serve { .. }));
    let mut builder = if serves { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    let runtime = builder.enable_all().build().context("make a runtime")?;
    runtime.block_on(async {
        match arguments.what {
            None => bench(arguments).await,
            Some(What::Tunnel) => tunnel::bench(arguments).await,
            Some(What::Serve { port, to }) => bare::serve(port, to).await,
        }
    })
}

/// Keeps this process, the client, on core 1.
async fn stay_on_core_1() -> Result<()> {
    let own = std::process::id().to_string();
    let pinned = Command::new("taskset").args(["-a", "-cp", "1", &own]).output().await;
    ensure!(pinned.is_ok_and(|done| done.status.success()), "taskset cannot keep this program on core 1");
    Ok(())
}

/// What is measured of each, in this order.
struct Column {
    name: &'static str,
    measured: Vec<Measured>,
}

async fn bench(arguments: &Arguments) -> Result<()> {
    stay_on_core_1().await?;
    let span = Duration::from_secs(arguments.seconds);
    let mut columns = [
        "peer, token, NORMAL",
        "peer, token, FULL",
        "peer, introspection",
        "ours, token, FULL",
        "ours, introspection",
        "ours, nothing",
    ]
    .map(|name| Column { name, measured: vec![] });
    let mut ceilings = vec![];
    let folder = tempfile::Builder::new().prefix("latchkey-bench-").tempdir()?;
    for round in 0..arguments.rounds {
        let place = |name: &str| folder.path().join(format!("{name}-{round}"));
        let normal = Peer::start(&place("normal"), "NORMAL").await?;
        let token = load_one(&normal, Asked::Token, span).await?;
        let introspection = load_one(&normal, Asked::Introspection, span).await?;
        drop(normal);
        let full = Peer::start(&place("full"), "FULL").await?;
        let durable = load_one(&full, Asked::Token, span).await?;
        drop(full);
        let broker = Broker::start(&place("broker"), &arguments.programs).await?;
        let ours = load_one(&broker, Asked::Token, span).await?;
        let ours_introspection = load_one(&broker, Asked::Introspection, span).await?;
        let nothing = load_one(&broker, Asked::Nothing, span).await?;
        drop(broker);
        ceilings.push(ceiling::rows_a_second(&place("ceiling"), span)?);
        let all = [token, durable, introspection, ours, ours_introspection, nothing];
        columns.iter_mut().zip(all).for_each(|(column, measured)| column.measured.push(measured));
    }
    tell(&columns, &ceilings);
    Ok(())
}

async fn load_one(server: &impl Server, asked: Asked, span: Duration) -> Result<Measured> {
    let request = server.request(asked).await?;
    let (port, processes) = (server.port(), [server.process()]);
    let loaded = Loaded { port, processes: &processes, request: &request, connections: CONNECTIONS };
    load(&loaded, span).await
}

fn tell(columns: &[Column; 6], ceilings: &[f64]) {
    println!("one core, {CONNECTIONS} connections, medians of {} rounds", columns[0].measured.len());
    for column in columns {
        let (rate, cpu) = (median(column, |one| one.rate), median(column, |one| one.cpu));
        println!("{:<22} {rate:>8.0} /s {cpu:>8.1} µs of CPU each", column.name);
    }
    let [normal, full, introspection, ours, ours_introspection, nothing] = columns;
    let goal = |what: &str, ratio: f64, limit: f64, at_most: bool| {
        let reached = if at_most { ratio <= limit } else { ratio >= limit };
        let sign = if at_most { "≤" } else { "≥" };
        println!("{} {what}: {ratio:.3} (goal {sign} {limit})", if reached { "reached" } else { "MISSED " });
    };
    // Each round's pair stands for itself: what slows the machine down slows both.
    let cpu = |one: &Measured| one.cpu;
    let rate = |one: &Measured| one.rate;
    goal("8, CPU of a token, ours at FULL to the peer's at NORMAL", ratio(ours, normal, cpu), 0.10, true);
    goal("8, tokens a second at FULL, ours to the peer's", ratio(ours, full, rate), 20.0, false);
    goal(
        "9, CPU of an introspection, ours to the peer's",
        ratio(ours_introspection, introspection, cpu),
        0.06,
        true,
    );
    println!("SQLite alone, {CONNECTIONS} rows a transaction, FULL: {:.0} /s", middle(ceilings.to_vec()));
    let of_ceiling = ours.measured.iter().zip(ceilings).map(|(ours, ceiling)| ours.rate / ceiling);
    println!("        tokens a second, ours to SQLite alone: {:.3}", middle(of_ceiling.collect()));
    let floor = ratio(nothing, introspection, cpu);
    println!("        CPU of an answer that does nothing, ours to the peer's introspection: {floor:.3}");
}

fn median(column: &Column, of: impl Fn(&Measured) -> f64) -> f64 {
    middle(column.measured.iter().map(of).collect())
}

fn ratio(ours: &Column, theirs: &Column, of: impl Fn(&Measured) -> f64) -> f64 {
    middle(ours.measured.iter().zip(&theirs.measured).map(|(ours, theirs)| of(ours) / of(theirs)).collect())
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
