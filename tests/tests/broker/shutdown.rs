//! Graceful ends: what was begun before a close is brought to its end, and nothing is lost.

use std::time::Duration;

use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Channel, Connection, Consumer, ConsumerEnd, ErrorKind,
    Outcome, Prefetch, QueueDeclare, QueueDelete,
};
use amqp_tests::{Fixture, await_depth, broker_test};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);

/// A connection and channel that outlive what a test closes, and a queue with so many messages, numbered.
async fn queue_of(t: &Fixture, count: u32) -> (Connection, Channel, String) {
    let connection = t.connect().await;
    let channel = connection.channel_open().await.unwrap();
    let queue = t.name("queue");
    channel.queue_declare(QueueDeclare::new(&queue).durable(true)).await.unwrap();
    for n in 0..count {
        let publish = BasicPublish::new("", &queue, n.to_be_bytes().to_vec());
        drop(channel.basic_publish(publish).await.unwrap());
    }
    await_depth(&channel, &queue, count).await;
    (connection, channel, queue)
}

/// Deletes the queue, when the broker has taken back what was on its way; gives what it held.
async fn left(channel: &Channel, queue: &str) -> u32 {
    channel.queue_delete(QueueDelete::new(queue)).await.unwrap().message_count
}

fn number(delivery: &amqp_connector::Delivery) -> u32 {
    u32::from_be_bytes((&*delivery.body.to_bytes()).try_into().unwrap())
}

async fn consume(connection: &Connection, queue: &str, prefetch: Prefetch) -> Consumer {
    let channel = connection.channel_open().await.unwrap();
    channel.basic_consume(BasicConsume::new(queue, prefetch)).await.unwrap()
}

