//! What a hostile peer, an unlucky moment or a careless caller may not bring about, through the public API.
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amqp_connector::protocol::{basic, connection};
use amqp_connector::testing::Peer;
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, ConnectError, Connector, ErrorKind, Event, FieldTable,
    Options, Prefetch, Recovery, ShortStr,
};

use crate::support::{channel, connection_with, open, resolves};

#[tokio::test(start_paused = true)]
async fn an_endless_connect_timeout_does_not_panic() {
    let (io, mut peer) = Peer::new();
    let connector = Connector::new().connect_timeout(Duration::MAX);
    let connect =
        async { connector.connect_with(io).await.expect("greeted").authenticate("a", "b").await };
    let (connection, _) = tokio::join!(connect, peer.handshake());
    drop(connection);
}

#[tokio::test(start_paused = true)]
async fn an_endless_close_does_not_panic() {
    let (connection, mut peer) = connection_with(Options::default(), Peer::new()).await;
    tokio::join!(connection.close_within(Duration::MAX), peer.expect_close());
}

/// "Ends the connection at once": the driver goes on writing what it had taken, for `close_timeout`.
#[tokio::test(start_paused = true)]
async fn abort_is_at_once() {
    let (connection, channel, _peer) = channel().await;
    let publish = BasicPublish::new("", "q", vec![1; 4 << 20]);
    drop(channel.basic_publish(publish).await.expect("accepted"));
    tokio::time::sleep(Duration::from_millis(10)).await;
    connection.abort();
    let start = tokio::time::Instant::now();
    // Waits until the driver has let go of the transport.
    connection.close_within(Duration::from_secs(100)).await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

amqp_connector::amqp_types::if_spec! { confirm.select => {
/// A confirmation that was nacked says Accepted when it is looked at again.
#[tokio::test(start_paused = true)]
async fn a_confirmation_does_not_change_its_mind() {
    let (_connection, channel, mut peer) = channel().await;
    let select = async {
        let (id, _) = peer.expect::<amqp_connector::protocol::confirm::Select>().await;
        peer.send(id, amqp_connector::protocol::confirm::SelectOk::default()).await;
    };
    let (selected, ()) = tokio::join!(channel.confirm_select(), select);
    selected.expect("selected");
    let mut confirmation = channel.basic_publish(BasicPublish::new("", "q", "x")).await.expect("ok");
    peer.send(channel.id(), basic::Nack { delivery_tag: 1, ..Default::default() }).await;
    let first = resolves("outcome", &mut confirmation).await;
    assert!(matches!(first, amqp_connector::Outcome::Nacked), "{first:?}");
    let again = resolves("outcome", &mut confirmation).await;
    assert!(matches!(again, amqp_connector::Outcome::Nacked), "{again:?}");
}
} else {} }

/// A frame-max below the specification's least is no offer to accept.
#[tokio::test(start_paused = true)]
async fn a_frame_max_below_the_minimum_is_refused() {
    let (io, mut peer) = Peer::new();
    let connector = Connector::new();
    let connect =
        async { connector.connect_with(io).await.expect("greeted").authenticate("a", "b").await };
    let script = async {
        peer.expect_header().await;
        let start = peer.start();
        peer.send(0, start).await;
        peer.expect::<connection::StartOk>().await;
        let tune = connection::Tune { channel_max: 9, frame_max: 64, heartbeat: 0 };
        peer.send(0, tune).await;
        peer.expect_end().await;
    };
    let (connection, ()) = tokio::join!(connect, script);
    let error = connection.expect_err("frames of 64 octets carry nothing");
    assert!(matches!(error, ConnectError::FrameMax { offered: 64 }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_is_not_ended_by_the_cancel_of_an_earlier_one_with_its_tag() {
    let (_connection, channel, mut peer) = channel().await;
    let consume = || BasicConsume::new("q", Prefetch::Count(10)).tag("worker");
    let answer = async |peer: &mut Peer| {
        let (id, _) = peer.expect::<basic::Qos>().await;
        peer.send(id, basic::QosOk::default()).await;
        let (id, c) = peer.expect::<basic::Consume>().await;
        peer.send(id, basic::ConsumeOk { consumer_tag: c.consumer_tag }).await;
    };
    let (consumer, ()) = tokio::join!(channel.basic_consume(consume()), answer(&mut peer));
    let mut consumer = consumer.expect("consumes");
    // The broker is slow for a moment: the cancel is given up, the handle dropped.
    let late = tokio::time::timeout(Duration::from_millis(100), consumer.cancel()).await;
    assert!(late.is_err());
    drop(consumer);
    let broker = async {
        for _ in 0..2 {
            let (id, c) = peer.expect::<basic::Cancel>().await;
            peer.send(id, basic::CancelOk { consumer_tag: c.consumer_tag }).await;
            // The second answer comes once the new consume is on its way.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        answer(&mut peer).await;
        peer.send_content(
            channel.id(),
            basic::Deliver {
                consumer_tag: "worker".try_into().unwrap(),
                delivery_tag: 1,
                ..Default::default()
            },
            basic::Properties::default(),
            "x",
        )
        .await;
    };
    let (consumer, ()) = tokio::join!(channel.basic_consume(consume()), broker);
    let mut consumer = consumer.expect("consumes");
    let got = resolves("delivery", consumer.recv()).await;
    assert!(got.is_some(), "the new consumer ended: {:?}", consumer.end());
}

/// A transport whose flush fails (TLS, a buffered writer): `flush` may not say that all is written.
#[tokio::test(start_paused = true)]
async fn flush_tells_of_a_failed_flush() {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll};
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
    struct Buffering<T>(T, Arc<AtomicBool>);
    impl<T: AsyncRead + Unpin> AsyncRead for Buffering<T> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            b: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, b)
        }
    }
    impl<T: AsyncWrite + Unpin> AsyncWrite for Buffering<T> {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            b: &[u8],
        ) -> Poll<std::io::Result<usize>> {
            match self.1.load(Ordering::Relaxed) {
                true => Poll::Ready(Ok(b.len())), // into a buffer
                false => Pin::new(&mut self.0).poll_write(cx, b),
            }
        }
        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            match self.1.load(Ordering::Relaxed) {
                true => Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into())),
                false => Pin::new(&mut self.0).poll_flush(cx),
            }
        }
        fn poll_shutdown(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<std::io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }
    let broken = Arc::new(AtomicBool::new(false));
    let (io, mut peer) = Peer::new();
    let io = Buffering(io, broken.clone());
    let connector = Connector::new();
    let connect = async {
        connector.connect_with(io).await.expect("g").authenticate("a", "b").await.expect("a")
    };
    let (connection, _) = tokio::join!(connect, peer.handshake());
    let channel = open(&connection, &mut peer).await;
    broken.store(true, Ordering::Relaxed);
    drop(channel.basic_publish(BasicPublish::new("", "q", "x")).await.expect("accepted"));
    let flushed = resolves("flush", channel.flush()).await;
    assert!(flushed.is_err(), "the flush failed and the message never left");
}

