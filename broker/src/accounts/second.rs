//! The second step of signing in: a code of an app (TOTP, RFC 6238), a recovery code, or a passkey.
//!
//! Invariants: a code is good once, even within its half minute (WB-09); the secret lies sealed in the database;
//! of recovery codes only hashes are kept, and each works once. What was asked for before the second step
//! (`next`, AZ-28) waits in the database, so a restart in between loses nothing.

mod rows;

use std::time::Duration;

use shared::id::AccountId;
use shared::secret::Secret;
use totp_rs::{Algorithm, Builder, Totp};

use super::rows::Known;
use super::{Accounts, SignedIn, passkeys, session, wishes};
use crate::audit::{Act, Entry};
use crate::chance::{self, Kind};
use crate::http::words::Words;
use crate::http::{Asked, Fault};
use crate::store::Db;
use crate::vault::Place;

/// How long the second step may take.
const STEP: Duration = Duration::from_secs(600);
/// How long a secret waits for its first code.
const WAITS: Duration = Duration::from_secs(600);
const RECOVERY_CODES: usize = 10;
/// Letters and digits that are not taken for each other.
const LEGIBLE: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What protects an account besides its password.
#[derive(Debug, Clone, Default)]
pub struct Second {
    /// Codes of an app.
    pub totp: bool,
    /// Passkeys.
    pub passkeys: i64,
    /// Recovery codes that are left.
    pub recovery: i64,
    /// The password is one that will do only while there is a second factor.
    pub password_is_short: bool,
}

impl Second {
    /// Whether a second step is asked for.
    pub fn is_on(&self) -> bool {
        self.totp || self.passkeys > 0
    }
}

/// A sign-in whose first step is done.
pub struct Half {
    /// Whose, and by which password.
    pub known: Known,
    pub next: String,
    pub is_kept: bool,
}

/// A new secret, as it is shown.
pub struct Setup {
    /// In groups of four.
    pub text: String,
    /// The `otpauth://` address behind the QR code.
    pub address: String,
}

impl Accounts {
    /// What protects an account.
    pub(super) async fn second(&self, account: AccountId) -> Result<Second, Fault> {
        Ok(rows::second(&mut *self.0.store.read().await?, account).await?)
    }

    /// Notes that the first step is done; the secret of the second one's cookie. None when the account is not any
    /// more what the first step proved.
    pub(super) async fn begin_half(
        &self,
        known: &Known,
        next: &str,
        is_kept: bool,
    ) -> Result<Option<Secret>, Fault> {
        let cookie = chance::token(Kind::Step);
        let until = self.0.clock.now().after(STEP);
        let half = Half { known: known.clone(), next: next.to_owned(), is_kept };
        let mut tx = self.0.store.begin().await?;
        if !super::rows::stands(&mut tx, known).await? {
            return Ok(None);
        }
        rows::add_half(&mut tx, &chance::hash(cookie.expose()), &half, until).await?;
        tx.commit().await?;
        Ok(Some(cookie))
    }

    /// The sign-in whose second step a request belongs to. Void when the account's password or standing changed
    /// since the first.
    pub(super) async fn half(&self, asked: &Asked) -> Result<Option<(Secret, Half)>, Fault> {
        let Some(cookie) = super::STEP.read(asked).filter(|c| chance::looks_like(Kind::Step, c.expose()))
        else {
            return Ok(None);
        };
        let hash = chance::hash(cookie.expose());
        let half = rows::half(&mut *self.0.store.read().await?, &hash, self.0.clock.now()).await?;
        Ok(half.map(|half| (cookie, half)))
    }

