//! A throw-away PostgreSQL cluster, or the one that `LATCHKEY_TEST_POSTGRES` names; one database for each story.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use nix::unistd::User;
use tempfile::TempDir;

use crate::process::{Process, are_root, free_port, which};
use crate::until;

/// The variable that hands one cluster to many test processes: a URL of an admin, with a database.
pub const GIVEN: &str = "LATCHKEY_TEST_POSTGRES";

/// Whether a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing is synced: a story forgets its database anyway.
    None,
    /// As in production, for what tells of durability or measures writes.
    Full,
}

/// A running cluster. Dropping one that we started ends and removes it.
#[derive(Debug)]
pub struct Postgres {
    admin: String,
    psql: PathBuf,
    // Fields are dropped in this order: first the server ends, then its files go.
    process: Option<Process>,
    folder: Option<TempDir>,
}

impl Postgres {
    /// The cluster named by `LATCHKEY_TEST_POSTGRES`, or a new one.
    ///
    /// # Errors
    /// When none is given and none can be started; the error says what to install.
    pub fn given_or_start(durability: Durability) -> Result<Self> {
        let Some(admin) = std::env::var(GIVEN).ok().filter(|url| !url.is_empty()) else {
            return Self::start(durability);
        };
        let psql = which("psql").or_else(|| Some(programs().ok()?.join("psql")));
        let psql = psql.context("psql is needed to make databases: apt-get install postgresql-client")?;
        Ok(Self { admin, psql, process: None, folder: None })
    }

    /// Makes a cluster in a temporary folder and starts it on a free port of loopback, without a socket file.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start; the end of its log is in the text.
    pub fn start(durability: Durability) -> Result<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("latchkey-postgres-").tempdir()?;
        let data = folder.path().join("data");
        fs::create_dir(&data)?;
        give_to_server(folder.path())?;
        give_to_server(&data)?;
        let mut initdb = as_server(&programs.join("initdb"))?;
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]);
        run(initdb.arg("--pgdata").arg(&data)).context("make a PostgreSQL cluster")?;
        let port = free_port()?;
        let mut server = as_server(&programs.join("postgres"))?;
        server.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300"] {
            server.args(["-c", setting]);
        }
        if durability == Durability::None {
            for setting in ["fsync=off", "synchronous_commit=off", "full_page_writes=off"] {
                server.args(["-c", setting]);
            }
        }
        // SIGINT is PostgreSQL's fast shutdown; on SIGTERM it would wait for its clients.
        let log = folder.path().join("log");
        let process = Process::start("PostgreSQL", &mut server, &log, Signal::SIGINT)?;
        let admin = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let psql = programs.join("psql");
        let mut cluster = Self { admin, psql, process: Some(process), folder: Some(folder) };
        cluster.until_ready()?;
        Ok(cluster)
    }

    /// The admin's URL, to hand to other processes in `LATCHKEY_TEST_POSTGRES`.
    pub fn admin_url(&self) -> &str {
        &self.admin
    }

    /// The cluster's files and its log, if we started it.
    pub fn files(&self) -> Option<&Path> {
        self.folder.as_ref().map(TempDir::path)
    }

    /// Brings everything that is committed into the tables' files.
    ///
    /// # Errors
    /// When the cluster refuses.
    pub fn checkpoint(&self) -> Result<()> {
        self.sql("CHECKPOINT")
    }

    /// Everything in a database as SQL: what `pg_dump` says.
    ///
    /// # Errors
    /// When it says no.
    pub fn dump(url: &str) -> Result<Vec<u8>> {
        Ok(run(Command::new(programs()?.join("pg_dump")).arg("--inserts").arg(url))?.stdout)
    }

    /// Makes an empty database whose name begins with `name` and gives its URL.
    ///
    /// # Errors
    /// When the cluster refuses.
    pub fn create_database(&self, name: &str) -> Result<String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(40).collect();
        let name = format!("{}_{}_{count}", name.to_lowercase(), std::process::id());
        self.sql(&format!("CREATE DATABASE \"{name}\""))
            .with_context(|| format!("create database {name}"))?;
        let (server, _) = self.admin.rsplit_once('/').context("the admin's URL names a database")?;
        Ok(format!("{server}/{name}"))
    }

    /// Removes a database made by [`Postgres::create_database`], also when somebody is still connected.
    ///
    /// # Errors
    /// When the cluster refuses.
    pub fn drop_database(&self, url: &str) -> Result<()> {
        let (_, name) = url.rsplit_once('/').context("the URL names a database")?;
        self.sql(&format!("DROP DATABASE \"{name}\" WITH (FORCE)"))
    }

    /// Ends the cluster at once, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill();
        }
    }

    fn sql(&self, statement: &str) -> Result<()> {
        let mut psql = Command::new(&self.psql);
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--command", statement, &self.admin]);
        run(&mut psql).map(drop)
    }

    fn until_ready(&mut self) -> Result<()> {
        let mut last = Ok(());
        let ready = until::blocking(Duration::from_secs(60), || {
            last = self.process.as_mut().map_or(Ok(()), Process::check);
            last.is_err() || self.sql("SELECT 1").is_ok()
        });
        last?;
        ensure!(
            ready,
            "PostgreSQL does not answer:\n{}",
            self.process.as_ref().map_or(String::new(), |p| p.tail(20))
        );
        Ok(())
    }
}

/// The folder of the newest PostgreSQL's server programs.
///
/// # Errors
/// When there is none; the error says what to install.
pub fn programs() -> Result<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = debian
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, folder)| folder.join("initdb").exists())
        .collect();
    found.sort();
    let on_path = || which("initdb").and_then(|file| file.parent().map(Path::to_path_buf));
    let newest = found.pop().map(|(_, folder)| folder).or_else(on_path);
    newest.with_context(|| {
        format!("PostgreSQL is not installed: apt-get install postgresql (or set {GIVEN} to an admin's URL)")
    })
}

/// PostgreSQL refuses to run as root; root runs it as `nobody`.
fn as_server(program: &Path) -> Result<Command> {
    if !are_root() {
        return Ok(Command::new(program));
    }
    let nobody = nobody()?;
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={}", nobody.uid), format!("--regid={}", nobody.gid)]);
    command.args(["--clear-groups", "--"]).arg(program);
    Ok(command)
}

fn give_to_server(folder: &Path) -> Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    if are_root() {
        let nobody = nobody()?;
        chown(folder, Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw()))?;
    }
    Ok(())
}

fn nobody() -> Result<User> {
    User::from_name("nobody")?.context("there is no user nobody to run PostgreSQL as")
}

fn run(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("run {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_gives_each_story_a_database_of_its_own() {
        let cluster = Postgres::given_or_start(Durability::None).unwrap();
        let (one, two) =
            (cluster.create_database("A story").unwrap(), cluster.create_database("A story").unwrap());
        assert_ne!(one, two);
        assert!(one.contains("/a_story_"), "{one}");
        cluster.drop_database(&one).unwrap();
        assert!(cluster.drop_database(&one).is_err(), "a database can be dropped once");
        cluster.drop_database(&two).unwrap();
    }
}
