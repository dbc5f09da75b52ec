//! The workspace's text files, as the house rules and the conformance page read them.

use std::fs;
use std::path::Path;

/// A text file of the tree.
#[derive(Debug, Clone)]
pub struct File {
    /// From the workspace's folder, for example `broker/src/clock.rs`.
    pub path: String,
    /// All of it.
    pub text: String,
    /// Whether it is compiled for tests only: its parent declares it so.
    pub is_test: bool,
}

impl File {
    /// A file that is no test by its parent's word.
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into(), is_test: false }
    }

    /// Whether it is one of Rust's.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Its lines that are not comments, numbered from 1.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().zip(1..).map(|(line, number)| (number, line)).filter(|(_, line)| {
            let line = line.trim_start();
            !line.starts_with("//") && !line.starts_with('#')
        })
    }

    /// The number of the line from which on a Rust file holds tests only.
    pub fn tests_from(&self) -> usize {
        let by_place = self.path.ends_with("/tests.rs") || format!("/{}", self.path).contains("/tests/");
        if self.is_test || by_place {
            return 0;
        }
        let start = self.text.lines().position(|line| line.starts_with("#[cfg(test)]"));
        start.map_or(usize::MAX, |line| line + 1)
    }

    /// Its code outside of tests.
    pub fn production(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.tests_from();
        self.code().filter(move |(number, _)| *number < end)
    }
}

/// Folders that are not part of the tree.
const NOT_OURS: &[&str] = &["target", "data", ".git", "node_modules"];

/// Every text file of the workspace, in the order of their paths. Panics when it cannot be read.
pub fn tree() -> Vec<File> {
    let mut files = Vec::new();
    let root = crate::workspace();
    collect(&root, &root, &mut files);
    assert!(files.len() > 50, "only {} files were found in {}", files.len(), root.display());
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let declared = test_modules(&files);
    for file in &mut files {
        file.is_test = declared.iter().any(|start| file.path.starts_with(start));
    }
    files
}

/// The beginnings of the paths of modules that are declared under `#[cfg(test)]`: `agent/src/fakes.`, and `/`.
fn test_modules(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let folder = file.path.trim_end_matches(".rs").trim_end_matches("/lib").trim_end_matches("/main");
        let lines: Vec<&str> = file.text.lines().collect();
        for pair in lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]") {
            let module = pair[1].trim_start_matches("pub ").strip_prefix("mod ");
            if let Some((name, _)) = module.and_then(|rest| rest.split_once(';')) {
                found.extend([format!("{folder}/{name}."), format!("{folder}/{name}/")]);
            }
        }
    }
    found
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("read a folder of the tree").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if NOT_OURS.iter().any(|other| name == *other) {
            continue; // in a git worktree `.git` is a file
        }
        if path.is_dir() {
            collect(root, &path, files);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(root).expect("it lies in the root").display().to_string();
            files.push(File::new(&path, &text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_is_declared_for_tests_holds_tests() {
        let lib = File::new("agent/src/lib.rs", "//! a\npub mod app;\n#[cfg(test)]\nmod fakes;\n");
        let relay = File::new(
            "agent/src/relay.rs",
            "//! a\n#[cfg(test)]\npub mod story;\n#[cfg(test)]\nmod tests {\n}\n",
        );
        let found = test_modules(&[lib, relay]);
        assert_eq!(
            found,
            ["agent/src/fakes.", "agent/src/fakes/", "agent/src/relay/story.", "agent/src/relay/story/"]
        );
    }
}
