//! Misses: how often a place has come with a link that opens nothing.
//!
//! Past the limit that place is answered 429 whatever it brings, so that guessing tells nothing (SL-04).
//! Guests elsewhere do not notice. Kept in memory and bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::clock::Timestamp;

/// So many at once, and so many a minute.
const BURST: u32 = 20;
const EVERY: Duration = Duration::from_secs(3);
/// Above this many places those that have recovered are forgotten, and if none has, any one.
const MANY: usize = 10_000;

/// When each place will have recovered from all its misses.
#[derive(Debug, Default)]
pub(super) struct Misses {
    recovered: HashMap<IpAddr, Timestamp>,
    /// When the recovered ones were last thrown out; not at each miss, which would make a flood dearer.
    swept: Option<Timestamp>,
}

impl Misses {
    /// How long a place has to wait, if it has to.
    pub(super) fn wait(&self, place: IpAddr, now: Timestamp) -> Option<Duration> {
        let recovering = self.recovered.get(&place)?.since(now);
        recovering.checked_sub(EVERY * (BURST - 1)).filter(|wait| !wait.is_zero())
    }

    /// One more.
    pub(super) fn note(&mut self, place: IpAddr, now: Timestamp) {
        if self.recovered.len() >= MANY && self.swept.is_none_or(|swept| now.since(swept) >= EVERY) {
            self.recovered.retain(|_, recovered| *recovered > now);
            self.swept = Some(now);
        }
        if self.recovered.len() >= MANY
            && let Some(any) = self.recovered.keys().next().copied()
        {
            self.recovered.remove(&any);
        }
        let recovered = self.recovered.entry(place).or_insert(now);
        *recovered = (*recovered).max(now).after(EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn place(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn twenty_misses_then_a_wait_for_that_place_alone() {
        let mut misses = Misses::default();
        for n in 0..BURST {
            assert_eq!(misses.wait(place(1), NOON), None, "after {n}");
            misses.note(place(1), NOON);
        }
        assert_eq!(misses.wait(place(1), NOON), Some(EVERY));
        assert_eq!(misses.wait(place(2), NOON), None);
        assert_eq!(misses.wait(place(1), NOON.after(EVERY)), None);
        misses.note(place(1), NOON.after(EVERY));
        assert!(misses.wait(place(1), NOON.after(EVERY)).is_some());
        assert_eq!(misses.wait(place(1), NOON.after(Duration::from_secs(120))), None);
    }

    #[test]
    fn a_flood_of_places_is_not_remembered_for_ever() {
        let mut misses = Misses::default();
        (0..30_000).for_each(|n| misses.note(place(n), NOON));
        assert!(misses.recovered.len() <= MANY);
    }
}
