//! Secrets in a file: written whole to a new one, forced to disk, then moved over the old.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{MemoryError, Remembered};

/// The memory file of one data directory.
#[derive(Debug)]
pub struct Drawer {
    path: PathBuf,
}

impl Drawer {
    pub fn new(dir: &Path) -> Self {
        Self { path: dir.join("memory.json") }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn read(&self) -> Result<Remembered, MemoryError> {
        let text = match fs::read(&self.path) {
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(Remembered::default()),
            other => other.map_err(|err| self.disk(err))?,
        };
        // serde_json's message may quote a value, so only the place is passed on.
        serde_json::from_slice(&text).map_err(|err| MemoryError::Damaged {
            path: self.path.clone(),
            detail: format!("line {}, column {}", err.line(), err.column()),
        })
    }

    pub fn write(&self, what: &Remembered) -> Result<(), MemoryError> {
        let text = serde_json::to_vec(what).map_err(|err| self.disk(err.into()))?;
        write_whole(&self.path, &text).map_err(|err| self.disk(err))
    }

    pub fn erase(&self) -> Result<(), MemoryError> {
        match fs::remove_file(&self.path) {
            Err(err) if err.kind() == ErrorKind::NotFound => Ok(()),
            other => other.map_err(|err| self.disk(err)),
        }
    }

    fn disk(&self, source: io::Error) -> MemoryError {
        MemoryError::Disk { path: self.path.clone(), source }
    }
}

/// Makes a directory only its owner may enter.
pub fn make_private(dir: &Path) -> Result<(), MemoryError> {
    let disk = |source| MemoryError::Disk { path: dir.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(disk)?;
    let mode = fs::metadata(dir).map_err(disk)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(disk)?;
    }
    Ok(())
}

/// Replaces a file so that after a crash at any moment either the old or the new content is there, whole.
///
/// # Errors
/// Whatever the disk says; the old content is then untouched.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    // A leftover of a crash may have other permissions; `mode` counts only for a file that is made.
    if let Err(err) = fs::remove_file(&fresh)
        && err.kind() != ErrorKind::NotFound
    {
        return Err(err);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    belong_like(&file, dir)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    File::open(dir)?.sync_all()
}

/// Gives a file to the owner of its folder: what root writes by hand, the agent must be able to read.
///
/// # Errors
/// Whatever the disk says.
pub fn belong_like(file: &File, dir: &Path) -> io::Result<()> {
    let (ours, folder) = (file.metadata()?, fs::metadata(dir)?);
    if ours.uid() == folder.uid() || !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    std::os::unix::fs::fchown(file, Some(folder.uid()), Some(folder.gid()))
}
