//! `cargo xtask soak`: a load at a steady rate while nodes are killed and links break, for as long as wanted.
//!
//! The load, the faults and the accounts are a program of amqp-tests, `soak`. Here it is built, and gets nodes that it may
//! kill; they end with this command, however that ends.

use std::hash::{BuildHasher as _, RandomState};
use std::process::Command;

use anyhow::{Result, bail};

use crate::broker::{self, Interrupt, Lease};
use crate::project;
use crate::spec::choice;
use crate::test::Spec;

/// Account for every message while brokers are killed and links break.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask soak --minutes 30             a broker that is killed and restarted
  cargo xtask soak --minutes 10 --nodes 3   a cluster whose leader is killed, with a quorum queue
  cargo xtask soak --seed 42                the faults of an earlier run again

Nodes are killed by SIGKILL and started again, connections are closed by the broker, links are cut, reset
and silenced, several at once. About once a minute the faults pause until all is accounted for. It fails if
a message is lost or comes again without a reason, an outcome stays away, or the memory grows.

Where a specification has no confirms, messages are published in transactions.")]
pub(crate) struct Args {
    /// For how long; parts of a minute are possible
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Messages a second
    #[arg(long, value_name = "N", default_value_t = 500)]
    rate: u32,
    /// Nodes of the broker, as a cluster if there are several
    #[arg(long, value_name = "N", default_value = "1", value_parser = broker::nodes)]
    nodes: usize,
    /// Which faults; any number [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// 0-8, 0-9, 0-9-1, rabbitmq, or the path of an XML file [default: AMQP_SPEC if set, else rabbitmq]
    #[arg(long, value_name = "NAME|PATH")]
    spec: Option<String>,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let seconds = seconds(args.minutes)?;
    let spec = Spec::parse(choice::chosen(args.spec)?.as_deref().unwrap_or("rabbitmq"))?;
    let interrupt = Interrupt::install()?;
    // First, as nodes are of no use to a program that does not compile.
    if !interrupt.run(&mut cargo(&spec, "build")?)?.success() {
        return Err(project::Told.into());
    }
    let seed = args.seed.unwrap_or_else(|| RandomState::new().hash_one(()) >> 32);
    let lease = Lease::start(false, args.nodes, &interrupt)?;
    // Two rounds of a short one, so that it is seen to go on after the first.
    let round = (seconds / 2).clamp(5, 45);
    let mut soak = cargo(&spec, "run")?;
    soak.arg("--")
        .args([seconds, u64::from(args.rate), seed, round].map(|number| number.to_string()));
    soak.env("AMQP_SOAK_NODES", broker::told(&lease));
    let status = interrupt.run(&mut soak);
    lease.end()?;
    match status?.code() {
        Some(0) => Ok(()),
        // It has said what is wrong.
        Some(_) => {
            eprintln!("the same faults again: cargo xtask soak --seed {seed}");
            Err(project::Told.into())
        }
        None => bail!("the soak died"),
    }
}

fn seconds(minutes: f64) -> Result<u64> {
    let seconds = (minutes * 60.0).ceil();
    if !(5.0..=31_536_000.0).contains(&seconds) {
        bail!("--minutes {minutes}: at least five seconds and at most a year");
    }
    Ok(std::time::Duration::from_secs_f64(seconds).as_secs())
}

/// Cargo, to build or run the program.
fn cargo(spec: &Spec, what: &str) -> Result<Command> {
    let mut cargo = project::cargo();
    cargo.args([what, "--quiet", "--package", "amqp-tests", "--bin", "soak"]);
    spec.select(&mut cargo)?;
    Ok(cargo)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn a_soak_has_a_length_that_makes_sense() {
        assert_eq!(seconds(0.5).unwrap(), 30);
        assert_eq!(seconds(30.0).unwrap(), 1800);
        for minutes in [0.0, -1.0, 0.01, f64::NAN, f64::INFINITY, 1e9] {
            assert!(seconds(minutes).is_err(), "{minutes}");
        }
    }
}
