//! Which `cloudflared` is used, and whether it is new enough.
//!
//! An older one says nothing but its usage when it does not know an argument, and ends with 0; so it is asked first.

use std::fmt;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::mortal;
use crate::config::cloudflared::Cloudflared;
use crate::tasks::Starter;

/// The file's name, wherever it is.
const NAME: &str = "cloudflared";

/// How long it may take to say its version; from a cold card of a Raspberry Pi it takes seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// What we need, and since when it is there.
const NEEDS: &[(Version, &str)] = &[
    (Version(2025, 4, 0), "cannot read its token from a file (--token-file)"),
    (Version(2025, 6, 1), "cannot write its log as JSON (--output)"),
];

/// A version such as 2026.8.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16, pub u16, pub u16);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl FromStr for Version {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('.').map(|part| part.parse().map_err(|_| ()));
        let version = Self(parts.next().ok_or(())??, parts.next().ok_or(())??, parts.next().ok_or(())??);
        if parts.next().is_some() { Err(()) } else { Ok(version) }
    }
}

/// Why no `cloudflared` can be used. Somebody must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// None was found.
    #[error("there is no cloudflared at {0}: run `latchkey-agent cloudflared install`")]
    Missing(String),
    /// There is one that does not run.
    #[error("{} does not run ({why}): run `latchkey-agent cloudflared install`", path.display())]
    Broken {
        /// Which.
        path: PathBuf,
        /// What happened.
        why: String,
    },
    /// There is one that is too old.
    #[error(
        "{} is cloudflared {version}, which {lacks}: update it to {} or newer, or run `latchkey-agent cloudflared install`",
        path.display(), NEEDS[NEEDS.len() - 1].0
    )]
    TooOld {
        /// Which.
        path: PathBuf,
        /// Its version.
        version: Version,
        /// What it cannot do.
        lacks: &'static str,
    },
}

/// Where `cloudflared install` puts it.
pub fn installed(data_dir: &Path) -> PathBuf {
    data_dir.join("bin").join(NAME)
}

/// The program that is to be used: the one that the settings name, else the installed one, else the first on `PATH`.
///
/// # Errors
/// `Missing`, with where it was looked for.
pub fn find(settings: &Cloudflared, data_dir: &Path) -> Result<PathBuf, Unfit> {
    let is_program = |path: &PathBuf| {
        path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    if let Some(named) = &settings.program {
        return Some(named.clone())
            .filter(is_program)
            .ok_or_else(|| Unfit::Missing(named.display().to_string()));
    }
    let own = installed(data_dir);
    let on_path = settings.search.iter().flat_map(std::env::split_paths).map(|folder| folder.join(NAME));
    let mut places = [own.clone()].into_iter().chain(on_path);
    places.find(is_program).ok_or_else(|| Unfit::Missing(format!("{}, nor on PATH", own.display())))
}

/// Asks a program which version it is; nothing for one that somebody has built without a version.
///
/// # Errors
/// `Broken`.
pub async fn version(path: &Path, home: &Path, starter: &Starter) -> Result<Option<Version>, Unfit> {
    let broken = |why: String| Unfit::Broken { path: path.to_owned(), why };
    let asking = timeout(PATIENCE, ask(path, home, starter)).await;
    let said = asking.map_err(|_| broken("it does not say its version".to_owned()))?.map_err(broken)?;
    let mut words = said.split_whitespace();
    match words.clone().find_map(|word| word.parse().ok()) {
        Some(version) => Ok(Some(version)),
        None if words.any(|word| word == "DEV") => Ok(None),
        None => Err(broken("it does not say its version".to_owned())),
    }
}

/// That a version can do what we need.
///
/// # Errors
/// `TooOld`, with what it cannot do.
pub fn suffices(path: &Path, version: Option<Version>) -> Result<(), Unfit> {
    let Some(version) = version else { return Ok(()) };
    match NEEDS.iter().find(|(since, _)| version < *since) {
        Some((_, lacks)) => Err(Unfit::TooOld { path: path.to_owned(), version, lacks }),
        None => Ok(()),
    }
}

/// What it says to `--version`, as far as it matters.
async fn ask(path: &Path, home: &Path, starter: &Starter) -> Result<String, String> {
    for last_try in [false, false, true] {
        let mut command = Command::new(path);
        command.arg("--version").env_clear().env("HOME", home).current_dir(home).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        mortal::bind(&mut command);
        let mut child = match starter.carry_out(move || command.spawn()).await {
            Ok(child) => child,
            // Just written, and still open for writing in a child that is being started elsewhere in this process.
            Err(err) if err.kind() == ErrorKind::ExecutableFileBusy && !last_try => {
                sleep(Duration::from_millis(100)).await;
                continue;
            }
            Err(err) => return Err(err.to_string()),
        };
        let mut said = Vec::new();
        if let Some(out) = child.stdout.take() {
            out.take(4096).read_to_end(&mut said).await.map_err(|err| err.to_string())?;
        }
        let ended = child.wait().await.map_err(|err| err.to_string())?;
        if !ended.success() {
            return Err(ended.to_string());
        }
        return Ok(String::from_utf8_lossy(&said).into_owned());
    }
    unreachable!("the last try returns")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;

    fn script(path: &Path, text: &str) {
        use std::io::Write;
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o700).open(path).unwrap();
        write!(file, "#!/bin/sh\n{text}\n").unwrap();
    }

    async fn asked(text: &str) -> Result<Option<Version>, Unfit> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bin/cloudflared");
        script(&path, text);
        let starter = Starter::new().unwrap();
        let version = version(&path, dir.path(), &starter).await?;
        suffices(&path, version)?;
        Ok(version)
    }

    #[tokio::test]
    async fn its_version_is_asked_for_and_judged() {
        let told = asked("echo 'cloudflared version 2026.8.2 (built 2026-08-12-1010 UTC)'").await;
        assert_eq!(told, Ok(Some(Version(2026, 8, 2))));
        assert_eq!(asked("echo 'cloudflared version DEV (built unknown)'").await, Ok(None));
        for (text, says) in [
            ("echo 'cloudflared version 2025.2.1 (built x)'", "cannot read its token from a file"),
            ("echo 'cloudflared version 2025.5.0 (built x)'", "JSON (--output): update it to 2025.6.1"),
            ("echo hello", "does not say its version"),
            ("exit 3", "exit status: 3"),
        ] {
            let said = asked(text).await.unwrap_err().to_string();
            assert!(said.contains(says) && said.contains("cloudflared install"), "{said}");
        }
    }

    #[test]
    fn the_named_one_wins_then_ours_then_the_one_on_path() {
        let dir = tempfile::tempdir().unwrap();
        let (named, on_path) = (dir.path().join("named"), dir.path().join("usr/cloudflared"));
        let mut settings =
            Cloudflared { search: Some(dir.path().join("usr").into_os_string()), ..Cloudflared::default() };
        let data = dir.path().join("data");
        let missing = find(&settings, &data).unwrap_err().to_string();
        assert!(missing.contains("bin/cloudflared, nor on PATH"), "{missing}");
        script(&on_path, "");
        assert_eq!(find(&settings, &data), Ok(on_path));
        script(&installed(&data), "");
        assert_eq!(find(&settings, &data), Ok(installed(&data)));
        settings.program = Some(named.clone());
        // One that was named is not replaced by another in silence.
        assert_eq!(find(&settings, &data), Err(Unfit::Missing(named.display().to_string())));
    }
}
