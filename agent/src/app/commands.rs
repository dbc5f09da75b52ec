//! The commands that are not `run`: pair, status, logout.

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::process::Command;
use tracing::{debug, info};

use super::NotYetPaired;
use super::status::{self, Status};
use crate::cloud::Cloud;
use crate::config::{Settings, Sharing, has_display};
use crate::memory::{Claim, Memory, Pairing};
use crate::net;
use crate::pairing::{Provider, browser, device};
use crate::policy::set_stopped;
use crate::tasks::now_ms;

/// By which flow to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// A code typed on another machine.
    Device,
    /// A browser on this one.
    Browser,
}

/// Signs in and remembers the pairing; what to do is told to `out`. A pairing there was before is given back.
///
/// # Errors
/// `NotPaired`; a memory in use; a broker that is none.
pub async fn pair(settings: &Settings, how: How, out: &mut (dyn Write + Send)) -> Result<()> {
    let _claim = Claim::take(&settings.data_dir).await?;
    let memory = Arc::new(Memory::open(&settings.data_dir, settings.memory).await?);
    let before = memory.recall().pairing;
    let broker = match (&settings.broker, &before) {
        (Some(broker), _) => broker.clone(),
        (None, Some(before)) => before.broker.parse()?,
        (None, None) => anyhow::bail!("which broker? give --broker URL"),
    };
    let tls = net::trust(settings.ca_file.as_deref())?;
    let provider = Provider::find(&broker, &tls).await?;
    let pairing = match how {
        How::Device => by_code(&provider, out).await?,
        How::Browser => by_browser(&provider, out).await?,
    };
    let home = pairing.home;
    let token = settings.lasting_token().cloned();
    memory
        .change(|all| {
            all.pairing = Some(pairing);
            all.home_assistant_token = token.or(all.home_assistant_token.take());
        })
        .await?;
    writeln!(out, "Paired with {broker} as home {home}. Secrets are in {}.", memory.place())?;
    if let Some(before) = before {
        let given_back = Cloud::new(&before, memory, &tls)?.revoke(&before.refresh_token).await;
        debug!(?given_back, "the pairing before");
    }
    Ok(())
}

async fn by_code(provider: &Provider, out: &mut (dyn Write + Send)) -> Result<Pairing> {
    let waiting = device::begin(provider).await?;
    writeln!(out, "{}", waiting.words())?;
    out.flush()?;
    waiting.finish().await
}

async fn by_browser(provider: &Provider, out: &mut (dyn Write + Send)) -> Result<Pairing> {
    let waiting = browser::begin(provider).await?;
    writeln!(
        out,
        "To pair this agent, open this address in a browser on this machine:\n\n    {}\n",
        waiting.address()
    )?;
    out.flush()?;
    if has_display() {
        let quiet = || Stdio::null();
        let opener =
            Command::new("xdg-open").arg(waiting.address().as_str()).stdout(quiet()).stderr(quiet()).spawn();
        // The address is on the screen too, so an opener that is not there is no loss.
        debug!(opened = opener.is_ok(), "browser");
    }
    waiting.finish().await
}

/// What `status` prints.
#[derive(Debug, Serialize)]
struct Report {
    paired: bool,
    running: bool,
    #[serde(flatten)]
    last: Option<Status>,
}

/// Tells how the agent is doing, as it said last. Returns whether it runs.
///
/// # Errors
/// `NotYetPaired`, or a memory that cannot be read.
pub async fn status(settings: &Settings, json: bool, out: &mut (dyn Write + Send)) -> Result<bool> {
    let paired = settings.data_dir.exists()
        && Memory::open(&settings.data_dir, settings.memory).await?.recall().pairing.is_some();
    let running = Claim::is_taken(&settings.data_dir);
    let text = fs::read(status::path(&settings.data_dir)).unwrap_or_default();
    let last = serde_json::from_slice(&text).ok().filter(|_| paired);
    let report = Report { paired, running, last };
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report).context("the status as JSON")?)?;
    } else {
        write!(out, "{}", in_words(&report, now_ms()))?;
    }
    if paired { Ok(running) } else { Err(NotYetPaired.into()) }
}

