//! The built programs as processes of their own: for what can only be seen from outside (memory, `kill -9`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::process::{Process, free_port};
use crate::until::within;

/// Names a folder of other builds of the programs to run, such as `target/release`.
pub const GIVEN: &str = "LATCHKEY_PROGRAMS";

/// A built program: beside the tests', or in the folder that [`GIVEN`] names.
///
/// # Errors
/// When it is not there; `cargo build --workspace` makes it.
pub fn program(name: &str) -> Result<PathBuf> {
    let given = std::env::var_os(GIVEN).map(PathBuf::from);
    let own = || std::env::current_exe().ok()?.ancestors().nth(2).map(Path::to_owned);
    let path = given.or_else(own).context("the tests lie in a folder")?.join(name);
    ensure!(path.exists(), "{} is not there: cargo build --workspace", path.display());
    Ok(path)
}

/// A broker as a process, on SQLite in a folder.
#[derive(Debug)]
pub struct BrokerProcess {
    /// The process.
    pub process: Process,
    /// Its origin, such as `http://localhost:40123`.
    pub origin: String,
    log: PathBuf,
}

impl BrokerProcess {
    /// Starts one that keeps all it has in `folder`, and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or is not ready within twenty seconds; its last words are in the text.
    pub async fn start(folder: &Path) -> Result<Self> {
        Self::start_on(folder, free_port()?).await
    }

    /// The same on a port of one's choice: one that was killed comes back where it was.
    ///
    /// # Errors
    /// As [`BrokerProcess::start`].
    pub async fn start_on(folder: &Path, port: u16) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let log = folder.join("broker.log");
        let mut command = Command::new(program("latchkey-broker")?);
        command.args(["--password-memory-mib", "19", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"]);
        command.arg(folder);
        let mut process = Process::start("the broker", &mut command, &log, Signal::SIGTERM)?;
        let origin = format!("http://localhost:{port}");
        let ready = format!("{origin}/readyz");
        let client = crate::http_client();
        within(Duration::from_secs(20), "the broker to be ready", || {
            let (ended, asked) = (process.check(), client.get(&ready).send());
            async move {
                ended?;
                Ok::<_, anyhow::Error>(drop(asked.await?.error_for_status()?))
            }
        })
        .await?;
        Ok(Self { process, origin, log })
    }

    /// The one-time address for the first account, as the broker printed it.
    ///
    /// # Errors
    /// When it printed none.
    pub fn first_run(&self) -> Result<String> {
        let log = std::fs::read_to_string(&self.log)?;
        let line = log.lines().find(|line| line.contains("/first-run?code="));
        Ok(line.context("the broker printed no first-run address")?.trim().to_owned())
    }
}

/// Starts an agent that is paired already, with everything in `folder`.
///
/// # Errors
/// When it cannot be started.
pub fn start_agent(folder: &Path, home_assistant: &str) -> Result<Process> {
    let mut command = Command::new(program("latchkey-agent")?);
    command
        .args(["--memory", "file", "--home-assistant", home_assistant, "--data-dir"])
        .arg(folder)
        .arg("run");
    Process::start("the agent", &mut command, &folder.join("agent.log"), Signal::SIGTERM)
}

/// Memory of a process that is in RAM now, in KiB (`VmRSS`, proc(5)), and the part of it that is its own
/// (`RssAnon`).
///
/// # Errors
/// When the process is gone.
pub fn memory(process: &Process) -> Result<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()))?;
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    };
    Ok((line("VmRSS:").context("no VmRSS")?, line("RssAnon:").context("no RssAnon")?))
}
