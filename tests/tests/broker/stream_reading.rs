//! Streamed bodies that are read whole, left unread, read with pauses, recovered, given back and shut down.

use std::time::Duration;

use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Channel, CloseCause, Connection, ConsumerEnd, ErrorKind,
    Prefetch, QueueDeclare, StreamedDelivery,
};
use amqp_tests::{Fixture, broker_test};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);
const LENGTH: usize = 300_000;

/// Reads a body to its end.
async fn whole(delivery: &mut StreamedDelivery) -> Vec<u8> {
    let mut octets = Vec::new();
    while let Some(piece) = timeout(SOON, delivery.body.chunk()).await.unwrap().unwrap() {
        octets.extend_from_slice(&piece);
    }
    octets
}

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
fn bodies_are_consumed_as_streams_whatever_their_size() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        let sizes = [0_usize, 1, 4096, 131_064, 131_065, 3_000_000];
        for size in sizes {
            let body: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
            drop(channel.basic_publish(BasicPublish::new("", &queue, body)).await.unwrap());
        }
        let consume = BasicConsume::new(&queue, Prefetch::Count(3));
        let mut consumer = channel.basic_consume_streamed(consume).await.unwrap();
        for size in sizes {
            let mut delivery = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
            assert_eq!(delivery.body_len, size as u64);
            let octets = whole(&mut delivery).await;
            assert_eq!(octets.len(), size);
            assert!(octets.iter().enumerate().all(|(n, octet)| usize::from(*octet) == n % 251));
            delivery.ack().unwrap();
        }
        // Given back without having been read, it comes again.
        drop(channel.basic_publish(BasicPublish::new("", &queue, vec![1; 500_000])).await.unwrap());
        let delivery = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        delivery.nack(true).unwrap();
        let mut delivery = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        assert!(delivery.redelivered);
        assert_eq!(whole(&mut delivery).await, vec![1; 500_000]);
        delivery.ack().unwrap();
        connection.close().await;
    });
}

#[test]
fn a_streamed_delivery_that_is_dropped_with_its_consumer_goes_back_to_its_queue() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        for n in 0..3 {
            drop(
                channel
                    .basic_publish(BasicPublish::new("", &queue, vec![n; 300_000]))
                    .await
                    .unwrap(),
            );
        }
        let consuming = connection.channel_open().await.unwrap();
        let consume = BasicConsume::new(&queue, Prefetch::Count(3));
        let mut consumer = consuming.basic_consume_streamed(consume).await.unwrap();
        let delivery = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        drop(delivery);
        drop(consumer);
        consuming.close().await.unwrap();
        // What a consumer had that was cancelled may go back after the close-ok.
        t.await_messages(&queue, 3, 0).await;
        for _ in 0..3 {
            let got = channel.basic_get(BasicGet::new(&queue).no_ack(true)).await.unwrap().unwrap();
            assert_eq!(got.body.len(), 300_000);
        }
        connection.close().await;
    });
}

#[test]
fn a_body_that_nobody_reads_ends_its_channel_and_goes_back() {
    broker_test(async |t| {
        let mut options = amqp_connector::Options::default();
        options.consumer_budget = 1 << 20;
        options.reader_patience = Duration::from_secs(1);
        let connection = t.connect_as(&t.connector().options(options)).await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        drop(channel.basic_publish(BasicPublish::new("", &queue, vec![1; 8 << 20])).await.unwrap());
        let consuming = connection.channel_open().await.unwrap();
        let consume = BasicConsume::new(&queue, Prefetch::Count(1));
        let mut consumer = consuming.basic_consume_streamed(consume).await.unwrap();
        let mut delivery = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        let reason = timeout(SOON, consuming.closed()).await.unwrap();
        assert_eq!(reason.cause(), CloseCause::LimitExceeded);
        delivery.body.chunk().await.unwrap_err();
        assert!(consumer.recv().await.is_none());
        assert_eq!(consumer.end(), Some(&ConsumerEnd::Overflow));
        // It is there again as soon as the broker has closed the channel.
        let again = timeout(SOON, async {
            loop {
                let get = BasicGet::new(&queue).no_ack(true);
                if let Some(got) = channel.basic_get(get).await.unwrap() {
                    return got;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert_eq!(again.await.unwrap().body.len(), 8 << 20);
        drop((delivery, consumer, consuming));
        connection.close().await;
    });
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
