//! Counts what test programs print, line by line.

use std::collections::BTreeMap;

/// How many tests there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Those that failed, and passed when they were run again.
    pub(crate) flaky: u64,
    pub(crate) skipped: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.flaky += other.flaky;
        self.skipped += other.skipped;
    }
}

/// What was counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    /// The names of the tests that failed.
    pub(crate) failures: Vec<String>,
    /// Those that run and have run for long.
    pub(crate) slow: Vec<String>,
    /// What the tests that failed have printed, by their names.
    pub(crate) outputs: BTreeMap<String, String>,
    /// Test programs that have begun, and have not told their result.
    pub(crate) unfinished: u64,
    /// Whose output is being read.
    section: Option<String>,
}

impl Tally {
    /// Looks at one line of the output.
    pub(crate) fn line(&mut self, line: &str) {
        let line = without_colours(line);
        if line == "failures:" {
            self.section = None;
        } else if let Some(name) = section(&line) {
            self.section = Some(name.to_owned());
        } else if let Some(name) = &self.section {
            // Whatever a test prints, such as the results of a program that it ran, counts for nothing.
            let output = self.outputs.entry(name.clone()).or_default();
            output.push_str(&line);
            output.push('\n');
        } else if line.starts_with("running ") && line.trim_end_matches('s').ends_with(" test") {
            self.unfinished += 1;
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            self.unfinished = self.unfinished.saturating_sub(1);
            self.counts.passed += number_before(counts, " passed");
            self.counts.failed += number_before(counts, " failed");
            self.counts.skipped += number_before(counts, " ignored");
        } else if let Some(test) = line.strip_prefix("test ") {
            self.test(test);
        }
    }

    fn test(&mut self, line: &str) {
        if let Some((name, _)) = line.rsplit_once(" has been running for over ") {
            self.slow.push(name.to_owned());
        } else if let Some((name, result)) = line.rsplit_once(" ... ") {
            self.slow.retain(|slow| slow != name);
            if result.starts_with("FAILED") {
                self.failures.push(name.to_owned());
            }
        }
    }
}

/// The name of the test whose output is printed below this line.
fn section(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split_once(word).map_or("", |(before, _)| before);
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The line without terminal escapes (ESC [ ... letter).
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
        text + rest.get(1..).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_several_programs() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test wire::reads ... ok",
            "test wire::writes ... \x1b[31mFAILED\x1b[0m",
            "test src/lib.rs - Foo (line 3) ... FAILED",
            "test result: \x1b[31mFAILED\x1b(B\x1b[m. 1 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.00s",
            "test result: ok. 10 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out",
            "test stuck has been running for over 60 seconds",
            "test long has been running for over 60 seconds",
            "test long ... ok",
            "a test that prints test result: 99 passed",
        ] {
            tally.line(line);
        }
        assert_eq!(tally.counts, Counts { passed: 11, failed: 2, flaky: 0, skipped: 2 });
        assert_eq!(tally.failures, ["wire::writes", "src/lib.rs - Foo (line 3)"]);
        assert_eq!(tally.slow, ["stuck"]);
    }

    #[test]
    fn what_a_failed_test_printed_is_kept_and_not_counted() {
        let mut tally = Tally::default();
        for line in [
            "running 2 tests",
            "test one ... ok",
            "test two ... FAILED",
            "failures:",
            "---- two stdout ----",
            "test inner ... FAILED",
            "test result: FAILED. 0 passed; 1 failed; 0 ignored",
            "left: 1",
            "failures:",
            "    two",
            "test result: FAILED. 1 passed; 1 failed; 0 ignored",
            "running 1 test",
        ] {
            tally.line(line);
        }
        assert_eq!(tally.counts, Counts { passed: 1, failed: 1, flaky: 0, skipped: 0 });
        assert_eq!(tally.failures, ["two"]);
        assert!(tally.outputs["two"].ends_with("0 ignored\nleft: 1\n"), "{tally:?}");
        assert_eq!(tally.unfinished, 1, "the second program tells no result");
    }
}
