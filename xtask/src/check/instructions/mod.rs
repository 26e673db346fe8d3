//! How many instructions the hot paths take, held against tests/benches/instructions.toml.
//!
//! The paths are those of tests/benches/hot_paths, compiled in release for the default specification. Each runs
//! under valgrind's callgrind a number of times and twice as often; the difference is the paths' own, without
//! what prepares it. `budget` reads and judges, `callgrind` counts. A figure that a change of the compiler may have
//! moved fails nothing.

mod budget;
mod callgrind;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use self::budget::{Budget, MadeWith};
use crate::broker::Interrupt;
use crate::{project, scratch};

/// Instructions of each path, by its name.
type Counts = BTreeMap<String, f64>;

/// No path takes more than its budget; with `bless`, what they take becomes the budget.
pub(crate) fn check(bless: bool) -> Result<String> {
    let interrupt = Interrupt::install()?;
    if let Some(reason) = callgrind::missing()? {
        if bless {
            bail!("{reason}");
        }
        return Ok(format!("skipped: {reason}"));
    }
    let with = MadeWith::found()?;
    let counts = callgrind::count(&build()?, &interrupt)?;
    if bless {
        return Budget::new(with, counts).write();
    }
    let budget = Budget::read()?;
    let verdict = budget.judge(&with, &counts);
    let text = verdict.lines.join("\n");
    if verdict.failed {
        let folder = project::shown(&callgrind::folder()?);
        bail!(
            "{text}\nto see where they go: callgrind_annotate {folder}/PATH.out\n\
             to accept them: cargo xtask check instructions --bless"
        );
    }
    Ok(text)
}

/// The program, compiled.
fn build() -> Result<PathBuf> {
    let mut cargo = project::cargo();
    cargo.args(["build", "--quiet", "--release", "--package", "amqp-tests"]);
    cargo.args(["--bench", "hot_paths", "--message-format=json-render-diagnostics"]);
    cargo.env_remove("AMQP_SPEC").stderr(Stdio::inherit());
    let out = cargo.output().context("cannot run cargo build")?;
    if !out.status.success() {
        bail!("the hot paths do not compile");
    }
    let messages = String::from_utf8_lossy(&out.stdout).into_owned();
    let program = scratch::executable_of("hot_paths", &messages);
    program.context("cargo built no program")
}

/// What a program prints, without the line's end.
fn printed(command: &mut Command) -> Result<String> {
    let out = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !out.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&out.stderr).trim_end());
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim_end().to_owned())
}
