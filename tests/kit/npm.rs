//! Programs from npm that we are measured by, each of a pinned version, kept under the target folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::process::which;

/// What the programs need; global `fetch` and `crypto` came with it.
const NODE: u32 = 20;
const ADVICE: &str =
    "node 20 or newer and npm are needed: apt-get install nodejs npm (Debian 13), or nodejs.org";

/// A folder `target/npm/<name>` with a copy of `sources` and with `packages` (each `name@version`) installed:
/// what the copied `package.json` names, if there is one, comes too. Done once, and again when `packages` changes.
///
/// # Errors
/// When Node is missing or too old, or npm cannot install.
pub fn install(name: &str, sources: &[PathBuf], packages: &[&str]) -> Result<PathBuf> {
    node()?;
    let folder = crate::target_folder().join("npm").join(name);
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    // Test processes may come at the same time.
    let lock = File::create(folder.join(".lock"))?;
    lock.lock().context("wait for another installation")?;
    let mut wanted = packages.join(" ");
    for source in sources {
        let text = fs::read(source).with_context(|| format!("read {}", source.display()))?;
        let target = folder.join(source.file_name().context("a source is a file")?);
        if source.ends_with("package.json") {
            wanted.push_str(&String::from_utf8_lossy(&text));
        }
        _ = fs::remove_file(&target); // it may have come from where nothing can be written
        fs::write(&target, text)?;
    }
    if !folder.join("package.json").exists() {
        fs::write(folder.join("package.json"), r#"{"private": true, "type": "module"}"#)?;
    }
    let mark = folder.join(".finished");
    if fs::read_to_string(&mark).is_ok_and(|done| done == wanted) {
        return Ok(folder);
    }
    run_npm(&folder, packages)?;
    fs::write(&mark, wanted)?;
    Ok(folder)
}

fn run_npm(folder: &Path, packages: &[&str]) -> Result<()> {
    let npm = which("npm").context(ADVICE)?;
    let mut command = Command::new(npm);
    command.args(["install", "--no-package-lock", "--no-audit", "--no-fund", "--no-save"]).args(packages);
    let done = command.current_dir(folder).stdin(Stdio::null()).output().context("start npm")?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "npm install {}: {}\n{said}", packages.join(" "), done.status);
    Ok(())
}

/// The path of a Node that will do.
///
/// # Errors
/// When there is none.
pub fn node() -> Result<PathBuf> {
    let node = which("node").context(ADVICE)?;
    let version = Command::new(&node).arg("--version").output().context("ask node for its version")?;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    ensure!(major.is_some_and(|major: u32| major >= NODE), "node is {version}; {ADVICE}");
    Ok(node)
}
