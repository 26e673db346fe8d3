//! What travels: every property, every type of table value, bodies of every size.

use amqp_connector::amqp_types::{Decimal, FieldArray, Timestamp};
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Bytes, Channel, Delivery, FieldTable, FieldValue,
    Options, Prefetch, QueueDeclare, ShortStr, basic,
};
use amqp_tests::{Fixture, broker_test};

fn name(text: &str) -> ShortStr {
    ShortStr::try_from(text).unwrap()
}

async fn queue(t: &Fixture, channel: &Channel) -> String {
    let queue = t.name("queue");
    channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
    queue
}

async fn round_trip(
    channel: &Channel,
    queue: &str,
    properties: basic::Properties,
    body: impl Into<Bytes>,
) -> Delivery {
    let message = BasicPublish::new("", queue, body).properties(properties);
    drop(channel.basic_publish(message).await.unwrap());
    channel.basic_get(BasicGet::new(queue).no_ack(true)).await.unwrap().unwrap()
}

#[test]
fn every_property_comes_back() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = queue(t, &channel).await;
        let properties = basic::Properties {
            content_type: Some(name("text/plain")),
            content_encoding: Some(name("identity")),
            headers: Some(FieldTable::new().with(name("k"), 1_i32)),
            delivery_mode: Some(2),
            priority: Some(0),
            correlation_id: Some(name("")),
            reply_to: Some(name("somewhere")),
            expiration: Some(name("60000")),
            message_id: Some(name(&"m".repeat(255))),
            timestamp: Some(Timestamp::from(1_234_567_890)),
            r#type: Some(name("greeting")),
            user_id: Some(name("guest")),
            app_id: Some(name("tests")),
            ..Default::default()
        };
        let got = round_trip(&channel, &queue, properties.clone(), "x").await;
        assert_eq!(got.properties, properties);
        let got = round_trip(&channel, &queue, basic::Properties::default(), "x").await;
        assert_eq!(got.properties, basic::Properties::default());
        connection.close().await;
    });
}

/// One of every type, at its edges.
fn every_value() -> FieldTable {
    let array: FieldArray =
        vec![FieldValue::I32(-1), FieldValue::from("two"), FieldValue::Void].into();
    let values = [
        FieldValue::Bool(true),
        FieldValue::Bool(false),
        FieldValue::I8(i8::MIN),
        FieldValue::U8(u8::MAX),
        FieldValue::I16(i16::MIN),
        FieldValue::U16(u16::MAX),
        FieldValue::I32(i32::MIN),
        FieldValue::U32(u32::MAX),
        FieldValue::I64(i64::MIN),
        FieldValue::F32(1.5),
        FieldValue::F64(-2.25),
        FieldValue::Decimal(Decimal { scale: 2, value: 314 }),
        FieldValue::from("text"),
        FieldValue::LongString(b"\xff\x00 no text".into()),
        FieldValue::ByteArray(b"\x00\x01\x02".into()),
        FieldValue::Array(array),
        FieldValue::Timestamp(Timestamp::from(u64::from(u32::MAX))),
        FieldValue::Table(FieldTable::new().with(name("inner"), FieldTable::new())),
        FieldValue::Void,
    ];
    (0..).zip(values).map(|(n, value): (u32, _)| (name(&format!("v{n}")), value)).collect()
}

#[test]
fn every_type_of_table_value_comes_back() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = queue(t, &channel).await;
        let headers = every_value();
        let properties = basic::Properties { headers: Some(headers.clone()), ..Default::default() };
        let got = round_trip(&channel, &queue, properties, "").await;
        assert_eq!(got.properties.headers, Some(headers));
        connection.close().await;
    });
}

