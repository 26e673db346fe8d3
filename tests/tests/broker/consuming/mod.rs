//! Consuming: deliveries, settling them, prefetch, and the ways in which a consumer ends.

mod coalescing;
mod ending;
mod fetching;
mod rounds;
mod settling;
mod slow;

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Channel, Connection, ConsumerEnd, ErrorKind, Prefetch,
    QueueDeclare, QueueDelete,
};
use amqp_tests::{Fixture, await_depth, broker_test};
use futures_core::Stream as _;
use futures_core::stream::FusedStream as _;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);
const A_WHILE: Duration = Duration::from_millis(200);

/// A connection, a channel, and a queue with so many messages, "0" to "n-1", all of which have arrived.
async fn filled(t: &Fixture, messages: usize) -> (Connection, Channel, String) {
    let connection = t.connect().await;
    let channel = connection.channel_open().await.unwrap();
    let queue = t.name("queue");
    channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
    for n in 0..messages {
        let message = BasicPublish::new("", &queue, n.to_string());
        drop(channel.basic_publish(message).await.unwrap());
    }
    await_depth(&channel, &queue, u32::try_from(messages).unwrap()).await;
    (connection, channel, queue)
}

/// How many messages are ready in the queue, and how many consumers it has.
async fn counts(channel: &Channel, queue: &str) -> (u32, u32) {
    let ok = channel.queue_declare(QueueDeclare::new(queue).passive(true)).await.unwrap();
    (ok.message_count, ok.consumer_count)
}

/// Waits until the queue has these counts: settling has no reply to wait for.
async fn await_counts(channel: &Channel, queue: &str, expected: (u32, u32)) {
    let reached = timeout(SOON, async {
        while counts(channel, queue).await != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    if reached.await.is_err() {
        panic!("{:?} is not {expected:?}", counts(channel, queue).await);
    }
}

/// How many of the queue's messages are delivered and not settled.
async fn unacked(t: &Fixture, queue: &str) -> u64 {
    t.messages(queue).await.unsettled.into()
}

/// Waits until the queue has so many.
async fn await_unacked(t: &Fixture, queue: &str, expected: u64) {
    let reached = timeout(SOON, async {
        while unacked(t, queue).await != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    if reached.await.is_err() {
        panic!("{} unacked, and not {expected}", unacked(t, queue).await);
    }
}

fn text(body: &amqp_connector::Body) -> String {
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

#[test]
fn published_messages_are_consumed_in_order_and_acked() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 100).await;
        let consume = BasicConsume::new(&queue, Prefetch::Count(10));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        for n in 0..100 {
            let delivery = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
            assert_eq!(text(&delivery.body), n.to_string());
            assert_eq!(delivery.delivery_tag(), n + 1);
            assert!(!delivery.redelivered);
            delivery.ack().unwrap();
        }
        await_counts(&channel, &queue, (0, 1)).await;
        connection.close().await;
    });
}

#[test]
fn basic_get_fetches_one_message_or_none() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 1).await;
        let got = channel.basic_get(BasicGet::new(&queue)).await.unwrap().unwrap();
        assert_eq!(text(&got.body), "0");
        assert!(channel.basic_get(BasicGet::new(&queue)).await.unwrap().is_none());
        got.ack().unwrap();
        channel.close().await.unwrap();
        t.await_messages(&queue, 0, 0).await;
        connection.close().await;
    });
}

#[test]
fn unsettled_messages_go_back_when_the_channel_closes() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 3).await;
        let _first = channel.basic_get(BasicGet::new(&queue)).await.unwrap().unwrap();
        channel.close().await.unwrap();
        let other = connection.channel_open().await.unwrap();
        await_counts(&other, &queue, (3, 0)).await;
        let again = other.basic_get(BasicGet::new(&queue)).await.unwrap().unwrap();
        assert!(again.redelivered);
        assert_eq!(text(&again.body), "0");
        connection.close().await;
    });
}

#[test]
fn nacked_and_rejected_messages_come_again_or_are_gone() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 2).await;
        let get = || channel.basic_get(BasicGet::new(&queue));
        get().await.unwrap().unwrap().nack(true).unwrap();
        get().await.unwrap().unwrap().reject(true).unwrap();
        let first = get().await.unwrap().unwrap();
        assert_eq!((text(&first.body), first.redelivered), ("0".to_owned(), true));
        first.nack(false).unwrap();
        get().await.unwrap().unwrap().reject(false).unwrap();
        assert!(get().await.unwrap().is_none());
        connection.close().await;
    });
}

