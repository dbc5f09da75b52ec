//! Settings: every one, read once. A flag wins over the environment, that over the file, that over the default.
//!
//! The environment is read here and nowhere else. A secret is never a flag: other people on the machine can
//! read a command line.

pub mod cloudflared;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;
use shared::secret::Secret;
use url::{Host, Url};

use cloudflared::Cloudflared;

const EXIT_CODES: &str = "\
Settings come from flags, else from LATCHKEY_… variables, else from the file given with --config.
Home Assistant's token comes from --home-assistant-token-file, from LATCHKEY_HOME_ASSISTANT_TOKEN,
or, in an add-on, from the Supervisor.

Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 not paired (any more), 4 broker unreachable,
5 another agent is using the data directory.";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "latchkey-agent", version, after_help = EXIT_CODES)]
#[command(about = "Gives the Home Assistant beside it a safe address, and relays what its owner shares")]
pub struct Cli {
    /// Settings that hold for every command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the agent can be told to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign in to a broker and choose the home this agent stands in
    Pair {
        /// Sign in with a browser on this machine instead of a code typed on another
        #[arg(long)]
        browser: bool,
    },
    /// Keep the tunnel up and relay what is shared, until stopped
    Run,
    /// Say how the agent is doing
    Status {
        /// Print JSON for scripts
        #[arg(long)]
        json: bool,
    },
    /// Look at everything the agent stands on, change nothing, and say what to do about what is wrong
    Doctor {
        /// Print JSON for scripts
        #[arg(long)]
        json: bool,
    },
    /// Stop all sharing from this home, or let it go on: the broker cannot undo it
    Sharing {
        /// Which
        #[arg(value_enum)]
        what: Sharing,
    },
    /// Give the pairing back to the broker and forget it here
    Logout,
    /// Look after cloudflared, which runs the tunnel of a home at Cloudflare
    Cloudflared {
        /// What to do.
        #[command(subcommand)]
        what: OfCloudflared,
    },
}

/// What can be done with the program that runs a tunnel at Cloudflare.
#[derive(Debug, Subcommand)]
pub enum OfCloudflared {
    /// Fetch cloudflared into the data directory, if its SHA-256 is the right one
    Install {
        /// Another version than the one this agent was tried with
        #[arg(long, requires = "sha256")]
        version: Option<String>,
        /// The SHA-256 of that file, in hexadecimal, from Cloudflare's release page
        #[arg(long, value_name = "HEX")]
        sha256: Option<String>,
        /// Where to fetch it: an address that stands in for GitHub's .../releases/download
        #[arg(long, value_name = "URL")]
        from: Option<String>,
    },
}

/// What is to become of sharing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sharing {
    /// Nothing is shared any more, within seconds
    Stop,
    /// What the links and the policy allow is shared again
    Resume,
}

/// Settings that hold for every command, as flags or from the environment.
#[derive(Debug, Default, Args)]
pub struct Common {
    /// A TOML file with settings
    #[arg(long, global = true, env = "LATCHKEY_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The broker's address, such as https://latchkey.example (needed to pair; remembered after)
    #[arg(long, global = true, env = "LATCHKEY_BROKER", value_name = "URL")]
    broker: Option<String>,
    /// Home Assistant's address [default: http://127.0.0.1:8123, in an add-on the Supervisor's]
    #[arg(long, global = true, env = "LATCHKEY_HOME_ASSISTANT", value_name = "URL")]
    home_assistant: Option<String>,
    /// A file that holds a long-lived access token of Home Assistant
    #[arg(long, global = true, env = "LATCHKEY_HOME_ASSISTANT_TOKEN_FILE", value_name = "FILE")]
    home_assistant_token_file: Option<PathBuf>,
    /// Where the agent keeps its files [default: $STATE_DIRECTORY, else the user's data directory]
    #[arg(long, global = true, env = "LATCHKEY_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where secrets are kept [default: auto, the keyring if there is one]
    #[arg(long, global = true, env = "LATCHKEY_MEMORY", value_enum)]
    memory: Option<Keeping>,
    /// Certificates (PEM) to trust besides the system's
    #[arg(long, global = true, env = "LATCHKEY_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The cloudflared to use [default: the one installed in the data directory, else the one on PATH]
    #[arg(long = "cloudflared", global = true, env = "LATCHKEY_CLOUDFLARED", value_name = "FILE")]
    cloudflared: Option<PathBuf>,
    /// The home's own policy, what may leave it [default: policy.toml in the data directory]
    #[arg(long, global = true, env = "LATCHKEY_POLICY", value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Allow http:// to a broker that is not on this machine (anyone on the way can read along)
    #[arg(long, global = true, env = "LATCHKEY_ALLOW_PLAIN_HTTP")]
    allow_plain_http: bool,
}

