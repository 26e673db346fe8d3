//! The command line as types. What each option means stands here, since this is where `--help` takes it from.
//!
//! Parsing only: nothing here talks to a broker.

mod message;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use message::MessageArgs;
pub(crate) use values::{Entry, seconds};

/// What stands below every help.
const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    the broker refused or failed it, or a file could not be read
  2    the command line cannot be used
  3    no connection: not reached, not an AMQP server, or authentication refused
  4    nothing there: an empty queue, or no message in time
  5    published, but returned or nacked
  130  interrupted";

/// An AMQP client for the command line.
#[derive(Debug, Parser)]
#[command(name = "amqp", version, about, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which broker, and as whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// The broker, as amqp://user:password@host:port/vhost; every part may be left out
    ///
    /// A password on the command line can be seen by other users of the machine: the variables AMQP_URL and
    /// AMQP_PASSWORD cannot. With TLS compiled in (feature `rustls`) also amqps://, with ?cacertfile=, certfile=,
    /// keyfile=, verify= and server_name_indication=.
    #[arg(
        long,
        global = true,
        env = "AMQP_URL",
        hide_env_values = true,
        default_value = "amqp://guest:guest@localhost:5672/%2f",
        hide_default_value = true
    )]
    pub(crate) url: String,
    /// The virtual host, in place of the URL's
    #[arg(long, global = true)]
    pub(crate) vhost: Option<String>,
    /// The user, in place of the URL's
    #[arg(long, global = true, env = "AMQP_USER")]
    pub(crate) user: Option<String>,
    /// How long connecting may take, in seconds, in place of the URL's; 30 if neither says
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) connect_timeout: Option<Duration>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Publish a message, or one for each line of the input, and wait for the broker's confirms
    Publish(Box<PublishArgs>),
    /// Consume messages as they come
    Consume(ConsumeArgs),
    /// Fetch one message, or a few, without waiting
    Get(GetArgs),
    /// Declare a queue or an exchange
    Declare {
        #[command(subcommand)]
        what: Declare,
    },
    /// Bind a queue, or an exchange, to an exchange
    Bind(BindArgs),
    /// Undo a binding
    Unbind(BindArgs),
    /// Delete a queue or an exchange
    Delete {
        #[command(subcommand)]
        what: Delete,
    },
    /// Remove all messages that are ready from a queue
    Purge {
        /// The queue
        queue: String,
    },
    /// Print a shell's completion script
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct PublishArgs {
    /// The exchange; without it the default one, which routes to the queue that the routing key names
    #[arg(long, short, default_value = "", hide_default_value = true)]
    pub(crate) exchange: String,
    /// The routing key: with the default exchange, the queue's name
    #[arg(long, short = 'k', default_value = "", hide_default_value = true)]
    pub(crate) routing_key: String,
    /// The body; without it, and without --file, it is read from standard input
    #[arg(conflicts_with = "file")]
    pub(crate) body: Option<String>,
    /// Read the body from a file, which is streamed if it is over 1 MiB; - is standard input
    #[arg(long, short, value_name = "PATH")]
    pub(crate) file: Option<PathBuf>,
    /// Publish each line of the input as a message, without its end
    #[arg(long)]
    pub(crate) lines: bool,
    /// The size in octets of what standard input will give, which is then streamed and never held whole
    #[arg(long, value_name = "OCTETS", conflicts_with_all = ["lines", "body"])]
    pub(crate) size: Option<u64>,
    /// Have the broker give back (exit code 5) what it can route to no queue
    #[arg(long)]
    pub(crate) mandatory: bool,
    #[command(flatten)]
    pub(crate) message: MessageArgs,
}

/// What becomes of messages that were printed.
#[derive(Clone, Copy, Debug, clap::Args)]
#[group(multiple = false)]
pub(crate) struct Settle {
    /// Acknowledge each message after it was printed (the default)
    #[arg(long)]
    ack: bool,
    /// Give all back to the queue at the end, marked as redelivered
    #[arg(long)]
    requeue: bool,
    /// Reject each message after it was printed: it is dead-lettered or dropped
    #[arg(long)]
    reject: bool,
    /// Have the broker forget each message as it sends it: what is not printed is lost
    #[arg(long)]
    no_ack: bool,
}

/// [`Settle`] as the one thing that it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settling {
    Ack,
    Requeue,
    Reject,
    NoAck,
}

