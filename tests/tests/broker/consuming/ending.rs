//! The ends of consumers, each with its own reason, and what is not lost by them.

use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Channel, Connection, Consumer, ConsumerEnd, Delivery,
    Initiator, Options, Prefetch, QueueDeclare,
};
use amqp_tests::{Fixture, broker_test, broker_test_alone};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{SOON, await_counts, filled, text};

#[test]
fn consumer_of_a_connection_that_the_broker_closes_ends_with_its_reason() {
    broker_test(async |t| {
        let (_connection, channel, queue) = filled(t, 1).await;
        let consume = BasicConsume::new(&queue, Prefetch::Count(1));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        let delivery = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        t.close_connections("for the test").await.unwrap();
        assert!(timeout(SOON, consumer.recv()).await.unwrap().is_none());
        let Some(ConsumerEnd::Closed(reason)) = consumer.end() else { panic!("{consumer:?}") };
        assert_eq!(
            (reason.code().map(|code| code.0), reason.initiator()),
            (Some(320), Initiator::Peer)
        );
        assert!(reason.text().contains("for the test"), "{reason}");
        // The same reason tells why the delivery cannot be settled any more.
        let stale = delivery.ack().unwrap_err();
        assert_eq!(stale.close_reason().unwrap().text(), reason.text());
    });
}

#[test]
fn consumer_of_a_connection_that_is_closed_here_ends_with_that_reason() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 0).await;
        let consume = BasicConsume::new(&queue, Prefetch::Count(1));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        let waiting = tokio::spawn(async move {
            let delivery = timeout(SOON, consumer.recv()).await.unwrap();
            (delivery.is_none(), consumer.end().cloned())
        });
        connection.close().await;
        let (over, end) = waiting.await.unwrap();
        let Some(ConsumerEnd::Closed(reason)) = end else { panic!("{end:?}") };
        assert!(over && reason.initiator() == Initiator::Application, "{reason}");
    });
}

#[test]
fn consumer_of_a_channel_that_is_closed_here_ends_with_that_reason() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 2).await;
        let consume = BasicConsume::new(&queue, Prefetch::Unlimited);
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        let _first = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        channel.close().await.unwrap();
        // The broker may have sent the second one before: if so, it has taken it back.
        while timeout(SOON, consumer.recv()).await.unwrap().is_some() {}
        let Some(ConsumerEnd::Closed(reason)) = consumer.end() else { panic!("{consumer:?}") };
        assert_eq!(reason.initiator(), Initiator::Application);
        let other = connection.channel_open().await.unwrap();
        await_counts(&other, &queue, (2, 0)).await;
        connection.close().await;
    });
}

#[test]
fn consumer_over_its_limit_ends_with_that_reason_and_gives_everything_back() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 100).await;
        let consume = BasicConsume::new(&queue, Prefetch::Unlimited).budget(1000);
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        await_counts(&channel, &queue, (100, 0)).await;
        assert!(timeout(SOON, consumer.recv()).await.unwrap().is_none());
        assert_eq!(consumer.end(), Some(&ConsumerEnd::Overflow));
        // Its channel goes on.
        let got = channel.basic_get(BasicGet::new(&queue)).await.unwrap().unwrap();
        assert!(got.redelivered);
        got.ack().unwrap();
        connection.close().await;
    });
}

#[test]
fn an_end_is_told_as_often_as_it_is_asked_for() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 0).await;
        let consume = BasicConsume::new(&queue, Prefetch::Count(1));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        assert_eq!(consumer.end(), None);
        consumer.cancel().await.unwrap();
        for _ in 0..3 {
            assert!(timeout(SOON, consumer.recv()).await.unwrap().is_none());
            assert_eq!(consumer.end(), Some(&ConsumerEnd::Cancelled));
        }
        connection.close().await;
    });
}

