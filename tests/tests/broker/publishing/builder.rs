//! Messages put together property by property, and published from many tasks at once.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use amqp_connector::amqp_types::Timestamp;
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Bytes, ErrorKind, FieldTable, FieldValue, Options,
    Prefetch, QueueDeclare, ShortStr, basic,
};
use amqp_tests::broker_test;

use super::declare;

fn short(text: &str) -> ShortStr {
    ShortStr::try_from(text).unwrap()
}

#[test]
fn properties_set_one_by_one_arrive() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = declare(t, &channel).await;
        let message = BasicPublish::new("", &queue, "x")
            .content_type("text/plain")
            .content_encoding("identity")
            .header("attempt", 1_i32)
            .header("of", "three")
            .persistent()
            .priority(4)
            .correlation_id(String::from("request 5"))
            .reply_to("replies")
            .expiration(Duration::from_secs(90))
            .message_id("m-1")
            .timestamp(1_234_567_890)
            .message_type("greeting")
            .user_id("guest")
            .app_id("tests");
        drop(channel.basic_publish(message).await.unwrap());
        let got = channel.basic_get(BasicGet::new(&queue).no_ack(true)).await.unwrap().unwrap();
        let headers = FieldTable::new().with(short("attempt"), 1_i32).with(short("of"), "three");
        // The same by the setters of the plain struct.
        let expected = basic::Properties::default()
            .with_content_type(short("text/plain"))
            .with_content_encoding(short("identity"))
            .with_headers(headers)
            .with_delivery_mode(2)
            .with_priority(4)
            .with_correlation_id(short("request 5"))
            .with_reply_to(short("replies"))
            .with_expiration(short("90000"))
            .with_message_id(short("m-1"))
            .with_timestamp(Timestamp::from(1_234_567_890))
            .with_type(short("greeting"))
            .with_user_id(short("guest"))
            .with_app_id(short("tests"));
        assert_eq!(got.properties, expected);
        connection.close().await;
    });
}

#[test]
fn expiration_is_in_milliseconds() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = declare(t, &channel).await;
        let message = BasicPublish::new("", &queue, "gone at once");
        drop(channel.basic_publish(message.expiration(Duration::ZERO)).await.unwrap());
        let message = BasicPublish::new("", &queue, "stays");
        drop(
            channel.basic_publish(message.expiration(Duration::from_millis(60_001))).await.unwrap(),
        );
        let got = channel.basic_get(BasicGet::new(&queue).no_ack(true)).await.unwrap().unwrap();
        assert_eq!(got.body.to_bytes(), "stays");
        assert_eq!(got.properties.expiration, Some(short("60001")));
        connection.close().await;
    });
}

#[test]
fn an_invalid_property_is_told_when_it_is_published() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = declare(t, &channel).await;
        let long = || "x".repeat(256);
        let message = || BasicPublish::new("", &queue, "x");
        let all = [
            message().content_type(long()),
            message().content_encoding(long()),
            message().header(long(), FieldValue::Void),
            message().correlation_id(long()),
            message().reply_to(long()),
            message().message_id(long()),
            message().message_type(long()),
            message().user_id(long()),
            message().app_id(long()),
            BasicPublish::new(long(), &queue, "x"),
            BasicPublish::new("", long(), "x"),
        ];
        for (n, invalid) in all.into_iter().enumerate() {
            let error = channel.basic_publish(invalid).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "message {n}: {error}");
        }
        assert!(channel.basic_get(BasicGet::new(&queue)).await.unwrap().is_none());
        connection.close().await;
    });
}

#[test]
fn bodies_of_many_tasks_on_one_channel_arrive_whole() {
    const TASKS: u32 = 50;
    const EACH: u32 = 6;
    broker_test(async |t| {
        let mut options = Options::default();
        options.frame_max = 4096;
        let connection = t.connect_as(&t.connector().options(options)).await;
        let channel = connection.channel_open().await.unwrap();
        let queue = declare(t, &channel).await;
        // Around the sizes at which bodies are copied, put between frames, and given turns of their own.
        let sizes = [10_usize, 5000, 8193, 40_000, 65_537, 200_000];
        let tasks = (0..TASKS).map(|task| {
            let (channel, queue) = (channel.clone(), queue.clone());
            tokio::spawn(async move {
                for n in 0..EACH {
                    let size = sizes[usize::try_from(n).unwrap()] + usize::try_from(task).unwrap();
                    let letter = b'A' + u8::try_from(task).unwrap();
                    let message = BasicPublish::new("", &queue, vec![letter; size])
                        .message_id(task.to_string());
                    drop(channel.basic_publish(message).await.unwrap());
                }
            })
        });
        let tasks: Vec<_> = tasks.collect();
        let mut consumer =
            channel.basic_consume(BasicConsume::new(&queue, Prefetch::Count(100))).await.unwrap();
        let mut seen = BTreeMap::<u32, u32>::new();
        for _ in 0..TASKS * EACH {
            let delivery = consumer.recv().await.unwrap();
            let id = delivery.properties.message_id.as_ref().unwrap();
            let task: u32 = id.as_str().unwrap().parse().unwrap();
            let n = seen.entry(task).or_default();
            let size = sizes[usize::try_from(*n).unwrap()] + usize::try_from(task).unwrap();
            let (body, letter) = (delivery.body.to_bytes(), b'A' + u8::try_from(task).unwrap());
            assert_eq!(body.len(), size, "message {n} of task {task}");
            assert!(body.iter().all(|octet| *octet == letter), "message {n} of task {task}");
            *n += 1;
            delivery.ack().unwrap();
        }
        assert!(seen.values().all(|count| *count == EACH));
        for task in tasks {
            task.await.unwrap();
        }
        connection.close().await;
    });
}

#[test]
fn a_large_body_delays_no_other_channel() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let (large, small) =
            (connection.channel_open().await.unwrap(), connection.channel_open().await.unwrap());
        let queue = declare(t, &small).await;
        let body = Bytes::from(vec![0x5a; 100 << 20]);
        let mut early = false;
        // That it comes early once shows that it does not wait; on a busy machine this task may be late to see it.
        for _ in 0..10 {
            let publish = BasicPublish::new("", t.name("nobody"), body.clone());
            drop(large.basic_publish(publish).await.unwrap());
            let mut written = pin!(large.flush());
            // A call's answer comes while the body is still on its way: it did not have to wait for it.
            let declared = small.queue_declare(QueueDeclare::new(&queue).passive(true)).await;
            assert_eq!(declared.unwrap().message_count, 0);
            early = poll_fn(|cx| Poll::Ready(written.as_mut().poll(cx))).await.is_pending();
            if early {
                written.await.unwrap();
                break;
            }
        }
        assert!(early, "100 MiB were written before a call was answered");
        assert!(large.close_reason().is_none());
        connection.close().await;
    });
}
