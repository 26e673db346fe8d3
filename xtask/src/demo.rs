//! `cargo xtask demo`: the article's session against a real broker, each step told.
//!
//! The session itself is an example of amqp-connector, `examples/demo.rs`: it shows how the crate is
//! used and knows nothing of xtask. Here it only gets a broker and a specification.

use anyhow::{Context as _, Result, bail};

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
    /// Use this broker instead of starting a private one: amqp://USER:PASSWORD@HOST:PORT/VHOST
    #[arg(long)]
    url: Option<String>,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let spec = Spec::parse(&args.spec)?;
    let given = args.url.as_deref().map(address).transpose()?;
    let interrupt = Interrupt::install()?;
    // First, as a broker is of no use to a program that does not compile.
    session(&spec, "build", &[], &interrupt)?;
    if let Some(address) = given {
        return session(&spec, "run", &address, &interrupt);
    }
    let lease = Lease::take(&interrupt)?;
    let address = address(&lease.node().url())?;
    session(&spec, "run", &address, &interrupt)?;
    lease.end()
}

/// Builds or runs the session.
fn session(spec: &Spec, what: &str, address: &[String], interrupt: &Interrupt) -> Result<()> {
    let mut cargo = project::cargo();
    cargo.args([what, "--package", "amqp-connector", "--example", "demo"]);
    if !address.is_empty() {
        cargo.args(["--quiet", "--"]).args(address);
    }
    spec.select(&mut cargo)?;
    let status = interrupt.run(&mut cargo)?;
    if !status.success() {
        bail!("cargo {what} of the session failed ({status})");
    }
    Ok(())
}

/// The example's arguments: host, port, user, password, virtual host.
fn address(url: &str) -> Result<[String; 5]> {
    let what = "a URL is amqp://USER:PASSWORD@HOST:PORT/VHOST, all but the host optional";
    let rest = url.strip_prefix("amqp://").context(what)?;
    let (authority, virtual_host) = rest.split_once('/').unwrap_or((rest, "%2f"));
    let (credentials, server) = authority.rsplit_once('@').unwrap_or(("guest:guest", authority));
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, "guest"));
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (server, "5672"),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || port.parse::<u16>().is_err() {
        bail!("`{url}`: {what}");
    }
    let [user, password, virtual_host] =
        [user, password, virtual_host].map(|part| decoded(part).context(what));
    Ok([host.to_owned(), port.to_owned(), user?, password?, virtual_host?])
}

/// The text behind percent-encoding.
fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut octets = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        octets.push(u8::from_str_radix(digits, 16).ok()?);
        octets.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_fills_what_the_url_leaves_out() {
        let of = |url: &str| address(url).unwrap().join(" ");
        assert_eq!(of("amqp://localhost"), "localhost 5672 guest guest /");
        assert_eq!(of("amqp://u:p%40q@h:1/a%20b"), "h 1 u p@q a b");
        assert_eq!(of("amqp://[::1]:7/%2f"), "::1 7 guest guest /");
        assert_eq!(of("amqp://[::1]"), "::1 5672 guest guest /");
        for wrong in ["localhost", "amqp://", "amqp://h:port", "amqp://h/%2"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
