//! The ladder: a module leans only on those above it in its crate's `lib.rs`.

use super::{File, hold};

#[test]
fn modules_lean_only_upwards() {
    hold(
        leaning,
        &[
            ("broker/src/clock.rs", "//! a\nuse crate::app::App;\n"),
            ("broker/src/clock/planted.rs", "//! a\nfn a() { crate::homes::b() }\n"),
            ("broker/src/vault/tests.rs", "//! a\nuse crate::{config::Config, portal::{self, Link}};\n"),
            ("broker/src/store.rs", "//! a\n#[cfg(test)]\nmod tests {\n    use crate::oauth::Grant;\n}\n"),
            ("broker/src/homes.rs", "//! a\nuse super::portal::Link;\n"),
            ("agent/src/config.rs", "//! a\nuse crate::relay;\n"),
        ],
    );
}

#[test]
fn leaning_upwards_is_allowed() {
    let file = File::new;
    let tree = [
        file("broker/src/lib.rs", "//! a\nmod clock; // b\npub mod store;\npub(crate) mod app;\n"),
        file("broker/src/app.rs", "//! a\nuse crate::{clock, store::Tx};\nuse super::store;\n"),
        file("broker/src/store.rs", "//! a\n/// See [`crate::app`].\nuse crate::store::rows;\nmod rows;\n"),
        file("broker/src/main.rs", "//! a\nuse broker::app;\n"),
    ];
    assert_eq!(leaning(&tree), Vec::<String>::new());
}

fn leaning(tree: &[File]) -> Vec<String> {
    ["broker", "agent"].iter().flat_map(|name| leaning_in(tree, name)).collect()
}

fn leaning_in(tree: &[File], name: &str) -> Vec<String> {
    let root = format!("{name}/src/");
    let lib = tree.iter().find(|file| file.path == format!("{root}lib.rs"));
    let Some(lib) = lib else { return Vec::new() };
    let ladder = modules(&lib.text);
    let rung = |module: &str| ladder.iter().position(|other| *other == module);
    let mut offences = Vec::new();
    for file in tree.iter().filter(|file| file.is_rust()) {
        let Some(inside) = file.path.strip_prefix(&root) else { continue };
        let module = inside.split(['/', '.']).next().unwrap_or_default();
        let Some(ours) = rung(module) else { continue };
        for (number, leant_on) in leant_on(file, inside) {
            if rung(leant_on).is_some_and(|theirs| theirs > ours) {
                offences.push(format!("{}:{number}: {module} leans down on {leant_on}", file.path));
            }
        }
    }
    offences
}

/// The modules of a `lib.rs`, from the ground up.
fn modules(lib: &str) -> Vec<&str> {
    let module = |line| {
        let line = Some(line).filter(|line: &&str| !line.starts_with("//"))?;
        let (before, after) = line.split_once("mod ")?;
        let is_module = before.is_empty() || (before.starts_with("pub") && before.ends_with(' '));
        is_module.then(|| after.split(';').next()).flatten().filter(|_| after.contains(';'))
    };
    lib.lines().filter_map(module).collect()
}

/// The top modules a file names, with the line: after `crate::`, and in a file at the top also after `super::`
/// (where it is not one of its own children, as seen from its tests).
fn leant_on<'a>(file: &'a File, inside: &str) -> Vec<(usize, &'a str)> {
    let children = modules(&file.text);
    let is_top = !inside.contains('/');
    let mut found = Vec::new();
    let mut offset = 0;
    for (line, number) in file.text.lines().zip(1..) {
        let rest = &file.text[offset..];
        offset += line.len() + 1;
        if line.trim_start().starts_with("//") {
            continue;
        }
        for (at, _) in line.match_indices("crate::") {
            found.extend(first_names(&rest[at + "crate::".len()..]).into_iter().map(|name| (number, name)));
        }
        if is_top {
            for (at, _) in line.match_indices("super::") {
                let names = first_names(&rest[at + "super::".len()..]);
                let names = names.into_iter().filter(|name| !children.contains(name));
                found.extend(names.map(|name| (number, name)));
            }
        }
    }
    found
}

/// The first name of a path, or of each path of a braced list.
fn first_names(path: &str) -> Vec<&str> {
    let Some(list) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut depth, mut start, mut names) = (0, 0, Vec::new());
    for (at, sign) in list.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(name(list[start..at].trim_start()));
                start = at + 1;
                if sign == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

fn name(path: &str) -> &str {
    path.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default()
}
