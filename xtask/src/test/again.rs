//! Tests that failed are run again, each alone, to tell those that are flaky from those that fail.
//!
//! Called by `test` with `--retries`, while the broker of the suites still runs. That a test passes now does not mend it:
//! it is named in the summary, with what it printed when it failed. Never run again is what is no test: a suite that did
//! not build, or whose program died.

use std::process::Command;

use anyhow::Result;

use super::suite::{self, Outcome};
use crate::broker::Interrupt;

/// If more tests than these fail, that is no matter of chance, and running them again only takes time.
const MOST: usize = 20;
/// How many lines of a test's output the summary has; all of it is further up.
const LINES: usize = 30;

/// A test that failed, and passed when it was run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flake {
    name: String,
    /// How often it failed before it passed.
    failures: u32,
    /// What it printed when it failed first.
    output: String,
}

impl Flake {
    /// A line that names it, and below that what it printed.
    pub(crate) fn told(&self, suite: &str) -> String {
        let Self { name, failures, .. } = self;
        let times = if *failures == 1 { "once".to_owned() } else { format!("{failures} times") };
        let mut told = format!("flaky under {suite}: {name} (failed {times}, then passed)\n");
        for line in self.output.trim().lines().take(LINES) {
            told += &format!("    {line}\n");
        }
        told
    }
}

/// Runs the tests of a suite, and those that failed up to `retries` times again; `cargo` gives the suite's `cargo test`.
///
/// # Errors
///
/// As [`suite::run`].
pub(crate) fn run(
    name: &str,
    cargo: impl Fn() -> Result<Command>,
    filter: &[String],
    retries: u32,
    interrupt: &Interrupt,
) -> Result<Outcome> {
    let first = suite::run(name, name, cargo()?, filter, interrupt)?;
    retry(first, retries, |title, filter| suite::run(name, title, cargo()?, filter, interrupt))
}

/// Runs the tests that failed in `outcome` again by `run`, which takes a title and the arguments of the test programs.
fn retry(
    mut outcome: Outcome,
    retries: u32,
    mut run: impl FnMut(&str, &[String]) -> Result<Outcome>,
) -> Result<Outcome> {
    let mut tests = outcome.tally.failures.clone();
    tests.sort_unstable();
    tests.dedup();
    if retries > 0 && tests.len() > MOST {
        println!(
            "\n{} tests failed, which is no matter of chance: none is run again.",
            tests.len()
        );
        return Ok(outcome);
    }
    for test in tests {
        for attempt in 1..=retries {
            let title = format!("{}: {test} again, alone ({attempt} of {retries})", outcome.name());
            // All programs that have a test of this name run it. It may be one that is run only if asked for.
            let filter = ["--exact", "--include-ignored", &test].map(ToOwned::to_owned);
            let again = run(&title, &filter)?;
            outcome.time += again.time();
            if again.is_success() && again.has_tests() {
                outcome.pass(&test, attempt);
                break;
            }
        }
    }
    Ok(outcome)
}

