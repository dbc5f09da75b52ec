//! How often a password or a code may be tried. The counts lie in the database: a restart forgives nobody, and
//! several brokers count together.
//!
//! Three gates stand before a password. A place may try ten times at once and five times a minute. A place that
//! failed at one account five times waits longer and longer for that account. And an account that is tried
//! from everywhere answers strangers at a slow pace; a place its person was signed in from before is no
//! stranger. No gate shuts an account: whoever knows the password gets in from elsewhere at once (WB-04).

mod rows;

use std::net::IpAddr;
use std::time::Duration;

use shared::id::AccountId;

use super::{Accounts, normal};
use crate::chance;
use crate::clock::Timestamp;
use crate::http::limit::place;
use crate::http::{Asked, Fault};

/// Counts are forgotten this long after the last failure.
pub const FORGET: Duration = Duration::from_secs(24 * 3600);

/// How a gate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// So many at once, then one every so often.
    Bucket { burst: i64, every: Duration },
    /// So many for nothing, then a wait that doubles up to the most. All forgotten after a quiet time.
    Growing { free: i64, first: Duration, most: Duration, quiet: Duration },
}

const MINUTE: Duration = Duration::from_secs(60);
/// Security parameter 6.
const PLACE: Rule = Rule::Bucket { burst: 10, every: Duration::from_secs(12) };
const ACCOUNT_AT_PLACE: Rule = Rule::Growing {
    free: 5,
    first: Duration::from_secs(2),
    most: Duration::from_secs(300),
    quiet: Duration::from_secs(3600),
};
const STRANGERS: Rule = Rule::Growing {
    free: 100,
    first: Duration::from_secs(1),
    most: Duration::from_secs(5),
    quiet: Duration::from_secs(3600),
};
/// Six digits, three of which are good at a time: a guess in 333 333.
const CODE: Rule = Rule::Growing {
    free: 5,
    first: Duration::from_secs(10),
    most: Duration::from_secs(900),
    quiet: Duration::from_secs(24 * 3600),
};
/// At one account from all places its person was never signed in from: whoever knows the password gets 1440
/// guesses a day out of however many places, and slows its person down somewhere new, and nowhere else.
const CODES: Rule = Rule::Growing {
    free: 20,
    first: Duration::from_secs(1),
    most: MINUTE,
    quiet: Duration::from_secs(24 * 3600),
};
/// Letters that a place may ask for.
const LETTERS: Rule = Rule::Bucket { burst: 5, every: MINUTE };
/// New passwords that a place has hashed: each takes a core and its memory for a while.
const NEW_PASSWORDS: Rule = PLACE;
/// Invitations that an account may send.
const INVITATIONS: Rule = Rule::Bucket { burst: 20, every: Duration::from_secs(180) };
/// Invitations that an address may get, from whomever.
const INVITED: Rule = Rule::Bucket { burst: 3, every: Duration::from_secs(1200) };
/// Passkeys that are asked for from a place. They cannot be guessed; this keeps what waits for them small.
const PASSKEYS: Rule = Rule::Bucket { burst: 20, every: Duration::from_secs(6) };

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count {
    failures: i64,
    failed_at: Timestamp,
    free_at: Timestamp,
}