/// Properties that nobody with the default limits can read.
fn poison() -> basic::Properties {
    let key = || ShortStr::from_static("k");
    let innermost = FieldTable::new().with(key(), 1);
    let deep = (0..100).fold(innermost, |table, _| FieldTable::new().with(key(), table));
    basic::Properties { headers: Some(deep), ..Default::default() }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_read_costs_itself_and_not_its_connection() {
    let (io, mut peer) = Peer::new();
    let connector = Connector::new().recovery(Recovery::new());
    let once = Arc::new(Mutex::new(Some(io)));
    let dial = move || {
        let io = once.lock().expect("no panic").take();
        async move { io.ok_or(std::io::ErrorKind::ConnectionRefused.into()) }
    };
    let connect =
        async { connector.connect_by(dial).await.expect("greeted").authenticate("a", "b").await };
    let (connection, _) = tokio::join!(connect, peer.handshake());
    let connection = connection.expect("welcome");
    let mut events = connection.events();
    let channel = open(&connection, &mut peer).await;
    let consume = channel.basic_consume(BasicConsume::new("q", Prefetch::Unlimited).tag("c"));
    let script = async {
        let (id, _) = peer.expect::<basic::Qos>().await;
        peer.send(id, basic::QosOk::default()).await;
        let (id, consume) = peer.expect::<basic::Consume>().await;
        peer.send(id, basic::ConsumeOk { consumer_tag: consume.consumer_tag }).await;
    };
    let (consumer, ()) = tokio::join!(consume, script);
    let mut consumer = consumer.expect("consumes");
    let id = channel.id();
    for delivery_tag in (1..20).step_by(2) {
        let deliver = |delivery_tag| basic::Deliver {
            consumer_tag: ShortStr::from_static("c"),
            delivery_tag,
            ..Default::default()
        };
        peer.send_content(id, deliver(delivery_tag), poison(), vec![0; 10_000]).await;
        peer.send_content(id, deliver(delivery_tag + 1), Default::default(), "good").await;
        let good = resolves("delivery", consumer.recv()).await.expect("not ended");
        assert_eq!((good.delivery_tag(), good.body.to_bytes().len()), (delivery_tag + 1, 4));
        good.ack().expect("acked");
        let reject = peer.expect_on::<basic::Reject>(id).await;
        assert_eq!((reject.delivery_tag, reject.requeue), (delivery_tag, false));
        peer.expect_on::<basic::Ack>(id).await;
        let told = loop {
            match resolves("event", events.recv()).await.expect("not over") {
                Event::Unreadable { error, .. } => break error,
                Event::Recovering { reason, .. } => panic!("{reason}"),
                _ => {}
            }
        };
        assert!(told.to_string().contains("too deep"), "{told}");
    }
    let get = channel.basic_get(BasicGet::new("q"));
    let script = async {
        peer.expect::<basic::Get>().await;
        peer.send_content(id, basic::GetOk::default(), poison(), "x").await;
    };
    let (got, ()) = tokio::join!(get, script);
    assert_eq!(got.expect_err("poison").kind(), ErrorKind::Unreadable);
    assert!(channel.close_reason().is_none() && !connection.is_recovering());
}