impl Settle {
    pub(crate) fn settling(self) -> Settling {
        match self {
            Self { requeue: true, .. } => Settling::Requeue,
            Self { reject: true, .. } => Settling::Reject,
            Self { no_ack: true, .. } => Settling::NoAck,
            _ => Settling::Ack,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConsumeArgs {
    /// The queue
    pub(crate) queue: String,
    /// End after so many messages
    #[arg(long, short, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// End when no message has come for so many seconds: with exit code 4 if there was none, or fewer than --count
    #[arg(long, short, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// How many messages may be under way unacknowledged
    #[arg(long, default_value = "100", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) prefetch: u16,
    /// Refuse other consumers of the queue
    #[arg(long)]
    pub(crate) exclusive: bool,
    /// The consumer's tag
    #[arg(long)]
    pub(crate) tag: Option<String>,
    /// An argument of the consumer, as for `declare queue`; may be repeated
    #[arg(long = "argument", short, value_name = "KEY=VALUE")]
    pub(crate) arguments: Vec<Entry>,
    #[command(flatten)]
    pub(crate) settle: Settle,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    /// The queue
    pub(crate) queue: String,
    /// Fetch up to so many messages
    #[arg(long, short, default_value = "1", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: u64,
    #[command(flatten)]
    pub(crate) settle: Settle,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// How messages are printed, other than as JSON.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Shown {
    /// Print bodies without a newline behind each
    #[arg(long, conflicts_with = "json")]
    pub(crate) raw: bool,
    /// Print the routing and properties of each message before its body
    #[arg(long, short, conflicts_with = "json")]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Declare {
    /// Declare a queue, and print its name
    Queue(DeclareQueue),
    /// Declare an exchange
    Exchange(DeclareExchange),
}

#[derive(Debug, clap::Args)]
pub(crate) struct DeclareQueue {
    /// Its name; without one the broker makes one up
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) name: String,
    /// It outlives a restart of the broker
    #[arg(long)]
    pub(crate) durable: bool,
    /// It goes with its last consumer
    #[arg(long)]
    pub(crate) auto_delete: bool,
    /// Only look: exit code 1 if there is none
    #[arg(long)]
    pub(crate) passive: bool,
    /// An argument, such as x-max-length=1000; may be repeated
    ///
    /// Whole numbers, and true and false, are sent as such, anything else as text. A type behind the key says
    /// otherwise: key:TYPE=value with str, bool, i8, u8, i16, u16, i32, u32, i64, f32, f64, timestamp, json or void.
    #[arg(long = "argument", short, value_name = "KEY=VALUE")]
    pub(crate) arguments: Vec<Entry>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DeclareExchange {
    /// Its name
    pub(crate) name: String,
    /// Its type: direct, fanout, topic, headers, or what the broker has else
    #[arg(long = "type", short = 't', default_value = "direct")]
    pub(crate) exchange_type: String,
    /// It outlives a restart of the broker
    #[arg(long)]
    pub(crate) durable: bool,
    /// It goes with its last binding, where the specification has this
    #[arg(long)]
    pub(crate) auto_delete: bool,
    /// Nobody may publish to it but other exchanges, where the specification has this
    #[arg(long)]
    pub(crate) internal: bool,
    /// Only look: exit code 1 if there is none
    #[arg(long)]
    pub(crate) passive: bool,
    /// An argument, as for `declare queue`; may be repeated
    #[arg(long = "argument", short, value_name = "KEY=VALUE")]
    pub(crate) arguments: Vec<Entry>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BindArgs {
    /// The queue that is bound, or with --exchange the exchange
    pub(crate) destination: String,
    /// The exchange that it is bound to
    pub(crate) source: String,
    /// The routing key
    #[arg(long, short = 'k', default_value = "", hide_default_value = true)]
    pub(crate) routing_key: String,
    /// The destination is an exchange, where the specification has this
    #[arg(long, short)]
    pub(crate) exchange: bool,
    /// An argument, as for `declare queue`; may be repeated
    #[arg(long = "argument", short, value_name = "KEY=VALUE")]
    pub(crate) arguments: Vec<Entry>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Delete {
    /// Delete a queue with its messages
    Queue {
        /// The queue
        name: String,
        /// Only if it has no consumers
        #[arg(long)]
        if_unused: bool,
        /// Only if it has no messages
        #[arg(long)]
        if_empty: bool,
    },
    /// Delete an exchange with its bindings
    Exchange {
        /// The exchange
        name: String,
        /// Only if nothing is bound to it
        #[arg(long)]
        if_unused: bool,
    },
}
