//! Limits: so many of a kind from one place, then 429 with `Retry-After`.
//!
//! Kept in memory, per broker, and bounded: what has recovered is forgotten.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::Fault;

/// Above this many keys the recovered ones are thrown out before a new one is taken.
const MANY: usize = 10_000;

/// A token bucket a key.
pub struct Limit<K: Hash + Eq + Clone> {
    buckets: DefaultKeyedRateLimiter<K>,
    clock: DefaultClock,
}

impl<K: Hash + Eq + Clone> Limit<K> {
    /// `burst` at once, then one more every `every`.
    pub fn new(burst: NonZeroU32, every: Duration) -> Self {
        let quota = Quota::with_period(every).unwrap_or(Quota::per_second(burst)).allow_burst(burst);
        Self { buckets: RateLimiter::keyed(quota), clock: DefaultClock::default() }
    }

    /// Takes one.
    ///
    /// # Errors
    /// [`Fault::TooMany`] with the time until the next is there.
    pub fn take(&self, key: &K) -> Result<(), Fault> {
        if self.buckets.len() > MANY {
            self.buckets.retain_recent();
        }
        self.buckets
            .check_key(key)
            .map_err(|not_until| Fault::TooMany(not_until.wait_time_from(self.clock.now())))
    }
}

/// The place an address stands for: an IPv6 customer has a /64 of them.
pub fn place(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) >> 64 << 64).into()),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_a_wait_for_each_place_alone() {
        let limit = Limit::new(NonZeroU32::new(3).unwrap(), Duration::from_secs(10));
        for _ in 0..3 {
            limit.take(&1).unwrap();
        }
        let Err(Fault::TooMany(wait)) = limit.take(&1) else { panic!("the fourth was let through") };
        assert!(wait <= Duration::from_secs(10) && wait > Duration::from_secs(8), "{wait:?}");
        limit.take(&2).unwrap();
    }

    #[test]
    fn neighbours_in_a_64_are_one_place() {
        let ip = |text: &str| place(text.parse().unwrap());
        assert_eq!(ip("2001:db8::1"), ip("2001:db8::ffff:1"));
        assert_ne!(ip("2001:db8::1"), ip("2001:db8:0:1::1"));
        assert_eq!(ip("::ffff:10.0.0.1"), ip("10.0.0.1"));
        assert_ne!(ip("10.0.0.1"), ip("10.0.0.2"));
    }
}