/// Where secrets are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keeping {
    /// The keyring where there is one, else the file.
    #[default]
    Auto,
    /// The operating system's keyring, or fail.
    Keyring,
    /// A file only its owner can read.
    File,
}

/// The settings file: the long names of the flags, with `_` for `-`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SettingsFile {
    broker: Option<String>,
    home_assistant: Option<String>,
    home_assistant_token_file: Option<PathBuf>,
    data_dir: Option<PathBuf>,
    memory: Option<Keeping>,
    ca_file: Option<PathBuf>,
    policy: Option<PathBuf>,
    allow_plain_http: bool,
    cloudflared: cloudflared::Table,
}

/// What the environment says beyond the flags' own variables.
#[derive(Debug, Default)]
struct Surroundings {
    home_assistant_token: Option<Secret>,
    supervisor_token: Option<Secret>,
    /// systemd's `StateDirectory=`: one path, or several with colons between.
    state_directory: Option<String>,
    /// systemd's `RuntimeDirectory=`, likewise.
    runtime_directory: Option<String>,
    user_data_dir: Option<PathBuf>,
    path: Option<OsString>,
}

/// Every setting, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The broker's origin, where given; once paired, the pairing knows it too.
    pub broker: Option<Url>,
    /// Home Assistant's base address, without `/api`.
    pub home_assistant: Url,
    /// A token for Home Assistant, where given.
    pub home_assistant_token: Option<Secret>,
    /// Where files are kept. Made with mode 0700 when needed.
    pub data_dir: PathBuf,
    /// Where secrets are kept.
    pub memory: Keeping,
    /// Certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The program that runs a tunnel at Cloudflare.
    pub cloudflared: Cloudflared,
    /// The home's own policy: what may leave it.
    pub policy: PathBuf,
}

impl Settings {
    /// Reads the settings file and the environment and puts them under the flags.
    ///
    /// # Errors
    /// Names the setting that is wrong.
    pub fn read(flags: Common) -> Result<Self> {
        let file = flags.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        Self::put_together(flags, file, Surroundings::read())
    }

    fn put_together(flags: Common, file: SettingsFile, around: Surroundings) -> Result<Self> {
        let plain_http = flags.allow_plain_http || file.allow_plain_http;
        let broker = flags.broker.or(file.broker);
        let broker = broker.map(|text| broker_address(&text, plain_http)).transpose().context("broker")?;
        let address = flags.home_assistant.or(file.home_assistant);
        let in_add_on = around.supervisor_token.is_some();
        let (address, is_supervisor) = match &address {
            Some(text) => (text.as_str(), text.starts_with("http://supervisor/")),
            None if in_add_on => ("http://supervisor/core", true),
            None => ("http://127.0.0.1:8123", false),
        };
        let token_file = flags.home_assistant_token_file.or(file.home_assistant_token_file);
        let from_file =
            token_file.as_deref().map(read_token).transpose().context("home_assistant_token_file")?;
        let supervisor_token = around.supervisor_token.filter(|_| is_supervisor);
        let first = |dirs: String| dirs.split(':').next().map(PathBuf::from);
        let cloudflared =
            Cloudflared::put_together(flags.cloudflared, file.cloudflared).context("cloudflared")?;
        let data_dir = flags
            .data_dir
            .or(file.data_dir)
            .or(around.state_directory.and_then(first))
            .or(around.user_data_dir)
            .ok_or_else(|| anyhow!("data_dir: neither HOME nor STATE_DIRECTORY is set; give --data-dir"))?;
        Ok(Self {
            broker,
            home_assistant: home_assistant_address(address).context("home_assistant")?,
            home_assistant_token: from_file.or(around.home_assistant_token).or(supervisor_token),
            policy: flags.policy.or(file.policy).unwrap_or_else(|| usual_policy(&data_dir)),
            data_dir,
            memory: flags.memory.or(file.memory).unwrap_or_default(),
            ca_file: flags.ca_file.or(file.ca_file),
            cloudflared: Cloudflared {
                search: around.path,
                runtime_dir: around.runtime_directory.and_then(first),
                ..cloudflared
            },
        })
    }
}

