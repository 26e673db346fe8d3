//! Bodies that are under way when the connection is lost, in either direction: none is ever whole that is not, and what is
//! restored has nothing of them.

use std::io;
use std::pin::Pin;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::protocol::basic;
use amqp_connector::testing::{Peer, leftovers};
use amqp_connector::{
    BasicConsume, BasicPublish, Bytes, CloseCause, Connection, ErrorKind, Prefetch,
};
use tokio::io::AsyncReadExt as _;

use super::corners::{connect_to, restore_channel};
use super::{SECOND, lost, wholly_recovered};
use crate::stream_consuming::{begin as begin_body, piece};
use crate::streaming::{Hand, by_hand, to_queue};
use crate::support::resolves;

/// The peers of a connection and of the one after it.
fn two() -> [(tokio::io::DuplexStream, Peer); 2] {
    // So narrow that a large content is never on its way as a whole.
    [Peer::with_pipe(20_000), Peer::with_pipe(20_000)]
}

async fn settle(connection: &Connection) {
    lost(connection).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

/// Reads part of a content, and hangs up.
async fn cut_in_the_middle(peer: Peer) {
    let (mut io, known) = peer.into_parts();
    let mut octets = vec![0; 3000 - known.len().min(3000)];
    io.read_exact(&mut octets).await.expect("so much of it comes");
}

#[tokio::test(start_paused = true)]
async fn of_a_large_content_that_was_half_written_nothing_is_left() {
    let [(first_io, mut first), (second_io, mut second)] = two();
    let script = async {
        first.handshake().await;
        let number = first.open_channel().await;
        cut_in_the_middle(first).await;
        second.handshake().await;
        restore_channel(&mut second, number).await;
        // The first that comes is what was published since, from its method on.
        let (_, _, body) = second.expect_content::<basic::Publish>(number).await;
        assert_eq!(&*body.to_bytes(), b"since");
        second
    };
    let test = async {
        let connection = connect_to([first_io, second_io]).await;
        let mut events = connection.events();
        let channel = connection.channel_open().await.expect("a channel");
        let large = BasicPublish::new("", "jobs", vec![7; 300_000]);
        drop(channel.basic_publish(large).await.expect("taken"));
        let behind = BasicPublish::new("", "jobs", "behind it");
        drop(channel.basic_publish(behind).await.expect("taken"));
        settle(&connection).await;
        let since = BasicPublish::new("", "jobs", "since");
        drop(channel.basic_publish(since).await.expect("taken"));
        wholly_recovered(&mut events).await;
        channel.flush().await.expect("written");
        assert_eq!(leftovers(&connection).octets, 0);
        connection
    };
    let (_second, _connection) = tokio::join!(script, test);
}

/// A streamed publish on a channel, of which half is given, and one that never starts on the same.
type Publishing = Pin<Box<dyn Future<Output = amqp_connector::Result<()>> + Send>>;

fn publish(connection: &Connection, on: Option<&amqp_connector::Channel>) -> (Hand, Publishing) {
    let (hand, pieces) = by_hand();
    hand.send(Ok(Bytes::from(vec![1; 5000]))).expect("kept");
    let publishing: Publishing = match on {
        Some(channel) => {
            let publishing = channel.basic_publish_stream(to_queue(10_000), pieces);
            Box::pin(async { publishing.await.map(drop) })
        }
        None => {
            let publishing = connection.publish_stream(to_queue(10_000), pieces);
            Box::pin(async { publishing.await.map(drop) })
        }
    };
    (hand, publishing)
}

#[tokio::test(start_paused = true)]
async fn a_streamed_publish_that_is_half_given_ends_with_the_reason_and_its_channel_alone() {
    let [(first_io, mut first), (second_io, mut second)] = two();
    let script = async {
        first.handshake().await;
        let [own, other] = [first.open_channel().await, first.open_channel().await];
        cut_in_the_middle(first).await;
        second.handshake().await;
        restore_channel(&mut second, other).await;
        let (_, _, body) = second.expect_content::<basic::Publish>(other).await;
        assert_eq!(&*body.to_bytes(), b"since");
        // The number of the one that ended is free.
        assert_eq!(second.open_channel().await, own);
        second
    };
    let test = async {
        let connection = connect_to([first_io, second_io]).await;
        let mut events = connection.events();
        let own = connection.channel_open().await.expect("a channel");
        let other = connection.channel_open().await.expect("a channel");
        let (hand, publishing) = publish(&connection, Some(&own));
        let error = resolves("the publish", publishing).await.expect_err("it is lost");
        assert!(hand.is_closed(), "its source is let go of");
        let reason = error.close_reason().expect("why");
        assert_eq!(reason.cause(), CloseCause::TransportEnded, "{error}");
        assert!(own.close_reason().is_some());
        let since = BasicPublish::new("", "jobs", "since");
        drop(other.basic_publish(since).await.expect("taken"));
        assert_eq!(wholly_recovered(&mut events).await.channels, 1);
        let again = connection.channel_open().await.expect("a channel");
        (connection, own, other, again)
    };
    let (_second, _handles) = tokio::join!(script, test);
}

if_spec! { tx.select => {
    #[tokio::test(start_paused = true)]
    async fn a_streamed_publish_in_its_own_transaction_ends_with_the_reason_wherever_it_is_lost() {
        use amqp_connector::protocol::tx;
        use crate::streaming::{begin, commit};

        for stage in ["its first half", "its commit"] {
            let [(first_io, mut first), (second_io, mut second)] = two();
            let script = async {
                first.handshake().await;
                let id = begin(&mut first).await;
                match stage {
                    "its commit" => {
                        let _ = first.expect_content::<basic::Publish>(id).await;
                        first.expect_on::<tx::Commit>(id).await;
                        first.cut();
                    }
                    _ => cut_in_the_middle(first).await,
                }
                second.handshake().await;
                // Nothing of it comes back: this is another one.
                let id = begin(&mut second).await;
                let (_, _, body) = second.expect_content::<basic::Publish>(id).await;
                commit(&mut second, id).await;
                (body, second)
            };
            let test = async {
                let connection = connect_to([first_io, second_io]).await;
                let mut events = connection.events();
                let (hand, publishing) = publish(&connection, None);
                if stage == "its commit" {
                    hand.send(Ok(Bytes::from(vec![1; 5000]))).expect("kept");
                    drop(hand);
                }
                let error = resolves("the publish", publishing).await.expect_err(stage);
                let reason = error.close_reason().expect("why");
                assert_eq!(reason.cause(), CloseCause::TransportEnded, "{error}");
                wholly_recovered(&mut events).await;
                let (hand, publishing) = publish(&connection, None);
                hand.send(Ok(Bytes::from(vec![2; 5000]))).expect("kept");
                drop(hand);
                resolves("another publish", publishing).await.expect("committed");
                connection
            };
            let ((body, _second), _connection) = tokio::join!(script, test);
            assert_eq!(body.len(), 10_000);
        }
    }
} else {} }

if_spec! { confirm.select => {
    #[tokio::test(start_paused = true)]
    async fn the_outcome_of_a_streamed_publish_is_unknown_and_it_is_not_published_again() {
        use amqp_connector::protocol::confirm;
        use amqp_connector::{ConfirmOptions, Outcome, UnknownReason};

        let [(first_io, mut first), (second_io, mut second)] = two();
        let script = async {
            first.handshake().await;
            let number = first.open_channel().await;
            first.expect_on::<confirm::Select>(number).await;
            first.send(number, confirm::SelectOk::default()).await;
            let _ = first.expect_content::<basic::Publish>(number).await;
            let _ = first.expect_content::<basic::Publish>(number).await;
            first.cut();
            second.handshake().await;
            restore_channel(&mut second, number).await;
            second.expect_on::<confirm::Select>(number).await;
            second.send(number, confirm::SelectOk::default()).await;
            // The whole one alone comes again.
            let (_, _, body) = second.expect_content::<basic::Publish>(number).await;
            assert_eq!(&*body.to_bytes(), b"whole");
            second.send(number, basic::Ack { delivery_tag: 1, multiple: false }).await;
            second
        };
        let test = async {
            let connection = connect_to([first_io, second_io]).await;
            let channel = connection.channel_open().await.expect("a channel");
            let options = ConfirmOptions::new().republish(3);
            channel.confirm_select_with(options).await.expect("confirm mode");
            let (hand, pieces) = by_hand();
            hand.send(Ok(Bytes::from(vec![1; 5000]))).expect("kept");
            drop(hand);
            let publishing = channel.basic_publish_stream(to_queue(5000), pieces);
            let mut streamed = publishing.await.expect("taken");
            let whole = channel.basic_publish(BasicPublish::new("", "jobs", "whole")).await;
            let outcome = resolves("the outcome", &mut streamed).await;
            let Outcome::Unknown(UnknownReason::Closed(reason)) = &outcome else {
                panic!("{outcome}")
            };
            assert_eq!(reason.cause(), CloseCause::TransportEnded);
            assert_eq!(outcome.republished(), 0);
            assert!(streamed.take_message().is_none(), "its body is gone");
            let outcome = resolves("the other's", whole.expect("taken")).await;
            assert!(outcome.is_acked() && outcome.republished() == 1, "{outcome}");
            connection
        };
        let (_second, _connection) = tokio::join!(script, test);
    }
} else {} }

#[tokio::test(start_paused = true)]
async fn a_body_that_is_half_read_ends_with_an_error_and_comes_again_whole() {
    let [(first_io, mut first), (second_io, mut second)] = two();
    let consuming = async |peer: &mut Peer, number| {
        peer.expect_on::<basic::Qos>(number).await;
        peer.send(number, basic::QosOk::default()).await;
        let request = peer.expect_on::<basic::Consume>(number).await;
        peer.send(number, basic::ConsumeOk { consumer_tag: request.consumer_tag }).await;
    };
    let script = async {
        first.handshake().await;
        let number = first.open_channel().await;
        consuming(&mut first, number).await;
        begin_body(&mut first, number, 1, 10_000).await;
        piece(&mut first, number, &[1; 4000]).await;
        // One more is on its way and not given out, and of a third nothing but the method has come.
        tokio::time::sleep(SECOND).await;
        first.cut();
        second.handshake().await;
        restore_channel(&mut second, number).await;
        consuming(&mut second, number).await;
        begin_body(&mut second, number, 1, 10_000).await;
        for _ in 0..2 {
            piece(&mut second, number, &[2; 5000]).await;
        }
        assert_eq!(second.expect_on::<basic::Ack>(number).await.delivery_tag, 1);
        second
    };
    let test = async {
        let connection = connect_to([first_io, second_io]).await;
        let channel = connection.channel_open().await.expect("a channel");
        let consume = BasicConsume::new("films", Prefetch::Count(5)).tag("c");
        let mut consumer = channel.basic_consume_streamed(consume).await.expect("started");
        let mut half = resolves("a delivery", consumer.recv()).await.expect("it goes on");
        let first = half.body.chunk().await.expect("a piece").expect("not the end");
        assert_eq!(first.len(), 4000);
        let error = resolves("the end", half.body.chunk()).await.expect_err("it broke off");
        assert_eq!(error.close_reason().map(|it| it.cause()), Some(CloseCause::TransportEnded));
        assert_eq!(half.body.remaining(), 6000);
        assert!(half.body.chunk().await.expect("told once").is_none());
        assert_eq!(half.ack().expect_err("over").kind(), ErrorKind::Stale);

        let mut again = resolves("it again", consumer.recv()).await.expect("it goes on");
        let mut body = Vec::new();
        let read: io::Result<usize> = again.body.read_to_end(&mut body).await;
        assert_eq!(read.expect("whole"), 10_000);
        again.ack().expect("settled");
        channel.flush().await.expect("written");
        (connection, consumer)
    };
    let (_second, _handles) = tokio::join!(script, test);
}
