//! A real Home Assistant from PyPI, onboarded and ready, or the one that `HA_URL` and `HA_TOKEN` name.
//!
//! A folder holds one Home Assistant's configuration, log and token; starting in a folder that was used before
//! gives the same home with the same token, and takes seconds.

pub mod client;
mod install;
mod onboarding;
mod python;

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::process::{Process, free_port};
use crate::until::within;
pub use client::{Client, Mood, Socket, State};
pub use install::{Installed, Say, default_cache};
pub use onboarding::OWNER;

const CONFIGURATION: &str = include_str!("../fixtures/home_assistant/configuration.yaml");
/// Our own component, file by file: devices made on demand, state changes at a chosen rate.
const WORKSHOP: &[(&str, &str)] = &[
    ("manifest.json", include_str!("../fixtures/home_assistant/custom_components/workshop/manifest.json")),
    ("__init__.py", include_str!("../fixtures/home_assistant/custom_components/workshop/__init__.py")),
    ("fan.py", include_str!("../fixtures/home_assistant/custom_components/workshop/fan.py")),
    ("light.py", include_str!("../fixtures/home_assistant/custom_components/workshop/light.py")),
    ("switch.py", include_str!("../fixtures/home_assistant/custom_components/workshop/switch.py")),
];

/// Home Assistant leaves with code 100 when it is to be restarted and counts on a supervisor to do it: this is
/// the supervisor. The trap keeps it alive until Home Assistant has ended tidily.
const SUPERVISOR: &str = r#"ending=; trap ending=1 TERM
while [ -z "$ending" ]; do "$@"; code=$?; [ "$code" -eq 100 ] || exit "$code"; done"#;

/// A running Home Assistant. Dropping one that we started stops it.
#[derive(Debug)]
pub struct HomeAssistant {
    url: String,
    token: String,
    own: Option<Own>,
}

/// What we know of one that we started.
#[derive(Debug)]
struct Own {
    process: Process,
    hass: PathBuf,
    folder: PathBuf,
}

impl HomeAssistant {
    /// The one named by `HA_URL` and `HA_TOKEN`, if both are set.
    pub fn given() -> Option<Self> {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let url = set("HA_URL")?.trim_end_matches('/').to_owned();
        Some(Self { url, token: set("HA_TOKEN")?, own: None })
    }

    /// The given one, or one of our own in `folder`, installed into [`default_cache`] if need be.
    ///
    /// # Errors
    /// When there is none given and none can be installed or started; the error says what helps.
    pub async fn given_or_start(folder: &Path, say: Say) -> Result<Self> {
        match Self::given() {
            Some(given) => {
                let client = given.client();
                let answers = onboarding::until_running(&client).await;
                answers.with_context(|| format!("use the Home Assistant at {}", given.url))?;
                Ok(given)
            }
            None => Self::start(&install(&default_cache(), say).await?, folder).await,
        }
    }

    /// Like [`HomeAssistant::given_or_start`], for stories: they need devices of their own making, so a given one
    /// without the kit's component (`fixtures/home_assistant/custom_components/workshop`) is left alone.
    ///
    /// # Errors
    /// Like [`HomeAssistant::given_or_start`].
    pub async fn for_stories(folder: &Path, say: Say) -> Result<Self> {
        if let Some(given) = Self::given() {
            onboarding::until_running(&given.client()).await?;
            if given.client().has_workshop().await? {
                return Ok(given);
            }
            say(&format!("{} lacks the kit's component; starting a Home Assistant of our own", given.url));
        }
        Self::start(&install(&default_cache(), say).await?, folder).await
    }

    /// Starts one of our own in `folder` and waits until it is up; onboards it the first time.
    ///
    /// # Errors
    /// When it does not start; the end of its log is in the text.
    pub async fn start(installed: &Installed, folder: &Path) -> Result<Self> {
        let config = folder.join("config");
        let token = fs::read_to_string(token_file(folder)).ok();
        if token.is_none() && config.exists() {
            fs::remove_dir_all(&config).context("forget a home whose token was never written")?;
        }
        let port = write_configuration(&config)?;
        let mut own = Own::start(&installed.hass, folder)?;
        let url = format!("http://127.0.0.1:{port}");
        onboarding::until_open(&url, || own.process.check()).await?;
        let token = match token {
            Some(token) => token,
            None => {
                let token = onboarding::onboard(&url).await;
                let token =
                    token.with_context(|| format!("onboard it; its log:\n{}", own.process.tail(20)))?;
                write_secret(&token_file(folder), &token)?;
                token
            }
        };
        let home = Self { url, token, own: Some(own) };
        onboarding::until_running(&home.client()).await?;
        Ok(home)
    }

    /// Whether the kit started it.
    pub fn is_ours(&self) -> bool {
        self.own.is_some()
    }

    /// For example `http://127.0.0.1:8123`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A long-lived token of an admin.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A client with that token.
    pub fn client(&self) -> Client {
        Client::new(&self.url, &self.token)
    }

    /// The last lines of the log, for one that we started.
    pub fn tail(&self, lines: usize) -> String {
        self.own.as_ref().map_or_else(String::new, |own| own.process.tail(lines))
    }

