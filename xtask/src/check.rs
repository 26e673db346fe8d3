//! `cargo xtask check`: format, lints, docs, layers, dependencies, surface files.

use anyhow::{Result, bail};

/// Everything about the code that is no test.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(args: Args) -> Result<()> {
    bail!("not here yet ({args:?})")
}
