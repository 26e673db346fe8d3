//! Acks that are held back and sent together: the broker settles what was settled, and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use amqp_connector::protocol::tx;
use amqp_connector::{BasicConsume, BasicGet, BasicPublish, Channel, Consumer, Delivery, Prefetch};
use amqp_connector::{ErrorKind, QueueDeclare};
use amqp_tests::{await_depth, broker_test};
use tokio::time::timeout;

use super::{SOON, await_counts, await_unacked, text, unacked};

/// Never in the test's time.
const LATER: Duration = Duration::from_secs(600);

async fn queue_of(channel: &Channel, queue: &str, messages: u32) {
    channel.queue_declare(QueueDeclare::new(queue).exclusive(true)).await.unwrap();
    for n in 0..messages {
        drop(channel.basic_publish(BasicPublish::new("", queue, n.to_string())).await.unwrap());
    }
    await_depth(channel, queue, messages).await;
}

fn number(delivery: &Delivery) -> u32 {
    text(&delivery.body).parse().unwrap()
}

/// Acks, rejects or keeps, whichever its number tells.
fn settle(delivery: Delivery, kept: &mut Vec<Delivery>) {
    match number(&delivery) % 5 {
        0 => kept.push(delivery),
        1 => delivery.reject(false).unwrap(),
        2 => delivery.nack(false).unwrap(),
        _ => delivery.ack().unwrap(),
    }
}

async fn left_in(channel: &Channel, queue: &str) -> BTreeSet<u32> {
    let mut left = BTreeSet::new();
    while let Some(got) = channel.basic_get(BasicGet::new(queue).no_ack(true)).await.unwrap() {
        assert!(left.insert(number(&got)), "twice");
    }
    left
}

#[test]
fn the_broker_settles_exactly_what_was_settled_on_a_channel_of_many_consumers_and_gets() {
    broker_test(async |t| {
        const MESSAGES: u32 = 500;
        let connection = t.connect().await;
        let other = connection.channel_open().await.unwrap();
        let [a, b, no_ack] = ["a", "b", "no-ack"].map(|name| t.name(name));
        for queue in [&a, &b, &no_ack] {
            queue_of(&other, queue, MESSAGES).await;
        }
        let channel = connection.channel_open().await.unwrap();
        channel.coalesce_acks(20, LATER).unwrap();
        let consume = |queue: &str| BasicConsume::new(queue, Prefetch::Count(250));
        let mut from_a = channel.basic_consume(consume(&a)).await.unwrap();
        let mut from_b = channel.basic_consume(consume(&b)).await.unwrap();
        let mut without = channel.basic_consume(consume(&no_ack).no_ack(true)).await.unwrap();
        let (mut kept, mut seen) = (Vec::new(), 0);
        let mut late = Vec::new();
        while seen < 2 * MESSAGES {
            let delivery = tokio::select! {
                delivery = next(&mut from_a) => delivery,
                delivery = next(&mut from_b) => delivery,
                delivery = next(&mut without) => { drop(delivery); continue }
            };
            seen += 1;
            match number(&delivery) % 7 {
                // Settled out of order.
                3 => late.push(delivery),
                _ => settle(delivery, &mut kept),
            }
            if late.len() > 30 {
                late.drain(..).rev().for_each(|delivery| settle(delivery, &mut kept));
            }
            if seen % 50 == 0
                && let Some(got) = channel.basic_get(BasicGet::new(&a)).await.unwrap()
            {
                seen += 1;
                settle(got, &mut kept);
            }
        }
        late.drain(..).for_each(|delivery| settle(delivery, &mut kept));
        channel.flush().await.unwrap();
        let each = u64::from(MESSAGES / 5);
        for queue in [&a, &b] {
            await_unacked(t, queue, each).await;
            await_counts(&other, queue, (0, 1)).await;
        }
        // Dropped, not settled: they go back with the channel, and they alone.
        drop(kept);
        channel.close().await.unwrap();
        let expected: BTreeSet<u32> = (0..MESSAGES).filter(|n| n % 5 == 0).collect();
        for queue in [&a, &b] {
            await_counts(&other, queue, (MESSAGES / 5, 0)).await;
            assert_eq!(left_in(&other, queue).await, expected);
        }
        connection.close().await;
    });
}

async fn next(consumer: &mut Consumer) -> Delivery {
    match consumer.recv().await {
        Some(delivery) => delivery,
        None => std::future::pending().await,
    }
}

#[test]
fn held_acks_reach_the_broker_by_their_number_their_time_a_flush_and_a_close() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let other = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        queue_of(&other, &queue, 20).await;
        for (delay, acks, left) in [(LATER, 10, 10), (Duration::from_millis(20), 1, 9)] {
            let channel = connection.channel_open().await.unwrap();
            channel.coalesce_acks(10, delay).unwrap();
            for _ in 0..acks {
                let get = channel.basic_get(BasicGet::new(&queue)).await.unwrap();
                get.unwrap().ack().unwrap();
            }
            // The ack before a get is sent with it: so the last one is it that counts.
            await_unacked(t, &queue, u64::from(delay == LATER)).await;
            channel.close().await.unwrap();
            await_counts(&other, &queue, (left, 0)).await;
        }
        let channel = connection.channel_open().await.unwrap();
        channel.coalesce_acks(10, LATER).unwrap();
        channel.basic_get(BasicGet::new(&queue)).await.unwrap().unwrap().ack().unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(unacked(t, &queue).await, 1);
        channel.flush().await.unwrap();
        await_unacked(t, &queue, 0).await;
        let late = channel.coalesce_acks(10, LATER).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Invalid);
        connection.close().await;
    });
}

#[test]
fn a_small_prefetch_does_not_starve_while_acks_are_held() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        queue_of(&channel, &queue, 100).await;
        channel.coalesce_acks(1000, LATER).unwrap();
        for (prefetch, messages) in [(1, 20), (2, 20), (7, 60)] {
            let consume = BasicConsume::new(&queue, Prefetch::Count(prefetch));
            let mut consumer = channel.basic_consume(consume).await.unwrap();
            for _ in 0..messages {
                timeout(SOON, consumer.recv()).await.unwrap().unwrap().ack().unwrap();
            }
        }
        await_counts(&channel, &queue, (0, 0)).await;
        connection.close().await;
    });
}

#[test]
fn acks_that_are_held_belong_to_the_transaction_that_they_were_made_in() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let other = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        queue_of(&other, &queue, 10).await;
        let channel = connection.channel_open().await.unwrap();
        channel.coalesce_acks(100, LATER).unwrap();
        channel.call(tx::Select::default()).await.unwrap();
        let mut consumer =
            channel.basic_consume(BasicConsume::new(&queue, Prefetch::Unlimited)).await.unwrap();
        for _ in 0..3 {
            timeout(SOON, consumer.recv()).await.unwrap().unwrap().ack().unwrap();
        }
        channel.call(tx::Commit::default()).await.unwrap();
        for _ in 0..2 {
            timeout(SOON, consumer.recv()).await.unwrap().unwrap().ack().unwrap();
        }
        channel.call(tx::Rollback::default()).await.unwrap();
        channel.close().await.unwrap();
        await_counts(&other, &queue, (7, 0)).await;
        assert_eq!(left_in(&other, &queue).await, (3..10).collect());
        connection.close().await;
    });
}
