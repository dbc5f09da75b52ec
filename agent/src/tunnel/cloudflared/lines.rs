//! What a child writes, line by line, whatever it writes.
//!
//! Invariants: no line is longer than [`LONGEST`]; no more than [`BURST`] lines come at once, and [`RATE`] a second
//! from then on; no more than [`BYTES`] are read a second, so that a flood fills the pipe and slows whoever makes it
//! (83,000 lines in 5 s were measured, at an edge that refuses), and costs us next to nothing. What is left out is
//! counted.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, sleep_until};

/// Bytes of a line that are kept; the rest of it is not.
pub const LONGEST: usize = 16 << 10;
/// Lines that may come at once.
pub const BURST: f64 = 100.0;
/// Lines a second after that.
pub const RATE: f64 = 50.0;
/// Bytes read a second.
const BYTES: usize = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);
/// Bytes read at once.
const PIECE: usize = 16 << 10;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line(pub String);

/// Lines of `R`.
#[derive(Debug)]
pub struct Lines<R> {
    from: R,
    piece: Box<[u8]>,
    /// What of the piece is not looked at yet.
    rest: std::ops::Range<usize>,
    line: Vec<u8>,
    has_ended: bool,
    budget: Budget,
    /// Since when, and how much of [`BYTES`] was read.
    second: (Instant, usize),
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// From a pipe.
    pub fn new(from: R) -> Self {
        let now = Instant::now();
        Self {
            from,
            piece: vec![0; PIECE].into_boxed_slice(),
            rest: 0..0,
            line: Vec::new(),
            has_ended: false,
            budget: Budget { left: BURST, at: now, dropped: 0, flood: None },
            second: (now, 0),
        }
    }

    /// The next line; nothing at the end. May be dropped and asked again: nothing is lost.
    pub async fn next(&mut self) -> Option<Line> {
        loop {
            while let Some(line) = self.take_line() {
                if self.budget.admits(Instant::now()) {
                    return Some(line);
                }
            }
            if self.has_ended {
                return None;
            }
            self.slow_down().await;
            self.read().await;
        }
    }

    /// Reads to the end without looking, as fast as it comes.
    pub async fn drain(&mut self) {
        while !self.has_ended {
            self.rest = 0..0;
            self.read().await;
        }
    }

    /// How many lines were left out so far.
    pub fn dropped(&self) -> u64 {
        self.budget.dropped
    }

    /// For how long there have been more lines than are taken; nothing when there are not.
    pub fn flooding(&self, now: Instant) -> Option<Duration> {
        let (since, last) = self.budget.flood?;
        (now.duration_since(last) < 2 * SECOND).then(|| now.duration_since(since))
    }

    async fn read(&mut self) {
        match self.from.read(&mut self.piece).await {
            Ok(0) | Err(_) => self.has_ended = true,
            Ok(read) => {
                self.rest = 0..read;
                self.second.1 += read;
            }
        }
    }

    /// Waits for the next second when this one's bytes are used up.
    async fn slow_down(&mut self) {
        let (began, read) = self.second;
        if read >= BYTES {
            self.budget.flooded(Instant::now());
            sleep_until(began + SECOND).await;
        }
        if began.elapsed() >= SECOND {
            self.second = (Instant::now(), 0);
        }
    }

    fn take_line(&mut self) -> Option<Line> {
        let rest = &self.piece[self.rest.clone()];
        let end = rest.iter().position(|byte| *byte == b'\n');
        let part = &rest[..end.unwrap_or(rest.len())];
        let room = LONGEST.saturating_sub(self.line.len());
        self.line.extend_from_slice(&part[..part.len().min(room)]);
        self.rest.start += end.map_or(rest.len(), |end| end + 1);
        let is_whole = end.is_some() || (self.has_ended && !self.line.is_empty());
        is_whole.then(|| {
            let line = String::from_utf8_lossy(&self.line).into_owned();
            self.line.clear();
            Line(line)
        })
    }
}

