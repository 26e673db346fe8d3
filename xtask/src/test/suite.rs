//! One `cargo test`: started, its output passed through and counted, its end judged.

use std::io::{BufRead, BufReader, IsTerminal as _, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use super::again::Flake;
use super::tally::{Counts, Tally};
use crate::broker::Interrupt;

/// How long a suite may print nothing: a test that hangs must not hang the rest. Building is silent too.
const SILENCE: Duration = Duration::from_secs(15 * 60);

/// How a suite ended.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(super) name: String,
    pub(super) tally: Tally,
    /// What failed without being a test.
    pub(super) trouble: Option<String>,
    pub(super) time: Duration,
    /// Which tests failed, and passed when they were run again.
    pub(super) flakes: Vec<Flake>,
    /// What was left out, and why.
    skips: Vec<String>,
}

/// Runs `cargo` (a `cargo test` with its options) with the test programs' `filter`, under a title.
///
/// # Errors
///
/// When it cannot be started, or is interrupted. That tests fail is no error here.
pub(crate) fn run(
    name: &str,
    title: &str,
    mut cargo: Command,
    filter: &[String],
    interrupt: &Interrupt,
) -> Result<Outcome> {
    println!("\n=== {title}");
    cargo.arg("--").args(filter);
    if std::io::stdout().is_terminal() {
        cargo.args(["--color", "always"]);
    }
    watch(name, &mut cargo, interrupt, SILENCE, std::io::stdout())
}

/// Runs `cargo` and passes on to `out` what it prints.
pub(super) fn watch(
    name: &str,
    cargo: &mut Command,
    interrupt: &Interrupt,
    silence: Duration,
    out: impl Write + Send + 'static,
) -> Result<Outcome> {
    let started = Instant::now();
    cargo.stdout(Stdio::piped());
    let mut child = Interrupt::spawn(cargo)?;
    let output = child.stdout.take().context("cargo's output")?;
    let spoke = Arc::new(Mutex::new(Instant::now()));
    let counter = std::thread::spawn({
        let spoke = spoke.clone();
        move || count(BufReader::new(output), &spoke, out)
    });
    let ended = interrupt.wait(&mut child, || check_silence(&spoke, silence));
    let tally = counter.join().map_err(|_| anyhow!("counting panicked"))??;
    interrupt.check()?;
    let how = match ended {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("cargo test ({status}): see above what did not build or died")),
        Err(error) => Some(format!("{error:#}; still running: {}", tally.slow.join(", "))),
    };
    let mut outcome = Outcome {
        name: name.to_owned(),
        tally,
        trouble: None,
        time: started.elapsed(),
        flakes: Vec::new(),
        skips: Vec::new(),
    };
    let Tally { counts, unfinished, slow, .. } = &outcome.tally;
    if let Some(how) = how
        && (counts.failed == 0 || *unfinished > 0 || !slow.is_empty())
    {
        outcome.fail(how);
    }
    Ok(outcome)
}

fn check_silence(spoke: &Mutex<Instant>, longest: Duration) -> Result<()> {
    let silent = spoke.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
    if silent > longest {
        bail!("ended after {} s of silence", silent.as_secs());
    }
    Ok(())
}

fn count(mut output: impl BufRead, spoke: &Mutex<Instant>, mut out: impl Write) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut line = Vec::new();
    // Up to the end of file, that is until the last process that holds the pipe is gone.
    while output.read_until(b'\n', &mut line)? > 0 {
        *spoke.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
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

    pub(crate) fn failures(&self) -> Vec<&str> {
        self.tally.failures.iter().chain(&self.trouble).map(String::as_str).collect()
    }

    fn fail(&mut self, how: String) {
        self.tally.counts.failed += 1;
        self.trouble = Some(how);
    }

    pub(crate) fn flakes(&self) -> &[Flake] {
        &self.flakes
    }

    pub(crate) fn skips(&self) -> &[String] {
        &self.skips
    }

    /// Counts what was left out as one more test skipped.
    pub(crate) fn skip(&mut self, what: String) {
        self.tally.counts.skipped += 1;
        self.skips.push(what);
    }

    pub(crate) fn time(&self) -> Duration {
        self.time
    }

    pub(crate) fn is_success(&self) -> bool {
        self.counts().failed == 0
    }

    /// Whether any test ran.
    pub(crate) fn has_tests(&self) -> bool {
        let Counts { passed, failed, flaky, .. } = self.counts();
        passed + failed + flaky > 0
    }

    /// Makes it a failure that no test ran.
    pub(crate) fn require_tests(&mut self) {
        if !self.has_tests() {
            self.fail("no test ran".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_shell(script: &str) -> Outcome {
        let interrupt = Interrupt::install().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        // Not to standard output, where it would be counted as this program's own results.
        let mut outcome = watch("shell", &mut shell, &interrupt, SILENCE, std::io::sink()).unwrap();
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

    #[test]
    fn what_was_left_out_is_told_in_the_summary() {
        let mut outcome = run_shell("echo 'test result: ok. 2 passed; 0 failed; 0 ignored'");
        outcome.skip("official: not installed".to_owned());
        assert!(outcome.is_success());
        let summary = super::super::summary(&[outcome], 0);
        assert!(summary.starts_with("skipped under shell: official: not installed\n"), "{summary}");
        assert!(summary.ends_with("2 passed, 0 failed, 1 skipped"), "{summary}");
    }

    #[test]
    fn suite_that_falls_silent_is_ended_and_names_what_ran() {
        let interrupt = Interrupt::install().unwrap();
        let script = "echo 'test stuck has been running for over 60 seconds'; sleep 60";
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        let silence = Duration::from_millis(300);
        let outcome = watch("silent", &mut shell, &interrupt, silence, std::io::sink()).unwrap();
        assert_eq!(outcome.counts().failed, 1);
        assert!(outcome.failures()[0].ends_with("still running: stuck"), "{outcome:?}");
        assert!(outcome.time() < Duration::from_secs(10));
    }
}
