//! Letters as files: one each, for its owner only, readable as text and by any mail program (RFC 6532).

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::clock::Timestamp;

/// A letter as it is written down.
pub struct Letter<'a> {
    pub from: &'a str,
    pub to: &'a str,
    pub subject: &'a str,
    pub text: &'a str,
    pub at: Timestamp,
}

/// Writes a letter; where it lies. Written again, it is the same file.
///
/// # Errors
/// When the folder or the file cannot be written.
pub fn write(folder: &Path, id: i64, letter: &Letter<'_>) -> anyhow::Result<PathBuf> {
    let says = || format!("write a letter into {}", folder.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(says)?;
    let Letter { from, to, subject, text, at } = letter;
    let one_line = |text: &str| text.replace(['\r', '\n'], " ");
    let whole = format!(
        "From: {}\nTo: {}\nSubject: {}\nDate: {}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{text}",
        one_line(from),
        one_line(to),
        one_line(subject),
        date(*at),
    );
    let path = folder.join(format!("{id:016x}.eml"));
    let draft = folder.join(format!(".{id:016x}.part"));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .with_context(says)?;
    file.write_all(whole.as_bytes()).and_then(|()| file.sync_all()).with_context(says)?;
    fs::rename(&draft, &path).with_context(says)?;
    Ok(path)
}

/// RFC 5322 section 3.3.
fn date(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.millis())
        .map(|at| at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string())
        .unwrap_or_default()
}
