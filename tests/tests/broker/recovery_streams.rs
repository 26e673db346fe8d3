//! Consumers of streams through losses: they go on from where they were, and not from where they began.

use std::collections::BTreeMap;
use std::time::Duration;

use amqp_connector::amqp_types::field_table;
use amqp_connector::arguments::{QueueType, StreamOffset};
use amqp_connector::{
    BasicConsume, BasicPublish, Channel, Consumer, Delivery, ErrorKind, Events, Prefetch,
    QueueDeclare, QueueDelete,
};
use amqp_tests::{Fixture, broker_test};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::recovery::{Link, SOON, quick, recovered};

const PREFETCH: u16 = 20;
const LOSSES: usize = 6;

async fn declare(t: &Fixture, channel: &Channel) -> String {
    let stream = t.name("stream");
    let declare = QueueDeclare::new(&stream).durable(true).queue_type(QueueType::Stream);
    channel.queue_declare(declare).await.unwrap();
    stream
}

/// Nothing where no consumer can say an offset.
async fn consume(channel: &Channel, stream: &str, offset: StreamOffset) -> Option<Consumer> {
    let consume = BasicConsume::new(stream, Prefetch::Count(PREFETCH)).stream_offset(offset);
    match channel.basic_consume(consume).await {
        Ok(consumer) => Some(consumer),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            None
        }
    }
}

async fn publish(channel: &Channel, stream: &str, body: impl Into<String>) {
    drop(channel.basic_publish(BasicPublish::new("", stream, body.into())).await.unwrap());
}

fn offset_of(delivery: &Delivery) -> u64 {
    let headers = delivery.properties.headers.as_ref().expect("headers");
    headers.get_u64("x-stream-offset").expect("an offset")
}

async fn recv(consumer: &mut Consumer) -> Delivery {
    timeout(SOON, consumer.recv()).await.expect("in time").expect("a delivery")
}

/// Reads until "end", acking each; gives how often each offset came.
async fn read(mut consumer: Consumer, first: u64) -> BTreeMap<u64, usize> {
    let mut seen = BTreeMap::from([(first, 1)]);
    loop {
        let delivery = recv(&mut consumer).await;
        *seen.entry(offset_of(&delivery)).or_default() += 1;
        let end = delivery.body.to_bytes() == "end";
        // Of a connection that was lost since: it comes again.
        let _ = delivery.ack();
        if end {
            return seen;
        }
    }
}

async fn publish_until(channel: Channel, stream: String, stop: watch::Receiver<bool>) {
    for n in 0.. {
        if *stop.borrow() {
            break;
        }
        publish(&channel, &stream, n.to_string()).await;
        channel.flush().await.ok();
    }
}

async fn lose(t: &Fixture, loss: usize, link: &Link, [ours, theirs]: [&mut Events; 2]) {
    match loss % 2 {
        0 => {
            t.close_connections("for the test").await.unwrap();
            recovered(theirs).await;
        }
        _ => link.cut(),
    }
    let report = recovered(ours).await;
    assert_eq!((report.consumers, report.failures.len()), (1, 0), "{report}");
}

