//! `cargo xtask spec`: list, check and compare protocol specifications.

use anyhow::{Result, bail};

/// Protocol specifications.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The bundled specifications: version, protocol header, how many classes and methods
    List,
    /// Compare ours with the official files, and compile every official file
    Check,
    /// One line per method of each bundled spec: check or write the surface files
    Surface,
    /// What differs between two specifications
    Diff {
        /// A bundled name or the path of an XML file
        a: String,
        /// A bundled name or the path of an XML file
        b: String,
    },
    /// What the macro emits for a class or a method, formatted
    Expand {
        /// For example basic.publish
        item: String,
    },
}

pub(crate) fn run(args: Args) -> Result<()> {
    bail!("not here yet ({:?})", args.command)
}
