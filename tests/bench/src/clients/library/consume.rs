//! Receiving: with one consumer from the sink or a broker, and with many that share a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use tokio::sync::{mpsc, watch};

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

/// What is the tasks' own in [`many`]: a phase each, from 1 on, and the counter of each.
type Phase = Option<(usize, Counter)>;

pub(super) async fn many<L: Library>(work: &cases::Consume, ctx: &Context) -> Result<Meter> {
    let connection = L::connect(ctx).await?;
    let mut meter = ctx.meter(work.body);
    let current = Arc::new(AtomicUsize::new(0));
    let (begin, phases) = watch::channel(Phase::None);
    let (counted, mut counters) = mpsc::unbounded_channel();
    let mut channels = Vec::new();
    for n in 0..work.consumers {
        if n % PER_CHANNEL == 0 {
            channels.push(L::open(&connection).await?);
        }
        let channel = channels.last().context("no channel")?;
        let deliveries =
            L::consume(channel, &work.queue(), &format!("consumer-{n}"), work.prefetch).await?;
        let (current, phases, counted) = (Arc::clone(&current), phases.clone(), counted.clone());
        let body = work.body;
        tokio::spawn(async move {
            let result = follow::<L>(deliveries, body, &current, &phases, &counted).await;
            if let Err(error) = result {
                let _ = counted.send(Err(error));
            }
        });
    }
    let mut phase = 0;
    while meter.phase() {
        phase += 1;
        begin.send_replace(Some((phase, meter.counter())));
        current.store(phase, Ordering::Release);
        for _ in 0..work.consumers {
            meter.add(&counters.recv().await.context("the consumers ended")??);
        }
    }
    Ok(meter)
}

/// One consumer: receives without end, since the flood has none, and counts while a phase lasts. A consumer
/// that stopped between two phases would hold up the others or fill the memory.
async fn follow<L: Library>(
    mut deliveries: L::Deliveries,
    body: usize,
    current: &AtomicUsize,
    phases: &watch::Receiver<Phase>,
    counted: &mpsc::UnboundedSender<Result<Counter>>,
) -> Result<()> {
    let mut counting = 0;
    loop {
        while current.load(Ordering::Acquire) == counting {
            expect_body(L::receive(&mut deliveries).await?, body)?;
        }
        let Some((phase, mut counter)) = phases.borrow().clone() else {
            continue;
        };
        counting = phase;
        while counter.tick() {
            expect_body(L::receive(&mut deliveries).await?, body)?;
        }
        if counted.send(Ok(counter)).is_err() {
            return Ok(());
        }
    }
}