/// Waits until somebody has begun to close it.
async fn closing(connection: &Connection) {
    while connection.close_reason().is_none() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn publishes_of_other_tasks_are_confirmed_before_the_connection_closes() {
    broker_test(async |t| {
        let (keeper, watch, queue) = queue_of(t, 0).await;
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        match channel.confirm_select().await {
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            other => other.unwrap(),
        }
        let publisher = tokio::spawn({
            let (channel, queue) = (channel.clone(), queue.clone());
            async move {
                let mut confirmations = Vec::new();
                for n in 0..1000_u32 {
                    let publish = BasicPublish::new("", &queue, n.to_be_bytes().to_vec());
                    confirmations.push(channel.basic_publish(publish).await.unwrap());
                }
                confirmations
            }
        });
        let confirmations = publisher.await.unwrap();
        connection.close().await;
        for confirmation in confirmations {
            let outcome = timeout(SOON, confirmation).await.unwrap();
            assert!(matches!(outcome, Outcome::Acked | Outcome::Accepted), "{outcome:?}");
        }
        assert_eq!(left(&watch, &queue).await, 1000);
        keeper.close().await;
    });
}

#[test]
fn publishes_are_confirmed_before_a_channel_closes() {
    broker_test(async |t| {
        let (keeper, watch, queue) = queue_of(t, 0).await;
        let channel = keeper.channel_open().await.unwrap();
        match channel.confirm_select().await {
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            other => other.unwrap(),
        }
        let mut confirmations = Vec::new();
        for _ in 0..1000 {
            let publish = BasicPublish::new("", &queue, vec![1; 100]);
            confirmations.push(channel.basic_publish(publish).await.unwrap());
        }
        channel.close().await.unwrap();
        for confirmation in confirmations {
            let outcome = timeout(SOON, confirmation).await.unwrap();
            assert!(matches!(outcome, Outcome::Acked | Outcome::Accepted), "{outcome:?}");
        }
        assert_eq!(left(&watch, &queue).await, 1000);
        keeper.close().await;
    });
}

#[test]
fn a_delivery_that_a_worker_settles_while_the_connection_closes_is_settled() {
    broker_test(async |t| {
        let (keeper, watch, queue) = queue_of(t, 3).await;
        let connection = t.connect().await;
        let mut consumer = consume(&connection, &queue, Prefetch::Count(10)).await;
        let worker = tokio::spawn({
            let connection = connection.clone();
            async move {
                let delivery = consumer.recv().await.unwrap();
                closing(&connection).await;
                // Long enough for the close to overtake it, if it would.
                tokio::time::sleep(Duration::from_millis(200)).await;
                let settled = delivery.ack();
                // What it had not been given goes back, and it is told.
                assert!(consumer.recv().await.is_none());
                assert!(matches!(consumer.end(), Some(ConsumerEnd::Closed(_))), "{consumer:?}");
                settled
            }
        });
        await_depth(&watch, &queue, 0).await;
        connection.close().await;
        worker.await.unwrap().unwrap();
        assert_eq!(left(&watch, &queue).await, 2, "one is settled, two are back");
        keeper.close().await;
    });
}

#[test]
fn a_delivery_that_is_held_by_the_task_that_closes_is_no_trap() {
    broker_test(async |t| {
        let (keeper, watch, queue) = queue_of(t, 1).await;
        let connection = t.connect().await;
        let mut consumer = consume(&connection, &queue, Prefetch::Count(10)).await;
        let delivery = consumer.recv().await.unwrap();
        let held = Duration::from_millis(400);
        timeout(SOON, connection.close_within(held)).await.unwrap();
        assert_eq!(delivery.ack().unwrap_err().kind(), ErrorKind::Stale);
        await_depth(&watch, &queue, 1).await;
        assert_eq!(left(&watch, &queue).await, 1);
        keeper.close().await;
    });
}

#[test]
fn what_an_undrained_consumer_has_not_read_goes_back_in_order() {
    const COUNT: u32 = 10_000;
    broker_test(async |t| {
        let (keeper, watch, queue) = queue_of(t, COUNT).await;
        let connection = t.connect().await;
        let mut consumer = consume(&connection, &queue, Prefetch::Unlimited).await;
        // Some are read, so that its handle holds part of a batch.
        for n in 0..10 {
            let delivery = consumer.recv().await.unwrap();
            assert_eq!(number(&delivery), n);
            delivery.ack().unwrap();
        }
        await_depth(&watch, &queue, 0).await;
        timeout(SOON, connection.close()).await.unwrap();
        await_depth(&watch, &queue, COUNT - 10).await;
        let mut again = consume(&keeper, &queue, Prefetch::Unlimited).await;
        for n in 10..COUNT {
            let delivery = timeout(SOON, again.recv()).await.unwrap().unwrap();
            assert_eq!((number(&delivery), delivery.redelivered), (n, true));
            delivery.ack().unwrap();
        }
        drop((consumer, again));
        watch.queue_delete(QueueDelete::new(&queue)).await.unwrap();
        keeper.close().await;
    });
}

#[test]
fn what_a_consumer_without_acks_was_sent_can_be_read_after_the_close() {
    const COUNT: u32 = 1000;
    broker_test(async |t| {
        let (keeper, watch, queue) = queue_of(t, COUNT).await;
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let consume = BasicConsume::new(&queue, Prefetch::Unlimited).no_ack(true);
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        // Wherever the broker is with its sending.
        connection.close().await;
        let mut read = 0;
        while let Some(delivery) = consumer.recv().await {
            assert_eq!(number(&delivery), read);
            read += 1;
        }
        assert!(matches!(consumer.end(), Some(ConsumerEnd::Closed(_))), "{consumer:?}");
        assert_eq!(read + left(&watch, &queue).await, COUNT, "each is read or still there");
        keeper.close().await;
    });
}

#[test]
fn calls_under_way_get_their_replies_and_new_ones_the_reason() {
    broker_test(async |t| {
        let (keeper, watch, queue) = queue_of(t, 1).await;
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let mut get = Box::pin(channel.basic_get(BasicGet::new(&queue)));
        // Sent, and not answered yet.
        let sent = poll_once(&mut get).await;
        assert!(sent.is_none());
        let closed = tokio::spawn({
            let connection = connection.clone();
            async move { connection.close().await }
        });
        closing(&connection).await;
        let error = channel.queue_declare(QueueDeclare::new("")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
        get.await.unwrap().unwrap().ack().unwrap();
        let reason = timeout(SOON, closed).await.unwrap().unwrap();
        assert!(std::ptr::eq(&*reason, error.close_reason().unwrap()));
        // Neither with anybody nor on its way back.
        t.await_messages(&queue, 0, 0).await;
        assert_eq!(left(&watch, &queue).await, 0);
        keeper.close().await;
    });
}

/// Polls once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[test]
fn closes_from_many_tasks_at_once_are_one() {
    broker_test(async |t| {
        let (keeper, watch, queue) = queue_of(t, 10).await;
        let connection = t.connect().await;
        let consumer = consume(&connection, &queue, Prefetch::Count(5)).await;
        let closes: Vec<_> = (0..10_u64)
            .map(|n| {
                let connection = connection.clone();
                tokio::spawn(
                    async move { connection.close_within(Duration::from_secs(2 + n)).await },
                )
            })
            .collect();
        let mut reasons = Vec::new();
        for close in closes {
            reasons.push(timeout(SOON, close).await.unwrap().unwrap());
        }
        assert!(reasons.iter().all(|reason| std::sync::Arc::ptr_eq(reason, &reasons[0])));
        drop(consumer);
        await_depth(&watch, &queue, 10).await;
        assert_eq!(left(&watch, &queue).await, 10);
        keeper.close().await;
    });
}

/// So many handlers, each of which takes its time with a delivery and then settles it.
#[test]
fn a_consumers_shutdown_waits_for_slow_handlers_and_gives_back_the_rest() {
    broker_test(async |t| {
        let (keeper, watch, queue) = queue_of(t, 300).await;
        let mut consumer = consume(&keeper, &queue, Prefetch::Count(100)).await;
        let mut handlers = tokio::task::JoinSet::new();
        let (go, gone) = tokio::sync::watch::channel(false);
        for _ in 0..60 {
            let delivery = consumer.recv().await.unwrap();
            let mut gone = gone.clone();
            handlers.spawn(async move {
                // Busy until the shutdown is under way.
                gone.wait_for(|gone| *gone).await.unwrap();
                delivery.ack()
            });
        }
        await_depth(&watch, &queue, 200).await;
        let shutdown = tokio::spawn(consumer.shutdown(Duration::from_secs(10)));
        // What was not read is back before the handlers have finished.
        await_depth(&watch, &queue, 240).await;
        assert!(!shutdown.is_finished());
        go.send(true).unwrap();
        let report = timeout(SOON, shutdown).await.unwrap().unwrap();
        assert!(report.is_complete(), "{report:?}");
        assert_eq!((report.given_back, report.settled), (40, 60), "{report:?}");
        while let Some(settled) = handlers.join_next().await {
            settled.unwrap().unwrap();
        }
        assert_eq!(left(&watch, &queue).await, 240);
        keeper.close().await;
    });
}

#[test]
fn a_consumers_shutdown_tells_what_was_still_held_at_its_deadline() {
    broker_test(async |t| {
        let (keeper, watch, queue) = queue_of(t, 10).await;
        let channel = keeper.channel_open().await.unwrap();
        let consume = BasicConsume::new(&queue, Prefetch::Count(10));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        let held = [consumer.recv().await.unwrap(), consumer.recv().await.unwrap()];
        await_depth(&watch, &queue, 0).await;
        // Long enough for the broker to confirm the cancel.
        let report = consumer.shutdown(Duration::from_secs(3)).await;
        assert_eq!((report.held, report.settled, report.given_back), (2, 0, 8), "{report:?}");
        assert!(report.cancelled && !report.is_complete(), "{report:?}");
        await_depth(&watch, &queue, 8).await;
        for delivery in held {
            delivery.ack().unwrap();
        }
        channel.close().await.unwrap();
        t.await_messages(&queue, 8, 0).await;
        assert_eq!(left(&watch, &queue).await, 8);
        keeper.close().await;
    });
}

#[test]
fn a_consumer_that_is_over_leaves_the_next_one_of_its_tag_alone() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("twice");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        let consume = BasicConsume::new(&queue, Prefetch::Count(1)).tag("worker");
        let mut first = channel.basic_consume(consume.clone()).await.unwrap();
        first.cancel().await.unwrap();
        let mut second = channel.basic_consume(consume).await.unwrap();
        first.cancel().await.unwrap();
        drop(channel.basic_publish(BasicPublish::new("", &queue, "x")).await.unwrap());
        second.recv().await.unwrap().ack().unwrap();
        connection.close().await;
    });
}

#[test]
fn a_tag_in_use_is_refused_and_leaves_the_connection_alone() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("tag");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        let consume = BasicConsume::new(&queue, Prefetch::Count(1)).tag("worker");
        let first = channel.basic_consume(consume.clone()).await.unwrap();
        let error = channel.basic_consume(consume).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        drop(first);
        connection.close().await;
    });
}
