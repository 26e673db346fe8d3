//! `cargo xtask vectors DIR`: checks the codec against a folder of byte-exact vectors.

use std::path::PathBuf;

use anyhow::{Result, bail};

/// Check the codec against a folder of vectors.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Compile this spec and check all files against it, instead of the one each file names
    #[arg(long, value_name = "NAME|PATH")]
    spec: Option<String>,
    /// The folder with the JSON files
    dir: PathBuf,
}

pub(crate) fn run(args: Args) -> Result<()> {
    bail!("not here yet (spec {:?}, folder {})", args.spec, args.dir.display())
}
