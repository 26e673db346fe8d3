//! `cargo xtask demo`: the article's session against a real broker, each step told.

use anyhow::{Result, bail};

/// See messages go through a real broker.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask demo                                          RabbitMQ's dialect of 0-9-1
  cargo xtask demo --spec 0-8                               the article's session, in AMQP 0-8
  cargo xtask demo --url amqp://guest:guest@localhost:5672  against your own broker")]
pub(crate) struct Args {
    /// 0-8, 0-9, 0-9-1, rabbitmq, or the path of an XML file
    #[arg(long, default_value = "rabbitmq")]
    spec: String,
    /// Use this broker instead of starting a private one
    #[arg(long)]
    url: Option<String>,
}

pub(crate) fn run(args: Args) -> Result<()> {
    bail!("not here yet (spec {}, url {:?})", args.spec, args.url)
}
