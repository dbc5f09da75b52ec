//! Every template is looked at by a page test.

use std::collections::BTreeMap;

use kit::conformance::text_of;
use kit::tree::File;

use super::hold;

const VISITED: &str = "tests/pages/visited.txt";
const TEMPLATES: &str = "broker/templates/";
/// What the others stand in; it is no page.
const FRAME: &str = "base.html";

#[test]
fn every_template_is_seen_by_a_page_test() {
    hold(
        unseen,
        &[
            ("broker/templates/planted/page.html", "<p>Nobody looks at me.</p>"),
            (VISITED, "accounts/sign-in.html sign-in\n"),
            (VISITED, "accounts/sign-in.html no-such-survey\n"),
        ],
    );
}

fn unseen(tree: &[File]) -> Vec<String> {
    let lines = text_of(tree, VISITED).lines().filter(|line| !line.starts_with('#'));
    let visited: BTreeMap<&str, &str> = lines.filter_map(|line| line.split_once(' ')).collect();
    let pages: String = tree
        .iter()
        .filter(|file| file.path.starts_with("tests/pages/") && file.is_rust())
        .map(|file| &*file.text)
        .collect();
    let templates: Vec<&str> = tree
        .iter()
        .filter_map(|file| file.path.strip_prefix(TEMPLATES))
        .filter(|name| name.ends_with(".html") && *name != FRAME)
        .collect();
    let mut offences = vec![];
    for template in &templates {
        if !visited.contains_key(template) {
            offences.push(format!("{TEMPLATES}{template}: {VISITED} names no survey that shows it"));
            offences.push(format!("{VISITED}: {template} is missing"));
        }
    }
    for (template, survey) in visited {
        if !templates.contains(&template) || !pages.contains(&format!("\"{survey}\"")) {
            offences.push(format!("{VISITED}: there is no template {template}, or no survey {survey:?}"));
        }
    }
    offences
}
