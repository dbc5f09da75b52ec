//! Failed tries, counted: so many within a time, then nothing more is looked at until it is over.
//!
//! Unlike a [`Limit`](super::limit::Limit) this counts failures only and is asked before the look, so a
//! right guess is worth nothing to whoever has used up their wrong ones, and honest success costs nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Fault;
use crate::clock::Timestamp;

/// The most keys remembered; the one whose window began first makes room for a newcomer.
const MANY: usize = 10_000;

/// Failures by key.
pub struct Tries<K> {
    most: u32,
    within: Duration,
    windows: Mutex<HashMap<K, Window>>,
}

#[derive(Clone, Copy)]
struct Window {
    began: Timestamp,
    failures: u32,
}

impl<K: Hash + Eq + Clone> Tries<K> {
    /// At most `most` failures `within` a time.
    pub fn new(most: u32, within: Duration) -> Self {
        Self { most, within, windows: Mutex::default() }
    }

    /// Whether another try may be looked at.
    ///
    /// # Errors
    /// [`Fault::TooMany`] with the time until the window is over.
    pub fn check(&self, key: &K, now: Timestamp) -> Result<(), Fault> {
        self.may(&self.windows.lock().unwrap_or_else(PoisonError::into_inner), key, now)
    }

    /// Counts a try as failed before it is looked at, so that a thousand at once are no more than one after
    /// another. A right one is [forgiven](Self::forgive).
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn take(&self, key: &K, now: Timestamp) -> Result<(), Fault> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        self.may(&windows, key, now)?;
        self.note(&mut windows, key, now);
        Ok(())
    }

    /// Takes one failure back.
    pub fn forgive(&self, key: &K) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = windows.get_mut(key) {
            window.failures = window.failures.saturating_sub(1);
        }
    }

    /// Notes a failure.
    pub fn fail(&self, key: &K, now: Timestamp) {
        self.note(&mut self.windows.lock().unwrap_or_else(PoisonError::into_inner), key, now);
    }

    fn may(&self, windows: &HashMap<K, Window>, key: &K, now: Timestamp) -> Result<(), Fault> {
        match windows.get(key).filter(|window| self.is_open(window, now)) {
            Some(window) if window.failures >= self.most => {
                Err(Fault::TooMany(self.within.saturating_sub(now.since(window.began))))
            }
            _ => Ok(()),
        }
    }

    fn note(&self, windows: &mut HashMap<K, Window>, key: &K, now: Timestamp) {
        if let Some(window) = windows.get_mut(key).filter(|window| self.is_open(window, now)) {
            window.failures += 1;
            return;
        }
        if windows.len() >= MANY {
            windows.retain(|_, window| self.is_open(window, now));
        }
        if windows.len() >= MANY {
            let oldest = windows.iter().min_by_key(|(_, window)| window.began).map(|(key, _)| key.clone());
            oldest.and_then(|key| windows.remove(&key));
        }
        windows.insert(key.clone(), Window { began: now, failures: 1 });
    }

    /// A window that begins ahead is one from before the clock was set back.
    fn is_open(&self, window: &Window, now: Timestamp) -> bool {
        window.began <= now && now.since(window.began) < self.within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn failures_close_the_door_and_time_opens_it() {
        let tries = Tries::new(3, MINUTE);
        let start = Timestamp::from_millis(0);
        for _ in 0..3 {
            tries.check(&1, start).unwrap();
            tries.fail(&1, start);
        }
        let later = start.after(Duration::from_secs(20));
        let Err(Fault::TooMany(wait)) = tries.check(&1, later) else { panic!("the fourth was looked at") };
        assert_eq!(wait, Duration::from_secs(40));
        tries.check(&2, later).unwrap();
        tries.check(&1, start.after(MINUTE)).unwrap();
    }

    #[test]
    fn a_right_one_is_forgiven_and_a_thousand_at_once_are_not() {
        let (tries, now) = (Tries::new(5, MINUTE), Timestamp::from_millis(0));
        for _ in 0..100 {
            tries.take(&1, now).unwrap();
            tries.forgive(&1);
        }
        assert_eq!((0..1000).filter(|_| tries.take(&1, now).is_ok()).count(), 5);
    }

    #[test]
    fn the_memory_of_failures_is_bounded() {
        let tries = Tries::new(1, MINUTE);
        for key in 0..=MANY {
            tries.fail(&key, Timestamp::from_millis(key as i64));
        }
        let now = Timestamp::from_millis(MANY as i64);
        assert_eq!(tries.windows.lock().unwrap().len(), MANY);
        assert!(tries.check(&0, now).is_ok() && tries.check(&MANY, now).is_err());
    }
}
