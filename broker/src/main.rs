//! The broker's program: arguments, logging, settings, the broker, signals, exit code.

use std::process::ExitCode;

use anyhow::Context as _;
use broker::clock::Clock;
use broker::config::{Cli, Command};
use broker::{app, commands};
use clap::Parser as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // One crypto provider for everything, before anything could ask for one.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("latchkey-broker: the crypto provider was installed twice");
        return ExitCode::FAILURE;
    }
    let filter = EnvFilter::builder().with_default_directive(Level::INFO.into()).from_env_lossy();
    // At its most talkative this library writes down what it sends and gets, tokens included.
    let quiet = filter_fn(|what| *what.level() < Level::TRACE || !what.target().starts_with("tungstenite"));
    let lines = fmt::layer().with_writer(std::io::stderr);
    // Filters of the whole, not of the layer: a layer's own loses lines where a library only asks whether it may log.
    tracing_subscriber::registry().with(filter).with(quiet).with(lines).init();
    raise_open_files();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("latchkey-broker: {err:#}");
            ExitCode::FAILURE
        }
    }
}

/// Every viewer is an open file, and the soft limit is often 1024: takes what the hard one allows.
fn raise_open_files() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(err) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(soft, hard, "raise the limit of open files: {err}");
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let settings = cli.settle()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    match cli.command.clone().unwrap_or(Command::Serve) {
        Command::Serve => runtime.block_on(serve(settings)),
        Command::Check => {
            println!("{settings:#?}");
            Ok(())
        }
        Command::Doctor { json } => {
            runtime.block_on(commands::doctor(&settings, Clock::new(), json, &mut std::io::stdout()))
        }
        Command::Sweep { dry_run } => {
            runtime.block_on(commands::sweep(&settings, Clock::new(), dry_run, &mut std::io::stdout()))
        }
        Command::Audit(command) => {
            runtime.block_on(commands::audit(&settings, command, &mut std::io::stdout()))
        }
        Command::Client(command) => {
            runtime.block_on(commands::client(&settings, Clock::new(), command, &mut std::io::stdout()))
        }
        Command::Keys(command) => {
            runtime.block_on(commands::keys(&settings, Clock::new(), command, &mut std::io::stdout()))
        }
        Command::User(command) => {
            runtime.block_on(commands::user(&settings, Clock::new(), command, &mut std::io::stdout()))
        }
    }
}

async fn serve(settings: broker::config::Settings) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let broker = app::start(settings).await?;
    if let Some(address) = &broker.first_run {
        println!(
            "There is no account yet. Make the first one here (this address works once):\n\n    {address}\n"
        );
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    broker.stop().await;
    Ok(())
}
