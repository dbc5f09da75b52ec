//! Secrets in the operating system's keyring (on Linux the Secret Service), one entry for a data directory.
//!
//! Every call here blocks, and may block for as long as a locked keyring waits for its owner.

use std::fs;
use std::path::{Path, PathBuf};

use keyring::{Entry, Error};

use super::{MemoryError, Remembered};

const SERVICE: &str = "latchkey-agent";

/// The entry of one data directory.
#[derive(Debug, Clone)]
pub struct Drawer {
    account: String,
    /// An empty file that says the keyring has our secrets.
    marker: PathBuf,
}

impl Drawer {
    pub fn new(dir: &Path) -> Self {
        let account = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned()).display().to_string();
        Self { account, marker: dir.join("in-keyring") }
    }

    /// Whether secrets went to the keyring before.
    pub fn was_used(&self) -> bool {
        self.marker.exists()
    }

    /// Writes, reads and deletes a word: some keyrings are there and keep nothing.
    pub fn probe(&self) -> Result<(), MemoryError> {
        if let Err(err) = Entry::store_status() {
            return Err(fault(err));
        }
        let entry = Entry::new(SERVICE, &format!("{} probe", self.account)).map_err(fault)?;
        entry.set_password("probe").map_err(fault)?;
        let same = entry.get_password().map_err(fault)? == "probe";
        entry.delete_credential().map_err(fault)?;
        if same { Ok(()) } else { Err(MemoryError::Keyring("does not keep what it is given".to_owned())) }
    }

    pub fn read(&self) -> Result<Remembered, MemoryError> {
        let text = match self.entry()?.get_password() {
            Err(Error::NoEntry) => return Ok(Remembered::default()),
            other => other.map_err(fault)?,
        };
        serde_json::from_str(&text)
            .map_err(|_| MemoryError::Keyring(format!("the entry of {} is damaged: remove it", self.account)))
    }

    pub fn write(&self, what: &Remembered) -> Result<(), MemoryError> {
        let text = serde_json::to_string(what).map_err(|err| MemoryError::Keyring(err.to_string()))?;
        self.entry()?.set_password(&text).map_err(fault)?;
        fs::write(&self.marker, "").map_err(|source| MemoryError::Disk { path: self.marker.clone(), source })
    }

    pub fn erase(&self) -> Result<(), MemoryError> {
        // Nothing there to remove is as good as removed, here and in the directory.
        _ = fs::remove_file(&self.marker);
        match self.entry()?.delete_credential() {
            Err(Error::NoEntry) => Ok(()),
            other => other.map_err(fault),
        }
    }

    fn entry(&self) -> Result<Entry, MemoryError> {
        Entry::new(SERVICE, &self.account).map_err(fault)
    }
}

fn fault(err: impl std::borrow::Borrow<Error>) -> MemoryError {
    let err: &Error = err.borrow();
    MemoryError::Keyring(match err {
        // The error carries the stored bytes.
        Error::BadEncoding(_) => "holds something that is not text".to_owned(),
        other => other.to_string(),
    })
}
