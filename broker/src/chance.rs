//! Where ids, codes and tokens come from, and how a presented one is told from a mistyped one.
//!
//! A token is `lk` + a letter for its kind + `_` + 43 characters of base 62 (256 bits of chance) + `_` + 6
//! characters of checksum: leak scanners recognise it, and a typing error is refused without a look into the
//! database. Invariant: only [`hash`]es of tokens reach a table.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use shared::secret::Secret;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BODY: usize = 43;
const CHECK: usize = 6;

/// What a token is for; one letter of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An OAuth access token.
    Access,
    /// An OAuth refresh token.
    Refresh,
    /// An OAuth authorization code.
    Code,
    /// An OAuth device code.
    Device,
    /// A browser session of an account.
    Session,
    /// A link's token.
    Link,
    /// A direct tunnel's token.
    Tunnel,
    /// The one-time address of the first run.
    FirstRun,
    /// A link in a letter: to confirm an address, or for a new password.
    Mail,
    /// An invitation into a workspace.
    Invitation,
    /// A sign-in that is not through yet, or a passkey that is being asked for.
    Step,
    /// A registered client's secret.
    Client,
}

impl Kind {
    fn letter(self) -> char {
        match self {
            Self::Access => 'a',
            Self::Refresh => 'r',
            Self::Code => 'c',
            Self::Device => 'd',
            Self::Session => 's',
            Self::Link => 'l',
            Self::Tunnel => 't',
            Self::FirstRun => 'f',
            Self::Mail => 'm',
            Self::Invitation => 'i',
            Self::Step => 'n',
            Self::Client => 'k',
        }
    }
}

/// Fills an array with chance from the operating system.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // aws-lc-rs fails here only where the operating system has no entropy source at all; nothing that
    // makes secrets may go on then.
    rand::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// 64 random bits, for an id.
pub fn bits() -> u64 {
    u64::from_ne_bytes(bytes())
}

/// So many characters drawn evenly from an alphabet of at most 256.
pub fn text(length: usize, alphabet: &[u8]) -> String {
    let even = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let drawn = bytes::<64>().into_iter().filter(|b| usize::from(*b) < even);
        text.extend(
            drawn.take(length - text.len()).map(|b| char::from(alphabet[usize::from(b) % alphabet.len()])),
        );
    }
    text
}

/// Letters and digits for what people read and type: none that looks like another.
pub const LEGIBLE: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A name's own letters and digits with hyphens between, at most 40 characters: the readable half of a name that
/// chance makes unique. Empty where the name has none.
pub fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.to_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(40);
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

/// A new token of a kind.
pub fn token(kind: Kind) -> Secret {
    let start = format!("lk{}_{}", kind.letter(), text(BODY, ALPHABET));
    let check = checksum(&start);
    Secret::from(format!("{start}_{check}"))
}

/// Whether a presented text can be a token of that kind: shape and checksum.
pub fn looks_like(kind: Kind, presented: &str) -> bool {
    let Some((start, check)) = presented.rsplit_once('_') else { return false };
    let Some((prefix, body)) = start.split_once('_') else { return false };
    prefix.strip_prefix("lk").is_some_and(|letter| letter.chars().eq([kind.letter()]))
        && body.len() == BODY
        && body.bytes().all(|b| b.is_ascii_alphanumeric())
        && checksum(start) == check
}

/// The SHA-256 under which a token is stored and found. A random 256-bit secret needs no slow hash.
pub fn hash(token: &str) -> Vec<u8> {
    hash_bytes(token.as_bytes())
}

/// The SHA-256 of anything.
pub fn hash_bytes(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

/// The first bits of the SHA-256, in base 62.
fn checksum(text: &str) -> String {
    let hash = hash(text);
    let mut number = hash.iter().take(6).fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let mut check = String::with_capacity(CHECK);
    for _ in 0..CHECK {
        check.push(char::from(ALPHABET[(number % 62) as usize]));
        number /= 62;
    }
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_kind_and_checksum() {
        let token = token(Kind::Access);
        let text = token.expose();
        assert_eq!(text.len(), 4 + BODY + 1 + CHECK);
        assert!(looks_like(Kind::Access, text) && !looks_like(Kind::Refresh, text));
        let mistyped = text.replacen(&text[10..11], if &text[10..11] == "x" { "y" } else { "x" }, 1);
        assert!(!looks_like(Kind::Access, &mistyped));
        for bad in ["", "lka_", "lka__", "lka_abc_def", "_", "lka", "lka_é_x"] {
            assert!(!looks_like(Kind::Access, bad), "{bad}");
        }
    }

    #[test]
    fn drawn_text_keeps_to_its_alphabet_and_uses_all_of_it() {
        let drawn = text(4000, b"BCDFGHJKLMNPQRSTVWXZ");
        assert_eq!(drawn.len(), 4000);
        for letter in "BCDFGHJKLMNPQRSTVWXZ".chars() {
            let times = drawn.matches(letter).count();
            assert!((120..=290).contains(&times), "{letter} came {times} times of 200 expected");
        }
    }
}
