//! `cargo xtask demo`: the article's session against a real broker, each step told.
//!
//! The session itself is an example of amqp-connector, `examples/demo.rs`: it shows how the crate is
//! used and knows nothing of xtask. Here it only gets a broker and a specification.

use anyhow::{Result, bail};

use crate::broker::{Interrupt, Lease};
use crate::project;
use crate::test::Spec;

/// See messages go through a real broker.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask demo                                          RabbitMQ's dialect of 0-9-1
  cargo xtask demo --spec 0-8                               the article's session, in AMQP 0-8
  cargo xtask demo --url amqp://guest:guest@localhost:5672  against your own broker

Without --url it starts a private RabbitMQ on loopback ports and stops it at the end; as root on
Debian it installs the package rabbitmq-server if there is none.")]
pub(crate) struct Args {
    /// 0-8, 0-9, 0-9-1, rabbitmq, or the path of an XML file
    #[arg(long, default_value = "rabbitmq")]
    spec: String,
    /// Use this broker instead of starting a private one
    #[arg(long)]
    url: Option<String>,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let spec = Spec::parse(&args.spec)?;
    let interrupt = Interrupt::install()?;
    // First, as a broker is of no use to a program that does not compile.
    session(&spec, "build", None, &interrupt)?;
    let Some(url) = args.url else {
        let lease = Lease::take(&interrupt)?;
        session(&spec, "run", Some(&lease.node().url()), &interrupt)?;
        return lease.end();
    };
    session(&spec, "run", Some(&url), &interrupt)
}

/// Builds or runs the session.
fn session(spec: &Spec, what: &str, url: Option<&str>, interrupt: &Interrupt) -> Result<()> {
    let mut cargo = project::cargo();
    cargo.args([what, "--package", "amqp-connector", "--example", "demo"]);
    if let Some(url) = url {
        cargo.args(["--quiet", "--", url]);
    }
    spec.select(&mut cargo)?;
    if !interrupt.run(&mut cargo)?.success() {
        bail!("the session failed");
    }
    Ok(())
}
