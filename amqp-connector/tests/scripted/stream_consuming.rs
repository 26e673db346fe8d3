//! Bodies that are consumed as streams, read by handles while the peer sends them.

use std::time::Duration;

use amqp_connector::amqp_types::Method as _;
use amqp_connector::amqp_types::content::ContentHeader;
use amqp_connector::amqp_types::frame::FrameKind;
use amqp_connector::amqp_types::protocol::FRAMING;
use amqp_connector::amqp_types::wire::Writer;
use amqp_connector::protocol::{basic, channel};
use amqp_connector::testing::{Peer, leftovers};
use amqp_connector::{
    BasicConsume, BasicPublish, Channel, CloseCause, ConsumerEnd, ErrorKind, Options, Prefetch,
    StreamConsumer, StreamedDelivery,
};
use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;

use crate::cancellation::survives;
use crate::streaming::{by_hand, to_queue};
use crate::support::{channel, close_clean, connection_with, open, poll_and_drop, resolves};

async fn consume(channel: &Channel, peer: &mut Peer) -> StreamConsumer {
    let consume = BasicConsume::new("films", Prefetch::Count(5)).tag("c");
    let script = async {
        peer.expect_on::<basic::Qos>(channel.id()).await;
        peer.send(channel.id(), basic::QosOk::default()).await;
        let request = peer.expect_on::<basic::Consume>(channel.id()).await;
        peer.send(channel.id(), basic::ConsumeOk { consumer_tag: request.consumer_tag }).await;
    };
    tokio::join!(channel.basic_consume_streamed(consume), script).0.expect("started")
}

/// The frames of a delivery up to its body.
pub(crate) async fn begin(peer: &mut Peer, channel: u16, delivery_tag: u64, size: u64) {
    let deliver = basic::Deliver {
        consumer_tag: "c".try_into().expect("short"),
        delivery_tag,
        routing_key: "films".try_into().expect("short"),
        redelivered: true,
        ..Default::default()
    };
    peer.send_any(channel, &deliver.into_any()).await;
    let mut payload = BytesMut::new();
    let properties = basic::Properties { priority: Some(4), ..Default::default() };
    ContentHeader::write(&properties, size, &mut Writer::new(&mut payload)).expect("encodes");
    let mut frame = BytesMut::new();
    FRAMING.put(FrameKind::Header, channel, &payload, &mut frame).expect("fits");
    peer.send_raw(&frame).await;
}

pub(crate) async fn piece(peer: &mut Peer, channel: u16, octets: &[u8]) {
    let mut frame = BytesMut::new();
    FRAMING.put(FrameKind::Body, channel, octets, &mut frame).expect("fits");
    peer.send_raw(&frame).await;
}

async fn next(consumer: &mut StreamConsumer) -> StreamedDelivery {
    resolves("a delivery", consumer.recv()).await.expect("it is not over")
}

