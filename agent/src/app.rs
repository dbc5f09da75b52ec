//! Everything put together: one agent from start to stop, and the commands that are not `run`.

mod commands;
mod doctor;
mod service;
mod status;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::FutureExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::info;

use crate::cloud::{Cloud, CloudError};
use crate::config::Settings;
use crate::home_assistant::{self, Door};
use crate::memory::{Claim, Memory, MemoryError};
use crate::net;
use crate::pairing::NotPaired;
use crate::policy::PolicyFile;
use crate::relay::{Link, Over, Relay};
use crate::tasks::Tasks;
use crate::tunnel::cloudflared::Supervisor;
use crate::tunnel::{self, Keeper};

pub use commands::{How, logout, pair, set_sharing, status};
pub use doctor::doctor;
pub use status::Status;

/// Installs `cloudflared` into the data folder.
pub use crate::tunnel::cloudflared::install;

/// How long tasks may take to end once told to, besides the time that visitors have.
const LONGEST_GOODBYE: Duration = Duration::from_secs(4);

/// No broker has been paired with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this agent is not paired: run `latchkey-agent pair --broker URL` first")]
pub struct NotYetPaired;

/// A running agent. Stop it with [`Agent::stop`]; dropping it leaves its tasks to the runtime.
#[derive(Debug)]
pub struct Agent {
    tasks: Tasks,
    /// How long they may take to end.
    patience: Duration,
    status: watch::Receiver<Status>,
    /// Kept to the end, so that no second agent uses the same memory.
    _claim: Claim,
}

impl Agent {
    /// Starts all there is to keep alive. Needs no network: whatever cannot be reached is tried again until
    /// it can.
    ///
    /// # Errors
    /// `NotYetPaired`, a memory that cannot be read or is in use, or no certificates to trust.
    pub async fn start(settings: Settings) -> Result<Self> {
        let claim = Claim::take(&settings.data_dir).await?;
        let memory = Arc::new(Memory::open(&settings.data_dir, settings.memory).await?);
        let remembered = memory.recall();
        let pairing = remembered.pairing.ok_or(NotYetPaired)?;
        if let Some(broker) = settings.broker.as_ref().filter(|broker| broker.as_str() != pairing.broker) {
            anyhow::bail!(
                "paired with {} and told to use {broker}: pair again, or leave --broker out",
                pairing.broker
            );
        }
        let tls = net::trust(settings.ca_file.as_deref())?;
        let cloud = Arc::new(Cloud::new(&pairing, memory, &tls)?);
        let token = settings.home_assistant_token.clone().or(remembered.home_assistant_token);
        let door = Door { address: settings.home_assistant.clone(), token, tls: Arc::clone(&tls) };
        let (home_assistant, connection) = home_assistant::open(door);
        let (link, link_seen) = watch::channel(Link::Down("not asked yet".to_owned()));

        let tasks = Tasks::default();
        let stop = tasks.stop();
        let (tunnel_status, tunnel_seen) = watch::channel(tunnel::Status::Connecting);
        let policy_file =
            PolicyFile::open(settings.policy.clone(), settings.policy == settings.usual_policy());
        let policy = policy_file.policy();
        tasks.restless("policy", policy_file.keep(stop.clone()).map(Ok));
        let seen = status::Seen {
            health: home_assistant.health(),
            link: link_seen,
            tunnel: tunnel_seen.clone(),
            policy: policy.clone(),
        };
        let reporter = status::Reporter::new(&settings, Arc::clone(&cloud), seen);
        let status = reporter.status();
        tasks.vital("service", service::keep(reporter.status(), tasks.beats(), stop.clone()).map(Ok));
        tasks.vital("status", reporter.keep(stop.clone()).map(Ok));
        tasks.restless("home assistant", connection.keep(stop.clone()).map(Ok));
        let token_from = Arc::clone(&cloud);
        let keeper = Keeper {
            broker: cloud.broker().clone(),
            origin: settings.home_assistant.clone(),
            tls: Arc::clone(&tls),
            stop: stop.clone(),
            token: move |fresh| {
                let cloud = Arc::clone(&token_from);
                async move { Ok(cloud.tunnel_token(fresh, tunnel::cloudflared::check).await?) }.boxed()
            },
            supervisor: Supervisor::new(&settings, &tls, stop.clone(), tunnel_status.clone())
                .context("look after cloudflared")?,
            status: tunnel_status,
        };
        tasks.restless("tunnel", tunnel::keep(keeper).map(Ok));
        let (alive, until) = (Arc::clone(&cloud), stop.clone());
        tasks.vital("pairing", async move {
            alive.keep_alive(&until).await;
            Ok(())
        });
        let relay = Relay { cloud, home_assistant, tunnel: tunnel_seen, tls, policy, link };
        tasks.restless("relay", relay.keep(stop).map(|ended| Ok(ended?)));
        info!(broker = pairing.broker, home.id = %pairing.home, home_assistant = %settings.home_assistant, "agent started");
        let patience = LONGEST_GOODBYE + settings.cloudflared.timings.grace;
        Ok(Self { tasks, patience, status, _claim: claim })
    }

    /// How everything is, now and at each change.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Waits until something without which the agent is nothing has ended; [`Agent::stop`] then says why.
    pub async fn ended(&self) {
        self.tasks.stopped().await;
    }

    /// Stops everything and waits for it.
    ///
    /// # Errors
    /// Why the agent ended, if it did so by itself.
    pub async fn stop(self) -> Result<()> {
        self.tasks.finish(self.patience).await
    }
}

/// Runs an agent until SIGTERM, SIGINT, or an end of its own.
///
/// # Errors
/// As [`Agent::start`], or why it ended.
pub async fn run(settings: Settings) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let agent = Agent::start(settings).await?;
    tokio::select! {
        _ = terminate.recv() => info!("told to stop"),
        _ = interrupt.recv() => info!("interrupted"),
        () = agent.ended() => {}
    }
    agent.stop().await
}

/// The exit code that an error stands for; the list is in `--help`.
pub fn exit_code(err: &anyhow::Error) -> u8 {
    let any = |is: fn(&(dyn std::error::Error + 'static)) -> bool| err.chain().any(is);
    if any(|err| {
        err.is::<NotYetPaired>()
            || err.is::<Over>()
            || matches!(err.downcast_ref(), Some(CloudError::MustPair))
    }) {
        3
    } else if any(|err| {
        matches!(err.downcast_ref(), Some(NotPaired::Unreachable(_)))
            || matches!(err.downcast_ref(), Some(CloudError::Unreachable(_)))
    }) {
        4
    } else if any(|err| matches!(err.downcast_ref(), Some(MemoryError::InUse(_)))) {
        5
    } else {
        1
    }
}

#[cfg(test)]
mod tests;
