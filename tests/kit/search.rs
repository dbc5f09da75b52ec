//! Looking for secrets where they must not lie: as they are, in base64 (all three alignments, both alphabets) and
//! in hexadecimal (both cases).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use anyhow::{Context, Result, ensure};
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use base64::prelude::Engine as _;

/// The shortest secret that is looked for: a shorter one would be found by chance.
const SHORTEST: usize = 12;

/// Secrets to look for, each with a name.
#[derive(Debug)]
pub struct Search {
    automaton: AhoCorasick,
    /// The name that each pattern belongs to.
    names: Vec<String>,
}

impl Search {
    /// A search for named secrets.
    ///
    /// # Errors
    /// When one is too short to mean anything where it is found.
    pub fn of(secrets: &[(&str, impl AsRef<[u8]>)]) -> Result<Self> {
        let (mut patterns, mut names) = (Vec::new(), Vec::new());
        for (name, secret) in secrets {
            let secret = secret.as_ref();
            ensure!(secret.len() >= SHORTEST, "{name} is too short to be looked for");
            for form in forms(secret) {
                patterns.push(form);
                names.push((*name).to_owned());
            }
        }
        Ok(Self { automaton: AhoCorasick::new(patterns).context("build the search")?, names })
    }

    /// The names of the secrets that lie in some bytes.
    pub fn found(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let found = self.automaton.find_overlapping_iter(bytes);
        found.map(|at| self.names[at.pattern().as_usize()].as_str()).collect()
    }

    /// The secrets that lie in the files below a folder: each with the file, from the folder on.
    ///
    /// # Errors
    /// When a file that stays cannot be read.
    pub fn found_below(&self, folder: &Path) -> Result<BTreeSet<(String, PathBuf)>> {
        let mut all = BTreeSet::new();
        let mut folders = vec![folder.to_path_buf()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(&next).with_context(|| format!("look into {}", next.display()))? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else if let Ok(bytes) = fs::read(entry.path()) {
                    let place = entry.path().strip_prefix(folder)?.to_path_buf();
                    all.extend(self.found(&bytes).into_iter().map(|name| (name.to_owned(), place.clone())));
                } else {
                    // A server removes its files as it goes on; one that is there must be readable.
                    ensure!(!entry.path().exists(), "{} cannot be read", entry.path().display());
                }
            }
        }
        Ok(all)
    }
}

/// Everything a secret looks like where somebody encoded what it lies in.
fn forms(secret: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::from([secret.to_vec()]);
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    forms.insert(hex.to_uppercase().into_bytes());
    forms.insert(hex.into_bytes());
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        for before in 0..3 {
            let text = engine.encode([&[0; 3][..before], secret].concat());
            // The first signs hold bits of what stands before, the last one of what comes after.
            let (first, last) = ((before * 8).div_ceil(6), (before + secret.len()) * 8 / 6);
            forms.insert(text.as_bytes()[first..last].to_vec());
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

    use super::*;

    const SECRET: &str = "lkt_of?a>secret~that/nobody+knows";

    #[test]
    fn what_was_planted_is_found_in_every_form() {
        let search = Search::of(&[("it", SECRET), ("other", "something else altogether")]).unwrap();
        for before in ["", "a", "bc", "def", "ghij"] {
            for after in ["", "z", "yx", "wvu"] {
                let text = format!("{before}{SECRET}{after}");
                let hex: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
                for planted in [
                    BASE64_STANDARD.encode(&text),
                    BASE64_URL_SAFE.encode(&text),
                    hex.to_lowercase(),
                    hex,
                    text,
                ] {
                    let bytes = format!("\0\u{1}{planted}\n").into_bytes();
                    assert_eq!(search.found(&bytes), BTreeSet::from(["it"]), "{planted}");
                }
            }
        }
        assert!(search.found(&SECRET.as_bytes()[1..]).is_empty());
        assert!(Search::of(&[("short", "12345678")]).is_err());
    }

    #[test]
    fn files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        fs::write(folder.path().join("deep/file"), format!("x{SECRET}")).unwrap();
        fs::write(folder.path().join("clean"), "nothing").unwrap();
        let found = Search::of(&[("it", SECRET)]).unwrap().found_below(folder.path()).unwrap();
        assert_eq!(found, BTreeSet::from([("it".to_owned(), PathBuf::from("deep/file"))]));
    }
}
