//! Passwords: argon2id, a bounded number at a time, and the same work for an account that does not exist.
//!
//! A password is hashed as the UTF-8 bytes that were typed, at most 1024 of them: nothing is trimmed, folded or
//! normalised (WB-06). Browsers send composed characters (NFC) on all systems, and a rule that changed what was
//! typed could never be taken back.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use shared::secret::Secret;
use tokio::sync::Semaphore;

use crate::http::Fault;

/// The longest, in bytes: hashing more would only cost time.
pub const LONGEST: usize = 1024;

const PASSES: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of comparing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Another password, or no account.
    Wrong,
    /// The right one.
    Right,
    /// The right one, hashed with less work than today's: hash it again.
    Outdated,
}

/// The hashing of passwords.
pub struct Hashing {
    argon2: Argon2<'static>,
    /// Each hash fills a core and its memory for a quarter of a second: so many at a time.
    seats: Arc<Semaphore>,
    /// What is verified for an account that is not there (WB-05).
    dummy: String,
    /// Whole comparisons so far, whatever came of them.
    #[cfg(test)]
    pub compared: Arc<std::sync::atomic::AtomicUsize>,
}

impl Hashing {
    /// argon2id with so much memory a hash.
    pub fn new(memory_kib: u32) -> Self {
        let params = Params::new(memory_kib, PASSES, 1, None)
            .expect("settings keep the memory within argon2's bounds");
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let dummy = format!(
            "$argon2id$v=19$m={memory_kib},t={PASSES},p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        );
        let seats = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        Self {
            argon2,
            seats: Arc::new(Semaphore::new(seats)),
            dummy,
            #[cfg(test)]
            compared: Arc::default(),
        }
    }

    /// The hash of a new password, as a PHC string.
    pub async fn hash(&self, password: Secret) -> Result<String, Fault> {
        let argon2 = self.argon2.clone();
        self.seated(move || argon2.hash_password(password.expose().as_bytes()).map(|hash| hash.to_string()))
            .await?
            .map_err(|err| anyhow!("hash a password: {err}").into())
    }

    /// Whether a password is the one that was hashed; `None` costs as much and is never right.
    pub async fn verify(&self, password: Secret, hash: Option<String>) -> Result<Verdict, Fault> {
        let known = hash.is_some();
        let (argon2, hash) = (self.argon2.clone(), hash.unwrap_or_else(|| self.dummy.clone()));
        #[cfg(test)]
        let compared = self.compared.clone();
        let right = self.seated(move || {
            let hash = PasswordHash::new(&hash).ok()?;
            let right = argon2.verify_password(password.expose().as_bytes(), &hash);
            #[cfg(test)]
            compared.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            right.ok()?;
            Some(is_outdated(&hash, argon2.params()))
        });
        Ok(match right.await?.filter(|_| known) {
            None => Verdict::Wrong,
            Some(false) => Verdict::Right,
            Some(true) => Verdict::Outdated,
        })
    }

    async fn seated<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
        let busy = || Fault::Unavailable("too many passwords at once".to_owned());
        let seat =
            tokio::time::timeout(PATIENCE, self.seats.clone().acquire_owned()).await.map_err(|_| busy())?;
        let seat = seat.map_err(|_| busy())?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(seat);
            done
        });
        done.await.map_err(|err| anyhow!("hash a password: {err}").into())
    }
}

/// Whether a hash took less work than one of today would.
fn is_outdated(hash: &PasswordHash, today: &Params) -> bool {
    Params::try_from(hash).map_or(true, |was| was.m_cost() < today.m_cost() || was.t_cost() < today.t_cost())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_is_right() {
        let hashing = Hashing::new(19 * 1024);
        let secret = |text: &str| Secret::from(text.to_owned());
        let hash = hashing.hash(secret("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=3,p=1$"), "{hash}");
        let said = async |password, hash| hashing.verify(secret(password), hash).await.unwrap();
        assert_eq!(said("correct horse", Some(hash.clone())).await, Verdict::Right);
        assert_eq!(said("correct horsf", Some(hash.clone())).await, Verdict::Wrong);
        assert_eq!(said("correct horse", None).await, Verdict::Wrong, "WB-05");
        let more = Hashing::new(20 * 1024);
        assert_eq!(
            more.verify(secret("correct horse"), Some(hash)).await.unwrap(),
            Verdict::Outdated,
            "WB-06"
        );
        assert!(PasswordHash::new(&hashing.dummy).is_ok(), "the dummy must cost a whole hash");
    }
}
