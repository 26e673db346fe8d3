//! `spec check`: ours against the official files, and every official file through the macro.

use anyhow::{Context as _, Result, bail};

use super::deviations::Deviations;
use super::diff::diff;
use super::model::Spec;
use super::{bundled, package};

/// Runs all of it, installing Debian's package amqp-specs if it is missing and we may.
pub(crate) fn quietly() -> Result<String> {
    anyhow::bail!("not here yet")
}

pub(crate) fn run() -> Result<()> {
    package::ensure()?;
    let problems = compare()?;
    if problems == 0 {
        return Ok(());
    }
    bail!(
        "{problems} problems; a difference that is meant goes into deviations.toml, with its reason"
    )
}

/// Compares each of ours with its official file; prints and counts what is wrong.
fn compare() -> Result<usize> {
    let deviations = Deviations::read()?;
    let mut problems = deviations.strays(|name| bundled::by_name(name).is_some());
    for ours in bundled::all() {
        let official = package::file(ours.official)
            .with_context(|| format!("the package has no single file in {}", ours.official))?;
        let differences = diff(&Spec::read(&official)?, &Spec::read(&ours.path())?);
        let found = deviations.judge(ours.name, &differences);
        let verdict = if found.is_empty() { "ok" } else { "FAILED" };
        let listed = deviations.count(ours.name);
        println!(
            "{verdict:6} {} = official {}, {listed} listed deviations",
            ours.file, ours.official
        );
        problems.extend(found);
    }
    for problem in &problems {
        println!("{problem}");
    }
    Ok(problems.len())
}
