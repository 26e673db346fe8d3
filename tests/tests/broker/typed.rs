//! Messages as values, through a real broker: they come as they were published, and one that is no value comes once.

use std::collections::BTreeMap;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::typed::{CodecError, Json, OnUndecodable, Text, TypedConsumer};
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Bytes, Channel, Connection, FieldValue, Prefetch,
    QueueDeclare, QueueDelete,
};
use amqp_tests::{Fixture, broker_test};

if_spec! { basic.consume.arguments => {
    use amqp_connector::arguments::{QueueType, StreamOffset};
} else {} }

/// What the messages of these tests say.
type Order = (u64, String, BTreeMap<String, Vec<f64>>);

fn order(number: u64) -> Order {
    let prices =
        BTreeMap::from([("Grüße".to_owned(), vec![0.1, -2.5e-9]), (String::new(), vec![])]);
    (number, "\"\u{0}\u{1f600}\\".to_owned(), prices)
}

/// A queue whose rejected messages go to another one.
struct Queues {
    connection: Connection,
    channel: Channel,
    queue: String,
    dead: String,
}

impl Queues {
    async fn open(t: &Fixture) -> Self {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let (queue, dead) = (t.name("queue"), t.name("dead"));
        channel.queue_declare(QueueDeclare::new(&dead)).await.unwrap();
        let declare =
            QueueDeclare::new(&queue).dead_letter_exchange("").dead_letter_routing_key(&*dead);
        channel.queue_declare(declare).await.unwrap();
        Self { connection, channel, queue, dead }
    }

    async fn publish(&self, message: BasicPublish) {
        drop(self.channel.basic_publish(message).await.unwrap());
    }

    async fn publish_order(&self, number: u64) {
        let message = BasicPublish::encoded("", &self.queue, &Json, &order(number)).unwrap();
        self.publish(message).await;
    }

    /// What is no order: no JSON, JSON of something else, and an order that says to be something else.
    async fn publish_undecodable(&self) {
        self.publish(BasicPublish::new("", &self.queue, "{")).await;
        self.publish(BasicPublish::encoded("", &self.queue, &Json, &[1, 2]).unwrap()).await;
        let order = BasicPublish::encoded("", &self.queue, &Json, &order(0)).unwrap();
        self.publish(order.content_type("image/png")).await;
    }

    async fn consume(&self, prefetch: u16) -> TypedConsumer<Order, Json> {
        let consume = BasicConsume::new(&self.queue, Prefetch::Count(prefetch));
        self.channel.basic_consume(consume).await.unwrap().typed(Json)
    }

    async fn end(self) {
        for queue in [&self.queue, &self.dead] {
            self.channel.queue_delete(QueueDelete::new(queue)).await.unwrap();
        }
        self.connection.close().await;
    }
}

#[test]
fn values_go_there_and_back_as_json_and_others_read_them_by_their_content_type() {
    broker_test(async |t| {
        let queues = Queues::open(t).await;
        for number in 0..100 {
            queues.publish_order(number).await;
        }
        let mut consumer = queues.consume(10).await;
        for number in 0..100 {
            let received = consumer.recv().await.expect("not over").expect("an order");
            assert_eq!(received.value, order(number));
            received.delivery.ack().unwrap();
        }
        consumer.consumer_mut().cancel().await.unwrap();
        assert!(consumer.recv().await.is_none());

        queues.publish_order(u64::MAX).await;
        let get = BasicGet::new(&queues.queue).no_ack(true);
        let got = queues.channel.basic_get(get).await.unwrap().expect("a message");
        let content_type = got.properties.content_type.as_ref().expect("it has one");
        assert_eq!(content_type.as_str(), Ok("application/json"));
        assert_eq!(got.decode::<Order, _>(&Json).unwrap(), order(u64::MAX));
        let other: Result<String, CodecError> = got.decode(&Text);
        assert!(other.unwrap_err().is_content_type());
        queues.end().await;
    });
}

