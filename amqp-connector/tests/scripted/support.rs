//! What the tests share: getting a connection and a channel against a scripted peer.

use std::future::Future;
use std::time::Duration;

use amqp_connector::testing::{Leftovers, Peer, leftovers};
use amqp_connector::{Channel, Connection, Connector, Options};
use tokio::io::DuplexStream;

/// Longer than any deadline that the options below have.
pub(crate) const FOREVER: Duration = Duration::from_secs(3600);

/// A connection with the default options, and its peer after the handshake.
pub(crate) async fn connection() -> (Connection, Peer) {
    connection_with(Options::default(), Peer::new()).await
}

pub(crate) async fn connection_with(
    options: Options,
    (io, mut peer): (DuplexStream, Peer),
) -> (Connection, Peer) {
    let connector = Connector::new().options(options);
    let connect = async {
        let greeted = connector.connect_with(io).await.expect("greeted");
        greeted.authenticate("guest", "guest").await.expect("authenticated")
    };
    let (connection, _) = tokio::join!(connect, peer.handshake());
    (connection, peer)
}

/// A connection with one channel, and its peer.
pub(crate) async fn channel() -> (Connection, Channel, Peer) {
    let (connection, mut peer) = connection().await;
    let channel = open(&connection, &mut peer).await;
    (connection, channel, peer)
}

pub(crate) async fn open(connection: &Connection, peer: &mut Peer) -> Channel {
    let (channel, _) = tokio::join!(connection.channel_open(), peer.open_channel());
    channel.expect("the channel opens")
}

/// Fails if the future takes longer than any deadline.
pub(crate) async fn resolves<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(FOREVER, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} did not resolve"),
    }
}

/// Closes the connection from the client's side, and checks that it holds nothing any more but what the
/// test's own handles of channels refer to.
pub(crate) async fn close_clean(connection: Connection, peer: &mut Peer) {
    tokio::join!(connection.close(), peer.expect_close());
    let retired = leftovers(&connection).retired;
    let mut nothing = Leftovers::default();
    nothing.retired = retired;
    assert_eq!(leftovers(&connection), nothing);
}

/// Polls `future` up to `n` times, letting every other task run in between, and drops it. Gives its
/// output if it resolved before.
pub(crate) async fn poll_and_drop<F: Future>(n: usize, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    for _ in 0..n {
        let poll = std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx)));
        if let std::task::Poll::Ready(output) = poll.await {
            return Some(output);
        }
        // With the clock paused this runs all that can run.
        tokio::task::yield_now().await;
    }
    None
}

/// Until no task is left but the test's own.
pub(crate) async fn await_no_tasks() {
    let metrics = tokio::runtime::Handle::current().metrics();
    for _ in 0..1000 {
        if metrics.num_alive_tasks() == 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{} tasks are left", metrics.num_alive_tasks());
}
