//! The pace of a channel, counted by the broker's own queue and confirms.

use std::time::{Duration, Instant};

use amqp_connector::{BasicPublish, ErrorKind, Pace};
use amqp_tests::{await_depth, broker_test};

use super::declare;

#[test]
fn tasks_of_a_paced_channel_publish_at_its_rate() {
    broker_test(async |t| {
        const TASKS: u32 = 4;
        const EACH: u32 = 40;
        const RATE: u32 = 100;
        const BURST: u32 = 10;
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = declare(t, &channel).await;
        let confirms = match channel.confirm_select().await {
            Err(error) if error.kind() == ErrorKind::Unsupported => false,
            selected => selected.is_ok(),
        };
        channel.pace(Some(Pace::per_second(RATE).burst(BURST))).unwrap();
        let begun = Instant::now();
        let tasks = (0..TASKS).map(|_| {
            let (channel, queue) = (channel.clone(), queue.clone());
            tokio::spawn(async move {
                for n in 0..EACH {
                    let publish = BasicPublish::new("", &queue, n.to_string());
                    let outcome = channel.basic_publish(publish).await.unwrap().await;
                    assert_eq!(outcome.is_acked(), confirms, "{outcome:?}");
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let least = Duration::from_secs(1) * (TASKS * EACH - BURST) / RATE;
        assert!(begun.elapsed() >= least, "{:?}, not {least:?}", begun.elapsed());
        // Without a pace a thousand go at once.
        channel.pace(None).unwrap();
        for n in 0..1000 {
            drop(channel.try_basic_publish(BasicPublish::new("", &queue, n.to_string())).unwrap());
        }
        // All of them arrive, and nothing else.
        await_depth(&channel, &queue, TASKS * EACH + 1000).await;
        connection.close().await;
    });
}
