//! Sealing secrets at rest: what must be readable again (tunnel tokens) lies in the database only sealed.
//!
//! Each record has a key of its own, derived (HKDF-SHA-256) from the active key of the key list, 32 random
//! bytes of salt, and the record's place; AES-256-GCM then seals it with that place as associated data. So
//! two rows cannot be swapped, and no key ever seals twice.
//!
//! Invariant: the key list (a 0600 file, one `id/base64` a line, the first is active) never enters the
//! database, and a sealed record names the key that opens it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::aead::{AES_256_GCM, Aad, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use shared::secret::Secret;

use crate::chance;

const VERSION: u8 = 1;
const SALT: usize = 32;
const NONCE: usize = 12;

/// Where a sealed record lies: it opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The row's id.
    pub row: i64,
}

impl Place {
    fn associated(&self, key: &str) -> Vec<u8> {
        format!("{}|{}|{}|{key}", self.table, self.column, self.row).into_bytes()
    }
}

/// The keys, and which of them seals.
#[derive(Clone)]
pub struct Vault {
    keys: Arc<BTreeMap<String, [u8; 32]>>,
    active: String,
}

impl Vault {
    /// Reads the key list, or writes a new one with one key where there is none.
    ///
    /// # Errors
    /// When the file cannot be read or written, is readable by others, or a line is no key; the line is named.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if !path.try_exists().with_context(|| format!("look for the key list at {}", path.display()))? {
            let line = format!("k1/{}\n", BASE64_STANDARD.encode(chance::bytes::<32>()));
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            file.as_mut()
                .map_err(|err| anyhow::anyhow!("{err}"))
                .and_then(|file| Ok(file.write_all(line.as_bytes()).and_then(|()| file.sync_all())?))
                .with_context(|| format!("write a new key list to {}", path.display()))?;
        }
        let context = || format!("read the key list at {}", path.display());
        let mode = fs::metadata(path).with_context(context)?.permissions().mode();
        ensure!(mode & 0o077 == 0, "the key list at {} can be read by others: chmod 600 it", path.display());
        Self::parse(&fs::read_to_string(path).with_context(context)?).with_context(context)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut keys = BTreeMap::new();
        let mut active = None;
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let key = line.trim().split_once('/').and_then(|(id, key)| {
                let bytes: [u8; 32] = BASE64_STANDARD.decode(key).ok()?.try_into().ok()?;
                (!id.is_empty() && id.len() < 64 && id.bytes().all(|b| b.is_ascii_alphanumeric()))
                    .then_some((id, bytes))
            });
            let Some((id, bytes)) = key else {
                bail!(
                    "line {number} is not `id/key`, with an id of letters and digits and a key of 32 bytes in base64"
                );
            };
            active.get_or_insert_with(|| id.to_owned());
            ensure!(keys.insert(id.to_owned(), bytes).is_none(), "line {number} names the key {id} again");
        }
        Ok(Self { keys: Arc::new(keys), active: active.context("it holds no key")? })
    }

    /// Seals a secret for its place.
    pub fn seal(&self, secret: &Secret, place: Place) -> Vec<u8> {
        let salt = chance::bytes::<SALT>();
        let associated = place.associated(&self.active);
        let key = record_key(&self.keys[&self.active], &salt, &associated);
        let mut sealed = secret.expose().as_bytes().to_vec();
        // Fails only for a plaintext of more than 64 GiB.
        let nonce =
            key.seal_in_place_append_tag(Aad::from(&associated), &mut sealed).expect("a secret is short");
        let id = self.active.as_bytes();
        [&[VERSION, id.len() as u8], id, &salt, nonce.as_ref().as_slice(), &sealed].concat()
    }

    /// Opens what was sealed for that place.
    ///
    /// # Errors
    /// When the key it names is missing (the key's id is in the text), or the record was altered or moved.
    pub fn unseal(&self, sealed: &[u8], place: Place) -> anyhow::Result<Secret> {
        let Sealed { key: id, salt, nonce, body } =
            parts(sealed).context("a sealed record is cut short or of another version")?;
        let key = self.keys.get(id).with_context(|| format!("the key {id} is missing from the key list"))?;
        let associated = place.associated(id);
        let mut body = body.to_vec();
        let opened = record_key(key, salt, &associated)
            .open_in_place(
                aws_lc_rs::aead::Nonce::assume_unique_for_key(nonce),
                Aad::from(&associated),
                &mut body,
            )
            .map_err(|_| anyhow::anyhow!("a sealed record was altered or moved from another row"))?;
        Ok(Secret::from(String::from_utf8(opened.to_vec()).context("a sealed record holds no text")?))
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("active", &self.active).finish_non_exhaustive()
    }
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
    let mut derived = [0; 32];
    // Both fail only for lengths that are fixed here.
    Salt::new(HKDF_SHA256, salt)
        .extract(key)
        .expand(&[b"latchkey record", associated], HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut derived))
        .expect("32 bytes can be derived");
    RandomizedNonceKey::new(&AES_256_GCM, &derived).expect("32 bytes are a key")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { table: "tunnel", column: "token_sealed", row: 7 };

    fn vault(ids: &[&str]) -> Vault {
        let lines = ids.iter().map(|id| format!("{id}/{}\n", BASE64_STANDARD.encode([id.len() as u8; 32])));
        Vault::parse(&lines.collect::<String>()).unwrap()
    }

    #[test]
    fn a_record_opens_in_its_place_only() {
        let vault = vault(&["k1"]);
        let secret = Secret::from("hunter2".to_owned());
        let sealed = vault.seal(&secret, PLACE);
        assert!(!sealed.windows(7).any(|w| w == b"hunter2"));
        assert_ne!(sealed, vault.seal(&secret, PLACE), "sealing twice must not look alike");
        assert_eq!(vault.unseal(&sealed, PLACE).unwrap().expose(), "hunter2");
        assert!(vault.unseal(&sealed, Place { row: 8, ..PLACE }).is_err());
        for index in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[index] ^= 1;
            assert!(vault.unseal(&altered, PLACE).is_err(), "byte {index}");
            assert!(vault.unseal(&sealed[..index], PLACE).is_err(), "cut at {index}");
        }
    }

    #[test]
    fn an_older_key_still_opens_and_a_missing_one_is_named() {
        let sealed = vault(&["old"]).seal(&Secret::from("x".to_owned()), PLACE);
        assert!(vault(&["k22222", "old"]).unseal(&sealed, PLACE).is_ok());
        let err = vault(&["k1"]).unseal(&sealed, PLACE).unwrap_err();
        assert!(err.to_string().contains("key old is missing"), "{err}");
    }

    #[test]
    fn a_bad_key_list_says_which_line() {
        for (text, says) in [("", "no key"), ("k1/abc\n", "line 1"), ("\nk 1/AAAA\n", "line 2")] {
            let err = format!("{:#}", Vault::parse(text).unwrap_err());
            assert!(err.contains(says), "{err}");
        }
    }

    #[test]
    fn a_new_list_is_private_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let sealed = Vault::open(&path).unwrap().seal(&Secret::from("x".to_owned()), PLACE);
        assert!(Vault::open(&path).unwrap().unseal(&sealed, PLACE).is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Vault::open(&path).unwrap_err().to_string().contains("chmod 600"));
    }
}
