//! Calls, channels and connections.

use std::time::Instant;

use amqp_connector::{BasicPublish, Bytes, Channel};
use anyhow::Result;

use super::{connect, received};
use crate::cases::DISCARD;
use crate::context::Context;
use crate::frames;
use crate::idle::Idle;
use crate::meter::Measured;

/// Calls on one channel while a task publishes large bodies on another.
pub(super) async fn latency(ctx: &Context, body: usize) -> Result<Measured> {
    let connection = connect(ctx).await?;
    let calling = connection.channel_open().await?;
    let publishing = connection.channel_open().await?;
    let publisher = tokio::spawn(publish_for_ever(publishing, frames::body(body).into()));
    let mut meter = ctx.meter(0).each();
    while meter.phase() {
        while meter.tick() {
            let began = Instant::now();
            received(&calling).await?;
            meter.latency(began.elapsed());
        }
    }
    meter.extra("bodies_received", received(&calling).await?);
    publisher.abort();
    Ok(meter.measured())
}

async fn publish_for_ever(channel: Channel, body: Bytes) -> Result<()> {
    loop {
        drop(channel.basic_publish(BasicPublish::new("", DISCARD, body.clone())).await?);
    }
}

/// Connections opened and closed.
pub(super) async fn connections(ctx: &Context) -> Result<Measured> {
    let mut meter = ctx.meter(0).each();
    while meter.phase() {
        while meter.tick() {
            connect(ctx).await?.close().await;
        }
    }
    Ok(meter.measured())
}

/// Connections that stay open.
pub(super) async fn idle_connections(ctx: &Context, count: usize) -> Result<Measured> {
    let _first = connect(ctx).await?;
    let idle = Idle::begin();
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        connections.push(connect(ctx).await?);
    }
    Ok(idle.measured(connections.len()).await)
}

/// Channels opened and closed.
pub(super) async fn channels(ctx: &Context) -> Result<Measured> {
    let connection = connect(ctx).await?;
    let mut meter = ctx.meter(0).each();
    while meter.phase() {
        while meter.tick() {
            connection.channel_open().await?.close().await?;
        }
    }
    Ok(meter.measured())
}
