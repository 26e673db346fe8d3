//! `consume` and `get`: messages from a queue to standard output.
//!
//! A message is settled after it was printed and flushed, never before, so that a reader who goes away, or a disk that is full,
//! costs none.

use std::io;
use std::time::Duration;

use amqp_connector::{
    BasicConsume, BasicGet, Channel, Connection, Consumer, ConsumerEnd, Delivery, Error, Prefetch,
    Unsettled,
};

use crate::args::{ConsumeArgs, Entry, GetArgs, Settling, Shown};
use crate::broker::Work;
use crate::fail::{Ended, Ending, Failure, closed, one_line};
use crate::output::Output;
use crate::show;

/// Prints messages, and settles them.
struct Printer<'a> {
    output: &'a Output,
    settling: Settling,
    shown: Shown,
    /// What is to be given back at the end: at once, it would come again and again.
    held: Vec<Delivery>,
    doing: String,
    count: u64,
}

impl<'a> Printer<'a> {
    fn new(output: &'a Output, settling: Settling, shown: Shown, queue: &str) -> Self {
        let doing = format!("consuming from queue {queue:?}");
        Self { output, settling, shown, held: Vec::new(), doing, count: 0 }
    }

    fn take(&mut self, delivery: Delivery) -> Result<(), Failure> {
        self.print(&delivery)?;
        self.count += 1;
        let settled = match self.settling {
            Settling::Ack => delivery.ack(),
            Settling::Reject => delivery.reject(false),
            Settling::NoAck => Ok(()),
            Settling::Requeue => {
                self.held.push(delivery);
                Ok(())
            }
        };
        settled.map_err(|error| self.failure(&error))
    }

    fn print(&self, delivery: &Delivery) -> io::Result<()> {
        if self.output.is_json() {
            return self.output.tell("", &show::delivery(delivery));
        }
        let mut octets = Vec::new();
        if self.shown.verbose {
            octets.extend_from_slice(show::heading(delivery).as_bytes());
            octets.push(b'\n');
        }
        for chunk in delivery.body.chunks() {
            octets.extend_from_slice(chunk);
        }
        if !self.shown.raw {
            octets.push(b'\n');
        }
        self.output.octets(&octets)
    }

    /// The newest first, so that each finds its place before the ones behind it.
    fn give_back(&mut self) -> Result<(), Failure> {
        while let Some(delivery) = self.held.pop() {
            delivery.reject(true).map_err(|error| self.failure(&error))?;
        }
        Ok(())
    }

    fn failure(&self, error: &Error) -> Failure {
        Failure::of(&self.doing, error)
    }
}

/// Closes the connection, which sends what was settled before; a message that the end finds unsettled goes back.
async fn end(
    connection: &Connection,
    channel: Channel,
    mut printer: Printer<'_>,
    ended: Ended,
) -> Ended {
    let given_back = printer.give_back();
    drop((channel, printer));
    connection.close().await;
    let ended = ended?;
    given_back?;
    Ok(ended)
}

pub(crate) async fn consume(work: &Work, args: ConsumeArgs) -> Ended {
    let (connection, channel) = work.open().await?;
    let mut printer = Printer::new(&work.output, args.settle.settling(), args.shown, &args.queue);
    let ended = consume_on(work, &channel, args, &mut printer).await;
    end(&connection, channel, printer, ended).await
}

async fn consume_on(
    work: &Work,
    channel: &Channel,
    args: ConsumeArgs,
    printer: &mut Printer<'_>,
) -> Ended {
    // No more than are wanted: what others could take would wait here.
    let prefetch = match (printer.settling, args.count) {
        (Settling::Requeue, None) => Prefetch::Unlimited,
        (Settling::Requeue, Some(count)) => {
            u16::try_from(count).map_or(Prefetch::Unlimited, Prefetch::Count)
        }
        (_, count) => {
            let count = count.and_then(|count| u16::try_from(count).ok()).unwrap_or(u16::MAX);
            Prefetch::Count(args.prefetch.min(count))
        }
    };
    let mut request = BasicConsume::new(args.queue.as_str(), prefetch)
        .no_ack(printer.settling == Settling::NoAck)
        .exclusive(args.exclusive)
        .unsettled(Unsettled::Requeue)
        .arguments(Entry::table(args.arguments));
    if let Some(tag) = args.tag {
        request = request.tag(tag);
    }
    let mut consumer = match work.interrupts.or(channel.basic_consume(request)).await {
        Some(consumer) => consumer.map_err(|error| printer.failure(&error))?,
        None => return Err(Failure::interrupted()),
    };
    let ended = receive(work, &mut consumer, args.count, args.timeout, printer).await;
    // What it has not given out goes back to the queue.
    drop(consumer);
    ended
}

async fn receive(
    work: &Work,
    consumer: &mut Consumer,
    count: Option<u64>,
    timeout: Option<Duration>,
    printer: &mut Printer<'_>,
) -> Ended {
    while count != Some(printer.count) {
        let received = work.interrupts.or(within(timeout, consumer.recv())).await;
        match received {
            None => return Ok(Ending::Interrupted),
            Some(None) if count.is_some() || printer.count == 0 => return Ok(Ending::Nothing),
            Some(None) => return Ok(Ending::Done),
            Some(Some(Some(delivery))) => printer.take(delivery)?,
            Some(Some(None)) => {
                let why = match consumer.end() {
                    Some(ConsumerEnd::Closed(reason)) => closed(reason),
                    end => end.map(ToString::to_string).unwrap_or_default(),
                };
                return Err(Failure::failed(format!("{}: {}", printer.doing, one_line(&why))));
            }
        }
    }
    Ok(Ending::Done)
}

/// `None` when the time is up.
async fn within<T>(timeout: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match timeout {
        Some(timeout) => tokio::time::timeout(timeout, work).await.ok(),
        None => Some(work.await),
    }
}

pub(crate) async fn get(work: &Work, args: GetArgs) -> Ended {
    let (connection, channel) = work.open().await?;
    let mut printer = Printer::new(&work.output, args.settle.settling(), args.shown, &args.queue);
    let ended = get_on(work, &channel, &args, &mut printer).await;
    end(&connection, channel, printer, ended).await
}

async fn get_on(
    work: &Work,
    channel: &Channel,
    args: &GetArgs,
    printer: &mut Printer<'_>,
) -> Ended {
    while printer.count < args.count {
        let request = BasicGet::new(args.queue.as_str())
            .no_ack(printer.settling == Settling::NoAck)
            .unsettled(Unsettled::Requeue);
        match work.interrupts.or(channel.basic_get(request)).await {
            None => return Ok(Ending::Interrupted),
            Some(Err(error)) => return Err(printer.failure(&error)),
            Some(Ok(Some(delivery))) => printer.take(delivery)?,
            Some(Ok(None)) if printer.count == 0 => return Ok(Ending::Nothing),
            Some(Ok(None)) => return Ok(Ending::Done),
        }
    }
    Ok(Ending::Done)
}
