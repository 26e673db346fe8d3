//! Graceful ends against a peer that is slow, silent or gone, and of single consumers.

use std::time::Duration;

use amqp_connector::protocol::{basic, channel as channel_class, connection as connection_class};
use amqp_connector::testing::{Leftovers, Peer, leftovers};
use amqp_connector::{
    BasicConsume, Channel, Connection, Consumer, ErrorKind, Options, Prefetch, ShortStr, Unsettled,
};
use tokio::time::Instant;

use crate::support::{channel, close_clean, connection_with, open, poll_and_drop, resolves};

const TAG: &str = "tag";

fn tag() -> ShortStr {
    TAG.try_into().expect("short")
}

/// A consumer whose peer has sent it so many deliveries.
async fn consumer(channel: &Channel, peer: &mut Peer, deliveries: u64) -> Consumer {
    let id = channel.id();
    let consume = BasicConsume::new("q", Prefetch::Count(100)).tag(TAG);
    let script = async {
        peer.expect_on::<basic::Qos>(id).await;
        peer.send(id, basic::QosOk::default()).await;
        peer.expect_on::<basic::Consume>(id).await;
        peer.send(id, basic::ConsumeOk { consumer_tag: tag() }).await;
        for delivery_tag in 1..=deliveries {
            deliver(peer, id, delivery_tag).await;
        }
    };
    tokio::join!(channel.basic_consume(consume), script).0.expect("a consumer")
}

async fn deliver(peer: &mut Peer, id: u16, delivery_tag: u64) {
    let deliver = basic::Deliver { consumer_tag: tag(), delivery_tag, ..Default::default() };
    peer.send_content(id, deliver, basic::Properties::default(), "x").await;
}

/// Channel and consumer, and what was delivered is with the client.
async fn with_consumer(deliveries: u64) -> (Connection, Channel, Consumer, Peer) {
    let (connection, channel, mut peer) = channel().await;
    let consumer = consumer(&channel, &mut peer, deliveries).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    (connection, channel, consumer, peer)
}

#[tokio::test(start_paused = true)]
async fn closing_is_bounded_while_the_peer_is_silent_in_the_middle_of_it() {
    let (connection, channel, mut consumer, mut peer) = with_consumer(3).await;
    let held = consumer.recv().await.expect("a delivery");
    let begun = Instant::now();
    resolves("close", connection.close_within(Duration::from_secs(4))).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(4));
    peer.expect::<basic::Cancel>().await;
    // What is held, and what the consumer's handle has taken and nobody asks it for, goes back with the close.
    peer.expect::<connection_class::Close>().await;
    peer.expect_end().await;
    assert_eq!(held.ack().expect_err("over").kind(), ErrorKind::Stale);
    drop((consumer, channel));
    assert_eq!(leftovers(&connection), Leftovers::default());
}

#[tokio::test(start_paused = true)]
async fn closing_a_channel_is_bounded_while_the_peer_is_silent() {
    let (connection, channel, consumer, mut peer) = with_consumer(0).await;
    let begun = Instant::now();
    let timeout = Duration::from_secs(4);
    let closed = resolves("close", channel.close_within(timeout)).await;
    assert_eq!(closed.expect_err("no answer").kind(), ErrorKind::Timeout);
    assert_eq!(begun.elapsed(), timeout);
    peer.expect::<basic::Cancel>().await;
    peer.expect::<channel_class::Close>().await;
    assert!(connection.close_reason().is_none());
    drop((consumer, channel));
    tokio::join!(connection.close(), peer.expect_close());
}

#[tokio::test(start_paused = true)]
async fn closing_is_bounded_while_the_peer_does_not_read() {
    let (connection, mut peer) = connection_with(Options::default(), Peer::with_pipe(500)).await;
    let channel = open(&connection, &mut peer).await;
    let consumer = consumer(&channel, &mut peer, 0).await;
    let publish = amqp_connector::BasicPublish::new("", "q", vec![0; 300_000]);
    drop(channel.basic_publish(publish).await);
    let begun = Instant::now();
    resolves("close", connection.close()).await;
    assert!(begun.elapsed() <= Duration::from_secs(6), "{:?}", begun.elapsed());
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop((consumer, channel));
    assert_eq!(leftovers(&connection), Leftovers::default());
}