#[test]
fn what_cannot_be_decoded_is_dead_lettered_once_and_the_rest_is_read() {
    broker_test(async |t| {
        let queues = Queues::open(t).await;
        queues.publish_undecodable().await;
        queues.publish_order(1).await;
        queues.publish_undecodable().await;
        queues.publish_order(2).await;
        // One at a time: what is not settled would hold the rest up.
        let mut consumer = queues.consume(1).await.on_undecodable(OnUndecodable::Reject);
        for number in 1..=2 {
            let received = consumer.recv().await.expect("not over").expect("an order");
            assert_eq!((received.value, consumer.rejected()), (order(number), 3 * number));
            assert!(!received.delivery.redelivered);
            received.delivery.ack().unwrap();
        }
        t.await_messages(&queues.queue, 0, 0).await;
        t.await_messages(&queues.dead, 6, 0).await;
        let get = BasicGet::new(&queues.dead).no_ack(true);
        let got = queues.channel.basic_get(get).await.unwrap().expect("the first of them");
        assert_eq!(got.body.to_bytes(), "{");
        let headers = got.properties.headers.as_ref().expect("the broker tells of it");
        let reason = headers.get("x-first-death-reason");
        assert_eq!(reason, Some(&FieldValue::from("rejected")), "{headers:?}");
        drop(consumer);
        queues.end().await;
    });
}

#[test]
fn what_cannot_be_decoded_is_handed_over_once_and_stays_as_long_as_nobody_settles_it() {
    broker_test(async |t| {
        let queues = Queues::open(t).await;
        queues.publish_undecodable().await;
        queues.publish_order(1).await;
        let mut consumer = queues.consume(10).await;
        let mut handed_over = Vec::new();
        for _ in 0..3 {
            let undecodable = consumer.recv().await.expect("not over").expect_err("no order");
            assert!(!undecodable.delivery().redelivered);
            handed_over.push(undecodable);
        }
        let is_type: Vec<_> = handed_over.iter().map(|it| it.error().is_content_type()).collect();
        assert_eq!(is_type, [false, false, true]);
        let good = consumer.recv().await.expect("not over").expect("an order");
        good.delivery.ack().unwrap();
        t.await_messages(&queues.queue, 0, 3).await;

        let mut handed_over = handed_over.into_iter().map(|it| it.into_delivery());
        handed_over.next().expect("the first").ack().unwrap();
        handed_over.next().expect("the second").reject(false).unwrap();
        // By default the third stays with its channel.
        drop(handed_over.next().expect("the third"));
        t.await_messages(&queues.queue, 0, 1).await;
        t.await_messages(&queues.dead, 1, 0).await;
        drop(consumer);
        queues.channel.close().await.unwrap();
        t.await_messages(&queues.queue, 1, 0).await;
        let channel = queues.connection.channel_open().await.unwrap();
        Queues { channel, ..queues }.end().await;
    });
}

#[test]
fn octets_that_are_no_text_cost_a_reader_of_text_only_themselves() {
    broker_test(async |t| {
        let queues = Queues::open(t).await;
        let broken = Bytes::from_static(b"\xff\xfe");
        queues.publish(BasicPublish::new("", &queues.queue, broken)).await;
        let text = BasicPublish::encoded("", &queues.queue, &Text, &"Grüße".to_owned()).unwrap();
        queues.publish(text).await;
        let consumer = queues.consume(1).await.into_consumer();
        let mut consumer = consumer.typed::<String, _>(Text).on_undecodable(OnUndecodable::Reject);
        let received = consumer.recv().await.expect("not over").expect("text");
        assert_eq!(received.value, "Grüße");
        received.delivery.ack().unwrap();
        t.await_messages(&queues.dead, 1, 0).await;
        drop(consumer);
        queues.end().await;
    });
}

#[test]
fn what_cannot_be_decoded_of_a_stream_is_passed_over_and_stays_there() {
    // Where a consumer can say an offset: without, it reads what comes next, and nothing twice.
    if_spec! { basic.consume.arguments => {
        broker_test(async |t| {
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            let stream = t.name("stream");
            let declare = QueueDeclare::new(&stream).durable(true).queue_type(QueueType::Stream);
            channel.queue_declare(declare).await.unwrap();
            for body in [&b"\xff"[..], b"\xfe", b"good"] {
                let publish = BasicPublish::new("", &stream, Bytes::from_static(body));
                drop(channel.basic_publish(publish).await.unwrap());
            }
            // Twice, since the first reader has taken nothing out of it.
            for _ in 0..2 {
                let consume = BasicConsume::new(&stream, Prefetch::Count(1));
                let consume = consume.stream_offset(StreamOffset::First);
                let consumer = channel.basic_consume(consume).await.unwrap();
                let mut consumer =
                    consumer.typed::<String, _>(Text).on_undecodable(OnUndecodable::Reject);
                let received = consumer.recv().await.expect("not over").expect("text");
                assert_eq!((&*received.value, consumer.rejected()), ("good", 2));
                received.delivery.ack().unwrap();
                consumer.consumer_mut().cancel().await.unwrap();
            }
            channel.queue_delete(QueueDelete::new(&stream)).await.unwrap();
            connection.close().await;
        });
    } else {} }
}
