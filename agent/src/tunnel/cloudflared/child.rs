//! One running `cloudflared`: started with nothing of ours but what it needs, and ended for certain.
//!
//! Invariants: its environment holds `HOME` and nothing else (it logs every variable with `TUNNEL_` in its name), and
//! its home is empty (a stray `config.yml` there would change what it does); the token is on no command line and in
//! no environment, only in a 0600 file, which is removed once it was read; SIGTERM is sent once (a second one ends it
//! at once, in the middle of visitors' requests).

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::process::{self, ChildStderr, Command};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::lines::Lines;
use super::mortal;
use super::token::Token;
use crate::config::cloudflared::{Cloudflared, Protocol};
use crate::memory::{make_private, write_whole};
use crate::tasks::Starter;

/// How much longer than the grace period it may take to end.
const MARGIN: Duration = Duration::from_secs(2);

/// The private folder a child runs in.
#[derive(Debug)]
pub struct Den {
    /// Its home, empty.
    pub home: PathBuf,
    token: PathBuf,
}

impl Den {
    /// Makes the folder, or empties the one of an earlier run.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn make(folder: &Path) -> io::Result<Self> {
        let private = |path: &Path| make_private(path).map_err(io::Error::other);
        private(folder)?;
        let den = Self { home: folder.join("home"), token: folder.join("token") };
        match fs::remove_dir_all(&den.home) {
            Err(err) if err.kind() != ErrorKind::NotFound => return Err(err),
            _ => private(&den.home)?,
        }
        den.forget_token();
        Ok(den)
    }

    /// Removes the token; the program reads it once, when it starts.
    pub fn forget_token(&self) {
        if let Err(err) = fs::remove_file(&self.token)
            && err.kind() != ErrorKind::NotFound
        {
            warn!("the tunnel's token stays at {}: {err}", self.token.display());
        }
    }
}

impl Drop for Den {
    fn drop(&mut self) {
        self.forget_token();
    }
}

/// What to start.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The program.
    pub program: &'a Path,
    /// Which tunnel it is to run.
    pub token: &'a Token,
    /// How it is to reach Cloudflare.
    pub protocol: Protocol,
    /// All other settings.
    pub settings: &'a Cloudflared,
}

impl Launch<'_> {
    fn arguments(&self, token: &Path) -> Vec<OsString> {
        let grace = format!("{}ms", self.settings.timings.grace.as_millis());
        let fixed = ["tunnel", "--no-autoupdate", "--metrics", "127.0.0.1:0", "--output", "json"];
        let chosen = ["--loglevel", "info", "--grace-period", &grace, "--protocol", self.protocol.word()];
        let words = fixed.into_iter().chain(chosen).map(OsString::from);
        let more = self.settings.arguments.iter().map(OsString::from);
        words.chain(more).chain(["run".into(), "--token-file".into(), token.into()]).collect()
    }
}

/// A running one. Dropped, it is killed.
#[derive(Debug)]
pub struct Child {
    process: process::Child,
    pid: Pid,
    grace: Duration,
}

impl Child {
    /// Starts one; with it comes what it writes.
    ///
    /// # Errors
    /// The token cannot be written, or the program cannot be started.
    pub async fn start(
        launch: &Launch<'_>,
        den: &Den,
        starter: &Starter,
    ) -> io::Result<(Self, Lines<ChildStderr>)> {
        write_whole(&den.token, launch.token.text.expose().as_bytes())?;
        let mut command = Command::new(launch.program);
        command.args(launch.arguments(&den.token)).env_clear().env("HOME", &den.home);
        command.current_dir(&den.home).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        mortal::bind(&mut command);
        let mut process = starter.carry_out(move || command.spawn()).await?;
        let gone = || io::Error::other("it ended before it began");
        let pid = process.id().and_then(|id| i32::try_from(id).ok()).ok_or_else(gone)?;
        let stderr = process.stderr.take().ok_or_else(gone)?;
        debug!(pid, protocol = launch.protocol.word(), "cloudflared started");
        let child = Self { process, pid: Pid::from_raw(pid), grace: launch.settings.timings.grace };
        Ok((child, Lines::new(stderr)))
    }

    /// Its process id.
    pub fn id(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// Asks it to end, and makes it when the grace period is over. When this returns it is gone.
    pub async fn stop(mut self, lines: &mut Lines<ChildStderr>) {
        // Of a child that is not reaped yet the number is nobody else's.
        _ = kill(self.pid, Signal::SIGTERM);
        let draining = async {
            // One that cannot write does not end.
            lines.drain().await;
            std::future::pending::<()>().await;
        };
        let ending = async {
            tokio::select! {
                ended = self.process.wait() => ended,
                () = draining => unreachable!("it never ends"),
            }
        };
        if timeout(self.grace + MARGIN, ending).await.is_err() {
            warn!(pid = self.id(), "cloudflared does not end when asked; killing it");
            self.kill().await;
        }
    }

    /// Ends it at once.
    pub async fn kill(mut self) {
        // It leads a session of its own: whatever it started goes with it.
        _ = killpg(self.pid, Signal::SIGKILL);
        _ = self.process.wait().await;
    }
}

/// How a program ended, in words.
pub fn in_words(ended: &io::Result<ExitStatus>) -> String {
    match ended {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("it ended with code {code}"),
            (_, Some(signal)) => format!("it was killed by signal {signal}"),
            _ => "it ended".to_owned(),
        },
        Err(err) => format!("nobody knows how it ended: {err}"),
    }
}