#[test]
fn a_body_over_the_limit_ends_its_channel_alone_and_stays_in_the_queue() {
    broker_test(async |t| {
        let mut options = Options::default();
        options.body_max = 100_000;
        let connection = t.connect_as(&t.connector().options(options)).await;
        let (channel, other) =
            (connection.channel_open().await.unwrap(), connection.channel_open().await.unwrap());
        let queue = t.name("queue");
        other.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        // As large as the limit, one octet more, and much larger: the rest of its frames is still coming when the
        // channel is closed.
        for size in [100_000, 100_001, 5 << 20] {
            let large = BasicPublish::new("", &queue, vec![b'x'; size]);
            drop(other.basic_publish(large).await.unwrap());
        }
        let consume = BasicConsume::new(&queue, Prefetch::Count(1));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        let fits = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(fits.body.len(), 100_000);
        fits.ack().unwrap();
        for _ in 0..2 {
            let channel = connection.channel_open().await.unwrap();
            let consume = BasicConsume::new(&queue, Prefetch::Unlimited);
            let mut consumer = channel.basic_consume(consume).await.unwrap();
            assert!(timeout(SOON, consumer.recv()).await.unwrap().is_none());
            let Some(ConsumerEnd::Closed(reason)) = consumer.end() else { panic!("{consumer:?}") };
            let told = (reason.code().map(|code| code.0), reason.initiator());
            assert_eq!(told, (Some(311), Initiator::Library));
            // The broker takes them back when it reads of the close.
            await_counts(&other, &queue, (2, 0)).await;
            let got = connection.channel_open().await.unwrap();
            let refused = got.basic_get(BasicGet::new(&queue)).await.unwrap_err();
            assert_eq!(
                refused.close_reason().and_then(|reason| reason.code()).map(|code| code.0),
                Some(311)
            );
            channel.close().await.unwrap();
        }
        drop(consumer);
        channel.close().await.unwrap();
        await_counts(&other, &queue, (2, 0)).await;
        connection.close().await;
    });
}

#[test]
fn a_receive_that_is_given_up_again_and_again_loses_nothing() {
    broker_test(async |t| {
        const MESSAGES: usize = 500;
        let (connection, channel, queue) = filled(t, MESSAGES).await;
        let consume = BasicConsume::new(&queue, Prefetch::Count(7));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        let (mut next, mut given_up) = (0, 0);
        while next < MESSAGES {
            tokio::select! {
                biased;
                () = tokio::task::yield_now(), if given_up < 10_000 => given_up += 1,
                delivery = consumer.recv() => {
                    let delivery = delivery.unwrap();
                    assert_eq!(text(&delivery.body), next.to_string());
                    delivery.ack().unwrap();
                    next += 1;
                }
            }
        }
        assert!(given_up > 0);
        // Polled once and dropped, with nothing and with something there.
        for _ in 0..100 {
            assert!(timeout(Duration::ZERO, consumer.recv()).await.is_err());
        }
        drop(channel.basic_publish(BasicPublish::new("", &queue, "last")).await.unwrap());
        let last = async {
            loop {
                if let Ok(delivery) = timeout(Duration::from_micros(100), consumer.recv()).await {
                    break delivery.unwrap();
                }
            }
        };
        let last = timeout(SOON, last).await.unwrap();
        assert_eq!((text(&last.body).as_str(), last.redelivered), ("last", false));
        last.ack().unwrap();
        drop(consumer);
        await_counts(&channel, &queue, (0, 0)).await;
        connection.close().await;
    });
}

/// A consumer that has so many messages, none of which was read. Its channel outlives it.
async fn stuffed(t: &Fixture, messages: usize) -> (Connection, Channel, String, Consumer) {
    let (connection, channel, queue) = filled(t, messages).await;
    let consume = BasicConsume::new(&queue, Prefetch::Unlimited).budget(1 << 30);
    let consumer = channel.basic_consume(consume).await.unwrap();
    await_counts(&channel, &queue, (0, 1)).await;
    (connection, channel, queue, consumer)
}

/// RabbitMQ puts back some hundred a second one by one, and all of these at once. It has much to do with them: such a
/// test runs alone.
const MANY: usize = if_spec! { basic.nack => { 20_000 } else { 500 } };
const MANY_READY: u32 = if_spec! { basic.nack => { 20_000 } else { 500 } };

