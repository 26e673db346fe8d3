//! Heartbeats with a broker that counts on them: it drops who is silent for two to three intervals.

use std::time::{Duration, Instant};

use amqp_connector::{BasicPublish, CloseCause, Connection, Connector, Initiator, QueueDeclare};
use amqp_tests::{Fixture, broker_test};

/// The shortest interval there is.
const INTERVAL: Duration = Duration::from_secs(1);
/// Longer than the broker stands silence.
const LONG: Duration = Duration::from_secs(5);

/// A test's body on a current-thread runtime of its own: what it blocks, it blocks for the driver too.
async fn on_one_thread<F: Future<Output = ()>>(
    t: &Fixture,
    body: impl FnOnce(Connector) -> F + Send + 'static,
) {
    let connector = t.connector();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(body(connector));
    });
    tokio::task::spawn_blocking(|| thread.join()).await.unwrap().unwrap();
}

async fn connect(connector: &Connector) -> Connection {
    connector.connect().await.unwrap().authenticate("guest", "guest").await.unwrap()
}

#[test]
fn quiet_connections_live_with_an_interval_of_one_second_and_without_heartbeats() {
    broker_test(async |t| {
        let beating = t.connect_as(&t.connector().heartbeat(INTERVAL)).await;
        assert_eq!(beating.tuning().heartbeat, 1);
        // The broker offers 60 seconds; it is told that we want none.
        let off = t.connect_as(&t.connector().heartbeat(Duration::ZERO)).await;
        assert_eq!(off.tuning().heartbeat, 0);
        tokio::time::sleep(LONG).await;
        for connection in [beating, off] {
            connection.channel_open().await.unwrap();
            let reason = connection.close().await;
            assert_eq!(reason.cause(), CloseCause::Requested, "{reason}");
        }
    });
}

#[test]
fn heartbeats_go_out_under_a_tight_publish_loop_on_a_current_thread_runtime() {
    broker_test(async |t| {
        let queue = t.name("queue");
        on_one_thread(t, move |connector| async move {
            let connector = connector.heartbeat(INTERVAL);
            let busy = connect(&connector).await;
            // One on the same thread that has nothing to send but heartbeats.
            let quiet = connect(&connector).await;
            let channel = busy.channel_open().await.unwrap();
            channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
            let begun = Instant::now();
            while begun.elapsed() < LONG {
                // Unroutable, so that the broker keeps up.
                drop(channel.basic_publish(BasicPublish::new("", "", "x")).await.unwrap());
            }
            for connection in [busy, quiet] {
                assert!(connection.close_reason().is_none(), "{:?}", connection.close_reason());
                connection.abort();
            }
        })
        .await;
    });
}

#[test]
fn a_process_that_stalls_is_dropped_by_the_broker_and_told_why() {
    broker_test(async |t| {
        on_one_thread(t, |connector| async move {
            let connection = connect(&connector.heartbeat(INTERVAL)).await;
            // What a handler that computes without yielding does to its runtime.
            std::thread::sleep(LONG);
            let reason = connection.closed().await;
            let CloseCause::RuntimeStalled { stall, .. } = reason.cause() else {
                panic!("{reason}")
            };
            assert!(stall > LONG - INTERVAL && stall < 3 * LONG, "{reason}");
            assert_eq!(reason.initiator(), Initiator::Library);
        })
        .await;
    });
}

#[test]
fn a_stall_that_the_broker_stands_costs_nothing() {
    broker_test(async |t| {
        on_one_thread(t, |connector| async move {
            // It stands two of these, whatever the machine adds to our own stall.
            let interval = 3 * INTERVAL;
            let connection = connect(&connector.heartbeat(interval)).await;
            for _ in 0..2 {
                std::thread::sleep(interval + INTERVAL / 2);
                connection.channel_open().await.unwrap();
            }
            let reason = connection.close().await;
            assert_eq!(reason.cause(), CloseCause::Requested, "{reason}");
        })
        .await;
    });
}