#[test]
fn a_consumer_is_a_stream_that_ends() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 10).await;
        let consume = BasicConsume::new(&queue, Prefetch::Count(3));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        let mut next = async || poll_fn(|cx| Pin::new(&mut consumer).poll_next(cx)).await;
        for n in 0..10 {
            let delivery = timeout(SOON, next()).await.unwrap().unwrap();
            assert_eq!(text(&delivery.body), n.to_string());
            delivery.ack().unwrap();
        }
        assert!(timeout(A_WHILE, next()).await.is_err());
        channel.queue_delete(QueueDelete::new(&queue)).await.unwrap();
        assert!(timeout(SOON, next()).await.unwrap().is_none());
        assert!(consumer.is_terminated());
        connection.close().await;
    });
}

#[test]
fn ack_multiple_settles_all_before_it() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 5).await;
        let consume = BasicConsume::new(&queue, Prefetch::Unlimited);
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        let mut last = None;
        for _ in 0..4 {
            last = timeout(SOON, consumer.recv()).await.unwrap();
        }
        last.unwrap().ack_multiple().unwrap();
        drop(consumer);
        // The one that was not read goes back.
        await_counts(&channel, &queue, (1, 0)).await;
        connection.close().await;
    });
}

#[test]
fn prefetch_bounds_what_is_unsettled() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 5).await;
        let consume = BasicConsume::new(&queue, Prefetch::Count(2));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        let one = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        let _two = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        assert!(timeout(A_WHILE, consumer.recv()).await.is_err(), "a third one came");
        one.ack().unwrap();
        let three = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(text(&three.body), "2");
        connection.close().await;
    });
}

#[test]
fn no_ack_consumer_has_nothing_to_settle() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 2).await;
        let consume = BasicConsume::new(&queue, Prefetch::Unlimited).no_ack(true);
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        let delivery = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(delivery.ack().unwrap_err().kind(), ErrorKind::Invalid);
        await_counts(&channel, &queue, (0, 1)).await;
        connection.close().await;
    });
}

#[test]
fn cancel_ends_the_consumer_after_what_was_delivered() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 2).await;
        let consume = BasicConsume::new(&queue, Prefetch::Unlimited).tag("mine");
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        assert_eq!(*consumer.tag(), *"mine");
        timeout(SOON, consumer.recv()).await.unwrap().unwrap().ack().unwrap();
        consumer.cancel().await.unwrap();
        timeout(SOON, consumer.recv()).await.unwrap().unwrap().ack().unwrap();
        assert!(timeout(SOON, consumer.recv()).await.unwrap().is_none());
        assert_eq!(consumer.end(), Some(&ConsumerEnd::Cancelled));
        await_counts(&channel, &queue, (0, 0)).await;
        connection.close().await;
    });
}

#[test]
fn dropped_consumer_is_cancelled_and_its_messages_go_back() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 3).await;
        let consume = BasicConsume::new(&queue, Prefetch::Unlimited);
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        await_unacked(t, &queue, 3).await;
        await_counts(&channel, &queue, (0, 1)).await;
        // One that is read stays its reader's; what its handle and the session have goes back.
        let first = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        drop(consumer);
        await_counts(&channel, &queue, (2, 0)).await;
        first.ack().unwrap();
        await_unacked(t, &queue, 0).await;
        await_counts(&channel, &queue, (2, 0)).await;
        connection.close().await;
    });
}

#[test]
fn consumer_whose_queue_is_deleted_ends_with_that_reason() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 0).await;
        let consume = BasicConsume::new(&queue, Prefetch::Count(1));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        channel.queue_delete(QueueDelete::new(&queue)).await.unwrap();
        assert!(timeout(SOON, consumer.recv()).await.unwrap().is_none());
        assert_eq!(consumer.end(), Some(&ConsumerEnd::CancelledByPeer));
        connection.close().await;
    });
}

#[test]
fn consumer_of_a_closed_channel_ends_with_its_reason() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 0).await;
        let consume = BasicConsume::new(&queue, Prefetch::Count(1));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        let missing = QueueDeclare::new(t.name("missing")).passive(true);
        channel.queue_declare(missing).await.unwrap_err();
        assert!(timeout(SOON, consumer.recv()).await.unwrap().is_none());
        let Some(ConsumerEnd::Closed(reason)) = consumer.end() else { panic!("{consumer:?}") };
        assert_eq!(reason.code().map(|code| code.0), Some(404));
        connection.close().await;
    });
}

