//! Whether QUIC gets through from here: that it did not is remembered for a day.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::config::cloudflared::Protocol;
use crate::memory::write_whole;
use crate::tasks::now_ms;

/// A day, in milliseconds.
const DAY: i64 = 24 * 3600 * 1000;

/// Remembers in a file of the data folder, and here in case that cannot be written.
#[derive(Debug)]
pub struct Quic {
    path: PathBuf,
    until: AtomicI64,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    /// No sooner is QUIC tried again; milliseconds since the Unix epoch.
    http2_until: i64,
}

impl Quic {
    /// What was remembered in a data folder.
    pub fn recall(data_dir: &Path) -> Self {
        let path = data_dir.join("quic.json");
        let text = fs::read(&path).unwrap_or_default();
        // What cannot be read is found out anew.
        let until = serde_json::from_slice(&text).map_or(0, |it: Remembered| it.http2_until);
        Self { path, until: AtomicI64::new(until) }
    }

    /// What to start with instead of what is set.
    pub fn instead_of(&self, set: Protocol) -> Protocol {
        let left = self.until.load(Ordering::Relaxed) - now_ms();
        // A clock that was wrong once must not forbid QUIC for ever.
        if set == Protocol::Auto && (1..=DAY).contains(&left) { Protocol::Http2 } else { set }
    }

    /// It did not get through.
    pub fn is_blocked(&self) {
        let until = now_ms() + DAY;
        self.until.store(until, Ordering::Relaxed);
        let text = format!(r#"{{"http2_until":{until}}}"#);
        if let Err(err) = write_whole(&self.path, text.as_bytes()) {
            warn!("that QUIC does not get through is forgotten at the next start: {err}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_remembered_for_a_day_and_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let quic = Quic::recall(dir.path());
        assert_eq!(quic.instead_of(Protocol::Auto), Protocol::Auto);
        quic.is_blocked();
        assert_eq!(quic.instead_of(Protocol::Auto), Protocol::Http2);
        assert_eq!(quic.instead_of(Protocol::Quic), Protocol::Quic);
        let again = Quic::recall(dir.path());
        assert_eq!(again.instead_of(Protocol::Auto), Protocol::Http2);
        for (until, what) in [(now_ms() - 1, "over"), (now_ms() + 2 * DAY, "of a clock that was wrong")] {
            again.until.store(until, Ordering::Relaxed);
            assert_eq!(again.instead_of(Protocol::Auto), Protocol::Auto, "{what}");
        }
    }
}
