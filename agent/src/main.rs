//! The agent's command line: arguments, logging, settings, one command, exit code.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use agent::app::install::Wish;
use agent::app::{self, How};
use agent::config::{self, Cli, Command, OfCloudflared, Settings};
use agent::net;
use anyhow::{Context, Result};
use clap::Parser;
use tokio::runtime::{Builder, Runtime};
use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

/// Wrong usage; clap uses the same code.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let Cli { common, command } = Cli::parse();
    // An error means that there is one already, which is as good.
    _ = net::provider().install_default();
    log_to_stderr();
    let settings = match Settings::read(common) {
        Ok(settings) => settings,
        Err(err) => return complain(&err, USAGE),
    };
    match start_runtime().and_then(|runtime| {
        let outcome = runtime.block_on(obey(settings, command));
        // A keyring that never answers must not keep the process.
        runtime.shutdown_timeout(Duration::from_secs(1));
        outcome
    }) {
        Ok(code) => code,
        Err(err) => complain(&err, app::exit_code(&err)),
    }
}

async fn obey(settings: Settings, command: Command) -> Result<ExitCode> {
    let out = &mut io::stdout();
    match command {
        Command::Pair { browser } => {
            app::pair(&settings, if browser { How::Browser } else { How::Device }, out).await?;
        }
        Command::Run => app::run(settings).await?,
        Command::Status { json } => {
            return Ok(ended(app::status(&settings, json, out).await?));
        }
        Command::Doctor { json } => return Ok(ended(app::doctor(&settings, json, out).await?)),
        Command::Sharing { what } => app::set_sharing(&settings, what, out)?,
        Command::Logout => app::logout(&settings, out).await?,
        Command::Cloudflared { what: OfCloudflared::Install { version, sha256, from } } => {
            app::install::install(&settings, Wish { version, sha256, from }, out).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn ended(well: bool) -> ExitCode {
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn start_runtime() -> Result<Runtime> {
    // Two threads: the agent waits far more than it works, and a Raspberry Pi has better uses for four.
    Builder::new_multi_thread().worker_threads(2).enable_all().build().context("start the runtime")
}

fn log_to_stderr() {
    let filter = EnvFilter::try_new(config::log_filter()).unwrap_or_else(|_| EnvFilter::new("info"));
    // At its most talkative this library writes down what it sends, bearer tokens included.
    let quiet = filter_fn(|what| *what.level() < Level::TRACE || !what.target().starts_with("tungstenite"));
    let lines = fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(io::stderr);
    // Filters of the whole, not of the layer: a layer's own loses lines where a library only asks whether it may log.
    tracing_subscriber::registry().with(filter).with(quiet).with(lines).init();
}

fn complain(err: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("latchkey-agent: {err:#}");
    ExitCode::from(code)
}
