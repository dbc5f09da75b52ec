//! Tidy: the house rules as tests.
//!
//! Each rule is a pure function from the tree's files to its offences, and each is shown to be able to fail: an
//! offence is planted among the real files, and the rule must name the file it was planted in.

mod conformance;
mod crates;
mod ladder;
mod places;
mod shape;
mod twins;
mod visited;

use kit::tree::{File, tree};

/// A rule: the offences it finds, each beginning with the path of the file.
type Rule = fn(&[File]) -> Vec<String>;

/// Holds a rule against the tree, and then against the tree with each of the `planted` offences in turn.
fn hold(rule: Rule, planted: &[(&str, &str)]) {
    let tree = tree();
    let offences = rule(&tree);
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
    for (path, text) in planted {
        let mut broken: Vec<File> = tree.iter().filter(|file| file.path != *path).cloned().collect();
        broken.push(File::new(path, text));
        let offences = rule(&broken);
        assert!(
            offences.iter().any(|offence| offence.starts_with(path)),
            "the rule does not see what was planted in {path}:\n{text}\nit says: {offences:?}"
        );
    }
}
