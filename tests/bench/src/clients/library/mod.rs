//! The cases for the asynchronous clients, ours among them, written once over what each of their libraries
//! offers, so that all of them do the very same.
//!
//! [`Library`] is what a case needs of a client; [`ours`](super::ours), [`lapin`](super::lapin),
//! [`amqprs`](super::amqprs) and [`amqp_client`](super::amqp_client) implement it, each in the fastest correct way its documentation
//! shows, and [`run`] is their whole `Client::run`. The calls are statically dispatched and add nothing to a
//! message. Nothing here may know which library it drives.

mod calls;
mod consume;
mod publish;

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};

use super::{Client, unsupported};
use crate::cases::{Case, Work};
use crate::context::Context;
use crate::meter::{Measured, Meter};
use crate::report::{self, Subject};
use crate::usage;

/// What a library may take up of the memory of the machine that it is measured on. Some queue without bound
/// what they are flooded with, or reserve megabytes for each connection.
const MEMORY_KIB: u64 = 4 << 20;

/// How a queue is declared.
#[derive(Clone, Copy, Debug)]
pub(super) enum Declare {
    /// Only ask whether it is there.
    Passive,
    /// Exclusive and deleted automatically, of at most this many messages.
    Exclusive { max_length: Option<i32> },
}

/// What a case needs of a client. A method's future is awaited by the task that calls it, one at a time.
pub(super) trait Library: Client + Sized + 'static {
    /// A connection.
    type Connection: Send + Sync + 'static;
    /// A channel; a clone is the same channel.
    type Channel: Clone + Send + Sync + 'static;
    /// A message as it is before it is published, with its routing key.
    type Message: Send + Sync + 'static;
    /// A channel on which publishes are confirmed, and those that are not yet.
    type Confirms: Send + 'static;
    /// A consumer.
    type Deliveries: Send + 'static;

    /// Whether a publish is accepted however many octets wait to be written. A task that publishes large
    /// bodies without end has to wait for confirms then.
    const ACCEPTS_WITHOUT_BOUND: bool;
    /// Whether it is built with TLS.
    const SPEAKS_TLS: bool = false;

    /// Connects.
    fn connect(ctx: &Context) -> impl Future<Output = Result<Self::Connection>> + Send;
    /// Closes a connection and awaits that.
    fn disconnect(connection: Self::Connection) -> impl Future<Output = Result<()>> + Send;
    /// Opens a channel.
    fn open(connection: &Self::Connection) -> impl Future<Output = Result<Self::Channel>> + Send;
    /// Closes a channel and awaits that.
    fn close(channel: Self::Channel) -> impl Future<Output = Result<()>> + Send;
    /// Declares a queue; how many messages are said to be in it.
    fn declare(
        channel: &Self::Channel,
        queue: &str,
        how: Declare,
    ) -> impl Future<Output = Result<u32>> + Send;

    /// A message to exchange `""`: so many octets, and so many entries in the table `headers`.
    fn message(key: &str, body: usize, headers: usize) -> Result<Self::Message>;
    /// Publishes without confirm; over when the library takes the next.
    fn publish(
        channel: &Self::Channel,
        message: &Self::Message,
    ) -> impl Future<Output = Result<()>> + Send;
    /// Publishes until the meter's phase is over, so many calls at a time; how many that were.
    fn publish_in_flight(
        _channel: &Self::Channel,
        _message: &Self::Message,
        _calls: usize,
        _meter: &mut Meter,
    ) -> impl Future<Output = Result<u64>> + Send {
        async { Err(unsupported("its publish does not await the write")) }
    }

    /// Has the publishes on a channel confirmed from now on.
    fn confirms(channel: &Self::Channel) -> impl Future<Output = Result<Self::Confirms>> + Send;
    /// Publishes, after waiting until fewer than `window` publishes are unconfirmed.
    fn publish_confirmed(
        confirms: &mut Self::Confirms,
        message: &Self::Message,
        window: usize,
    ) -> impl Future<Output = Result<()>> + Send;
    /// Waits until all publishes are confirmed.
    fn settle(confirms: &mut Self::Confirms) -> impl Future<Output = Result<()>> + Send;

    /// Begins to consume; with a prefetch each delivery is acknowledged, without it none is.
    fn consume(
        channel: &Self::Channel,
        queue: &str,
        tag: &str,
        prefetch: Option<u16>,
    ) -> impl Future<Output = Result<Self::Deliveries>> + Send;
    /// The next delivery, acknowledged: the octets of its body.
    fn receive(deliveries: &mut Self::Deliveries) -> impl Future<Output = Result<usize>> + Send;
    /// Deliveries that the library lost, as far as the acknowledging shows.
    fn lost(_deliveries: &Self::Deliveries) -> u64 {
        0
    }
}

/// Runs a case.
pub(super) async fn run<L: Library>(case: Case, ctx: Context) -> Result<Measured> {
    if case.tls && !L::SPEAKS_TLS {
        return Err(unsupported("it is measured without TLS only"));
    }
    give_up_beyond::<L>(MEMORY_KIB, case.clone(), ctx.workers);
    let measured = match &case.work {
        Work::Publish(work) => publish::publish::<L>(work, &ctx).await?.measured(),
        Work::PublishConfirm { body, window } => {
            publish::confirm::<L>(&case, *body, *window, &ctx).await?.measured()
        }
        Work::Lone { body } => publish::lone::<L>(*body, &ctx).await?.measured(),
        Work::Consume(work) if case.broker => {
            consume::from_broker::<L>(&case, work, &ctx).await?.measured()
        }
        Work::Consume(work) if work.consumers > 1 => {
            consume::many::<L>(work, &ctx).await?.measured()
        }
        Work::Consume(work) => consume::one::<L>(work, &ctx).await?.measured(),
        Work::Rpc { body, idle } => calls::rpc::<L>(&case, *body, *idle, &ctx).await?.measured(),
        Work::CallLatency { body } => calls::latency::<L>(*body, &ctx).await?.measured(),
        Work::Connections => calls::connections::<L>(&ctx).await?.measured(),
        Work::IdleConnections { count } => calls::idle_connections::<L>(*count, &ctx).await?,
        Work::Channels => calls::channels::<L>(&ctx).await?.measured(),
    };
    Ok(measured)
}

/// A thread of its own, since the runtime's may have no time for it. Ends the process, as the deadline does.
fn give_up_beyond<L: Library>(limit_kib: u64, case: Case, workers: usize) {
    std::thread::spawn(move || {
        while usage::resident_kib() <= limit_kib {
            std::thread::sleep(Duration::from_millis(50));
        }
        let error = anyhow!("took up more than {} MiB of memory", limit_kib >> 10);
        let subject = Subject { client: L::NAME, version: L::version(), workers };
        println!("{}", report::line(subject, &case, &Err(error)));
        std::process::exit(0);
    });
}

fn expect_body(received: usize, expected: usize) -> Result<()> {
    ensure!(received == expected, "a delivery of {received} octets in place of {expected}");
    Ok(())
}
