//! Consuming, and the ping-pong of a message through a queue.

use std::time::Instant;

use amqp_types::FieldTable;
use amqp_types::protocol::{basic, channel};
use anyhow::Result;
use bytes::BytesMut;

use super::publish::Publisher;
use crate::cases::{Case, Consume, ECHO, IDLE};
use crate::clients::transport::Transport;
use crate::clients::unsupported;
use crate::clients::wire::Wire;
use crate::context::Context;
use crate::frames;
use crate::meter::Measured;

/// Publishes without a confirmation while a queue is filled.
const WINDOW: usize = 1000;

/// One read after the other; with acks, one write for those of what was read.
pub(in crate::clients) fn consume<T: Transport>(
    case: &Case,
    ctx: &Context,
    consume: &Consume,
) -> Result<Measured> {
    if consume.prefetch.is_some() && consume.consumers > 1 {
        return Err(unsupported("it acknowledges on one channel only"));
    }
    let (mut wire, mut queue, mut held) = (Wire::<T>::open(ctx)?, consume.queue(), u64::MAX);
    if case.broker {
        (queue, held) = (ctx.queue(case), ctx.fill());
        wire.declare(&queue, FieldTable::default())?;
        wire = fill(wire, &queue, consume.body, held)?;
    }
    let mut acks = Acks::default();
    let mut meter = ctx.meter(consume.body).at_most(held);
    wire.consume(&queue, consume.prefetch, consume.consumers, 1)?;
    let mut counted = 0;
    while meter.phase() {
        loop {
            if wire.seen.deliveries == counted {
                wire.read()?;
            }
            let came = wire.seen.deliveries - counted;
            if consume.prefetch.is_some() {
                wire.write(acks.up_to(wire.seen.deliveries)?)?;
            }
            counted += came;
            if !meter.done(came) {
                break;
            }
        }
    }
    Ok(meter.measured())
}

/// An ack for each delivery of channel 1.
#[derive(Default)]
struct Acks {
    /// The delivery that was acknowledged last.
    tag: u64,
    octets: BytesMut,
}

impl Acks {
    /// The acks of all deliveries from the last one's acknowledged up to this one.
    fn up_to(&mut self, tag: u64) -> Result<&[u8]> {
        self.octets.clear();
        while self.tag < tag {
            self.tag += 1;
            let ack = basic::Ack { delivery_tag: self.tag, multiple: false };
            frames::method(&mut self.octets, 1, &ack)?;
        }
        Ok(&self.octets)
    }
}

/// Publishes to a queue, and counts deliveries from 0 again.
fn fill<T: Transport>(
    mut wire: Wire<T>,
    queue: &str,
    body: usize,
    messages: u64,
) -> Result<Wire<T>> {
    wire.confirm_select()?;
    let mut publisher = Publisher::new(wire, queue, body, WINDOW)?;
    let mut published = 0;
    while published < messages {
        published += publisher.publish()?;
    }
    publisher.finish()?;
    Ok(publisher.wire)
}

/// One message after the other through a queue and back.
pub(super) fn rpc<T: Transport>(
    case: &Case,
    ctx: &Context,
    body: usize,
    idle: usize,
) -> Result<Measured> {
    let mut wire = Wire::<T>::open(ctx)?;
    let mut queue = ECHO.to_owned();
    if case.broker {
        queue = ctx.queue(case);
        wire.declare(&queue, FieldTable::default())?;
    }
    if idle > 0 {
        wire.call(2, &channel::Open::default())?;
        wire.consume(IDLE, None, idle, 2)?;
    }
    wire.consume(&queue, None, 1, 1)?;
    let mut message = BytesMut::new();
    frames::publish(&mut message, 1, &queue, 0, &frames::body(body), wire.frame_max)?;
    let (mut meter, mut expected) = (ctx.meter(body), 0);
    while meter.phase() {
        loop {
            let began = Instant::now();
            wire.write(&message)?;
            expected += 1;
            while wire.seen.deliveries < expected {
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
