//! Sealing secrets at rest: what must be readable again (tunnel tokens, apps' secrets, letters that wait) lies in
//! the database only sealed.
//!
//! Each record has a key of its own, derived (HKDF-SHA-256) from the active key of the key list, 32 random
//! bytes of salt, and the record's place; AES-256-GCM then seals it with that place as associated data. So
//! two rows cannot be swapped, and no key ever seals twice.
//!
//! The operator changes the list beside running brokers (`latchkey-broker keys`). Each seal first looks whether
//! the file is still the one that was read, so that what is sealed after a key was made is sealed with it; and a
//! record that names an unknown key makes the file be read again. What was sealed just before and is committed
//! just after finds its key in the list for at least [`SETTLE`]: so long nothing is retired after a change.
//!
//! Invariant: the key list (a 0600 file, one `id/base64` a line, the first is active; one with a plus before it
//! does not seal yet) never enters the database, and a sealed record names the key that opens it. Every column that holds such records is one of
//! [`COLUMNS`].

mod list;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::aead::{AES_256_GCM, Aad, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use shared::secret::Secret;
use tracing::warn;

use crate::chance;
use list::Stamp;

pub use list::{KeyList, Turn};

const VERSION: u8 = 1;
const SALT: usize = 32;
const NONCE: usize = 12;

/// After the key list was changed no key is retired for so long. Longer than any transaction of a broker's takes.
pub const SETTLE: Duration = Duration::from_secs(60);

/// A column that holds sealed records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The column with the number that a record is sealed for.
    pub row: &'static str,
}

/// Every column that holds sealed records: what `keys rotate` seals anew and what is looked through at the start.
/// A test holds the schema to it.
pub const COLUMNS: &[Column] = &[
    Column { table: "letter", column: "sealed", row: "id" },
    Column { table: "totp", column: "sealed", row: "account_id" },
    Column { table: "cloudflare_tunnel", column: "token_sealed", row: "home_id" },
    Column { table: "tunnel_token", column: "token_sealed", row: "id" },
    Column { table: "certificate", column: "account_sealed", row: "id" },
    Column { table: "certificate", column: "order_key_sealed", row: "id" },
    Column { table: "certificate", column: "key_sealed", row: "id" },
];

/// Why a sealed record does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// The key it names is not in the list, or not yet.
    #[error("{place}: the key {key} is missing from the key list")]
    NoKey {
        /// The record's.
        place: Place,
        /// The key's id.
        key: String,
    },
    /// It is not what was sealed here.
    #[error("{place}: {how}")]
    Altered {
        /// The record's.
        place: Place,
        /// What is wrong with it.
        how: &'static str,
    },
}

/// Where a sealed record lies: it opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The row's id.
    pub row: i64,
}

impl Column {
    /// The place in one row.
    pub fn of(self, row: i64) -> Place {
        Place { table: self.table, column: self.column, row }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the sealed record {}.{} of row {}", self.table, self.column, self.row)
    }
}

impl Place {
    fn associated(&self, key: &str) -> Vec<u8> {
        format!("{}|{}|{}|{key}", self.table, self.column, self.row).into_bytes()
    }
}

/// The keys, and which of them seals.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    path: PathBuf,
    known: RwLock<Known>,
}

#[derive(Clone)]
struct Known {
    list: Arc<KeyList>,
    /// The file it was read from; none where there is no file.
    stamp: Option<Stamp>,
}