#[test]
fn every_type_of_table_value_is_taken_as_an_argument() {
    broker_test(async |t| {
        let connector = every_value().into_iter().fold(t.connector(), |connector, (key, value)| {
            connector.client_property(&key.to_string(), value)
        });
        let connection = t.connect_as(&connector).await;
        let channel = connection.channel_open().await.unwrap();
        let declare = QueueDeclare::new(t.name("q")).exclusive(true).arguments(every_value());
        channel.queue_declare(declare).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn headers_that_the_broker_adds_are_read() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let (dead, live) = (t.name("dead"), t.name("live"));
        channel.queue_declare(QueueDeclare::new(&dead).exclusive(true)).await.unwrap();
        let arguments = FieldTable::new()
            .with(name("x-dead-letter-exchange"), "")
            .with(name("x-dead-letter-routing-key"), dead.as_str());
        let declare = QueueDeclare::new(&live).exclusive(true).arguments(arguments);
        channel.queue_declare(declare).await.unwrap();

        drop(channel.basic_publish(BasicPublish::new("", &live, "x")).await.unwrap());
        channel.basic_get(BasicGet::new(&live)).await.unwrap().unwrap().reject(false).unwrap();
        let mut consumer =
            channel.basic_consume(BasicConsume::new(&dead, Prefetch::Count(1))).await.unwrap();
        let delivery = consumer.recv().await.unwrap();
        let headers = delivery.properties.headers.as_ref().unwrap();
        let deaths = headers.get_array("x-death").unwrap();
        let death = deaths.get(0).and_then(FieldValue::as_table).unwrap();
        assert_eq!(death.get_i64("count"), Some(1));
        assert_eq!(death.get_str("reason"), Some("rejected"));
        assert_eq!(death.get_str("queue"), Some(live.as_str()));
        delivery.ack().unwrap();
        connection.close().await;
    });
}

#[test]
fn bodies_around_the_frame_size_come_back() {
    broker_test(async |t| {
        let mut options = Options::default();
        options.frame_max = 8192;
        let connection = t.connect_as(&t.connector().options(options)).await;
        let channel = connection.channel_open().await.unwrap();
        let queue = queue(t, &channel).await;
        let payload = usize::try_from(connection.tuning().frame_max).unwrap() - 8;
        for size in [0, 1, payload - 1, payload, payload + 1, 2 * payload, 100_000] {
            let body: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let got =
                round_trip(&channel, &queue, basic::Properties::default(), body.clone()).await;
            assert!(got.body.to_bytes() == body, "a body of {size} octets came back as another");
        }
        connection.close().await;
    });
}

#[test]
fn big_body_comes_back_and_delays_no_other_channel() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let (big, small) =
            (connection.channel_open().await.unwrap(), connection.channel_open().await.unwrap());
        let queue = queue(t, &big).await;
        let body: Bytes = vec![0x5a; 16 << 20].into();
        let message = BasicPublish::new("", &queue, body.clone());
        let publishing = tokio::spawn(big.basic_publish(message));
        for n in 0..10 {
            let declare = QueueDeclare::new(t.name(&format!("small{n}"))).exclusive(true);
            small.queue_declare(declare).await.unwrap();
        }
        drop(publishing.await.unwrap().unwrap());
        let got = big.basic_get(BasicGet::new(&queue).no_ack(true)).await.unwrap().unwrap();
        assert!(got.body.to_bytes() == body, "16 MiB came back as something else");
        connection.close().await;
    });
}

#[test]
fn thousands_of_small_messages_keep_their_order() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let (out, back) =
            (connection.channel_open().await.unwrap(), connection.channel_open().await.unwrap());
        let queue = queue(t, &out).await;
        let mut consumer =
            back.basic_consume(BasicConsume::new(&queue, Prefetch::Count(500))).await.unwrap();
        let publisher = tokio::spawn(async move {
            for n in 0..5000_u32 {
                let body = Bytes::copy_from_slice(&n.to_be_bytes());
                drop(out.basic_publish(BasicPublish::new("", &queue, body)).await.unwrap());
            }
        });
        for n in 0..5000_u32 {
            let delivery = consumer.recv().await.unwrap();
            assert_eq!(delivery.body.to_bytes()[..], n.to_be_bytes());
            delivery.ack().unwrap();
        }
        publisher.await.unwrap();
        connection.close().await;
    });
}