#[tokio::test(start_paused = true)]
async fn closing_works_without_anybody_who_polls_the_driver() {
    let (io, mut peer) = Peer::new();
    let connect = async {
        let greeted = amqp_connector::Connector::new().connect_with(io).await.expect("greeted");
        greeted.authenticate_with_driver("guest", "guest").await.expect("connected")
    };
    let ((connection, driver), _) = tokio::join!(connect, peer.handshake());
    let begun = Instant::now();
    resolves("close", connection.close()).await;
    assert!(begun.elapsed() <= Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(driver);
}

#[tokio::test(start_paused = true)]
async fn a_close_of_the_task_that_holds_a_delivery_ends_within_its_deadline() {
    let (connection, _channel, mut consumer, mut peer) = with_consumer(1).await;
    let delivery = consumer.recv().await.expect("a delivery");
    let begun = Instant::now();
    let script = async {
        peer.expect::<basic::Cancel>().await;
        peer.send(1, basic::CancelOk { consumer_tag: tag() }).await;
        peer.expect_close().await;
    };
    resolves("close", async { tokio::join!(connection.close(), script) }).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(5) * 3 / 4, "a quarter is for the answer");
    drop(delivery);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_dropped_while_the_connection_closes_is_let_go() {
    let (connection, _channel, mut consumer, mut peer) = with_consumer(1).await;
    let delivery = consumer.recv().await.expect("a delivery");
    let begun = Instant::now();
    let script = async {
        peer.expect::<basic::Cancel>().await;
        peer.send(1, basic::CancelOk { consumer_tag: tag() }).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        drop(delivery);
        peer.expect_close().await;
    };
    resolves("close", async { tokio::join!(connection.close(), script) }).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_consumer_gives_nothing_more_once_its_connection_closes() {
    let (connection, _channel, mut consumer, mut peer) = with_consumer(3).await;
    // Part of a batch is with the handle.
    consumer.recv().await.expect("a delivery").ack().expect("acked");
    peer.expect::<basic::Ack>().await;
    let close = tokio::spawn({
        let connection = connection.clone();
        async move { connection.close().await }
    });
    peer.expect::<basic::Cancel>().await;
    assert!(resolves("recv", consumer.recv()).await.is_none());
    let given_back = [2, 3].map(|delivery_tag| basic::Reject { delivery_tag, requeue: true });
    for reject in given_back {
        assert_eq!(peer.expect_on::<basic::Reject>(1).await, reject);
    }
    peer.send(1, basic::CancelOk { consumer_tag: tag() }).await;
    peer.expect_close().await;
    resolves("close", close).await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_consumers_shutdown_tells_what_became_of_its_deliveries() {
    let (connection, channel, mut consumer, mut peer) = with_consumer(5).await;
    let id = channel.id();
    let mut deliveries = Vec::new();
    for _ in 0..3 {
        deliveries.push(consumer.recv().await.expect("a delivery"));
    }
    let script = async {
        assert_eq!(peer.expect_on::<basic::Cancel>(id).await.consumer_tag, tag());
        for _ in 0..2 {
            assert!(peer.expect_on::<basic::Reject>(id).await.requeue, "nobody had read it");
        }
        // On its way before the peer saw the cancel.
        deliver(&mut peer, id, 6).await;
        assert_eq!(peer.expect_on::<basic::Reject>(id).await.delivery_tag, 6);
        peer.send(id, basic::CancelOk { consumer_tag: tag() }).await;
        deliveries.pop().expect("one").ack().expect("in time");
        peer.expect_on::<basic::Ack>(id).await;
        // Counts as let go.
        drop(deliveries.pop());
    };
    let shutdown = consumer.shutdown(Duration::from_secs(10));
    let (report, ()) = resolves("shutdown", async { tokio::join!(shutdown, script) }).await;
    assert_eq!((report.given_back, report.settled, report.held), (3, 1, 1), "{report:?}");
    assert_eq!(report.unsettled, 1, "it was dropped and stays with the channel: {report:?}");
    assert!(report.cancelled && report.flushed && report.closed.is_none(), "{report:?}");
    assert!(!report.is_complete(), "one is held");
    // The channel lives, and what is held may be settled.
    deliveries.pop().expect("the last").ack().expect("late, and yet");
    peer.expect_on::<basic::Ack>(id).await;
    drop(channel);
    peer.expect::<channel_class::Close>().await;
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_consumers_shutdown_ends_with_the_last_delivery_in_flight() {
    let (connection, channel, mut consumer, mut peer) = with_consumer(2).await;
    let id = channel.id();
    let held = [consumer.recv().await.expect("one"), consumer.recv().await.expect("two")];
    let begun = Instant::now();
    let script = async {
        peer.expect_on::<basic::Cancel>(id).await;
        peer.send(id, basic::CancelOk { consumer_tag: tag() }).await;
        for delivery in held {
            tokio::time::sleep(Duration::from_secs(1)).await;
            delivery.ack().expect("in time");
            peer.expect_on::<basic::Ack>(id).await;
        }
    };
    let shutdown = consumer.shutdown(Duration::from_secs(100));
    let (report, ()) = resolves("shutdown", async { tokio::join!(shutdown, script) }).await;
    assert!(report.is_complete() && report.settled == 2, "{report:?}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    drop(channel);
    peer.expect::<channel_class::Close>().await;
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_consumers_shutdown_is_bounded_while_the_peer_is_silent() {
    let (connection, channel, consumer, _peer) = with_consumer(0).await;
    let begun = Instant::now();
    let timeout = Duration::from_secs(3);
    let report = resolves("shutdown", consumer.shutdown(timeout)).await;
    assert_eq!(begun.elapsed(), timeout);
    assert!(!report.cancelled && report.flushed && report.held == 0, "{report:?}");
    connection.abort();
    drop(channel);
}

#[tokio::test(start_paused = true)]
async fn a_consumers_shutdown_ends_with_its_channel() {
    let (connection, channel, mut consumer, mut peer) = with_consumer(1).await;
    let held = consumer.recv().await.expect("a delivery");
    let shutdown = tokio::spawn(consumer.shutdown(Duration::from_secs(100)));
    peer.expect::<basic::Cancel>().await;
    peer.close_channel(channel.id(), 404, "NOT_FOUND").await;
    let report = resolves("shutdown", shutdown).await.expect("no panic");
    assert_eq!((report.held, report.settled), (1, 0), "{report:?}");
    let closed = report.closed.expect("the reason");
    assert!(std::sync::Arc::ptr_eq(&closed, &channel.close_reason().expect("closed")));
    drop((held, channel));
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_consumers_shutdown_can_be_dropped() {
    for polls in 0..4 {
        let (connection, channel, consumer, mut peer) = with_consumer(2).await;
        let id = channel.id();
        drop(poll_and_drop(polls, consumer.shutdown(Duration::from_secs(1))).await);
        peer.expect_on::<basic::Cancel>(id).await;
        for delivery_tag in 1..=2 {
            assert_eq!(peer.expect_on::<basic::Reject>(id).await.delivery_tag, delivery_tag);
        }
        peer.send(id, basic::CancelOk { consumer_tag: tag() }).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        drop(channel);
        peer.expect::<channel_class::Close>().await;
        close_clean(connection, &mut peer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn deliveries_that_are_given_back_when_dropped_are_so_during_a_close() {
    let (connection, channel, mut peer) = channel().await;
    let id = channel.id();
    let consume = BasicConsume::new("q", Prefetch::Count(1)).tag(TAG).unsettled(Unsettled::Requeue);
    let script = async {
        peer.expect_on::<basic::Qos>(id).await;
        peer.send(id, basic::QosOk::default()).await;
        peer.expect_on::<basic::Consume>(id).await;
        peer.send(id, basic::ConsumeOk { consumer_tag: tag() }).await;
        deliver(&mut peer, id, 1).await;
    };
    let mut consumer = tokio::join!(channel.basic_consume(consume), script).0.expect("consumer");
    let delivery = consumer.recv().await.expect("a delivery");
    let close = tokio::spawn({
        let channel = channel.clone();
        async move { channel.close().await }
    });
    peer.expect_on::<basic::Cancel>(id).await;
    peer.send(id, basic::CancelOk { consumer_tag: tag() }).await;
    drop(delivery);
    assert!(peer.expect_on::<basic::Reject>(id).await.requeue);
    peer.expect_on::<channel_class::Close>(id).await;
    peer.send(id, channel_class::CloseOk::default()).await;
    resolves("close", close).await.expect("no panic").expect("closed");
    drop((consumer, channel));
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_over_does_not_cancel_the_next_one_of_its_tag() {
    let (_connection, channel, mut first, mut peer) = with_consumer(0).await;
    let answered = async {
        peer.expect::<basic::Cancel>().await;
        peer.send(channel.id(), basic::CancelOk { consumer_tag: tag() }).await;
    };
    tokio::join!(first.cancel(), answered).0.expect("cancelled");
    let mut second = consumer(&channel, &mut peer, 0).await;
    resolves("a cancel of what is over", first.cancel()).await.expect("nothing to do");
    peer.expect_nothing(Duration::from_millis(10)).await;
    deliver(&mut peer, channel.id(), 1).await;
    resolves("the second's", second.recv()).await.expect("a delivery").ack().expect("open");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_waits_for_the_one_that_is_on_its_way() {
    let (_connection, channel, mut peer) = channel().await;
    let id = channel.id();
    let consume = BasicConsume::new("q", Prefetch::Count(9)).tag(TAG).budget(1);
    let script = async {
        peer.expect_on::<basic::Qos>(id).await;
        peer.send(id, basic::QosOk::default()).await;
        peer.expect_on::<basic::Consume>(id).await;
        peer.send(id, basic::ConsumeOk { consumer_tag: tag() }).await;
        for delivery_tag in 1..=3 {
            deliver(&mut peer, id, delivery_tag).await;
        }
        // It is over its budget.
        peer.expect_on::<basic::Cancel>(id).await;
    };
    let mut consumer = tokio::join!(channel.basic_consume(consume), script).0.expect("started");
    for _ in 1..=3 {
        peer.expect_on::<basic::Reject>(id).await;
    }
    let mut cancelling = Box::pin(consumer.cancel());
    let early = tokio::time::timeout(Duration::from_millis(5), &mut cancelling).await;
    assert!(early.is_err(), "the broker still knows it");
    peer.expect_nothing(Duration::from_millis(5)).await;
    peer.send(id, basic::CancelOk { consumer_tag: tag() }).await;
    resolves("cancel", cancelling).await.expect("cancelled");
}

#[tokio::test(start_paused = true)]
async fn a_flush_tells_that_held_acks_were_lost_with_the_connection() {
    let (_connection, channel, mut peer) = channel().await;
    channel.coalesce_acks(100, Duration::from_secs(9)).expect("nothing consumed");
    let mut consumer = consumer(&channel, &mut peer, 4).await;
    for _ in 1..=4 {
        consumer.recv().await.expect("a delivery").ack().expect("held");
    }
    peer.cut();
    resolves("the end", channel.closed()).await;
    let error = resolves("flush", channel.flush()).await.expect_err("they were never written");
    assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_whose_channel_dies_tells_what_was_not_settled() {
    let (_connection, channel, mut consumer, mut peer) = with_consumer(3).await;
    let mut held = Vec::new();
    for _ in 1..=3 {
        held.push(consumer.recv().await.expect("a delivery"));
    }
    let mut shutdown = Box::pin(consumer.shutdown(Duration::from_secs(30)));
    let early = tokio::time::timeout(Duration::from_millis(1), &mut shutdown).await;
    assert!(early.is_err(), "three are held");
    peer.expect::<basic::Cancel>().await;
    peer.send(channel.id(), basic::CancelOk { consumer_tag: tag() }).await;
    peer.close_channel(channel.id(), 406, "PRECONDITION_FAILED - over").await;
    resolves("the end", channel.closed()).await;
    for delivery in held {
        assert_eq!(delivery.ack().expect_err("over").kind(), ErrorKind::Stale);
    }
    let report = resolves("shutdown", shutdown).await;
    assert_eq!((report.settled, report.unsettled), (0, 3), "{report:?}");
    assert!(report.closed.is_some() && !report.is_complete(), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_dropped_and_left_is_not_reported_as_settled() {
    let (_connection, channel, mut consumer, mut peer) = with_consumer(2).await;
    let left = consumer.recv().await.expect("a delivery");
    let acked = consumer.recv().await.expect("a delivery");
    let shutdown = tokio::spawn(consumer.shutdown(Duration::from_secs(30)));
    peer.expect::<basic::Cancel>().await;
    drop(left);
    acked.ack().expect("open");
    peer.send(channel.id(), basic::CancelOk { consumer_tag: tag() }).await;
    let report = resolves("shutdown", shutdown).await.expect("no panic");
    assert_eq!((report.settled, report.unsettled, report.held), (1, 1, 0), "{report:?}");
    assert!(!report.is_complete(), "{report:?}");
}
