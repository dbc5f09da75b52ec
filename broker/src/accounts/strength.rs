//! Which new passwords are taken: long enough, and not guessed quickly. No rules about kinds of characters:
//! those make people write passwords down (WB-07, NIST SP 800-63B section 3.1.1).
//!
//! A list of common passwords alone would do little here, as hardly any of them has fifteen characters; what
//! is guessed at that length are repetitions, keyboard walks and words in a row. `zxcvbn` knows those and
//! carries the lists too (passwords, words, names), so that nothing is asked of another machine.

use super::password::LONGEST;

/// The shortest password of an account that is protected by nothing else, in characters.
pub const SHORTEST: usize = 15;
/// The shortest where a second factor is asked for too.
pub const SHORTEST_WITH_SECOND: usize = 8;
/// More than this many guesses (a power of ten) find it: with argon2 and our limits that is out of reach.
const GUESSES_LOG10: f64 = 9.0;

/// The word for what is wrong with a new password of a person with that name and address.
pub fn wrong_with(password: &str, has_second: bool, about: &[&str]) -> Option<&'static str> {
    let length = password.chars().count();
    if length < shortest(has_second) {
        return Some(if has_second { "accounts-wrong-short-second" } else { "accounts-wrong-short" });
    }
    if password.len() > LONGEST {
        return Some("accounts-wrong-long");
    }
    // It reads the first hundred characters, whatever comes after; that keeps its time short.
    let known: Vec<&str> =
        about.iter().flat_map(|text| text.split(['@', '.', ' '])).chain(["latchkey"]).collect();
    let guesses = zxcvbn::zxcvbn(password, &known).guesses_log10();
    let enough = if has_second { GUESSES_LOG10 - 1.0 } else { GUESSES_LOG10 };
    (guesses < enough || is_about(password, &known)).then_some("accounts-wrong-common")
}

/// Whether little is left of a password without what anybody knows of the person.
fn is_about(password: &str, known: &[&str]) -> bool {
    let whole = password.to_lowercase();
    let words = known.iter().filter(|word| word.chars().count() >= 3);
    let rest = words.fold(whole.clone(), |rest, word| rest.replace(&word.to_lowercase(), ""));
    rest != whole && rest.chars().filter(|c| c.is_alphanumeric()).count() < 6
}

/// Whether a password will do only beside a second factor.
pub fn is_short(password: &str) -> bool {
    password.chars().count() < SHORTEST
}

/// The fewest characters.
pub fn shortest(has_second: bool) -> usize {
    if has_second { SHORTEST_WITH_SECOND } else { SHORTEST }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_and_guessability_decide_and_nothing_else() {
        let alone = |password: &str| wrong_with(password, false, &["Ada Lovelace", "ada@example.org"]);
        for good in [
            "correct horse battery staple",
            "mauve teapot orbits quietly",
            "我家的貓昨天晚上又把花瓶打翻了真糟糕",
            "xk7qpm2vn9rtw4z",
        ] {
            assert_eq!(alone(good), None, "WB-07: {good}");
        }
        for short in ["", "Tr0ub4dor&3!aB", "xk7qpm2vn9rtw4"] {
            assert_eq!(alone(short), Some("accounts-wrong-short"), "WB-07: {short}");
        }
        for common in [
            "passwordpassword",
            "aaaaaaaaaaaaaaaaaaa",
            "qwertyuiopasdfghjkl",
            "123456789012345678",
            "ada.lovelace.ada",
            "latchkeylatchkey",
        ] {
            assert_eq!(alone(common), Some("accounts-wrong-common"), "WB-07: {common}");
        }
        assert_eq!(alone(&"é".repeat(513)), Some("accounts-wrong-long"), "WB-06: 1026 bytes");
    }

    #[test]
    fn with_a_second_factor_eight_characters_will_do() {
        assert_eq!(wrong_with("xk7qpm2v", true, &[]), None, "WB-07");
        assert_eq!(wrong_with("xk7qpm2", true, &[]), Some("accounts-wrong-short-second"), "WB-07");
        assert_eq!(wrong_with("password1", true, &[]), Some("accounts-wrong-common"), "WB-07");
    }
}
