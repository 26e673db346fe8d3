//! `cargo xtask broker`: the private RabbitMQ node that demo and the broker tests use.

use anyhow::{Result, bail};

/// The private broker of this checkout.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Start it, or tell where it already runs
    Start,
    /// Stop it and remove its data
    Stop,
    /// Tell whether it runs, where, and which version it is
    Status,
    /// Print its log
    Logs,
}

pub(crate) fn run(args: Args) -> Result<()> {
    bail!("not here yet ({:?})", args.command)
}
