//! Receiving: with one consumer from the sink or a broker, and with many that share a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{Declare, Library, expect_body};
use crate::cases::{self, Case, PER_CHANNEL};
use crate::context::Context;
use crate::meter::{Counter, Meter};

/// Publishes unconfirmed at a time while a broker's queue is filled.
const FILL_WINDOW: usize = 1000;

pub(super) async fn one<L: Library>(work: &cases::Consume, ctx: &Context) -> Result<Meter> {
    let connection = L::connect(ctx).await?;
    let channel = L::open(&connection).await?;
    let meter = ctx.meter(work.body);
    receive::<L>(work, &channel, &work.queue(), meter).await
}

pub(super) async fn from_broker<L: Library>(
    case: &Case,
    work: &cases::Consume,
    ctx: &Context,
) -> Result<Meter> {
    let connection = L::connect(ctx).await?;
    let queue = ctx.queue(case);
    let channel = L::open(&connection).await?;
    L::declare(&channel, &queue, Declare::Exclusive { max_length: None }).await?;
    let message = L::message(&queue, work.body, work.headers)?;
    let mut confirms = L::confirms(&channel).await?;
    for _ in 0..ctx.fill() {
        L::publish_confirmed(&mut confirms, &message, FILL_WINDOW).await?;
    }
    L::settle(&mut confirms).await?;
    drop(confirms);
    let channel = L::open(&connection).await?;
    // Less than there is, since a library may lose the first window.
    let received = ctx.fill().saturating_sub(u64::from(work.prefetch.unwrap_or(0)));
    let meter = ctx.meter(work.body).at_most(received);
    receive::<L>(work, &channel, &queue, meter).await
}

async fn receive<L: Library>(
    work: &cases::Consume,
    channel: &L::Channel,
    queue: &str,
    mut meter: Meter,
) -> Result<Meter> {
    let mut deliveries = L::consume(channel, queue, "consumer", work.prefetch).await?;
    while meter.phase() {
        while meter.tick() {
            expect_body(L::receive(&mut deliveries).await?, work.body)?;
        }
    }
    let lost = L::lost(&deliveries);
    if lost > 0 {
        meter.extra("lost_deliveries", lost);
    }
    Ok(meter)
}

/// A phase, numbered from 1 on, and the counter that each consumer begins it with.
type Phase = Option<(usize, Counter)>;

/// What the consumers of [`many`] share.
#[derive(Clone)]
struct All {
    current: Arc<AtomicUsize>,
    phases: watch::Receiver<Phase>,
    counted: mpsc::UnboundedSender<Result<Counter>>,
    work: cases::Consume,
}

pub(super) async fn many<L: Library>(work: &cases::Consume, ctx: &Context) -> Result<Meter> {
    let connection = L::connect(ctx).await?;
    let mut meter = ctx.meter(work.body).shared_by(work.consumers);
    let current = Arc::new(AtomicUsize::new(0));
    let (begin, phases) = watch::channel(Phase::None);
    let (counted, mut counters) = mpsc::unbounded_channel();
    let all = All { current, phases, counted, work: work.clone() };
    let mut starting = JoinSet::new();
    for first in (0..work.consumers).step_by(PER_CHANNEL) {
        let channel = L::open(&connection).await?;
        starting.spawn(start::<L>(channel, first, all.clone()));
    }
    let mut channels = Vec::new();
    while let Some(channel) = starting.join_next().await {
        channels.push(channel??);
    }
    let mut phase = 0;
    while meter.phase() {
        phase += 1;
        begin.send_replace(Some((phase, meter.counter())));
        all.current.store(phase, Ordering::Release);
        for _ in 0..work.consumers {
            meter.add(&counters.recv().await.context("the consumers ended")??);
        }
    }
    Ok(meter)
}

/// The consumers of one channel. Channels start theirs at the same time, since each answer comes behind what
/// the earlier consumers are flooded with.
async fn start<L: Library>(channel: L::Channel, first: usize, all: All) -> Result<L::Channel> {
    for n in (first..all.work.consumers).take(PER_CHANNEL) {
        let (tag, all) = (format!("consumer-{n}"), all.clone());
        let deliveries = L::consume(&channel, &all.work.queue(), &tag, all.work.prefetch).await?;
        tokio::spawn(async move {
            if let Err(error) = follow::<L>(deliveries, &all).await {
                let _ = all.counted.send(Err(error));
            }
        });
    }
    Ok(channel)
}

/// One consumer: receives without end, since the flood has none, and counts while a phase lasts. A consumer
/// that stopped between two phases would hold up the others or fill the memory.
async fn follow<L: Library>(mut deliveries: L::Deliveries, all: &All) -> Result<()> {
    let mut counting = 0;
    loop {
        while all.current.load(Ordering::Acquire) == counting {
            expect_body(L::receive(&mut deliveries).await?, all.work.body)?;
        }
        let Some((phase, mut counter)) = all.phases.borrow().clone() else {
            continue;
        };
        counting = phase;
        while counter.tick() {
            expect_body(L::receive(&mut deliveries).await?, all.work.body)?;
        }
        if all.counted.send(Ok(counter)).is_err() {
            return Ok(());
        }
    }
}
