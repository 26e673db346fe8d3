//! A broker short of memory: it blocks who publishes, and what then happens.
//!
//! Each test is alone, since the alarm is every connection's. It is cleared whatever becomes of the test.

use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::{
    BasicGet, BasicPublish, Channel, Connection, ErrorKind, Options, QueueDeclare,
};
use amqp_tests::{Broker, Fixture, broker_test_alone};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);

/// The memory alarm, cleared when this goes: also when the test fails.
pub(crate) struct Alarm<'a>(&'a Broker);

impl<'a> Alarm<'a> {
    pub(crate) async fn raise(t: &'a Fixture) -> Self {
        let alarm = Self(t.broker());
        // Asked for the alarms, the broker has told its connections before it answers.
        let raise =
            "vm_memory_monitor:set_vm_memory_high_watermark(0), rabbit_alarm:get_alarms(), \"\"";
        t.eval(raise).await.unwrap();
        alarm
    }

    pub(crate) fn clear(self) {
        drop(self);
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        let restored = self
            .0
            .eval("vm_memory_monitor:set_vm_memory_high_watermark({absolute, 2000000000}), \"\"");
        if let Err(error) = restored {
            eprintln!("the broker's alarm stays: {error}");
        }
    }
}

/// A channel with an exclusive queue.
async fn with_queue(connection: &Connection, queue: &str) -> Channel {
    let channel = connection.channel_open().await.unwrap();
    channel.queue_declare(QueueDeclare::new(queue).exclusive(true)).await.unwrap();
    channel
}

async fn publish(channel: &Channel, queue: &str, body: &'static str) -> Result<(), ErrorKind> {
    let publish = channel.basic_publish(BasicPublish::new("", queue, body));
    match timeout(SOON, publish).await.expect("no hang") {
        Ok(confirmation) => {
            drop(confirmation);
            Ok(())
        }
        Err(error) => Err(error.kind()),
    }
}

/// The bodies in a queue, to its end.
async fn bodies(channel: &Channel, queue: &str) -> Vec<String> {
    let mut bodies = Vec::new();
    let get = || channel.basic_get(BasicGet::new(queue).no_ack(true));
    while let Some(got) = timeout(SOON, get()).await.expect("no hang").unwrap() {
        bodies.push(String::from_utf8(got.body.to_bytes().to_vec()).unwrap());
    }
    bodies
}

#[test]
fn an_alarm_hangs_nobody_under_any_specification_and_all_goes_on_after_it() {
    broker_test_alone(async |t| {
        let mut options = Options::default();
        options.call_timeout = Duration::from_secs(1);
        options.outbound_budget = 1 << 20;
        options.heartbeat = Some(Duration::from_secs(1));
        let connection = t.connect_as(&t.connector().options(options)).await;
        let queue = t.name("queue");
        let (publisher, caller) =
            (with_queue(&connection, &queue).await, connection.channel_open().await.unwrap());
        let alarm = Alarm::raise(t).await;
        publish(&publisher, &queue, "first").await.unwrap();
        // More than the socket and the budget take, unless it waits for the unblock anyway.
        let flood = tokio::spawn(async move {
            for _ in 0..400 {
                let publish = BasicPublish::new("", "nowhere", vec![0; 100_000]);
                drop(publisher.basic_publish(publish).await?);
            }
            Ok::<_, amqp_connector::Error>(publisher)
        });
        let call = caller.queue_declare(QueueDeclare::new(&queue).passive(true));
        let mut call = tokio::spawn(call);
        // Where the broker told of the block the call's time stands still; where it could not, it runs.
        let told = if_spec! { connection.blocked => { true } else { false } };
        let patience = if told { Duration::from_millis(1500) } else { SOON };
        let answered = timeout(patience, &mut call).await;
        let flooding = !flood.is_finished();
        alarm.clear();

        assert!(flooding, "40 MB went to a broker that had stopped reading");
        match answered {
            Err(_) => assert!(told && timeout(SOON, call).await.unwrap().unwrap().is_ok()),
            Ok(result) => {
                assert!(!told);
                assert_eq!(result.unwrap().unwrap_err().kind(), ErrorKind::Timeout);
            }
        }
        let publisher = timeout(SOON, flood).await.expect("no hang").unwrap().unwrap();
        publish(&publisher, &queue, "last").await.unwrap();
        publisher.flush().await.unwrap();
        assert!(caller.close_reason().is_none(), "{:?}", caller.close_reason());
        assert_eq!(bodies(&publisher, &queue).await, ["first", "last"]);
        connection.close().await;
    });
}

