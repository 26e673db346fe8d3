//! Consuming, and the ping-pong of a message through a queue.

use std::collections::VecDeque;
use std::time::Instant;

use amqp_connector::{
    BasicConsume, BasicPublish, Bytes, Channel, Connection, Consumer, Prefetch, QueueDeclare,
};
use anyhow::{Context as _, Result, ensure};

use super::connect;
use super::publish::acked;
use crate::cases::{Case, Consume, ECHO, IDLE, PER_CHANNEL};
use crate::context::Context;
use crate::frames;
use crate::meter::{Counter, Measured};

/// Publishes that wait for their confirmation while a queue is filled.
const WINDOW: usize = 1000;

/// Each consumer in a task of its own.
pub(super) async fn consume(case: &Case, ctx: &Context, consume: &Consume) -> Result<Measured> {
    let connection = connect(ctx).await?;
    let (queue, held) = if case.broker {
        let queue = ctx.queue(case);
        fill(&connection, &queue, consume.body, ctx.fill()).await?;
        (queue, ctx.fill())
    } else {
        (consume.queue(), u64::MAX)
    };
    let mut meter = ctx.meter(consume.body).at_most(held);
    if consume.consumers > 1 {
        meter = meter.shared_by(consume.consumers);
    }
    let order = match consume.prefetch {
        Some(count) => BasicConsume::new(queue, Prefetch::Count(count)),
        None => BasicConsume::new(queue, Prefetch::Unlimited).no_ack(true),
    };
    let mut consumers = start(&connection, &order, consume.consumers).await?;
    while meter.phase() {
        let mut tasks = Vec::with_capacity(consumers.len());
        for consumer in consumers.drain(..) {
            let task = receive(consumer, consume.clone(), meter.counter());
            tasks.push(tokio::spawn(task));
        }
        for task in tasks {
            let (consumer, counter) = task.await??;
            consumers.push(consumer);
            meter.add(&counter);
        }
    }
    Ok(meter.measured())
}

/// So many consumers, some to a channel.
async fn start(
    connection: &Connection,
    order: &BasicConsume,
    count: usize,
) -> Result<Vec<Consumer>> {
    let mut consumers = Vec::with_capacity(count);
    let mut channel = connection.channel_open().await?;
    while consumers.len() < count {
        if !consumers.is_empty() && consumers.len() % PER_CHANNEL == 0 {
            channel = connection.channel_open().await?;
        }
        consumers.push(channel.basic_consume(order.clone()).await?);
    }
    Ok(consumers)
}

async fn receive(
    mut consumer: Consumer,
    consume: Consume,
    mut counter: Counter,
) -> Result<(Consumer, Counter)> {
    while counter.tick() {
        let Some(delivery) = consumer.recv().await else {
            anyhow::bail!("the consumer ended: {:?}", consumer.end());
        };
        ensure!(delivery.body.len() == consume.body, "a body of {} octets", delivery.body.len());
        if consume.prefetch.is_some() {
            delivery.ack()?;
        }
    }
    Ok((consumer, counter))
}

/// Declares a queue and publishes to it.
async fn fill(connection: &Connection, queue: &str, body: usize, messages: u64) -> Result<()> {
    let channel = connection.channel_open().await?;
    channel.queue_declare(QueueDeclare::new(queue).exclusive(true).auto_delete(true)).await?;
    channel.confirm_select().await?;
    let (mut pending, body) = (VecDeque::with_capacity(WINDOW), Bytes::from(frames::body(body)));
    for _ in 0..messages {
        if pending.len() == WINDOW
            && let Some(oldest) = pending.pop_front()
        {
            acked(oldest).await?;
        }
        let publish = BasicPublish::new("", queue, body.clone());
        pending.push_back(channel.basic_publish(publish).await?);
    }
    for confirmation in pending {
        acked(confirmation).await?;
    }
    channel.close().await?;
    Ok(())
}

/// One message after the other through a queue and back.
pub(super) async fn rpc(case: &Case, ctx: &Context, body: usize, idle: usize) -> Result<Measured> {
    let connection = connect(ctx).await?;
    let order = BasicConsume::new(IDLE, Prefetch::Unlimited).no_ack(true);
    let _idle = if idle > 0 { start(&connection, &order, idle).await? } else { Vec::new() };
    let channel = connection.channel_open().await?;
    let queue = if case.broker { declare(&channel, case, ctx).await? } else { ECHO.to_owned() };
    let order = BasicConsume::new(queue.as_str(), Prefetch::Unlimited).no_ack(true);
    let mut consumer = channel.basic_consume(order).await?;
    let body = Bytes::from(frames::body(body));
    let mut meter = ctx.meter(body.len()).each();
    while meter.phase() {
        while meter.tick() {
            let began = Instant::now();
            let publish = BasicPublish::new("", queue.as_str(), body.clone());
            drop(channel.basic_publish(publish).await?);
            let delivery = consumer.recv().await.context("the consumer ended")?;
            meter.latency(began.elapsed());
            ensure!(delivery.body.len() == body.len(), "a body of {}", delivery.body.len());
        }
    }
    Ok(meter.measured())
}

async fn declare(channel: &Channel, case: &Case, ctx: &Context) -> Result<String> {
    let name = ctx.queue(case);
    channel
        .queue_declare(QueueDeclare::new(name.as_str()).exclusive(true).auto_delete(true))
        .await?;
    Ok(name)
}
