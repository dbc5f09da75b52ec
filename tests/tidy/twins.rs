//! What comes in pairs: migrations for two databases, words in two languages, a template and its Rust file, a
//! fixture and who uses it.

use std::collections::{BTreeMap, BTreeSet};

use super::{File, hold};

#[test]
fn both_databases_have_the_same_migrations() {
    hold(
        migrations,
        &[
            ("broker/migrations/sqlite/9999_planted.sql", "SELECT 1;"),
            ("broker/migrations/postgres/9999_planted.sql", "SELECT 1;"),
        ],
    );
}

fn migrations(tree: &[File]) -> Vec<String> {
    let names = |database: &str| -> BTreeSet<&str> {
        let folder = format!("broker/migrations/{database}/");
        tree.iter().filter_map(|file| file.path.strip_prefix(&folder)).collect()
    };
    let alone = |ours: &'static str, theirs: &str| -> Vec<String> {
        let (ours_names, theirs_names) = (names(ours), names(theirs));
        let missing = ours_names.difference(&theirs_names);
        missing.map(|name| format!("broker/migrations/{ours}/{name}: {theirs} has no twin")).collect()
    };
    [alone("sqlite", "postgres"), alone("postgres", "sqlite")].concat()
}

#[test]
fn every_template_is_named_by_one_rust_file() {
    let named = |path: &str| format!("//! a\n#[template(path = \"{path}\")]\nstruct A;\n");
    hold(
        templates,
        &[
            ("broker/templates/planted.html", "nobody names it"),
            ("broker/src/planted.rs", &named("nowhere.html")),
            ("broker/src/planted.rs", &named("fault.html")),
            ("broker/templates/base.html", "{% include \"nowhere.html\" %}"),
        ],
    );
}

/// The templates named in a file: askama's `path = "…"`, and `extends`, `include`, `import` of other templates.
fn templates_in(file: &File) -> BTreeSet<&str> {
    let starts: &[&str] =
        if file.is_rust() { &["path = \""] } else { &["extends \"", "include \"", "import \""] };
    // `#[path = "…"]` of a module and `path = "…"` of a template look alike but for the ending.
    quoted_after(&file.text, starts).into_iter().filter(|name| !name.ends_with(".rs")).collect()
}

fn templates(tree: &[File]) -> Vec<String> {
    let folder = "broker/templates/";
    let templates: BTreeSet<&str> = tree.iter().filter_map(|file| file.path.strip_prefix(folder)).collect();
    let mut by_rust: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut by_templates = BTreeSet::new();
    let mut offences = Vec::new();
    for file in
        tree.iter().filter(|file| file.path.starts_with("broker/src/") || file.path.starts_with(folder))
    {
        for name in templates_in(file) {
            if !templates.contains(name) {
                offences.push(format!("{}: there is no template {name}", file.path));
            } else if file.is_rust() {
                by_rust.entry(name).or_default().push(&file.path);
            } else {
                by_templates.insert(name);
            }
        }
    }
    for name in &templates {
        let files = by_rust.get(name).map_or(&[][..], |files| files);
        if files.len() > 1 {
            offences.extend(files.iter().map(|file| format!("{file}: {name} is named by {files:?}")));
        } else if files.is_empty() && !by_templates.contains(name) {
            offences.push(format!("{folder}{name}: nothing names it"));
        }
    }
    offences
}

#[test]
fn every_word_has_its_twin_and_is_used() {
    hold(
        words,
        &[
            ("broker/words/en.ftl", "planted-only-here = Hello\n"),
            ("broker/words/zh-Hant.ftl", "planted-only-here = Hello\n"),
            ("broker/templates/base.html", "{{ frame.w.say(\"planted-and-missing\") }}"),
            ("broker/src/planted.rs", "//! a\nfn a() { w.say_with(\"planted-and-missing\", 1); }\n"),
        ],
    );
}

#[test]
fn a_word_takes_the_same_values_in_both_languages() {
    let tree = [("en", "hello = Hello { $name }\n"), ("zh-Hant", "hello = { $nome }\n")];
    let tree = tree.map(|(tag, text)| File::new(&format!("broker/words/{tag}.ftl"), text));
    assert!(words(&tree).iter().any(|offence| offence.contains("values")), "{:?}", words(&tree));
}

