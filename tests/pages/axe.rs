//! axe-core, the accessibility checker that others go by, against our pages.

use std::fs;

use kit::browser::Browser;
use serde_json::Value;
use tokio::sync::OnceCell;

const PACKAGE: &str = "axe-core@4.14.1";
/// Everything axe has but what is still an experiment of its authors.
const RUN: &str = "const [done] = arguments; axe.run(document, {resultTypes: ['violations', 'incomplete']}) \
    .then(({violations}) => done(violations.map(one => `axe ${one.id} (${one.impact}): ${one.help}: ` \
    + one.nodes.map(node => node.html.replace(/\\s+/g, ' ').slice(0, 140)).join(' | '))), \
    fault => done([`axe failed: ${fault}`]))";

static AXE: OnceCell<String> = OnceCell::const_new();

/// What axe finds wrong with the page as it stands.
pub async fn violations(browser: &Browser) -> Vec<String> {
    let source = AXE.get_or_init(source).await;
    // The driver's scripts are not the page's: its Content-Security-Policy does not stop them.
    if browser.run("return typeof axe").await.unwrap() == "undefined" {
        browser.run(source).await.unwrap();
    }
    let found = browser.page().execute_async(RUN, vec![]).await.unwrap();
    let Value::Array(found) = found else { panic!("axe says {found}") };
    found.iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect()
}

async fn source() -> String {
    let installed = tokio::task::spawn_blocking(|| kit::npm::install("axe", &[], &[PACKAGE])).await.unwrap();
    let folder = installed.unwrap_or_else(|err| panic!("axe-core: {err:#}"));
    let source = fs::read_to_string(folder.join("node_modules/axe-core/axe.min.js")).unwrap();
    format!("{source}; window.axe = axe;")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn axe_sees_what_is_wrong() {
    let browser = Browser::start().await.unwrap();
    browser.open("data:text/html,<title>Wrong</title><main><input><img src=a.png></main>").await.unwrap();
    let found = violations(&browser).await;
    assert!(found.iter().any(|one| one.contains("image-alt")), "{found:?}");
}
