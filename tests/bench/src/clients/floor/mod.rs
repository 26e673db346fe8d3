//! What an exchange costs without a client: one thread, a blocking socket, pre-encoded frames and no logic,
//! doing what a client must do. What a client needs beyond this is its own.
//!
//! It batches as a good client would: one write for what may be sent, one read for what has come, the acks
//! of what was read in one write.

mod consume;
mod publish;

use std::time::Duration;

use amqp_types::protocol::channel;
use anyhow::Result;

pub(super) use consume::consume;
pub(super) use publish::without_confirms;

use super::wire::Wire;
use super::{Client, locked, unsupported};
use crate::cases::{Case, Work};
use crate::context::Context;
use crate::idle::Idle;
use crate::meter::Measured;

/// The floor.
#[derive(Clone, Copy, Debug)]
pub struct Floor;

impl Client for Floor {
    const NAME: &'static str = "floor";
    const BLOCKING: bool = true;

    fn version() -> &'static str {
        locked("amqp-bench")
    }

    async fn run(case: Case, ctx: Context) -> Result<Measured> {
        match &case.work {
            Work::Publish(publish) => without_confirms(publish, &ctx, publish::WRITE),
            Work::PublishConfirm { body, window } => {
                publish::with_confirms(&case, &ctx, *body, *window)
            }
            Work::Lone { body } => publish::lone(&ctx, *body),
            Work::Consume(consume) => consume::consume(&case, &ctx, consume),
            Work::Rpc { body, idle } => consume::rpc(&case, &ctx, *body, *idle),
            Work::CallLatency { .. } => Err(unsupported("it does one thing at a time")),
            Work::Connections => connections(&ctx),
            Work::IdleConnections { count } => idle_connections(&ctx, *count).await,
            Work::Channels => channels(&ctx),
        }
    }
}

/// Between the messages of case `lone`.
const PAUSE: Duration = Duration::from_millis(2);

fn connections(ctx: &Context) -> Result<Measured> {
    let mut meter = ctx.meter(0);
    while meter.phase() {
        loop {
            Wire::connect(ctx)?.close()?;
            if !meter.done(1) {
                break;
            }
        }
    }
    Ok(meter.measured())
}

async fn idle_connections(ctx: &Context, count: usize) -> Result<Measured> {
    let _first = Wire::connect(ctx)?;
    let idle = Idle::begin();
    let connections = (0..count).map(|_| Wire::connect(ctx)).collect::<Result<Vec<_>>>()?;
    Ok(idle.measured(connections.len()).await)
}

fn channels(ctx: &Context) -> Result<Measured> {
    let mut wire = Wire::open(ctx)?;
    let mut meter = ctx.meter(0);
    while meter.phase() {
        loop {
            wire.call(2, &channel::Open::default())?;
            wire.call(2, &channel::Close { reply_code: 200, ..Default::default() })?;
            if !meter.done(1) {
                break;
            }
        }
    }
    Ok(meter.measured())
}