#[tokio::test(start_paused = true)]
async fn a_delivery_comes_with_its_header_and_its_body_as_it_comes() {
    let (connection, channel, mut peer) = channel().await;
    let mut consumer = consume(&channel, &mut peer).await;
    begin(&mut peer, channel.id(), 1, 10).await;
    let mut delivery = next(&mut consumer).await;
    assert_eq!((delivery.body_len, delivery.redelivered), (10, true));
    assert_eq!(
        (delivery.routing_key.as_str(), delivery.properties.priority),
        (Ok("films"), Some(4))
    );
    assert_eq!(delivery.delivery_tag(), 1);
    for octets in ["hello", "world"] {
        piece(&mut peer, channel.id(), octets.as_bytes()).await;
        let came = resolves("a piece", delivery.body.chunk()).await.expect("not broken");
        assert_eq!(came.expect("not over"), octets);
    }
    assert_eq!(delivery.body.remaining(), 0);
    assert_eq!(resolves("the end", delivery.body.chunk()).await.expect("clean"), None);
    assert_eq!(consumer.in_flight(), 1);
    delivery.ack().expect("open");
    assert_eq!(peer.expect_on::<basic::Ack>(channel.id()).await.delivery_tag, 1);
    drop(consumer);
    let cancel = peer.expect_on::<basic::Cancel>(channel.id()).await;
    peer.send(channel.id(), basic::CancelOk { consumer_tag: cancel.consumer_tag }).await;
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_is_a_reader_too() {
    let (_connection, channel, mut peer) = channel().await;
    let mut consumer = consume(&channel, &mut peer).await;
    let body: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    begin(&mut peer, channel.id(), 1, body.len() as u64).await;
    let (_, mut reader, acker) = next(&mut consumer).await.into_parts();
    let sending = async {
        for octets in body.chunks(30_000) {
            piece(&mut peer, channel.id(), octets).await;
        }
    };
    let reading = async {
        let mut start = [0; 10];
        reader.read_exact(&mut start).await.expect("not broken");
        assert_eq!((reader.remaining(), &start[..]), (99_990, &body[..10]));
        let mut rest = Vec::new();
        let mut chunk = reader.chunk().await.expect("not broken");
        while let Some(octets) = chunk {
            rest.extend_from_slice(&octets);
            chunk = reader.chunk().await.expect("not broken");
        }
        assert_eq!(rest, &body[10..]);
    };
    tokio::join!(sending, resolves("the body", reading));
    acker.ack().expect("open");
    peer.expect_on::<basic::Ack>(channel.id()).await;
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_dropped_midway_costs_nothing_and_the_next_one_comes() {
    let (_connection, channel, mut peer) = channel().await;
    let mut consumer = consume(&channel, &mut peer).await;
    begin(&mut peer, channel.id(), 1, 6).await;
    piece(&mut peer, channel.id(), b"abc").await;
    let (_, body, acker) = next(&mut consumer).await.into_parts();
    drop(body);
    piece(&mut peer, channel.id(), b"def").await;
    begin(&mut peer, channel.id(), 2, 3).await;
    piece(&mut peer, channel.id(), b"xyz").await;
    acker.nack(true).expect("open");
    let mut delivery = next(&mut consumer).await;
    assert_eq!(delivery.body.chunk().await.expect("not broken").expect("not over"), "xyz");
    delivery.reject(false).expect("open");
    for settled in [1, 2] {
        let event = peer.next().await.expect("in order");
        let text = event.to_string();
        assert!(text.contains("basic.nack") || text.contains("basic.reject"), "{settled}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_ends_in_the_middle_of_a_body_is_an_error_of_the_body() {
    for whole in [false, true] {
        let (_connection, channel, mut peer) = channel().await;
        let mut consumer = consume(&channel, &mut peer).await;
        begin(&mut peer, channel.id(), 1, 6).await;
        piece(&mut peer, channel.id(), if whole { b"abcdef" } else { b"abc" }).await;
        let mut delivery = next(&mut consumer).await;
        match whole {
            true => peer.close_channel(channel.id(), 404, "NOT_FOUND").await,
            false => peer.cut(),
        }
        resolves("the end", channel.closed()).await;
        let first = resolves("what came", delivery.body.chunk()).await;
        if whole {
            assert_eq!(first.expect("it is all there").expect("not over"), "abcdef");
            assert_eq!(delivery.body.chunk().await.expect("clean"), None);
            continue;
        }
        let error = first.expect_err("it is not all there");
        assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
        let mut octets = Vec::new();
        let (_, mut reader, _) = delivery.into_parts();
        assert_eq!(reader.read_to_end(&mut octets).await.expect("over"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_sees_a_broken_body_as_an_error() {
    let (_connection, channel, mut peer) = channel().await;
    let mut consumer = consume(&channel, &mut peer).await;
    begin(&mut peer, channel.id(), 1, 6).await;
    piece(&mut peer, channel.id(), b"abc").await;
    let (_, mut reader, _acker) = next(&mut consumer).await.into_parts();
    let mut three = [0; 3];
    reader.read_exact(&mut three).await.expect("they are there");
    peer.cut();
    let error = resolves("the end", reader.read_to_end(&mut Vec::new())).await.expect_err("broken");
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<amqp_connector::Error>());
    assert_eq!(inner.expect("the library's").kind(), ErrorKind::ConnectionClosed);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_reads_ends_its_channel_and_no_other() {
    let mut options = Options::default();
    options.consumer_budget = 1 << 20;
    options.reader_patience = Duration::from_millis(100);
    let (connection, mut peer) = connection_with(options, Peer::new()).await;
    let channel = open(&connection, &mut peer).await;
    let other = open(&connection, &mut peer).await;
    let mut consumer = consume(&channel, &mut peer).await;
    begin(&mut peer, channel.id(), 1, 1 << 40).await;
    let mut delivery = next(&mut consumer).await;
    let octets = vec![7; 100_000];
    for _ in 0..30 {
        piece(&mut peer, channel.id(), &octets).await;
    }
    let close = peer.expect_on::<channel::Close>(channel.id()).await;
    assert!(close.reply_text.to_string_lossy().contains("not read"), "{close:?}");
    // What was on its way is let go of.
    piece(&mut peer, channel.id(), &octets).await;
    peer.send(channel.id(), channel::CloseOk::default()).await;
    let error = resolves("the body", delivery.body.chunk()).await.expect_err("it broke off");
    assert_eq!(error.close_reason().expect("told").cause(), CloseCause::LimitExceeded);
    assert!(resolves("the consumer", consumer.recv()).await.is_none());
    assert_eq!(consumer.end(), Some(&ConsumerEnd::Overflow));
    drop(other.basic_publish(BasicPublish::new("", "q", "x")).await.expect("lives on"));
    peer.expect_content::<basic::Publish>(other.id()).await;
    drop((delivery, consumer, channel, other));
}

#[tokio::test(start_paused = true)]
async fn a_streamed_consumer_that_is_over_its_budget_keeps_no_bodies_of_what_it_gave_back() {
    let mut options = Options::default();
    // What a few deliveries cost without their bodies.
    options.consumer_budget = 2000;
    let (connection, mut peer) = connection_with(options, Peer::new()).await;
    let channel = open(&connection, &mut peer).await;
    let mut consumer = consume(&channel, &mut peer).await;
    begin(&mut peer, channel.id(), 1, 2).await;
    piece(&mut peer, channel.id(), b"ab").await;
    let mut first = next(&mut consumer).await;
    for tag in 2..30 {
        begin(&mut peer, channel.id(), tag, 2).await;
        piece(&mut peer, channel.id(), b"ab").await;
    }
    peer.expect_on::<basic::Cancel>(channel.id()).await;
    for tag in 2..30 {
        assert_eq!(peer.expect_on::<basic::Reject>(channel.id()).await.delivery_tag, tag);
    }
    assert_eq!(leftovers(&connection).bodies, 1, "only what was given out");
    assert!(resolves("the end", consumer.recv()).await.is_none());
    assert_eq!(consumer.end(), Some(&ConsumerEnd::Overflow));
    let came = first.body.chunk().await.expect("it is not broken");
    assert_eq!(came.expect("nor over"), "ab");
    first.ack().expect("open");
    assert_eq!(leftovers(&connection).bodies, 0);
    connection.abort();
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_ends_keeps_no_bodies_that_nobody_can_ask_for() {
    let (connection, channel, mut peer) = channel().await;
    let consumer = consume(&channel, &mut peer).await;
    for tag in 1..=3 {
        begin(&mut peer, channel.id(), tag, 2).await;
        piece(&mut peer, channel.id(), b"ab").await;
    }
    peer.close_channel(channel.id(), 404, "NOT_FOUND").await;
    resolves("the end", channel.closed()).await;
    assert_eq!(leftovers(&connection).bodies, 0);
    drop(consumer);
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_reads_on_a_channel_with_a_stream_under_way_ends_the_connection() {
    let mut options = Options::default();
    options.consumer_budget = 1 << 20;
    options.reader_patience = Duration::from_millis(100);
    let (connection, mut peer) = connection_with(options, Peer::new()).await;
    let channel = open(&connection, &mut peer).await;
    let mut consumer = consume(&channel, &mut peer).await;
    let (hand, pieces) = by_hand();
    hand.send(Ok("ab".into())).expect("kept");
    let publishing = tokio::spawn(channel.basic_publish_stream(to_queue(10), pieces));
    begin(&mut peer, channel.id(), 1, 1 << 40).await;
    let _unread = next(&mut consumer).await;
    for _ in 0..30 {
        piece(&mut peer, channel.id(), &[7; 100_000]).await;
    }
    let reason = resolves("the end", connection.closed()).await;
    assert_eq!(reason.cause(), CloseCause::StreamBroken);
    assert!(reason.text().contains("not read"), "{reason}");
    let error = resolves("the publish", publishing).await.expect("no panic").map(drop);
    assert_eq!(error.unwrap_err().kind(), ErrorKind::ConnectionClosed);
    drop(hand);
}

fn from_work() -> BasicConsume {
    BasicConsume::new("work", Prefetch::Count(1))
}

#[tokio::test(start_paused = true)]
async fn a_consume_with_streams_can_be_dropped() {
    survives(async |_, channel, polls| {
        drop(poll_and_drop(polls, channel.basic_consume_streamed(from_work())).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn receiving_deliveries_and_pieces_can_be_dropped() {
    survives(async |_, channel, polls| {
        let mut consumer = channel.basic_consume_streamed(from_work()).await.expect("a consumer");
        for _ in 0..3 {
            if let Some(Some(mut delivery)) = poll_and_drop(polls, consumer.recv()).await {
                let piece = poll_and_drop(polls, delivery.body.chunk()).await;
                assert!(!matches!(piece, Some(Err(_))), "{piece:?}");
                delivery.nack(true).expect("given back");
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_of_streams_can_be_dropped() {
    survives(async |_, channel, polls| {
        let mut consumer = channel.basic_consume_streamed(from_work()).await.expect("a consumer");
        drop(poll_and_drop(polls, consumer.cancel()).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_of_streams_can_be_dropped() {
    survives(async |_, channel, polls| {
        let consumer = channel.basic_consume_streamed(from_work()).await.expect("a consumer");
        drop(poll_and_drop(polls, consumer.shutdown(Duration::from_secs(1))).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_streamed_delivery_names_its_consumer_and_is_settled_with_those_before_it() {
    let (connection, channel, mut peer) = channel().await;
    let mut consumer = consume(&channel, &mut peer).await;
    for tag in 1..=2 {
        begin(&mut peer, channel.id(), tag, 2).await;
        piece(&mut peer, channel.id(), b"ab").await;
    }
    let first = next(&mut consumer).await;
    let second = next(&mut consumer).await;
    assert_eq!(first.consumer_tag(), Some(consumer.tag()));
    second.ack_multiple().expect("open");
    let ack = peer.expect_on::<basic::Ack>(channel.id()).await;
    assert_eq!((ack.delivery_tag, ack.multiple), (2, true));
    assert_eq!(first.ack().expect_err("settled").kind(), ErrorKind::Invalid);
    let id = channel.id();
    drop((channel, consumer));
    peer.expect_on::<basic::Cancel>(id).await;
    peer.expect::<channel::Close>().await;
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_of_streams_gives_back_what_was_not_read() {
    let (connection, channel, mut peer) = channel().await;
    let consumer = consume(&channel, &mut peer).await;
    begin(&mut peer, channel.id(), 1, 2).await;
    piece(&mut peer, channel.id(), b"ab").await;
    // Answered after what was sent before it, so the delivery is there.
    let asked = channel.basic_qos(Prefetch::Count(5), false);
    let script = async {
        peer.expect_on::<basic::Qos>(channel.id()).await;
        peer.send(channel.id(), basic::QosOk::default()).await;
    };
    tokio::join!(asked, script).0.expect("open");
    assert_eq!(leftovers(&connection).bodies, 1);
    let script = async {
        peer.expect_on::<basic::Cancel>(channel.id()).await;
        assert_eq!(leftovers(&connection).bodies, 0, "nobody will read it");
        assert_eq!(peer.expect_on::<basic::Reject>(channel.id()).await.delivery_tag, 1);
        let consumer_tag = "c".try_into().expect("short");
        peer.send(channel.id(), basic::CancelOk { consumer_tag }).await;
    };
    let (report, ()) = tokio::join!(consumer.shutdown(Duration::from_secs(5)), script);
    assert_eq!((report.given_back, report.is_complete()), (1, true), "{report:?}");
    drop(channel);
    peer.expect::<channel::Close>().await;
    close_clean(connection, &mut peer).await;
}
