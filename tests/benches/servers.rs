//! The two that are measured, each on core 0 with a database of its own on the same disk.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use broker::store::Where;
use kit::npm;
use kit::owner::{Identity, Owner};
use kit::process::{Process, free_port};
use kit::until::within;
use kit::world::workspace_of;
use nix::sys::signal::Signal;
use serde_json::Value;
use shared::oauth::path;
use tokio::net::TcpStream;

use crate::load::{form, get, once};

const PEER: &str = include_str!("peer.mjs");
const PACKAGES: [&str; 2] = ["oidc-provider@9.13.3", "better-sqlite3@12.11.1"];
const PEERS_SECRET: &str = "a secret of more than thirty-two signs";
const TOKEN: &str = "grant_type=client_credentials&scope=smarthome%3Aread";

/// What is asked of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A token by client credentials.
    Token,
    /// Whether one token is good.
    Introspection,
    /// Nothing: whether the server is there.
    Nothing,
}

/// A server that runs.
pub trait Server {
    /// Where on loopback.
    fn port(&self) -> u16;
    /// Its process.
    fn process(&self) -> u32;
    /// The bytes to send.
    async fn request(&self, asked: Asked) -> Result<Vec<u8>>;
}

/// oidc-provider.
pub struct Peer {
    process: Process,
    port: u16,
}

impl Peer {
    /// Starts one whose database syncs so.
    pub async fn start(folder: &Path, synchronous: &str) -> Result<Self> {
        let installed = npm::install("bench-peer", &[], &PACKAGES)?;
        let program = installed.join("peer.mjs");
        std::fs::write(&program, PEER)?;
        std::fs::create_dir_all(folder)?;
        let port = free_port()?;
        let mut command = on_core_0(&npm::node()?);
        command.arg(program).arg(port.to_string()).arg(folder.join("peer.db")).arg(synchronous);
        command.env("PEER_SECRET", PEERS_SECRET).current_dir(&installed);
        let mut process = Process::start("the peer", &mut command, &folder.join("log"), Signal::SIGTERM)?;
        until_open(port, &mut process).await?;
        Ok(Self { process, port })
    }
}

impl Server for Peer {
    fn port(&self) -> u16 {
        self.port
    }

    fn process(&self) -> u32 {
        self.process.id()
    }

    async fn request(&self, asked: Asked) -> Result<Vec<u8>> {
        let secret = PEERS_SECRET.replace(' ', "+"); // form-encoded, as RFC 6749 section 2.3.1 has it
        requests(self.port, asked, ("/token", "/token/introspection"), ("bench", &secret), ("bench", &secret))
            .await
    }
}

/// Ours.
pub struct Broker {
    process: Process,
    port: u16,
    /// Its first account, signed in.
    pub owner: Owner,
    service: (String, String),
    reader: (String, String),
}

impl Broker {
    /// Starts the one in a folder, makes its first account, and registers a service and a resource server.
    pub async fn start(folder: &Path, programs: &Path) -> Result<Self> {
        let program = programs.join("latchkey-broker");
        ensure!(
            program.is_file(),
            "{} is not there: cargo build --release -p latchkey-broker",
            program.display()
        );
        std::fs::create_dir_all(folder)?;
        let (port, log) = (free_port()?, folder.join("broker.log"));
        let mut command = on_core_0(&program);
        command.arg("--data-dir").arg(folder).args(["--password-memory-mib", "19", "--listen"]);
        command.arg(SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string());
        let mut process = Process::start("the broker", &mut command, &log, Signal::SIGTERM)?;
        until_open(port, &mut process).await?;
        let first_run = within(Duration::from_secs(30), "the first-run address", || {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let line = said.lines().find(|line| line.contains("/first-run?code="));
            std::future::ready(line.map(|line| line.trim().to_owned()))
        });
        let owner = Owner::make_first(&first_run.await?, Identity::ada()).await?;
        let workspace = workspace_of(&Where::Sqlite(folder.join("latchkey.db"))).await?;
        let add = |words: &[&str]| register(&program, folder, words);
        let service = add(&[
            "--name",
            "Bench",
            "--kind",
            "service",
            "--scope",
            "smarthome:read",
            "--workspace",
            &workspace,
        ])?;
        let reader = add(&["--name", "Reader", "--kind", "resource-server"])?;
        Ok(Self { process, port, owner, service, reader })
    }
}

impl Server for Broker {
    fn port(&self) -> u16 {
        self.port
    }

    fn process(&self) -> u32 {
        self.process.id()
    }

    async fn request(&self, asked: Asked) -> Result<Vec<u8>> {
        if asked == Asked::Nothing {
            return Ok(get("/healthz", &format!("127.0.0.1:{}", self.port)));
        }
        let pair = |(id, secret): &(String, String)| (id.clone(), secret.clone());
        let ((id, secret), (reader, readers)) = (pair(&self.service), pair(&self.reader));
        requests(self.port, asked, (path::TOKEN, path::INTROSPECT), (&id, &secret), (&reader, &readers)).await
    }
}

async fn requests(
    port: u16,
    asked: Asked,
    (issue, introspect): (&str, &str),
    client: (&str, &str),
    reader: (&str, &str),
) -> Result<Vec<u8>> {
    let issue = form(port, issue, client, TOKEN);
    if asked == Asked::Token {
        return Ok(issue);
    }
    let answer: Value = serde_json::from_str(&once(port, &issue).await?)?;
    let token = answer["access_token"].as_str().context("no access token")?;
    let introspection = form(port, introspect, reader, &format!("token={token}"));
    let answer: Value = serde_json::from_str(&once(port, &introspection).await?)?;
    ensure!(answer["active"] == true, "the token is not active: {answer}");
    Ok(introspection)
}

fn register(program: &Path, folder: &Path, words: &[&str]) -> Result<(String, String)> {
    let mut command = Command::new(program);
    command.arg("--data-dir").arg(folder).args(["client", "add", "--json"]).args(words);
    let said = command.output().context("run latchkey-broker client add")?;
    ensure!(said.status.success(), "client add: {}", String::from_utf8_lossy(&said.stderr));
    let said: Value = serde_json::from_slice(&said.stdout)?;
    let text = |name: &str| said[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
    Ok((text("client_id")?, text("client_secret")?))
}

/// A command that runs a program on core 0 alone.
pub fn on_core_0(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(PathBuf::from(program));
    command
}

/// Waits until something listens on a port of loopback; an error if the process that should has ended.
pub async fn until_open(port: u16, process: &mut Process) -> Result<()> {
    within(Duration::from_secs(30), "the server to listen", || {
        let ended = process.check();
        async move {
            ended?;
            TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
            anyhow::Ok(())
        }
    })
    .await?;
    Ok(())
}
