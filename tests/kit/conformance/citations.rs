//! Which test cites which row.

use std::collections::BTreeMap;

use super::Cited;
use crate::tree::File;

/// The families of ids; what begins otherwise (`F-09`, `RFC-…`) is another list's.
const FAMILIES: [&str; 16] =
    ["MD", "AZ", "RU", "PK", "TK", "RT", "CC", "DG", "IN", "RV", "BR", "WB", "SL", "CM", "WS", "LG"];
/// Whose tests count.
const SOURCES: [&str; 5] = ["agent/src/", "broker/src/", "shared/src/", "tests/stories/", "tests/pages/"];

/// A place that cites a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Citation {
    /// The file.
    pub path: String,
    /// The function.
    pub test: String,
}

/// Every citation in the tests of the tree, by row; a place once.
pub fn citations(tree: &[File]) -> Cited {
    let mut cited: Cited = BTreeMap::new();
    let sources = tree.iter().filter(|file| SOURCES.iter().any(|start| file.path.starts_with(start)));
    for file in sources.filter(|file| file.is_rust()) {
        for (id, test) in in_file(file) {
            cited.entry(id).or_default().push(Citation { path: file.path.clone(), test });
        }
    }
    for places in cited.values_mut() {
        places.sort();
        places.dedup();
    }
    cited
}

/// The ids in a file's tests, each with the function it stands in.
fn in_file(file: &File) -> Vec<(String, String)> {
    let (mut found, mut docs, mut test) = (Vec::new(), Vec::new(), None);
    for (_, line) in (1..).zip(file.text.lines()).filter(|(number, _)| *number >= file.tests_from()) {
        let line = line.trim_start();
        if let Some(doc) = line.strip_prefix("/// ") {
            docs.extend(ids(doc).map(str::to_owned)); // of whatever comes next
            continue;
        }
        if line.starts_with("//") || line.starts_with('#') {
            continue;
        }
        let code = line.split_once(" // ").map_or(line, |(code, _)| code);
        if let Some(name) = function(code) {
            let in_name = name.to_uppercase().replace('_', "-");
            found.extend(ids(&in_name).map(|id| (id.to_owned(), name.to_owned())));
            found.extend(docs.drain(..).map(|id| (id, name.to_owned())));
            test = Some(name.to_owned());
        }
        docs.clear(); // a field's or a type's
        let here = test.iter().flat_map(|test| ids(code).map(move |id| (id.to_owned(), test.clone())));
        found.extend(here);
    }
    found
}

/// The name of the function that begins on this line.
fn function(code: &str) -> Option<&str> {
    let (before, rest) = code.split_once("fn ")?;
    let is_declared = before
        .split_whitespace()
        .all(|word| ["async", "const", "pub"].contains(&word) || word.starts_with("pub("));
    let name = rest.split(|sign: char| !sign.is_alphanumeric() && sign != '_').next()?;
    (is_declared && !name.is_empty()).then_some(name)
}

/// The ids in a text: two letters of a family, a dash, two digits, and nothing that would make it another word.
pub fn ids(text: &str) -> impl Iterator<Item = &str> {
    let is_word = |sign: u8| sign.is_ascii_alphanumeric();
    text.match_indices('-').filter_map(move |(dash, _)| {
        let bytes = text.as_bytes();
        let from = dash.checked_sub(2)?;
        let id = text.get(from..dash + 3)?;
        let digits = id.get(3..)?.bytes().all(|sign| sign.is_ascii_digit());
        let stands_alone = (from == 0 || !is_word(bytes[from - 1]))
            && bytes.get(dash + 3).is_none_or(|sign| !is_word(*sign));
        (digits && stands_alone && FAMILIES.contains(&&id[..2])).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cited(text: &str) -> Vec<String> {
        let file = File::new("broker/src/a/tests.rs", text);
        in_file(&file).into_iter().map(|(id, test)| format!("{id} {test}")).collect()
    }

    #[test]
    fn names_docs_and_assertions_cite_and_comments_do_not() {
        let text = "//! MD-01\n// MD-02\n/// Of MD-03.\nstruct A;\n/// TK-01 and TK-02\n#[tokio::test]\n\
            async fn tk_03_is_so() {\n    // TK-04\n    assert!(a, \"TK-05: {a}\"); // TK-06\n}\n";
        assert_eq!(
            cited(text),
            ["TK-03 tk_03_is_so", "TK-01 tk_03_is_so", "TK-02 tk_03_is_so", "TK-05 tk_03_is_so"]
        );
    }

    #[test]
    fn only_tests_cite() {
        let text = "fn a() { b(\"TK-01\") }\n#[cfg(test)]\nmod tests {\n    fn b() { c(\"TK-02\") }\n}\n";
        let file = File::new("broker/src/a.rs", text);
        assert_eq!(in_file(&file), [("TK-02".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn an_id_is_a_word_of_its_own() {
        let found: Vec<_> = ids("F-09, TK-01/TK-02 (RV-03) ATK-01 TK-011 TK-1 é-TK-07 UTF-08").collect();
        assert_eq!(found, ["TK-01", "TK-02", "RV-03", "TK-07"]);
    }
}
