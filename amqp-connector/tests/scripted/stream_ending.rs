//! How streamed publishes end that nobody can bring to a good end at once: sources of nothing, blocks, a channel whose
//! close is not answered.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::protocol::{basic, channel, tx};
use amqp_connector::testing::leftovers;
use amqp_connector::{BasicPublishStream, Bytes, ErrorKind, FieldValue, StreamFault};
use futures_core::Stream;

use crate::streaming::{begin, by_hand, to_queue};
use crate::support::{channel, close_clean, connection, resolves};

/// Gives pieces without an octet for ever.
struct Nothing;

impl Stream for Nothing {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(Ok(Bytes::new())))
    }
}

/// Time goes on for tasks that are never idle.
async fn pass(seconds: u64) {
    for _ in 0..seconds {
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_always_has_a_piece_without_octets_stalls_and_leaves_others_their_turns() {
    for unconstrained in [false, true] {
        let (connection, mut peer) = connection().await;
        let timeout = Duration::from_secs(7);
        let publish = to_queue(10).source_timeout(timeout);
        let publishing = connection.publish_stream(publish, Nothing);
        let publishing = match unconstrained {
            // As in an executor that knows of no budget.
            true => tokio::spawn(tokio::task::unconstrained(publishing)),
            false => tokio::spawn(publishing),
        };
        let id = begin(&mut peer).await;
        pass(6).await;
        assert!(!publishing.is_finished(), "its time is not up");
        pass(3).await;
        assert!(publishing.is_finished(), "it goes on for ever");
        let error = publishing.await.expect("no panic").expect_err("nothing came");
        let fault = error.broken_stream().expect("it tells how").fault();
        assert!(matches!(fault, StreamFault::Stalled { timeout: t, .. } if t == timeout));
        // Nothing of it was sent.
        let _ = peer.expect_on::<channel::Close>(id).await;
        peer.send(id, channel::CloseOk::default()).await;
        close_clean(connection, &mut peer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn pieces_without_octets_give_a_source_no_more_time() {
    let (connection, mut peer) = connection().await;
    let (hand, pieces) = by_hand();
    hand.send(Ok("ab".into())).expect("kept");
    let publish = to_queue(10).source_timeout(Duration::from_secs(7));
    let publishing = tokio::spawn(connection.publish_stream(publish, pieces));
    let id = begin(&mut peer).await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        hand.send(Ok(Bytes::new())).expect("kept");
    }
    assert!(!publishing.is_finished(), "its time is not up");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(publishing.is_finished(), "its time is up");
    let error = publishing.await.expect("no panic").expect_err("it stalled");
    let fault = error.broken_stream().expect("it tells how").fault();
    assert!(matches!(fault, StreamFault::Stalled { .. }), "{fault:?}");
    peer.expect_content::<basic::Publish>(id).await;
    let _ = peer.expect_on::<channel::Close>(id).await;
    peer.send(id, channel::CloseOk::default()).await;
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_committed_stream_is_told_before_the_close_of_its_channel_is_answered() {
    let (connection, mut peer) = connection().await;
    let (hand, pieces) = by_hand();
    hand.send(Ok("ab".into())).expect("kept");
    drop(hand);
    let publishing = tokio::spawn(connection.publish_stream(to_queue(2), pieces));
    let id = begin(&mut peer).await;
    peer.expect_content::<basic::Publish>(id).await;
    peer.expect_on::<tx::Commit>(id).await;
    let committed = tokio::time::Instant::now();
    peer.send(id, tx::CommitOk::default()).await;
    assert!(publishing.await.expect("no panic").expect("published").is_acked());
    assert_eq!(committed.elapsed(), Duration::ZERO, "it waited for something else");
    // The channel is closed all the same, and its number is kept till that is answered.
    let close = peer.expect_on::<channel::Close>(id).await;
    assert_eq!(close.reply_code, 200);
    assert_eq!(leftovers(&connection).channels, 1);
    peer.send(id, channel::CloseOk::default()).await;
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_committed_stream_whose_channel_is_never_closed_does_not_delay_the_connections_close() {
    let (connection, mut peer) = connection().await;
    let (hand, pieces) = by_hand();
    drop(hand);
    let publishing = tokio::spawn(connection.publish_stream(to_queue(0), pieces));
    let id = begin(&mut peer).await;
    peer.expect_content::<basic::Publish>(id).await;
    peer.expect_on::<tx::Commit>(id).await;
    peer.send(id, tx::CommitOk::default()).await;
    assert!(publishing.await.expect("no panic").expect("published").is_acked());
    let _ = peer.expect_on::<channel::Close>(id).await;
    let begun = tokio::time::Instant::now();
    close_clean(connection, &mut peer).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_waits_for_its_source_learns_of_an_end_at_once() {
    for of_all in [false, true] {
        for sent in [false, true] {
            let (connection, mut peer) = connection().await;
            let (hand, pieces) = by_hand();
            let publishing = tokio::spawn(connection.publish_stream(to_queue(10), pieces));
            let id = begin(&mut peer).await;
            if sent {
                hand.send(Ok("ab".into())).expect("kept");
            }
            peer.expect_nothing(Duration::from_secs(1)).await;
            let begun = tokio::time::Instant::now();
            match of_all {
                true => peer.cut(),
                false => {
                    peer.send(id, channel::Close { reply_code: 404, ..Default::default() }).await;
                }
            }
            let error = resolves("it", publishing).await.expect("no panic").expect_err("ended");
            assert!(error.close_reason().is_some(), "{error}");
            assert_eq!(begun.elapsed(), Duration::ZERO, "it waited for something else");
            drop(hand);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_cannot_be_sent_is_told_before_anything_is_and_no_source_is_asked() {
    let (connection, channel, mut peer) = channel().await;
    let large = FieldValue::LongString(vec![b'x'; 200_000].into());
    for publish in [
        BasicPublishStream::new("", "k".repeat(256), 2),
        to_queue(2).message_id("m".repeat(256)),
        to_queue(2).header("larger than a frame", large),
    ] {
        let (_hand, pieces) = by_hand();
        let own = connection.publish_stream(publish.clone(), pieces);
        let error = resolves("it", own).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        let (_hand, pieces) = by_hand();
        let shared = channel.basic_publish_stream(publish, pieces);
        let error = resolves("it", shared).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    peer.expect_nothing(Duration::from_secs(1)).await;
    close_clean(connection, &mut peer).await;
}

if_spec! { connection.blocked => {
    use amqp_connector::protocol::connection as wire;
    use amqp_connector::testing::Peer;
    use amqp_connector::{BasicPublish, Connection, Options, WhileBlocked};

    use crate::streaming::commit;
    use crate::support::{connection_with, open};

    async fn impatient() -> (Connection, Peer) {
        let mut options = Options::default();
        options.publish_while_blocked = WhileBlocked::Fail;
        let (io, peer) = Peer::new();
        connection_with(options, (io, peer.tune(9, 4096, 0))).await
    }

    async fn block(connection: &Connection, peer: &mut Peer) {
        let mut blocked = connection.blocked();
        peer.send(0, wire::Blocked { reason: "memory".try_into().expect("short") }).await;
        resolves("the block", blocked.changed()).await.expect("open");
    }

    async fn unblock(connection: &Connection, peer: &mut Peer) {
        let mut blocked = connection.blocked();
        peer.send(0, wire::Unblocked::default()).await;
        resolves("the unblock", blocked.changed()).await.expect("open");
    }

    #[tokio::test(start_paused = true)]
    async fn by_policy_no_streamed_publish_begins_while_the_broker_blocks() {
        let (connection, mut peer) = impatient().await;
        let channel = open(&connection, &mut peer).await;
        block(&connection, &mut peer).await;
        let (_hand, pieces) = by_hand();
        let (_other, more) = by_hand();
        let (own, shared) = (to_queue(2), to_queue(2));
        let streamed = resolves("the stream", connection.publish_stream(own, pieces)).await;
        let read = resolves("the reader", connection.publish_reader(to_queue(2), &b"ab"[..])).await;
        let on_channel = channel.basic_publish_stream(shared, more);
        let on_channel = resolves("the channel's", on_channel).await.map(drop);
        for refused in [streamed.map(drop), read.map(drop), on_channel] {
            assert_eq!(refused.expect_err("blocked").kind(), ErrorKind::Blocked);
        }
        peer.expect_nothing(Duration::from_secs(1)).await;
        unblock(&connection, &mut peer).await;
        drop(channel.basic_publish(BasicPublish::new("", "q", "x")).await.expect("it is free"));
        peer.expect_content::<basic::Publish>(channel.id()).await;
        close_clean(connection, &mut peer).await;
    }

    #[tokio::test(start_paused = true)]
    async fn by_policy_a_streamed_publish_in_its_own_transaction_is_given_up_for_a_block() {
        let (connection, mut peer) = impatient().await;
        for sent in [false, true] {
            let (hand, pieces) = by_hand();
            let publishing = tokio::spawn(connection.publish_stream(to_queue(10), pieces));
            let id = begin(&mut peer).await;
            if sent {
                hand.send(Ok("ab".into())).expect("kept");
            }
            peer.expect_nothing(Duration::from_secs(1)).await;
            block(&connection, &mut peer).await;
            let begun = tokio::time::Instant::now();
            let error = resolves("it", publishing).await.expect("no panic").expect_err("blocked");
            assert_eq!(begun.elapsed(), Duration::ZERO, "it waited for something else");
            assert_eq!(error.kind(), ErrorKind::Blocked);
            // As every broken one: completed, and not committed.
            if sent {
                let (_, _, body) = peer.expect_content::<basic::Publish>(id).await;
                assert_eq!(body.to_bytes(), "ab\0\0\0\0\0\0\0\0");
            }
            let _ = peer.expect_on::<channel::Close>(id).await;
            unblock(&connection, &mut peer).await;
            peer.send(id, channel::CloseOk::default()).await;
        }
        close_clean(connection, &mut peer).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_streamed_publish_that_cannot_be_taken_back_cheaply_waits_for_the_end_of_the_block() {
        let (connection, mut peer) = impatient().await;
        // More is missing than may be made up: giving it up would cost the connection.
        let (hand, pieces) = by_hand();
        hand.send(Ok("ab".into())).expect("kept");
        let publish = to_queue(4).padding_max(1);
        let publishing = tokio::spawn(connection.publish_stream(publish, pieces));
        let id = begin(&mut peer).await;
        peer.expect_nothing(Duration::from_secs(1)).await;
        block(&connection, &mut peer).await;
        hand.send(Ok("cd".into())).expect("kept");
        drop(hand);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(!publishing.is_finished());
        unblock(&connection, &mut peer).await;
        peer.expect_content::<basic::Publish>(id).await;
        commit(&mut peer, id).await;
        assert!(publishing.await.expect("no panic").expect("published").is_acked());

        // What was sent on a channel of the user's cannot be taken back, or not without the user's transaction.
        let mut channels = Vec::new();
        for in_tx in [false, true] {
            let channel = open(&connection, &mut peer).await;
            if in_tx {
                let script = async {
                    peer.expect_on::<tx::Select>(channel.id()).await;
                    peer.send(channel.id(), tx::SelectOk::default()).await;
                };
                tokio::join!(channel.call(tx::Select::default()), script).0.expect("selected");
            }
            let (hand, pieces) = by_hand();
            hand.send(Ok("ab".into())).expect("kept");
            let publishing = tokio::spawn(channel.basic_publish_stream(to_queue(4), pieces));
            peer.expect_nothing(Duration::from_secs(1)).await;
            block(&connection, &mut peer).await;
            hand.send(Ok("cd".into())).expect("kept");
            drop(hand);
            tokio::time::sleep(Duration::from_secs(3600)).await;
            assert!(!publishing.is_finished(), "in tx: {in_tx}");
            unblock(&connection, &mut peer).await;
            let (_, _, body) = peer.expect_content::<basic::Publish>(channel.id()).await;
            assert_eq!(body.to_bytes(), "abcd");
            drop(publishing.await.expect("no panic").expect("given"));
            channels.push(channel);
        }
        connection.abort();
    }
} else {} }
