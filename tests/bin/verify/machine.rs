//! What this machine must have, and getting it on a fresh Debian.

use std::process::Stdio;

use anyhow::{Result, bail};
use kit::{browser, npm, postgres, process};
use tokio::process::Command;

/// Something that is needed, and how it is got.
struct Need {
    name: &'static str,
    is_there: fn() -> bool,
    /// Debian's packages.
    packages: &'static [&'static str],
}

const NEEDS: &[Need] = &[
    Need { name: "Chromium", is_there: || browser::find_browser().is_some(), packages: &["chromium"] },
    Need {
        name: "chromedriver",
        is_there: || browser::find_driver().is_some(),
        packages: &["chromium-driver"],
    },
    Need { name: "Node", is_there: has_node, packages: &["nodejs", "npm"] },
    Need { name: "PostgreSQL", is_there: has_postgres, packages: &["postgresql"] },
    Need { name: "Pebble", is_there: || process::which("pebble").is_some(), packages: &["pebble"] },
    // Home Assistant compiles a few of its packages.
    Need {
        name: "a C compiler",
        is_there: || process::which("cc").is_some(),
        packages: &["gcc", "libc6-dev"],
    },
];

/// For axe-core, the judge and the peer of the benchmark.
fn has_node() -> bool {
    npm::node().is_ok() && process::which("npm").is_some()
}

fn has_postgres() -> bool {
    std::env::var_os(postgres::GIVEN).is_some() || postgres::programs().is_ok()
}

/// Installs what is missing, as root where there is apt; else names it.
///
/// # Errors
/// When something is still missing; the text says what to do.
pub async fn prepare() -> Result<()> {
    let missing = || NEEDS.iter().filter(|need| !(need.is_there)());
    let packages: Vec<&str> = missing().flat_map(|need| need.packages).copied().collect();
    if !packages.is_empty() && process::are_root() && process::which("apt-get").is_some() {
        println!("   installing {}", packages.join(" "));
        // Lists that cannot be renewed may still do.
        _ = apt(&["update", "-qq"]).await;
        apt(&[&["install", "-qq", "--no-install-recommends"], &packages[..]].concat()).await?;
    }
    let mut advice: Vec<String> =
        missing().map(|need| format!("{}: apt-get install {}", need.name, need.packages.join(" "))).collect();
    for (component, command) in [("rustfmt", "cargo-fmt"), ("clippy", "cargo-clippy")] {
        if !has_component(command).await {
            advice.push(format!("{component}: rustup component add {component}"));
        }
    }
    if process::which("cargo-nextest").is_none() {
        println!("   cargo-nextest is not installed; `cargo test` runs the tests, slower");
    }
    if !advice.is_empty() {
        bail!("this machine lacks\n   {}", advice.join("\n   "));
    }
    Ok(())
}

async fn apt(words: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    // RUNLEVEL=1: a database server that is installed here is not started as a service.
    command.args(["-y"]).args(words).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).status().await?;
    if !status.success() {
        bail!("apt-get {}: {status}", words.join(" "));
    }
    Ok(())
}

/// Rustup puts a stand-in on `PATH` also for a component that is not installed; only asking tells.
async fn has_component(command: &str) -> bool {
    let version = Command::new(command).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.await.is_ok_and(|status| status.success())
}
