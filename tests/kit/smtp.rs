//! A real mail server: aiosmtpd from PyPI, on a port that stays the same when it is stopped and started again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::process::{Process, free_port};
use crate::until::until;

const RELEASE: &str = "aiosmtpd==1.4.6";
/// Two stories at once must not install it twice.
static INSTALLING: Mutex<()> = Mutex::new(());

/// A mail server that keeps what it takes as files. Stopped on drop.
#[derive(Debug)]
pub struct Server {
    python: PathBuf,
    port: u16,
    folder: TempDir,
    process: Option<Process>,
}

impl Server {
    /// A server that does not run yet.
    ///
    /// # Errors
    /// When it cannot be installed.
    pub fn new() -> Result<Self> {
        let python = installed()?;
        Ok(Self { python, port: free_port()?, folder: tempfile::tempdir()?, process: None })
    }

    /// The address for `smtp_url`.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(&mut self) -> Result<()> {
        let mut command = Command::new(&self.python);
        command.args(["-m", "aiosmtpd", "-n", "-l"]).arg(format!("127.0.0.1:{}", self.port));
        command.args(["-c", "aiosmtpd.handlers.Mailbox"]).arg(self.folder.path().join("box"));
        let log = self.folder.path().join("log");
        self.process = Some(Process::start("aiosmtpd", &mut command, &log, Signal::SIGTERM)?);
        until("the mail server to answer", || tokio::net::TcpStream::connect(("127.0.0.1", self.port))).await;
        Ok(())
    }

    /// What it has taken, whole, encoded as it came.
    pub fn taken(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path().join("box/new")).into_iter().flatten().flatten();
        files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect()
    }
}

/// A Python that has aiosmtpd; installed once into the target folder.
fn installed() -> Result<PathBuf> {
    let _alone = INSTALLING.lock();
    let folder = crate::target_folder().join("kit").join("aiosmtpd");
    let python = folder.join("bin/python");
    if !has_it(&python) {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", RELEASE]))?;
    }
    Ok(python)
}

fn has_it(python: &Path) -> bool {
    Command::new(python).args(["-c", "import aiosmtpd"]).output().is_ok_and(|done| done.status.success())
}

fn run(command: &mut Command) -> Result<()> {
    let done = command.output().with_context(|| format!("run {command:?}"))?;
    ensure!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}
