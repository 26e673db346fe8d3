//! `cargo xtask demo`: the article's session against a real broker or one in memory, each step told.
//!
//! The session itself is an example of amqp-connector, `examples/demo.rs`: it shows how the crate is
//! used and knows nothing of xtask. Here it only gets a broker and a specification. With `--embedded` it is
//! `examples/embedded.rs`, the same session with a broker that it brings along.

use anyhow::{Result, bail};

use crate::broker::{Interrupt, Lease};
use crate::project;
use crate::spec::choice;
use crate::test::Spec;
use crate::url::Url;

/// See messages go through a real broker.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask demo                                          RabbitMQ's dialect of 0-9-1
  cargo xtask demo --spec 0-8                               the article's session, in AMQP 0-8
  cargo xtask demo --url amqp://guest:guest@localhost:5672  against your own broker
  cargo xtask demo --embedded                               without RabbitMQ: a broker in memory

Without --url it starts a private RabbitMQ on loopback ports and stops it at the end; as root on
Debian it installs the package rabbitmq-server if there is none.")]
pub(crate) struct Args {
    /// 0-8, 0-9, 0-9-1, rabbitmq, or the path of an XML file [default: AMQP_SPEC if set, else rabbitmq]
    #[arg(long, value_name = "NAME|PATH")]
    spec: Option<String>,
    /// Use this broker instead of starting a private one: amqp://USER:PASSWORD@HOST:PORT/VHOST
    #[arg(long)]
    url: Option<String>,
    /// Use the connector's own broker in memory, on a loopback port: no RabbitMQ is needed
    #[arg(long, conflicts_with = "url")]
    embedded: bool,
}

/// An example of amqp-connector that is a session.
#[derive(Clone, Copy)]
enum Session {
    /// With the broker that it is told.
    Demo,
    /// With a broker of its own.
    Embedded,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let spec = Spec::parse(choice::chosen(args.spec)?.as_deref().unwrap_or("rabbitmq"))?;
    let given = args.url.as_deref().map(address).transpose()?;
    let interrupt = Interrupt::install()?;
    if args.embedded {
        session(&spec, "build", Session::Embedded, &[], &interrupt)?;
        return session(&spec, "run", Session::Embedded, &[], &interrupt);
    }
    // First, as a broker is of no use to a program that does not compile.
    session(&spec, "build", Session::Demo, &[], &interrupt)?;
    if let Some(address) = given {
        return session(&spec, "run", Session::Demo, &address, &interrupt);
    }
    let lease = Lease::take(&interrupt)?;
    let address = address(&lease.node().url())?;
    session(&spec, "run", Session::Demo, &address, &interrupt)?;
    lease.end()
}

/// Builds or runs the session.
fn session(
    spec: &Spec,
    what: &str,
    which: Session,
    address: &[String],
    interrupt: &Interrupt,
) -> Result<()> {
    let example = match which {
        Session::Demo => "demo",
        Session::Embedded => "embedded",
    };
    let mut cargo = project::cargo();
    cargo.args([what, "--package", "amqp-connector", "--example", example]);
    if what == "run" {
        cargo.args(["--quiet", "--"]).args(address);
    }
    spec.select(&mut cargo)?;
    let status = interrupt.run(&mut cargo)?;
    match status.code() {
        Some(0) => Ok(()),
        // Cargo or the session has said what is wrong.
        Some(_) => Err(project::Told.into()),
        None => bail!("cargo {what} of the session died ({status})"),
    }
}

/// The example's arguments: host, port, user, password, virtual host.
fn address(url: &str) -> Result<[String; 5]> {
    let Url { host, port, user, password, virtual_host, query } = Url::parse(url)?;
    if !query.is_empty() {
        bail!("--url: the demo takes no parameters (?{query})");
    }
    Ok([host, port, user, password, virtual_host])
}
