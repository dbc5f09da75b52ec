//! A real browser: headless Chromium, driven through chromedriver (W3C WebDriver).
//!
//! Every wait names what it waits for, and in vain it shows the page as a person would read it. Chromium itself
//! maps `*.localhost` to loopback, so that homes have host names of their own without any set-up.

mod driver;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use base64::prelude::{BASE64_STANDARD as BASE64, Engine};
use fantoccini::elements::Element;
use fantoccini::{Client, Locator};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::Process;
use crate::until::{Answer, PATIENCE, within};
use driver::{ChromeCommand, Console};
pub use driver::{Settings, find_browser, find_driver};

/// A viewport: what the page has, in CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Viewport {
    /// In CSS pixels.
    pub width: u32,
    /// In CSS pixels.
    pub height: u32,
    /// Whether it behaves as a phone does: touch, and the page's own viewport counts.
    pub mobile: bool,
}

/// A laptop's window.
pub const DESKTOP: Viewport = Viewport { width: 1280, height: 800, mobile: false };
/// A phone held upright.
pub const PHONE: Viewport = Viewport { width: 390, height: 844, mobile: true };

/// What the page is told of its reader's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `prefers-color-scheme: light`
    Light,
    /// `prefers-color-scheme: dark`
    Dark,
}

/// One browser with an empty profile and one page. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    page: Client,
    // Fields are dropped in this order: first the programs end, then their files go.
    _driver: Process,
    _folder: TempDir,
}

impl Browser {
    /// Starts a browser with [`Settings::default`].
    ///
    /// # Errors
    /// When Chromium or chromedriver is missing (the error says what to install) or does not start.
    pub async fn start() -> Result<Self> {
        Self::start_with(Settings::default()).await
    }