fn words(tree: &[File]) -> Vec<String> {
    let file = |tag: &str| tree.iter().find(|file| file.path == format!("broker/words/{tag}.ftl"));
    let (Some(english), Some(chinese)) = (file("en"), file("zh-Hant")) else { return Vec::new() };
    let (ours, theirs) = (messages(&english.text), messages(&chinese.text));
    let mut offences = Vec::new();
    for (one, two, path) in [(&ours, &theirs, &english.path), (&theirs, &ours, &chinese.path)] {
        for (key, values) in one {
            match two.get(key) {
                None => offences.push(format!("{path}: {key} has no twin")),
                Some(other) if other != values => {
                    offences.push(format!("{path}: {key} takes other values than its twin"));
                }
                Some(_) => {}
            }
        }
    }
    let speakers =
        |file: &&File| file.path.starts_with("broker/src/") || file.path.starts_with("broker/templates/");
    let speakers: Vec<&File> = tree.iter().filter(speakers).collect();
    let unused = ours.keys().filter(|key| !is_said(key, &speakers));
    offences.extend(unused.map(|key| format!("{}: {key} is used nowhere", english.path)));
    for file in speakers {
        let keys = quoted_after(&file.text, &["say(\"", "say_with(\"", "say_all(\""]);
        let missing = keys.into_iter().filter(|key| !ours.contains_key(key));
        offences.extend(missing.map(|key| format!("{}: there are no words for {key}", file.path)));
    }
    offences
}

/// The keys of a Fluent file, each with the values its text takes (`{ $name }`).
fn messages(text: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut messages: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut key = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with(|c: char| c.is_ascii_alphabetic()) {
            key = line.split('=').next().unwrap_or_default().trim();
        }
        let values = line.split('$').skip(1);
        let values =
            values.filter_map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next());
        if !key.is_empty() {
            messages.entry(key).or_default().extend(values);
        }
    }
    messages
}

/// Whether some file holds the key in quotes, or a text from which it is put together (`"state-{}"`).
fn is_said(key: &str, speakers: &[&File]) -> bool {
    let put_together = key.match_indices('-').map(|(at, _)| format!("\"{}{{", &key[..=at]));
    let ways: Vec<String> = put_together.chain([format!("\"{key}\"")]).collect();
    speakers.iter().any(|file| ways.iter().any(|way| file.text.contains(way)))
}

/// What stands in quotes after any of `starts` (each ends with the opening quote).
fn quoted_after<'a>(text: &'a str, starts: &[&str]) -> BTreeSet<&'a str> {
    let after = |start: &&str| {
        let start = (*start).to_owned();
        text.match_indices(&start).map(|(at, found)| &text[at + found.len()..]).collect::<Vec<_>>()
    };
    starts.iter().flat_map(after).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_fixture_is_used() {
    hold(fixtures, &[("tests/fixtures/planted/nobody.json", "{}")]);
}

/// A fixture is used when a Rust file names it, or the folder it lies in, as `fixtures/…`.
fn fixtures(tree: &[File]) -> Vec<String> {
    let names = |file: &&File| file.is_rust() && !file.path.starts_with("tests/tidy/");
    let rust: Vec<&File> = tree.iter().filter(names).collect();
    let is_named = |path: &str| {
        let inside = path.strip_prefix("tests/").unwrap_or(path);
        let folders = inside.match_indices('/').map(|(at, _)| &inside[..=at]).skip(1);
        let ways: Vec<String> =
            folders.map(|folder| format!("{folder}\"")).chain([format!("{inside}\"")]).collect();
        rust.iter().any(|file| ways.iter().any(|way| file.text.contains(way)))
    };
    let fixtures = tree.iter().filter(|file| file.path.starts_with("tests/fixtures/"));
    let unused = fixtures.filter(|file| !is_named(&file.path));
    unused.map(|file| format!("{}: nothing uses it", file.path)).collect()
}
