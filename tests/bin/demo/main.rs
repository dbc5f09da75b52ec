//! `cargo demo`: the whole product on this machine, in one command.
//!
//! A broker, a real Home Assistant (from PyPI, or the one that `HA_URL` and `HA_TOKEN` name) and an agent,
//! paired; one device shared with a guest; three addresses to open. Everything lies in one folder, and the next
//! start finds it there.

mod kept;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use agent::app::{Agent, How, NotYetPaired, Status};
use anyhow::{Context, Result, ensure};
use broker::app::Broker;
use clap::Parser;
use kit::home_assistant::{Client, HomeAssistant};
use kit::owner::{Identity, May, Owner};
use kit::visitor::Visitor;
use kit::{agents, process, world};
use tokio::signal::unix::{SignalKind, signal};

use kept::{Kept, Link};
use show::Shown;

const HOME_NAME: &str = "Canal House";
/// Where the broker listens unless somebody else does.
const PORT: u16 = 8420;
/// What can be shared for switching.
const DOMAINS: [&str; 3] = ["light.", "switch.", "fan."];

/// Starts Latchkey with a real Home Assistant on this machine, to be looked at.
#[derive(Debug, Parser)]
#[command(name = "cargo demo", bin_name = "cargo demo")]
struct Arguments {
    /// Where everything is kept [default: target/demo]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Where the broker listens [default: the port of last time, else 8420 or any free one]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Forget what is kept and start anew
    #[arg(long)]
    fresh: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    kit::install_tls();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    match runtime.block_on(demo(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("\ndemo: {err:#}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(arguments: &Arguments) -> Result<()> {
    let mut stop = signal(SignalKind::terminate())?;
    let folder = arguments.data.clone().unwrap_or_else(|| kit::target_folder().join("demo"));
    if arguments.fresh && folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("forget {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    log_to(&folder)?;
    // Dropping what has been started so far, on Ctrl-C, ends it.
    let running = tokio::select! {
        running = Running::start(&folder, arguments.port) => running?,
        _ = tokio::signal::ctrl_c() => return Ok(()),
        _ = stop.recv() => return Ok(()),
    };
    println!("{}", running.shown);
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = stop.recv() => {}
        () = running.agent.ended() => println!("the agent ended; the log is {}", log_file(&folder).display()),
    }
    println!("\nstopping");
    running.stop().await
}

/// Everything that runs.
struct Running {
    broker: Broker,
    agent: Agent,
    _home: HomeAssistant,
    shown: Shown,
}

impl Running {
    async fn start(folder: &Path, port: Option<u16>) -> Result<Self> {
        let mut kept = Kept::read(folder)?;
        let say = |line: &str| println!("  {line}");
        println!("starting Home Assistant");
        let home = HomeAssistant::given_or_start(&folder.join("home"), say).await?;
        kept.port = choose_port(port, kept.port)?;
        kept.write(folder)?;
        println!("starting the broker");
        let settings = world::broker_settings(&folder.join("broker"), kept.port, None)?;
        let broker = broker::app::start(settings).await?;
        let origin = broker.site.origin();
        let owner = owner(&broker, &kept.owner, &origin).await?;
        println!("starting the agent");
        let settings = agents::settings(&folder.join("agent"), &origin, (home.url(), home.token()))?;
        let (agent, status) = agent(settings, &owner).await?;
        let home_url = status.url.clone().context("the home has no address")?;
        let warning = prove(&home_url).await.err().map(|err| format!("{err:#}"));
        let link = link(&kept, &home.client(), &owner, &status).await?;
        kept.link = Some(link.clone());
        kept.write(folder)?;
        let password = home.is_ours().then_some(kit::home_assistant::OWNER);
        let shown =
            Shown { origin, owner: kept.owner, home_url, password, link, warning, folder: folder.into() };
        Ok(Self { broker, agent, _home: home, shown })
    }

    async fn stop(self) -> Result<()> {
        let ended = self.agent.stop().await;
        self.broker.stop().await;
        // Home Assistant ends as it is dropped.
        ended.context("the agent ended by itself")
    }
}

/// The account: made the first time, signed in after.
async fn owner(broker: &Broker, identity: &Identity, origin: &str) -> Result<Owner> {
    match &broker.first_run {
        Some(first_run) => Owner::make_first(first_run, identity.clone()).await,
        None => Owner::sign_in(origin, identity.clone()).await,
    }
}

/// The agent, online: paired the first time, and whenever its pairing was revoked.
async fn agent(settings: agent::config::Settings, owner: &Owner) -> Result<(Agent, Status)> {
    let started = match Agent::start(settings.clone()).await {
        Err(err) if err.is::<NotYetPaired>() => {
            agents::pair(&settings, How::Browser, owner, HOME_NAME).await?;
            Agent::start(settings).await?
        }
        started => started?,
    };
    let status = agents::until_online(&started).await?;
    Ok((started, status))
}

/// A request through the tunnel that reaches Home Assistant.
async fn prove(home_url: &str) -> Result<()> {
    let page = Visitor::new(home_url)?.get("/manifest.json").await?;
    ensure!(
        page.status.as_u16() != 400,
        "Home Assistant refuses visitors that come through the agent; its configuration.yaml lacks\n\
         http:\n  use_x_forwarded_for: true\n  trusted_proxies: [127.0.0.1, \"::1\"]"
    );
    page.well().map(drop)
}

/// A guest's link: the one of last time while it opens, else a new one to something that can be switched.
async fn link(kept: &Kept, home: &Client, owner: &Owner, status: &Status) -> Result<Link> {
    if let Some(link) = &kept.link
        && Visitor::new(&link.url)?.get(&link.url).await?.status.is_success()
    {
        return Ok(link.clone());
    }
    let states = home.states().await?;
    // The demo's bed light, unless this is somebody's own home.
    let can_switch = |entity: &str| DOMAINS.iter().any(|domain| entity.starts_with(domain));
    let bed = states.iter().find(|state| state.entity_id == "light.bed_light");
    let chosen = bed.or_else(|| states.iter().find(|state| can_switch(&state.entity_id)));
    let chosen = chosen.context("this Home Assistant has no light, switch or fan to share")?;
    let name = chosen.attributes.get("friendly_name").and_then(|name| name.as_str());
    let name = name.unwrap_or(&chosen.entity_id).to_owned();
    let url = owner.share(status.home_id, &chosen.entity_id, "A guest", May::Control).await?;
    Ok(Link { name, url })
}

/// The port of the command line, or of last time while it is free (addresses stay good), or any.
fn choose_port(asked: Option<u16>, last: u16) -> Result<u16> {
    let is_free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    match asked {
        Some(port) => {
            ensure!(port != 0 && is_free(port), "port {port} is taken");
            Ok(port)
        }
        None => match [last, PORT].into_iter().find(|port| *port != 0 && is_free(*port)) {
            Some(port) => Ok(port),
            None => process::free_port(),
        },
    }
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("log")
}

/// Broker and agent tell what they do in a file; the terminal is for the addresses.
fn log_to(folder: &Path) -> Result<()> {
    let file = std::fs::File::options().create(true).append(true).open(log_file(folder))?;
    tracing_subscriber::fmt().with_ansi(false).with_writer(Mutex::new(file)).init();
    Ok(())
}
