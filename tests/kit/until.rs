//! Waiting for what is meant: the only place in the tests that may sleep.
//!
//! A wait names what it waits for, looks again every few milliseconds, and when its time is up says what was
//! still missing.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// How long [`until`] waits.
pub const PATIENCE: Duration = Duration::from_secs(10);
const PACE: Duration = Duration::from_millis(15);

/// What a condition may answer: a value that is there or not.
pub trait Answer {
    /// What the wait returns once it is over.
    type Value;
    /// The value, or what is still missing (may be empty).
    fn look(self) -> Result<Self::Value, String>;
}

impl Answer for bool {
    type Value = ();
    fn look(self) -> Result<(), String> {
        self.then_some(()).look()
    }
}

impl<T> Answer for Option<T> {
    type Value = T;
    fn look(self) -> Result<T, String> {
        self.ok_or_else(String::new)
    }
}

/// The error tells what is still missing, in words.
impl<T, E: fmt::Display> Answer for Result<T, E> {
    type Value = T;
    fn look(self) -> Result<T, String> {
        self.map_err(|missing| format!("{missing:#}"))
    }
}

/// A wait whose time was up.
#[derive(Debug)]
pub struct StillMissing {
    what: String,
    waited: Duration,
    last: String,
}

impl fmt::Display for StillMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waited {:?} for {}", self.waited, self.what)?;
        if self.last.is_empty() { Ok(()) } else { write!(f, "; still: {}", self.last) }
    }
}

impl std::error::Error for StillMissing {}

/// Waits until `condition` answers with `true`, `Some` or `Ok`; panics after [`PATIENCE`] with `what` and what
/// the condition said last.
pub async fn until<A: Answer, F: Future<Output = A>>(what: &str, condition: impl FnMut() -> F) -> A::Value {
    within(PATIENCE, what, condition).await.unwrap_or_else(|missing| panic!("{missing}"))
}

/// Like [`until`], with a time of its own and an error in place of the panic.
///
/// # Errors
/// [`StillMissing`] when `patience` has run out, also while the condition itself hangs.
pub async fn within<A: Answer, F: Future<Output = A>>(
    patience: Duration,
    what: &str,
    mut condition: impl FnMut() -> F,
) -> Result<A::Value, StillMissing> {
    let deadline = Instant::now() + patience;
    let mut last = String::new();
    loop {
        match timeout_at(deadline, condition()).await.map(Answer::look) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(missing)) => last = missing,
            Err(_) if last.is_empty() => last = "the condition itself does not answer".into(),
            Err(_) => {}
        }
        if Instant::now() + PACE >= deadline {
            return Err(StillMissing { what: what.into(), waited: patience, last });
        }
        sleep(PACE).await;
    }
}

/// Like [`within`] for code that must not be async (dropping a process): true when `condition` came true.
pub fn blocking(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = std::time::Instant::now() + patience;
    loop {
        if condition() {
            return true;
        }
        if std::time::Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(PACE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(60);

    #[tokio::test]
    async fn a_wait_returns_what_it_waited_for() {
        let mut looks = 0;
        let found = until("the third look", || {
            looks += 1;
            let answer = (looks == 3).then_some(looks);
            async move { answer }
        });
        assert_eq!(found.await, 3);
    }

    #[tokio::test]
    async fn a_wait_in_vain_says_what_was_missing() {
        let missing = within(SHORT, "the porch light", || async { Err::<(), _>("it is off") }).await;
        assert_eq!(missing.unwrap_err().to_string(), "waited 60ms for the porch light; still: it is off");
    }

    #[tokio::test]
    async fn a_condition_that_hangs_is_given_up() {
        let missing = within(SHORT, "an answer", std::future::pending::<bool>).await.unwrap_err();
        assert!(missing.to_string().contains("does not answer"), "{missing}");
    }
}
