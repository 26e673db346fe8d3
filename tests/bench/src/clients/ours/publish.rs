//! Publishing, with and without confirms.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use amqp_connector::{
    BasicPublish, Bytes, Channel, Confirmation, FieldTable, Outcome, QueueDeclare, basic,
};
use anyhow::{Result, bail};

use super::{connect, has_received};
use crate::cases::{Case, DISCARD, Publish};
use crate::clients::unsupported;
use crate::context::Context;
use crate::frames;
use crate::meter::{Counter, Measured};

/// One message after the other, in as many tasks as are asked for.
pub(super) async fn without_confirms(publish: &Publish, ctx: &Context) -> Result<Measured> {
    if publish.in_flight > 1 {
        return Err(unsupported(
            "a publish is over when the message is accepted, not when it is written",
        ));
    }
    let connection = connect(ctx).await?;
    let mut idle = Vec::with_capacity(publish.open);
    for _ in 0..publish.open {
        idle.push(connection.channel_open().await?);
    }
    let mut channels = vec![connection.channel_open().await?];
    while publish.own_channels && channels.len() < publish.tasks {
        channels.push(connection.channel_open().await?);
    }
    let message = Message {
        properties: frames::properties(publish.headers),
        body: frames::body(publish.body).into(),
    };
    let (mut meter, mut total) = (ctx.meter(publish.body), 0);
    while meter.phase() {
        let mut tasks = Vec::with_capacity(publish.tasks);
        for channel in channels.iter().cycle().take(publish.tasks) {
            let task = publish_all(channel.clone(), message.clone(), meter.counter());
            tasks.push(tokio::spawn(task));
        }
        for task in tasks {
            let counter = task.await??;
            total += counter.count();
            meter.add(&counter);
        }
        // On each channel, since what waits on one may go out after what waits on another.
        for channel in channels.iter().skip(1) {
            super::received(channel).await?;
        }
        for channel in channels.iter().take(1) {
            has_received(channel, total).await?;
        }
    }
    drop(idle);
    Ok(meter.measured())
}

/// What is published again and again.
#[derive(Clone)]
struct Message {
    properties: basic::Properties,
    body: Bytes,
}

async fn publish_all(channel: Channel, message: Message, mut counter: Counter) -> Result<Counter> {
    let Message { properties, body } = message;
    while counter.tick() {
        let mut publish = BasicPublish::new("", DISCARD, body.clone());
        if properties.headers.is_some() {
            publish = publish.properties(properties.clone());
        }
        // Without confirms there is nothing more to know.
        drop(channel.basic_publish(publish).await?);
    }
    Ok(counter)
}

/// One task that awaits each confirmation, the oldest first, so that at most `window` are open.
pub(super) async fn with_confirms(
    case: &Case,
    ctx: &Context,
    body: usize,
    window: usize,
) -> Result<Measured> {
    let connection = connect(ctx).await?;
    let channel = connection.channel_open().await?;
    let queue = if case.broker { declare(&channel, case, ctx).await? } else { DISCARD.to_owned() };
    channel.confirm_select().await?;
    let (mut pending, body) = (VecDeque::with_capacity(window), Bytes::from(frames::body(body)));
    let mut meter = ctx.meter(body.len());
    while meter.phase() {
        while meter.tick() {
            if pending.len() == window
                && let Some(oldest) = pending.pop_front()
            {
                acked(oldest).await?;
            }
            let publish = BasicPublish::new("", queue.as_str(), body.clone());
            pending.push_back(channel.basic_publish(publish).await?);
        }
        for confirmation in pending.drain(..) {
            acked(confirmation).await?;
        }
    }
    Ok(meter.measured())
}

/// A queue of a broker that keeps the latest thousand messages.
async fn declare(channel: &Channel, case: &Case, ctx: &Context) -> Result<String> {
    let name = ctx.queue(case);
    let arguments = FieldTable::default().with(frames::short("x-max-length"), 1000_i32);
    let queue = QueueDeclare::new(name.as_str()).exclusive(true).auto_delete(true);
    channel.queue_declare(queue.arguments(arguments)).await?;
    Ok(name)
}

pub(super) async fn acked(confirmation: Confirmation) -> Result<()> {
    match confirmation.await {
        Outcome::Acked => Ok(()),
        other => bail!("a message is {other:?}"),
    }
}

/// A message now and then, and the time to its confirmation.
pub(super) async fn lone(ctx: &Context, body: usize) -> Result<Measured> {
    let connection = connect(ctx).await?;
    let channel = connection.channel_open().await?;
    channel.confirm_select().await?;
    let body = Bytes::from(frames::body(body));
    let mut meter = ctx.meter(body.len()).each();
    while meter.phase() {
        while meter.tick() {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let began = Instant::now();
            let publish = BasicPublish::new("", DISCARD, body.clone());
            acked(channel.basic_publish(publish).await?).await?;
            meter.latency(began.elapsed());
        }
    }
    Ok(meter.measured())
}
