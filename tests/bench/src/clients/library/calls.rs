//! What is asked and answered: round trips through a queue, calls, connections and channels.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::{Declare, Library, expect_body};
use crate::cases::{Case, DISCARD, ECHO, IDLE, PER_CHANNEL};
use crate::context::Context;
use crate::idle::Idle;
use crate::meter::{Measured, Meter};

pub(super) async fn rpc<L: Library>(
    case: &Case,
    body: usize,
    idle: usize,
    ctx: &Context,
) -> Result<Meter> {
    let connection = L::connect(ctx).await?;
    let mut beside = Vec::new();
    for n in 0..idle {
        if n % PER_CHANNEL == 0 {
            beside.push((L::open(&connection).await?, Vec::new()));
        }
        let (channel, consumers) = beside.last_mut().context("no channel")?;
        consumers.push(L::consume(channel, IDLE, &format!("idle-{n}"), None).await?);
    }
    let channel = L::open(&connection).await?;
    let mut queue = ECHO.to_owned();
    if case.broker {
        queue = ctx.queue(case);
        L::declare(&channel, &queue, Declare::Exclusive { max_length: None }).await?;
    }
    let message = L::message(&queue, body, 0)?;
    let mut replies = L::consume(&channel, &queue, "replies", None).await?;
    let mut meter = ctx.meter(body).each();
    while meter.phase() {
        while meter.tick() {
            let asked = Instant::now();
            L::publish(&channel, &message).await?;
            expect_body(L::receive(&mut replies).await?, body)?;
            meter.latency(asked.elapsed());
        }
    }
    Ok(meter)
}

pub(super) async fn latency<L: Library>(body: usize, ctx: &Context) -> Result<Meter> {
    let connection = L::connect(ctx).await?;
    let (publishing, calling) = (L::open(&connection).await?, L::open(&connection).await?);
    let message = L::message(DISCARD, body, 0)?;
    let mut meter = ctx.meter(0).each();
    if L::ACCEPTS_WITHOUT_BOUND {
        meter.extra("publisher", "waits for confirms: its library would take up all memory");
    }
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let publisher = tokio::spawn(async move {
        if L::ACCEPTS_WITHOUT_BOUND {
            let mut confirms = L::confirms(&publishing).await?;
            while !stopped.load(Ordering::Relaxed) {
                L::publish_confirmed(&mut confirms, &message, 2).await?;
            }
            return L::settle(&mut confirms).await;
        }
        while !stopped.load(Ordering::Relaxed) {
            L::publish(&publishing, &message).await?;
        }
        Ok(())
    });
    while meter.phase() {
        while meter.tick() {
            let asked = Instant::now();
            L::declare(&calling, DISCARD, Declare::Passive).await?;
            meter.latency(asked.elapsed());
        }
    }
    stop.store(true, Ordering::Relaxed);
    publisher.await??;
    let received = L::declare(&calling, DISCARD, Declare::Passive).await?;
    meter.extra("bodies_received", received);
    Ok(meter)
}

pub(super) async fn connections<L: Library>(ctx: &Context) -> Result<Meter> {
    let mut meter = ctx.meter(0).each();
    while meter.phase() {
        while meter.tick() {
            L::disconnect(L::connect(ctx).await?).await?;
        }
    }
    Ok(meter)
}

pub(super) async fn idle_connections<L: Library>(count: usize, ctx: &Context) -> Result<Measured> {
    let _first = L::connect(ctx).await?;
    let idle = Idle::begin();
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        connections.push(L::connect(ctx).await?);
    }
    Ok(idle.measured(connections.len()).await)
}

pub(super) async fn channels<L: Library>(ctx: &Context) -> Result<Meter> {
    let connection = L::connect(ctx).await?;
    let mut meter = ctx.meter(0).each();
    while meter.phase() {
        while meter.tick() {
            L::close(L::open(&connection).await?).await?;
        }
    }
    Ok(meter)
}
