//! Children that end when we do.
//!
//! Every child leads a process group of its own, so that what it starts goes with it, and beside it stands a
//! warden: a shell that reads from a pipe only we hold. However we end, the pipe closes and the warden ends
//! the group. (`PR_SET_PDEATHSIG` would need `unsafe`, and fires when the *thread* that started the child ends.)

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::until;

/// How long a child may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(20);

/// Reads until we are gone, asks the group to end, and after five seconds makes it.
const WARDEN: &str = r#"read -r _; kill -s "$2" -- "-$1"; n=0
while [ "$n" -lt 50 ] && kill -0 -- "-$1"; do sleep 0.1; n=$((n + 1)); done
kill -s KILL -- "-$1""#;

/// A running child and its group. Dropping it stops it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    warden: Child,
    log: PathBuf,
    ask: Signal,
}

impl Process {
    /// Starts `command` with its output appended to the file `log`. `ask` is the signal on which it ends tidily.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path, ask: Signal) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log);
        let out = out.with_context(|| format!("open the log {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {name} ({})", command.get_program().display()))?;
        let warden = Command::new("sh")
            .args(["-c", WARDEN, "warden", &child.id().to_string(), ask.as_str().trim_start_matches("SIG")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("start a warden for {name}"))?;
        Ok(Self { name: name.into(), child, warden, log: log.into(), ask })
    }

    /// The process id of the child, which is also the id of its group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How the child ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// An error that names the child and shows the end of its log, if it has ended.
    ///
    /// # Errors
    /// When the child has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.has_ended() {
            None => Ok(()),
            Some(status) => anyhow::bail!("{} ended ({status}):\n{}", self.name, self.tail(20)),
        }
    }

    /// Asks the group to end, without waiting for it.
    pub fn ask_to_end(&self) {
        self.signal(self.ask);
    }

    /// Asks the group to end, waits, and after twenty seconds makes it.
    pub fn stop(&mut self) {
        self.ask_to_end();
        until::blocking(GRACE, || self.has_ended().is_some());
        self.kill();
    }

    /// Ends the group at once, as a power cut would.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        _ = self.child.wait();
        _ = self.warden.kill();
        _ = self.warden.wait();
    }

    /// Stops the group where it stands, as a machine that hangs does: its connections stay open and say nothing.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// The last lines of what the child has written.
    pub fn tail(&self, lines: usize) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let from = text.lines().count().saturating_sub(lines);
        text.lines().skip(from).collect::<Vec<_>>().join("\n")
    }

    fn signal(&self, signal: Signal) {
        // Once the child is reaped the group may be empty, and its number is nobody's.
        let group = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id is small"));
        _ = killpg(group, signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.warden.try_wait().ok().flatten().is_none() {
            self.stop();
        }
    }
}

/// The full path of a program on `PATH`.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Whether this process is root: some programs refuse to run so, others need to be told.
pub fn are_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A TCP port on loopback that was free a moment ago.
///
/// # Errors
/// When no port can be bound at all.
pub fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("find a free port")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, log: &Path) -> Process {
        Process::start("a shell", Command::new("sh").args(["-c", script]), log, Signal::SIGTERM).unwrap()
    }

    fn is_running(id: u32) -> bool {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
    }

    /// Starts a shell that starts a grandchild, and gives both ids.
    fn family(log: &Path) -> (Process, u32) {
        let parent = shell("sleep 100 & echo $!; wait", log);
        let mut grandchild = None;
        until::blocking(until::PATIENCE, || {
            grandchild = parent.tail(1).trim().parse().ok();
            grandchild.is_some()
        });
        (parent, grandchild.expect("the shell names its child"))
    }

    #[test]
    fn what_a_child_started_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (parent, grandchild) = family(&folder.path().join("log"));
        assert!(is_running(grandchild));
        drop(parent);
        assert!(until::blocking(until::PATIENCE, || !is_running(grandchild)));
    }

    #[test]
    fn the_warden_ends_the_group_when_we_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (mut parent, grandchild) = family(&folder.path().join("log"));
        drop(parent.warden.stdin.take()); // what the kernel does when we die
        assert!(until::blocking(until::PATIENCE, || parent.has_ended().is_some() && !is_running(grandchild)));
    }

    #[test]
    fn a_child_that_ended_shows_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = shell("echo one; echo two >&2; exit 3", &folder.path().join("log"));
        assert!(until::blocking(until::PATIENCE, || child.has_ended().is_some()));
        let words = child.check().unwrap_err().to_string();
        assert!(words.contains("exit status: 3") && words.contains("one\ntwo"), "{words}");
    }
}
