//! How the agent is doing: written to `status.json` at each change, without secrets, for `status` to read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::id::HomeId;
use shared::relay::HomeAssistantState;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::cloud::Cloud;
use crate::config::Settings;
use crate::home_assistant::Health;
use crate::memory::write_whole;
use crate::policy::InForce;
use crate::relay::Link;
use crate::tasks::now_ms;
use crate::tunnel;

/// What an agent says of itself. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The agent's version.
    pub version: String,
    /// When this was written.
    pub updated: i64,
    /// The broker's origin.
    pub broker: String,
    /// The home's id.
    pub home_id: HomeId,
    /// The home's name, once the broker has said it.
    #[serde(default)]
    pub home_name: Option<String>,
    /// The address at which the home is reached from outside, once known.
    #[serde(default)]
    pub url: Option<String>,
    /// Whether the broker's socket stands.
    pub broker_connected: bool,
    /// Why it does not.
    #[serde(default)]
    pub broker_reason: Option<String>,
    /// Whether the tunnel is up.
    #[serde(default)]
    pub tunnel_connected: bool,
    /// Why it is not, or why visitors get nothing although it is.
    #[serde(default)]
    pub tunnel_reason: Option<String>,
    /// How Home Assistant is.
    pub home_assistant: HomeAssistantState,
    /// Home Assistant's version, once known.
    #[serde(default)]
    pub home_assistant_version: Option<String>,
    /// Why Home Assistant does not answer.
    #[serde(default)]
    pub home_assistant_reason: Option<String>,
    /// Whether this home shares nothing at all, by its own policy.
    #[serde(default)]
    pub sharing_stopped: bool,
    /// What is wrong with the policy, if that is why.
    #[serde(default)]
    pub policy_reason: Option<String>,
}

/// The file of a data directory.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("status.json")
}

/// Keeps the status up to date.
#[derive(Debug)]
pub struct Reporter {
    path: PathBuf,
    cloud: Arc<Cloud>,
    seen: Seen,
    status: watch::Sender<Status>,
}

/// What is reported on.
#[derive(Debug)]
pub struct Seen {
    /// Home Assistant.
    pub health: watch::Receiver<Health>,
    /// The broker's socket.
    pub link: watch::Receiver<Link>,
    /// The tunnel.
    pub tunnel: watch::Receiver<tunnel::Status>,
    /// The home's own policy.
    pub policy: watch::Receiver<Arc<InForce>>,
}

impl Reporter {
    /// A reporter that has nothing to report yet.
    pub fn new(settings: &Settings, cloud: Arc<Cloud>, seen: Seen) -> Self {
        let status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            updated: now_ms(),
            broker: cloud.broker().to_string(),
            home_id: cloud.home_id(),
            home_name: None,
            url: None,
            broker_connected: false,
            broker_reason: None,
            tunnel_connected: false,
            tunnel_reason: None,
            home_assistant: HomeAssistantState::Unreachable,
            home_assistant_version: None,
            home_assistant_reason: None,
            sharing_stopped: false,
            policy_reason: None,
        };
        Self { path: path(&settings.data_dir), cloud, seen, status: watch::Sender::new(status) }
    }

    /// The status, now and at each change.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Reports until told to stop. A write is never broken off: two at once would spoil the file.
    pub async fn keep(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let came_up = self.look();
            self.write().await;
            if came_up && let Some(Some(url)) = stop.run_until_cancelled(self.address()).await {
                self.status.send_modify(|status| status.url = Some(url));
                self.write().await;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                Ok(()) = self.seen.health.changed() => {}
                Ok(()) = self.seen.link.changed() => {}
                Ok(()) = self.seen.tunnel.changed() => {}
                Ok(()) = self.seen.policy.changed() => {}
            }
        }
        // The relay's last words: its end drops the sender, and an agent that was killed has none.
        while self.seen.link.changed().await.is_ok() {}
        self.look();
        self.status.send_modify(|status| status.tunnel_connected = false);
        self.write().await;
    }

    /// Takes in how everything is and returns whether the broker has just been reached.
    fn look(&mut self) -> bool {
        let health = self.seen.health.borrow_and_update().clone();
        let link = self.seen.link.borrow_and_update().clone();
        let tunnel = self.seen.tunnel.borrow_and_update().clone();
        let policy = self.seen.policy.borrow_and_update().clone();
        let came_up = matches!(link, Link::Up(_)) && !self.status.borrow().broker_connected;
        self.status.send_modify(|status| {
            status.updated = now_ms();
            status.home_assistant = health.state;
            status.home_assistant_version = health.version;
            status.home_assistant_reason = health.reason;
            status.sharing_stopped = policy.policy.is_stopped();
            status.policy_reason.clone_from(&policy.wrong);
            (status.broker_connected, status.broker_reason) = match link {
                Link::Up(name) => {
                    status.home_name = Some(name);
                    (true, None)
                }
                Link::Down(reason) => (false, Some(reason)),
            };
            (status.tunnel_connected, status.tunnel_reason) = match tunnel {
                tunnel::Status::Connected => (true, None),
                tunnel::Status::Connecting => (false, None),
                tunnel::Status::Amiss(trouble) => (true, Some(trouble.reason)),
                tunnel::Status::Lost(trouble) => (false, Some(trouble.reason)),
            };
        });
        came_up
    }

    async fn address(&self) -> Option<String> {
        timeout(Duration::from_secs(10), self.cloud.home()).await.ok()?.ok()?.url
    }

    async fn write(&self) {
        let path = self.path.clone();
        let text = serde_json::to_vec_pretty(&*self.status.borrow());
        let written = spawn_blocking(move || write_whole(&path, &text?)).await;
        if let Ok(Err(err)) = written {
            // Not worth stopping for: it is for reading only.
            debug!("the status could not be written: {err}");
        }
    }
}