impl Rule {
    /// Counts one try as failed, or says how long to wait for it.
    fn take(self, count: Option<Count>, now: Timestamp) -> Result<Count, Duration> {
        // What lies ahead was noted before the clock was set back; it says nothing.
        let count = count.filter(|count| count.failed_at <= now);
        let failures = count.map_or(0, |count| self.left(count, now));
        match self {
            Self::Bucket { burst, every } if failures >= burst => {
                let since = count.map_or(Duration::ZERO, |count| now.since(count.failed_at));
                let drops = u32::try_from(count.map_or(0, |c| c.failures) - burst + 1).unwrap_or(u32::MAX);
                Err(every.saturating_mul(drops).saturating_sub(since).max(Duration::from_secs(1)))
            }
            // The count keeps the time of its last drop, or drops in between would never fall.
            Self::Bucket { every, .. } => {
                let dropped = count.map_or(0, |count| count.failures - failures);
                let spent = every.saturating_mul(u32::try_from(dropped).unwrap_or(u32::MAX));
                let from = count.filter(|_| failures > 0).map_or(now, |count| count.failed_at.after(spent));
                Ok(Count { failures: failures + 1, failed_at: from.min(now), free_at: now })
            }
            Self::Growing { free, first, most, .. } => {
                if let Some(count) = count.filter(|count| failures > 0 && count.free_at > now) {
                    return Err(count.free_at.since(now));
                }
                let failures = failures + 1;
                let doubled = u32::try_from((failures - free).clamp(0, 20)).unwrap_or(0);
                let wait =
                    if doubled == 0 { Duration::ZERO } else { (first * (1 << (doubled - 1))).min(most) };
                Ok(Count { failures, failed_at: now, free_at: now.after(wait) })
            }
        }
    }

    /// How many of the failures still count.
    fn left(self, count: Count, now: Timestamp) -> i64 {
        let since = now.since(count.failed_at);
        match self {
            Self::Bucket { every, .. } => {
                let dropped = i64::try_from(since.as_millis() / every.as_millis().max(1)).unwrap_or(i64::MAX);
                (count.failures - dropped).max(0)
            }
            Self::Growing { quiet, .. } if since >= quiet => 0,
            Self::Growing { .. } => count.failures,
        }
    }
}

/// A gate: whose tries it counts, and how.
struct Gate {
    key: Vec<u8>,
    rule: Rule,
}

impl Gate {
    fn new(rule: Rule, what: &str, whose: &str) -> Self {
        Self { key: chance::hash(&format!("{what}|{whose}")), rule }
    }
}

/// A try that was counted as failed, until it is [`forgiven`](Accounts::forgive).
pub struct Try {
    gates: Vec<Gate>,
}

impl Accounts {
    /// Counts a try at an account's password, before it is looked at: a thousand at once are not too quick.
    ///
    /// # Errors
    /// [`Fault::TooMany`], for an address without an account alike.
    pub(super) async fn try_password(&self, asked: &Asked, email: &str) -> Result<Try, Fault> {
        let (from, email) = (place(asked.peer.ip), normal(email));
        let mut gates = vec![
            Gate::new(PLACE, "place", &from.to_string()),
            Gate::new(ACCOUNT_AT_PLACE, "account at place", &format!("{from}|{email}")),
        ];
        let known = rows::was_here(&mut *self.0.store.read().await?, &email, &from.to_string()).await?;
        if !known {
            gates.push(Gate::new(STRANGERS, "account", &email));
        }
        self.take(gates).await
    }

    /// Counts a try at the second step of an account, whose first step is done.
    pub(super) async fn try_code(&self, asked: &Asked, account: AccountId) -> Result<Try, Fault> {
        let from = place(asked.peer.ip).to_string();
        let mut gates = vec![Gate::new(CODE, "code at place", &format!("{from}|{account}"))];
        if !rows::signed_in_from(&mut *self.0.store.read().await?, account, &from).await? {
            gates.push(Gate::new(CODES, "code", &account.to_string()));
        }
        self.take(gates).await
    }

    /// Counts a letter that somebody asks for.
    pub(super) async fn try_letter(&self, ip: IpAddr) -> Result<(), Fault> {
        self.take(vec![Gate::new(LETTERS, "letter", &place(ip).to_string())]).await.map(drop)
    }

    /// Counts a new password that is about to be hashed.
    pub(super) async fn try_new_password(&self, ip: IpAddr) -> Result<(), Fault> {
        self.take(vec![Gate::new(NEW_PASSWORDS, "new password", &place(ip).to_string())]).await.map(drop)
    }

    /// Counts an invitation: a letter to an address of the sender's choice.
    pub(super) async fn try_invitation(&self, by: AccountId, email: &str) -> Result<(), Fault> {
        let by = Gate::new(INVITATIONS, "invitations", &by.to_string());
        self.take(vec![by, Gate::new(INVITED, "invited", &normal(email))]).await.map(drop)
    }