if_spec! { connection.blocked => {
    use amqp_connector::{
        BasicConsume, BlockedWatch, Event, Outcome, Prefetch, QueueDelete, WhileBlocked,
    };

    /// The broker tells those who publish, and only once they do.
    async fn block(channel: &Channel, queue: &str, blocked: &mut BlockedWatch) -> String {
        publish(channel, queue, "first").await.unwrap();
        let reason = timeout(SOON, blocked.changed()).await.expect("no connection.blocked came");
        reason.unwrap().unwrap().to_string()
    }

    async fn unblocked(blocked: &mut BlockedWatch) {
        assert_eq!(timeout(SOON, blocked.changed()).await.expect("no unblock").unwrap(), None);
    }

    #[test]
    fn blocked_publisher_waits_and_goes_on() {
        broker_test_alone(async |t| {
            let connection = t.connect().await;
            let queue = t.name("queue");
            let channel = with_queue(&connection, &queue).await;
            channel.confirm_select().await.unwrap();
            let mut blocked = connection.blocked();
            let alarm = Alarm::raise(t).await;
            let first = channel.basic_publish(BasicPublish::new("", &queue, "0")).await.unwrap();
            let reason = timeout(SOON, blocked.changed()).await.unwrap().unwrap();
            assert!(connection.is_blocked() && blocked.is_blocked());
            assert_eq!(blocked.reason(), reason);
            assert!(reason.unwrap().to_string().contains("memory"));
            let refused = channel.try_basic_publish(BasicPublish::new("", &queue, "1"));
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Blocked);
            let mut waiting = channel.basic_publish(BasicPublish::new("", &queue, "2"));
            let waited = timeout(Duration::from_millis(300), &mut waiting).await.is_err();
            assert!(waited, "it was sent to a broker that had blocked us");
            alarm.clear();
            let confirmation = timeout(SOON, waiting).await.unwrap().unwrap();
            assert!(timeout(SOON, confirmation).await.unwrap().is_acked());
            assert!(timeout(SOON, first).await.unwrap().is_acked());
            assert!(!connection.is_blocked() && blocked.reason().is_none());
            connection.close().await;
        });
    }

    #[test]
    fn a_queue_of_publishes_a_call_and_a_consumer_come_right_after_a_block() {
        broker_test_alone(async |t| {
            let mut options = Options::default();
            // Shorter than the block, and longer than a busy machine takes for the calls before it.
            options.call_timeout = Duration::from_secs(2);
            options.heartbeat = Some(Duration::from_secs(1));
            let connection = t.connect_as(&t.connector().options(options)).await;
            let queue = t.name("queue");
            let channel = with_queue(&connection, &queue).await;
            let mut consumer = channel
                .basic_consume(BasicConsume::new(&queue, Prefetch::Count(100)).no_ack(true))
                .await
                .unwrap();
            let (mut blocked, mut events) = (connection.blocked(), connection.events());
            let alarm = Alarm::raise(t).await;
            block(&channel, &queue, &mut blocked).await;
            let waiting: Vec<_> = (0..20)
                .map(|n| {
                    let (channel, queue) = (channel.clone(), queue.clone());
                    tokio::spawn(async move {
                        let publish = BasicPublish::new("", &*queue, n.to_string());
                        channel.basic_publish(publish).await.map(drop)
                    })
                })
                .collect();
            let declare = QueueDeclare::new(&queue).passive(true);
            let mut call = tokio::spawn(channel.queue_declare(declare));
            // Longer than the broker stands silence, and than two deadlines of the call.
            assert!(timeout(Duration::from_secs(5), &mut call).await.is_err(), "its time stands still");
            assert!(channel.close_reason().is_none(), "{:?}", channel.close_reason());
            alarm.clear();
            unblocked(&mut blocked).await;
            timeout(SOON, call).await.unwrap().unwrap().unwrap();
            for task in waiting {
                timeout(SOON, task).await.unwrap().unwrap().unwrap();
            }
            for _ in 0..21 {
                assert!(timeout(SOON, consumer.recv()).await.unwrap().is_some());
            }
            drop((consumer, channel));
            connection.close().await;
            let mut told = Vec::new();
            while let Some(event) = events.recv().await {
                told.push(event);
            }
            assert!(matches!(told[0], Event::Connected), "{told:?}");
            assert!(matches!(&told[1], Event::Blocked { reason, .. } if !reason.is_empty()), "{told:?}");
            assert!(matches!(told[2], Event::Unblocked), "{told:?}");
            assert!(matches!(told[told.len() - 1], Event::Closed { .. }), "{told:?}");
        });
    }

    async fn failing(t: &Fixture) -> Connection {
        let mut options = Options::default();
        options.call_timeout = Duration::from_secs(2);
        options.publish_while_blocked = WhileBlocked::Fail;
        options.call_while_blocked = WhileBlocked::Fail;
        t.connect_as(&t.connector().options(options)).await
    }

    #[test]
    fn by_policy_publishes_and_calls_fail_as_blocked_and_the_channel_lives() {
        broker_test_alone(async |t| {
            let connection = failing(t).await;
            let queue = t.name("queue");
            let channel = with_queue(&connection, &queue).await;
            let mut blocked = connection.blocked();
            let alarm = Alarm::raise(t).await;
            block(&channel, &queue, &mut blocked).await;
            assert_eq!(publish(&channel, &queue, "lost").await, Err(ErrorKind::Blocked));
            let call = channel.queue_declare(QueueDeclare::new(&queue).passive(true));
            let error = timeout(SOON, call).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Blocked);
            assert!(error.is_transient());
            // Far longer than its second deadline.
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert!(channel.close_reason().is_none(), "{:?}", channel.close_reason());
            alarm.clear();
            unblocked(&mut blocked).await;
            publish(&channel, &queue, "last").await.unwrap();
            // What it sent while it was blocked is answered now, and later calls get their own replies.
            let call = channel.queue_declare(QueueDeclare::new(&queue).passive(true));
            assert_eq!(timeout(SOON, call).await.unwrap().unwrap().queue, *queue);
            assert_eq!(bodies(&channel, &queue).await, ["first", "last"]);
            connection.close().await;
        });
    }

    #[test]
    fn blocked_connection_that_waits_for_confirms_and_consumers_closes_within_its_deadline() {
        broker_test_alone(async |t| {
            let keeper = t.connect().await;
            let queue = t.name("queue");
            let watch = keeper.channel_open().await.unwrap();
            watch.queue_declare(QueueDeclare::new(&queue)).await.unwrap();
            publish(&watch, &queue, "first").await.unwrap();

            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            channel.confirm_select().await.unwrap();
            let consume = BasicConsume::new(&queue, Prefetch::Count(5));
            let mut consumer = channel.basic_consume(consume).await.unwrap();
            let held = consumer.recv().await.unwrap();
            let mut blocked = connection.blocked();
            let alarm = Alarm::raise(t).await;
            // The broker reads it when it has unblocked us, so it is not confirmed.
            let confirmation = channel.basic_publish(BasicPublish::new("", &queue, "second"));
            let confirmation = confirmation.await.unwrap();
            timeout(SOON, blocked.changed()).await.unwrap().unwrap();
            let deadline = Duration::from_secs(1);
            let closed = timeout(deadline * 15, connection.close_within(deadline)).await;
            assert!(closed.is_ok(), "close goes on after its deadline");
            let outcome = timeout(SOON, confirmation).await.unwrap();
            assert!(
                matches!(outcome, Outcome::Unknown(_) | Outcome::Acked),
                "it has an outcome: {outcome:?}"
            );
            assert_eq!(held.ack().unwrap_err().kind(), ErrorKind::Stale);
            alarm.clear();
            // What was held is delivered again.
            let again = async {
                loop {
                    let got = watch.basic_get(BasicGet::new(&queue).no_ack(true)).await.unwrap();
                    if let Some(got) = got
                        && got.body.to_bytes() == "first"
                    {
                        return got.redelivered;
                    }
                }
            };
            assert!(timeout(SOON, again).await.unwrap());
            watch.queue_delete(QueueDelete::new(&queue)).await.unwrap();
            keeper.close().await;
        });
    }

    #[test]
    fn blocked_connection_closes_within_its_deadline() {
        broker_test_alone(async |t| {
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            let mut blocked = connection.blocked();
            let alarm = Alarm::raise(t).await;
            block(&channel, &t.name("any"), &mut blocked).await;
            let deadline = Duration::from_secs(1);
            let closed = timeout(deadline * 15, connection.close_within(deadline)).await;
            assert!(closed.is_ok(), "close goes on after its deadline");
            assert!(blocked.changed().await.is_err() && !blocked.is_blocked());
            alarm.clear();
        });
    }
} else {} }
