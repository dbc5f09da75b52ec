//! Installing Home Assistant from PyPI, once for each version.
//!
//! The wheel comes first and alone, because it carries the constraints it was released with; then its
//! dependencies under those constraints (without them the resolver wanders for ten minutes), and with them what
//! the integrations we configure would otherwise fetch while Home Assistant starts. A folder without the mark
//! of a finished installation is one that was interrupted: it is made again.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use directories::ProjectDirs;
use serde_json::Value;

use super::python::{self, Python};
use crate::process::which;

/// The installer that is put into the environment when there is none on `PATH`.
const UV: &str = "uv==0.9.26";
/// What the configuration uses, and what Home Assistant loads beside it. Left out on purpose: what onboarding
/// adds and what would call out to the internet (`met`, `radio_browser`, `google_translate`).
const INTEGRATIONS: &[&str] = &[
    "analytics",
    "backup",
    "camera",
    "conversation",
    "demo",
    "frontend",
    "group",
    "image_processing",
    "onboarding",
    "person",
    "stt",
    "sun",
    "tts",
    "zone",
];

/// Told in a line what is being done.
pub type Say = fn(&str);

/// An installed Home Assistant.
#[derive(Debug, Clone)]
pub struct Installed {
    /// The `hass` program.
    pub hass: PathBuf,
    /// For example `2026.2.3`.
    pub version: String,
}

/// Where installations are kept: this user's cache folder, or the target folder when there is no home to
/// write in.
pub fn default_cache() -> PathBuf {
    let own = ProjectDirs::from("", "", "latchkey").map(|dirs| dirs.cache_dir().to_path_buf());
    match own.filter(|folder| fs::create_dir_all(folder).is_ok() && is_writable(folder)) {
        Some(folder) => folder,
        None => crate::target_folder().join("latchkey-cache"),
    }
}

/// Finds or makes the installation for the newest CPython on this machine, in a folder of `cache`.
///
/// # Errors
/// When there is no CPython that will do (the error says what helps) or the installation fails.
pub fn ensure_installed(cache: &Path, say: Say) -> Result<Installed> {
    let python = python::find()?;
    let version = python.home_assistant;
    let folder = cache.join(format!("home-assistant-{version}"));
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    // Test processes may come at the same time: one installs, the others wait and then find it done.
    let lock = File::create(folder.join("lock"))?;
    lock.lock().context("wait for another installation")?;
    let venv = folder.join("venv");
    let mark = folder.join("finished");
    let installed = Installed { hass: venv.join("bin/hass"), version: version.into() };
    if mark.exists() && installed.hass.exists() && venv.join("bin/python").exists() {
        return Ok(installed);
    }
    let began = Instant::now();
    say(&format!(
        "installing Home Assistant {version} with CPython {} into {}",
        python.version,
        folder.display()
    ));
    say("this downloads about 200 MB from PyPI, once, and takes one to three minutes");
    _ = fs::remove_file(&mark);
    if venv.exists() {
        fs::remove_dir_all(&venv).context("remove an installation that was interrupted")?;
    }
    Installer { venv: &venv, say }.run(&python)?;
    fs::write(&mark, version)?;
    say(&format!("Home Assistant {version} installed in {} s", began.elapsed().as_secs()));
    Ok(installed)
}

struct Installer<'a> {
    venv: &'a Path,
    say: Say,
}