impl Settings {
    /// Where the policy lies if nothing else is said.
    pub fn usual_policy(&self) -> PathBuf {
        usual_policy(&self.data_dir)
    }

    /// The token for Home Assistant that is worth remembering; the Supervisor makes a new one at every start.
    pub fn lasting_token(&self) -> Option<&Secret> {
        self.home_assistant_token.as_ref().filter(|_| self.home_assistant.host_str() != Some("supervisor"))
    }
}

fn usual_policy(data_dir: &Path) -> PathBuf {
    data_dir.join("policy.toml")
}

impl Surroundings {
    fn read() -> Self {
        let text = |name| env::var(name).ok().filter(|text| !text.is_empty());
        Self {
            home_assistant_token: text("LATCHKEY_HOME_ASSISTANT_TOKEN").map(Secret::from),
            supervisor_token: text("SUPERVISOR_TOKEN").map(Secret::from),
            state_directory: text("STATE_DIRECTORY"),
            runtime_directory: text("RUNTIME_DIRECTORY"),
            user_data_dir: directories::ProjectDirs::from("", "", "latchkey-agent")
                .map(|dirs| dirs.data_dir().to_owned()),
            path: env::var_os("PATH"),
        }
    }
}

/// Whether a browser could be shown to someone sitting at this machine.
pub fn has_display() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| env::var_os(name).is_some_and(|v| !v.is_empty()))
}

/// What to log, in tracing's words, from `RUST_LOG`.
pub fn log_filter() -> String {
    env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned())
}

/// Whether a host is this machine by its name alone: `localhost`, `*.localhost` (RFC 6761 section 6.3), or a
/// loopback address.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_localhost(name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// `localhost` or a name under it.
pub fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

fn read_file(path: &Path) -> Result<SettingsFile> {
    let text =
        fs::read_to_string(path).with_context(|| format!("read the settings at {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("the settings at {}", path.display()))
}

fn read_token(path: &Path) -> Result<Secret> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    match text.trim() {
        "" => bail!("{} is empty", path.display()),
        token => Ok(Secret::from(token.to_owned())),
    }
}

/// Parses a broker's address: an origin, and https unless it is this machine.
///
/// # Errors
/// Says what is wrong with it.
pub fn broker_address(text: &str, plain_http: bool) -> Result<Url> {
    let url = Url::parse(text).context("not a URL")?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        bail!("only scheme, host and port, such as https://latchkey.example");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if plain_http || is_loopback(&url) => Ok(url),
        "http" => {
            bail!("http:// sends secrets in the clear: use https://, or --allow-plain-http if you must")
        }
        other => bail!("{other}:// is not something a broker speaks"),
    }
}

fn home_assistant_address(text: &str) -> Result<Url> {
    let url = Url::parse(text).context("not a URL")?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        bail!("an address such as http://127.0.0.1:8123");
    }
    Ok(url)
}

#[cfg(test)]
mod tests;
