//! The key list: a file that only its owner reads, changed as a whole or not at all.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::chance;

/// Keys by id; there is at least one, the first is active, and those that [wait](Key::waits) come last.
pub struct KeyList(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: String,
    bytes: [u8; 32],
    /// It opens, and does not seal yet: first every broker is to know it. Its line begins with a plus.
    waits: bool,
}

/// Tells one version of the file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    changed: (i64, i64),
    length: u64,
}

impl Stamp {
    /// The file's, if there is one.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        let changed = (file.ctime(), file.ctime_nsec());
        Some(Self { device: file.dev(), inode: file.ino(), changed, length: file.len() })
    }
}

/// Who holds it changes the key list alone; until it is dropped or its process ends.
pub struct Turn(#[expect(dead_code, reason = "the lock ends with the file")] File);

impl KeyList {
    /// A list with one key.
    pub(super) fn with_new_key() -> Self {
        Self(vec![Key::new()])
    }

    /// Reads a list.
    ///
    /// # Errors
    /// When the file cannot be read, is readable by others, or a line is no key; the line is named.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let context = || format!("read the key list at {}", path.display());
        let mode = fs::metadata(path).with_context(context)?.permissions().mode();
        ensure!(mode & 0o077 == 0, "the key list at {} can be read by others: chmod 600 it", path.display());
        Self::parse(&fs::read_to_string(path).with_context(context)?).with_context(context)
    }

    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut list = Self(Vec::new());
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let Some(key) = Key::parse(line.trim()) else {
                bail!(
                    "line {number} is not `id/key`, with an id of letters and digits and a key of 32 bytes in base64"
                );
            };
            ensure!(list.key(&key.id).is_none(), "line {number} names the key {} again", key.id);
            list.0.push(key);
        }
        list.0.sort_by_key(|key| key.waits);
        ensure!(list.0.first().is_some_and(|key| !key.waits), "it holds no key that seals");
        Ok(list)
    }

    /// The key that seals, and its id.
    pub fn active(&self) -> (&str, &[u8; 32]) {
        let Key { id, bytes, .. } = &self.0[0];
        (id, bytes)
    }

    /// The key that does not seal yet, if there is one.
    pub fn waiting(&self) -> Option<&str> {
        self.0.iter().find(|key| key.waits).map(|key| &*key.id)
    }

    /// The ids, the active one first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.id.as_str())
    }

    /// The keys with their ids, the active one first.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &[u8; 32])> {
        self.0.iter().map(|key| (key.id.as_str(), &key.bytes))
    }

    /// A key by its id.
    pub fn key(&self, id: &str) -> Option<&[u8; 32]> {
        self.0.iter().find(|known| known.id == id).map(|known| &known.bytes)
    }

    /// The same list with a new key, which waits.
    pub fn and_new_key(&self) -> Self {
        Self([self.0.clone(), vec![Key { waits: true, ..Key::new() }]].concat())
    }

    /// The same list with one of its keys in front, which then is active.
    pub fn led_by(&self, id: &str) -> Self {
        let (first, rest): (Vec<_>, _) = self.0.iter().cloned().partition(|key| key.id == id);
        let first = first.into_iter().map(|key| Key { waits: false, ..key });
        Self(first.chain(rest).collect())
    }

    /// The same list without a key.
    pub fn without(&self, id: &str) -> Self {
        Self(self.0.iter().filter(|known| known.id != id).cloned().collect())
    }

    /// Waits for nobody: takes the turn to change a list, if nobody has it.
    ///
    /// # Errors
    /// When somebody else is changing it, or the file for the turn cannot be made.
    pub fn turn(list: &Path) -> anyhow::Result<Turn> {
        let path = beside(list, "lock");
        let lock = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let lock = lock.with_context(|| format!("open {}", path.display()))?;
        belong_like(list, &path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Turn(lock)),
            Err(fs::TryLockError::WouldBlock) => {
                bail!("another `keys add`, `keys rotate` or `keys retire` is at work: wait until it is done")
            }
            Err(fs::TryLockError::Error(err)) => Err(err).with_context(|| format!("lock {}", path.display())),
        }
    }

    /// Puts this list in the file's place: written beside it, brought to the disk, and renamed.
    ///
    /// # Errors
    /// When something of it fails; the file is as before then, or has this list.
    pub fn replace(&self, path: &Path, _: &Turn) -> anyhow::Result<()> {
        let new = beside(path, "new");
        // Of a turn that was killed in the middle: nobody has read it.
        _ = fs::remove_file(&new);
        self.write_new(&new)?;
        belong_like(path, &new)?;
        fs::rename(&new, path).with_context(|| format!("put a new key list to {}", path.display()))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let kept = File::open(folder).and_then(|folder| folder.sync_all());
        kept.with_context(|| format!("bring {} to the disk", folder.display()))
    }

    /// Writes the first list of a broker.
    pub(super) fn write_first(&self, path: &Path) -> anyhow::Result<()> {
        self.write_new(path)
    }

    fn write_new(&self, path: &Path) -> anyhow::Result<()> {
        let lines = self.0.iter().map(Key::line);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path);
        file.as_mut()
            .map_err(|err| anyhow::anyhow!("{err}"))
            .and_then(|file| Ok(file.write_all(lines.collect::<String>().as_bytes()).and(file.sync_all())?))
            .with_context(|| format!("write a new key list to {}", path.display()))
    }
}

/// Gives a file to whoever the other one belongs to: a broker must be able to read the list that root has changed.
fn belong_like(other: &Path, file: &Path) -> anyhow::Result<()> {
    let says = || format!("give {} to whoever {} belongs to", file.display(), other.display());
    let Ok(wanted) = fs::metadata(other) else { return Ok(()) };
    let is = fs::metadata(file).with_context(says)?;
    if (is.uid(), is.gid()) != (wanted.uid(), wanted.gid()) {
        chown(file, Some(wanted.uid()), Some(wanted.gid())).with_context(says)?;
    }
    Ok(())
}

impl Key {
    /// A key nobody has had. Its id is chance, too: a list made anew never passes for one that was lost.
    fn new() -> Self {
        Self { id: format!("k{}", chance::text(8, chance::LEGIBLE)), bytes: chance::bytes(), waits: false }
    }

    fn parse(line: &str) -> Option<Self> {
        let (waits, rest) = line.strip_prefix('+').map_or((false, line), |rest| (true, rest));
        let (id, key) = rest.split_once('/')?;
        let bytes = BASE64_STANDARD.decode(key).ok()?.try_into().ok()?;
        let is_id = !id.is_empty() && id.len() < 64 && id.bytes().all(|b| b.is_ascii_alphanumeric());
        is_id.then(|| Self { id: id.to_owned(), bytes, waits })
    }

    fn line(&self) -> String {
        let plus = if self.waits { "+" } else { "" };
        format!("{plus}{}/{}\n", self.id, BASE64_STANDARD.encode(self.bytes))
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{end}"));
    name.into()
}
