//! Ids: integers between 1 and 2^53 - 1, drawn at random, never counted up.
//!
//! Integers because existing clients parse them so; below 2^53 because JavaScript must hold them exactly.
//! Each kind has a type of its own, so a home's id cannot be passed where an account's is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// The greatest id there is: JavaScript's `Number.MAX_SAFE_INTEGER`.
pub const MAX: i64 = (1 << 53) - 1;

/// Why a text or a number is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnId;

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id is a whole number between 1 and 9007199254740991")
    }
}

impl std::error::Error for NotAnId {}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(i64);

        impl $name {
            /// Makes an id of 64 random bits; the caller brings the chance.
            pub fn from_random_bits(bits: u64) -> Self {
                Self(((bits >> 11) as i64).max(1))
            }

            /// The number itself, for a column or a path.
            pub fn number(self) -> i64 {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = NotAnId;
            fn try_from(number: i64) -> Result<Self, NotAnId> {
                if (1..=MAX).contains(&number) { Ok(Self(number)) } else { Err(NotAnId) }
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                // `i64::from_str` takes a leading plus; a path segment must have one spelling only.
                if !text.bytes().all(|b| b.is_ascii_digit()) || text.starts_with('0') {
                    return Err(NotAnId);
                }
                text.parse::<i64>().map_err(|_| NotAnId)?.try_into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                i64::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
            }
        }
    )* };
}

ids! {
    /// A person who signs in.
    AccountId
    /// What owns homes and has members.
    WorkspaceId
    /// A smart home: one Home Assistant with one agent and one tunnel.
    HomeId
    /// An entity that was shared at least once; the number in `/portal/entity/{id}`.
    SharedEntityId
    /// A link: one key to one shared entity.
    LinkId
    /// A program registered with the OAuth provider.
    ClientId
    /// One consent: the line of codes and tokens that came of it (a token family).
    GrantId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        assert_eq!("42".parse::<HomeId>().map(HomeId::number), Ok(42));
        for bad in ["", "0", "-1", "+1", "01", "1.0", "9007199254740992", "99999999999999999999", " 1", "1e3"]
        {
            assert_eq!(bad.parse::<HomeId>(), Err(NotAnId), "{bad:?}");
        }
    }

    #[test]
    fn every_random_id_is_in_range() {
        for bits in [0, 1, u64::MAX, 1 << 11, 1 << 63] {
            assert!((1..=MAX).contains(&HomeId::from_random_bits(bits).number()), "{bits}");
        }
    }

    #[test]
    fn json_refuses_what_a_path_refuses() {
        assert_eq!(serde_json::from_str::<HomeId>("7").unwrap().number(), 7);
        for bad in ["0", "-7", "9007199254740992", "\"7\""] {
            assert!(serde_json::from_str::<HomeId>(bad).is_err(), "{bad}");
        }
    }
}
