//! Benchmarks: the OAuth provider beside npm's oidc-provider, in the same run, server on core 0 and client on
//! core 1. Machines are noisy: what counts are the ratios, medians over paired rounds.

mod load;
mod servers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use tokio::process::Command;

use load::{CONNECTIONS, Measured, load};
use servers::{Asked, Broker, Peer, Server};

/// Token issue and introspection, ours against oidc-provider's.
#[derive(Debug, Parser)]
#[command(name = "bench", after_help = "Exit codes: 0 measured, 1 could not measure.")]
struct Arguments {
    /// The folder with the broker to measure
    #[arg(long, default_value = "target/release", value_name = "FOLDER")]
    programs: PathBuf,
    /// Rounds, of which the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 4)]
    seconds: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    kit::install_tls();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.context("make a runtime").and_then(|runtime| runtime.block_on(bench(&arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("{err:#}");
            ExitCode::FAILURE
        }
    }
}

/// What is measured of each, in this order.
struct Column {
    name: &'static str,
    measured: Vec<Measured>,
}

async fn bench(arguments: &Arguments) -> Result<()> {
    let own = std::process::id().to_string();
    let pinned = Command::new("taskset").args(["-a", "-cp", "1", &own]).output().await;
    ensure!(pinned.is_ok_and(|done| done.status.success()), "taskset cannot keep this program on core 1");
    let span = Duration::from_secs(arguments.seconds);
    let mut columns = [
        "peer, token, NORMAL",
        "peer, token, FULL",
        "peer, introspection",
        "ours, token, FULL",
        "ours, introspection",
    ]
    .map(|name| Column { name, measured: vec![] });
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
        let all = [token, durable, introspection, ours, ours_introspection];
        columns.iter_mut().zip(all).for_each(|(column, measured)| column.measured.push(measured));
    }
    tell(&columns);
    Ok(())
}

async fn load_one(server: &impl Server, asked: Asked, span: Duration) -> Result<Measured> {
    let request = server.request(asked).await?;
    load(server.port(), server.process(), &request, span).await
}

fn tell(columns: &[Column; 5]) {
    println!("one core, {CONNECTIONS} connections, medians of {} rounds", columns[0].measured.len());
    for column in columns {
        let (rate, cpu) = (median(column, |one| one.rate), median(column, |one| one.cpu));
        println!("{:<22} {rate:>8.0} /s {cpu:>8.1} µs of CPU each", column.name);
    }
    let [normal, full, introspection, ours, ours_introspection] = columns;
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
