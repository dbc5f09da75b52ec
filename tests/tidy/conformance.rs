//! The conformance page: every MUST is tested, every test cites a row that there is, and the page says so.

use kit::conformance::{PAGE, ROWS, offences, text_of};
use kit::tree::{File, tree};

use super::hold;

#[test]
fn every_must_is_cited_by_a_test_and_the_page_says_where() {
    let tree = tree();
    let rows = text_of(&tree, ROWS);
    let untested = format!("{rows}TK-99 M  tokens are green\n");
    let in_a_comment =
        "//! TK-98\n// TK-98\n#[cfg(test)]\nmod tests {\n    // TK-98\n    fn a() {} // TK-98\n}\n";
    let with_a_comment = [&tree[..], &[File::new("broker/src/planted.rs", in_a_comment)]].concat();
    assert_eq!(offences(&with_a_comment), offences(&tree), "a comment cites nothing");
    let in_an_assertion = "//! a\n#[cfg(test)]\nmod tests {\n    fn a() { assert!(b, \"TK-98\") }\n}\n";
    hold(
        offences,
        &[
            (ROWS, &untested),
            (ROWS, &rows.replace("TK-01 M  ", "TK-01 M ")),
            (ROWS, &rows.replace("TK-01 M  POST only", "TK-01 M  POST only | later: never")),
            ("broker/src/planted.rs", in_an_assertion),
            (PAGE, &text_of(&tree, PAGE).replace("| TK-01 |", "| TK-97 |")),
            ("README.md", "nothing"),
        ],
    );
}

#[test]
fn a_row_without_its_tests_is_missed() {
    // The same tree without the tests that cite TK-01.
    let without: Vec<File> =
        tree().into_iter().filter(|file| !file.text.contains("TK-01") || file.path == ROWS).collect();
    let found = offences(&without);
    assert!(found.iter().any(|offence| offence.contains("no test cites TK-01")), "{found:?}");
}
