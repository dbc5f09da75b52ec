//! `latchkey-agent cloudflared install`: fetches a known version and puts it into the data folder.
//!
//! Invariant: what lies there is whole, has the SHA-256 that was asked for, and has run once; or it is what lay there
//! before. Nothing is moved into its place until all of that is so.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use aws_lc_rs::digest::{self, SHA256};
use tracing::debug;
use url::Url;

use super::child::Den;
use super::{binary, runtime};
use crate::cloud::tokens::in_words;
use crate::config::Settings;
use crate::memory::Claim;
use crate::net;
use crate::tasks::Starter;
use binary::Version;

/// The version that this agent was tried with.
const VERSION: &str = "2026.8.2";

/// Machines (Rust's word, Cloudflare's word) with the SHA-256 of that version's file, as its release page lists it.
const PINNED: &[(&str, &str, &str)] = &[
    ("x86_64", "amd64", "fcfb02b575a52ca1af2e3267af4e1517bcdeb30ac48c834c69abaed3c0576ad2"),
    ("aarch64", "arm64", "7747d94570fb390cf47dcb4f9555c193c6355cda9793f0d878d9049e5d6a7790"),
    ("arm", "arm", "19809425f60a6261241dfa66a42b4115bab07c295396a3c4d5d7c247fc4e1412"),
];

/// The file is 36 to 40 MB.
const MOST: u64 = 200 << 20;

/// For so long nothing may come.
const SILENCE: Duration = Duration::from_secs(30);

/// What to install, where it is not what is pinned.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Another version.
    pub version: Option<String>,
    /// Another SHA-256, in hexadecimal.
    pub sha256: Option<String>,
    /// Fetched from here instead.
    pub from: Option<String>,
}

/// What is fetched.
#[derive(Debug)]
struct Parcel {
    version: Version,
    url: Url,
    sha256: String,
}

/// Fetches the program and puts it into its place; gives where that is.
///
/// # Errors
/// Says what went wrong; then what was installed before is untouched.
pub async fn install(settings: &Settings, wish: Wish, out: &mut (dyn Write + Send)) -> Result<PathBuf> {
    let releases = match &wish.from {
        Some(from) => crate::config::cloudflared::releases(Some(from.clone())).context("--from")?,
        None => settings.cloudflared.releases.clone(),
    };
    let parcel = Parcel::choose(wish, &releases, std::env::consts::ARCH)?;
    let place = binary::installed(&settings.data_dir);
    let folder = place.parent().context("a program lies in a folder")?;
    let _claim = Claim::take(folder).await.context("another installation is under way")?;
    writeln!(out, "Fetching cloudflared {} from {}", parcel.version, parcel.url)?;
    let fresh = Fresh::make(place.with_extension("new"))?;
    parcel.fetch(&fresh, settings).await.context("nothing was installed")?;
    parcel.try_out(&fresh.path, settings).await.context("nothing was installed")?;
    fresh.move_to(&place).with_context(|| format!("put it at {}", place.display()))?;
    writeln!(
        out,
        "Installed {}. An agent that runs uses it when it starts cloudflared next.",
        place.display()
    )?;
    Ok(place)
}

impl Parcel {
    fn choose(wish: Wish, releases: &str, machine: &str) -> Result<Self> {
        let known = PINNED.iter().find(|(ours, ..)| *ours == machine);
        let (_, word, pinned) = known
            .ok_or_else(|| anyhow!("Cloudflare publishes no cloudflared for this machine ({machine})"))?;
        let sha256 = match &wish.sha256 {
            Some(given) => given.trim().to_ascii_lowercase(),
            None => (*pinned).to_owned(),
        };
        let is_digest = sha256.len() == 64 && sha256.chars().all(|c| c.is_ascii_hexdigit());
        ensure!(is_digest, "--sha256: 64 hexadecimal digits, as on Cloudflare's release page");
        let version = wish.version.unwrap_or_else(|| VERSION.to_owned());
        let version: Version =
            version.parse().map_err(|()| anyhow!("--version: {version} is none; such as {VERSION}"))?;
        let url = Url::parse(&format!("{releases}/{version}/cloudflared-linux-{word}"))?;
        Ok(Self { version, url, sha256 })
    }

