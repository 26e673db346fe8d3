//! Calls behind what a slow link takes long to write: their time begins when they are written, unless their user has
//! set it.

use std::time::Duration;

use amqp_connector::protocol::{basic, queue};
use amqp_connector::testing::{Peer, leftovers};
use amqp_connector::{
    BasicPublish, Channel, CloseCause, Connection, ErrorKind, Options, QueueDeclare,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::time::{Instant, sleep};

use crate::support::{FOREVER, connection_with, open, resolves};

const SECOND: Duration = Duration::from_secs(1);
/// `Options::call_timeout` by default.
const TIMEOUT: Duration = Duration::from_secs(30);
const BODY: usize = 8 << 20;
/// As fast as the handshake is to be.
const FAST: usize = 1 << 16;

/// A connection over a link that takes so many octets each second, with two channels. A large body is being written on the
/// first.
async fn behind_a_body(octets: usize) -> (Connection, Channel, Channel, Peer) {
    let (client, ours) = duplex(octets.max(1000));
    let (theirs, server) = duplex(1 << 20);
    let peer = Peer::over(server).tune(9, 131_072, 0).patience(FOREVER);
    let (pace, paced) = tokio::sync::watch::channel(FAST);
    tokio::spawn(relay(ours, theirs, paced));
    let (connection, mut peer) = connection_with(Options::default(), (client, peer)).await;
    let channel = open(&connection, &mut peer).await;
    let other = open(&connection, &mut peer).await;
    pace.send_replace(octets);
    let publish = channel.basic_publish(BasicPublish::new("", "q", vec![7; BODY]));
    drop(publish.await.expect("accepted"));
    // It is being written when the calls are made.
    sleep(SECOND).await;
    (connection, channel, other, peer)
}

/// Hands on what the client writes, so many octets each second, and what the peer writes at once.
async fn relay(
    client: DuplexStream,
    peer: DuplexStream,
    pace: tokio::sync::watch::Receiver<usize>,
) {
    let ((mut from, mut back), (mut answers, mut to)) = (split(client), split(peer));
    tokio::spawn(async move { tokio::io::copy(&mut answers, &mut back).await });
    loop {
        let octets = *pace.borrow();
        if octets == 0 {
            std::future::pending::<()>().await;
        }
        if octets != FAST {
            sleep(SECOND).await;
        }
        let mut piece = vec![0; octets];
        let Ok(taken @ 1..) = from.read(&mut piece).await else { return };
        if to.write_all(&piece[..taken]).await.is_err() {
            return;
        }
    }
}

/// Answers the next `queue.declare`.
async fn answer(peer: &mut Peer) {
    let (id, _) = peer.expect::<queue::Declare>().await;
    peer.send(id, queue::DeclareOk::default()).await;
}

#[tokio::test(start_paused = true)]
async fn calls_behind_a_large_body_on_a_slow_link_have_their_whole_time() {
    let (connection, channel, other, mut peer) = behind_a_body(100_000).await;
    let begun = Instant::now();
    let script = async {
        answer(&mut peer).await;
        peer.expect_content::<basic::Publish>(channel.id()).await;
        answer(&mut peer).await;
    };
    let (own, others, ()) = tokio::join!(
        channel.queue_declare(QueueDeclare::new("own")),
        other.queue_declare(QueueDeclare::new("other")),
        script,
    );
    own.expect("answered once it was written");
    others.expect("answered");
    assert!(begun.elapsed() > 2 * TIMEOUT, "the body took longer: {:?}", begun.elapsed());
    assert!(channel.close_reason().is_none() && other.close_reason().is_none());
    connection.abort();
}

#[tokio::test(start_paused = true)]
async fn a_users_own_deadline_is_counted_from_the_call_on_and_costs_no_channel_till_it_is_written()
{
    let (connection, channel, _other, mut peer) = behind_a_body(100_000).await;
    let begun = Instant::now();
    let call = channel.queue_declare(QueueDeclare::new("own")).within(10 * SECOND);
    assert_eq!(call.await.map(drop).expect_err("late").kind(), ErrorKind::Timeout);
    assert!(begun.elapsed() < 11 * SECOND, "{:?}", begun.elapsed());
    peer.expect_content::<basic::Publish>(channel.id()).await;
    answer(&mut peer).await;
    assert!(begun.elapsed() > 2 * TIMEOUT, "{:?}", begun.elapsed());
    sleep(SECOND).await;
    assert!(channel.close_reason().is_none(), "{:?}", channel.close_reason());
    let left = leftovers(&connection);
    assert_eq!((left.calls, left.deadlines), (0, 0));
    connection.abort();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_answered_once_it_was_written_times_out_and_then_costs_its_channel() {
    let (connection, channel, _other, mut peer) = behind_a_body(100_000).await;
    let script = async {
        peer.expect_content::<basic::Publish>(channel.id()).await;
        peer.expect::<queue::Declare>().await;
        Instant::now()
    };
    let call = channel.queue_declare(QueueDeclare::new("own"));
    let (called, written) = tokio::join!(call, script);
    assert_eq!(called.map(drop).expect_err("no answer").kind(), ErrorKind::Timeout);
    assert!(written.elapsed() > TIMEOUT - 2 * SECOND, "{:?}", written.elapsed());
    sleep(TIMEOUT + SECOND).await;
    assert_eq!(channel.close_reason().expect("closed").cause(), CloseCause::CallUnanswered);
    connection.abort();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_any_more_costs_the_usual_time() {
    let (connection, channel, _other, peer) = behind_a_body(0).await;
    let begun = Instant::now();
    let call = channel.queue_declare(QueueDeclare::new("own"));
    assert_eq!(call.await.map(drop).expect_err("stuck").kind(), ErrorKind::Timeout);
    assert!(begun.elapsed() < TIMEOUT + SECOND, "{:?}", begun.elapsed());
    sleep(TIMEOUT + SECOND).await;
    assert_eq!(channel.close_reason().expect("closed").cause(), CloseCause::CallUnanswered);
    connection.abort();
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_an_octet_a_second_does_not_hold_a_call_for_ever() {
    let (connection, channel, _other, peer) = behind_a_body(1).await;
    let begun = Instant::now();
    let call = channel.queue_declare(QueueDeclare::new("own"));
    let error = resolves("the call", call).await.map(drop).expect_err("never written");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(begun.elapsed() > 9 * TIMEOUT, "octets were written: {:?}", begun.elapsed());
    assert!(begun.elapsed() < 11 * TIMEOUT, "{:?}", begun.elapsed());
    sleep(2 * TIMEOUT).await;
    assert_eq!(channel.close_reason().expect("closed").cause(), CloseCause::CallUnanswered);
    connection.abort();
    drop(peer);
}
