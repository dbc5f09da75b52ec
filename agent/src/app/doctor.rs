//! `doctor`: looks at everything the agent stands on, changes nothing, and says what to do where something is wrong.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use anyhow::{Context as _, Result};
use http::StatusCode;
use rustls::ClientConfig;
use serde::Serialize;
use url::Url;

use super::status::{self, Status};
use crate::cloud::Cloud;
use crate::config::Settings;
use crate::home_assistant::{self, Door};
use crate::memory::{Claim, Memory, Remembered};
use crate::net;
use crate::pairing::Provider;
use crate::policy::PolicyFile;

/// The address that a visitor from outside would have (RFC 5737); Home Assistant is shown it and asks nobody.
const SOMEBODY: &str = "203.0.113.7";

/// What was found on one thing.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    well: bool,
    /// How it is, and what to do where it is not well.
    words: String,
    /// Lines to put into a file, where that is what to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<String>,
}

type Found = Result<String, String>;

impl Finding {
    fn new(what: &'static str, found: Found) -> Self {
        let well = found.is_ok();
        let words = found.unwrap_or_else(|wrong| wrong);
        Self { what, well, words, lines: Vec::new() }
    }
}

/// Examines and tells. Returns whether all is well.
///
/// # Errors
/// A memory that cannot be read, no certificates to trust, or nowhere to tell.
pub async fn doctor(settings: &Settings, json: bool, out: &mut (dyn Write + Send)) -> Result<bool> {
    let tls = net::trust(settings.ca_file.as_deref())?;
    let claim = if settings.data_dir.exists() { Claim::take(&settings.data_dir).await.ok() } else { None };
    let memory = match settings.data_dir.exists() {
        true => Some(Arc::new(Memory::open(&settings.data_dir, settings.memory).await?)),
        false => None,
    };
    let remembered = memory.as_ref().map(|memory| memory.recall()).unwrap_or_default();
    let token = settings.home_assistant_token.clone().or(remembered.home_assistant_token.clone());
    let door = Door { address: settings.home_assistant.clone(), token, tls: Arc::clone(&tls) };
    let paired = match (&memory, claim.is_some()) {
        (Some(memory), true) => asked(&remembered, Arc::clone(memory), &tls).await,
        _ => told(&remembered, &settings.data_dir),
    };
    let findings = [
        Finding::new(
            "policy",
            PolicyFile::examine(&settings.policy, settings.policy == settings.usual_policy()),
        ),
        Finding::new("home assistant", home_assistant(&door).await),
        proxies(&door).await,
        Finding::new("broker", broker(settings, &remembered, &tls).await),
        Finding::new("pairing", paired),
    ];
    let well = findings.iter().all(|finding| finding.well);
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&findings).context("the findings as JSON")?)?;
    } else {
        findings.iter().try_for_each(|finding| write_in_words(finding, out))?;
    }
    Ok(well)
}

fn write_in_words(finding: &Finding, out: &mut (dyn Write + Send)) -> io::Result<()> {
    let Finding { what, well, words, lines } = finding;
    writeln!(out, "{:<6} {what:<15} {words}", if *well { "ok" } else { "WRONG" })?;
    lines.iter().try_for_each(|line| writeln!(out, "           {line}"))
}

async fn home_assistant(door: &Door) -> Found {
    let version = home_assistant::examine(door).await?;
    Ok(format!("{version} at {} takes the agent's token", door.address))
}

/// Whether visitors who come through the agent are let in: Home Assistant refuses all who come through a proxy that
/// it was not told to trust (its integration `http`).
async fn proxies(door: &Door) -> Finding {
    const WHAT: &str = "trusted proxies";
    if door.address.host_str() == Some("supervisor") {
        let words = "not asked: in an add-on Home Assistant is reached through the Supervisor".to_owned();
        return Finding::new(WHAT, Ok(words));
    }
    let asked = async {
        let http = net::http_client(&door.address, &door.tls)?;
        let url = door.address.join("manifest.json")?;
        let answer = http.get(url).header("x-forwarded-for", SOMEBODY).send().await?;
        // What it would have to trust is the address that it sees us under.
        anyhow::Ok((answer.status(), net::own_address(&door.address).await?))
    };
    match asked.await {
        Err(err) => Finding::new(WHAT, Err(format!("cannot be asked: {err:#}"))),
        Ok((StatusCode::BAD_REQUEST, own)) => Finding {
            lines: vec![
                "http:".to_owned(),
                "  use_x_forwarded_for: true".to_owned(),
                "  trusted_proxies:".to_owned(),
                format!("    - {own}"),
            ],
            ..Finding::new(
                WHAT,
                Err("visitors would be refused: put these lines into configuration.yaml and restart Home Assistant"
                    .to_owned()),
            )
        },
        Ok((_, own)) => Finding::new(WHAT, Ok(format!("visitors who come through {own} are let in"))),
    }
}

async fn broker(settings: &Settings, remembered: &Remembered, tls: &Arc<ClientConfig>) -> Found {
    let paired = remembered.pairing.as_ref().map(|pairing| pairing.broker.as_str());
    let given = settings.broker.as_ref().map(Url::as_str);
    let address = given.or(paired).ok_or("none is known: pair with one, latchkey-agent pair --broker URL")?;
    let url: Url = address.parse().map_err(|err| format!("{address}: {err}"))?;
    match Provider::find(&url, tls).await {
        Ok(_) => Ok(format!("{url} answers")),
        Err(err) => Err(format!("{err:#}")),
    }
}

/// The pairing, tried out.
async fn asked(remembered: &Remembered, memory: Arc<Memory>, tls: &ClientConfig) -> Found {
    let pairing = remembered.pairing.as_ref().ok_or(NOT_PAIRED)?;
    let cloud = Cloud::new(pairing, memory, tls).map_err(|err| format!("{err:#}"))?;
    match cloud.home().await {
        Ok(home) => Ok(format!(
            "the broker knows this agent{}",
            home.url.map(|at| format!("; {at}")).unwrap_or_default()
        )),
        Err(err) => Err(format!("{err}")),
    }
}

/// The pairing, as the agent that runs beside us found it: two must not use one refresh token.
fn told(remembered: &Remembered, data_dir: &Path) -> Found {
    if remembered.pairing.is_none() {
        return Err(NOT_PAIRED.to_owned());
    }
    let text = fs::read(status::path(data_dir)).map_err(|err| format!("no status to read: {err}"))?;
    let status: Status = serde_json::from_slice(&text).map_err(|err| format!("the status: {err}"))?;
    let part = |name: &str, up: bool, reason: Option<String>| match (up, reason) {
        (true, _) => Ok(()),
        (false, reason) => Err(format!("{name} is not connected: {}", reason.unwrap_or_default())),
    };
    part("the broker", status.broker_connected, status.broker_reason)?;
    part("the tunnel", status.tunnel_connected, status.tunnel_reason)?;
    Ok("the running agent is connected, and its tunnel too".to_owned())
}

const NOT_PAIRED: &str = "not paired: run latchkey-agent pair";
