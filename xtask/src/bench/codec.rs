//! `--case codec`: the micro-benchmarks of tests/bench, run by cargo, and their figures read.
//!
//! They print divan's tree: operations, and below each operation one line for every implementation.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use super::programs;
use super::results::Results;
use crate::broker::Interrupt;
use crate::project;

/// The figures, in the order in which they were printed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Codec {
    pub(crate) figures: Vec<Figure>,
}

/// How long an implementation takes for an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) operation: String,
    pub(crate) implementation: String,
    /// The median.
    pub(crate) nanoseconds: f64,
}

impl Codec {
    /// The operations, each once.
    pub(crate) fn operations(&self) -> Vec<&str> {
        let mut operations: Vec<&str> = Vec::new();
        for figure in &self.figures {
            if !operations.contains(&figure.operation.as_str()) {
                operations.push(&figure.operation);
            }
        }
        operations
    }

    /// The implementations, each once.
    pub(crate) fn implementations(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for figure in &self.figures {
            if !names.contains(&figure.implementation.as_str()) {
                names.push(&figure.implementation);
            }
        }
        names.sort_by_key(|&name| name != super::catalogue::OURS);
        names
    }

    pub(crate) fn nanoseconds(&self, operation: &str, implementation: &str) -> Option<f64> {
        let is = |it: &&Figure| it.operation == operation && it.implementation == implementation;
        self.figures.iter().find(is).map(|figure| figure.nanoseconds)
    }
}

/// Runs them, passes on what they print, and reads it.
pub(crate) fn run(interrupt: &Interrupt, results: &mut Results) -> Result<()> {
    println!("the codec's micro-benchmarks:");
    let mut cargo = programs::cargo("bench")?;
    cargo.args(["--quiet", "--bench", "codec"]).env("NO_COLOR", "1").stdout(Stdio::piped());
    interrupt.check()?;
    let mut child = Interrupt::spawn(&mut cargo)?;
    let output = child.stdout.take().context("cargo's output")?;
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("  {line}");
            text += &line;
            text.push('\n');
        }
        Ok::<_, std::io::Error>(text)
    });
    let status = interrupt.wait(&mut child, || Ok(()))?;
    let text = reader.join().map_err(|_| anyhow!("reading the figures panicked"))??;
    if !status.success() {
        return Err(project::Told.into());
    }
    let codec = Codec { figures: figures(&text) };
    if codec.figures.is_empty() {
        bail!("the codec's micro-benchmarks told no figures");
    }
    results.codec = Some(codec);
    Ok(())
}

/// The leaves of divan's tree: `├─ name  fastest │ slowest │ median │ mean │ samples │ iters`, below
/// branches that are indented by three columns a level.
fn figures(text: &str) -> Vec<Figure> {
    let mut path: Vec<&str> = Vec::new();
    let mut figures = Vec::new();
    for line in text.lines() {
        let Some((indent, rest)) = line.split_once("─ ") else { continue };
        let depth = indent.chars().count().saturating_sub(1) / 3;
        let Some(name) = rest.split_whitespace().next() else { continue };
        path.truncate(depth);
        let median = rest.split('│').nth(2).and_then(nanoseconds);
        if let (Some(nanoseconds), false) = (median, path.is_empty()) {
            figures.push(Figure {
                operation: path.join(" ").replace('_', " "),
                implementation: name.replace('_', "-"),
                nanoseconds,
            });
        }
        path.push(name);
    }
    figures
}

/// `12.3 ns` and the like.
fn nanoseconds(text: &str) -> Option<f64> {
    let (value, unit) = text.trim().split_once(' ')?;
    let factor = match unit {
        "ps" => 1e-3,
        "ns" => 1.0,
        "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return None,
    };
    Some(value.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
Timer precision: 20 ns
codec                      fastest       │ slowest       │ median        │ mean          │ samples │ iters
├─ decode                                │               │               │               │         │
│  ├─ header_10                          │               │               │               │         │
│  │  ├─ amq_protocol      1.2 µs        │ 2 µs          │ 1.25 µs       │ 1.3 µs        │ 100     │ 6400
│  │  ╰─ ours              180.1 ns      │ 200 ns        │ 190.5 ns      │ 190 ns        │ 100     │ 6400
│  ╰─ ack                                │               │               │               │         │
│     ╰─ ours              2.5 ns        │ 3 ns          │ 2.75 ns       │ 2.8 ns        │ 100     │ 6400
╰─ encode                                │               │               │               │         │
   ╰─ ack                                │               │               │               │         │
      ╰─ ours              999 ps        │ 1 ns          │ 1 ns          │ 1 ns          │ 100     │ 6400
";

    #[test]
    fn figures_are_the_medians_of_the_leaves() {
        let codec = Codec { figures: figures(TREE) };
        assert_eq!(codec.operations(), ["decode header 10", "decode ack", "encode ack"]);
        assert_eq!(codec.implementations(), ["ours", "amq-protocol"]);
        assert_eq!(codec.nanoseconds("decode header 10", "amq-protocol"), Some(1250.0));
        assert_eq!(codec.nanoseconds("decode ack", "ours"), Some(2.75));
        assert_eq!(codec.nanoseconds("encode ack", "ours"), Some(1.0));
        assert_eq!(codec.nanoseconds("encode ack", "amq-protocol"), None);
    }
}
