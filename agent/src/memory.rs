//! What survives a restart: the pairing and its tokens, in the OS keyring or in a file only its owner reads.
//!
//! Invariant: what [`Memory::change`] has returned for is on disk. A rotated refresh token is therefore never
//! used before it is safe (its predecessor dies the moment it is used).
//!
//! The file is not encrypted: a key beside it would be no more than obfuscation. It has mode 0600 in a
//! directory of mode 0700.

mod file;
mod keyring;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::id::HomeId;
use shared::secret::Secret;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tracing::info;

use crate::config::Keeping;

pub use file::{make_private, write_whole};

/// How long a keyring may take; a locked one may be waiting for a person who is not there.
const KEYRING_PATIENCE: Duration = Duration::from_secs(10);

/// Everything that is remembered.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Remembered {
    /// The broker and home this agent was paired with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairing: Option<Pairing>,
    /// A token for Home Assistant that was given when pairing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home_assistant_token: Option<Secret>,
}

/// One consent of one owner for one home.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pairing {
    /// The broker's origin; the tokens are sent nowhere else.
    pub broker: String,
    /// The home the owner chose.
    pub home: HomeId,
    /// For the next access token. Every use brings a new one.
    pub refresh_token: Secret,
    /// The access token that was got last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// The tunnel token that was got last (G7: good while the broker's routes are down).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel_token: Option<Secret>,
}

/// An access token and its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Access {
    /// For `Authorization: Bearer`.
    pub token: Secret,
    /// Milliseconds since the Unix epoch, by this machine's clock.
    pub expires: i64,
}

/// Why something could not be remembered or recalled.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The file is there and cannot be understood. It is left as it is.
    #[error("{} is damaged ({detail}): remove it and pair again", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What the parser says; never the content.
        detail: String,
    },
    /// The disk said no.
    #[error("{}: {source}", path.display())]
    Disk {
        /// Which file or directory.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// The keyring cannot be used.
    #[error("the keyring: {0}")]
    Keyring(String),
    /// Another agent has the data directory.
    #[error("another agent is using {}: stop it first", .0.display())]
    InUse(PathBuf),
}

/// The agent's memory. Cheap to read; a change is written before it counts.
#[derive(Debug)]
pub struct Memory {
    inner: Arc<Inner>,
    /// Held through a change by whoever writes it, to the end even if nobody waits for that any more.
    turn: Arc<Mutex<()>>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    now: RwLock<Remembered>,
}

#[derive(Debug)]
enum Store {
    Keyring(keyring::Drawer),
    File(file::Drawer),
}

impl Memory {
    /// Opens the memory of a data directory and makes the directory if need be.
    ///
    /// # Errors
    /// A damaged file, a disk or keyring that refuses; never because there is nothing yet.
    pub async fn open(dir: &Path, keeping: Keeping) -> Result<Self, MemoryError> {
        make_private(dir)?;
        let store = choose(dir, keeping).await?;
        let (store, now) = off_thread(move || store.read().map(|now| (store, now))).await?;
        Ok(Self { inner: Arc::new(Inner { store, now: RwLock::new(now) }), turn: Arc::default() })
    }

    /// What is remembered now.
    pub fn recall(&self) -> Remembered {
        self.inner.now.read().expect("nobody panics while holding it").clone()
    }

