//! Messages as values, with the broker in memory: they come as they were published, and one that is no value costs nobody
//! anything.

use std::future::poll_fn;
use std::pin::Pin;

use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::typed::{CodecError, OnUndecodable, Text};
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Bytes, Channel, Connection, FieldTable, Prefetch,
    QueueDeclare, ShortStr,
};
use futures_core::Stream as _;
use futures_core::stream::FusedStream as _;

use crate::support::poll_and_drop;

async fn open(broker: &MemoryBroker) -> (Connection, Channel) {
    let connection = broker.connect().await.expect("a connection");
    let channel = connection.channel_open().await.expect("a channel");
    channel.queue_declare(QueueDeclare::new("dead")).await.expect("declared");
    let short = |text: &str| ShortStr::try_from(text).expect("short");
    let arguments = FieldTable::new()
        .with(short("x-dead-letter-exchange"), "")
        .with(short("x-dead-letter-routing-key"), "dead");
    channel.queue_declare(QueueDeclare::new("q").arguments(arguments)).await.expect("declared");
    (connection, channel)
}

async fn publish(channel: &Channel, publish: BasicPublish) {
    drop(channel.basic_publish(publish).await.expect("accepted"));
}

fn text(text: &str) -> BasicPublish {
    BasicPublish::encoded("", "q", &Text, &text.to_owned()).expect("text")
}

fn not_text() -> BasicPublish {
    BasicPublish::new("", "q", Bytes::from_static(b"\xff"))
}

fn consume() -> BasicConsume {
    BasicConsume::new("q", Prefetch::Count(1))
}

#[tokio::test(start_paused = true)]
async fn values_come_as_they_were_published_with_the_content_type_of_their_codec() {
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    publish(&channel, text("one")).await;
    publish(&channel, text("two").priority(3)).await;
    let mut consumer = channel.basic_consume(consume()).await.expect("started").typed(Text);
    let one = consumer.recv().await.expect("a delivery").expect("text");
    let content_type = one.delivery.properties.content_type.as_ref().expect("it has one");
    assert_eq!((&*one.value, content_type.as_str()), ("one", Ok("text/plain; charset=utf-8")));
    one.delivery.ack().expect("acked");
    // As a stream, too.
    let next = poll_fn(|cx| Pin::new(&mut consumer).poll_next(cx)).await;
    let two = next.expect("a delivery").expect("text");
    assert_eq!((&*two.value, two.delivery.properties.priority), ("two", Some(3)));
    two.delivery.ack().expect("acked");
    consumer.consumer_mut().cancel().await.expect("cancelled");
    assert!(consumer.recv().await.is_none());
    assert!(consumer.is_terminated());

    publish(&channel, text("three")).await;
    let got = channel.basic_get(BasicGet::new("q")).await.expect("got").expect("a message");
    let value: Result<String, CodecError> = got.decode(&Text);
    assert_eq!(value.expect("text"), "three");
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_decoded_is_handed_over_and_the_consumer_goes_on() {
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    publish(&channel, not_text()).await;
    publish(&channel, text("x").content_type(&b"\xff"[..])).await;
    publish(&channel, text("good")).await;
    let mut consumer =
        channel.basic_consume(consume()).await.expect("started").typed::<String, _>(Text);
    for octets in [&b"\xff"[..], b"x"] {
        let undecodable = consumer.recv().await.expect("a delivery").expect_err("no text");
        assert_eq!(undecodable.delivery().body.to_bytes(), octets);
        undecodable.into_delivery().ack().expect("it is the user's to settle");
    }
    assert_eq!(consumer.recv().await.expect("a delivery").expect("text").value, "good");
    assert_eq!(consumer.rejected(), 0);
    assert_eq!(broker.queue("dead").expect("there").messages_ready, 0);
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_handed_over_and_dropped_is_neither_lost_nor_comes_again_at_once() {
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    publish(&channel, not_text()).await;
    let mut consumer =
        channel.basic_consume(consume()).await.expect("started").typed::<String, _>(Text);
    drop(consumer.recv().await.expect("a delivery").expect_err("no text"));
    assert!(poll_and_drop(12, consumer.recv()).await.is_none());
    drop(consumer);
    channel.close().await.expect("closed");
    assert_eq!(broker.queue("q").expect("there").messages_ready, 1);
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_decoded_is_dead_lettered_and_counted_where_that_is_asked_for() {
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    for message in [not_text(), not_text(), text("good"), not_text(), text("better")] {
        publish(&channel, message).await;
    }
    let consumer = channel.basic_consume(consume()).await.expect("started");
    let mut consumer = consumer.typed::<String, _>(Text).on_undecodable(OnUndecodable::Reject);
    let good = consumer.recv().await.expect("a delivery").expect("text");
    assert_eq!((&*good.value, consumer.rejected()), ("good", 2));
    good.delivery.ack().expect("acked");
    let next = poll_fn(|cx| Pin::new(&mut consumer).poll_next(cx)).await;
    let better = next.expect("a delivery").expect("text");
    assert_eq!((&*better.value, consumer.rejected()), ("better", 3));
    better.delivery.ack().expect("acked");
    channel.queue_declare(QueueDeclare::new("q").passive(true)).await.expect("a round trip");
    assert_eq!(broker.queue("dead").expect("there").messages_ready, 3);
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn receiving_a_value_can_be_dropped() {
    for polls in 0..crate::cancellation::POLLS {
        let broker = MemoryBroker::start();
        let (connection, channel) = open(&broker).await;
        publish(&channel, not_text()).await;
        publish(&channel, text("good")).await;
        let consumer = channel.basic_consume(consume()).await.expect("started");
        let mut consumer = consumer.typed::<String, _>(Text).on_undecodable(OnUndecodable::Reject);
        let value = match poll_and_drop(polls, consumer.recv()).await {
            Some(received) => received,
            None => consumer.recv().await,
        };
        assert_eq!(value.expect("a delivery").expect("text").value, "good", "{polls}");
        assert_eq!(broker.queue("dead").expect("there").messages_ready, 1);
        connection.close().await;
    }
}
