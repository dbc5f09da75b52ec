//! A stand-in for `cloudflared`, whose real one is in no package registry: it imitates what was recorded of
//! 2026.8.2 (exit codes, log lines, metrics server, signals), and misbehaves when told to.
//!
//! The program is `cloudflared-stand-in`. It finds its [`Orders`] beside itself and looks at them again and again,
//! and writes down there what it was started with and how it ended ([`Entry`]).

mod edge;
mod metrics;
mod program;
mod say;

use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::programs;

pub use program::main as stand_in;

/// What it is to do. By default it behaves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Orders {
    /// What it calls itself.
    pub version: Option<String>,
    /// Where the edge is that lets it in.
    pub edge: Option<SocketAddr>,
    /// It ends at its start: an exit code and its last line.
    pub start: Option<(i32, String)>,
    /// Its metrics server is so late, in milliseconds.
    pub metrics_after: u64,
    /// Its metrics server takes connections and never answers.
    pub hangs: bool,
    /// It writes lines as fast as they are taken.
    pub floods: bool,
    /// UDP is swallowed on the way.
    pub no_quic: bool,
    /// SIGTERM does not end it.
    pub deaf: bool,
    /// It takes the whole grace period to end.
    pub slow: bool,
    /// It ends now, with this code.
    pub exits: Option<i32>,
}

/// What it wrote down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// It was started to run a tunnel.
    Start(Start),
    /// It was asked to end for the first time.
    Asked(u32),
    /// And once more, which ends the real one in the middle of everything.
    AskedTwice(u32),
}

/// A start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Its process id.
    pub pid: u32,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The names of its environment's variables.
    pub environment: Vec<String>,
    /// What lay in its home.
    pub home: Vec<String>,
    /// The mode of the file with its token, and of the folder that is in.
    pub modes: (u32, u32),
}

impl Start {
    /// The value after an argument.
    pub fn argument(&self, name: &str) -> Option<&str> {
        let at = self.arguments.iter().position(|argument| argument == name)?;
        self.arguments.get(at + 1).map(String::as_str)
    }
}

/// The files beside a program.
#[derive(Debug, Clone)]
pub struct Beside {
    orders: PathBuf,
    diary: PathBuf,
}

impl Beside {
    /// Of the program at this path.
    pub fn new(program: &Path) -> Self {
        Self { orders: program.with_extension("orders"), diary: program.with_extension("diary") }
    }

    /// What it is to do.
    pub fn orders(&self) -> Orders {
        let text = fs::read(&self.orders).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Writes something down.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, entry: &Entry) -> Result<()> {
        let mut file = File::options().create(true).append(true).open(&self.diary)?;
        // In one piece: others may be writing.
        file.write_all(format!("{}\n", serde_json::to_string(entry)?).as_bytes())?;
        Ok(())
    }
}

/// The stand-in, installed for one story.
#[derive(Debug)]
pub struct Connector {
    program: PathBuf,
    beside: Beside,
}

impl Connector {
    /// Puts it into a folder, as `cloudflared`, with an edge to let it in.
    ///
    /// # Errors
    /// When it was not built, or the disk refuses.
    pub fn install(folder: &Path, edge: SocketAddr) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let program = folder.join("cloudflared");
        symlink(programs::built("cloudflared-stand-in")?, &program).context("install the stand-in")?;
        let connector = Self { beside: Beside::new(&program), program };
        connector.order(&Orders { edge: Some(edge), ..Orders::default() });
        Ok(connector)
    }

    /// Where it is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// What it is to do now.
    pub fn orders(&self) -> Orders {
        self.beside.orders()
    }

    /// Changes what it is to do; a running one follows within milliseconds.
    pub fn change(&self, change: impl FnOnce(&mut Orders)) {
        let mut orders = self.orders();
        change(&mut orders);
        self.order(&orders);
    }

    fn order(&self, orders: &Orders) {
        let fresh = self.beside.orders.with_extension("new");
        let text = serde_json::to_vec(orders).expect("orders are plain");
        let written = fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, &self.beside.orders));
        written.unwrap_or_else(|err| panic!("order the stand-in: {err}"));
    }

    /// All it wrote down.
    pub fn diary(&self) -> Vec<Entry> {
        let text = fs::read_to_string(&self.beside.diary).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// All its starts, oldest first.
    pub fn starts(&self) -> Vec<Start> {
        let starts = self.diary().into_iter().map(|entry| match entry {
            Entry::Start(start) => Some(start),
            _ => None,
        });
        starts.flatten().collect()
    }

    /// The process ids of those that run.
    pub fn running(&self) -> Vec<u32> {
        // The number may be somebody else's by now; of one that has ended nothing is to be read.
        let is_ours = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with(self.program.as_os_str().as_bytes())
        };
        self.starts().into_iter().map(|start| start.pid).filter(is_ours).collect()
    }
}

impl Drop for Connector {
    /// None of them outlives its story, not even where the story shows that one does.
    fn drop(&mut self) {
        for pid in self.running().into_iter().filter_map(|pid| i32::try_from(pid).ok()) {
            _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}