impl Installer<'_> {
    fn run(&self, python: &Python) -> Result<()> {
        let wheel = format!("homeassistant=={}", python.home_assistant);
        self.make_environment(python)?;
        self.uv(&["pip", "install", "--no-deps", &wheel])?;
        let package = self.package()?;
        let constraints = package.join("package_constraints.txt");
        ensure!(constraints.exists(), "the wheel carries no package_constraints.txt");
        let constraints = constraints.display().to_string();
        let requirements = requirements(&package.join("components"), INTEGRATIONS)?;
        let mut arguments = vec!["pip", "install", "--constraint", &constraints, &wheel];
        arguments.extend(requirements.iter().map(String::as_str));
        self.uv(&arguments)
    }

    fn make_environment(&self, python: &Python) -> Result<()> {
        let mut command = match which("uv") {
            Some(uv) => {
                let mut command = Command::new(uv);
                command.args(["venv", "--quiet", "--python"]).arg(&python.path);
                command
            }
            None => {
                let mut command = Command::new(&python.path);
                command.args(["-m", "venv"]);
                command
            }
        };
        self.follow(command.arg(self.venv)).context(
            "make a virtual environment (Debian's own Python needs: apt-get install python3-venv python3-dev)",
        )?;
        if which("uv").is_none() {
            self.follow(Command::new(self.venv.join("bin/pip")).args(["install", "--quiet", UV]))?;
        }
        Ok(())
    }

    fn uv(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(which("uv").unwrap_or_else(|| self.venv.join("bin/uv")));
        command.args(arguments).env("VIRTUAL_ENV", self.venv).env("UV_LINK_MODE", "copy");
        // The system's own certificates, so that it works wherever this machine's other programs do.
        command.env("UV_NATIVE_TLS", "true");
        self.follow(&mut command).context(
            "install packages with uv (a few are compiled, which needs gcc; the rest is downloaded from PyPI)",
        )
    }

    /// Runs a command and says the lines it writes; shows the last of them when it fails.
    fn follow(&self, command: &mut Command) -> Result<()> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut last = Vec::new();
        for line in BufReader::new(child.stderr.take().context("its output")?).lines() {
            let line = line?;
            // One line for each of two hundred packages says less than the few that matter.
            if !line.trim_start().starts_with(['+', '-', '~']) && !line.trim().is_empty() {
                (self.say)(line.trim());
            }
            last.push(line);
        }
        let status = child.wait()?;
        if !status.success() {
            bail!("{status}:\n{}", last[last.len().saturating_sub(30)..].join("\n"));
        }
        Ok(())
    }

    /// The folder of the `homeassistant` package: `lib/python3.NN/site-packages/homeassistant`.
    fn package(&self) -> Result<PathBuf> {
        let found = fs::read_dir(self.venv.join("lib"))?
            .flatten()
            .map(|entry| entry.path().join("site-packages/homeassistant"))
            .find(|package| package.is_dir());
        found.context("the wheel did not bring a homeassistant package")
    }
}

/// What these integrations, and those they depend on, want from PyPI.
fn requirements(components: &Path, integrations: &[&str]) -> Result<BTreeSet<String>> {
    let mut wanted = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut left: Vec<String> = integrations.iter().map(|name| (*name).to_owned()).collect();
    while let Some(name) = left.pop() {
        let manifest = components.join(&name).join("manifest.json");
        if !seen.insert(name) || !manifest.exists() {
            continue;
        }
        let manifest: Value = serde_json::from_slice(&fs::read(&manifest)?)
            .with_context(|| format!("read {}", manifest.display()))?;
        wanted.extend(strings(&manifest["requirements"]));
        left.extend(strings(&manifest["dependencies"]));
    }
    Ok(wanted)
}

fn strings(list: &Value) -> impl Iterator<Item = String> {
    list.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned))
}

fn is_writable(folder: &Path) -> bool {
    tempfile::tempfile_in(folder).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_follow_dependencies_and_survive_circles() {
        let folder = tempfile::tempdir().unwrap();
        let manifests = [
            ("demo", r#"{"dependencies":["camera","absent"],"requirements":[]}"#),
            ("camera", r#"{"dependencies":["demo"],"requirements":["turbo==1"]}"#),
            ("other", r#"{"requirements":["never==1"]}"#),
        ];
        for (name, manifest) in manifests {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("manifest.json"), manifest).unwrap();
        }
        let wanted = requirements(folder.path(), &["demo"]).unwrap();
        assert_eq!(wanted.into_iter().collect::<Vec<_>>(), ["turbo==1"]);
    }
}
