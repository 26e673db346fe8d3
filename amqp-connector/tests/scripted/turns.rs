//! Loops that never wait: whatever they do, failing too, leaves the driver and other tasks their turns.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use amqp_connector::protocol::queue;
use amqp_connector::{BasicPublish, Channel, Prefetch};

use crate::support::{channel, resolves};

/// More often than a task may go on in one turn.
const OFTEN: usize = 1000;

/// Does it over and over, and sees another task run meanwhile.
async fn leaves_turns<F: Future>(what: &str, mut again: impl FnMut() -> F) {
    let ran = Arc::new(AtomicBool::new(false));
    let runs = ran.clone();
    let other = tokio::spawn(async move { runs.store(true, Ordering::Relaxed) });
    for _ in 0..OFTEN {
        drop(again().await);
    }
    assert!(ran.load(Ordering::Relaxed), "no other task ran in a loop of {what}");
    other.await.expect("it ran");
}

fn message() -> BasicPublish {
    BasicPublish::new("", "q", "x")
}

amqp_connector::amqp_types::if_spec! { connection.blocked => {
    use amqp_connector::protocol::connection;
    use amqp_connector::testing::Peer;
    use amqp_connector::{Options, WhileBlocked};

    use crate::support::{connection_with, open};

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn a_publish_that_is_tried_until_the_broker_takes_it_gets_through() {
        let mut options = Options::default();
        options.publish_while_blocked = WhileBlocked::Fail;
        let (connection, mut peer) = connection_with(options, Peer::new()).await;
        let channel = open(&connection, &mut peer).await;
        peer.send(0, connection::Blocked { reason: "memory".try_into().expect("short") }).await;
        while !connection.is_blocked() {
            tokio::task::yield_now().await;
        }
        let script = tokio::spawn(async move {
            peer.send(0, connection::Unblocked::default()).await;
            peer
        });
        // Ends by itself: there is no other way out of a loop that keeps the thread.
        let mut through = false;
        for _ in 0..100_000 {
            through = channel.basic_publish(message()).await.is_ok();
            if through {
                break;
            }
        }
        assert!(through, "the connection never heard that it is unblocked");
        drop(script.await);
        connection.abort();
    }
} else {} }

async fn fails_in_loops(channel: &Channel) {
    leaves_turns("publishes", || channel.basic_publish(message())).await;
    leaves_turns("calls", || channel.call(queue::Purge::default())).await;
    leaves_turns("prefetches", || channel.basic_qos(Prefetch::Count(1), false)).await;
    leaves_turns("flushes", || channel.flush()).await;
    leaves_turns("looks for returns", || channel.returned()).await;
    leaves_turns("closes", || channel.close()).await;
    leaves_turns("looks for the end", || channel.closed()).await;
    leaves_turns("counts of outcomes", || channel.wait_for_confirms()).await;
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn loops_on_what_is_closed_leave_the_others_their_turns() {
    let (connection, channel, mut peer) = channel().await;
    tokio::join!(connection.close(), peer.expect_close());
    fails_in_loops(&channel).await;
    leaves_turns("new channels", || connection.channel_open()).await;
    leaves_turns("closes of the connection", || connection.close()).await;
    leaves_turns("looks for the connection's end", || connection.closed()).await;
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn loops_of_what_is_invalid_or_has_nothing_to_wait_for_leave_the_others_their_turns() {
    let (connection, channel, _peer) = channel().await;
    let long = "n".repeat(256);
    leaves_turns("invalid publishes", || {
        channel.basic_publish(BasicPublish::new(long.as_str(), "q", "x"))
    })
    .await;
    let header = "x".repeat(200_000);
    leaves_turns("publishes too large for a frame", || {
        channel.basic_publish(message().header("a", header.as_str()))
    })
    .await;
    leaves_turns("invalid calls", || {
        channel.call(queue::Purge { no_wait: true, ..Default::default() })
    })
    .await;
    let stream = || amqp_connector::BasicPublishStream::new(long.as_str(), "q", 1);
    let body = || tokio::io::empty();
    leaves_turns("invalid streams", || channel.basic_publish_reader(stream(), body())).await;
    leaves_turns("waits for no outcome", || channel.wait_for_confirms()).await;
    connection.abort();
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn an_error_that_waits_for_a_turn_is_not_lost() {
    let (connection, channel, mut peer) = channel().await;
    tokio::join!(connection.close(), peer.expect_close());
    for _ in 0..OFTEN {
        let call = resolves("a call", channel.call(queue::Purge::default())).await;
        assert!(call.is_err_and(|error| error.close_reason().is_some()));
    }
}
