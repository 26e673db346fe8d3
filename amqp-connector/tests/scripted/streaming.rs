//! Bodies that are published from streams and readers: what goes on the wire, beside others and in bad endings.

use std::convert::Infallible;
use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use amqp_connector::protocol::{basic, channel, connection, tx};
use amqp_connector::testing::Peer;
use amqp_connector::{
    BasicPublish, BasicPublishStream, Bytes, CloseCause, Connection, Error, ErrorKind, Options,
    Outcome, StreamFault,
};
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;

use crate::support::{channel, close_clean, connection, connection_with, open, resolves};

/// A stream of pieces that the test sends by hand; it ends when the sender is dropped.
pub(crate) struct ByHand(mpsc::UnboundedReceiver<Result<Bytes, io::Error>>);

pub(crate) type Hand = mpsc::UnboundedSender<Result<Bytes, io::Error>>;

pub(crate) fn by_hand() -> (Hand, ByHand) {
    let (hand, pieces) = mpsc::unbounded_channel();
    (hand, ByHand(pieces))
}

impl futures_core::Stream for ByHand {
    type Item = Result<Bytes, io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

/// Pieces that are all there.
fn given<const N: usize>(pieces: [&'static str; N]) -> ByHand {
    let (hand, stream) = by_hand();
    for piece in pieces {
        hand.send(Ok(piece.into())).expect("kept");
    }
    stream
}

pub(crate) fn to_queue(length: u64) -> BasicPublishStream {
    BasicPublishStream::new("", "jobs", length)
}

/// Answers what a streamed publish does before its content.
pub(crate) async fn begin(peer: &mut Peer) -> u16 {
    let id = peer.open_channel().await;
    peer.expect_on::<tx::Select>(id).await;
    peer.send(id, tx::SelectOk::default()).await;
    id
}

pub(crate) async fn commit(peer: &mut Peer, id: u16) {
    peer.expect_on::<tx::Commit>(id).await;
    peer.send(id, tx::CommitOk::default()).await;
    let _ = peer.expect_on::<channel::Close>(id).await;
    peer.send(id, channel::CloseOk::default()).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_published_in_a_transaction_of_its_own() {
    let (connection, mut peer) = connection().await;
    let properties = basic::Properties { priority: Some(3), ..Default::default() };
    let publish = to_queue(10).properties(properties.clone());
    let publishing = connection.publish_stream(publish, given(["", "hello", "", "world"]));
    let script = async {
        let id = begin(&mut peer).await;
        let (method, came, body) = peer.expect_content::<basic::Publish>(id).await;
        assert_eq!((method.routing_key.as_str(), came), (Ok("jobs"), properties));
        assert_eq!(body.to_bytes(), "helloworld");
        commit(&mut peer, id).await;
    };
    let (outcome, ()) = tokio::join!(resolves("the publish", publishing), script);
    assert!(outcome.expect("published").is_acked());
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn it_resolves_only_when_it_is_committed() {
    let (connection, mut peer) = connection().await;
    let publishing = tokio::spawn(connection.publish_stream(to_queue(2), given(["ab"])));
    let id = begin(&mut peer).await;
    peer.expect_content::<basic::Publish>(id).await;
    peer.expect_on::<tx::Commit>(id).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!publishing.is_finished());
    peer.close_channel(id, 404, "NOT_FOUND - no exchange").await;
    let error = publishing.await.expect("joined").expect_err("not committed");
    assert_eq!(error.close_reason().and_then(|reason| reason.code()).map(|it| it.0), Some(404));
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_ends_the_channel_is_blamed_on_the_publish() {
    let (connection, mut peer) = connection().await;
    let line = line!() + 1;
    let publishing = connection.publish_stream(to_queue(2), given(["ab"]));
    let script = async {
        let id = begin(&mut peer).await;
        peer.expect_content::<basic::Publish>(id).await;
        peer.expect_on::<tx::Commit>(id).await;
        let close = channel::Close {
            reply_code: 406,
            reply_text: "PRECONDITION_FAILED".try_into().expect("short"),
            class_id: <tx::Commit as amqp_types::Method>::CLASS_ID,
            method_id: <tx::Commit as amqp_types::Method>::METHOD_ID,
        };
        peer.send(id, close).await;
        peer.expect_on::<channel::CloseOk>(id).await;
    };
    let (error, ()) = tokio::join!(publishing, script);
    let error = error.expect_err("not committed");
    let place = error.close_reason().and_then(|reason| reason.place()).expect("known");
    assert!(place.file().ends_with("streaming.rs"), "{place}");
    assert_eq!(place.line(), line);
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_mandatory_stream_that_comes_back_is_told() {
    let (connection, mut peer) = connection().await;
    let publishing = connection.publish_stream(to_queue(2).mandatory(true), given(["ab"]));
    let script = async {
        let id = begin(&mut peer).await;
        let (method, properties, body) = peer.expect_content::<basic::Publish>(id).await;
        assert!(method.mandatory);
        let returned = basic::Return {
            reply_code: 312,
            routing_key: method.routing_key,
            ..Default::default()
        };
        peer.send_content(id, returned, properties, body.to_bytes()).await;
        commit(&mut peer, id).await;
    };
    let (outcome, ()) = tokio::join!(resolves("the publish", publishing), script);
    let Ok(Outcome::Returned(returned)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(returned.reply_code.0, 312);
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_fills_frames_and_is_read_to_its_end() {
    let (io, peer) = Peer::new();
    let (connection, mut peer) =
        connection_with(Options::default(), (io, peer.tune(9, 4096, 0))).await;
    for size in [0_usize, 1, 4088, 4089, 50_000] {
        let body: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        let reader = io::Cursor::new(body.clone());
        let publishing = connection.publish_reader(to_queue(size as u64), reader);
        let script = async {
            let id = begin(&mut peer).await;
            let (_, _, came) = peer.expect_content::<basic::Publish>(id).await;
            assert_eq!(came.to_bytes(), body);
            commit(&mut peer, id).await;
        };
        let (outcome, ()) = tokio::join!(resolves("the publish", publishing), script);
        assert!(outcome.expect("published").is_acked());
    }
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn frames_go_out_while_the_source_still_waits_and_other_channels_take_their_turns() {
    let (connection, mut peer) = connection().await;
    let other = open(&connection, &mut peer).await;
    let (hand, pieces) = by_hand();
    let publishing = tokio::spawn(connection.publish_stream(to_queue(6), pieces));
    let id = begin(&mut peer).await;
    for piece in ["ab", "cd"] {
        hand.send(Ok(piece.into())).expect("kept");
        drop(other.basic_publish(BasicPublish::new("", "jobs", "between")).await.expect("sent"));
        peer.expect_content::<basic::Publish>(other.id()).await;
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    hand.send(Ok("ef".into())).expect("kept");
    drop(hand);
    let (_, _, body) = peer.expect_content::<basic::Publish>(id).await;
    assert_eq!(body.to_bytes(), "abcdef");
    commit(&mut peer, id).await;
    assert!(publishing.await.expect("joined").expect("published").is_acked());
    close_clean(connection, &mut peer).await;
}

/// Publishes with this source, which is bad after it gave `ab` of 10 octets, and checks that the message is
/// completed with zeros and its channel closed without a commit.
async fn breaks(
    connection: &Connection,
    peer: &mut Peer,
    publish: BasicPublishStream,
    source: ByHand,
) -> Error {
    let publishing = connection.publish_stream(publish, source);
    let script = async {
        let id = begin(peer).await;
        let (_, _, body) = peer.expect_content::<basic::Publish>(id).await;
        assert_eq!(body.to_bytes(), "ab\0\0\0\0\0\0\0\0");
        let close = peer.expect_on::<channel::Close>(id).await;
        assert!(close.reply_text.to_string_lossy().contains("streamed body"), "{close:?}");
        peer.send(id, channel::CloseOk::default()).await;
    };
    let (outcome, ()) = tokio::join!(resolves("the publish", publishing), script);
    assert!(connection.close_reason().is_none(), "the connection lives on");
    let error = outcome.expect_err("it broke");
    assert_eq!(error.kind(), ErrorKind::StreamBroken);
    let broken = error.broken_stream().expect("it tells how");
    assert_eq!((broken.expected(), broken.routing_key().as_str()), (10, Ok("jobs")));
    assert!(broken.place().file().ends_with("streaming.rs"));
    error
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_the_source_of_the_error() {
    let (connection, mut peer) = connection().await;
    let (hand, pieces) = by_hand();
    hand.send(Ok("ab".into())).expect("kept");
    hand.send(Err(io::Error::other("the disk is on fire"))).expect("kept");
    let error = breaks(&connection, &mut peer, to_queue(10), pieces).await;
    let broken = error.broken_stream().expect("it tells how");
    assert_eq!((broken.fault(), broken.given()), (StreamFault::Failed, 2));
    assert_eq!(error.source().expect("the user's").to_string(), "the disk is on fire");
    assert!(error.to_string().contains("2 of 10 octets: the disk is on fire"), "{error}");
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_stalls_is_given_up_at_its_deadline() {
    let (connection, mut peer) = connection().await;
    let (hand, pieces) = by_hand();
    hand.send(Ok("ab".into())).expect("kept");
    let timeout = Duration::from_secs(7);
    let start = tokio::time::Instant::now();
    let publish = to_queue(10).source_timeout(timeout);
    let error = breaks(&connection, &mut peer, publish, pieces).await;
    let fault = error.broken_stream().expect("it tells how").fault();
    assert!(matches!(fault, StreamFault::Stalled { timeout: t, .. } if t == timeout), "{fault:?}");
    let waited = start.elapsed();
    assert!(waited >= timeout && waited < timeout * 2, "{waited:?}");
    drop(hand);
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_source_is_no_stalled_one() {
    let (connection, mut peer) = connection().await;
    let (hand, pieces) = by_hand();
    let publish = to_queue(5).source_timeout(Duration::from_secs(7));
    let publishing = tokio::spawn(connection.publish_stream(publish, pieces));
    let id = begin(&mut peer).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(6)).await;
        hand.send(Ok("x".into())).expect("kept");
    }
    drop(hand);
    peer.expect_content::<basic::Publish>(id).await;
    commit(&mut peer, id).await;
    assert!(publishing.await.expect("joined").expect("published").is_acked());
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_ends_too_early_or_goes_on_too_long_breaks() {
    let (connection, mut peer) = connection().await;
    let error = breaks(&connection, &mut peer, to_queue(10), given(["ab"])).await;
    let broken = error.broken_stream().expect("it tells how");
    assert_eq!((broken.fault(), broken.given()), (StreamFault::Short, 2));
    for rest in [["cdefghij", "k"], ["cdefghijk", ""]] {
        let source = given(["ab", rest[0], rest[1]]);
        let error = breaks(&connection, &mut peer, to_queue(10), source).await;
        let broken = error.broken_stream().expect("it tells how");
        assert_eq!((broken.fault(), broken.given()), (StreamFault::Long, 11));
    }
    // An empty body is none if there is something.
    let publishing = connection.publish_stream(to_queue(0), given(["x"]));
    let script = async {
        let id = begin(&mut peer).await;
        let _ = peer.expect_on::<channel::Close>(id).await;
        peer.send(id, channel::CloseOk::default()).await;
    };
    let (outcome, ()) = tokio::join!(resolves("the publish", publishing), script);
    let fault = outcome.expect_err("too long").broken_stream().expect("it tells how").fault();
    assert_eq!(fault, StreamFault::Long);
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_is_dropped_is_completed_by_the_driver_alone() {
    let (connection, mut peer) = connection().await;
    let (hand, pieces) = by_hand();
    hand.send(Ok("ab".into())).expect("kept");
    let publishing = connection.publish_stream(to_queue(1 << 20), pieces);
    let mut publishing = Box::pin(publishing);
    let id = tokio::select! {
        _ = &mut publishing => panic!("resolved"),
        id = async {
            let id = begin(&mut peer).await;
            peer.expect_nothing(Duration::from_secs(1)).await;
            id
        } => id,
    };
    // A thread without a runtime.
    std::thread::spawn(move || drop(publishing)).join().expect("no panic");
    let (_, _, body) = peer.expect_content::<basic::Publish>(id).await;
    assert_eq!(body.len(), 1 << 20, "exactly as long as promised");
    let octets = body.to_bytes();
    assert!(octets.starts_with(b"ab\0") && octets[2..].iter().all(|octet| *octet == 0));
    let _ = peer.expect_on::<channel::Close>(id).await;
    peer.send(id, channel::CloseOk::default()).await;
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn beyond_its_padding_limit_a_broken_stream_closes_the_connection_for_everybody() {
    let (connection, mut peer) = connection().await;
    let other = open(&connection, &mut peer).await;
    let publish = to_queue(1 << 40).padding_max(1000);
    let publishing = connection.publish_stream(publish, given(["ab"]));
    let script = async {
        begin(&mut peer).await;
        peer.expect_close().await;
    };
    let (outcome, ()) = tokio::join!(resolves("the publish", publishing), script);
    assert_eq!(outcome.expect_err("it broke").kind(), ErrorKind::StreamBroken);
    let reason = other.closed().await;
    assert_eq!(reason.cause(), CloseCause::StreamBroken);
    assert!(reason.text().contains("2 of 1099511627776 octets"), "{reason}");
    assert!(reason.place().expect("known").file().ends_with("streaming.rs"));
}

#[tokio::test(start_paused = true)]
async fn on_a_channel_of_ones_own_the_connection_is_closed_at_once() {
    for dropped in [false, true] {
        let (connection, channel, mut peer) = channel().await;
        let (hand, pieces) = by_hand();
        hand.send(Ok("ab".into())).expect("kept");
        let publishing = tokio::spawn(channel.basic_publish_stream(to_queue(10), pieces));
        peer.expect_nothing(Duration::from_secs(1)).await;
        let refused = channel.basic_publish(BasicPublish::new("", "jobs", "x")).await;
        assert_eq!(refused.expect_err("busy").kind(), ErrorKind::Busy);
        match dropped {
            true => publishing.abort(),
            false => drop(hand),
        }
        let (_, close) = peer.expect::<connection::Close>().await;
        assert!(close.reply_text.to_string_lossy().contains("2 of 10 octets"), "{close:?}");
        peer.send(0, connection::CloseOk::default()).await;
        assert_eq!(connection.closed().await.cause(), CloseCause::StreamBroken);
        match publishing.await {
            Ok(outcome) => {
                let error = outcome.expect_err("it broke");
                assert_eq!(error.broken_stream().expect("told").fault(), StreamFault::Short);
            }
            Err(aborted) => assert!(dropped && aborted.is_cancelled()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_on_a_channel_of_ones_own_is_accepted() {
    let (connection, channel, mut peer) = channel().await;
    let reader = (&b"abcdef"[..]).take(4);
    let confirmation = channel.basic_publish_reader(to_queue(4), reader).await.expect("given");
    assert!(matches!(confirmation.await, Outcome::Accepted));
    let (_, _, body) = peer.expect_content::<basic::Publish>(channel.id()).await;
    assert_eq!(body.to_bytes(), "abcd");
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_close_while_a_stream_runs_is_bounded_and_shows_nothing() {
    let (connection, mut peer) = connection().await;
    let (hand, pieces) = by_hand();
    hand.send(Ok("ab".into())).expect("kept");
    let publishing = tokio::spawn(connection.publish_stream(to_queue(10), pieces));
    begin(&mut peer).await;
    peer.expect_nothing(Duration::from_secs(1)).await;
    // The peer sees the close and no end of the body.
    tokio::join!(connection.close(), peer.expect_close());
    let error = publishing.await.expect("joined").expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
    drop(hand);
}

/// Gives pieces for ever, and counts them.
struct Endless(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl futures_core::Stream for Endless {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Poll::Ready(Some(Ok(Bytes::from_static(&[0; 4096]))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_holds_the_source_back() {
    let (connection, mut peer) = connection().await;
    let count = std::sync::Arc::<std::sync::atomic::AtomicUsize>::default();
    let publish = to_queue(1 << 40).source_timeout(Duration::from_secs(5));
    let publishing = tokio::spawn(connection.publish_stream(publish, Endless(count.clone())));
    begin(&mut peer).await;
    // Heartbeats cannot get through either: the peer's pipe is full.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let pieces = count.load(std::sync::atomic::Ordering::Relaxed);
    assert!(pieces * 4096 < 3 << 20, "{pieces} pieces were taken");
    assert!(!publishing.is_finished(), "it is not the source that stalls");
    connection.abort();
    let error = publishing.await.expect("joined").expect_err("aborted");
    assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
}
