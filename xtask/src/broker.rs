//! `cargo xtask broker`: the private RabbitMQ nodes that demo and the broker tests use.
//!
//! `install` finds (or installs) RabbitMQ, `node` lays out a node, `keeper` owns its processes, `lease` and
//! `starting` start and stop it, `probe` asks whether it answers, `lend` gives nodes to a test that needs some
//! of its own. `demo`, `test`, `soak` and `bench` use [`Lease`] and [`Interrupt`]. Nothing here may signal a
//! process that no node of ours started (see `process`), or listen beyond 127.0.0.1.

mod install;
mod interrupt;
mod keeper;
mod lease;
mod lend;
mod node;
mod ports;
mod probe;
mod process;
mod progress;
mod starting;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

pub(crate) use interrupt::Interrupt;
pub(crate) use lease::Lease;
pub(crate) use lend::told;
pub(crate) use progress::Progress;

/// The private broker of this checkout.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: keep one broker over many test runs
  cargo xtask broker start
  cargo xtask test --spec 0-8 -- confirm
  cargo xtask broker stop

Example: a cluster of three nodes, of which one is killed and started again
  cargo xtask broker start --nodes 3
  target/broker/amqp-<pid>-<port>/ctl kill
  target/broker/amqp-<pid>-<port>/ctl start
  cargo xtask broker stop")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Start it, or tell where it already runs
    Start {
        /// How many nodes it has, as a cluster: an odd number, as queues are kept by a majority
        #[arg(long, value_name = "N", default_value = "1", value_parser = nodes)]
        nodes: usize,
    },
    /// Stop it and remove its data
    Stop,
    /// Tell whether it runs, where, and which version it is
    Status,
    /// Print its log, of a cluster those of all nodes
    Logs,
    /// Run a node until told to stop
    #[command(hide = true)]
    Keep {
        /// The node's
        folder: PathBuf,
    },
    /// Run nodes for as long as standard input is open, and print where they are
    #[command(hide = true)]
    Lend {
        /// How many
        #[arg(long, default_value = "1", value_parser = nodes)]
        nodes: usize,
    },
}

/// Most nodes of a cluster: more do not fit one machine, and are of no use to quorum queues.
const NODES_MAX: usize = 7;

/// How many nodes are wanted, if that makes sense.
pub(crate) fn nodes(text: &str) -> Result<usize, String> {
    let count: usize = text.parse().map_err(|error| format!("{error}"))?;
    match count {
        0 => Err("a broker has at least one node".to_owned()),
        count if count > NODES_MAX => Err(format!("at most {NODES_MAX}")),
        count if count.is_multiple_of(2) => {
            Err(format!("an even number outvotes no more failures than {}", count - 1))
        }
        count => Ok(count),
    }
}

pub(crate) fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Start { nodes } => start(nodes),
        Command::Stop => stop(),
        Command::Status => status(),
        Command::Logs => logs(),
        Command::Keep { folder } => keeper::keep(&folder),
        Command::Lend { nodes } => lend::lend(nodes),
    }
}

fn start(count: usize) -> Result<()> {
    let running = lease::detached()?;
    if running.is_empty() {
        let lease = Lease::start(true, count, &Interrupt::install()?)?;
        tell_all(&lease.nodes().cloned().collect::<Vec<_>>());
        return Ok(());
    }
    if running.len() != count {
        bail!(
            "a broker of {} runs already, and {count} were asked for; cargo xtask broker stop",
            if running.len() == 1 {
                "1 node".to_owned()
            } else {
                format!("{} nodes", running.len())
            }
        );
    }
    tell_all(&running);
    Ok(())
}

fn stop() -> Result<()> {
    let nodes = lease::detached()?;
    if nodes.is_empty() {
        bail!("no broker runs");
    }
    lease::stop_detached(&nodes)?;
    for node in &nodes {
        println!("{} is stopped ({})", lease::product(node), node.name);
    }
    Ok(())
}

fn status() -> Result<()> {
    let nodes = lease::detached()?;
    if nodes.is_empty() {
        bail!("no broker runs; cargo xtask broker start");
    }
    let mut silent = Vec::new();
    for node in &nodes {
        if let Err(error) = probe::product(node.port, std::time::Duration::from_secs(5)) {
            silent.push(format!("{} does not answer: {error}", node.url()));
        }
    }
    if silent.len() < nodes.len() {
        tell_all(&nodes);
    }
    if !silent.is_empty() {
        bail!("{}", silent.join("; "));
    }
    Ok(())
}

fn logs() -> Result<()> {
    let nodes = lease::detached()?;
    if nodes.is_empty() {
        bail!("no broker runs");
    }
    for node in &nodes {
        if nodes.len() > 1 {
            println!("=== {}", node.name);
        }
        let mut log = std::fs::File::open(node.log()).context("its log")?;
        std::io::copy(&mut log, &mut std::io::stdout().lock())?;
    }
    Ok(())
}

fn tell_all(nodes: &[node::Node]) {
    for node in nodes {
        println!("{} runs at {}", lease::product(node), node.url());
        println!("  node    {}", node.name);
        println!("  folder  {}", node.folder.display());
        println!("  ask it  {} list_queues", node.ctl().display());
    }
    // The broker tests want a broker that they see the whole of.
    if let [node] = nodes {
        println!("For the broker tests by hand (cargo test -p amqp-tests --all-features):");
        for (name, value) in node.test_environment() {
            println!("  export {name}='{value}'");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::nodes;

    #[test]
    fn a_number_of_nodes_that_makes_no_sense_is_refused_with_the_reason() {
        assert_eq!(["1", "3", "7"].map(nodes), [Ok(1), Ok(3), Ok(7)]);
        for (text, reason) in [
            ("0", "at least one"),
            ("2", "outvotes no more failures than 1"),
            ("9", "at most 7"),
            ("-3", "invalid digit"),
            ("many", "invalid digit"),
        ] {
            let error = nodes(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
