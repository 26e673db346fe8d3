//! Many at once: connections and channels that come and go in every way, and a thousand tasks that publish to a broker
//! which takes nothing.
//!
//! What a test leaves is found by the fixture. The connector's own tests `leaks` and `overload` have larger numbers, on a
//! broker in memory.

use std::sync::Arc;
use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::testing::{Leftovers, leftovers};
use amqp_connector::{
    BasicConsume, BasicPublish, Bytes, Channel, ErrorKind, Options, Outcome, Prefetch, QueueDeclare,
};
use amqp_tests::{Fixture, broker_test, broker_test_alone};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::limits::Alarm;

const SOON: Duration = Duration::from_secs(60);

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    Drop,
    Abort,
    PeerCloses,
    /// Its driver is gone, and the socket with it.
    Cut,
}

/// A connection with channels of which each ends in another way, and what is left of them ends with it.
async fn come_and_go(t: &Fixture, queue: &str, channels: usize, end: End) {
    let greeted = t.connector().connect().await.unwrap();
    let (connection, driver) = greeted.authenticate_with_driver("guest", "guest").await.unwrap();
    let driver = tokio::spawn(driver);
    let opening: Vec<_> = (0..channels).map(|_| tokio::spawn(connection.channel_open())).collect();
    let mut open = Vec::new();
    for (number, channel) in opening.into_iter().enumerate() {
        let channel = channel.await.unwrap().unwrap();
        match number % 5 {
            0 => drop(channel),
            1 => channel.close().await.unwrap(),
            2 => {
                let missing = QueueDeclare::new(t.name("missing")).passive(true);
                let error = channel.queue_declare(missing).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ChannelClosed);
            }
            3 if number < 10 => {
                let consume = BasicConsume::new(queue, Prefetch::Count(2));
                let consumer = channel.basic_consume(consume).await.unwrap();
                open.push((channel, Some(consumer)));
            }
            _ => open.push((channel, None)),
        }
    }
    match end {
        End::Close => drop(connection.close().await),
        End::Drop => {
            drop((open, connection));
            return driver.await.unwrap();
        }
        End::Abort => connection.abort(),
        End::PeerCloses => t.close_connections("come and gone").await.unwrap(),
        End::Cut => driver.abort(),
    }
    connection.closed().await;
    drop(open);
    // It may have its answer to the broker's close to write yet.
    let _ = driver.await;
    assert_eq!(leftovers(&connection), Leftovers::default(), "{end:?}");
}

#[test]
fn connections_and_channels_that_end_in_every_way_leave_nothing() {
    const ROUNDS: usize = 10;
    const CHANNELS: usize = 50;
    broker_test(async |t| {
        let ends = [End::Close, End::Drop, End::Abort, End::PeerCloses, End::Cut];
        let declare = async |queue: &str| {
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            channel.queue_declare(QueueDeclare::new(queue).auto_delete(true)).await.unwrap();
            for _ in 0..10 {
                drop(channel.basic_publish(BasicPublish::new("", queue, "x")).await.unwrap());
            }
            channel.flush().await.unwrap();
            connection.close().await;
        };
        for round in 0..ROUNDS {
            for end in ends {
                // It goes with the last of its consumers, and the fixture looks for it.
                let queue = t.name(&format!("queue.{round}.{end:?}"));
                declare(&queue).await;
                come_and_go(t, &queue, CHANNELS, end).await;
            }
        }
        println!(
            "{} connections with {} channels have come and gone",
            ROUNDS * ends.len(),
            ROUNDS * ends.len() * CHANNELS
        );
    });
}

const TASKS: usize = 1000;
const EACH: usize = 30;
const BODY: usize = 1000;
const BUDGET: usize = 4 << 20;
/// What else there may be: places in line and for outcomes, what is being written.
const BESIDE: usize = 4 << 20;

/// Publishes as fast as it is let once it may begin, and then looks what became of it.
async fn publish_all(channel: &Channel, body: &Bytes, begin: &Semaphore) -> usize {
    let mut confirmations = Vec::with_capacity(EACH);
    begin.acquire().await.unwrap().forget();
    for _ in 0..EACH {
        let publish = BasicPublish::new("amq.fanout", "to.nobody", body.clone());
        confirmations.push(channel.basic_publish(publish).await.unwrap());
    }
    let mut taken = 0;
    for confirmation in confirmations {
        taken += usize::from(matches!(confirmation.await, Outcome::Acked | Outcome::Accepted));
    }
    taken
}

/// This process's memory at most since it was asked last, in octets: Linux's, which has to be told to begin anew.
fn peak_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    Some(kilobytes << 10)
}

#[test]
fn a_thousand_publishers_during_an_alarm_take_no_memory_beyond_the_budget_and_learn_every_outcome()
{
    broker_test_alone(async |t| {
        let mut options = Options::default();
        options.outbound_budget = BUDGET;
        let connection = t.connect_as(&t.connector().options(options)).await;
        let mut channels = Vec::new();
        for _ in 0..10 {
            let channel = connection.channel_open().await.unwrap();
            if_spec! { confirm.select => { channel.confirm_select().await.unwrap(); } else {} }
            channels.push(channel);
        }
        let shared = Arc::new((channels, Semaphore::new(0)));
        let body = Bytes::from(vec![7; BODY]);
        let tasks: Vec<_> = (0..TASKS)
            .map(|number| {
                let (shared, body) = (shared.clone(), body.clone());
                tokio::spawn(async move {
                    let (channels, begin) = &*shared;
                    publish_all(&channels[number % channels.len()], &body, begin).await
                })
            })
            .collect();
        let alarm = Alarm::raise(t).await;
        // What the tasks themselves take is not the connector's.
        let _ = peak_memory();
        let before = peak_memory();
        shared.1.add_permits(TASKS);
        if_spec! { connection.blocked => {
            let mut blocked = connection.blocked();
            while !blocked.is_blocked() {
                timeout(SOON, blocked.changed()).await.expect("no connection.blocked").unwrap();
            }
        } else {
            // The broker cannot tell, and what waits fills the budget.
            let filling = async {
                while leftovers(&connection).octets < BUDGET / 2 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(SOON, filling).await.expect("the broker goes on reading");
        } }
        let waiting = leftovers(&connection).octets;
        assert!(waiting <= BUDGET, "{waiting} octets wait");
        assert!(tasks.iter().any(|task| !task.is_finished()));
        alarm.clear();
        let mut taken = 0;
        for task in tasks {
            taken += timeout(SOON, task).await.expect("no hang").unwrap();
        }
        assert_eq!(taken, TASKS * EACH);
        let more = peak_memory().zip(before).map(|(peak, before)| peak.saturating_sub(before));
        println!(
            "{taken} messages; {} KiB waited; {more:?} octets of memory more at most",
            waiting >> 10
        );
        assert!(more.is_none_or(|more| more <= BUDGET + BESIDE), "{more:?} octets more");
        connection.close().await;
    });
}
