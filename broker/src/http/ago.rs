//! How long ago something was, or how soon it will be, in words: "3 minutes ago", "in 2 days".
//!
//! Invariant: the same words as `assets/time.js` takes from the browser's `Intl.RelativeTimeFormat`, so that
//! nothing on a page moves when the script takes over. In a template:
//! `<time datetime="{{ moment.iso }}" data-ago>{{ moment.words }}</time>`.

use std::time::Duration;

use serde::Serialize;

use super::words::Words;
use crate::clock::Timestamp;

/// Seconds of each unit, with the keys for the past and for what is to come; the longest first.
const UNITS: [(i64, &str, &str); 6] = [
    (31_557_600, "ago-years", "ahead-years"),
    (2_629_800, "ago-months", "ahead-months"),
    (604_800, "ago-weeks", "ahead-weeks"),
    (86_400, "ago-days", "ahead-days"),
    (3600, "ago-hours", "ahead-hours"),
    (60, "ago-minutes", "ahead-minutes"),
];

/// A moment as a page says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// RFC 3339 in UTC, for `datetime`.
    pub iso: String,
    /// The words, seen from now.
    pub words: String,
}

impl Moment {
    /// A moment, seen from `now`.
    pub fn new(w: &Words, at: Timestamp, now: Timestamp) -> Self {
        Self { iso: at.to_string(), words: words(w, (at.millis().saturating_sub(now.millis())) / 1000) }
    }
}

/// How long something lasted, in the greatest unit that fits and the next smaller one: "1 hour 12 minutes".
pub fn span(w: &Words, span: Duration) -> String {
    const UNITS: [(u64, &str); 4] =
        [(86_400, "span-days"), (3600, "span-hours"), (60, "span-minutes"), (1, "span-seconds")];
    let seconds = span.as_secs();
    let at = UNITS.iter().position(|(length, _)| seconds >= *length).unwrap_or(UNITS.len() - 1);
    let (length, key) = UNITS[at];
    let whole = w.say_with(key, "n", seconds / length);
    match UNITS.get(at + 1).map(|(next, key)| (seconds % length / next, key)) {
        // Nobody counts the seconds of a long time.
        Some((rest, key)) if rest > 0 && seconds < 3600 * 24 * 7 => {
            let rest = w.say_with(key, "n", rest);
            w.say_all("span-both", &[("more", whole.as_str()), ("less", rest.as_str())])
        }
        _ => whole,
    }
}

/// A moment for those whose place on earth is not known: `2026-11-22 15:04 UTC`.
pub fn date(at: Timestamp) -> String {
    let text = at.to_string();
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => text,
    }
}

/// The past is said in whole units, the future to the nearest, and by the minute: a link that was made for a week
/// a second ago ends in a week, not in six days.
fn words(w: &Words, ahead: i64) -> String {
    let ahead = if ahead >= 60 { (ahead + 59) / 60 * 60 } else { ahead };
    let fits = UNITS.iter().find(|(length, ..)| ahead.abs() >= *length);
    let Some((length, past, future)) = fits else { return w.say("ago-now") };
    match ahead {
        ..0 => w.say_with(past, "n", -ahead / length),
        _ => w.say_with(future, "n", (ahead + length / 2) / length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::words::{english, for_header};

    #[test]
    fn a_moment_is_said_in_the_greatest_unit_that_fits() {
        for (ahead, said) in [
            (0, "now"),
            (-59, "now"),
            (-60, "1 minute ago"),
            (-3599, "59 minutes ago"),
            (-7200, "2 hours ago"),
            (-86_400, "1 day ago"),
            (-3_000_000, "1 month ago"),
            (59, "now"),
            (3598, "in 1 hour"),
            (604_799, "in 1 week"),
            (604_800, "in 1 week"),
            (600_000, "in 7 days"),
            (90_000, "in 1 day"),
            (100_000_000, "in 3 years"),
        ] {
            assert_eq!(words(english(), ahead), said, "{ahead}");
        }
        assert_eq!(words(for_header("zh-TW"), -180), "3 分鐘前");
        assert_eq!(words(for_header("zh-TW"), 172_800), "2 天後");
    }

    #[test]
    fn a_span_is_said_in_two_units_at_most() {
        for (seconds, said) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (60, "1 minute"),
            (95, "1 minute 35 seconds"),
            (4321, "1 hour 12 minutes"),
            (90_000, "1 day 1 hour"),
            (864_000, "10 days"),
        ] {
            assert_eq!(span(english(), Duration::from_secs(seconds)), said);
        }
        assert_eq!(span(for_header("zh-TW"), Duration::from_secs(4321)), "1 小時 12 分鐘");
        assert_eq!(date(Timestamp::from_millis(1_700_000_000_123)), "2023-11-14 22:13 UTC");
    }
}