    /// The second step is done; false when somebody else did it with the same cookie.
    pub(super) async fn end_half(&self, cookie: &Secret) -> Result<bool, Fault> {
        let mut tx = self.0.store.begin().await?;
        let ended = rows::end_half(&mut tx, &chance::hash(cookie.expose())).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Whether a typed code is one of the account's: of its app, this half minute or the one before or after and
    /// later than the last; or one of its recovery codes. It is used up.
    pub(super) async fn use_code(&self, account: AccountId, typed: &str) -> Result<bool, Fault> {
        let typed: String =
            typed.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>().to_lowercase();
        let mut tx = self.0.store.begin().await?;
        let used = if typed.len() == 6 && typed.bytes().all(|b| b.is_ascii_digit()) {
            match rows::totp(&mut tx, account).await?.filter(|totp| totp.is_confirmed) {
                Some(row) => match self.step(account, &row.sealed, &typed)? {
                    Some(step) => rows::take_step(&mut tx, account, step).await?,
                    None => false,
                },
                None => false,
            }
        } else {
            rows::take_recovery(&mut tx, account, &chance::hash(&typed)).await?
        };
        tx.commit().await?;
        Ok(used)
    }

    /// The step of the clock that a code belongs to, if it is one of now.
    fn step(&self, account: AccountId, sealed: &[u8], code: &str) -> Result<Option<i64>, Fault> {
        let secret = self.0.vault.unseal(sealed, place(account))?;
        let totp = totp(&secret).map_err(|err| anyhow::anyhow!("read a TOTP secret: {err}"))?;
        let seconds = u64::try_from(self.0.clock.now().millis() / 1000).unwrap_or(0);
        Ok(totp.check(code, seconds).and_then(|step| i64::try_from(step).ok()))
    }

    /// The secret a person is about to put into an app: the one that waits for it, or a new one.
    pub(super) async fn setup(&self, person: &SignedIn) -> Result<Setup, Fault> {
        let now = self.0.clock.now();
        let waiting = rows::totp(&mut *self.0.store.read().await?, person.account).await?;
        // One that lies there for longer may be known to whoever was here before.
        let is_good = |totp: &rows::Totp| !totp.is_confirmed && now.since(totp.created_at) < WAITS;
        let secret = match waiting.filter(is_good) {
            Some(row) => self.0.vault.unseal(&row.sealed, place(person.account))?,
            None => {
                // 160 bits, as RFC 4226 section 4 asks for: 32 characters of 5 bits.
                let secret = Secret::from(chance::text(32, BASE32));
                let sealed = self.0.vault.seal(&secret, place(person.account));
                let mut tx = self.0.store.begin().await?;
                rows::wait_for_totp(&mut tx, person.account, &sealed, now).await?;
                tx.commit().await?;
                secret
            }
        };
        let host = self.0.site.public_url.host_str().unwrap_or("latchkey").to_owned();
        let part = |text: &str| {
            url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
        };
        let address = format!(
            "otpauth://totp/{}:{}?secret={}&issuer={}",
            part(&format!("Latchkey ({host})")),
            part(&person.email),
            secret.expose(),
            part(&format!("Latchkey ({host})")),
        );
        let groups: Vec<_> = secret.expose().as_bytes().chunks(4).map(String::from_utf8_lossy).collect();
        Ok(Setup { text: groups.join(" "), address })
    }

    /// Turns codes of an app on, when the person shows that the app has the secret. New recovery codes, if there
    /// were none.
    pub(super) async fn confirm_totp(
        &self,
        person: &SignedIn,
        typed: &str,
        w: &'static Words,
    ) -> Result<Option<Vec<String>>, Fault> {
        let typed: String = typed.chars().filter(char::is_ascii_digit).collect();
        let mut tx = self.0.store.begin().await?;
        super::rows::hold(&mut tx, person.account).await?;
        let Some(row) = rows::totp(&mut tx, person.account).await?.filter(|totp| !totp.is_confirmed) else {
            return Ok(None);
        };
        let Some(step) = self.step(person.account, &row.sealed, &typed)? else { return Ok(None) };
        rows::confirm_totp(&mut tx, person.account, step, self.0.clock.now()).await?;
        let codes = self.first_codes(&mut tx, person.account).await?;
        self.notice(&mut tx, person.account, w, "mail-changed-totp-on").await?;
        self.note(&mut tx, person.entry(Act::FactorChanged).with("app", "on")).await?;
        tx.commit().await?;
        self.0.mail.wake();
        Ok(Some(codes))
    }

    /// Recovery codes for an account that has none; otherwise nothing.
    pub(super) async fn first_codes(&self, db: &mut Db, account: AccountId) -> Result<Vec<String>, Fault> {
        if rows::second(db, account).await?.recovery > 0 {
            Ok(Vec::new())
        } else {
            self.replace_codes(db, account).await
        }
    }

    async fn replace_codes(&self, db: &mut Db, account: AccountId) -> Result<Vec<String>, Fault> {
        rows::forget_recovery(db, account).await?;
        let mut codes = Vec::with_capacity(RECOVERY_CODES);
        for _ in 0..RECOVERY_CODES {
            // 16 of 31 characters: 79 bits, more than anybody tries.
            let code = chance::text(16, LEGIBLE);
            rows::add_recovery(db, account, &chance::hash(&code)).await?;
            codes.push(format!("{}-{}-{}-{}", &code[..4], &code[4..8], &code[8..12], &code[12..]));
        }
        Ok(codes)
    }

    /// New recovery codes; the old ones are void.
    pub(super) async fn new_codes(&self, person: &SignedIn, w: &'static Words) -> Result<Vec<String>, Fault> {
        let mut tx = self.0.store.begin().await?;
        super::rows::hold(&mut tx, person.account).await?;
        let codes = self.replace_codes(&mut tx, person.account).await?;
        self.notice(&mut tx, person.account, w, "mail-changed-codes").await?;
        self.note(&mut tx, person.entry(Act::FactorChanged).with("recovery_codes", "new")).await?;
        tx.commit().await?;
        self.0.mail.wake();
        Ok(codes)
    }

    /// Turns codes of an app off. False when the account would be left with a password too short to stand alone.
    pub(super) async fn remove_totp(&self, person: &SignedIn, w: &'static Words) -> Result<bool, Fault> {
        let mut tx = self.0.store.begin().await?;
        super::rows::hold(&mut tx, person.account).await?;
        rows::remove_totp(&mut tx, person.account).await?;
        if !self.may_stand(&mut tx, person.account).await? {
            return Ok(false);
        }
        self.notice(&mut tx, person.account, w, "mail-changed-totp-off").await?;
        self.note(&mut tx, person.entry(Act::FactorChanged).with("app", "off")).await?;
        tx.commit().await?;
        self.0.mail.wake();
        Ok(true)
    }

    /// Takes all second factors of an account away, for the operator, when a person lost them; and its password and
    /// sessions, or either alone would open it until a new one is set.
    pub async fn remove_second_factors(&self, account: AccountId) -> Result<(), Fault> {
        let unusable = self.0.hashing.hash(chance::token(Kind::Step)).await?;
        let mut tx = self.0.store.begin().await?;
        super::rows::set_password(&mut tx, account, &unusable, false).await?;
        session::end_all(&mut tx, account).await?;
        wishes::end_tokens(&mut tx, account).await?;
        rows::remove_all(&mut tx, account).await?;
        self.notice(&mut tx, account, crate::http::words::english(), "mail-changed-totp-off").await?;
        let entry = Entry::new(Act::FactorChanged).of(account).with("all", "off").with("by", "operator");
        self.note(&mut tx, entry).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whether the account is protected well enough as it is in this transaction; without a second factor its
    /// recovery codes are of no use and go.
    pub(super) async fn may_stand(&self, db: &mut Db, account: AccountId) -> Result<bool, Fault> {
        let second = rows::second(db, account).await?;
        if second.is_on() {
            return Ok(true);
        }
        rows::forget_recovery(db, account).await?;
        Ok(!second.password_is_short)
    }

    pub(super) async fn forget_steps(&self) -> Result<u64, Fault> {
        let mut tx = self.0.store.begin().await?;
        let now = self.0.clock.now();
        let gone = rows::forget_halves(&mut tx, now).await?
            + rows::forget_waiting(&mut tx, now.millis() - WAITS.as_millis() as i64).await?
            + passkeys::forget(&mut tx, now).await?;
        tx.commit().await?;
        Ok(gone)
    }
}

fn place(account: AccountId) -> Place {
    Place { table: "totp", column: "sealed", row: account.number() }
}

/// SHA-1, six digits, thirty seconds, one step early or late: what every app does.
fn totp(secret: &Secret) -> Result<Totp, String> {
    let bytes = base32(secret.expose()).ok_or("it is not base 32")?;
    let builder =
        Builder::new().with_algorithm(Algorithm::SHA1).with_digits(6).with_skew(1).with_step_duration(30);
    builder.with_secret(bytes).build().map_err(|err| err.to_string())
}

/// RFC 4648 section 6, without padding.
fn base32(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut held, mut bytes) = (0u32, 0, Vec::new());
    for letter in text.bytes() {
        let value = BASE32.iter().position(|known| *known == letter)?;
        bits = bits << 5 | u32::try_from(value).ok()?;
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
pub(super) fn code_at(text: &str, seconds: u64) -> String {
    let secret = Secret::from(text.replace(' ', ""));
    totp(&secret).unwrap().generate(seconds).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238 appendix B, the last six of its eight digits; the secret is 12345678901234567890.
        let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        assert_eq!(base32(secret).unwrap(), b"12345678901234567890");
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(code_at(secret, seconds), code);
        }
        let totp = totp(&Secret::from(secret.to_owned())).unwrap();
        assert_eq!(totp.check("287082", 59), Some(1));
        assert_eq!(
            (totp.check("287082", 89), totp.check("287082", 119)),
            (Some(1), None),
            "one step late, not two"
        );
        assert_eq!((totp.check("287082", 0), totp.check("", 59)), (Some(1), None), "one step early");
    }
}
