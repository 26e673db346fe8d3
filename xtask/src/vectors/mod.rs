//! `cargo xtask vectors DIR`: checks the codec against a folder of byte-exact vectors.
//!
//! The checking itself is amqp-types' example `vectors`, generic over the protocol. Here each spec
//! that the files name is found, all are compiled next to that code, and the program is run.

mod program;
mod resolve;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use self::program::Program;
use crate::spec::choice;

/// Check the codec against a folder of byte-exact vectors.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every vector names its spec by a key. Its XML is DIR/KEY.xml if there, else the folder KEY of
Debian's package amqp-specs, else the spec of that name from `cargo xtask spec list`.

Examples:
  cargo xtask vectors path/to/vectors
  cargo xtask vectors --spec rabbitmq path/to/vectors    all files against one spec
  cargo xtask vectors --spec my.xml path/to/vectors")]
pub(crate) struct Args {
    /// Compile this spec and check all files against it, instead of the one each file names
    /// [default: AMQP_SPEC if set]
    #[arg(long, value_name = "NAME|PATH")]
    spec: Option<String>,
    /// The folder with the JSON files
    dir: PathBuf,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let files = json_files(&args.dir)?;
    if files.is_empty() {
        bail!("no .json file in {}: nothing was checked", args.dir.display());
    }
    let specs = match choice::chosen(args.spec)? {
        Some(spec) => resolve::one(&spec)?,
        None => resolve::named_by(&files, &args.dir)?,
    };
    let program = Program::build(specs)?;
    let status = program.run(&files)?;
    if status.success() {
        return Ok(());
    }
    bail!("the vectors did not all pass ({status})")
}

fn json_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(std::path::absolute(path)?);
        }
    }
    files.sort();
    Ok(files)
}
