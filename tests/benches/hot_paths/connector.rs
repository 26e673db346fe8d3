//! The paths through the connector: a user's task and the driver on one thread, over a [`Replay`].
//!
//! The tasks run on tokio's current-thread runtime with its budgets, its wakers and a clock that stands still.
//! One that waited for what never comes would see its call or its connection end at once. The transport's work
//! counts, too, above all that it copies what is read, as the kernel does for a socket.

use std::future::Future;
use std::time::Duration;

use amqp_connector::testing::{Flood, Replay, ReplayControl};
use amqp_connector::{
    BasicConsume, BasicPublish, Channel, Connector, Consumer, Prefetch, QueueDeclare,
};
use amqp_types::protocol::{basic, channel, queue};
use bytes::Bytes;

use super::Result;
use super::values::{CONSUMER_TAG, EXCHANGE, ROUTING_KEY, deliver as delivery, properties};

/// Publishes that are unconfirmed, or deliveries that come, at once.
const WINDOW: usize = 100;
/// Octets of deliveries that come at once.
const TURN: usize = 256 << 10;

fn run<F: Future<Output = Result>>(task: impl FnOnce(Channel, ReplayControl) -> F) -> Result {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let (io, control) = Replay::new();
        let greeted = Connector::new().connect_with(io).await?;
        let connection = greeted.authenticate("guest", "guest").await?;
        control.answer(1, channel::OpenOk::default());
        let channel = connection.channel_open().await?;
        task(channel, control).await
    })
}

fn message(properties: Option<&basic::Properties>, body: &Bytes) -> BasicPublish {
    let publish = BasicPublish::new(EXCHANGE, ROUTING_KEY, body.clone());
    match properties {
        Some(properties) => publish.properties(properties.clone()),
        None => publish,
    }
}

/// Messages without confirms.
pub(crate) fn publish(body: usize, headers: usize, times: usize) -> Result {
    let properties = (headers > 0).then(|| properties(headers));
    let body = Bytes::from(vec![b'x'; body]);
    run(async |channel, _| {
        for _ in 0..times {
            let message = message(properties.as_ref(), &body);
            let _ = channel.basic_publish(message).await?.await;
        }
        channel.flush().await?;
        Ok(())
    })
}

/// Messages with confirms, each awaited; one ack confirms a window of them.
pub(crate) fn publish_confirm(body: usize, times: usize) -> Result {
    let body = Bytes::from(vec![b'x'; body]);
    run(async |channel, control| {
        select(&channel, &control).await?;
        let mut confirmations = Vec::with_capacity(WINDOW);
        let mut delivery_tag = 0;
        for _ in 0..times / WINDOW {
            for _ in 0..WINDOW {
                confirmations.push(channel.basic_publish(message(None, &body)).await?);
            }
            delivery_tag += WINDOW as u64;
            confirm(&control, delivery_tag);
            for confirmation in confirmations.drain(..) {
                if !confirmation.await.is_acked() {
                    return Err("not acked".into());
                }
            }
        }
        Ok(())
    })
}

amqp_types::if_spec! { confirm.select => {
    async fn select(channel: &Channel, control: &ReplayControl) -> Result {
        control.answer(1, amqp_types::protocol::confirm::SelectOk::default());
        Ok(channel.confirm_select().await?)
    }

    fn confirm(control: &ReplayControl, delivery_tag: u64) {
        control.send(1, basic::Ack { delivery_tag, multiple: true });
    }
} else {
    fn confirm(_: &ReplayControl, _: u64) {}

    async fn select(_: &Channel, _: &ReplayControl) -> Result {
        Err("this specification has no confirms".into())
    }
} }

async fn consume(
    channel: &Channel,
    control: &ReplayControl,
    flood: Flood,
    no_ack: bool,
) -> Result<Consumer> {
    control.load(flood);
    control.answer(1, basic::QosOk::default());
    control.answer(1, basic::ConsumeOk { consumer_tag: CONSUMER_TAG });
    let consume = BasicConsume::new("jobs", Prefetch::Count(500)).tag(CONSUMER_TAG).no_ack(no_ack);
    Ok(channel.basic_consume(consume).await?)
}

/// Deliveries to a consumer without acknowledgements.
pub(crate) fn deliver(body: usize, headers: usize, times: usize) -> Result {
    let count = (TURN / body.max(1)).clamp(1, WINDOW);
    let flood = Flood::new(1, &delivery(), &properties(headers), &vec![b'x'; body], count);
    run(async |channel, control| {
        let mut consumer = consume(&channel, &control, flood, true).await?;
        control.play(times.div_ceil(count));
        for _ in 0..times {
            let delivery = consumer.recv().await.ok_or("the consumer is over")?;
            if delivery.body.len() != body {
                return Err("another body".into());
            }
        }
        Ok(())
    })
}

/// Deliveries that are acknowledged one by one.
pub(crate) fn deliver_ack(body: usize, times: usize) -> Result {
    acknowledge(body, times, |_| Ok(()))
}

/// The same, where the acks are sent together.
pub(crate) fn deliver_coalesced(body: usize, times: usize) -> Result {
    acknowledge(body, times, |channel| Ok(channel.coalesce_acks(WINDOW, Duration::ZERO)?))
}

fn acknowledge(body: usize, times: usize, prepare: fn(&Channel) -> Result) -> Result {
    let flood = Flood::new(1, &delivery(), &properties(0), &vec![b'x'; body], WINDOW);
    run(async |channel, control| {
        prepare(&channel)?;
        let mut consumer = consume(&channel, &control, flood, false).await?;
        control.play(times.div_ceil(WINDOW));
        for _ in 0..times {
            consumer.recv().await.ok_or("the consumer is over")?.ack()?;
        }
        Ok(())
    })
}

/// Calls, one after the other.
pub(crate) fn call(times: usize) -> Result {
    run(async |channel, control| {
        for _ in 0..times {
            control.answer(1, queue::DeclareOk { message_count: 7, ..Default::default() });
            let declared = channel.queue_declare(QueueDeclare::new("jobs").passive(true)).await?;
            if declared.message_count != 7 {
                return Err("another reply".into());
            }
        }
        Ok(())
    })
}
