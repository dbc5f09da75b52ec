//! Broker and agent as programs of their own: what can be killed as a power cut would. `cargo verify` builds them
//! before the tests; after a change, `cargo build --workspace` does.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use agent::config::cloudflared::Timings;
use anyhow::{Context, Result, ensure};
use broker::store::Where;
use nix::sys::signal::Signal;

use crate::process::Process;

/// Starts a broker with these settings, on the port they name; its log is `broker.log` in `folder`.
///
/// # Errors
/// When the program was not built or cannot be started.
pub fn broker(settings: &broker::config::Settings, folder: &Path) -> Result<Process> {
    let mut command = brokers_command(settings)?;
    Process::start("the broker", &mut command, &folder.join("broker.log"), Signal::SIGTERM)
}

/// Runs one of the operator's commands on the data of a broker, which may be running, and gives what it says.
///
/// # Errors
/// When the program was not built, or says no; its words are in the text.
pub fn brokers_operator(settings: &broker::config::Settings, words: &[&str]) -> Result<String> {
    let said = brokers_command(settings)?.args(words).output().context("run latchkey-broker")?;
    let wrong = String::from_utf8_lossy(&said.stderr);
    ensure!(said.status.success(), "latchkey-broker {}: {}: {wrong}", words.join(" "), said.status);
    String::from_utf8(said.stdout).context("it says what is not text")
}

/// Starts one of the operator's commands; its log is `operator.log` in `folder`.
///
/// # Errors
/// When the program was not built or cannot be started.
pub fn brokers_operator_started(
    settings: &broker::config::Settings,
    words: &[&str],
    folder: &Path,
) -> Result<Process> {
    let mut command = brokers_command(settings)?;
    Process::start("the operator", command.args(words), &folder.join("operator.log"), Signal::SIGTERM)
}

