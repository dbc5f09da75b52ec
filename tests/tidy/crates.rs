//! The crates we stand on: whose they are, under which licences, which versions; and who of us may use whom.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// A package as it is built here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    /// An SPDX expression.
    licence: String,
}

/// Not to be built at all: a second stack for what we have one for, or one that is not maintained.
const BANNED: &[(&str, &str)] = &[
    ("ring", "aws-lc-rs is the one provider"),
    ("openssl", "rustls is the one TLS"),
    ("openssl-sys", "rustls is the one TLS"),
    ("native-tls", "rustls is the one TLS"),
    ("async-std", "tokio is the one runtime"),
];
/// The oldest version of each that may be built.
const AT_LEAST: &[(&str, u32, u32)] = &[("warp", 0, 4), ("hyper", 1, 0), ("libsqlite3-sys", 0, 37)];
/// Two versions of these would not understand each other's types.
const ONE_OF_EACH: &[&str] = &["h2", "hyper", "rustls", "tokio", "tokio-tungstenite", "tungstenite", "warp"];
/// Licences under which we may pass a program on; of two joined by OR one is enough.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

#[test]
fn no_banned_or_outdated_crate_is_built() {
    assert_eq!(unwanted(&built(&[])), Vec::<String>::new());
    for (name, version) in
        [("ring", "0.17.14"), ("openssl-sys", "0.9.1"), ("warp", "0.3.7"), ("hyper", "0.14.32")]
    {
        let planted = [Package { name: name.into(), version: version.into(), licence: "MIT".into() }];
        assert_eq!(unwanted(&planted).len(), 1, "{name} {version}");
    }
}

fn unwanted(packages: &[Package]) -> Vec<String> {
    let is_old = |package: &Package, least: (u32, u32)| {
        let mut parts = package.version.split('.').filter_map(|part| part.parse::<u32>().ok());
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < least
    };
    let mut offences = Vec::new();
    for package in packages {
        let banned = BANNED.iter().filter(|(name, _)| *name == package.name);
        offences.extend(banned.map(|(name, why)| format!("{name} is built; {why}")));
        let old = AT_LEAST
            .iter()
            .filter(|(name, major, minor)| *name == package.name && is_old(package, (*major, *minor)));
        offences.extend(old.map(|(name, ..)| format!("{name} {} is too old", package.version)));
    }
    offences
}

#[test]
fn what_must_agree_is_built_once() {
    let packages = built(&[]);
    assert_eq!(twice(&packages), Vec::<String>::new());
    let mut planted = packages;
    planted.push(Package { name: "hyper".into(), version: "2.0.0".into(), licence: "MIT".into() });
    assert_eq!(twice(&planted).len(), 1);
    // The old http comes with the driver of the browser: in tests alone.
    let shipped = built(&["--package", "latchkey-broker", "--package", "latchkey-agent"]);
    let https = shipped.iter().filter(|package| package.name == "http").count();
    assert_eq!(https, 1, "one http in what is shipped");
}

fn twice(packages: &[Package]) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages.iter().filter(|package| ONE_OF_EACH.contains(&package.name.as_str())) {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    let many = versions.iter().filter(|(_, versions)| versions.len() > 1);
    many.map(|(name, versions)| format!("{name} is built in versions {versions:?}")).collect()
}

#[test]
fn every_licence_lets_us_pass_the_program_on() {
    assert_eq!(unlicensed(&built(&[])), Vec::<String>::new());
    for (licence, offences) in [
        ("GPL-3.0-only", 1),
        ("", 1),
        ("MIT AND GPL-2.0-only", 1),
        ("MIT OR GPL-2.0-only", 0),
        ("MIT/Apache-2.0", 0),
        ("ISC AND (GPL-2.0 OR (MIT AND Zlib))", 0),
        ("Apache-2.0 WITH LLVM-exception", 0),
    ] {
        let planted = [Package { name: "a".into(), version: "1.0.0".into(), licence: licence.into() }];
        assert_eq!(unlicensed(&planted).len(), offences, "{licence}");
    }
}

fn unlicensed(packages: &[Package]) -> Vec<String> {
    let offenders = packages.iter().filter(|package| !is_allowed(&package.licence));
    offenders.map(|package| format!("{} {}: {:?}", package.name, package.version, package.licence)).collect()
}

/// Reads an SPDX expression; OR binds weaker than AND, a slash is an old OR.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = &words[..];
    any_of(&mut rest) && rest.is_empty()
}