#[test]
fn ack_of_a_closed_channel_s_delivery_is_stale() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 1).await;
        let delivery = channel.basic_get(BasicGet::new(&queue)).await.unwrap().unwrap();
        channel.close().await.unwrap();
        let again = connection.channel_open().await.unwrap();
        assert_eq!(again.id(), channel.id());
        // What was got goes back when the channel's process is gone, which is after the close-ok.
        await_counts(&again, &queue, (1, 0)).await;
        // Same channel number, same delivery tag: had it been sent, it would be another message's ack.
        let other = again.basic_get(BasicGet::new(&queue)).await.unwrap().unwrap();
        assert_eq!(delivery.delivery_tag(), other.delivery_tag());
        assert_eq!(delivery.ack().unwrap_err().kind(), ErrorKind::Stale);
        other.nack(true).unwrap();
        await_counts(&again, &queue, (1, 0)).await;
        connection.close().await;
    });
}

#[test]
fn calls_behind_a_consume_or_cancel_get_their_own_replies() {
    // RabbitMQ's queue process answers basic.consume and basic.cancel, its channel process the rest:
    // consume-ok and cancel-ok come after the replies to calls that were sent later.
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 0).await;
        let passive = || QueueDeclare::new(&queue).passive(true);
        for _ in 0..20 {
            let consume = BasicConsume::new(&queue, Prefetch::Count(1));
            let (consumer, declared) =
                tokio::join!(channel.basic_consume(consume), channel.queue_declare(passive()));
            let mut consumer = consumer.unwrap();
            assert_eq!(declared.unwrap().queue, *queue);
            let (cancelled, declared) =
                tokio::join!(consumer.cancel(), channel.queue_declare(passive()));
            cancelled.unwrap();
            assert_eq!(declared.unwrap().queue, *queue);
        }
        connection.close().await;
    });
}

#[test]
fn an_exclusive_consumer_keeps_the_others_out() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 1).await;
        let consume = BasicConsume::new(&queue, Prefetch::Count(1));
        let mut only = channel.basic_consume(consume.clone().exclusive(true)).await.unwrap();
        let other = connection.channel_open().await.unwrap();
        let refused = other.basic_consume(consume.clone()).await.unwrap_err();
        let reason = refused.close_reason().unwrap();
        assert_eq!(reason.code().map(|code| code.0), Some(403), "{reason}");
        timeout(SOON, only.recv()).await.unwrap().unwrap().ack().unwrap();
        only.cancel().await.unwrap();
        // It was the consumer's, not the queue's.
        drop(channel.basic_consume(consume).await.unwrap());
        connection.close().await;
    });
}

#[test]
fn consumers_started_at_once_get_their_own_messages() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let mut starting = tokio::task::JoinSet::new();
        for n in 0..20 {
            let queue = t.name(&n.to_string());
            channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
            drop(
                channel.basic_publish(BasicPublish::new("", &queue, n.to_string())).await.unwrap(),
            );
        }
        for n in 0..20 {
            let consume = BasicConsume::new(t.name(&n.to_string()), Prefetch::Count(1));
            let started = channel.basic_consume(consume);
            starting.spawn(async move { (n, started.await.unwrap()) });
        }
        while let Some(started) = starting.join_next().await {
            let (n, mut consumer) = started.unwrap();
            let delivery = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
            assert_eq!(text(&delivery.body), n.to_string());
            delivery.ack().unwrap();
        }
        connection.close().await;
    });
}

#[test]
fn consumers_of_one_channel_get_their_own_messages() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let mut consumers = Vec::new();
        for name in ["a", "b", "c"] {
            let queue = t.name(name);
            channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
            let consume = BasicConsume::new(&queue, Prefetch::Count(1));
            consumers.push((name, channel.basic_consume(consume).await.unwrap()));
            drop(channel.basic_publish(BasicPublish::new("", &queue, name)).await.unwrap());
        }
        for (name, consumer) in &mut consumers {
            let delivery = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
            assert_eq!(text(&delivery.body), *name);
            delivery.ack().unwrap();
        }
        connection.close().await;
    });
}
