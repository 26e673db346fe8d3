//! What an exchange costs without a client: one thread, one socket, pre-encoded frames and no logic, doing
//! what a client must do. What a client needs beyond this is its own.
//!
//! There are two. `floor` blocks in its reads and writes: the fewest system calls that the exchange can take.
//! `floor-epoll` makes those of a client on an event-driven runtime, which has to ask when it may read and so
//! pays for one call more each time that it waits. All else is the same code.
//!
//! It batches as a good client would: one write for what may be sent, one read for what has come, the acks
//! of what was read in one write.

mod consume;
mod publish;

use std::marker::PhantomData;
use std::time::Duration;

use amqp_types::protocol::channel;
use anyhow::Result;

pub(super) use consume::consume;
pub(super) use publish::without_confirms;

use super::transport::{Blocking, Epoll, Transport};
use super::wire::Wire;
use super::{Client, locked, unsupported};
use crate::cases::{Case, Work};
use crate::context::Context;
use crate::idle::Idle;
use crate::meter::Measured;

/// The floor over some transport.
pub(super) struct On<T>(PhantomData<T>);

/// A blocking socket.
pub(super) type Floor = On<Blocking>;

/// A socket that is read when epoll says so.
pub(super) type FloorEpoll = On<Epoll>;

impl<T: Transport> Client for On<T> {
    const NAME: &'static str = T::FLOOR;
    const BLOCKING: bool = true;

    fn version() -> &'static str {
        locked("amqp-bench")
    }

    async fn run(case: Case, ctx: Context) -> Result<Measured> {
        if case.tls {
            return Err(unsupported("over TLS there is `raw`"));
        }
        match &case.work {
            Work::Publish(publish) => without_confirms::<T>(publish, &ctx, publish::WRITE),
            Work::PublishConfirm { body, window } => {
                publish::with_confirms::<T>(&case, &ctx, *body, *window)
            }
            Work::Lone { body } => publish::lone::<T>(&ctx, *body),
            Work::Consume(consume) => consume::consume::<T>(&case, &ctx, consume),
            Work::Rpc { body, idle } => consume::rpc::<T>(&case, &ctx, *body, *idle),
            Work::CallLatency { .. } => Err(unsupported("it does one thing at a time")),
            Work::Connections => connections::<T>(&ctx),
            Work::IdleConnections { count } => idle_connections::<T>(&ctx, *count).await,
            Work::Channels => channels::<T>(&ctx),
        }
    }
}

/// Between the messages of case `lone`.
const PAUSE: Duration = Duration::from_millis(2);

fn connections<T: Transport>(ctx: &Context) -> Result<Measured> {
    let mut meter = ctx.meter(0);
    while meter.phase() {
        loop {
            Wire::<T>::connect(ctx)?.close()?;
            if !meter.done(1) {
                break;
            }
        }
    }
    Ok(meter.measured())
}

async fn idle_connections<T: Transport>(ctx: &Context, count: usize) -> Result<Measured> {
    let _first = Wire::<T>::connect(ctx)?;
    let idle = Idle::begin();
    let connections = (0..count).map(|_| Wire::<T>::connect(ctx)).collect::<Result<Vec<_>>>()?;
    Ok(idle.measured(connections.len()).await)
}

fn channels<T: Transport>(ctx: &Context) -> Result<Measured> {
    let mut wire = Wire::<T>::open(ctx)?;
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