    /// Starts a browser.
    ///
    /// # Errors
    /// Like [`Browser::start`].
    pub async fn start_with(settings: Settings) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("latchkey-browser-").tempdir()?;
        let (driver, page) = driver::start(folder.path(), &settings).await?;
        let browser = Self { page, _driver: driver, _folder: folder };
        browser.set_viewport(settings.viewport).await?;
        Ok(browser)
    }

    /// The WebDriver client, for what has no method here.
    pub fn page(&self) -> &Client {
        &self.page
    }

    /// Goes to an address and waits until the page is loaded.
    ///
    /// # Errors
    /// When the address cannot be reached.
    pub async fn open(&self, url: &str) -> Result<()> {
        self.page.goto(url).await.with_context(|| format!("open {url}"))
    }

    /// The address in the address bar.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn address(&self) -> Result<String> {
        Ok(self.page.current_url().await?.into())
    }

    /// Everything on the page that can be read.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn text(&self) -> Result<String> {
        let text = self.page.execute("return document.body ? document.body.innerText : ''", vec![]).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// The first element that matches a CSS selector, waited for.
    ///
    /// # Errors
    /// After ten seconds, with the page's text.
    pub async fn find(&self, css: &str) -> Result<Element> {
        let look = || async { self.page.find(Locator::Css(css)).await };
        self.wait(&format!("an element {css}"), look).await
    }

    /// How many elements match a CSS selector now.
    ///
    /// # Errors
    /// When the browser is gone or the selector is none.
    pub async fn count(&self, css: &str) -> Result<usize> {
        Ok(self.page.find_all(Locator::Css(css)).await?.len())
    }

    /// The readable text of the first element that matches.
    ///
    /// # Errors
    /// After ten seconds, with the page's text.
    pub async fn text_of(&self, css: &str) -> Result<String> {
        let look = || async { self.page.find(Locator::Css(css)).await?.text().await };
        self.wait(&format!("the text of {css}"), look).await
    }

    /// Clicks the first element that matches as soon as it can be clicked.
    ///
    /// # Errors
    /// After ten seconds, with the page's text and what was in the way.
    pub async fn click(&self, css: &str) -> Result<()> {
        let look = || async { self.page.find(Locator::Css(css)).await?.click().await };
        self.wait(&format!("a click on {css}"), look).await
    }

    /// Clicks the first button or link whose whole text is `words`.
    ///
    /// # Errors
    /// Like [`Browser::click`].
    pub async fn press(&self, words: &str) -> Result<()> {
        let quoted = if words.contains('\'') { format!("\"{words}\"") } else { format!("'{words}'") };
        let path = format!("//*[self::button or self::a or self::summary][normalize-space(.)={quoted}]");
        let look = || async { self.page.find(Locator::XPath(&path)).await?.click().await };
        self.wait(&format!("a click on {words:?}"), look).await
    }

    /// Signs out by the page's own button and waits for the page that follows: an address opened before it would be
    /// overtaken by it.
    ///
    /// # Errors
    /// Like [`Browser::click`].
    pub async fn sign_out(&self) -> Result<()> {
        self.press("Sign out").await?;
        let look = || async { self.address().await.is_ok_and(|at| at.contains("/sign-in")) };
        self.wait("the page after signing out", look).await
    }

    /// Replaces what stands in a field.
    ///
    /// # Errors
    /// After ten seconds, with the page's text.
    pub async fn fill(&self, css: &str, text: &str) -> Result<()> {
        let look = || async {
            let field = self.page.find(Locator::Css(css)).await?;
            field.clear().await?;
            field.send_keys(text).await
        };
        self.wait(&format!("{css} to take its text"), look).await
    }

    /// Waits until the page shows `words` somewhere.
    ///
    /// # Errors
    /// After ten seconds, with the page's text.
    pub async fn until_text(&self, words: &str) -> Result<()> {
        let look = || async { self.text().await.is_ok_and(|text| text.contains(words)) };
        self.wait(&format!("the page to say {words:?}"), look).await
    }

    /// Waits for a condition of any kind; panics after ten seconds with the page's address and text.
    pub async fn until<A, F>(&self, what: &str, condition: impl FnMut() -> F) -> A::Value
    where
        A: Answer,
        F: Future<Output = A>,
    {
        self.wait(what, condition).await.unwrap_or_else(|missing| panic!("{missing}"))
    }

    /// Says in JavaScript what is wanted of the page, for example `return document.title`.
    ///
    /// # Errors
    /// When the script throws.
    pub async fn run(&self, script: &str) -> Result<Value> {
        Ok(self.page.execute(script, vec![]).await?)
    }

    /// Sets the size of the page exactly (a window's least width would be in the way).
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn set_viewport(&self, viewport: Viewport) -> Result<()> {
        let Viewport { width, height, mobile } = viewport;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.chrome("Emulation.setDeviceMetricsOverride", size).await?;
        self.chrome("Emulation.setTouchEmulationEnabled", json!({"enabled": mobile})).await.map(drop)
    }

    /// Tells the page that its reader prefers light or dark.
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn prefer(&self, scheme: Scheme) -> Result<()> {
        let value = if scheme == Scheme::Dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.chrome("Emulation.setEmulatedMedia", features).await.map(drop)
    }

    /// Makes addresses that match a pattern (`*` stands for anything) fail, as a filter on the way would.
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn block(&self, patterns: &[&str]) -> Result<()> {
        self.chrome("Network.enable", json!({})).await?;
        self.chrome("Network.setBlockedURLs", json!({"urls": patterns})).await.map(drop)
    }

    /// A command of the Chrome DevTools protocol, see chromedevtools.github.io/devtools-protocol.
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn chrome(&self, command: &str, parameters: Value) -> Result<Value> {
        let asked = ChromeCommand { command: command.into(), parameters };
        self.page.issue_cmd(asked).await.with_context(|| command.to_owned())
    }

    /// The errors and warnings of the page's console since the last call: failed requests, refused scripts and
    /// styles, exceptions.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn complaints(&self) -> Result<Vec<String>> {
        let entries = self.page.issue_cmd(Console).await?;
        let entries = entries.as_array().cloned().unwrap_or_default();
        let is_serious = |entry: &&Value| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING"));
        let words = |entry: &Value| entry["message"].as_str().unwrap_or_default().to_owned();
        Ok(entries.iter().filter(is_serious).map(words).collect())
    }

    /// Takes a picture of the whole page, as long as it is and with its animations at their end, into the folder of `LATCHKEY_SCREENSHOTS`
    /// (`target/screenshots` without it), and gives its path.
    ///
    /// # Errors
    /// When it cannot be taken or written.
    pub async fn screenshot(&self, name: &str) -> Result<PathBuf> {
        let folder = std::env::var_os("LATCHKEY_SCREENSHOTS").map(PathBuf::from);
        let folder = folder.unwrap_or_else(|| crate::target_folder().join("screenshots"));
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        // One that never ends says so by throwing.
        self.run("document.getAnimations().forEach(one => { try { one.finish() } catch {} })").await?;
        let whole = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.chrome("Page.captureScreenshot", whole).await?;
        let picture = picture["data"].as_str().context("no picture came back")?;
        let file = folder.join(format!("{name}.png"));
        fs::write(&file, BASE64.decode(picture)?).with_context(|| format!("write {}", file.display()))?;
        Ok(file)
    }

    async fn wait<A, F>(&self, what: &str, condition: impl FnMut() -> F) -> Result<A::Value>
    where
        A: Answer,
        F: Future<Output = A>,
    {
        match within(PATIENCE, what, condition).await {
            Ok(value) => Ok(value),
            Err(missing) => Err(anyhow!("{missing}\n{}", self.describe().await)),
        }
    }

    async fn describe(&self) -> String {
        let look = async {
            let address = self.address().await.unwrap_or_default();
            let text = self.text().await.unwrap_or_else(|err| format!("({err:#})"));
            format!("the page {address} reads:\n{text}")
        };
        let limit = Duration::from_secs(5);
        tokio::time::timeout(limit, look).await.unwrap_or_else(|_| "the browser does not answer".into())
    }
}

#[cfg(test)]
mod tests;
