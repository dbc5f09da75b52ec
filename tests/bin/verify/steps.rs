//! Steps with their times, and the cargo commands they run.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::count::{Count, Read};

/// What was done so far.
#[derive(Debug, Default)]
pub struct Steps {
    done: Vec<(&'static str, Duration, bool)>,
}

impl Steps {
    /// Takes a step and tells how it went; true when it went well.
    pub async fn take(&mut self, name: &'static str, step: impl Future<Output = Result<()>>) -> bool {
        self.take_for(name, step).await.is_some()
    }

    /// Takes a step for what it returns.
    pub async fn take_for<T>(
        &mut self,
        name: &'static str,
        step: impl Future<Output = Result<T>>,
    ) -> Option<T> {
        println!("── {name}");
        let began = Instant::now();
        let result = step.await;
        let took = began.elapsed();
        match &result {
            Ok(_) => println!("── {name}: well, {:.1} s\n", took.as_secs_f64()),
            Err(err) => println!("── {name}: FAILED after {:.1} s: {err:#}\n", took.as_secs_f64()),
        }
        self.done.push((name, took, result.is_ok()));
        result.ok()
    }

    /// Prints the list of steps, the failed ones marked.
    pub fn conclude(&self) {
        for (name, took, well) in &self.done {
            println!("{} {name} ({:.1} s)", if *well { "well  " } else { "FAILED" }, took.as_secs_f64());
        }
        let total: Duration = self.done.iter().map(|(_, took, _)| *took).sum();
        println!("in all {:.0} s", total.as_secs_f64());
    }

    /// Whether every step went well.
    pub fn all_well(&self) -> bool {
        self.done.iter().all(|(_, _, well)| *well)
    }
}

/// A cargo command in the workspace's folder.
#[derive(Debug)]
pub struct Cargo(Command);

/// Prepares a cargo command. What `cargo run` told us about ourselves is not passed on: build scripts that look
/// at it would be run anew.
pub fn cargo(words: &[&str]) -> Cargo {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(words).current_dir(kit::workspace()).stdin(Stdio::null()).process_group(0);
    for (name, _) in std::env::vars_os() {
        let about_us = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
        if name.to_str().is_some_and(|name| about_us.iter().any(|start| name.starts_with(start))) {
            command.env_remove(name);
        }
    }
    Cargo(command)
}

impl Cargo {
    /// Sets a variable of its environment.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Runs it with its output shown.
    ///
    /// # Errors
    /// When it cannot be started or its exit code is not 0.
    pub async fn run(mut self) -> Result<()> {
        let mut group = Group::of(self.0.spawn().context("start cargo")?);
        let status = group.0.wait().await?;
        ensure!(status.success(), "{status}");
        Ok(())
    }

    /// Runs it, shows its output and counts the tests it tells of.
    ///
    /// # Errors
    /// Like [`Cargo::run`].
    pub async fn count(mut self, read: Read, count: &mut Count) -> Result<()> {
        let child = self.0.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("start cargo")?;
        let mut group = Group::of(child);
        let (out, err) = (group.0.stdout.take(), group.0.stderr.take());
        let mut other = Count::default();
        let (shown, also_shown) = tokio::join!(show(out, read, count), show(err, read, &mut other));
        shown.and(also_shown)?;
        let status = group.0.wait().await?;
        count.passed += other.passed;
        count.failed += other.failed;
        count.skipped += other.skipped;
        ensure!(status.success(), "{status}");
        ensure!(*count != Count::default(), "no tests were found");
        Ok(())
    }
}

async fn show(output: Option<impl AsyncRead + Unpin>, read: Read, count: &mut Count) -> Result<()> {
    let mut lines = BufReader::new(output.context("its output")?).lines();
    while let Some(line) = lines.next_line().await? {
        println!("{line}");
        read(count, &line);
    }
    Ok(())
}

/// A child with all it has started; dropped before its end (Ctrl-C), the group is asked to end.
struct Group(Child);

impl Group {
    fn of(child: Child) -> Self {
        Self(child)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // There is no id any more once the child has been waited for.
        if let Some(id) = self.0.id().and_then(|id| i32::try_from(id).ok()) {
            _ = killpg(Pid::from_raw(id), Signal::SIGTERM);
        }
    }
}