#[test]
fn a_consumer_of_a_stream_misses_nothing_that_was_published_while_its_connection_was_lost() {
    broker_test(async |t| {
        let keeper = t.connect_as(&t.connector().recovery(quick())).await;
        let publisher = keeper.channel_open().await.unwrap();
        let mut theirs = keeper.events();
        for begin in [StreamOffset::First, StreamOffset::Next] {
            let (stream, link) = (declare(t, &publisher).await, Link::default());
            publish(&publisher, &stream, "before").await;
            let connection = link.connect(t).await;
            let channel = connection.channel_open().await.unwrap();
            let Some(mut consumer) = consume(&channel, &stream, begin.clone()).await else {
                publisher.queue_delete(QueueDelete::new(&stream)).await.unwrap();
                connection.close().await;
                break;
            };
            let mut ours = connection.events();
            publish(&publisher, &stream, "first").await;
            let delivery = recv(&mut consumer).await;
            let first = offset_of(&delivery);
            assert_eq!(first, u64::from(begin == StreamOffset::Next));
            delivery.ack().unwrap();

            let (stop, stopped) = watch::channel(false);
            let publishing =
                tokio::spawn(publish_until(publisher.clone(), stream.clone(), stopped));
            let reading = tokio::spawn(read(consumer, first));
            for loss in 0..LOSSES {
                lose(t, loss, &link, [&mut ours, &mut theirs]).await;
            }
            stop.send(true).unwrap();
            publishing.await.unwrap();
            publish(&publisher, &stream, "end").await;
            let seen = timeout(SOON, reading).await.expect("the end comes").unwrap();

            let (last, again) = (*seen.keys().next_back().unwrap(), seen.values().sum::<usize>());
            let missing = (first..=last).filter(|offset| !seen.contains_key(offset)).count();
            let again = again - seen.len();
            println!("{LOSSES} losses: {} read, {missing} missing, {again} again", seen.len());
            assert_eq!(missing, 0);
            // What was not settled, and no more.
            assert!(again <= LOSSES * usize::from(PREFETCH), "{again}");
            publisher.queue_delete(QueueDelete::new(&stream)).await.unwrap();
            connection.close().await;
        }
        keeper.close().await;
    });
}

#[test]
fn a_consumer_of_a_stream_goes_on_with_the_first_that_it_has_not_settled_when_its_channel_is_reopened()
 {
    broker_test(async |t| {
        let connection = t.connect().await;
        let [publisher, channel] =
            [connection.channel_open().await.unwrap(), connection.channel_open().await.unwrap()];
        let stream = declare(t, &publisher).await;
        for n in 0..10 {
            publish(&publisher, &stream, n.to_string()).await;
        }
        if let Some(mut consumer) = consume(&channel, &stream, StreamOffset::First).await {
            for n in 0..6 {
                let delivery = recv(&mut consumer).await;
                assert_eq!(delivery.body.to_bytes(), n.to_string());
                match n {
                    4 => drop(delivery),
                    _ => delivery.ack().unwrap(),
                }
            }
            let missing = QueueDeclare::new(t.name("missing")).passive(true);
            channel.queue_declare(missing).await.unwrap_err();
            while timeout(SOON, consumer.recv()).await.expect("it ends").is_some() {}
            assert_eq!(channel.reopen().await.unwrap().consumers, 1);
            for n in 4..10 {
                let delivery = recv(&mut consumer).await;
                assert_eq!(delivery.body.to_bytes(), n.to_string());
                delivery.ack().unwrap();
            }
            consumer.shutdown(Duration::from_secs(5)).await;
        }
        publisher.queue_delete(QueueDelete::new(&stream)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn the_offset_of_a_delivery_is_the_broker_s_word_whatever_its_author_has_written() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let stream = declare(t, &channel).await;
        if let Some(mut consumer) = consume(&channel, &stream, StreamOffset::First).await {
            for n in 0..3_i64 {
                let headers = field_table! { "x-stream-offset" => 1_i64 << 60, "other" => n };
                let message = BasicPublish::new("", &stream, "m").headers(headers);
                drop(channel.basic_publish(message).await.unwrap());
                let delivery = recv(&mut consumer).await;
                let headers = delivery.properties.headers.as_ref().unwrap();
                let offsets: Vec<_> =
                    headers.iter().filter(|(key, _)| *key == "x-stream-offset").collect();
                assert_eq!(offsets.len(), 1, "{headers:?}");
                assert_eq!(offset_of(&delivery), n.unsigned_abs(), "{headers:?}");
                delivery.ack().unwrap();
            }
            consumer.shutdown(Duration::from_secs(5)).await;
        }
        channel.queue_delete(QueueDelete::new(&stream)).await.unwrap();
        connection.close().await;
    });
}
