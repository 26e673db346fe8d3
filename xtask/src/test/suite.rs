//! One `cargo test`: started, its output passed through and counted, its end judged.

use std::io::{BufReader, IsTerminal as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use super::tally::{Counts, Tally};
use crate::broker::Interrupt;

/// How a suite ended.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    name: String,
    tally: Tally,
    time: Duration,
}

/// Runs `cargo` (a `cargo test` with its options) with the test programs' `filter`.
///
/// # Errors
///
/// When it cannot be started, or is interrupted. That tests fail is no error here.
pub(crate) fn run(
    name: &str,
    cargo: &mut Command,
    filter: &[String],
    interrupt: &Interrupt,
) -> Result<Outcome> {
    println!("\n=== {name}");
    let started = Instant::now();
    cargo.arg("--").args(filter).stdout(Stdio::piped());
    if std::io::stdout().is_terminal() {
        cargo.args(["--color", "always"]);
    }
    let mut child = Interrupt::spawn(cargo)?;
    let output = child.stdout.take().context("cargo's output")?;
    let counter = std::thread::spawn(move || count(BufReader::new(output)));
    let status = interrupt.wait(&mut child, || ())?;
    let mut tally = counter.join().map_err(|_| anyhow!("counting panicked"))??;
    if !status.success() && tally.counts.failed == 0 {
        tally.counts.failed = 1;
        tally.failures.push(format!("cargo test ({status}): see above what did not build or died"));
    }
    Ok(Outcome { name: name.to_owned(), tally, time: started.elapsed() })
}

fn count(mut output: impl std::io::BufRead) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut line = Vec::new();
    // Up to the end of file, that is until the last process that holds the pipe is gone.
    while output.read_until(b'\n', &mut line)? > 0 {
        let mut out = std::io::stdout().lock();
        out.write_all(&line).and_then(|()| out.flush())?;
        tally.line(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    Ok(tally)
}

impl Outcome {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn counts(&self) -> Counts {
        self.tally.counts
    }

    pub(crate) fn failures(&self) -> &[String] {
        &self.tally.failures
    }

    pub(crate) fn time(&self) -> Duration {
        self.time
    }

    pub(crate) fn is_success(&self) -> bool {
        self.counts().failed == 0
    }

    /// Makes it a failure that no test ran.
    pub(crate) fn require_tests(&mut self) {
        let counts = &mut self.tally.counts;
        if counts.passed + counts.failed == 0 {
            counts.failed = 1;
            self.tally.failures.push("no test ran".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_shell(script: &str) -> Outcome {
        let interrupt = Interrupt::install().unwrap();
        let mut outcome =
            run("shell", Command::new("sh").args(["-c", script, "sh"]), &[], &interrupt).unwrap();
        outcome.require_tests();
        outcome
    }

    #[test]
    fn success_needs_passed_tests_and_status_zero() {
        let passed = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'";
        assert!(run_shell(passed).is_success());
        assert_eq!(run_shell("exit 0").failures(), ["no test ran"]);
        assert!(!run_shell(&format!("{passed}; exit 101")).is_success());
        assert_eq!(run_shell(&format!("{passed}; exit 101")).counts().failed, 1);
    }
}
