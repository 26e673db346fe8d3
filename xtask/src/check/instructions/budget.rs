//! The budget file: reading it, judging by it, writing it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{Counts, printed};
use crate::project;

const FILE: &str = "tests/benches/instructions.toml";

/// Percent by which a path may be over its budget. What lies together in a unit of code generation changes with
/// every change of the sources, and with it what is inlined.
const TOLERANCE: f64 = 3.0;
/// Percent under its budget from which on a path is said to have too much.
const SLACK: f64 = 10.0;
/// Percent from which on a difference is told.
const WORTH_TELLING: f64 = 1.0;

const HEAD: &str = "\
# What each run of a hot path (tests/benches/hot_paths) may take, in instructions. `cargo xtask check instructions`
# counts them with valgrind and fails beyond the tolerance; `cargo xtask check instructions --bless` writes this file.
#
# Counts do not depend on how busy the machine is or how fast. They do depend on the compiler and the C library: by
# others than those named here, paths are compared but nothing fails.
";

/// What the counts may be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    tolerance_percent: f64,
    made_with: MadeWith,
    instructions: Counts,
}

/// What the counts depend on besides the sources.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MadeWith {
    rustc: String,
    target: String,
    libc: String,
}

/// What to tell, and whether a path is over its budget.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) lines: Vec<String>,
    pub(crate) failed: bool,
}

impl MadeWith {
    /// Those of this machine.
    pub(crate) fn found() -> Result<Self> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let version = printed(Command::new(rustc).arg("--version"))?;
        let rustc = version.split(' ').nth(1).unwrap_or_default().to_owned();
        // No glibc, no such program.
        let libc = printed(Command::new("getconf").arg("GNU_LIBC_VERSION"));
        let libc = libc.unwrap_or_else(|_| "another".to_owned());
        Ok(Self { rustc, target: project::host()?, libc })
    }
}

impl Budget {
    /// A budget of exactly these counts.
    pub(crate) fn new(made_with: MadeWith, instructions: Counts) -> Self {
        Self { tolerance_percent: TOLERANCE, made_with, instructions }
    }

    pub(crate) fn read() -> Result<Self> {
        toml::from_str(&project::read(&path())?).context(FILE)
    }

    /// Writes the file, and tells what it differs in from what it was, whose tolerance it keeps.
    pub(crate) fn write(mut self) -> Result<String> {
        let mut lines = vec![format!("{FILE} written")];
        if let Ok(old) = Self::read() {
            self.tolerance_percent = old.tolerance_percent;
            lines.extend(old.judge(&self.made_with, &self.instructions).lines);
        }
        project::write_if_changed(&path(), &self.text())?;
        Ok(lines.join("\n"))
    }

    fn text(&self) -> String {
        let Self { tolerance_percent, made_with: MadeWith { rustc, target, libc }, .. } = self;
        let mut text = format!(
            "{HEAD}\ntolerance_percent = {tolerance_percent:.1}\n\n[made_with]\nrustc = {rustc:?}\n\
             target = {target:?}\nlibc = {libc:?}\n\n[instructions]\n"
        );
        for (path, count) in &self.instructions {
            text += &format!("{path} = {count:.0}\n");
        }
        text
    }

    /// Compares what was counted.
    pub(crate) fn judge(&self, with: &MadeWith, counts: &Counts) -> Verdict {
        let same = self.made_with == *with;
        let mut verdict = Verdict { lines: Vec::new(), failed: false };
        let mut over = 0;
        for (path, &count) in counts {
            let Some(&budget) = self.instructions.get(path) else {
                verdict.lines.push(format!("{path}: {count:.0}, no budget"));
                verdict.failed = true;
                continue;
            };
            let percent = (count / budget - 1.0) * 100.0;
            let remark = match percent {
                _ if percent > self.tolerance_percent => {
                    over += 1;
                    ": over budget"
                }
                _ if percent < -SLACK => ": the budget should be tightened (--bless)",
                _ if percent.abs() >= WORTH_TELLING => "",
                _ => continue,
            };
            verdict
                .lines
                .push(format!("{path}: {count:.0} of {budget:.0}, {percent:+.1} %{remark}"));
        }
        for path in self.instructions.keys().filter(|path| !counts.contains_key(*path)) {
            verdict.lines.push(format!("{path}: a budget, but no such path"));
            verdict.failed = true;
        }
        verdict.failed |= same && over > 0;
        let head = format!(
            "{} paths, {over} over budget by more than {} %",
            counts.len(),
            self.tolerance_percent
        );
        let judged = match same {
            true => String::new(),
            false => {
                format!(" (not judged: counted with {with}, the budget with {})", self.made_with)
            }
        };
        verdict.lines.insert(0, head + &judged);
        verdict
    }
}

impl std::fmt::Display for MadeWith {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rustc, target, libc } = self;
        write!(f, "rustc {rustc}, {target}, {libc}")
    }
}

fn path() -> PathBuf {
    project::root().join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(rustc: &str) -> MadeWith {
        let [rustc, target, libc] = [rustc, "x86_64", "glibc 2.36"].map(str::to_owned);
        MadeWith { rustc, target, libc }
    }

    fn counts(counts: &[(&str, f64)]) -> Counts {
        counts.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect()
    }

    fn judged(rustc: &str, found: &[(&str, f64)]) -> Verdict {
        let budget = Budget::new(with("1.95.0"), counts(&[("call", 1000.0), ("publish", 100.0)]));
        budget.judge(&with(rustc), &counts(found))
    }

    #[test]
    fn over_budget_fails_and_names_path_count_and_budget() {
        let verdict = judged("1.95.0", &[("call", 1000.0), ("publish", 104.0)]);
        assert!(verdict.failed);
        assert_eq!(verdict.lines[1..], ["publish: 104 of 100, +4.0 %: over budget"]);
    }

    #[test]
    fn within_tolerance_or_far_under_budget_is_told_only() {
        let verdict = judged("1.95.0", &[("call", 1029.0), ("publish", 80.0)]);
        assert!(!verdict.failed);
        let [_, call, publish] = verdict.lines.as_slice() else { panic!("{verdict:?}") };
        assert_eq!(call, "call: 1029 of 1000, +2.9 %");
        assert!(
            publish.ends_with("-20.0 %: the budget should be tightened (--bless)"),
            "{publish}"
        );
    }

    #[test]
    fn another_compiler_fails_nothing_but_a_path_without_budget_does() {
        let verdict = judged("1.96.0", &[("call", 2000.0), ("publish", 100.0)]);
        assert!(!verdict.failed);
        assert!(verdict.lines[0].contains("counted with rustc 1.96.0"), "{verdict:?}");
        assert!(judged("1.95.0", &[("call", 1000.0)]).failed);
        assert!(judged("1.95.0", &[("call", 1.0), ("publish", 1.0), ("new", 1.0)]).failed);
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let budget = Budget::new(with("1.95.0"), counts(&[("publish-16", 331.0)]));
        let read: Budget = toml::from_str(&budget.text()).unwrap();
        assert_eq!(read.made_with, budget.made_with);
        assert_eq!(read.instructions, budget.instructions);
        assert_eq!(read.tolerance_percent, TOLERANCE);
    }
}