    /// Asks it to restart, as its owner would, and waits until it is up again.
    ///
    /// # Errors
    /// When it does not come back, or is not ours to restart.
    pub async fn restart(&self) -> Result<()> {
        self.own.as_ref().context(NOT_OURS)?;
        let mut socket = self.client().socket().await?;
        // It closes the socket in place of an answer.
        _ = socket.call("call_service", json!({"domain": "homeassistant", "service": "restart"})).await;
        tokio::time::timeout(Duration::from_secs(60), async { while socket.event().await.is_ok() {} })
            .await
            .context("Home Assistant did not close its sockets")?;
        onboarding::until_running(&self.client()).await
    }

    /// Ends it at once, as a power cut would.
    ///
    /// # Errors
    /// When it is not ours to kill.
    pub fn kill(&mut self) -> Result<()> {
        self.own.as_mut().context(NOT_OURS)?.process.kill();
        Ok(())
    }

    /// Stops it where it stands: its connections stay open and say nothing.
    ///
    /// # Errors
    /// When it is not ours to stop.
    pub fn freeze(&self) -> Result<()> {
        self.own.as_ref().context(NOT_OURS)?.process.freeze();
        Ok(())
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it is not ours.
    pub fn thaw(&self) -> Result<()> {
        self.own.as_ref().context(NOT_OURS)?.process.thaw();
        Ok(())
    }

    /// Stops it tidily and waits until it is gone.
    ///
    /// # Errors
    /// When it is not ours to stop.
    pub async fn stop(&mut self) -> Result<()> {
        let own = self.own.as_mut().context(NOT_OURS)?;
        own.process.ask_to_end();
        let ended = within(Duration::from_secs(30), "Home Assistant to end", || {
            let ended = own.process.has_ended().is_some();
            async move { ended }
        });
        ended.await?;
        own.process.kill();
        Ok(())
    }

    /// Takes the lines that trust a proxy out of its configuration, or puts them back; for the next start.
    ///
    /// # Errors
    /// When it is not ours, or the file cannot be written.
    pub fn trust_proxies(&self, trusts: bool) -> Result<()> {
        let file = self.own.as_ref().context(NOT_OURS)?.folder.join("config/configuration.yaml");
        let text = fs::read_to_string(&file)?;
        let changed = |line: &str| {
            let bare = line.trim_start_matches([' ', '#']);
            let is_one = bare.starts_with("use_x_forwarded_for:") || bare.starts_with("trusted_proxies:");
            if is_one { format!("  {}{bare}", if trusts { "" } else { "# " }) } else { line.to_owned() }
        };
        Ok(fs::write(&file, text.lines().map(|line| changed(line) + "\n").collect::<String>())?)
    }

    /// Starts it again on the same port after [`HomeAssistant::kill`] or [`HomeAssistant::stop`].
    ///
    /// # Errors
    /// When it does not come up, or is not ours to start.
    pub async fn start_again(&mut self) -> Result<()> {
        let own = self.own.as_mut().context(NOT_OURS)?;
        *own = Own::start(&own.hass, &own.folder)?;
        onboarding::until_open(&self.url, || own.process.check()).await?;
        onboarding::until_running(&self.client()).await
    }
}

const NOT_OURS: &str =
    "this Home Assistant was given by HA_URL; only one that the kit started can be stopped";

impl Own {
    fn start(hass: &Path, folder: &Path) -> Result<Self> {
        let log = folder.join("hass.log");
        _ = fs::remove_file(&log);
        let mut command = Command::new("sh");
        command.args(["-c", SUPERVISOR, "supervisor"]).arg(hass);
        // Nothing is fetched while it runs: all it needs was installed.
        command.arg("--config").arg(folder.join("config")).arg("--skip-pip");
        let process = Process::start("Home Assistant", &mut command, &log, Signal::SIGTERM)?;
        Ok(Self { process, hass: hass.into(), folder: folder.into() })
    }
}

/// Installs Home Assistant into `cache` if it is not there yet, without blocking the caller's runtime.
///
/// # Errors
/// When there is no CPython for it or the installation fails; the error says what helps.
pub async fn install(cache: &Path, say: Say) -> Result<Installed> {
    let cache = cache.to_path_buf();
    tokio::task::spawn_blocking(move || install::ensure_installed(&cache, say)).await?
}

fn token_file(folder: &Path) -> PathBuf {
    folder.join("token")
}

/// Writes the configuration with a port that is free, the one of last time if possible.
fn write_configuration(config: &Path) -> Result<u16> {
    let workshop = config.join("custom_components/workshop");
    fs::create_dir_all(&workshop).with_context(|| format!("create {}", workshop.display()))?;
    for (name, text) in WORKSHOP {
        fs::write(workshop.join(name), text)?;
    }
    let file = config.join("configuration.yaml");
    let earlier = fs::read_to_string(&file).ok().and_then(|text| port_in(&text));
    let still_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let port = earlier.filter(still_free).map_or_else(free_port, Ok)?;
    let line = format!("server_port: {port}");
    fs::write(&file, CONFIGURATION.replace("server_port: PORT", &line))
        .context("write configuration.yaml")?;
    Ok(port)
}

fn port_in(configuration: &str) -> Option<u16> {
    let mut lines = configuration.lines();
    lines.find_map(|line| line.trim().strip_prefix("server_port: "))?.parse().ok()
}

fn write_secret(file: &Path, secret: &str) -> Result<()> {
    let mut open = fs::OpenOptions::new();
    let mut out = open.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    Ok(out.write_all(secret.as_bytes())?)
}

#[cfg(test)]
mod tests;