impl Outcome {
    /// The test failed so often, and has passed then.
    fn pass(&mut self, test: &str, failures: u32) {
        self.tally.failures.retain(|failure| failure != test);
        let failed = self.tally.failures.len() + self.trouble.iter().len();
        self.tally.counts.failed = failed as u64;
        self.tally.counts.flaky += 1;
        let output = self.tally.outputs.get(test).cloned().unwrap_or_default();
        self.flakes.push(Flake { name: test.to_owned(), failures, output });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::summary;
    use super::*;

    /// A suite of two tests of which one fails, unless that is run again; its arguments are counted.
    const FLAKY: &str = "
        echo 'running 2 tests'
        if [ \"$1 $2 $3\" = '--exact --include-ignored two' ]; then
            echo 'test two ... ok'; echo 'test result: ok. 1 passed; 0 failed; 0 ignored'; exit 0
        fi
        echo 'test one ... ok'; echo 'test two ... FAILED'; echo 'failures:'
        echo '---- two stdout ----'; echo 'left: 1'; echo 'failures:'; echo '    two'
        echo 'test result: FAILED. 1 passed; 1 failed; 0 ignored'; exit 101";

    /// Runs a script as a suite, and again with the arguments of a test program; tells how often it ran.
    fn run(script: &str, retries: u32) -> (Outcome, u32) {
        let interrupt = Interrupt::install().unwrap();
        let times = Cell::new(0);
        let run = |filter: &[String]| {
            times.set(times.get() + 1);
            let mut shell = Command::new("sh");
            shell.args(["-c", script, "sh"]).args(filter);
            let silence = std::time::Duration::from_secs(60);
            suite::watch("shell", &mut shell, &interrupt, silence, std::io::sink())
        };
        let first = run(&[]).unwrap();
        (retry(first, retries, |_, filter| run(filter)).unwrap(), times.get())
    }

    #[test]
    fn test_that_passes_when_it_is_run_again_is_flaky_and_fails_nothing() {
        let (outcome, times) = run(FLAKY, 3);
        assert_eq!(times, 2, "it has passed then");
        assert!(outcome.is_success() && outcome.failures().is_empty(), "{outcome:?}");
        let counts = outcome.counts();
        assert_eq!((counts.passed, counts.failed, counts.flaky), (1, 0, 1));
        let summary = summary(&[outcome], 3);
        let begin = "flaky under shell: two (failed once, then passed)\n    left: 1\n\n";
        assert!(summary.starts_with(begin), "{summary}");
        assert!(summary.contains("passed  failed   flaky  skipped"), "{summary}");
        assert!(summary.ends_with("1 passed, 0 failed, 1 flaky, 0 skipped"), "{summary}");
    }

    #[test]
    fn without_retries_nothing_is_run_again() {
        let (outcome, times) = run(FLAKY, 0);
        assert_eq!((times, outcome.failures()), (1, vec!["two"]));
        let summary = summary(&[outcome], 0);
        assert!(summary.starts_with("failed under shell: two\n\n"), "{summary}");
        assert!(summary.ends_with("1 passed, 1 failed, 0 skipped"), "{summary}");
        assert!(!summary.contains("flaky"), "{summary}");
    }

    #[test]
    fn test_that_fails_each_time_fails_the_run() {
        let (outcome, times) = run(&FLAKY.replace("= '--exact", "= '--other"), 2);
        assert_eq!((times, outcome.failures()), (3, vec!["two"]));
        assert_eq!((outcome.counts().failed, outcome.counts().flaky), (1, 0));
    }

    #[test]
    fn test_that_is_not_found_again_has_not_passed() {
        let nothing = "test result: ok. 0 passed; 0 failed; 0 ignored";
        let script = FLAKY.replace("test result: ok. 1 passed; 0 failed; 0 ignored", nothing);
        assert_eq!(run(&script, 1).0.failures(), ["two"]);
    }

    #[test]
    fn program_that_dies_beside_a_flaky_test_fails_the_run() {
        let script = FLAKY
            .replace("echo 'running 2 tests'", "echo 'running 1 test'; echo 'running 2 tests'");
        let (outcome, _) = run(&script, 1);
        assert_eq!((outcome.counts().failed, outcome.counts().flaky), (1, 1));
        assert!(outcome.failures()[0].starts_with("cargo test (exit status: 101)"), "{outcome:?}");
    }

    #[test]
    fn many_failures_are_no_chance() {
        let names = (0..=MOST).map(|n| format!("echo 'test t{n} ... FAILED';"));
        let script = format!(
            "{} echo 'test result: FAILED. 0 passed; {} failed; 0 ignored'; exit 101",
            names.collect::<String>(),
            MOST + 1
        );
        let (outcome, times) = run(&script, 1);
        assert_eq!((times, outcome.failures().len()), (1, MOST + 1));
    }
}
