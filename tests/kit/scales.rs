//! Scales: what broker and agent weigh, as processes of their own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use broker::config::Given;

use crate::process::{Process, free_port};
use crate::programs;
use crate::until::within;

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
        let port = free_port()?;
        std::fs::create_dir_all(folder)?;
        let log = folder.join("broker.log");
        let settings = Given {
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            data_dir: Some(folder.to_path_buf()),
            ..Given::default()
        };
        let mut process = programs::broker(&settings.settle(None)?, folder)?;
        let origin = format!("http://localhost:{port}");
        let ready = format!("{origin}/readyz");
        let client = crate::http_client();
        within(Duration::from_secs(20), "the broker to be ready", || {
            let (ended, asked) = (process.check(), client.get(&ready).send());
            async move {
                ended?;
                asked.await?.error_for_status()?;
                anyhow::Ok(())
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
