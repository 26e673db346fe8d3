//! `spec check`: ours against the official files, and every official file through the macro.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};

use super::deviations::Deviations;
use super::diff::diff;
use super::model::Spec;
use super::round_trip::Files;
use super::{bundled, package};

/// Runs all of it, installing Debian's package amqp-specs if it is missing and we may.
pub(crate) fn run() -> Result<()> {
    package::ensure()?;
    print!("{}", compare()?);
    println!("compiling every official file ...");
    let files = Files::find()?;
    print!("{}", files.round_trip()?);
    print!("{}", files.refuse()?);
    Ok(())
}

/// The same as a step of `cargo xtask check`, which must also work where the package is not and
/// cannot be installed.
pub(crate) fn step() -> Result<String> {
    if !package::is_installed() && !package::may_install() {
        return Ok("skipped: Debian's package amqp-specs is not installed".to_owned());
    }
    package::ensure()?;
    let files = Files::find()?;
    let lines = [compare()?, files.round_trip()?, files.refuse()?];
    let [compared, compiled, refused] = lines.map(|lines| lines.lines().count());
    Ok(format!("{compared} compared, {compiled} compiled, {refused} refused"))
}

/// Compares each of ours with its official file: a line for each.
fn compare() -> Result<String> {
    let deviations = Deviations::read()?;
    let mut problems = deviations.strays(|name| bundled::by_name(name).is_some());
    let mut lines = String::new();
    for ours in bundled::all() {
        let official = package::file(ours.official)
            .with_context(|| format!("the package has no single file in {}", ours.official))?;
        let differences = diff(&Spec::read(&official)?, &Spec::read(&ours.path())?);
        let found = deviations.judge(ours.name, &differences);
        let verdict = if found.is_empty() { "ok" } else { "FAILED" };
        let listed = deviations.count(ours.name);
        writeln!(
            lines,
            "{verdict:6} {} is official {}, {listed} listed deviations",
            ours.file, ours.official
        )?;
        problems.extend(found);
    }
    if problems.is_empty() {
        return Ok(lines);
    }
    bail!(
        "{lines}{}\na difference that is meant goes into amqp-types/specs/deviations.toml, with its \
         reason",
        problems.join("\n")
    )
}
