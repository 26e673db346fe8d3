//! `spec surface`: amqp-types/specs/surface, a file for each spec with a line for each method.
//!
//! A change of a spec, or of how the macro reads it, shows there in a form a reviewer can read.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::bundled::{self, Ours};
use super::emitted;
use crate::project;

const BLESS: &str = "cargo xtask spec surface --bless";

/// Prints what is different; with `bless` writes it.
pub(crate) fn run(bless: bool) -> Result<()> {
    if bless {
        for ours in bundled::all() {
            project::write_if_changed(&file(ours), &emitted::surface_of(&ours.path())?)?;
            println!("{}", project::shown(&file(ours)));
        }
        return Ok(());
    }
    println!("{}", check()?);
    Ok(())
}

/// The files are as the macro's model has the specs.
pub(crate) fn check() -> Result<String> {
    let mut problems = Vec::new();
    let mut lines = 0;
    for ours in bundled::all() {
        let path = file(ours);
        let now = emitted::surface_of(&ours.path())?;
        let was = std::fs::read_to_string(&path).unwrap_or_default();
        lines += now.lines().count();
        if was != now {
            problems.push(format!("{}:\n{}", project::shown(&path), changes(&was, &now)));
        }
    }
    if problems.is_empty() {
        return Ok(format!("{lines} lines as in the surface files"));
    }
    bail!("{}\nif that is meant: {BLESS}", problems.join("\n"))
}

fn file(ours: &Ours) -> PathBuf {
    project::specs().join("surface").join(format!("{}.txt", ours.name))
}

/// Lines that are in only one of the two. Lines that merely moved show as a reordering.
fn changes(was: &str, now: &str) -> String {
    let only = |side: &str, other: &str, sign: char| {
        let lines = side.lines().filter(|line| !other.lines().any(|there| there == *line));
        lines.map(|line| format!("{sign} {line}")).collect::<Vec<_>>()
    };
    let mut lines = only(was, now, '-');
    lines.extend(only(now, was, '+'));
    if lines.is_empty() {
        lines.push("~ the same lines in another order".to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::changes;

    #[test]
    fn changed_lines_are_told_with_their_sign() {
        assert_eq!(changes("a\nb\n", "a\nc\n"), "- b\n+ c");
        assert_eq!(changes("a\nb\n", "b\na\n"), "~ the same lines in another order");
    }
}
