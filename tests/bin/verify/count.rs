//! How many tests passed, failed and were skipped, as the test runners tell it.

use std::fmt;

/// How the lines of one runner's output are read.
pub type Read = fn(&mut Count, &str);

/// Tests by their end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Ran and passed.
    pub passed: usize,
    /// Ran and failed, or did not end in time.
    pub failed: usize,
    /// Did not run: ignored, or left out by a filter.
    pub skipped: usize,
}

impl Count {
    /// Adds what a line of cargo-nextest's output says, if it is the summary.
    pub fn read_nextest(&mut self, line: &str) {
        if let Some(summary) = line.trim_start().strip_prefix("Summary [") {
            self.add_words(summary);
        }
    }

    /// Adds what a line of libtest's output says, if it is the result of a test binary.
    pub fn read_libtest(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.add_words(result);
        }
    }

    fn add_words(&mut self, words: &str) {
        for part in words.split([',', ';', ':', '.', '(']) {
            let Some((number, what)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<usize>() else { continue };
            match what.trim() {
                "passed" => self.passed += number,
                "failed" | "timed out" | "exec failed" => self.failed += number,
                "skipped" | "ignored" | "filtered out" => self.skipped += number,
                _ => {}
            }
        }
    }

    /// Adds tests that were skipped in the first run and asked for in a second.
    pub fn add_ignored(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped = self.skipped.saturating_sub(other.passed + other.failed);
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(read: Read, lines: &[&str]) -> String {
        let mut count = Count::default();
        lines.iter().for_each(|line| read(&mut count, line));
        count.to_string()
    }

    #[test]
    fn nextests_summary_is_read_and_not_what_a_test_has_printed() {
        let lines = [
            "    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 173 filtered out; finished in 0.1s",
            "     Summary [   1.233s] 40 tests run: 36 passed (1 slow, 2 leaky), 2 failed, 1 timed out, 1 exec failed, 3 skipped",
        ];
        assert_eq!(count(Count::read_nextest, &lines), "36 passed, 4 failed, 3 skipped");
        let stopped = ["Summary [ 0.1s] 7/19 tests run: 7 passed, 0 skipped"];
        assert_eq!(count(Count::read_nextest, &stopped), "7 passed, 0 failed, 0 skipped");
    }

    #[test]
    fn libtests_results_are_added_up() {
        let lines = [
            "test a::b ... ok",
            "test result: ok. 11 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 1.35s",
            "test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ];
        assert_eq!(count(Count::read_libtest, &lines), "13 passed, 3 failed, 5 skipped");
    }

    #[test]
    fn tests_that_were_asked_for_are_not_skipped_any_more() {
        let mut first = Count { passed: 10, failed: 0, skipped: 3 };
        first.add_ignored(&Count { passed: 1, failed: 1, skipped: 12 });
        assert_eq!(first.to_string(), "11 passed, 1 failed, 1 skipped");
    }
}
