//! What is too large to be sent is told before any of it is sent, and harms nothing.

use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Channel, Connection, Error, ErrorKind, ExchangeDeclare,
    ExchangeDelete, FieldTable, FieldValue, Options, Outcome, Prefetch, QueueBind, QueueDeclare,
    QueueDelete, QueueUnbind, ShortStr,
};
use amqp_tests::{Fixture, broker_test, broker_test_alone};

use super::{declare, publish};

const FRAME_MAX: u32 = 4096;

fn large_table(octets: usize) -> FieldTable {
    let key = ShortStr::from_static("k");
    FieldTable::new().with(key, FieldValue::from("x".repeat(octets)))
}

/// A connection with small frames.
async fn connect(t: &Fixture) -> Connection {
    let mut options = Options::default();
    options.frame_max = FRAME_MAX;
    let connection = t.connect_as(&t.connector().options(options)).await;
    assert_eq!(connection.tuning().frame_max, FRAME_MAX);
    connection
}

fn invalid(what: &str, result: Result<(), Error>) {
    match result {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Invalid, "{what}: {error}"),
        Ok(()) => panic!("{what} was sent"),
    }
}

/// The channel does what it did before.
async fn works(channel: &Channel, queue: &str) {
    drop(channel.basic_publish(BasicPublish::new("", queue, "works")).await.unwrap());
    let got = channel.basic_get(BasicGet::new(queue).no_ack(true)).await.unwrap().unwrap();
    assert_eq!(got.body.to_bytes(), "works");
}

#[test]
fn a_name_over_255_octets_is_refused_in_every_place() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let c = connection.channel_open().await.unwrap();
        let queue = declare(t, &c).await;
        let q = queue.as_str();
        let long = || "n".repeat(256);
        invalid("queue", c.queue_declare(QueueDeclare::new(long())).await.map(|_| ()));
        invalid("purge", c.queue_purge(long()).await.map(|_| ()));
        invalid("delete", c.queue_delete(QueueDelete::new(long())).await.map(|_| ()));
        for [queue, exchange, key] in [
            [long(), "amq.direct".into(), "k".into()],
            [q.into(), long(), "k".into()],
            [q.into(), "amq.direct".into(), long()],
        ] {
            let bind = QueueBind::new(queue.as_str(), exchange.as_str(), key.as_str());
            invalid("bind", c.queue_bind(bind).await.map(|_| ()));
            let unbind = QueueUnbind::new(queue, exchange, key);
            if let Err(error) = c.queue_unbind(unbind).await {
                assert!(matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported));
            } else {
                panic!("unbind was sent");
            }
        }
        invalid(
            "exchange",
            c.exchange_declare(ExchangeDeclare::new(long(), "direct")).await.map(|_| ()),
        );
        invalid("type", c.exchange_declare(ExchangeDeclare::new("x", long())).await.map(|_| ()));
        invalid("exchange", c.exchange_delete(ExchangeDelete::new(long())).await.map(|_| ()));
        invalid("get", c.basic_get(BasicGet::new(long())).await.map(|_| ()));
        let consume = BasicConsume::new(long(), Prefetch::Count(1));
        invalid("consume", c.basic_consume(consume).await.map(|_| ()));
        let consume = BasicConsume::new(q, Prefetch::Count(1)).tag(long());
        invalid("tag", c.basic_consume(consume).await.map(|_| ()));
        invalid("exchange", c.basic_publish(BasicPublish::new(long(), q, "x")).await.map(drop));
        invalid("key", c.basic_publish(BasicPublish::new("", long(), "x")).await.map(drop));
        invalid("key", c.try_basic_publish(BasicPublish::new("", long(), "x")).map(drop));
        works(&c, q).await;
        connection.close().await;
    });
}

#[test]
fn properties_over_frame_max_are_refused_whatever_the_body() {
    broker_test(async |t| {
        let connection = connect(t).await;
        let channel = connection.channel_open().await.unwrap();
        let queue = declare(t, &channel).await;
        for body in [0, 100, 10_000, 100_000] {
            let message = BasicPublish::new("", &queue, vec![1; body]).headers(large_table(5000));
            invalid("headers", channel.basic_publish(message).await.map(drop));
        }
        // As many as there is room for go.
        let message = BasicPublish::new("", &queue, "x").headers(large_table(4000));
        drop(channel.basic_publish(message).await.unwrap());
        let got = channel.basic_get(BasicGet::new(&queue).no_ack(true)).await.unwrap().unwrap();
        assert_eq!(got.properties.headers, Some(large_table(4000)));
        works(&channel, &queue).await;
        connection.close().await;
    });
}

