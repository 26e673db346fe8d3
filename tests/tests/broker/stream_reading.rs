//! Streamed bodies that are read with pauses, recovered, given back and shut down.

use std::time::Duration;

use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Channel, Connection, ErrorKind, Prefetch, QueueDeclare,
};
use amqp_tests::{Fixture, broker_test};
use tokio::time::timeout;

use crate::streaming::whole;

const SOON: Duration = Duration::from_secs(20);
const LENGTH: usize = 300_000;

/// A channel with a queue of its own in which there are three messages.
async fn three_messages(t: &Fixture) -> (Connection, Channel, String) {
    let connection = t.connect().await;
    let channel = connection.channel_open().await.unwrap();
    let queue = t.name("queue");
    channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
    for n in 0..3 {
        let publish = BasicPublish::new("", &queue, vec![n; LENGTH]);
        drop(channel.basic_publish(publish).await.unwrap());
    }
    (connection, channel, queue)
}

#[test]
fn recovered_streams_come_again_whole_and_the_old_ones_are_stale() {
    broker_test(async |t| {
        let (connection, channel, queue) = three_messages(t).await;
        // As many as it may hold: no delivery crosses the request.
        let consume = BasicConsume::new(&queue, Prefetch::Count(3));
        let mut consumer = channel.basic_consume_streamed(consume).await.unwrap();
        let mut old = Vec::new();
        while old.len() < 3 {
            old.push(timeout(SOON, consumer.recv()).await.unwrap().unwrap());
        }
        // One was read, one is being read, one was not looked at.
        assert_eq!(whole(&mut old[0]).await, vec![0; LENGTH]);
        old[1].body.chunk().await.unwrap().unwrap();
        channel.basic_recover(true).await.unwrap();
        let last = old.iter().map(|delivery| delivery.delivery_tag()).max().unwrap();
        assert_eq!(old.pop().unwrap().nack(true).unwrap_err().kind(), ErrorKind::Stale);
        let rest = whole(&mut old[1]).await;
        assert!(rest.len() < LENGTH && rest.iter().all(|octet| *octet == 1), "{}", rest.len());
        for delivery in old {
            assert_eq!(delivery.ack().unwrap_err().kind(), ErrorKind::Stale);
        }
        for n in 0..3 {
            let mut delivery = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
            assert!(delivery.redelivered && delivery.delivery_tag() > last);
            assert_eq!(whole(&mut delivery).await, vec![n; LENGTH]);
            delivery.ack().unwrap();
        }
        consumer.cancel().await.unwrap();
        assert!(channel.basic_get(BasicGet::new(&queue)).await.unwrap().is_none());
        assert!(channel.close_reason().is_none());
        connection.close().await;
    });
}

#[test]
fn a_shutdown_of_streams_gives_back_what_was_not_read_and_waits_for_what_is_read() {
    broker_test(async |t| {
        let (connection, channel, queue) = three_messages(t).await;
        let consume = BasicConsume::new(&queue, Prefetch::Count(3));
        let mut consumer = channel.basic_consume_streamed(consume).await.unwrap();
        let mut delivery = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        let mut shutdown = std::pin::pin!(consumer.shutdown(SOON));
        timeout(Duration::ZERO, &mut shutdown).await.expect_err("it waits for what is read");
        assert_eq!(whole(&mut delivery).await, vec![0; LENGTH]);
        delivery.ack().unwrap();
        let report = timeout(SOON, shutdown).await.unwrap();
        assert!(report.is_complete(), "{report:?}");
        assert_eq!((report.given_back, report.settled), (2, 1), "{report:?}");
        for n in 1..3 {
            let got = channel.basic_get(BasicGet::new(&queue).no_ack(true)).await.unwrap().unwrap();
            assert!(got.redelivered);
            assert_eq!(got.body.to_bytes(), vec![n; LENGTH]);
        }
        assert!(channel.basic_get(BasicGet::new(&queue)).await.unwrap().is_none());
        connection.close().await;
    });
}

#[test]
fn streams_are_requeued_and_rejected_in_the_middle_of_their_bodies() {
    broker_test(async |t| {
        let (connection, channel, queue) = three_messages(t).await;
        let consume = BasicConsume::new(&queue, Prefetch::Count(1));
        let mut consumer = channel.basic_consume_streamed(consume).await.unwrap();
        for expected in [(0, false), (0, true)] {
            let mut delivery = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
            let piece = delivery.body.chunk().await.unwrap().unwrap();
            assert_eq!((piece[0], delivery.redelivered), expected);
            // First it comes again, and then never.
            delivery.nack(!expected.1).unwrap();
        }
        for n in 1..3 {
            let mut delivery = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
            assert!(!delivery.redelivered);
            assert_eq!(whole(&mut delivery).await, vec![n; LENGTH]);
            delivery.ack().unwrap();
        }
        consumer.cancel().await.unwrap();
        assert!(channel.basic_get(BasicGet::new(&queue)).await.unwrap().is_none());
        connection.close().await;
    });
}

// Once is enough: it takes its time, and nothing in it depends on the specification.
amqp_connector::amqp_types::if_spec! { connection.blocked => {
    use amqp_connector::BasicPublishStream;
    use tokio::io::AsyncReadExt as _;

    #[test]
    fn a_large_body_is_read_with_pauses_of_seconds_by_default_options() {
        broker_test(async |t| {
            // More than may wait unread.
            let length = 80_u64 << 20;
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            let queue = t.name("queue");
            channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
            let publish = BasicPublishStream::new("", &queue, length);
            let source = tokio::io::repeat(b'x').take(length);
            assert!(connection.publish_reader(publish, source).await.unwrap().is_acked());
            let consume = BasicConsume::new(&queue, Prefetch::Count(1));
            let mut consumer = channel.basic_consume_streamed(consume).await.unwrap();
            let mut delivery = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
            let mut read = 0;
            for pause_after in [5 << 20, 40 << 20, length] {
                while read < pause_after {
                    let piece = timeout(SOON, delivery.body.chunk()).await.unwrap().unwrap();
                    read += piece.expect("it ends too early").len() as u64;
                }
                tokio::time::sleep(Duration::from_millis(2500)).await;
            }
            assert_eq!((read, delivery.body.chunk().await.unwrap()), (length, None));
            delivery.ack().unwrap();
            channel.flush().await.unwrap();
            drop(consumer);
            connection.close().await;
        });
    }
} else {} }