/// How many lines are taken.
#[derive(Debug)]
struct Budget {
    left: f64,
    at: Instant,
    dropped: u64,
    /// The first and the last moment at which there were too many.
    flood: Option<(Instant, Instant)>,
}

impl Budget {
    fn admits(&mut self, now: Instant) -> bool {
        let since = now.duration_since(self.at).as_secs_f64();
        (self.left, self.at) = ((self.left + since * RATE).min(BURST), now);
        if self.left >= 1.0 {
            self.left -= 1.0;
            return true;
        }
        self.dropped += 1;
        self.flooded(now);
        false
    }

    fn flooded(&mut self, now: Instant) {
        self.flood = match self.flood {
            Some((since, last)) if now.duration_since(last) < 2 * SECOND => Some((since, now)),
            _ => Some((now, now)),
        };
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn lines_come_whole_however_they_were_cut() {
        let (mut ours, theirs) = duplex(64);
        let mut lines = Lines::new(theirs);
        ours.write_all(b"one\ntw").await.unwrap();
        assert_eq!(lines.next().await, Some(Line("one".into())));
        // Given up in the middle of a line, and asked again.
        tokio::select! {
            biased;
            line = lines.next() => panic!("{line:?}"),
            () = std::future::ready(()) => {}
        }
        ours.write_all(b"o\n\nlast words").await.unwrap();
        drop(ours);
        assert_eq!(lines.next().await, Some(Line("two".into())));
        assert_eq!(lines.next().await, Some(Line(String::new())));
        assert_eq!(lines.next().await, Some(Line("last words".into())));
        assert_eq!(lines.next().await, None);
    }

    #[tokio::test]
    async fn a_line_without_end_is_cut() {
        let (mut ours, theirs) = duplex(1 << 10);
        let mut lines = Lines::new(theirs);
        let writing = async {
            ours.write_all(&vec![b'x'; 5 * LONGEST]).await.unwrap();
            ours.write_all(b"\nnext\n").await.unwrap();
        };
        let reading = async { (lines.next().await, lines.next().await) };
        let (_, (long, next)) = tokio::join!(writing, reading);
        assert_eq!(long.unwrap().0.len(), LONGEST);
        assert_eq!(next, Some(Line("next".into())));
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_flood_a_few_lines_are_taken_and_the_rest_is_counted() {
        let (mut ours, theirs) = duplex(64 << 10);
        let mut lines = Lines::new(theirs);
        let writing = async {
            // 83,000 lines of 200 bytes, as measured.
            let line = format!("{}\n", "y".repeat(199));
            for _ in 0..83_000 {
                ours.write_all(line.as_bytes()).await.unwrap();
            }
            drop(ours);
        };
        let began = Instant::now();
        let reading = async {
            let (mut taken, mut longest) = (0u64, Duration::ZERO);
            while lines.next().await.is_some() {
                taken += 1;
                longest = longest.max(lines.flooding(Instant::now()).unwrap_or_default());
            }
            (taken, longest)
        };
        let (_, (taken, longest)) = tokio::join!(writing, reading);
        let seconds = began.elapsed().as_secs_f64();
        assert_eq!(taken + lines.dropped(), 83_000);
        assert!((taken as f64) < BURST + RATE * (seconds + 1.0), "{taken} lines in {seconds} s");
        assert!(seconds > 14.0, "16 MB at 1 MiB a second: {seconds} s");
        assert!(longest > Duration::from_secs(10), "{longest:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_over_when_it_is() {
        let mut budget = Budget { left: 0.0, at: Instant::now(), dropped: 0, flood: None };
        assert!(!budget.admits(Instant::now()));
        tokio::time::advance(10 * SECOND).await;
        assert!(budget.admits(Instant::now()));
        let (since, last) = budget.flood.unwrap();
        assert!(since == last && last.elapsed() >= 2 * SECOND, "the next one begins anew");
    }
}
