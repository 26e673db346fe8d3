//! What a policy of the user's may do, and what a new connection may have agreed on otherwise than the old one.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use amqp_connector::protocol::{basic, channel, queue};
use amqp_connector::testing::Peer;
use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::{
    BasicConsume, BasicPublish, Channel, CloseCause, Connection, Connector, ErrorKind, Event,
    Initiator, Prefetch, QueueDeclare, Recovery,
};
use tokio::io::DuplexStream;

use super::{SECOND, wholly_recovered};
use crate::support::await_no_tasks;

/// What a policy gets hold of once there is a connection.
type Handles = Arc<OnceLock<(Connection, Channel)>>;

/// A connection whose second transport cannot be had.
async fn connect_with(broker: &MemoryBroker, recovery: Recovery, handles: &Handles) {
    let failed = Arc::new(AtomicBool::new(true));
    let (broker, fails) = (broker.clone(), failed.clone());
    let dial = move || {
        let fail = !fails.swap(true, Ordering::Relaxed);
        let transport = broker.transport();
        async move {
            match fail {
                true => Err(io::ErrorKind::ConnectionRefused.into()),
                false => Ok(transport),
            }
        }
    };
    let greeted = Connector::new().recovery(recovery).connect_by(dial).await.expect("greeted");
    let connection = greeted.authenticate("guest", "guest").await.expect("welcome");
    let channel = connection.channel_open().await.expect("a channel");
    channel.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("declared");
    failed.store(false, Ordering::Relaxed);
    handles.set((connection, channel)).expect("once");
}

/// What anybody may ask of a connection and a channel, and what of them fails while they come back.
fn use_library(handles: &Handles) {
    let (connection, channel) = handles.get().expect("set");
    assert!(connection.is_recovering() && connection.close_reason().is_none());
    assert!(!connection.topology().queues.is_empty());
    let refused = channel.try_basic_publish(BasicPublish::new("", "q", "x"));
    assert_eq!(refused.expect_err("not now").kind(), ErrorKind::Recovering);
    let (connection, channel) = (connection.clone(), channel.clone());
    tokio::spawn(async move {
        // Which of them comes too early nobody can know; none hangs, nor hinders the recovery.
        drop(connection.channel_open().await);
        drop(channel.basic_publish(BasicPublish::new("", "q", "by the policy")).await);
    });
}

