//! Publishing: without confirms, with them, and one at a time.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{Declare, Library};
use crate::cases::{self, Case, DISCARD};
use crate::context::Context;
use crate::meter::Meter;

/// The messages that a broker's queue keeps while it is published to.
const KEPT: i32 = 1000;

pub(super) async fn publish<L: Library>(work: &cases::Publish, ctx: &Context) -> Result<Meter> {
    let connection = L::connect(ctx).await?;
    let mut channels = Vec::new();
    for _ in 0..if work.own_channels { work.tasks } else { 1 } {
        channels.push(L::open(&connection).await?);
    }
    let mut beside = Vec::new();
    for _ in 0..work.open {
        beside.push(L::open(&connection).await?);
    }
    let channel = channels.first().context("no channel")?;
    let message = L::message(DISCARD, work.body, work.headers)?;
    let (mut meter, mut total) = (ctx.meter(work.body), 0);
    while meter.phase() {
        if work.tasks > 1 {
            total += tasks::<L>(work, &channels, &mut meter).await?;
        } else if work.in_flight > 1 {
            total += L::publish_in_flight(channel, &message, work.in_flight, &mut meter).await?;
        } else {
            while meter.tick() {
                L::publish(channel, &message).await?;
                total += 1;
            }
        }
        // The sink answers how many messages it has received, after all that was written before.
        let received = L::declare(channel, DISCARD, Declare::Passive).await?;
        ensure!(
            u64::from(received) == total & u64::from(u32::MAX),
            "{total} messages were published, the sink has received {received}"
        );
    }
    Ok(meter)
}

async fn tasks<L: Library>(
    work: &cases::Publish,
    channels: &[L::Channel],
    meter: &mut Meter,
) -> Result<u64> {
    let (mut tasks, mut total) = (JoinSet::new(), 0);
    for channel in channels.iter().cycle().take(work.tasks) {
        let (channel, mut counter) = (channel.clone(), meter.counter());
        let message = L::message(DISCARD, work.body, work.headers)?;
        tasks.spawn(async move {
            while counter.tick() {
                L::publish(&channel, &message).await?;
            }
            anyhow::Ok(counter)
        });
    }
    while let Some(counter) = tasks.join_next().await {
        let counter = counter??;
        total += counter.count();
        meter.add(&counter);
    }
    Ok(total)
}

pub(super) async fn confirm<L: Library>(
    case: &Case,
    body: usize,
    window: usize,
    ctx: &Context,
) -> Result<Meter> {
    let connection = L::connect(ctx).await?;
    let channel = L::open(&connection).await?;
    let mut queue = DISCARD.to_owned();
    if case.broker {
        queue = ctx.queue(case);
        L::declare(&channel, &queue, Declare::Exclusive { max_length: Some(KEPT) }).await?;
    }
    let message = L::message(&queue, body, 0)?;
    let mut confirms = L::confirms(&channel).await?;
    let mut meter = ctx.meter(body);
    while meter.phase() {
        while meter.tick() {
            L::publish_confirmed(&mut confirms, &message, window).await?;
        }
        L::settle(&mut confirms).await?;
    }
    Ok(meter)
}

pub(super) async fn lone<L: Library>(body: usize, ctx: &Context) -> Result<Meter> {
    let connection = L::connect(ctx).await?;
    let channel = L::open(&connection).await?;
    let message = L::message(DISCARD, body, 0)?;
    let mut confirms = L::confirms(&channel).await?;
    let mut meter = ctx.meter(body).each();
    while meter.phase() {
        while meter.tick() {
            sleep(Duration::from_millis(2)).await;
            let published = Instant::now();
            L::publish_confirmed(&mut confirms, &message, 1).await?;
            L::settle(&mut confirms).await?;
            meter.latency(published.elapsed());
        }
    }
    Ok(meter)
}
