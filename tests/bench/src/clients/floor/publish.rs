//! Publishing, with and without confirms.

use std::time::Instant;

use amqp_types::FieldTable;
use anyhow::Result;
use bytes::BytesMut;

use super::PAUSE;
use crate::cases::{Case, DISCARD, Publish};
use crate::clients::transport::Transport;
use crate::clients::unsupported;
use crate::clients::wire::Wire;
use crate::context::Context;
use crate::frames::{self, short};
use crate::meter::Measured;

/// Octets of a write, unless one message has more: what a client's driver may gather.
pub(super) const WRITE: usize = 64 << 10;

/// Messages behind each other, over and over.
struct Block {
    octets: BytesMut,
    /// Octets of one message.
    each: usize,
}

impl Block {
    /// So many messages, on channels 1 to `channels` in turns.
    fn new(
        queue: &str,
        (headers, body): (usize, usize),
        channels: u16,
        count: usize,
        frame_max: usize,
    ) -> Result<Self> {
        let (mut octets, body) = (BytesMut::new(), frames::body(body));
        for channel in (1..=channels).cycle().take(count) {
            frames::publish(&mut octets, channel, queue, headers, &body, frame_max)?;
        }
        let each = octets.len() / count.max(1);
        Ok(Self { octets, each })
    }

    /// The first so many of them.
    fn first(&self, count: usize) -> &[u8] {
        self.octets.get(..count * self.each).unwrap_or(&self.octets)
    }
}

/// One write after the other, each of about `write` octets.
pub(in crate::clients) fn without_confirms<T: Transport>(
    publish: &Publish,
    ctx: &Context,
    write: usize,
) -> Result<Measured> {
    if publish.in_flight > 1 {
        return Err(unsupported("a write is over when it is over"));
    }
    let mut wire = Wire::<T>::open(ctx)?;
    let channels = if publish.own_channels { publish.tasks } else { 1 };
    wire.open_channels(channels + publish.open)?;
    let (content, channels) = ((publish.headers, publish.body), u16::try_from(channels)?);
    let one = Block::new(DISCARD, content, 1, 1, wire.frame_max)?;
    let count = (write / one.each).max(1);
    let block = Block::new(DISCARD, content, channels, count, wire.frame_max)?;
    let (mut meter, mut total) = (ctx.meter(publish.body), 0);
    while meter.phase() {
        loop {
            wire.write(&block.octets)?;
            total += count as u64;
            if !meter.done(count as u64) {
                break;
            }
        }
        wire.has_received(total)?;
    }
    Ok(meter.measured())
}

/// As many as the window has room for in one write, then a read of confirmations.
pub(super) fn with_confirms<T: Transport>(
    case: &Case,
    ctx: &Context,
    body: usize,
    window: usize,
) -> Result<Measured> {
    let mut wire = Wire::<T>::open(ctx)?;
    let mut queue = DISCARD.to_owned();
    if case.broker {
        queue = ctx.queue(case);
        wire.declare(&queue, FieldTable::default().with(short("x-max-length"), 1000_i32))?;
    }
    wire.confirm_select()?;
    let (mut publisher, mut meter) = (Publisher::new(wire, &queue, body, window)?, ctx.meter(body));
    while meter.phase() {
        while meter.done(publisher.publish()?) {}
        // What is sent is sent within the phase, and its confirmations are waited for within it.
        publisher.finish()?;
    }
    Ok(meter.measured())
}

/// Publishes with confirms to one queue.
pub(super) struct Publisher<T> {
    pub(super) wire: Wire<T>,
    block: Block,
    window: u64,
    sent: u64,
}

impl<T: Transport> Publisher<T> {
    /// On channel 1, which has confirms.
    pub(super) fn new(wire: Wire<T>, queue: &str, body: usize, window: usize) -> Result<Self> {
        let block = Block::new(queue, (0, body), 1, window, wire.frame_max)?;
        Ok(Self { wire, block, window: window as u64, sent: 0 })
    }

    /// Publishes as many as may be without a confirmation, waits for confirmations, and tells how many
    /// were published.
    pub(super) fn publish(&mut self) -> Result<u64> {
        let room = self.window - (self.sent - self.wire.seen.confirmations());
        self.wire.write(self.block.first(usize::try_from(room)?))?;
        self.sent += room;
        self.wire.read()?;
        Ok(room)
    }

    /// Waits for the confirmations of all.
    pub(super) fn finish(&mut self) -> Result<()> {
        while self.wire.seen.confirmations() < self.sent {
            self.wire.read()?;
        }
        Ok(())
    }
}

/// A message now and then, and the time to its confirmation.
pub(super) fn lone<T: Transport>(ctx: &Context, body: usize) -> Result<Measured> {
    let mut wire = Wire::<T>::open(ctx)?;
    wire.confirm_select()?;
    let block = Block::new(DISCARD, (0, body), 1, 1, wire.frame_max)?;
    let (mut meter, mut sent) = (ctx.meter(body), 0);
    while meter.phase() {
        loop {
            std::thread::sleep(PAUSE);
            let began = Instant::now();
            wire.write(&block.octets)?;
            sent += 1;
            while wire.seen.confirmations() < sent {
                wire.read()?;
            }
            meter.latency(began.elapsed());
            if !meter.done(1) {
                break;
            }
        }
    }
    Ok(meter.measured())
}