#[tokio::test(start_paused = true)]
async fn what_a_policy_asks_may_use_the_library() {
    let broker = MemoryBroker::start();
    let handles = Handles::default();
    let (first, second) = (handles.clone(), handles.clone());
    let recovery = Recovery::new()
        .retry_if(move |_| {
            use_library(&first);
            true
        })
        .edit_topology(move |_| use_library(&second));
    connect_with(&broker, recovery, &handles).await;
    let (connection, channel) = handles.get().expect("set");
    let mut events = connection.events();
    broker.cut();
    let report = wholly_recovered(&mut events).await;
    assert_eq!((report.attempts, report.queues, report.channels), (2, 1, 1));
    while broker.queue("q").expect("there").messages_ready < 2 {
        tokio::task::yield_now().await;
    }
    channel.queue_declare(QueueDeclare::new("q").passive(true)).await.expect("it is back");
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_policy_asks_may_end_the_connection() {
    for by_retrying in [true, false] {
        let broker = MemoryBroker::start();
        let handles = Handles::default();
        let (first, second) = (handles.clone(), handles.clone());
        let end = |handles: &Handles| {
            let (connection, _) = handles.get().expect("set").clone();
            tokio::spawn(async move { drop(connection.close().await) });
        };
        let recovery = Recovery::new()
            .retry_if(move |_| {
                if by_retrying {
                    end(&first);
                }
                true
            })
            .edit_topology(move |_| {
                if !by_retrying {
                    end(&second);
                }
            });
        connect_with(&broker, recovery, &handles).await;
        let (connection, channel) = handles.get().expect("set");
        broker.cut();
        assert_eq!(connection.closed().await.initiator(), Initiator::Application);
        let refused = channel.basic_publish(BasicPublish::new("", "q", "x")).await;
        assert!(refused.expect_err("over").close_reason().is_some());
        // The policy has the handles, and the connection has the policy: neither may keep the other.
        await_no_tasks().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_policy_asks_may_panic_and_that_ends_the_connection() {
    for (what, recovery) in [
        ("`pause_by`", Recovery::new().pause_by(|_, _| panic!("by the test's own will"))),
        ("`retry_if`", Recovery::new().retry_if(|_| panic!("by the test's own will"))),
        ("`edit_topology`", Recovery::new().edit_topology(|_| panic!("by the test's own will"))),
    ] {
        let broker = MemoryBroker::start();
        let handles = Handles::default();
        connect_with(&broker, recovery, &handles).await;
        let (connection, channel) = handles.get().expect("set");
        let consume = BasicConsume::new("q", Prefetch::Count(1));
        let mut consumer = channel.basic_consume(consume).await.expect("a consumer");
        broker.cut();
        // It may be over at once.
        while !connection.is_recovering() && connection.close_reason().is_none() {
            tokio::task::yield_now().await;
        }
        let waits = channel.basic_publish(BasicPublish::new("", "q", "x"));
        let (reason, waited) = tokio::join!(connection.closed(), waits);
        assert_eq!(reason.cause(), CloseCause::RecoveryPanicked);
        assert_eq!(reason.initiator(), Initiator::Application);
        let told = reason.text().contains(what) && reason.text().contains("it had been lost: ");
        assert!(told, "{reason}");
        assert!(waited.expect_err("over").close_reason().is_some());
        assert!(consumer.recv().await.is_none());
        assert!(!connection.is_recovering());
        await_no_tasks().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_opens_a_transport_may_panic_and_that_ends_the_connection() {
    for at_once in [true, false] {
        let broker = MemoryBroker::start();
        let (given, dialled) = (broker.clone(), AtomicBool::new(false));
        let dial = move || {
            let again = dialled.swap(true, Ordering::Relaxed);
            assert!(!(again && at_once), "by the test's own will");
            let transport = given.transport();
            async move {
                tokio::task::yield_now().await;
                assert!(!again, "by the test's own will");
                Ok(transport)
            }
        };
        let connector = Connector::new().recovery(Recovery::new());
        let greeted = connector.connect_by(dial).await.expect("greeted");
        let connection = greeted.authenticate("guest", "guest").await.expect("welcome");
        broker.cut();
        let reason = connection.closed().await;
        assert_eq!(reason.cause(), CloseCause::RecoveryPanicked);
        assert!(reason.text().contains("what opens its transport"), "{reason}");
        await_no_tasks().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_the_topology_that_panics_is_its_callers_own_affair() {
    let broker = MemoryBroker::start();
    let (connection, channel, mut events) = super::open(&broker).await;
    channel.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("declared");
    let editing = std::panic::AssertUnwindSafe(|| {
        connection.edit_topology(|topology| {
            topology.queues.clear();
            panic!("by the test's own will");
        })
    });
    std::panic::catch_unwind(editing).expect_err("it goes to the caller");
    assert_eq!(connection.topology().queues.len(), 1, "nothing was changed");
    broker.cut();
    assert_eq!(wholly_recovered(&mut events).await.queues, 1);
    connection.close().await;
}

/// A connection to these peers, one after the other.
pub(super) async fn connect_to(peers: impl IntoIterator<Item = DuplexStream>) -> Connection {
    let peers = Mutex::new(peers.into_iter().collect::<VecDeque<_>>());
    let dial = move || {
        let next = peers.lock().expect("no panic").pop_front();
        async move { next.ok_or_else(|| io::ErrorKind::ConnectionRefused.into()) }
    };
    let recovery = Recovery::new().backoff(SECOND, SECOND);
    let greeted = Connector::new().recovery(recovery).connect_by(dial).await.expect("greeted");
    greeted.authenticate("guest", "guest").await.expect("welcome")
}

/// Answers what restores a channel that has nothing.
pub(super) async fn restore_channel(peer: &mut Peer, number: u16) {
    peer.expect_on::<channel::Open>(number).await;
    peer.send(number, channel::OpenOk::default()).await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_connection_is_cut_into_the_frames_of_that() {
    let ((first_io, mut first), (second_io, second)) = (Peer::new(), Peer::new());
    let mut second = second.tune(2047, 4096, 60);
    let script = async {
        first.handshake().await;
        let number = first.open_channel().await;
        first.expect::<basic::Qos>().await;
        first.cut();
        second.handshake().await;
        restore_channel(&mut second, number).await;
        // What was asked for stays, though nobody has answered it.
        assert_eq!(second.expect_on::<basic::Qos>(number).await.prefetch_count, 1);
        second.send(number, basic::QosOk::default()).await;
        // It checks that no frame is larger than was agreed on.
        let (_, _, body) = second.expect_content::<basic::Publish>(number).await;
        second.expect_on::<basic::Qos>(number).await;
        second.send(number, basic::QosOk::default()).await;
        (body, second)
    };
    let test = async {
        let connection = connect_to([first_io, second_io]).await;
        let channel = connection.channel_open().await.expect("a channel");
        channel.basic_qos(Prefetch::Count(1), false).await.expect_err("lost");
        let waits = channel.basic_publish(BasicPublish::new("", "q", vec![7; 30_000]));
        drop(waits.await.expect("sent"));
        // Properties are not cut.
        let large = BasicPublish::new("", "q", "x").header("h", "x".repeat(5000));
        let refused = channel.basic_publish(large).await.expect_err("too large");
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
        channel.basic_qos(Prefetch::Count(2), false).await.expect("it goes on");
        connection
    };
    let ((body, _second), _connection) = tokio::join!(script, test);
    assert_eq!(body.len(), 30_000);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_rest_while_a_connection_is_lost_and_then_go_by_what_the_new_one_has_agreed_on()
{
    let ((first_io, first), (second_io, second)) = (Peer::new(), Peer::new());
    let (mut first, mut second) = (first.tune(2047, 4096, 2), second.tune(2047, 4096, 4));
    let script = async {
        first.handshake().await;
        first.cut();
        // The broker takes longer than several heartbeats of the old connection to come back.
        tokio::time::sleep(9 * SECOND).await;
        second.handshake().await;
        let before = tokio::time::Instant::now();
        second.expect_heartbeat().await;
        assert!(before.elapsed() <= 4 * SECOND, "{:?}", before.elapsed());
        second.expect_end().await;
        before.elapsed()
    };
    let test = async {
        let connection = connect_to([first_io, second_io]).await;
        let mut events = connection.events();
        assert_eq!(wholly_recovered(&mut events).await.attempts, 1);
        while !matches!(events.recv().await, Some(Event::Recovering { .. })) {}
        drop(connection);
    };
    let (silence, ()) = tokio::join!(script, test);
    assert!((8 * SECOND..=13 * SECOND).contains(&silence), "{silence:?}");
}

#[tokio::test(start_paused = true)]
async fn channels_are_counted_without_the_one_that_restores() {
    let ((first_io, mut first), (second_io, mut second)) = (Peer::new(), Peer::new());
    let (at_work, restores) = tokio::sync::oneshot::channel();
    let script = async {
        first.handshake().await;
        let number = first.open_channel().await;
        let declare = first.expect_on::<queue::Declare>(number).await;
        let ok = queue::DeclareOk { queue: declare.queue, ..Default::default() };
        first.send(number, ok).await;
        first.cut();
        second.handshake().await;
        let (own, _) = second.expect::<channel::Open>().await;
        assert_ne!(own, number);
        at_work.send(()).expect("awaited");
        second
    };
    let test = async {
        let connection = connect_to([first_io, second_io]).await;
        let channel = connection.channel_open().await.expect("a channel");
        channel.queue_declare(QueueDeclare::new("q")).await.expect("declared");
        restores.await.expect("it comes to that");
        assert_eq!(connection.channel_count(), 1);
        (connection, channel)
    };
    tokio::join!(script, test);
}
