//! Ends: graceful and not, by handles, by the peer, by the runtime. Bounded, and nothing is left behind.

use std::time::Duration;

use amqp_connector::amqp_types::Method as _;
use amqp_connector::protocol::{basic, channel, connection, queue};
use amqp_connector::testing::{Leftovers, Peer, leftovers};
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Connector, ErrorKind, Initiator, Options, Prefetch,
    QueueDeclare,
};
use tokio::time::Instant;

use crate::support::{channel, close_clean, connection, connection_with, open, resolves};

#[tokio::test(start_paused = true)]
async fn close_is_answered_and_idempotent() {
    let (connection, channel, mut peer) = channel().await;
    let (first, close) = tokio::join!(connection.close(), peer.expect_close());
    assert_eq!(close.reply_code, 200);
    assert_eq!(first.initiator(), Initiator::Application);
    let again = resolves("close", connection.close()).await;
    assert!(std::sync::Arc::ptr_eq(&first, &again));
    let error = channel.queue_declare(QueueDeclare::new("q")).await.expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
    drop(channel);
    assert_eq!(leftovers(&connection), Leftovers::default());
}

#[tokio::test(start_paused = true)]
async fn close_gives_up_at_its_deadline_when_the_peer_is_silent() {
    let (connection, mut peer) = connection().await;
    let begun = Instant::now();
    resolves("close", connection.close_within(Duration::from_secs(3))).await;
    assert!(begun.elapsed() <= Duration::from_secs(4), "{:?}", begun.elapsed());
    peer.expect::<connection::Close>().await;
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn close_gives_up_at_its_deadline_when_the_peer_does_not_read() {
    let (connection, mut peer) = connection_with(Options::default(), Peer::with_pipe(500)).await;
    let channel = open(&connection, &mut peer).await;
    drop(channel.basic_publish(BasicPublish::new("", "q", vec![0; 300_000])).await);
    let begun = Instant::now();
    resolves("close", connection.close()).await;
    assert!(begun.elapsed() <= Duration::from_secs(6), "{:?}", begun.elapsed());
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(channel);
    assert_eq!(leftovers(&connection), Leftovers::default());
}

#[tokio::test(start_paused = true)]
async fn a_close_does_not_overtake_a_large_message() {
    let (connection, mut peer) = connection_with(Options::default(), Peer::with_pipe(500)).await;
    let channel = open(&connection, &mut peer).await;
    let id = channel.id();
    drop(
        channel
            .basic_publish(BasicPublish::new("", "q", vec![1; 200_000]))
            .await
            .expect("accepted"),
    );
    drop(channel.basic_publish(BasicPublish::new("", "q", "behind it")).await.expect("accepted"));
    let script = async {
        assert_eq!(peer.expect_content::<basic::Publish>(id).await.2.len(), 200_000);
        assert_eq!(peer.expect_content::<basic::Publish>(id).await.2.len(), 9);
        peer.expect_close().await;
    };
    tokio::join!(connection.close(), script);
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_closes_gracefully_and_ends_the_driver() {
    let (io, mut peer) = Peer::new();
    let connect = async {
        let greeted = Connector::new().connect_with(io).await.expect("greeted");
        greeted.authenticate_with_driver("guest", "guest").await.expect("connected")
    };
    let ((connection, driver), _) = tokio::join!(connect, peer.handshake());
    let driver = tokio::spawn(driver);
    let channel = open(&connection, &mut peer).await;
    drop(channel.basic_publish(BasicPublish::new("", "q", "the last words")).await);
    drop(connection);
    peer.expect_content::<basic::Publish>(channel.id()).await;
    peer.expect_nothing(Duration::from_secs(1)).await;
    // Channels keep the connection open; the last one lets it go.
    drop(channel);
    let _ = peer.expect::<channel::Close>().await;
    let close = peer.expect_close().await;
    assert_eq!(close.reply_code, 200);
    resolves("the driver", driver).await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_ends_the_driver_though_the_peer_is_silent() {
    let (io, mut peer) = Peer::new();
    let connect = async {
        let greeted = Connector::new().connect_with(io).await.expect("greeted");
        greeted.authenticate_with_driver("guest", "guest").await.expect("connected")
    };
    let ((connection, driver), _) = tokio::join!(connect, peer.handshake());
    let driver = tokio::spawn(driver);
    let begun = Instant::now();
    drop(connection);
    resolves("the driver", driver).await.expect("no panic");
    assert!(begun.elapsed() <= Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_channel_closes_when_its_last_handle_goes_and_its_number_is_used_again() {
    let (connection, channel, mut peer) = channel().await;
    let id = channel.id();
    let clone = channel.clone();
    drop(channel);
    peer.expect_nothing(Duration::from_secs(1)).await;
    drop(clone);
    let close = peer.expect_on::<channel::Close>(id).await;
    assert_eq!(close.reply_code, 200);
    // The number is taken until the answer is there.
    let other = open(&connection, &mut peer).await;
    assert_ne!(other.id(), id);
    peer.send(id, channel::CloseOk::default()).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let again = open(&connection, &mut peer).await;
    assert_eq!(again.id(), id);
    drop((other, again));
    peer.expect::<channel::Close>().await;
    peer.expect::<channel::Close>().await;
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn closes_that_cross_leave_the_number_usable() {
    let (connection, channel, mut peer) = channel().await;
    let id = channel.id();
    let close = channel.close();
    let script = async {
        peer.expect_on::<channel::Close>(id).await;
        // The peer closed at the same moment, and answers ours as well.
        peer.send(id, channel::Close { reply_code: 404, ..Default::default() }).await;
        peer.send(id, channel::CloseOk::default()).await;
        peer.expect_on::<channel::CloseOk>(id).await;
    };
    let (closed, ()) = tokio::join!(close, script);
    closed.expect("closed");
    let again = open(&connection, &mut peer).await;
    assert_eq!(again.id(), id);
    assert!(connection.close_reason().is_none());
    drop((again, channel));
    peer.expect::<channel::Close>().await;
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_soft_error_closes_only_its_channel_and_names_the_call() {
    let (connection, channel, mut peer) = channel().await;
    let other = open(&connection, &mut peer).await;
    let (id, other_id) = (channel.id(), other.id());
    let line = line!() + 1;
    let declare = channel.queue_declare(QueueDeclare::new("missing").passive(true));
    let script = async {
        peer.expect_on::<queue::Declare>(id).await;
        let close = channel::Close {
            reply_code: 404,
            reply_text: "NOT_FOUND - no queue".try_into().expect("short"),
            class_id: <queue::Declare as amqp_types::Method>::CLASS_ID,
            method_id: <queue::Declare as amqp_types::Method>::METHOD_ID,
        };
        peer.send(id, close).await;
        peer.expect_on::<channel::CloseOk>(id).await;
        peer.expect_on::<queue::Declare>(other_id).await;
        peer.send(other_id, queue::DeclareOk::default()).await;
    };
    let client = async {
        let error = declare.await.expect_err("no queue");
        assert_eq!(error.kind(), ErrorKind::ChannelClosed);
        let reason = error.close_reason().expect("a reason");
        assert_eq!(reason.code().map(|code| code.0), Some(404));
        assert_eq!(reason.method(), Some("queue.declare"));
        assert_eq!(reason.place().map(|place| place.line()), Some(line));
        assert_eq!(reason.initiator(), Initiator::Peer);
        other.queue_declare(QueueDeclare::new("there")).await.expect("the other channel lives");
    };
    tokio::join!(client, script);
    drop((channel, other));
    peer.expect::<channel::Close>().await;
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_ends_the_channel_is_blamed_on_the_line_that_made_it() {
    let (connection, channel, mut peer) = channel().await;
    let id = channel.id();
    let consume = channel.basic_consume(BasicConsume::new("q", Prefetch::Count(1)).tag("c"));
    let consumer_tag: amqp_connector::ShortStr = "c".try_into().expect("short");
    let script = async {
        peer.expect_on::<basic::Qos>(id).await;
        peer.send(id, basic::QosOk::default()).await;
        peer.expect_on::<basic::Consume>(id).await;
        peer.send(id, basic::ConsumeOk { consumer_tag }).await;
    };
    let mut consumer = tokio::join!(consume, script).0.expect("started");
    let line = line!() + 1;
    let cancel = consumer.cancel();
    let script = async {
        peer.expect_on::<basic::Cancel>(id).await;
        let close = channel::Close {
            reply_code: 406,
            class_id: <basic::Cancel as amqp_types::Method>::CLASS_ID,
            method_id: <basic::Cancel as amqp_types::Method>::METHOD_ID,
            ..Default::default()
        };
        peer.send(id, close).await;
        peer.expect_on::<channel::CloseOk>(id).await;
    };
    let error = tokio::join!(cancel, script).0.expect_err("closed");
    let place = error.close_reason().and_then(|reason| reason.place()).expect("known");
    assert!(place.file().ends_with("closing.rs"), "{place}");
    assert_eq!(place.line(), line);
    drop((channel, consumer));
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn every_waiter_gets_the_reason_of_the_connections_end() {
    let (connection, channel, mut peer) = channel().await;
    let (declare, get) =
        (channel.queue_declare(QueueDeclare::new("q")), channel.basic_get(BasicGet::new("q")));
    let consume = channel.basic_consume(BasicConsume::new("q", Prefetch::Unlimited));
    let script = async {
        peer.expect::<queue::Declare>().await;
        peer.close_connection(541, "INTERNAL_ERROR - boom").await;
    };
    let all = async {
        tokio::join!(
            declare,
            get,
            consume,
            channel.returned(),
            channel.closed(),
            connection.closed()
        )
    };
    let ((declare, get, consume, returned, closed, reason), ()) =
        resolves("all", async { tokio::join!(all, script) }).await;
    assert_eq!(reason.code().map(|code| code.0), Some(541));
    let errors = [
        declare.expect_err("closed"),
        get.map(drop).expect_err("closed"),
        consume.map(drop).expect_err("closed"),
        returned.map(drop).expect_err("closed"),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
        assert_eq!(
            error.close_reason().and_then(|reason| reason.code()).map(|code| code.0),
            Some(541)
        );
    }
    assert_eq!(closed.code().map(|code| code.0), Some(541));
    drop(channel);
    assert_eq!(leftovers(&connection), Leftovers::default());
}

#[test]
fn handles_outlive_their_runtime_without_a_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("one");
    let (connection, channel, peer) = runtime.block_on(channel());
    let confirmation =
        runtime.block_on(channel.basic_publish(BasicPublish::new("", "q", "x"))).expect("accepted");
    drop(runtime);
    // The driver is gone with its runtime; everything else gets that as the reason.
    let reason = connection.close_reason().expect("over");
    assert!(reason.text().contains("driver"), "{reason}");
    let error = channel.try_basic_publish(BasicPublish::new("", "q", "x")).expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("one");
    other.block_on(async {
        resolves("closed", connection.closed()).await;
        resolves("close", connection.close()).await;
        resolves("flush", channel.flush()).await.map_or_else(drop, drop);
        assert!(resolves("close", channel.close()).await.is_ok());
        assert!(resolves("open", connection.channel_open()).await.is_err());
    });
    drop((confirmation, channel));
    assert_eq!(leftovers(&connection), Leftovers::default());
    drop((connection, peer));
}

#[test]
fn handles_dropped_outside_a_runtime_close_the_connection_all_the_same() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("one");
    let (connection, channel, mut peer) = runtime.block_on(channel());
    drop(channel);
    drop(connection);
    runtime.block_on(async {
        peer.expect::<channel::Close>().await;
        peer.expect_close().await;
    });
}

/// One of every handle that there is, with something of it open at the peer.
async fn every_handle() -> (Peer, Vec<Box<dyn std::any::Any + Send>>) {
    let (connection, channel, mut peer) = channel().await;
    let id = channel.id();
    let tag = || "tag".try_into().expect("short");
    let consume = channel.basic_consume(BasicConsume::new("q", Prefetch::Count(9)).tag("tag"));
    let script = async {
        peer.expect_on::<basic::Qos>(id).await;
        peer.send(id, basic::QosOk::default()).await;
        peer.expect_on::<basic::Consume>(id).await;
        peer.send(id, basic::ConsumeOk { consumer_tag: tag() }).await;
        for delivery_tag in 1..=3 {
            let deliver =
                basic::Deliver { consumer_tag: tag(), delivery_tag, ..Default::default() };
            peer.send_content(id, deliver, basic::Properties::default(), "x").await;
        }
    };
    let mut consumer = tokio::join!(consume, script).0.expect("a consumer");
    let delivery = consumer.recv().await.expect("a delivery");
    let acker = consumer.recv().await.expect("a delivery").into_parts().2;
    let publish = channel.basic_publish(BasicPublish::new("", "q", "x"));
    let confirmation = publish.await.expect("accepted");
    peer.expect_content::<basic::Publish>(id).await;
    // Futures that are under way.
    let mut call = Box::pin(channel.queue_declare(QueueDeclare::new("q")));
    let mut opening = Box::pin(connection.channel_open());
    let mut closed = Box::pin({
        let channel = channel.clone();
        async move { channel.closed().await }
    });
    std::future::poll_fn(|cx| {
        assert!(call.as_mut().poll(cx).is_pending() && opening.as_mut().poll(cx).is_pending());
        assert!(closed.as_mut().poll(cx).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    let handles: Vec<Box<dyn std::any::Any + Send>> = vec![
        Box::new(call),
        Box::new(opening),
        Box::new(closed),
        Box::new(connection.events()),
        Box::new(connection.blocked()),
        Box::new(channel.returns()),
        Box::new(delivery),
        Box::new(acker),
        Box::new(confirmation),
        Box::new(consumer),
        Box::new(channel),
        Box::new(connection),
    ];
    (peer, handles)
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().expect("one")
}

/// Waits for the end that dropping the last handle brings about.
fn ends_in_the_background(runtime: &tokio::runtime::Runtime, mut peer: Peer) {
    use amqp_connector::testing::Event;
    runtime.block_on(async {
        loop {
            match peer.next().await.expect("frames") {
                Event::Method { channel: 0, method } => {
                    let close = connection::Close::from_any(method).expect("a close");
                    assert_eq!(close.reply_code, 200);
                    return;
                }
                Event::End => panic!("no close came"),
                _ => {}
            }
        }
    });
}

#[test]
fn every_handle_may_be_dropped_on_a_thread_without_a_runtime() {
    let runtime = runtime();
    let (peer, handles) = runtime.block_on(every_handle());
    std::thread::spawn(move || drop(handles)).join().expect("no panic");
    ends_in_the_background(&runtime, peer);
}

#[test]
fn every_handle_may_be_dropped_after_its_runtime() {
    let runtime = runtime();
    let (peer, handles) = runtime.block_on(every_handle());
    drop(runtime);
    drop(handles);
    drop(peer);
}

#[test]
fn every_handle_may_be_dropped_while_a_panic_unwinds() {
    let runtime = runtime();
    let (peer, handles) = runtime.block_on(every_handle());
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _handles = handles;
        std::panic::resume_unwind(Box::new("on purpose"));
    }));
    assert_eq!(unwound.expect_err("unwound").downcast_ref(), Some(&"on purpose"));
    ends_in_the_background(&runtime, peer);
}

#[test]
fn every_handle_may_be_dropped_within_another_runtime() {
    let own = runtime();
    let (peer, handles) = own.block_on(every_handle());
    runtime().block_on(async move { drop(handles) });
    ends_in_the_background(&own, peer);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_driver_ends_everything_that_waits() {
    let (io, mut peer) = Peer::new();
    let connect = async {
        let greeted = Connector::new().connect_with(io).await.expect("greeted");
        greeted.authenticate_with_driver("guest", "guest").await.expect("connected")
    };
    let ((connection, driver), _) = tokio::join!(connect, peer.handshake());
    let opening = connection.channel_open();
    let give_up = async { drop(driver) };
    let (opened, ()) = resolves("opening", async { tokio::join!(opening, give_up) }).await;
    assert_eq!(opened.expect_err("no driver").kind(), ErrorKind::ConnectionClosed);
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_fails_to_write_ends_the_driver_with_its_error() {
    use amqp_connector::testing::{Ending, Faults, Faulty};
    let (io, mut peer) = Peer::new();
    let outbound = Faults { octets: 700, ending: Ending::HalfOpen, ..Faults::NONE };
    let io = Faulty::new(io, 1, Faults::NONE, outbound);
    let connect = async {
        let greeted = Connector::new().connect_with(io).await.expect("greeted");
        greeted.authenticate_with_driver("guest", "guest").await.expect("connected")
    };
    let ((connection, driver), _) = tokio::join!(connect, peer.handshake());
    let driver = tokio::spawn(driver);
    let channel = open(&connection, &mut peer).await;
    drop(channel.basic_publish(BasicPublish::new("", "q", vec![0; 1000])).await);
    let reason = resolves("closed", connection.closed()).await;
    let kind = reason.io_error().map(std::io::Error::kind);
    assert_eq!(kind, Some(std::io::ErrorKind::BrokenPipe), "{reason}");
    resolves("the driver", driver).await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn abort_says_nothing_to_the_peer() {
    let (connection, mut peer) = connection().await;
    connection.abort();
    let reason = resolves("closed", connection.closed()).await;
    assert_eq!(reason.initiator(), Initiator::Application);
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn waiting_again_and_again_holds_no_memory() {
    let (connection, channel, mut peer) = channel().await;
    for _ in 0..1000 {
        let wait = async {
            tokio::select! {
                _ = connection.closed() => {}
                _ = channel.closed() => {}
                _ = channel.returned() => {}
                () = tokio::task::yield_now() => {}
            }
        };
        wait.await;
    }
    assert_eq!(leftovers(&connection).waiting, 0);
    drop(channel);
    peer.expect::<channel::Close>().await;
    close_clean(connection, &mut peer).await;
}
