//! The judge: an outsider's checks of an OAuth 2.0 provider, through npm's `oauth4webapi`, and a second library,
//! `openid-client`. They lie beside this repository, in `../shared/oauth-judge`, and know nothing of our insides.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use tokio::time::timeout;

use crate::npm;

const FILES: [&str; 4] = ["package.json", "harness.mjs", "browser.mjs", "openid-client-smoke.mjs"];
/// The longest it may take beside two compilers.
const LONGEST: Duration = Duration::from_secs(420);

/// What it said in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Checks that passed.
    pub passed: usize,
    /// Lines of checks that failed, a SHOULD among them.
    pub failed: Vec<String>,
    /// Lines of checks that were not made, each with its reason.
    pub skipped: Vec<String>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed.len(), self.skipped.len())?;
        let lines = self.failed.iter().chain(&self.skipped);
        lines.into_iter().try_for_each(|line| write!(f, "\n   {line}"))
    }
}

/// Where the judge lies, if it is here.
pub fn at_hand() -> Option<PathBuf> {
    let folder = crate::workspace().join("../shared/oauth-judge");
    FILES.iter().all(|name| folder.join(name).is_file()).then_some(folder)
}

/// Copies the judge into the target folder and installs what it stands on.
///
/// # Errors
/// When it cannot be copied or npm cannot install.
pub async fn install(folder: &Path) -> Result<PathBuf> {
    let sources: Vec<PathBuf> = FILES.iter().map(|name| folder.join(name)).collect();
    tokio::task::spawn_blocking(move || npm::install("oauth-judge", &sources, &[])).await?
}

/// Runs one of the judge's programs with these variables.
///
/// # Errors
/// When it cannot be started, or takes too long.
pub async fn judge(installed: &Path, program: &str, variables: &[(&str, &str)]) -> Result<Verdict> {
    let mut command = Command::new(npm::node()?);
    command.arg(program).current_dir(installed).envs(variables.iter().copied());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let done =
        timeout(LONGEST, command.output()).await.with_context(|| format!("{program} takes too long"))?;
    let done = done.with_context(|| format!("start {program}"))?;
    let said = String::from_utf8_lossy(&done.stdout);
    let verdict = read(&said);
    let is_whole = done.status.success() == verdict.failed.is_empty() && verdict.passed > 0;
    ensure!(is_whole, "{program}: {}\n{said}\n{}", done.status, String::from_utf8_lossy(&done.stderr));
    Ok(verdict)
}

fn read(said: &str) -> Verdict {
    let mut verdict = Verdict { passed: 0, failed: vec![], skipped: vec![] };
    for line in said.lines() {
        let keep = line.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.split_whitespace().next() {
            Some("pass" | "info") => verdict.passed += 1,
            Some("FAIL" | "warn") => verdict.failed.push(keep),
            Some("skip") => verdict.skipped.push(keep),
            _ => {}
        }
    }
    verdict
}

/// Where the last verdicts are written, for `cargo verify` to tell.
pub fn verdicts() -> PathBuf {
    crate::target_folder().join("oauth-judge")
}

/// Writes a verdict down under a name, such as `sqlite`.
///
/// # Errors
/// When it cannot be written.
pub fn note(name: &str, verdict: &Verdict) -> Result<()> {
    std::fs::create_dir_all(verdicts())?;
    std::fs::write(verdicts().join(name), format!("{name}: {verdict}\n")).context("write the verdict")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_read_from_its_lines() {
        let said = "pass D01   [must] metadata -- oauth2\nFAIL T01 [must] replay\nwarn A10 [should] plain\n\
            skip P01   [must] PAR -- not advertised\ninfo X\n\n3 passed, 1 failed, 1 skipped\n";
        let verdict = read(said);
        assert_eq!(verdict.passed, 2);
        assert_eq!(verdict.failed, ["FAIL T01 [must] replay", "warn A10 [should] plain"]);
        assert_eq!(verdict.skipped, ["skip P01 [must] PAR -- not advertised"]);
    }
}
