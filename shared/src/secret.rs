//! A secret: can be compared and sent, not printed.

use std::fmt;
use std::hint::black_box;

use serde::{Deserialize, Serialize};

/// A token, code or password in memory. `Debug` hides it and there is no `Display`; whoever needs the text
/// says so with [`Secret::expose`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself: to send it to the one who may have it, to seal it or to hash it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in a time that depends on the lengths only.
    pub fn same_as(&self, other: &str) -> bool {
        let (ours, theirs) = (self.0.as_bytes(), other.as_bytes());
        let differing = ours.iter().zip(theirs).fold(0u8, |sum, (a, b)| black_box(sum | (a ^ b)));
        ours.len() == theirs.len() && differing == 0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::from("hunter2".to_owned());
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "Secret(..) Some(Secret(..))");
    }

    #[test]
    fn secrets_compare_by_their_text() {
        let secret = Secret::from("abc".to_owned());
        assert!(secret.same_as("abc"));
        for other in ["", "ab", "abd", "abcd", "ABC"] {
            assert!(!secret.same_as(other), "{other}");
        }
    }
}
