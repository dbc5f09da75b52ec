//! What each file looks like, and what none may say.

use super::{File, hold};

const MOST_LINES: usize = 400;

#[test]
fn every_rust_file_opens_with_what_it_is_for() {
    hold(opening, &[("broker/src/planted.rs", "use std::fmt;\n"), ("agent/src/planted.rs", "// no\n")]);
}

fn opening(tree: &[File]) -> Vec<String> {
    let silent = tree.iter().filter(|file| file.is_rust() && !file.text.starts_with("//! "));
    silent.map(|file| format!("{}: opens without `//! `", file.path)).collect()
}

#[test]
fn no_rust_file_is_too_long() {
    hold(length, &[("broker/src/planted.rs", &"//! a\n".repeat(MOST_LINES + 1))]);
}

fn length(tree: &[File]) -> Vec<String> {
    let lengths = tree.iter().filter(|file| file.is_rust()).map(|file| (file, file.text.lines().count()));
    let long = lengths.filter(|(_, lines)| *lines > MOST_LINES);
    long.map(|(file, lines)| format!("{}: {lines} lines, at most {MOST_LINES}", file.path)).collect()
}

#[test]
fn no_file_is_called_mod() {
    hold(names, &[("broker/src/planted/mod.rs", "//! a\n")]);
}

fn names(tree: &[File]) -> Vec<String> {
    let offenders = tree.iter().filter(|file| file.path.ends_with("/mod.rs"));
    offenders.map(|file| format!("{}: write foo.rs beside foo/ instead", file.path)).collect()
}

#[test]
fn tests_wait_for_conditions_and_never_sleep() {
    let unit = "//! a\n#[cfg(test)]\nmod tests {\n    fn a() { std::thread::sleep(LONG); }\n}\n";
    hold(
        sleeping,
        &[
            ("tests/stories/planted.rs", "//! a\nasync fn a() { tokio::time::sleep(LONG).await }\n"),
            (
                "tests/pages/planted.rs",
                "//! a\nuse tokio::time::sleep;\nasync fn a() { sleep(LONG).await }\n",
            ),
            ("broker/src/planted.rs", unit),
            ("agent/src/planted/tests.rs", "//! a\nasync fn a() { sleep(LONG).await }\n"),
        ],
    );
}

fn sleeping(tree: &[File]) -> Vec<String> {
    let mut offences = Vec::new();
    // The kit's waits are what the others wait with; this file and its plants only speak of it.
    let tests = tree.iter().filter(|file| {
        file.is_rust() && !file.path.starts_with("tests/kit/") && !file.path.starts_with("tests/tidy/")
    });
    for file in tests {
        let from = file.tests_from();
        let sleeps = file.code().filter(|(number, line)| *number >= from && line.contains("sleep("));
        offences.extend(sleeps.map(|(number, _)| format!("{}:{number}: sleeps in a test", file.path)));
    }
    offences
}

/// What must not be said, in two halves so that this file does not say it: paths of one person's machine, and
/// addresses a package registry serves from.
const UNSAID: &[(&str, &str)] = &[
    ("/wo", "rk/"),
    ("/Use", "rs/"),
    ("/ro", "ot/"),
    ("static.crates", ".io"),
    ("index.crates", ".io"),
    ("files.python", "hosted.org"),
    ("pypi.org", "/simple"),
    ("registry.npm", "js.org"),
    ("\"resol", "ved\":"),
    ("--index", "-url"),
    ("--extra-index", "-url"),
];

#[test]
fn the_tree_names_no_machine_and_no_registry() {
    for (first, second) in UNSAID {
        hold(unsaid, &[("packaging/planted.txt", &format!("see {first}{second}x\n"))]);
    }
}

fn unsaid(tree: &[File]) -> Vec<String> {
    let unsaid: Vec<String> = UNSAID.iter().map(|(first, second)| format!("{first}{second}")).collect();
    let mut offences = Vec::new();
    for file in tree.iter().filter(|file| file.path != "Cargo.lock") {
        for (line, number) in file.text.lines().zip(1..) {
            let said = unsaid.iter().filter(|words| line.contains(*words));
            offences.extend(said.map(|words| format!("{}:{number}: says {words}", file.path)));
        }
    }
    offences
}
