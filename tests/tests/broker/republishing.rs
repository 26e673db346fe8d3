//! Messages that are published again after the loss of their connection, on a real broker: each arrives, and only those
//! that are marked arrive twice.

use std::collections::HashMap;
use std::time::Duration;

use amqp_connector::{
    BasicConsume, BasicPublish, ConfirmOptions, Event, Prefetch, QueueDeclare, QueueDelete,
    Recovery, RecoveryEvent,
};
use amqp_tests::broker_test;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(60);
const LOSSES: usize = 5;

#[test]
fn every_message_arrives_and_only_one_that_was_published_again_arrives_twice() {
    broker_test(async |t| {
        let recovery = Recovery::new().backoff(Duration::from_millis(20), Duration::from_secs(1));
        let connection = t.connect_as(&t.connector().recovery(recovery)).await;
        let mut events = connection.events();
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        channel.queue_declare(QueueDeclare::new(&queue).durable(true)).await.unwrap();
        channel.confirm_select_with(ConfirmOptions::new().republish(20)).await.unwrap();

        let (stop, stopped) = tokio::sync::watch::channel(false);
        let (publisher, name) = (channel.clone(), queue.clone());
        let publishing = tokio::spawn(async move {
            let mut confirmations = Vec::new();
            // Fewer than may be unawaited.
            for n in 0_u32..60_000 {
                if *stopped.borrow() {
                    break;
                }
                if n % 100 == 99 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                let message = BasicPublish::new("", &name, n.to_string()).persistent();
                confirmations.push(publisher.basic_publish(message).await.unwrap());
            }
            let mut times = Vec::new();
            for confirmation in confirmations {
                let outcome = timeout(SOON, confirmation).await.expect("every outcome is known");
                assert!(outcome.is_acked(), "{outcome}");
                times.push(outcome.republished());
            }
            times
        });
        let mut republished = 0;
        for _ in 0..LOSSES {
            tokio::time::sleep(Duration::from_millis(20)).await;
            t.close_connections("for the test").await.unwrap();
            let recovered = async {
                loop {
                    match events.recv().await.expect("it comes back") {
                        Event::Recovery(RecoveryEvent::Recovered(report)) => return report,
                        Event::Closed { reason, .. } => panic!("it is over: {reason}"),
                        _ => {}
                    }
                }
            };
            let report = timeout(SOON, recovered).await.expect("it comes back in time");
            assert!(report.failures.is_empty(), "{report}");
            republished += report.republished;
        }
        stop.send(true).unwrap();
        let times = publishing.await.unwrap();

        let consume = BasicConsume::new(&queue, Prefetch::Count(500));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        let mut seen: HashMap<usize, u16> = HashMap::new();
        while seen.len() < times.len() {
            let delivery = timeout(SOON, consumer.recv()).await.expect("none is lost").unwrap();
            let id = std::str::from_utf8(&delivery.body.to_bytes()).unwrap().parse().unwrap();
            *seen.entry(id).or_default() += 1;
            delivery.ack().unwrap();
        }
        drop(consumer);
        let twice = seen.iter().filter(|(_, seen)| **seen > 1).count();
        println!("{} published, {republished} again, {twice} of them arrived twice", times.len());
        assert!(republished > 0, "nothing was under way at any of {LOSSES} losses");
        for (id, seen) in seen {
            assert!(seen <= 1 + times[id], "message {id}: {seen} times, sent again {} times", times[id]);
        }
        channel.queue_delete(QueueDelete::new(&queue)).await.unwrap();
        connection.close().await;
    });
}
