//! Messages that a receiver cannot read: whoever may publish can send them, and they cost nobody anything but themselves.
//!
//! RabbitMQ passes on tables of any depth, but for streams, which keep no table in a header. Their author here is a
//! connection with higher limits.

use std::time::Duration;

use amqp_connector::amqp_types::EncodeError;
use amqp_connector::amqp_types::wire::Limits;
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Channel, Connection, Consumer, ErrorKind, Event, Events,
    FieldTable, Options, Prefetch, QueueDeclare, QueueDelete, Recovery, ShortStr,
};
use amqp_tests::{Fixture, broker_test};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);

fn deep(levels: usize) -> FieldTable {
    let key = || ShortStr::from_static("k");
    (1..levels)
        .fold(FieldTable::new().with(key(), 1), |table, _| FieldTable::new().with(key(), table))
}

/// A connection that can send what others cannot read, and read it.
async fn author(t: &Fixture) -> Connection {
    let mut options = Options::default();
    options.table_limits = Limits::GREATEST;
    t.connect_as(&t.connector().options(options)).await
}

async fn publish(channel: &Channel, queue: &str, body: &'static str) {
    drop(channel.basic_publish(BasicPublish::new("", queue, body)).await.unwrap());
}

async fn publish_poison(channel: &Channel, queue: &str, levels: usize) {
    // Over the frame size, so that its body comes in pieces.
    let poison = BasicPublish::new("", queue, vec![0; 300_000]).headers(deep(levels));
    drop(channel.basic_publish(poison).await.unwrap());
}

async fn text(consumer: &mut Consumer) -> String {
    let delivery = timeout(SOON, consumer.recv()).await.expect("in time").expect("not ended");
    let text = String::from_utf8(delivery.body.to_bytes().to_vec()).unwrap();
    delivery.ack().unwrap();
    text
}

/// The next message that could not be read, by its method and routing key. Fails if the connection is lost before.
async fn unreadable(events: &mut Events) -> (&'static str, String) {
    loop {
        match timeout(SOON, events.recv()).await.expect("in time").expect("not over") {
            Event::Unreadable { method, routing_key, .. } => {
                return (method, routing_key.to_string());
            }
            Event::Recovering { reason, .. } | Event::Closed { reason, .. } => panic!("{reason}"),
            _ => {}
        }
    }
}

#[test]
fn a_poison_message_is_dead_lettered_and_costs_no_connection_however_often_it_comes() {
    broker_test(async |t| {
        let author = author(t).await;
        let sending = author.channel_open().await.unwrap();
        let (queue, dead) = (t.name("queue"), t.name("dead"));
        sending.queue_declare(QueueDeclare::new(&dead).exclusive(true)).await.unwrap();
        let declare =
            QueueDeclare::new(&queue).dead_letter_exchange("").dead_letter_routing_key(&*dead);
        sending.queue_declare(declare).await.unwrap();

        let connection = t.connect_as(&t.connector().recovery(Recovery::new())).await;
        let mut events = connection.events();
        let channel = connection.channel_open().await.unwrap();
        let consume = BasicConsume::new(&queue, Prefetch::Count(2));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        for round in ["a", "b", "c"] {
            publish_poison(&sending, &queue, 90).await;
            publish(&sending, &queue, round).await;
            assert_eq!(text(&mut consumer).await, round);
            assert_eq!(unreadable(&mut events).await, ("basic.deliver", queue.clone()));
        }
        assert!(channel.close_reason().is_none() && !connection.is_recovering());
        channel.queue_delete(QueueDelete::new(&queue)).await.unwrap();
        connection.close().await;

        // Nothing of it is lost: who reads tables of that depth can have it.
        for _ in 0..3 {
            let get = sending.basic_get(BasicGet::new(&dead).no_ack(true)).await.unwrap();
            let got = get.expect("the queue has dead-lettered it");
            assert_eq!(got.body.len(), 300_000);
            assert!(got.properties.headers.is_some());
        }
        author.close().await;
    });
}

#[test]
fn a_get_of_a_poison_message_fails_and_the_next_one_gets_what_is_behind_it() {
    broker_test(async |t| {
        let author = author(t).await;
        let sending = author.channel_open().await.unwrap();
        let queue = t.name("queue");
        sending.queue_declare(QueueDeclare::new(&queue)).await.unwrap();
        publish_poison(&sending, &queue, 200).await;
        publish(&sending, &queue, "behind").await;
        sending.close().await.unwrap();

        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let get = async || channel.basic_get(BasicGet::new(&queue)).await;
        let error = get().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreadable, "{error}");
        let got = get().await.unwrap().expect("what is behind it");
        assert_eq!(got.body.to_bytes(), "behind");
        got.ack().unwrap();
        assert!(get().await.unwrap().is_none(), "it did not go back");
        channel.queue_delete(QueueDelete::new(&queue)).await.unwrap();
        connection.close().await;
        author.close().await;
    });
}

#[test]
fn what_could_not_be_read_is_refused_before_it_is_sent() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        let source = |error: &amqp_connector::Error| {
            let source = std::error::Error::source(error)?;
            source.downcast_ref::<EncodeError>().copied()
        };
        let declare = QueueDeclare::new(&queue).exclusive(true);
        let declare =
            declare.arguments(FieldTable::new().with(ShortStr::from_static("k"), deep(64)));
        let error = channel.queue_declare(declare).await.unwrap_err();
        assert_eq!(source(&error), Some(EncodeError::NestingTooDeep { max: 64 }), "{error}");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();

        let message = |levels| BasicPublish::new("", &queue, "body").headers(deep(levels));
        let error = channel.basic_publish(message(65)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(source(&error), Some(EncodeError::NestingTooDeep { max: 64 }), "{error}");
        drop(channel.basic_publish(message(64)).await.unwrap());
        let got = channel.basic_get(BasicGet::new(&queue).no_ack(true)).await.unwrap().unwrap();
        assert_eq!(got.properties.headers, Some(deep(64)));
        connection.close().await;
    });
}
