//! Clients that do not do their part, by the octet: what they cost the broker in memory is bounded, in time and in octets.

use std::time::Duration;

use amqp_connector::amqp_types::frame::FrameKind;
use amqp_connector::amqp_types::wire::Writer;
use amqp_connector::amqp_types::{self, AnyMethod as _};
use amqp_connector::protocol::{FRAMING, PROTOCOL_HEADER, Spec, basic, channel, connection, queue};
use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::{BasicPublish, QueueDeclare};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::memory_broker::open;
use crate::support::await_no_tasks;

/// Sends these octets and reads to the end, without a word of its own.
async fn await_end(broker: &MemoryBroker, octets: &[u8]) -> Duration {
    let before = tokio::time::Instant::now();
    let mut transport = broker.transport();
    transport.write_all(octets).await.expect("room");
    transport.read_to_end(&mut Vec::new()).await.expect("an end");
    before.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_log_in_is_not_waited_for() {
    let broker = MemoryBroker::start();
    assert_eq!(await_end(&broker, b"").await, Duration::from_secs(10));
    assert_eq!(await_end(&broker, b"AMQ").await, Duration::from_secs(10));
    assert_eq!(await_end(&broker, &PROTOCOL_HEADER).await, Duration::from_secs(10));
    await_no_tasks().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_answer_a_close_is_not_waited_for() {
    let broker = MemoryBroker::start();
    let mut transport = broker.transport();
    transport.write_all(&PROTOCOL_HEADER).await.expect("room");
    let mut octet = [0];
    transport.read_exact(&mut octet).await.expect("a greeting");
    broker.close_connections(320, "CONNECTION_FORCED - maintenance");
    let before = tokio::time::Instant::now();
    transport.read_to_end(&mut Vec::new()).await.expect("an end");
    assert_eq!(before.elapsed(), Duration::from_secs(30));
    await_no_tasks().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_client_that_does_not_read_is_bounded() {
    const BODY: usize = 64 << 10;
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    channel.queue_declare(QueueDeclare::new("q")).await.expect("declared");
    for _ in 0..100 {
        drop(channel.basic_publish(BasicPublish::new("", "q", vec![7; BODY])).await.expect("sent"));
    }
    channel.queue_declare(QueueDeclare::new("q").passive(true)).await.expect("a round trip");

    // One that consumes without limit, and asks a thousand things, and takes no answer.
    let mut transport = broker.transport();
    let declare = queue::Declare { queue: "q".try_into().expect("short"), ..Default::default() };
    let consume = basic::Consume { queue: declare.queue.clone(), ..Default::default() };
    let mut octets = logged_in();
    octets.extend(on(1, consume));
    for _ in 0..1000 {
        octets.extend(on(1, queue::Declare { passive: true, ..declare.clone() }));
    }
    transport.write_all(&octets).await.expect("room");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let held = broker.queue("q").expect("there").unacknowledged;
    assert!((1..40).contains(&held), "{held}");

    // As it reads it gets the rest.
    let mut left = 100 * BODY;
    let mut taken = [0; BODY];
    while left > 0 {
        left = left.saturating_sub(transport.read(&mut taken).await.expect("more"));
    }
    let later = broker.queue("q").expect("there").unacknowledged;
    assert!(later > 80, "{later}");
    drop(transport);
    connection.close().await;
    await_no_tasks().await;
    assert_eq!(broker.queue("q").expect("there").messages_ready, 100);
}

/// A method as a client sends it.
fn on(channel: u16, method: impl amqp_types::Method<Protocol = Spec>) -> BytesMut {
    let (mut payload, mut frame) = (BytesMut::new(), BytesMut::new());
    let mut writer = Writer::new(&mut payload);
    method.into_any().encode(&mut writer).expect("encoded");
    writer.finish();
    FRAMING.put(FrameKind::Method, channel, &payload, &mut frame).expect("a frame");
    frame
}

/// What a client sends until it has channel 1 open, if it reads nothing.
fn logged_in() -> BytesMut {
    let start_ok = connection::StartOk {
        mechanism: "PLAIN".try_into().expect("short"),
        response: bytes::Bytes::from_static(b"\0guest\0guest"),
        ..Default::default()
    };
    let tune_ok = connection::TuneOk { channel_max: 2047, frame_max: 131_072, heartbeat: 0 };
    let open =
        connection::Open { virtual_host: "/".try_into().expect("short"), ..Default::default() };
    let mut octets = BytesMut::from(&PROTOCOL_HEADER[..]);
    octets.extend(on(0, start_ok));
    octets.extend(on(0, tune_ok));
    octets.extend(on(0, open));
    octets.extend(on(1, channel::Open::default()));
    octets
}