    /// Changes what is remembered. When this returns `Ok`, the change is on disk; when it does not, nothing
    /// changed (or a keyring that did not answer in time may yet do it, whole).
    ///
    /// # Errors
    /// The disk or the keyring refused.
    pub async fn change(&self, edit: impl FnOnce(&mut Remembered)) -> Result<(), MemoryError> {
        self.in_turn(|inner| {
            let mut next = inner.now.read().expect("nobody panics while holding it").clone();
            edit(&mut next);
            move |inner: &Inner| {
                inner.store.write(&next)?;
                inner.set(next);
                Ok(())
            }
        })
        .await
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// The disk or the keyring refused.
    pub async fn forget(&self) -> Result<(), MemoryError> {
        self.in_turn(|_| {
            |inner: &Inner| {
                inner.store.erase()?;
                inner.set(Remembered::default());
                Ok(())
            }
        })
        .await
    }

    /// Prepares a change when its turn has come and carries it out where blocking harms nobody.
    async fn in_turn<W>(&self, prepare: impl FnOnce(&Inner) -> W) -> Result<(), MemoryError>
    where
        W: FnOnce(&Inner) -> Result<(), MemoryError> + Send + 'static,
    {
        let change = async {
            let turn = Arc::clone(&self.turn).lock_owned().await;
            let work = prepare(&self.inner);
            let inner = Arc::clone(&self.inner);
            off_thread(move || {
                let _turn = turn;
                work(&inner)
            })
            .await
        };
        match self.inner.store {
            Store::File(_) => change.await,
            Store::Keyring(_) => patiently(change).await,
        }
    }

    /// Where secrets are kept, in words.
    pub fn place(&self) -> String {
        match &self.inner.store {
            Store::Keyring(_) => "the keyring".to_owned(),
            Store::File(drawer) => drawer.path().display().to_string(),
        }
    }
}

impl Inner {
    fn set(&self, next: Remembered) {
        *self.now.write().expect("nobody panics while holding it") = next;
    }
}

impl Store {
    fn read(&self) -> Result<Remembered, MemoryError> {
        match self {
            Self::Keyring(drawer) => drawer.read(),
            Self::File(drawer) => drawer.read(),
        }
    }

    fn write(&self, what: &Remembered) -> Result<(), MemoryError> {
        match self {
            Self::Keyring(drawer) => drawer.write(what),
            Self::File(drawer) => drawer.write(what),
        }
    }

    fn erase(&self) -> Result<(), MemoryError> {
        match self {
            Self::Keyring(drawer) => drawer.erase(),
            Self::File(drawer) => drawer.erase(),
        }
    }
}

/// `auto` stays where it once was: a file that is there is used, and a pairing that went to the keyring is not
/// looked for anywhere else (a service without a session bus must say so, not "not paired").
async fn choose(dir: &Path, keeping: Keeping) -> Result<Store, MemoryError> {
    let in_file = file::Drawer::new(dir);
    let in_keyring = keyring::Drawer::new(dir);
    match keeping {
        Keeping::File => return Ok(Store::File(in_file)),
        Keeping::Auto if in_file.path().exists() => return Ok(Store::File(in_file)),
        Keeping::Auto | Keeping::Keyring => {}
    }
    let probed = in_keyring.clone();
    match patiently(off_thread(move || probed.probe())).await {
        Ok(()) => Ok(Store::Keyring(in_keyring)),
        Err(err) if keeping == Keeping::Keyring || in_keyring.was_used() => Err(err),
        Err(err) => {
            info!(path = %in_file.path().display(), "no keyring here, so secrets go to a file: {err}");
            Ok(Store::File(in_file))
        }
    }
}

async fn patiently(work: impl Future<Output = Result<(), MemoryError>>) -> Result<(), MemoryError> {
    let done = timeout(KEYRING_PATIENCE, work).await;
    done.unwrap_or_else(|_| Err(MemoryError::Keyring("does not answer (locked?)".to_owned())))
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MemoryError> + Send + 'static,
) -> Result<T, MemoryError> {
    spawn_blocking(work).await.unwrap_or_else(|_| Err(MemoryError::Keyring("broke off".to_owned())))
}

/// The right to use a data directory: one agent at a time. The kernel takes it back when the process ends.
#[derive(Debug)]
pub struct Claim(File);

impl Claim {
    /// Takes the directory, waiting up to a second for another to let go.
    ///
    /// # Errors
    /// `InUse`, or a disk that refuses.
    pub async fn take(dir: &Path) -> Result<Self, MemoryError> {
        make_private(dir)?;
        for _ in 0..10 {
            if let Some(claim) = Self::try_take(dir)? {
                return Ok(claim);
            }
            sleep(Duration::from_millis(100)).await;
        }
        Err(MemoryError::InUse(dir.to_owned()))
    }

    /// Whether an agent is using the directory now.
    pub fn is_taken(dir: &Path) -> bool {
        dir.exists() && matches!(Self::try_take(dir), Ok(None))
    }

    fn try_take(dir: &Path) -> Result<Option<Self>, MemoryError> {
        let path = dir.join("lock");
        let disk = |source| MemoryError::Disk { path: path.clone(), source };
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(disk)?;
        file::belong_like(&file, dir).map_err(disk)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(disk(source)),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Best effort: closing the file lets go as well.
        _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests;