fn in_words(report: &Report, now: i64) -> String {
    let mut lines = vec![match (report.paired, report.running) {
        (false, _) => "agent           not paired".to_owned(),
        (true, true) => "agent           running".to_owned(),
        (true, false) => "agent           not running; what follows is the last it said".to_owned(),
    }];
    if let Some(last) = &report.last {
        let home = last.home_name.clone().unwrap_or_else(|| last.home_id.to_string());
        lines.push(format!("home            {home}"));
        lines.extend(last.url.as_ref().map(|url| format!("address         {url}")));
        let because = |reason: &Option<String>| reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
        let link = |up: bool, reason| {
            format!("{}{}", if up { "connected" } else { "not connected" }, because(reason))
        };
        let broker = link(last.broker_connected, &last.broker_reason);
        lines.push(format!("broker          {broker} ({})", last.broker));
        lines.push(format!("tunnel          {}", link(last.tunnel_connected, &last.tunnel_reason)));
        let state = last.home_assistant.word();
        let version = last.home_assistant_version.as_ref().map(|v| format!(" {v}")).unwrap_or_default();
        lines.push(format!("home assistant  {state}{version}{}", because(&last.home_assistant_reason)));
        lines.push(match (&last.policy_reason, last.sharing_stopped) {
            (Some(reason), _) => format!("sharing         {reason}"),
            (None, true) => "sharing         stopped by this home (latchkey-agent sharing resume)".to_owned(),
            (None, false) => "sharing         as the links and this home's policy allow".to_owned(),
        });
        let age = (now - last.updated).max(0) / 1000;
        lines.push(format!("last change     {age} s ago"));
    }
    lines.join("\n") + "\n"
}

/// Stops all sharing, or lets it go on. A running agent heeds it within seconds.
///
/// # Errors
/// A policy that cannot be read or written.
pub fn set_sharing(settings: &Settings, what: Sharing, out: &mut dyn Write) -> Result<()> {
    let stopped = what == Sharing::Stop;
    // As another user one has another data folder, and would stop nobody.
    if !settings.policy.exists() && !Claim::is_taken(&settings.data_dir) {
        anyhow::bail!(
            "there is no policy at {} and no agent runs with the data folder {}: give --data-dir (or --policy) as the \
             agent has it, and run this as its user",
            settings.policy.display(),
            settings.data_dir.display()
        );
    }
    set_stopped(&settings.policy, stopped)?;
    let words = if stopped { "Nothing is shared any more" } else { "Sharing goes on" };
    writeln!(out, "{words}: {} says so now.", settings.policy.display())?;
    Ok(())
}

/// Gives the pairing back to the broker and forgets it, also when the broker cannot be reached.
///
/// # Errors
/// `NotYetPaired`; a memory in use; or the broker did not answer: forgotten here, but not there.
pub async fn logout(settings: &Settings, out: &mut (dyn Write + Send)) -> Result<()> {
    let _claim = Claim::take(&settings.data_dir).await?;
    let memory = Arc::new(Memory::open(&settings.data_dir, settings.memory).await?);
    let pairing = memory.recall().pairing.ok_or(NotYetPaired)?;
    let tls = net::trust(settings.ca_file.as_deref())?;
    let given_back = Cloud::new(&pairing, Arc::clone(&memory), &tls)?.revoke(&pairing.refresh_token).await;
    memory.forget().await?;
    if let Err(err) = fs::remove_file(status::path(&settings.data_dir)) {
        info!("no status to remove: {err}");
    }
    writeln!(out, "Forgotten here.")?;
    given_back.context("the broker was not told; revoke the agent in its dashboard")
}
