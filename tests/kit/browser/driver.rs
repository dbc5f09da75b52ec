//! Starting chromedriver and Chromium, and the commands that WebDriver itself does not have.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use url::{ParseError, Url};

use super::{DESKTOP, Viewport};
use crate::process::{Process, are_root, which};
use crate::until::within;

const INSTALL: &str = "install them with: apt-get install chromium chromium-driver";
const START: Duration = Duration::from_secs(60);
const TRIES: u32 = 4;

/// No graphics card, no first-run pages, and nothing that calls home.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-proxy-server",
];

/// How a browser is started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The size of the page.
    pub viewport: Viewport,
    /// What it sends as `Accept-Language`, for example `zh-TW`.
    pub language: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Self { viewport: DESKTOP, language: "en" }
    }
}

/// The driver's program.
pub fn find_driver() -> Option<PathBuf> {
    which("chromedriver")
}

/// The browser's program.
pub fn find_browser() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
        .iter()
        .find_map(|name| which(name))
}

/// Starts the driver and one browser session whose files all lie in `folder`.
pub(super) async fn start(folder: &Path, settings: &Settings) -> Result<(Process, Client)> {
    let driver = find_driver().with_context(|| format!("chromedriver is not installed; {INSTALL}"))?;
    let browser = find_browser().with_context(|| format!("Chromium is not installed; {INSTALL}"))?;
    let (process, port) = start_driver(&driver, folder).await?;
    let mut builder = ClientBuilder::new(HttpConnector::new());
    builder.capabilities(capabilities(&browser, folder, settings));
    let client = builder.connect(&format!("http://127.0.0.1:{port}")).await;
    let client =
        client.with_context(|| format!("start Chromium; the driver's log:\n{}", process.tail(20)))?;
    Ok((process, client))
}

/// On port 0 the driver takes a free port of IPv6 and then wants the same one of IPv4, which may be somebody's:
/// then it ends, and is started again.
async fn start_driver(driver: &Path, folder: &Path) -> Result<(Process, u16)> {
    let mut left = TRIES;
    loop {
        left -= 1;
        match try_driver(driver, folder).await {
            Err(_) if left > 0 => {}
            started => return started,
        }
    }
}

async fn try_driver(driver: &Path, folder: &Path) -> Result<(Process, u16)> {
    let mut command = Command::new(driver);
    // The profile and whatever else it writes stay in our folder.
    command
        .arg("--port=0")
        .env("TMPDIR", folder)
        .env("XDG_CONFIG_HOME", folder)
        .env("XDG_CACHE_HOME", folder);
    let mut process = Process::start("chromedriver", &mut command, &folder.join("log"), Signal::SIGTERM)?;
    let port = within(START, "chromedriver to name its port", || {
        let said = match process.check() {
            Ok(()) => port_in(&process.tail(50)).map(Ok),
            Err(ended) => Some(Err(ended)),
        };
        async move { said }
    });
    let port = port.await??;
    Ok((process, port))
}

fn capabilities(browser: &Path, folder: &Path, settings: &Settings) -> serde_json::Map<String, Value> {
    let mut flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
    flags.push(format!("--user-data-dir={}", folder.join("profile").display()));
    flags.push(format!("--accept-lang={}", settings.language));
    flags.push(format!("--window-size={},{}", settings.viewport.width, settings.viewport.height));
    if are_root() {
        flags.push("--no-sandbox".into()); // it refuses to run as root with one
    }
    let Value::Object(capabilities) = json!({
        "browserName": "chrome",
        "acceptInsecureCerts": true,
        "goog:loggingPrefs": {"browser": "ALL"},
        "goog:chromeOptions": {"binary": browser, "args": flags},
    }) else {
        unreachable!("an object was written above")
    };
    capabilities
}

/// Finds the number in `ChromeDriver was started successfully on port 43211.`
fn port_in(log: &str) -> Option<u16> {
    let (_, after) = log.rsplit_once("started successfully on port ")?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A command of the Chrome DevTools protocol, carried by chromedriver.
#[derive(Debug)]
pub(super) struct ChromeCommand {
    pub command: String,
    pub parameters: Value,
}

impl WebDriverCompatibleCommand for ChromeCommand {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        let body = json!({"cmd": self.command, "params": self.parameters});
        (http::Method::POST, Some(body.to_string()))
    }
}

/// Takes what the page's console has said since the last time.
#[derive(Debug)]
pub(super) struct Console;

impl WebDriverCompatibleCommand for Console {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({"type": "browser"}).to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_names_its_port() {
        let log =
            "Starting ChromeDriver 156.0 on port 0\nChromeDriver was started successfully on port 43211.\n";
        assert_eq!(port_in(log), Some(43211));
        assert_eq!(port_in("Starting ChromeDriver 156.0 on port 0\n"), None);
    }
}