    async fn fetch(&self, fresh: &Fresh, settings: &Settings) -> Result<()> {
        let tls = net::trust(settings.ca_file.as_deref())?;
        let client = net::downloader(&self.url, &tls, SILENCE)?;
        let asked = client.get(self.url.clone()).send().await;
        let mut answer = asked.map_err(|err| anyhow!("{}: {}", self.url, in_words(&err)))?;
        ensure!(answer.status().is_success(), "{} answered {}", self.url, answer.status());
        let mut file = fresh.open()?;
        let mut digest = digest::Context::new(&SHA256);
        let mut read = 0;
        while let Some(part) = answer
            .chunk()
            .await
            .map_err(|err| anyhow!("it broke off after {read} bytes: {}", in_words(&err)))?
        {
            read += part.len() as u64;
            ensure!(read <= MOST, "it is longer than {} MB", MOST >> 20);
            digest.update(&part);
            file.write_all(&part).with_context(|| format!("write {}", fresh.path.display()))?;
        }
        file.sync_all().with_context(|| format!("write {}", fresh.path.display()))?;
        let found: String = digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        if found != self.sha256 {
            bail!("what came is not what was asked for: its SHA-256 is {found} instead of {}", self.sha256);
        }
        Ok(())
    }

    /// That it runs here, and is what its name says.
    async fn try_out(&self, path: &Path, settings: &Settings) -> Result<()> {
        let folder = runtime(&settings.cloudflared, &settings.data_dir).with_file_name("cloudflared-install");
        let den = Den::make(&folder)?;
        let said = binary::version(path, &den.home, &Starter::new()?).await;
        if let Err(err) = fs::remove_dir_all(&folder) {
            debug!("{} stays: {err}", folder.display());
        }
        match said {
            Err(err) => bail!("what came has the right SHA-256 but {err}"),
            Ok(Some(version)) if version != self.version => {
                bail!("what came calls itself {version} instead of {}", self.version)
            }
            Ok(_) => Ok(()),
        }
    }
}

/// A file that is not in its place yet; it goes when this does.
struct Fresh {
    path: PathBuf,
}

impl Fresh {
    fn make(path: PathBuf) -> Result<Self> {
        match fs::remove_file(&path) {
            Err(err) if err.kind() != ErrorKind::NotFound => {
                Err(err).with_context(|| path.display().to_string())
            }
            // Of an installation that was killed.
            _ => Ok(Self { path }),
        }
    }

    fn open(&self) -> Result<File> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o700).open(&self.path);
        made.with_context(|| format!("write {}", self.path.display()))
    }

    fn move_to(self, place: &Path) -> std::io::Result<()> {
        fs::rename(&self.path, place)?;
        match place.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            Err(err) if err.kind() != ErrorKind::NotFound => debug!("{} stays: {err}", self.path.display()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pinned_is_fetched_unless_something_else_is_wished_for() {
        let releases = crate::config::cloudflared::RELEASES;
        for (machine, word, sha256) in PINNED {
            let parcel = Parcel::choose(Wish::default(), releases, machine).unwrap();
            assert_eq!(
                parcel.url.as_str(),
                format!(
                    "https://github.com/cloudflare/cloudflared/releases/download/{VERSION}/cloudflared-linux-{word}"
                )
            );
            assert_eq!(&parcel.sha256, sha256);
        }
        let other = Wish {
            version: Some("2027.1.0".into()),
            sha256: Some(" ".to_owned() + &"AB".repeat(32)),
            from: None,
        };
        let parcel = Parcel::choose(other, "http://127.0.0.1:9/x", "x86_64").unwrap();
        assert_eq!(parcel.url.as_str(), "http://127.0.0.1:9/x/2027.1.0/cloudflared-linux-amd64");
        assert_eq!(parcel.sha256, "ab".repeat(32));
    }

    #[test]
    fn a_wrong_wish_is_named() {
        let wish = |version: &str, sha256: &str| Wish {
            version: Some(version.to_owned()),
            sha256: Some(sha256.to_owned()),
            from: None,
        };
        for (wish, machine, says) in [
            (wish("2026.8.2", "12"), "x86_64", "--sha256: 64"),
            (wish("latest", &"0".repeat(64)), "x86_64", "--version: latest is none"),
            (Wish::default(), "riscv64", "no cloudflared for this machine (riscv64)"),
        ] {
            let said = Parcel::choose(wish, "https://x.example", machine).unwrap_err().to_string();
            assert!(said.contains(says), "{said}");
        }
    }
}
