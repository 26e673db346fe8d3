//! `cargo xtask broker`: the private RabbitMQ node that demo and the broker tests use.
//!
//! `install` finds (or installs) RabbitMQ, `node` lays out a node, `keeper` owns its processes, `lease`
//! starts and stops it, `probe` asks whether it answers. `demo`, `test` and `bench` use [`Lease`] and
//! [`Interrupt`]. Nothing here may signal a process that no node of ours started (see `process`), or
//! listen beyond 127.0.0.1.

mod install;
mod interrupt;
mod keeper;
mod lease;
mod node;
mod probe;
mod process;
mod progress;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

pub(crate) use interrupt::Interrupt;
pub(crate) use lease::Lease;
pub(crate) use progress::Progress;

/// The private broker of this checkout.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: keep one broker over many test runs
  cargo xtask broker start
  cargo xtask test --spec 0-8 -- confirm
  cargo xtask broker stop")]
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
    /// Run a node until told to stop
    #[command(hide = true)]
    Keep {
        /// The node's
        folder: PathBuf,
    },
}

pub(crate) fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Start => start(),
        Command::Stop => stop(),
        Command::Status => status(),
        Command::Logs => logs(),
        Command::Keep { folder } => keeper::keep(&folder),
    }
}

fn start() -> Result<()> {
    if let Some(node) = lease::detached()? {
        tell(&node);
        return Ok(());
    }
    let lease = Lease::start(true, &Interrupt::install()?)?;
    tell(lease.node());
    Ok(())
}

fn stop() -> Result<()> {
    let Some(node) = lease::detached()? else { bail!("no broker runs") };
    lease::stop_detached(&node)?;
    println!("{} is stopped ({})", lease::product(&node), node.name);
    Ok(())
}

fn status() -> Result<()> {
    let Some(node) = lease::detached()? else { bail!("no broker runs; cargo xtask broker start") };
    probe::product(node.port, std::time::Duration::from_secs(5))
        .with_context(|| format!("{} does not answer", node.url()))?;
    tell(&node);
    Ok(())
}

fn logs() -> Result<()> {
    let Some(node) = lease::detached()? else { bail!("no broker runs") };
    let mut log = std::fs::File::open(node.log()).context("its log")?;
    std::io::copy(&mut log, &mut std::io::stdout().lock())?;
    Ok(())
}

fn tell(node: &node::Node) {
    println!("{} runs at {}", lease::product(node), node.url());
    println!("  node    {}", node.name);
    println!("  folder  {}", node.folder.display());
    println!("  ask it  {} list_queues", node.ctl().display());
    println!("For the broker tests by hand (cargo test -p amqp-tests --all-features):");
    for (name, value) in node.test_environment() {
        println!("  export {name}='{value}'");
    }
}
