//! Finding a CPython that can run Home Assistant, and the Home Assistant that fits it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

/// What to do when there is no CPython to be had.
const ADVICE: &str = "Home Assistant needs CPython 3.13 or 3.14, and none was found on PATH, in pyenv or by uv. \
    Any of these helps:\n  \
    pyenv install 3.13        (builds it; pyenv is found in PYENV_ROOT or ~/.pyenv)\n  \
    uv python install 3.13    (downloads it)\n  \
    apt-get install python3 python3-venv python3-dev    (Debian 13 and later)\n  \
    or set HA_URL and HA_TOKEN to a Home Assistant that already runs (a test one: its devices will be switched)";

/// Asked of a candidate; the answer is its kind, its version and its real path (not a shim's).
const WHO: &str = "import sys; print(sys.implementation.name, *sys.version_info[:3], sys.executable)";

/// A version of CPython: major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32, u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A CPython on this machine that can run some Home Assistant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// Its executable.
    pub path: PathBuf,
    /// Its version.
    pub version: Version,
    /// The newest Home Assistant known to run on it.
    pub home_assistant: &'static str,
}

/// Finds the CPython that can run the newest Home Assistant.
///
/// # Errors
/// When there is none; the error says what to do.
pub fn find() -> Result<Python> {
    match newest(candidates().iter().filter_map(|path| ask(path))) {
        Some(python) => Ok(python),
        None => bail!("{ADVICE}"),
    }
}

/// The newest Home Assistant that installs and runs on this CPython (its wheel's `Requires-Python`; all were tried but the one for 3.14.0 and 3.14.1).
fn home_assistant_for(version: Version) -> Option<&'static str> {
    match version {
        Version(3, 14, patch) if patch >= 2 => Some("2026.11.0"),
        Version(3, 14, _) => Some("2026.2.3"),
        Version(3, 13, patch) if patch >= 2 => Some("2026.2.3"),
        Version(3, 13, _) => Some("2025.4.4"),
        _ => None,
    }
}

fn newest(found: impl Iterator<Item = Python>) -> Option<Python> {
    found.max_by_key(|python| python.version)
}

fn candidates() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ["python3.14", "python3.13", "python3"].iter().map(PathBuf::from).collect();
    found.extend(in_pyenv());
    found.extend(["3.14", "3.13"].iter().filter_map(|version| by_uv(version)));
    found
}

fn in_pyenv() -> Vec<PathBuf> {
    let root = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let root = root.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".pyenv")));
    let versions = root.and_then(|root| fs::read_dir(root.join("versions")).ok());
    versions.into_iter().flatten().flatten().map(|version| version.path().join("bin/python")).collect()
}

fn by_uv(version: &str) -> Option<PathBuf> {
    let answer = Command::new("uv").args(["python", "find", version]).output().ok()?;
    let path = String::from_utf8(answer.stdout).ok()?;
    (answer.status.success() && !path.trim().is_empty()).then(|| PathBuf::from(path.trim()))
}

/// Asks an executable who it is. A pyenv shim for a version that is not chosen fails here, and is passed over.
fn ask(path: &Path) -> Option<Python> {
    let answer = Command::new(path).args(["-c", WHO]).output().ok()?;
    answer.status.success().then(|| parse(&String::from_utf8_lossy(&answer.stdout))).flatten()
}

fn parse(answer: &str) -> Option<Python> {
    let mut words = answer.trim().splitn(5, ' ');
    if words.next()? != "cpython" {
        return None;
    }
    let mut number = || words.next()?.parse::<u32>().ok();
    let version = Version(number()?, number()?, number()?);
    Some(Python { path: words.next()?.into(), version, home_assistant: home_assistant_for(version)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version_for(answer: &str) -> Option<&'static str> {
        parse(answer).map(|python| python.home_assistant)
    }

    #[test]
    fn each_cpython_gets_the_home_assistant_that_fits_it() {
        assert_eq!(version_for("cpython 3 12 9 /usr/bin/python3"), None);
        assert_eq!(version_for("cpython 3 13 0 /usr/bin/python3"), Some("2025.4.4"));
        assert_eq!(version_for("cpython 3 13 5 /usr/bin/python3"), Some("2026.2.3"));
        assert_eq!(version_for("cpython 3 14 1 /usr/bin/python3"), Some("2026.2.3"));
        assert_eq!(version_for("cpython 3 14 10 /usr/bin/python3"), Some("2026.11.0"));
        assert_eq!(version_for("cpython 3 15 0 /usr/bin/python3"), None);
        assert_eq!(version_for("pypy 3 13 5 /usr/bin/pypy3"), None);
        assert_eq!(version_for("pyenv: python3.13: command not found"), None);
    }

    #[test]
    fn the_newest_wins_and_a_path_may_hold_spaces() {
        let answers = ["cpython 3 13 9 /a b/python", "cpython 3 13 10 /a b/newer python"];
        let python = newest(answers.iter().filter_map(|answer| parse(answer))).unwrap();
        assert_eq!((python.path.to_str(), python.version), (Some("/a b/newer python"), Version(3, 13, 10)));
    }
}