#[test]
fn a_consumer_that_is_dropped_gives_back_a_huge_backlog_within_seconds() {
    broker_test_alone(async |t| {
        let (connection, channel, queue, mut consumer) = stuffed(t, MANY).await;
        // The handle has some of them in hand.
        timeout(SOON, consumer.recv()).await.unwrap().unwrap().ack().unwrap();
        drop(consumer);
        await_counts(&channel, &queue, (MANY_READY - 1, 0)).await;
        let first = channel.basic_get(BasicGet::new(&queue)).await.unwrap().unwrap();
        assert_eq!((text(&first.body).as_str(), first.redelivered), ("1", true), "in order");
        first.ack().unwrap();
        connection.close().await;
    });
}

#[test]
fn a_consumer_that_is_shut_down_gives_back_a_huge_backlog_within_seconds() {
    broker_test_alone(async |t| {
        let (connection, channel, queue, consumer) = stuffed(t, MANY).await;
        let report = consumer.shutdown(SOON).await;
        assert!(report.is_complete() && report.given_back > 0, "{report:?}");
        await_counts(&channel, &queue, (MANY_READY, 0)).await;
        connection.close().await;
    });
}

#[test]
fn what_the_user_holds_stays_with_him_while_the_rest_goes_back() {
    broker_test(async |t| {
        let (connection, channel, queue, mut consumer) = stuffed(t, 200).await;
        let mine = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        drop(consumer);
        await_counts(&channel, &queue, (199, 0)).await;
        mine.ack().unwrap();
        channel.queue_declare(QueueDeclare::new(&queue).passive(true)).await.unwrap();
        assert!(channel.close_reason().is_none());
        await_counts(&channel, &queue, (199, 0)).await;
        connection.close().await;
    });
}

/// Settles a delivery a little later.
fn settle_later(delivery: Delivery) -> JoinHandle<amqp_connector::Result<()>> {
    tokio::spawn(async move {
        // Within the second that the rest waits for it.
        tokio::time::sleep(Duration::from_millis(100)).await;
        delivery.ack()
    })
}

/// Reads what is in the queue: each message but the first, once.
async fn expect_all_but_the_first(channel: &Channel, queue: &str) {
    let consume = BasicConsume::new(queue, Prefetch::Unlimited).no_ack(true).budget(1 << 30);
    let mut consumer = channel.basic_consume(consume).await.unwrap();
    for expected in 1..MANY {
        let delivery = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(text(&delivery.body), expected.to_string());
    }
    drop(consumer);
    await_counts(channel, queue, (0, 0)).await;
}

#[test]
fn a_huge_backlog_is_back_within_seconds_though_a_delivery_is_held_when_the_shutdown_begins() {
    broker_test_alone(async |t| {
        let (connection, channel, queue, mut consumer) = stuffed(t, MANY).await;
        let settling = settle_later(timeout(SOON, consumer.recv()).await.unwrap().unwrap());
        let report = consumer.shutdown(SOON).await;
        assert!(report.is_complete(), "{report:?}");
        assert_eq!((report.given_back, report.settled), (MANY - 1, 1), "{report:?}");
        settling.await.unwrap().unwrap();
        await_counts(&channel, &queue, (MANY_READY - 1, 0)).await;
        expect_all_but_the_first(&channel, &queue).await;
        connection.close().await;
    });
}

#[test]
fn a_huge_backlog_is_back_within_seconds_though_a_delivery_is_held_when_its_consumer_is_dropped() {
    broker_test_alone(async |t| {
        let (connection, channel, queue, mut consumer) = stuffed(t, MANY).await;
        let settling = settle_later(timeout(SOON, consumer.recv()).await.unwrap().unwrap());
        drop(consumer);
        settling.await.unwrap().unwrap();
        await_counts(&channel, &queue, (MANY_READY - 1, 0)).await;
        expect_all_but_the_first(&channel, &queue).await;
        connection.close().await;
    });
}