    /// Counts a passkey that somebody is asked for.
    pub(super) async fn try_passkey(&self, ip: IpAddr) -> Result<(), Fault> {
        self.take(vec![Gate::new(PASSKEYS, "passkey", &place(ip).to_string())]).await.map(drop)
    }

    /// It was right: as if it had not been.
    pub(super) async fn forgive(&self, tried: Try) -> Result<(), Fault> {
        let mut tx = self.0.store.begin().await?;
        for gate in &tried.gates {
            match gate.rule {
                Rule::Growing { .. } => rows::forget(&mut tx, &gate.key).await?,
                Rule::Bucket { .. } => rows::forgive(&mut tx, &gate.key).await?,
            }
        }
        Ok(tx.commit().await?)
    }

    async fn take(&self, gates: Vec<Gate>) -> Result<Try, Fault> {
        let now = self.0.clock.now();
        let mut tx = self.0.store.begin().await?;
        for gate in &gates {
            let count = rows::hold(&mut tx, &gate.key, now).await?;
            match gate.rule.take(count, now) {
                Ok(count) => rows::set(&mut tx, &gate.key, count).await?,
                // Dropped, the transaction leaves nothing behind: who is refused is not counted.
                Err(wait) => return Err(Fault::TooMany(wait)),
            }
        }
        tx.commit().await?;
        Ok(Try { gates })
    }

    pub(super) async fn forget_attempts(&self) -> Result<u64, Fault> {
        let mut tx = self.0.store.begin().await?;
        let now = self.0.clock.now();
        let gone =
            rows::forget_old(&mut tx, Timestamp::from_millis(now.millis() - FORGET.as_millis() as i64))
                .await?;
        tx.commit().await?;
        Ok(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000).after(Duration::from_secs(n))
    }

    /// Tries at those seconds; which were let through.
    fn tried(rule: Rule, at: &[u64]) -> Vec<bool> {
        let mut count = None;
        let mut through = Vec::new();
        for at in at {
            match rule.take(count, seconds(*at)) {
                Ok(next) => (count = Some(next), through.push(true)).1,
                Err(wait) => (assert!(wait > Duration::ZERO), through.push(false)).1,
            }
        }
        through
    }

    #[test]
    fn a_place_tries_ten_times_at_once_and_five_times_a_minute() {
        let mut at = vec![0; 11];
        at.extend([11, 12, 13, 24, 25, 36]);
        let through = tried(PLACE, &at);
        assert_eq!(through[..11], [[true; 10].as_slice(), &[false]].concat(), "WB-04");
        assert_eq!(through[11..], [false, true, false, true, false, true], "WB-04");
        let steady: Vec<u64> = (0..100).map(|n| n * 12).collect();
        assert!(tried(PLACE, &steady).iter().all(|through| *through));
    }

    #[test]
    fn at_one_account_the_wait_doubles_and_a_quiet_hour_ends_it() {
        let at = [0, 0, 0, 0, 0, 0, 1, 2, 3, 5, 6, 10, 13, 14, 14 + 3600, 14 + 3600];
        let wanted = [
            true, true, true, true, true, true, false, true, false, false, true, false, false, true, true,
            true,
        ];
        assert_eq!(tried(ACCOUNT_AT_PLACE, &at), wanted, "WB-04");
    }

    #[test]
    fn strangers_are_kept_to_a_pace_and_never_out() {
        let mut count = None;
        let mut now = 0;
        for _ in 0..1000 {
            match STRANGERS.take(count, seconds(now)) {
                Ok(next) => count = Some(next),
                Err(wait) => {
                    assert!(wait <= Duration::from_secs(5), "WB-04: a softlock, no lockout");
                    now += wait.as_secs().max(1);
                }
            }
        }
        assert!(now > 1000, "{now}");
    }

    #[test]
    fn a_clock_set_back_shuts_nobody_out() {
        let late = CODE.take(None, seconds(100_000)).unwrap();
        let late = Count { failures: 50, free_at: seconds(200_000), ..late };
        assert!(CODE.take(Some(late), seconds(0)).is_ok());
    }
}
