//! Agents, run inside this process: paired by their owner, started, waited for.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent::app::{Agent, How, Status};
use agent::config::cloudflared::Cloudflared;
use agent::config::{Keeping, Settings};
use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use shared::relay::HomeAssistantState;
use shared::secret::Secret;
use url::Url;

use crate::owner::Owner;
use crate::until::within;

/// Settings of an agent that keeps all it has in `folder`.
///
/// # Errors
/// When an address is no URL.
pub fn settings(folder: &Path, broker: &str, home_assistant: (&str, &str)) -> Result<Settings> {
    let (url, token) = home_assistant;
    Ok(Settings {
        broker: Some(Url::parse(broker)?),
        home_assistant: Url::parse(url)?,
        home_assistant_token: Some(Secret::from(token.to_owned())),
        data_dir: folder.to_path_buf(),
        memory: Keeping::File,
        ca_file: None,
        cloudflared: Cloudflared::default(),
        policy: folder.join("policy.toml"),
    })
}

/// Pairs an agent with a new home of its owner, by either flow.
///
/// # Errors
/// When the agent or the broker says no.
pub async fn pair(settings: &Settings, how: How, owner: &Owner, home_name: &str) -> Result<()> {
    let allow = |shown: String| async move {
        match how {
            How::Browser => owner.allow_by_browser(&shown, home_name).await.map(drop),
            How::Device => owner.allow_by_code(&shown, home_name).await.map(drop),
        }
    };
    pair_when(settings, how, allow).await
}

/// Lets an agent ask for a pairing and hands what it shows, the address to open or the code to type, to `allow`.
///
/// # Errors
/// When the agent, the broker or `allow` says no.
pub async fn pair_when<F>(settings: &Settings, how: How, allow: impl FnOnce(String) -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let paper = Paper::default();
    let mut out = paper.clone();
    let pairing = agent::app::pair(settings, how, &mut out);
    let allowing = async {
        let shown = within(Duration::from_secs(20), "the agent to say what to do", || async {
            paper.shown(how).ok_or_else(|| format!("it says:\n{}", paper.text()))
        });
        allow(shown.await?).await
    };
    let (paired, allowed) = tokio::join!(pairing, allowing);
    allowed?;
    paired.with_context(|| format!("pair the agent; it said:\n{}", paper.text()))
}

/// Starts a paired agent and waits until it has both the broker and Home Assistant, and visitors reach it.
///
/// # Errors
/// When it is not paired, or has not both within half a minute; its status is in the text.
pub async fn start(settings: Settings) -> Result<Agent> {
    let agent = Agent::start(settings).await?;
    let url = until_online(&agent).await?.url;
    // The broker has the line when it has read the answer to its hello, a moment after the agent has given it.
    let http = crate::http_client();
    let reached = within(Duration::from_secs(10), "visitors to reach the home", || async {
        let answer = http.get(url.as_deref().unwrap_or_default()).send().await;
        // An address that is none here (of Cloudflare, or behind TLS with a CA of its own) is another's to ask.
        answer.map_or(true, |answer| answer.status() != StatusCode::SERVICE_UNAVAILABLE)
    });
    reached.await?;
    Ok(agent)
}

/// Waits until an agent has the broker, Home Assistant and the tunnel, and knows its address.
///
/// # Errors
/// After half a minute; its status is in the text.
pub async fn until_online(agent: &Agent) -> Result<Status> {
    let status = agent.status();
    let online = within(Duration::from_secs(30), "the agent to be online", || async {
        let now = status.borrow().clone();
        let is_up =
            now.broker_connected && now.tunnel_connected && now.home_assistant == HomeAssistantState::Running;
        ensure!(is_up && now.url.is_some(), "{now:?}");
        Ok(now)
    });
    Ok(online.await?)
}

/// What an agent writes for a person to read.
#[derive(Debug, Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, words: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(words);
        Ok(words.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// The address to open, or the code to type: `XXXX-XXXX`, alone on its line.
    fn shown(&self, how: How) -> Option<String> {
        let is_it = |line: &&str| match how {
            How::Browser => line.starts_with("http"),
            How::Device => {
                let signs = line.chars().all(|sign| sign == '-' || sign.is_ascii_alphanumeric());
                signs && line.len() >= 8 && line.contains('-')
            }
        };
        self.text().lines().map(str::trim).find(is_it).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_type_and_what_to_open_are_found() {
        let mut paper = Paper::default();
        write!(
            paper,
            "To pair, open\n\n    http://localhost:1/device\n\nand type the code\n\n    BCDF-GHJK\n"
        )
        .unwrap();
        assert_eq!(paper.shown(How::Device).as_deref(), Some("BCDF-GHJK"));
        assert_eq!(paper.shown(How::Browser).as_deref(), Some("http://localhost:1/device"));
    }
}
