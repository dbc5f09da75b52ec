//! Writes `CONFORMANCE.md` from the rows and the tests that cite them.

use std::process::ExitCode;

use anyhow::{Context, Result};
use broker::clock::Clock;
use kit::conformance::{PAGE, ROWS, THREATS, citations, page, read, text_of, without_date};

fn main() -> ExitCode {
    match write() {
        Ok(word) => {
            println!("{PAGE}: {word}");
            ExitCode::SUCCESS
        }
        Err(err) => {
            eprintln!("{err:#}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> Result<&'static str> {
    let tree = kit::tree::tree();
    let sections = read(text_of(&tree, ROWS)).map_err(|wrong| anyhow::anyhow!(wrong.join("\n")))?;
    let now = Clock::new().now().to_string();
    let day = now.split('T').next().context("a moment has a day")?;
    let page = page(&sections, &citations(&tree), text_of(&tree, THREATS), day);
    if without_date(&page) == without_date(text_of(&tree, PAGE)) {
        return Ok("as it was");
    }
    std::fs::write(kit::workspace().join(PAGE), page).with_context(|| format!("write {PAGE}"))?;
    Ok("written")
}
