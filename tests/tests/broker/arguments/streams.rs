//! Streams as queues: offsets, and that nothing goes back to one, whoever tries.

use std::time::Duration;

use amqp_connector::amqp_types::{Timestamp, if_spec};
use amqp_connector::arguments::{QueueType, StreamOffset};
use amqp_connector::{
    BasicConsume, BasicGet, Channel, Consumer, ConsumerEnd, ErrorKind, Prefetch, QueueDeclare,
    QueueDelete, Unsettled,
};
use amqp_tests::{Fixture, broker_test};

use super::{ARGUMENTS, channel, publish, text};

/// Declares a stream with the messages `0` to `9`, waiting until they are in: so a commit tells, with or without confirms.
async fn stream_of_ten(t: &Fixture, channel: &Channel) -> String {
    let stream = t.name("stream");
    let declare = QueueDeclare::new(&stream).durable(true).queue_type(QueueType::Stream);
    channel.queue_declare(declare).await.unwrap();
    let connection = t.connect().await;
    let filling = connection.channel_open().await.unwrap();
    filling.tx_select().await.unwrap();
    for body in ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"] {
        publish(&filling, &stream, body).await;
    }
    filling.tx_commit().await.unwrap();
    connection.close().await;
    stream
}

#[test]
fn a_stream_is_read_from_the_offset_that_was_asked_for() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        let stream = stream_of_ten(t, &channel).await;
        for (offset, first) in [
            (StreamOffset::First, "0"),
            (StreamOffset::Offset(7), "7"),
            (StreamOffset::Timestamp(Timestamp(1)), "0"),
            (StreamOffset::Interval("1h".to_owned()), "0"),
        ] {
            let consume = BasicConsume::new(&stream, Prefetch::Count(10)).stream_offset(offset);
            let mut consumer = match channel.basic_consume(consume).await {
                Ok(consumer) => consumer,
                Err(error) => {
                    assert_eq!(
                        (error.kind(), ARGUMENTS),
                        (ErrorKind::Unsupported, false),
                        "{first}: {error}"
                    );
                    continue;
                }
            };
            assert_eq!(text(&mut consumer).await, first);
            // To the end: a stream takes nothing back.
            while text(&mut consumer).await != "9" {}
            consumer.cancel().await.unwrap();
        }
        channel.queue_delete(QueueDelete::new(&stream)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn a_stream_is_read_from_its_last_messages_or_from_what_comes_next() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        let stream = stream_of_ten(t, &channel).await;
        if ARGUMENTS {
            let consume = BasicConsume::new(&stream, Prefetch::Count(10));
            let consume = consume.stream_offset(StreamOffset::Last);
            let mut consumer = channel.basic_consume(consume).await.unwrap();
            // From the last of the pieces in which the broker wrote them, whose sizes are its own choice.
            while text(&mut consumer).await != "9" {}
            consumer.cancel().await.unwrap();
        }
        // What comes next is what is given without an offset, too.
        for (offset, body) in [(Some(StreamOffset::Next), "next"), (None, "without")] {
            let mut consume = BasicConsume::new(&stream, Prefetch::Count(10));
            if let Some(offset) = offset.filter(|_| ARGUMENTS) {
                consume = consume.stream_offset(offset);
            }
            let mut consumer = channel.basic_consume(consume).await.unwrap();
            publish(&channel, &stream, body).await;
            assert_eq!(text(&mut consumer).await, body);
            consumer.cancel().await.unwrap();
        }
        channel.queue_delete(QueueDelete::new(&stream)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn a_consumer_of_a_stream_can_be_dropped_with_messages_unread() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        let stream = stream_of_ten(t, &channel).await;
        if ARGUMENTS {
            for read in [0, 5] {
                let consume = BasicConsume::new(&stream, Prefetch::Count(10));
                let consume = consume.stream_offset(StreamOffset::First);
                let mut consumer = channel.basic_consume(consume).await.unwrap();
                for _ in 0..read {
                    text(&mut consumer).await;
                }
                // A stream takes nothing back: giving back the rest would end the connection (540).
                drop(consumer);
            }
        }
        let passive = QueueDeclare::new(&stream).passive(true);
        channel.queue_declare(passive).await.unwrap();
        channel.queue_delete(QueueDelete::new(&stream)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn a_consumer_that_says_no_offset_of_a_stream_can_be_dropped_with_messages_unread() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        let stream = stream_of_ten(t, &channel).await;
        for read in [0, 2] {
            let other = connection.channel_open().await.unwrap();
            let consume = BasicConsume::new(&stream, Prefetch::Count(10));
            let consume = consume.unsettled(Unsettled::Requeue);
            let mut consumer = other.basic_consume(consume).await.unwrap();
            // Without an offset it is given what comes from now on.
            for _ in 0..5 {
                publish(&channel, &stream, "more").await;
            }
            for _ in 0..read {
                text(&mut consumer).await;
            }
            if read > 0 {
                drop(consumer.recv().await);
            }
            drop(consumer);
            other.queue_declare(QueueDeclare::new(&stream).passive(true)).await.unwrap();
            other.close().await.unwrap();
        }
        channel.queue_declare(QueueDeclare::new(&stream).passive(true)).await.unwrap();
        channel.queue_delete(QueueDelete::new(&stream)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn a_delivery_of_a_stream_can_be_acked_only() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        let stream = stream_of_ten(t, &channel).await;
        if ARGUMENTS {
            for unsettled in [Unsettled::Requeue, Unsettled::Reject] {
                let consume = BasicConsume::new(&stream, Prefetch::Count(10))
                    .stream_offset(StreamOffset::First)
                    .unsettled(unsettled);
                let mut consumer = channel.basic_consume(consume).await.unwrap();
                let refused = consumer.recv().await.unwrap().nack(true).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::Invalid);
                let refused = consumer.recv().await.unwrap().reject(false).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::Invalid);
                drop(consumer.recv().await);
                consumer.cancel().await.unwrap();
                drop(consumer);
                channel.queue_declare(QueueDeclare::new(&stream).passive(true)).await.unwrap();
            }
        }
        channel.queue_delete(QueueDelete::new(&stream)).await.unwrap();
        connection.close().await;
    });
}