/// Like [`brokers_operator`], for a command that must end with code 1: all it says.
///
/// # Errors
/// When the program was not built, or ends with another code.
pub fn brokers_operator_fails(settings: &broker::config::Settings, words: &[&str]) -> Result<String> {
    let said = brokers_command(settings)?.args(words).output().context("run latchkey-broker")?;
    let text = [said.stdout, said.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    ensure!(said.status.code() == Some(1), "latchkey-broker {}: {}: {text}", words.join(" "), said.status);
    Ok(text)
}

/// A broker's program with these settings, before it is told what to do.
///
/// # Errors
/// When it was not built.
pub fn brokers_command(settings: &broker::config::Settings) -> Result<Command> {
    let mut command = program("latchkey-broker")?;
    command.arg("--listen").arg(settings.listen.to_string());
    command.arg("--public-url").arg(settings.public_url.as_str());
    command.arg("--data-dir").arg(&settings.data_dir);
    command.args(["--password-memory-mib", "19"]);
    command.arg("--home-domain").arg(&settings.home_domain);
    if let Some((certificate, key)) = &settings.tls {
        command.arg("--tls-certificate").arg(certificate).arg("--tls-key").arg(key);
    }
    let accounts = settings.data_dir.with_file_name(crate::cloudflare::ACCOUNTS);
    if let Some(acme) = &settings.acme {
        order_by(acme, &accounts, &mut command);
    }
    if let Some(url) = &settings.mail.smtp {
        command.env("LATCHKEY_SMTP_URL", url.expose());
    }
    if !settings.cloudflare.is_empty() {
        command.arg("--cloudflare").arg(&accounts);
    }
    if let Where::Postgres(url) = &settings.database {
        command.env("LATCHKEY_DATABASE", url.expose());
    }
    Ok(command)
}

fn order_by(acme: &broker::config::Acme, accounts: &Path, command: &mut Command) {
    command.arg("--acme-directory").arg(acme.directory.as_str()).args(["--acme-agree-terms", "true"]);
    command.arg("--acme-dns-wait-seconds").arg(acme.dns_wait.as_secs().to_string());
    if let Some(contact) = &acme.contact {
        command.arg("--acme-contact").arg(contact);
    }
    if let Some(root) = &acme.root {
        command.arg("--acme-root").arg(root);
    }
    if !acme.zones.is_empty() {
        command.arg("--acme-dns-cloudflare").arg(accounts);
    }
    if !acme.hook.is_empty() {
        command.arg("--acme-dns-hook").arg(acme.hook.join(" "));
    }
}

/// Starts a paired agent with these settings; its log is `agent.log` in `folder`.
///
/// # Errors
/// Like [`fn@broker`].
pub fn agent(settings: &agent::config::Settings, folder: &Path) -> Result<Process> {
    let mut command = agents_command(settings, "run")?;
    Process::start("the agent", &mut command, &folder.join("agent.log"), Signal::SIGTERM)
}

/// Like [`fn@agent`], as systemd would start it: told where to say how it is, and how long it may be silent.
///
/// # Errors
/// Like [`fn@broker`].
pub fn agent_as_service(
    settings: &agent::config::Settings,
    folder: &Path,
    notify: &Path,
    watchdog: Duration,
) -> Result<Process> {
    let mut command = agents_command(settings, "run")?;
    command.env("NOTIFY_SOCKET", notify).env("WATCHDOG_USEC", watchdog.as_micros().to_string());
    Process::start("the agent", &mut command, &folder.join("agent.log"), Signal::SIGTERM)
}

/// Runs the agent's `logout` and waits for it.
///
/// # Errors
/// When the program was not built, or says no; its words are in the text.
pub fn log_out(settings: &agent::config::Settings) -> Result<()> {
    succeed(&mut agents_command(settings, "logout")?)
}

/// Runs the agent's `sharing stop` or `sharing resume` and waits for it; another may run the agent meanwhile.
///
/// # Errors
/// Like [`log_out`].
pub fn sharing(settings: &agent::config::Settings, what: &str) -> Result<()> {
    succeed(agents_command(settings, "sharing")?.arg(what))
}

/// Runs the agent's `doctor`: whether it finds all well, and what it says.
///
/// # Errors
/// When the program was not built, or cannot examine.
pub fn agents_doctor(settings: &agent::config::Settings) -> Result<(bool, String)> {
    let said = agents_command(settings, "doctor")?.output().context("run latchkey-agent doctor")?;
    let wrong = String::from_utf8_lossy(&said.stderr);
    ensure!(matches!(said.status.code(), Some(0 | 1)) && !said.stdout.is_empty(), "{}: {wrong}", said.status);
    Ok((said.status.success(), String::from_utf8(said.stdout).context("it says what is not text")?))
}

fn succeed(command: &mut Command) -> Result<()> {
    let ended = command.output().context("run latchkey-agent")?;
    ensure!(ended.status.success(), "{}: {}", ended.status, String::from_utf8_lossy(&ended.stderr));
    Ok(())
}

/// One of the agent's commands with these settings.
///
/// # Errors
/// When the program was not built, or its settings cannot be written.
pub fn agents_command(settings: &agent::config::Settings, word: &str) -> Result<Command> {
    let mut command = program("latchkey-agent")?;
    if let Some(cloudflared) = &settings.cloudflared.program {
        let file = settings.data_dir.with_extension("toml");
        std::fs::write(&file, timings(&settings.cloudflared.timings))?;
        command.arg("--config").arg(file).arg("--cloudflared").arg(cloudflared);
    }
    command.args(word.split(' ')).args(["--memory", "file"]);
    command.arg("--home-assistant").arg(settings.home_assistant.as_str());
    command.arg("--data-dir").arg(&settings.data_dir);
    if let Some(token) = &settings.home_assistant_token {
        command.env("LATCHKEY_HOME_ASSISTANT_TOKEN", token.expose());
    }
    Ok(command)
}

/// The part of the agent's settings file that says how patient it is.
fn timings(timings: &Timings) -> String {
    let Timings { startup, look, quic, grace, flood, longest_wait } = timings;
    let all = [
        ("startup", startup),
        ("look", look),
        ("quic", quic),
        ("grace", grace),
        ("flood", flood),
        ("longest_wait", longest_wait),
    ];
    let lines = all.map(|(name, time)| format!("{name} = {}\n", time.as_secs_f64()));
    format!("[cloudflared.timings]\n{}", lines.concat())
}

/// One of the two programs, `latchkey-broker` or `latchkey-agent`, still without a word to it, and without what only
/// the tests were given.
///
/// # Errors
/// When it was not built.
pub fn program(name: &str) -> Result<Command> {
    let mut command = Command::new(built(name)?);
    command.env_remove("HA_TOKEN");
    Ok(command)
}

/// Names a folder of other builds of the programs to run, such as `target/release`.
const GIVEN: &str = "LATCHKEY_PROGRAMS";

/// A program of this workspace: in the folder that [`GIVEN`] names, else beside the folder with the tests.
pub(crate) fn built(name: &str) -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os(GIVEN) {
        return Ok(PathBuf::from(folder).join(name));
    }
    let test = std::env::current_exe().context("where this test lies")?;
    let profile = test.ancestors().find(|folder| folder.ends_with("deps")).and_then(Path::parent);
    let program = profile.context("a test lies in cargo's deps folder")?.join(name);
    ensure!(program.is_file(), "{} is not there: cargo build --workspace", program.display());
    Ok(program)
}