#[test]
fn arguments_over_frame_max_are_refused() {
    broker_test(async |t| {
        let connection = connect(t).await;
        let channel = connection.channel_open().await.unwrap();
        let queue = declare(t, &channel).await;
        let declare =
            QueueDeclare::new(t.name("other")).exclusive(true).arguments(large_table(5000));
        invalid("queue", channel.queue_declare(declare).await.map(|_| ()));
        let bind = QueueBind::new(&queue, "amq.headers", "").arguments(large_table(5000));
        invalid("bind", channel.queue_bind(bind).await.map(|_| ()));
        let declare = ExchangeDeclare::new(t.name("x"), "direct").arguments(large_table(5000));
        invalid("exchange", channel.exchange_declare(declare).await.map(|_| ()));
        works(&channel, &queue).await;
        connection.close().await;
    });
}

#[test]
fn a_table_nested_too_deeply_is_refused() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = declare(t, &channel).await;
        let deep = (0..1000).fold(FieldTable::new(), |inner, _| {
            FieldTable::new().with(ShortStr::from_static("k"), inner)
        });
        let message = BasicPublish::new("", &queue, "x").headers(deep.clone());
        invalid("headers", channel.basic_publish(message).await.map(drop));
        let declare = QueueDeclare::new(t.name("deep")).exclusive(true).arguments(deep);
        invalid("arguments", channel.queue_declare(declare).await.map(|_| ()));
        works(&channel, &queue).await;
        connection.close().await;
    });
}

/// What `max_message_size` is while `test` runs; channels look at it when they are opened.
async fn with_max_message_size<F: Future>(t: &Fixture, octets: u32, test: F) -> F::Output {
    let set =
        |octets: u32| format!("application:set_env(rabbit, max_message_size, {octets}), \"\"");
    t.eval(&set(octets)).await.unwrap();
    let output = test.await;
    t.eval(&set(134_217_728)).await.unwrap();
    output
}

#[test]
fn a_body_over_the_brokers_limit_ends_its_channel_with_the_brokers_reason() {
    broker_test_alone(async |t| {
        let connection = t.connect().await;
        let other = connection.channel_open().await.unwrap();
        let queue = declare(t, &other).await;
        let reason = with_max_message_size(t, 1000, async {
            let channel = connection.channel_open().await.unwrap();
            let outcome = publish(&channel, BasicPublish::new("", &queue, vec![1; 1000])).await;
            assert!(matches!(outcome, Outcome::Accepted), "{outcome:?}");
            drop(channel.basic_publish(BasicPublish::new("", &queue, vec![1; 1001])).await);
            channel.closed().await
        });
        let reason = reason.await;
        let code = reason.code().map(|code| code.0);
        assert_eq!((code, reason.method()), (Some(406), Some("basic.publish")), "{reason}");
        let got = other.basic_get(BasicGet::new(&queue).no_ack(true)).await.unwrap().unwrap();
        assert_eq!(got.body.len(), 1000);
        works(&other, &queue).await;
        connection.close().await;
    });
}

amqp_connector::amqp_types::if_spec! { confirm.select => {
    #[test]
    fn what_is_refused_has_no_tag_and_shifts_none() {
        broker_test(async |t| {
            let connection = connect(t).await;
            let channel = connection.channel_open().await.unwrap();
            let queue = declare(t, &channel).await;
            channel.confirm_select().await.unwrap();
            for tag in 1..=20 {
                let message = BasicPublish::new("", &queue, "x").headers(large_table(5000));
                invalid("headers", channel.basic_publish(message).await.map(drop));
                let confirmation =
                    channel.basic_publish(BasicPublish::new("", &queue, "x")).await.unwrap();
                assert_eq!(confirmation.delivery_tag(), Some(tag));
                assert!(confirmation.await.is_acked());
            }
            assert_eq!(channel.wait_for_confirms().await.unwrap().acked, 20);
            connection.close().await;
        });
    }
} else {} }
