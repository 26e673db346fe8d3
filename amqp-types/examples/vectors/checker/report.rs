//! What passed, failed and was skipped, and how it is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

/// How a vector did not pass.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The codec and the vector disagree, or the vector makes no sense.
    Failed(String),
    /// It was not checked, for this reason.
    Skipped(String),
}

impl From<String> for Fault {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

impl From<&str> for Fault {
    fn from(text: &str) -> Self {
        Self::Failed(text.to_owned())
    }
}

/// The outcome of one vector.
pub(crate) type Outcome = Result<(), Fault>;

/// So many failures of one file are told in full.
const TOLD: usize = 12;

#[derive(Debug, Default)]
struct Count {
    passed: usize,
    failed: usize,
    skipped: usize,
}

/// Collects outcomes; files and specs are begun in turn.
#[derive(Debug, Default)]
pub(crate) struct Report {
    file: String,
    told: usize,
    spec: String,
    in_file: BTreeMap<String, Count>,
    by_spec: BTreeMap<String, Count>,
    skipped: BTreeMap<String, usize>,
}

impl Report {
    /// What follows is of this file.
    pub(crate) fn begin_file(&mut self, path: &Path) {
        self.file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        self.told = 0;
        self.in_file.clear();
        self.begin_spec("*");
    }

    /// What follows is of this spec.
    pub(crate) fn begin_spec(&mut self, key: &str) {
        key.clone_into(&mut self.spec);
    }

    /// Takes an outcome in.
    pub(crate) fn record(&mut self, label: &str, outcome: Outcome) {
        match &outcome {
            Ok(()) => {}
            Err(Fault::Failed(why)) => {
                self.told += 1;
                if self.told <= TOLD {
                    println!("FAILED {}: {label}\n       {}", self.file, shortened(why));
                }
            }
            Err(Fault::Skipped(reason)) => *self.skipped.entry(reason.clone()).or_default() += 1,
        }
        for counts in [&mut self.in_file, &mut self.by_spec] {
            let count = counts.entry(self.spec.clone()).or_default();
            match &outcome {
                Ok(()) => count.passed += 1,
                Err(Fault::Failed(_)) => count.failed += 1,
                Err(Fault::Skipped(_)) => count.skipped += 1,
            }
        }
    }

    /// Tells about the file that was begun.
    pub(crate) fn end_file(&self) {
        if self.told > TOLD {
            println!("       ... and {} more", self.told - TOLD);
        }
        for (spec, count) in &self.in_file {
            println!("{:34} {spec:16} {}", self.file, count.told());
        }
        if self.in_file.is_empty() {
            println!("{:34} no vector in it", self.file);
        }
    }

    /// Tells the sum of all.
    pub(crate) fn finish(self) -> ExitCode {
        println!("\nby spec:");
        let mut sum = Count::default();
        for (spec, count) in &self.by_spec {
            println!("  {spec:16} {}", count.told());
            sum.passed += count.passed;
            sum.failed += count.failed;
            sum.skipped += count.skipped;
        }
        for (reason, count) in &self.skipped {
            println!("skipped {count}: {reason}");
        }
        println!("passed {}, failed {}, skipped {}", sum.passed, sum.failed, sum.skipped);
        if sum.passed + sum.failed == 0 {
            println!("nothing was checked");
        }
        if sum.failed == 0 && sum.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// The beginning of a long text: values can be of any length.
fn shortened(text: &str) -> String {
    const LENGTH: usize = 800;
    match text.char_indices().nth(LENGTH) {
        Some((at, _)) => format!("{} ... ({} octets)", text.get(..at).unwrap_or(text), text.len()),
        None => text.to_owned(),
    }
}

impl Count {
    fn told(&self) -> String {
        let mut text = format!("{:5} passed", self.passed);
        for (count, word) in [(self.failed, "FAILED"), (self.skipped, "skipped")] {
            if count > 0 {
                text.push_str(&format!(", {count} {word}"));
            }
        }
        text
    }
}