impl Vault {
    /// Reads the key list, or writes a new one with one key where there is none.
    ///
    /// # Errors
    /// When the file cannot be read or written, is readable by others, or a line is no key; the line is named.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if !path.try_exists().with_context(|| format!("look for the key list at {}", path.display()))? {
            KeyList::with_new_key().write_first(path)?;
        }
        Self::of(path)
    }

    /// Reads a key list that is there.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn of(path: &Path) -> anyhow::Result<Self> {
        let stamp = Stamp::of(path);
        let known = Known { list: Arc::new(KeyList::read(path)?), stamp };
        Ok(Self(Arc::new(Inner { path: path.to_owned(), known: RwLock::new(known) })))
    }

    /// Seals a secret for its place, with the key that is active now.
    pub fn seal(&self, secret: &Secret, place: Place) -> Vec<u8> {
        debug_assert!(
            COLUMNS.iter().any(|known| (known.table, known.column) == (place.table, place.column)),
            "{place:?} is not one of the sealed columns"
        );
        let list = self.current();
        let (id, active) = list.active();
        let salt = chance::bytes::<SALT>();
        let associated = place.associated(id);
        let key = record_key(active, &salt, &associated);
        let mut sealed = secret.expose().as_bytes().to_vec();
        // Fails only for a plaintext of more than 64 GiB.
        let nonce =
            key.seal_in_place_append_tag(Aad::from(&associated), &mut sealed).expect("a secret is short");
        [prefix(id).as_slice(), &salt, nonce.as_ref().as_slice(), &sealed].concat()
    }

    /// Opens what was sealed for that place.
    ///
    /// # Errors
    /// When the key it names is missing (the key's id is in the text), or the record was altered or moved.
    pub fn unseal(&self, sealed: &[u8], place: Place) -> Result<Secret, Closed> {
        let altered = |how| Closed::Altered { place, how };
        let Sealed { key: id, salt, nonce, body } =
            parts(sealed).ok_or_else(|| altered("it is cut short or of another version"))?;
        let mut list = self.known().list;
        if list.key(id).is_none() {
            list = self.current();
        }
        let key = list.key(id).ok_or_else(|| Closed::NoKey { place, key: id.to_owned() })?;
        let associated = place.associated(id);
        let mut body = body.to_vec();
        let opened = record_key(key, salt, &associated)
            .open_in_place(
                aws_lc_rs::aead::Nonce::assume_unique_for_key(nonce),
                Aad::from(&associated),
                &mut body,
            )
            .map_err(|_| altered("it was altered, or moved from another row"))?;
        let text = String::from_utf8(opened.to_vec()).map_err(|_| altered("it holds no text"))?;
        Ok(Secret::from(text))
    }

    /// The key list as its file has it now. While the file is away or makes no sense, the last that did.
    pub fn current(&self) -> Arc<KeyList> {
        let known = self.known();
        let stamp = Stamp::of(&self.0.path);
        if stamp.is_none() || stamp == known.stamp {
            return known.list;
        }
        match KeyList::read(&self.0.path) {
            Ok(list) => {
                let known = Known { list: Arc::new(list), stamp };
                *self.0.known.write().unwrap_or_else(PoisonError::into_inner) = known.clone();
                known.list
            }
            Err(err) => {
                warn!("the key list was changed and cannot be read; going on with the one before: {err:#}");
                known.list
            }
        }
    }

    /// Where the key list lies.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    fn known(&self) -> Known {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("active", &self.known().list.active().0).finish_non_exhaustive()
    }
}

/// What a record sealed with a key begins with.
pub fn prefix(key: &str) -> Vec<u8> {
    [&[VERSION, key.len() as u8], key.as_bytes()].concat()
}

/// The key that a record with this beginning names, or none where it is no record this program knows.
pub fn key_in(beginning: &[u8]) -> Option<&str> {
    let (&[version, length], rest) = beginning.split_first_chunk::<2>()?;
    (version == VERSION).then_some(std::str::from_utf8(rest.get(..length.into())?).ok()?)
}

/// What tells a key from another one under the same id, and nothing else of it: derived from it, one way.
pub fn mark(key: &[u8; 32]) -> [u8; 32] {
    derived(key, &[], &[b"latchkey mark"])
}

/// A sealed record, taken apart.
struct Sealed<'a> {
    key: &'a str,
    salt: &'a [u8],
    nonce: [u8; NONCE],
    body: &'a [u8],
}

fn parts(sealed: &[u8]) -> Option<Sealed<'_>> {
    let (&[version, length], rest) = sealed.split_first_chunk::<2>()?;
    let (id, rest) = rest.split_at_checked(length.into())?;
    let (salt, rest) = rest.split_at_checked(SALT)?;
    let (nonce, body) = rest.split_first_chunk::<NONCE>()?;
    (version == VERSION).then_some(Sealed { key: std::str::from_utf8(id).ok()?, salt, nonce: *nonce, body })
}

fn record_key(key: &[u8; 32], salt: &[u8], associated: &[u8]) -> RandomizedNonceKey {
    let derived = derived(key, salt, &[b"latchkey record", associated]);
    RandomizedNonceKey::new(&AES_256_GCM, &derived).expect("32 bytes are a key")
}

/// HKDF-SHA-256 (RFC 5869).
fn derived(key: &[u8; 32], salt: &[u8], info: &[&[u8]]) -> [u8; 32] {
    let mut derived = [0; 32];
    // Both fail only for lengths that are fixed here.
    Salt::new(HKDF_SHA256, salt)
        .extract(key)
        .expand(info, HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut derived))
        .expect("32 bytes can be derived");
    derived
}

#[cfg(test)]
mod tests;