fn any_of(rest: &mut &[&str]) -> bool {
    let mut allowed = all_of(rest);
    while take(rest, "OR") {
        allowed |= all_of(rest);
    }
    allowed
}

fn all_of(rest: &mut &[&str]) -> bool {
    let mut allowed = one_of(rest);
    while take(rest, "AND") {
        allowed &= one_of(rest);
    }
    allowed
}

fn one_of(rest: &mut &[&str]) -> bool {
    if take(rest, "(") {
        let allowed = any_of(rest);
        return take(rest, ")") && allowed;
    }
    let Some((licence, after)) = rest.split_first() else { return false };
    *rest = after;
    // An exception only ever allows more.
    if take(rest, "WITH") {
        *rest = rest.get(1..).unwrap_or_default();
    }
    LICENCES.contains(licence)
}

fn take(rest: &mut &[&str], word: &str) -> bool {
    let is_next = rest.first() == Some(&word);
    if is_next {
        *rest = &rest[1..];
    }
    is_next
}

#[test]
fn every_crate_is_ours_or_the_registrys() {
    let lock = std::fs::read_to_string(kit::workspace().join("Cargo.lock")).expect("read Cargo.lock");
    assert_eq!(strangers(&lock), Vec::<String>::new());
    let from_git = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"git+https://example.com/a\"\n";
    let from_path = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n";
    for planted in [from_git, from_path] {
        assert_eq!(strangers(planted).len(), 1, "{planted}");
    }
}

fn strangers(lock: &str) -> Vec<String> {
    let mut offences = Vec::new();
    for package in lock.split("[[package]]").skip(1) {
        let field =
            |name: &str| package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        let name = field("name").unwrap_or_default().trim_matches('"');
        match field("source") {
            Some(source) if source.starts_with("\"registry+") => {}
            None if name.starts_with("latchkey-") => {}
            source => offences.push(format!("{name} comes from {source:?}")),
        }
    }
    offences
}

#[test]
fn the_crates_of_the_house_lean_one_way() {
    let manifests = cargo(&["metadata", "--no-deps", "--format-version", "1", "--locked", "--offline"]);
    let manifests: serde_json::Value = serde_json::from_str(&manifests).expect("cargo speaks JSON");
    let uses = |package: &str| -> BTreeSet<&str> {
        let packages = manifests["packages"].as_array().expect("packages").iter();
        let package = packages.into_iter().find(|found| found["name"] == package).expect(package);
        let list = package["dependencies"].as_array().expect("dependencies").iter();
        // A dependency of tests only has a kind of its own; the plain ones have none.
        list.filter(|used| used["kind"].is_null()).filter_map(|used| used["name"].as_str()).collect()
    };
    assert_eq!(uses("latchkey-shared"), BTreeSet::from(["serde"]));
    let ours = |package: &str| -> Vec<String> {
        uses(package).into_iter().filter(|name| name.starts_with("latchkey-")).map(str::to_owned).collect()
    };
    assert_eq!(ours("latchkey-agent"), ["latchkey-shared"]);
    assert_eq!(ours("latchkey-broker"), ["latchkey-shared"]);
    assert_eq!(ours("latchkey-tests"), ["latchkey-agent", "latchkey-broker", "latchkey-shared"]);
}

/// Every package that is really built for this machine, ours included.
fn built(which: &[&str]) -> Vec<Package> {
    let which = if which.is_empty() { &["--workspace"] } else { which };
    let mut arguments = vec!["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none"];
    arguments.extend(["--format", "{p}|{l}"]);
    arguments.extend(which);
    let tree = cargo(&arguments);
    let packages: BTreeSet<Package> = tree.lines().filter_map(parse).collect();
    assert!(packages.len() > 100, "cargo tree speaks another language:\n{tree}");
    packages.into_iter().collect()
}

/// Reads `name v1.2.3 (proc-macro)|MIT (*)`.
fn parse(line: &str) -> Option<Package> {
    let (package, licence) = line.trim_end_matches(" (*)").split_once('|')?;
    let mut words = package.split(' ');
    let name = words.next()?.into();
    Some(Package { name, version: words.next()?.trim_start_matches('v').into(), licence: licence.into() })
}

fn cargo(arguments: &[&str]) -> String {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output =
        Command::new(program).args(arguments).current_dir(kit::workspace()).output().expect("run cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}