/// A consumer that has said nothing of an offset, and ten messages on their way to it.
async fn without_offset(channel: &Channel, stream: &str, unsettled: Unsettled) -> Consumer {
    let consume = BasicConsume::new(stream, Prefetch::Count(100)).unsettled(unsettled);
    let consumer = channel.basic_consume(consume).await.unwrap();
    for _ in 0..10 {
        publish(channel, stream, "more").await;
    }
    consumer
}

#[test]
fn a_delivery_of_a_stream_tells_by_itself_that_it_can_be_acked_only() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        let stream = stream_of_ten(t, &channel).await;
        for unsettled in [Unsettled::Leave, Unsettled::Requeue, Unsettled::Reject] {
            let mut consumer = without_offset(&channel, &stream, unsettled).await;
            let refused = consumer.recv().await.unwrap().nack(true).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid);
            let refused = consumer.recv().await.unwrap().reject(false).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid);
            let refused = consumer.recv().await.unwrap().nack_multiple(true).unwrap_err();
            let expected =
                if_spec! { basic.nack => { ErrorKind::Invalid } else { ErrorKind::Unsupported } };
            assert_eq!(refused.kind(), expected);
            let (_, _, acker) = consumer.recv().await.unwrap().into_parts();
            assert_eq!(acker.nack(false).unwrap_err().kind(), ErrorKind::Invalid);
            drop(consumer.recv().await);
            consumer.recv().await.unwrap().ack().unwrap();
            consumer.shutdown(Duration::from_secs(5)).await;
            channel.queue_declare(QueueDeclare::new(&stream).passive(true)).await.unwrap();
        }
        channel.queue_delete(QueueDelete::new(&stream)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn a_streamed_delivery_of_a_stream_can_be_acked_only() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        let stream = stream_of_ten(t, &channel).await;
        for unsettled in [Unsettled::Leave, Unsettled::Requeue, Unsettled::Reject] {
            let consume = BasicConsume::new(&stream, Prefetch::Count(100)).unsettled(unsettled);
            let mut consumer = channel.basic_consume_streamed(consume).await.unwrap();
            for _ in 0..10 {
                publish(&channel, &stream, "more").await;
            }
            let refused = consumer.recv().await.unwrap().nack(true).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid);
            let refused = consumer.recv().await.unwrap().reject(false).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid);
            drop(consumer.recv().await);
            consumer.recv().await.unwrap().ack().unwrap();
            drop(consumer);
            channel.queue_declare(QueueDeclare::new(&stream).passive(true)).await.unwrap();
        }
        channel.queue_delete(QueueDelete::new(&stream)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn a_streamed_delivery_from_an_offset_can_be_acked_only() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        let stream = stream_of_ten(t, &channel).await;
        for unsettled in [Unsettled::Leave, Unsettled::Requeue, Unsettled::Reject] {
            if !ARGUMENTS {
                break;
            }
            let consume = BasicConsume::new(&stream, Prefetch::Count(10))
                .stream_offset(StreamOffset::First)
                .unsettled(unsettled);
            let mut consumer = channel.basic_consume_streamed(consume).await.unwrap();
            let refused = consumer.recv().await.unwrap().nack(true).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid);
            let refused = consumer.recv().await.unwrap().reject(false).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid);
            let refused = consumer.recv().await.unwrap().nack_multiple(true).unwrap_err();
            let expected =
                if_spec! { basic.nack => { ErrorKind::Invalid } else { ErrorKind::Unsupported } };
            assert_eq!(refused.kind(), expected);
            drop(consumer.recv().await);
            consumer.recv().await.unwrap().ack().unwrap();
            let report = consumer.shutdown(Duration::from_secs(5)).await;
            assert!(report.cancelled && report.closed.is_none(), "{report:?}");
            channel.queue_declare(QueueDeclare::new(&stream).passive(true)).await.unwrap();
        }
        channel.queue_delete(QueueDelete::new(&stream)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn a_consumer_of_a_stream_that_goes_over_its_budget_gives_nothing_back() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        let stream = stream_of_ten(t, &channel).await;
        let consume = BasicConsume::new(&stream, Prefetch::Count(100)).budget(1000);
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        for _ in 0..50 {
            publish(&channel, &stream, "more").await;
        }
        while consumer.recv().await.is_some() {}
        assert_eq!(consumer.end(), Some(&ConsumerEnd::Overflow));
        channel.queue_declare(QueueDeclare::new(&stream).passive(true)).await.unwrap();
        channel.queue_delete(QueueDelete::new(&stream)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn a_nack_of_several_is_refused_where_a_stream_was_read_on_the_channel() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        let stream = stream_of_ten(t, &channel).await;
        let queue = t.name("q");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        let mut consumer = without_offset(&channel, &stream, Unsettled::Leave).await;
        let held = consumer.recv().await.unwrap();
        publish(&channel, &queue, "classic").await;
        let got = channel.basic_get(BasicGet::new(&queue)).await.unwrap().unwrap();
        // It would give back what is held, too, and cost the connection.
        let refused = got.nack_multiple(true).unwrap_err();
        let expected =
            if_spec! { basic.nack => { ErrorKind::Invalid } else { ErrorKind::Unsupported } };
        assert_eq!(refused.kind(), expected);
        held.ack().unwrap();
        channel.queue_declare(QueueDeclare::new(&stream).passive(true)).await.unwrap();
        drop(consumer);
        channel.queue_delete(QueueDelete::new(&stream)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn a_recover_of_a_streams_deliveries_and_a_channels_limit_on_a_quorum_queue_are_refused_by_the_broker()
 {
    broker_test(async |t| {
        let (keeper, plain) = channel(t).await;
        let stream = stream_of_ten(t, &plain).await;
        let quorum = t.name("quorum");
        let declare = QueueDeclare::new(&quorum).durable(true).queue_type(QueueType::Quorum);
        plain.queue_declare(declare).await.unwrap();

        let (connection, other) = channel(t).await;
        let mut consumer = without_offset(&other, &stream, Unsettled::Leave).await;
        let held = consumer.recv().await.unwrap();
        let _ = other.basic_recover(true).await;
        let reason = connection.closed().await;
        assert_eq!(reason.code().map(|code| code.0), Some(541), "{reason}");
        drop(held);

        let (connection, other) = channel(t).await;
        other.basic_qos(Prefetch::Count(5), true).await.unwrap();
        let refused = other.basic_consume(BasicConsume::new(&quorum, Prefetch::Count(5))).await;
        let error = refused.unwrap_err();
        let code = error.close_reason().and_then(|reason| reason.code()).map(|code| code.0);
        assert_eq!(code, Some(540), "{error}");
        drop(connection);

        plain.queue_delete(QueueDelete::new(&stream)).await.unwrap();
        plain.queue_delete(QueueDelete::new(&quorum)).await.unwrap();
        keeper.close().await;
    });
}
