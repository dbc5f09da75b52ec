//! The code a person types: eight letters that cannot be read as one another or spell a word
//! (RFC 8628 section 6.1), shown as `XXXX-XXXX`.

use std::fmt;

use crate::chance;

const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LENGTH: usize = 8;

/// A user code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCode(String);

impl UserCode {
    /// A new one: 34.5 bits, which the limits on guessing make enough (DG-10).
    pub fn draw() -> Self {
        Self(chance::text(LENGTH, LETTERS))
    }

    /// What a person typed: case, spaces and punctuation mean nothing (DG-12).
    pub fn parse(typed: &str) -> Option<Self> {
        let is_mark = |c: char| c.is_whitespace() || c.is_ascii_punctuation() || matches!(c, '‐'..='―' | '−');
        let code: String =
            typed.chars().filter(|c| !is_mark(*c)).map(|c| c.to_ascii_uppercase()).take(LENGTH + 1).collect();
        let whole = code.len() == LENGTH && code.bytes().all(|b| LETTERS.contains(&b));
        whole.then_some(Self(code))
    }

    /// The letters, for a column.
    pub fn letters(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.0.split_at(LENGTH / 2);
        write!(f, "{first}-{second}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_may_type_it_as_they_like() {
        let code = UserCode::parse("WDJB-MJHT").unwrap();
        assert_eq!(code.to_string(), "WDJB-MJHT");
        for typed in ["wdjbmjht", " WDJB MJHT ", "w.d.j.b-m_j_h_t", "WDJB–MJHT", "wdjb‑mjht"] {
            assert_eq!(UserCode::parse(typed).as_ref(), Some(&code), "{typed} (DG-12)");
        }
        for wrong in ["", "WDJB-MJH", "WDJB-MJHTX", "WDJB-MJHA", "WDJB-MJH1", "ẄDJB-MJHT", &"W".repeat(9999)]
        {
            assert_eq!(UserCode::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_drawn_one_reads_back() {
        let code = UserCode::draw();
        assert_eq!(UserCode::parse(&code.to_string()), Some(code));
    }
}
