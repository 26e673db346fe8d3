//! The rules of the driver, by number: it wakes itself after bounded batches (2), writes any transport (3),
//! leaves heartbeats their time (4), and settling neither waits nor needs room (5).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use amqp_connector::amqp_types::Method as _;
use amqp_connector::protocol::{basic, queue};
use amqp_connector::testing::{Event, Peer};
use amqp_connector::{
    BasicConsume, BasicPublish, Channel, Connection, ErrorKind, Options, Prefetch, QueueDeclare,
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::support::{close_clean, connection, connection_with, open, resolves};

#[tokio::test(start_paused = true)]
async fn rule_2_frames_beyond_one_batch_are_handled_though_the_peer_is_silent() {
    let (connection, mut peer) =
        connection_with(Options::default(), Peer::with_pipe(8 << 20)).await;
    let channel = open(&connection, &mut peer).await;
    let id = channel.id();
    // Thousands of frames in one write, then nothing more.
    let mut octets = bytes::BytesMut::new();
    const FRAMES: u32 = 20_000;
    let mut payload = bytes::BytesMut::new();
    let mut calls = Vec::new();
    for n in 0..FRAMES {
        let mut call = Box::pin(channel.queue_declare(QueueDeclare::new("q")));
        assert!(poll_once(&mut call).is_pending());
        calls.push(call);
        let ok = queue::DeclareOk { message_count: n, ..Default::default() };
        payload.clear();
        ok.encode(&mut amqp_types::wire::Writer::new(&mut payload)).expect("encodes");
        let kind = amqp_types::frame::FrameKind::Method;
        amqp_connector::protocol::FRAMING.put(kind, id, &payload, &mut octets).expect("short");
    }
    for _ in 0..FRAMES {
        peer.expect_on::<queue::Declare>(id).await;
    }
    peer.send_raw(&octets).await;
    for (n, call) in calls.into_iter().enumerate() {
        let ok = tokio::time::timeout(Duration::from_secs(1), call).await.expect("in time");
        assert_eq!(ok.expect("declared").message_count as usize, n);
    }
    close_clean(connection, &mut peer).await;
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test(start_paused = true)]
async fn rule_2_output_beyond_one_turn_is_written_though_nothing_else_happens() {
    let mut options = Options::default();
    options.outbound_budget = 64 << 20;
    let (connection, mut peer) = connection_with(options, Peer::new()).await;
    let channel = open(&connection, &mut peer).await;
    const MESSAGES: usize = 3000;
    for n in 0..MESSAGES {
        let publish = BasicPublish::new("", "q", vec![n as u8; 4096]);
        drop(channel.basic_publish(publish).await.expect("accepted"));
    }
    for n in 0..MESSAGES {
        let (_, _, body) = peer.expect_content::<basic::Publish>(channel.id()).await;
        assert_eq!(body.chunks()[0][0], n as u8);
    }
    resolves("flush", channel.flush()).await.expect("flushed");
    close_clean(connection, &mut peer).await;
}

/// A transport without vectored writes, or whose writes take nothing after a while.
struct Odd {
    io: DuplexStream,
    vectored: bool,
    writes_left: usize,
}

impl AsyncRead for Odd {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Odd {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        if self.writes_left == 0 {
            return Poll::Ready(Ok(0));
        }
        self.writes_left -= 1;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        assert!(self.vectored, "the transport has no vectored writes");
        // Odd lengths, across the slices' borders.
        let whole: Vec<u8> = bufs.iter().flat_map(|slice| slice.iter().copied()).collect();
        let part = whole.get(..777).unwrap_or(&whole).to_vec();
        self.as_mut().poll_write(cx, &part)
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

async fn over_odd(vectored: bool, writes: usize) -> (Connection, Channel, Peer) {
    let (io, mut peer) = Peer::new();
    let io = Odd { io, vectored, writes_left: writes };
    let connect = async {
        let greeted = amqp_connector::Connector::new().connect_with(io).await.expect("greeted");
        greeted.authenticate("guest", "guest").await.expect("connected")
    };
    let (connection, _) = tokio::join!(connect, peer.handshake());
    let channel = open(&connection, &mut peer).await;
    (connection, channel, peer)
}

#[tokio::test(start_paused = true)]
async fn rule_3_a_write_of_nothing_ends_the_connection_with_write_zero() {
    // Four writes of the handshake and one of the channel.
    let (connection, channel, mut peer) = over_odd(true, 5).await;
    drop(channel.basic_publish(BasicPublish::new("", "q", "lost")).await);
    let reason = resolves("closed", connection.closed()).await;
    let error = reason.io_error().expect("an error of the transport");
    assert_eq!(error.kind(), std::io::ErrorKind::WriteZero);
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn rule_3_transports_with_and_without_vectored_writes_get_the_same_octets() {
    for vectored in [false, true] {
        let (connection, channel, mut peer) = over_odd(vectored, usize::MAX).await;
        let id = channel.id();
        let body: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        let send = async {
            drop(channel.basic_publish(BasicPublish::new("", "a", "small")).await);
            drop(channel.basic_publish(BasicPublish::new("", "b", body.clone())).await);
            drop(channel.basic_publish(BasicPublish::new("", "c", "after")).await);
        };
        let receive = async {
            assert_eq!(peer.expect_content::<basic::Publish>(id).await.2.to_bytes(), "small");
            assert_eq!(peer.expect_content::<basic::Publish>(id).await.2.to_bytes(), body);
            assert_eq!(peer.expect_content::<basic::Publish>(id).await.2.to_bytes(), "after");
        };
        tokio::join!(send, receive);
        close_clean(connection, &mut peer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn rule_3_a_peer_that_writes_everything_before_it_reads_does_not_stall_us() {
    let (connection, mut peer) = connection_with(Options::default(), Peer::with_pipe(1000)).await;
    let channel = open(&connection, &mut peer).await;
    let id = channel.id();
    let send = async {
        // More than the pipe holds: our side is in the middle of a write.
        drop(channel.basic_publish(BasicPublish::new("", "q", vec![1; 50_000])).await);
        drop(channel.basic_publish(BasicPublish::new("", "q", vec![2; 200_000])).await);
        resolves("the return", channel.returned()).await.expect("returned")
    };
    let script = async {
        // It does not read until it has written all of this.
        let returned = basic::Return { reply_code: 312, ..Default::default() };
        peer.send_content(id, returned, basic::Properties::default(), vec![3; 400_000]).await;
        assert_eq!(peer.expect_content::<basic::Publish>(id).await.2.len(), 50_000);
        assert_eq!(peer.expect_content::<basic::Publish>(id).await.2.len(), 200_000);
    };
    let (returned, ()) = tokio::join!(send, script);
    assert_eq!(returned.body.len(), 400_000);
    close_clean(connection, &mut peer).await;
}

#[tokio::test(flavor = "current_thread")]
async fn rule_4_heartbeats_go_out_under_a_tight_publish_loop() {
    let mut options = Options::default();
    // Publishing never waits: only the cooperative budget takes the thread away from the loop.
    options.outbound_budget = usize::MAX;
    let (io, peer) = Peer::new();
    let (connection, mut peer) = connection_with(options, (io, peer.tune(9, 4096, 4))).await;
    let channel = open(&connection, &mut peer).await;
    let received = Arc::new(AtomicUsize::new(0));
    let counted = received.clone();
    // A peer on the same thread, and a connection that is quiet but for its heartbeats.
    let reader = tokio::spawn(async move {
        while !matches!(peer.next().await.expect("in order"), Event::End) {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let (io, quiet) = Peer::new();
    let (idle, mut quiet) = connection_with(Options::default(), (io, quiet.tune(9, 4096, 4))).await;
    let heartbeats = Arc::new(AtomicUsize::new(0));
    let beats = heartbeats.clone();
    let listener = tokio::spawn(async move {
        while let Ok(Event::Heartbeat) = quiet.next().await {
            beats.fetch_add(1, Ordering::Relaxed);
        }
    });
    // They are due after two seconds, and the peers, which say nothing, are given up after eight.
    let until = std::time::Instant::now() + Duration::from_secs(7);
    while heartbeats.load(Ordering::Relaxed) == 0 && std::time::Instant::now() < until {
        for _ in 0..100 {
            drop(channel.basic_publish(BasicPublish::new("", "q", "x")).await.expect("accepted"));
        }
    }
    assert!(received.load(Ordering::Relaxed) > 0, "the driver wrote nothing meanwhile");
    assert!(heartbeats.load(Ordering::Relaxed) > 0, "the other driver had no turn meanwhile");
    connection.abort();
    idle.abort();
    drop((channel, reader.await, listener.await));
}

#[tokio::test(flavor = "current_thread")]
async fn rule_4_a_task_that_never_waits_leaves_the_heartbeats_their_time() {
    let (io, peer) = Peer::with_pipe(4 << 20);
    let (connection, mut peer) =
        connection_with(Options::default(), (io, peer.tune(9, 4096, 1))).await;
    let channel = open(&connection, &mut peer).await;
    let id = channel.id();
    let answer = async {
        peer.expect::<basic::Qos>().await;
        peer.send(id, basic::QosOk::default()).await;
        let (_, consume) = peer.expect::<basic::Consume>().await;
        let consumer_tag = match consume.consumer_tag.is_empty() {
            true => "c".try_into().expect("short"),
            false => consume.consumer_tag,
        };
        peer.send(id, basic::ConsumeOk { consumer_tag: consumer_tag.clone() }).await;
        consumer_tag
    };
    let consume = channel.basic_consume(BasicConsume::new("q", Prefetch::Unlimited));
    let (consumer, consumer_tag) = tokio::join!(consume, answer);
    let mut consumer = consumer.expect("a consumer");
    let heartbeats = Arc::new(AtomicUsize::new(0));
    let counted = heartbeats.clone();
    let stop = Arc::new(AtomicUsize::new(0));
    let stopped = stop.clone();
    let script = tokio::spawn(async move {
        let mut tag = 0;
        while stopped.load(Ordering::Relaxed) == 0 {
            // There is always something to receive.
            for _ in 0..50 {
                tag += 1;
                let deliver = basic::Deliver {
                    consumer_tag: consumer_tag.clone(),
                    delivery_tag: tag,
                    ..Default::default()
                };
                peer.send_content(id, deliver, basic::Properties::default(), "x").await;
            }
            for _ in 0..50 {
                match peer.next().await.expect("in order") {
                    Event::Heartbeat => {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                    Event::End => return,
                    _ => {}
                }
            }
        }
    });
    let until = std::time::Instant::now() + Duration::from_millis(1500);
    while std::time::Instant::now() < until {
        let Some(delivery) = consumer.recv().await else { break };
        delivery.ack().expect("acked");
    }
    stop.store(1, Ordering::Relaxed);
    assert!(connection.close_reason().is_none(), "{:?}", connection.close_reason());
    script.abort();
    drop((consumer, channel));
    // Octets of acks count as signs of life: heartbeats are needed only where there is nothing else.
    let _ = heartbeats.load(Ordering::Relaxed);
}

#[tokio::test(start_paused = true)]
async fn rule_4_heartbeats_go_out_and_are_expected() {
    let (io, peer) = Peer::new();
    let (connection, mut peer) =
        connection_with(Options::default(), (io, peer.tune(9, 4096, 10))).await;
    let begun = tokio::time::Instant::now();
    for n in 1..=3 {
        peer.expect_heartbeat().await;
        let elapsed = begun.elapsed();
        assert!(elapsed <= Duration::from_secs(5) * n, "heartbeat {n} after {elapsed:?}");
    }
    // The peer has been silent all the time: two intervals are the limit.
    let reason = resolves("closed", connection.closed()).await;
    assert!(reason.text().contains("heartbeat"), "{reason}");
    assert_eq!(reason.initiator(), amqp_connector::Initiator::Library);
    let elapsed = begun.elapsed();
    assert!((Duration::from_secs(19)..Duration::from_secs(27)).contains(&elapsed), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn rule_4_a_frame_that_comes_slowly_is_a_sign_of_life() {
    let (io, peer) = Peer::new();
    let (connection, mut peer) =
        connection_with(Options::default(), (io, peer.tune(9, 4096, 4))).await;
    let channel = open(&connection, &mut peer).await;
    let mut call = Box::pin(channel.queue_declare(QueueDeclare::new("slow")));
    assert!(poll_once(&mut call).is_pending());
    peer.expect::<queue::Declare>().await;
    let script = async {
        // channel 1, queue.declare-ok of an empty name, one octet every second.
        let mut octets = vec![1, 0, 1, 0, 0, 0, 13, 0, 50, 0, 11, 0, 0, 0, 0, 9, 0, 0, 0, 9, 0xce];
        octets[2] = u8::try_from(channel.id()).expect("small");
        for octet in octets {
            tokio::time::sleep(Duration::from_secs(1)).await;
            peer.send_raw(&[octet]).await;
        }
    };
    let (declared, ()) = tokio::join!(call, script);
    assert_eq!(declared.expect("the connection lives").message_count, 9);
    drop(channel);
    let _ = connection;
}

#[tokio::test(start_paused = true)]
async fn rule_5_settling_takes_no_wait_and_no_room_and_flush_tells_when_it_is_written() {
    let mut options = Options::default();
    options.outbound_budget = 1000;
    let (connection, mut peer) = connection_with(options, Peer::with_pipe(500)).await;
    let channel = open(&connection, &mut peer).await;
    let id = channel.id();
    let got = async {
        peer.expect::<basic::Get>().await;
        let ok = basic::GetOk { delivery_tag: 1, ..Default::default() };
        peer.send_content(id, ok, basic::Properties::default(), "job").await;
    };
    let get = channel.basic_get(amqp_connector::BasicGet::new("q"));
    let (delivery, ()) = tokio::join!(get, got);
    let delivery = delivery.expect("got").expect("a message");

    // The pipe and the budget are full: a publish must wait, an ack must not.
    drop(channel.basic_publish(BasicPublish::new("", "q", vec![0; 5000])).await.expect("alone"));
    let refused = channel.try_basic_publish(BasicPublish::new("", "q", "no room"));
    assert_eq!(refused.expect_err("no room").kind(), ErrorKind::Full);
    delivery.ack().expect("acked at once");

    let mut flush = Box::pin(channel.flush());
    assert!(poll_once(&mut flush).is_pending());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(poll_once(&mut flush).is_pending(), "nobody has read it");
    peer.expect_content::<basic::Publish>(id).await;
    peer.expect_on::<basic::Ack>(id).await;
    resolves("flush", flush).await.expect("written");
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn rule_5_flush_waits_for_a_large_body_that_is_under_way() {
    let (connection, mut peer) = connection_with(Options::default(), Peer::with_pipe(500)).await;
    let channel = open(&connection, &mut peer).await;
    drop(
        channel
            .basic_publish(BasicPublish::new("", "q", vec![0; 200_000]))
            .await
            .expect("accepted"),
    );
    // The driver has taken all of it, and can write nearly nothing.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut flush = Box::pin(channel.flush());
    assert!(poll_once(&mut flush).is_pending(), "the body is not written");
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(poll_once(&mut flush).is_pending(), "the body is not written");
    peer.expect_content::<basic::Publish>(channel.id()).await;
    resolves("flush", flush).await.expect("written");
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn rule_5_flush_ends_with_the_connection() {
    let (connection, mut peer) = connection().await;
    let channel = open(&connection, &mut peer).await;
    for _ in 0..100 {
        drop(channel.basic_publish(BasicPublish::new("", "q", vec![0; 30_000])).await);
    }
    let flush = channel.flush();
    let script = async move {
        peer.silence(Duration::from_millis(5)).await;
        peer.cut();
    };
    let (flushed, ()) = resolves("flush", async { tokio::join!(flush, script) }).await;
    assert_eq!(flushed.expect_err("never written").kind(), ErrorKind::ConnectionClosed);
}

#[tokio::test(start_paused = true)]
async fn a_large_message_does_not_overtake_what_its_channel_sent_before() {
    let (connection, mut peer) = connection_with(Options::default(), Peer::new()).await;
    let channel = open(&connection, &mut peer).await;
    // More than one turn of small messages, all of it encoded before the driver looks.
    const SMALL: usize = 100;
    for n in 0..SMALL {
        let publish = BasicPublish::new("", "q", vec![n as u8; 20_000]);
        drop(channel.try_basic_publish(publish).expect("accepted"));
    }
    drop(
        channel.try_basic_publish(BasicPublish::new("", "q", vec![0; 100_000])).expect("accepted"),
    );
    drop(channel.try_basic_publish(BasicPublish::new("", "q", "last")).expect("accepted"));
    for n in 0..SMALL {
        let (_, _, body) = peer.expect_content::<basic::Publish>(channel.id()).await;
        assert_eq!((body.len(), body.to_bytes()[0]), (20_000, n as u8));
    }
    assert_eq!(peer.expect_content::<basic::Publish>(channel.id()).await.2.len(), 100_000);
    assert_eq!(peer.expect_content::<basic::Publish>(channel.id()).await.2.len(), 4);
    close_clean(connection, &mut peer).await;
}
