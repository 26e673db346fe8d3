//! `basic.get` in all its forms, and quality of service for each consumer and for all of a channel.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Consumer, Delivery, ErrorKind, Prefetch, QueueDeclare,
};
use amqp_tests::broker_test;
use tokio::time::timeout;

use super::{A_WHILE, SOON, await_counts, filled, text};

/// So many deliveries, and no more for a while.
async fn exactly(consumer: &mut Consumer, count: u16) -> Vec<Delivery> {
    let mut taken = Vec::new();
    for n in 0..count {
        let delivery = timeout(SOON, consumer.recv()).await;
        taken.push(delivery.unwrap_or_else(|_| panic!("{n} of {count} came")).unwrap());
    }
    assert!(timeout(A_WHILE, consumer.recv()).await.is_err(), "more than {count} came");
    taken
}

#[test]
fn basic_get_tells_what_is_left_and_whether_the_message_came_before() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 3).await;
        let get = || channel.basic_get(BasicGet::new(&queue));
        let first = get().await.unwrap().unwrap();
        assert_eq!((first.message_count(), first.redelivered), (Some(2), false));
        assert_eq!(first.exchange, *"");
        assert_eq!(first.routing_key, *queue);
        assert_eq!((first.consumer_tag(), first.delivery_tag()), (None, 1));
        first.reject(true).unwrap();
        let again = get().await.unwrap().unwrap();
        assert_eq!((text(&again.body).as_str(), again.redelivered), ("0", true));
        again.ack().unwrap();
        connection.close().await;
    });
}

#[test]
fn basic_get_without_ack_has_nothing_to_settle() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 2).await;
        let got = channel.basic_get(BasicGet::new(&queue).no_ack(true)).await.unwrap().unwrap();
        assert_eq!((got.message_count(), text(&got.body).as_str()), (Some(1), "0"));
        assert_eq!(got.ack().unwrap_err().kind(), ErrorKind::Invalid);
        drop(channel.basic_get(BasicGet::new(&queue).no_ack(true)).await.unwrap().unwrap());
        assert!(channel.basic_get(BasicGet::new(&queue)).await.unwrap().is_none());
        channel.close().await.unwrap();
        let other = connection.channel_open().await.unwrap();
        await_counts(&other, &queue, (0, 0)).await;
        connection.close().await;
    });
}

#[test]
fn many_gets_at_once_get_a_message_each() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 50).await;
        let mut gets = tokio::task::JoinSet::new();
        for _ in 0..60 {
            gets.spawn(channel.basic_get(BasicGet::new(&queue)));
        }
        let mut got = std::collections::BTreeSet::new();
        let mut empty = 0;
        while let Some(answer) = gets.join_next().await {
            match answer.unwrap().unwrap() {
                Some(delivery) => {
                    assert!(got.insert(text(&delivery.body)), "twice");
                    delivery.ack().unwrap();
                }
                None => empty += 1,
            }
        }
        assert_eq!((got.len(), empty), (50, 10));
        await_counts(&channel, &queue, (0, 0)).await;
        connection.close().await;
    });
}

#[test]
fn basic_get_of_a_missing_queue_ends_the_channel_with_that_reason() {
    broker_test(async |t| {
        let (connection, channel, _) = filled(t, 0).await;
        let error = channel.basic_get(BasicGet::new(t.name("missing"))).await.unwrap_err();
        let reason = error.close_reason().unwrap();
        assert_eq!(reason.code().map(|code| code.0), Some(404));
        assert_eq!(reason.method(), Some("basic.get"));
        assert!(connection.close_reason().is_none());
        connection.close().await;
    });
}

#[test]
fn a_get_that_is_given_up_gives_its_message_back() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 1).await;
        {
            let mut get = pin!(channel.basic_get(BasicGet::new(&queue)));
            // Sent, and dropped before the answer can have come.
            assert!(get.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        await_counts(&channel, &queue, (1, 0)).await;
        let got = channel.basic_get(BasicGet::new(&queue)).await.unwrap().unwrap();
        assert!(got.redelivered, "the first get did not reach the broker");
        got.ack().unwrap();
        connection.close().await;
    });
}

#[test]
fn consumers_have_prefetches_of_their_own_on_one_channel() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 20).await;
        let mut taken = Vec::new();
        for prefetch in [1, 4, 2] {
            let consume = BasicConsume::new(&queue, Prefetch::Count(prefetch));
            let mut consumer = channel.basic_consume(consume).await.unwrap();
            let mine = exactly(&mut consumer, prefetch).await;
            for delivery in &mine {
                assert_eq!(delivery.consumer_tag(), Some(consumer.tag()));
            }
            taken.push((consumer, mine));
        }
        for (mut consumer, mut mine) in taken {
            mine.pop().unwrap().ack().unwrap();
            mine.push(timeout(SOON, consumer.recv()).await.unwrap().unwrap());
            assert!(timeout(A_WHILE, consumer.recv()).await.is_err(), "one more than its prefetch");
        }
        connection.close().await;
    });
}

#[test]
fn consumers_share_the_prefetch_of_their_channel() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 20).await;
        let other = t.name("other");
        channel.queue_declare(QueueDeclare::new(&other).exclusive(true)).await.unwrap();
        for n in 0..20 {
            let message = BasicPublish::new("", &other, n.to_string());
            drop(channel.basic_publish(message).await.unwrap());
        }
        channel.basic_qos(Prefetch::Count(5), true).await.unwrap();
        let consume = |queue: &str| BasicConsume::new(queue, Prefetch::Count(4));
        let mut one = channel.basic_consume(consume(&queue)).await.unwrap();
        let mut two = channel.basic_consume(consume(&other)).await.unwrap();
        // Four of its own, five of both together.
        let mut ones = exactly(&mut one, 4).await;
        let mut twos = exactly(&mut two, 1).await;
        // Room that one leaves is the other's.
        for delivery in ones.drain(..2) {
            delivery.ack().unwrap();
        }
        drop(one);
        for _ in 0..2 {
            twos.push(timeout(SOON, two.recv()).await.unwrap().unwrap());
        }
        channel.basic_qos(Prefetch::Unlimited, true).await.unwrap();
        twos.push(timeout(SOON, two.recv()).await.unwrap().unwrap());
        assert!(timeout(A_WHILE, two.recv()).await.is_err(), "its own prefetch still holds");
        connection.close().await;
    });
}

#[test]
fn the_prefetch_of_a_channel_bounds_consumers_that_were_started_before_it_was_set() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 0).await;
        let other = t.name("other");
        channel.queue_declare(QueueDeclare::new(&other).exclusive(true)).await.unwrap();
        let consume = |queue: &str, prefetch| BasicConsume::new(queue, Prefetch::Count(prefetch));
        // Of different prefetches, which RabbitMQ would take away the channel's limit for if they came after it.
        let mut one = channel.basic_consume(consume(&queue, 4)).await.unwrap();
        let mut two = channel.basic_consume(consume(&other, 3)).await.unwrap();
        channel.basic_qos(Prefetch::Count(5), true).await.unwrap();
        for n in 0..20 {
            for queue in [&queue, &other] {
                let message = BasicPublish::new("", queue, n.to_string());
                drop(channel.basic_publish(message).await.unwrap());
            }
        }
        let mut handled = 0;
        while handled < 40 {
            let (mut ones, mut twos) = (Vec::new(), Vec::new());
            timeout(SOON, async {
                tokio::select! {
                    delivery = one.recv() => ones.push(delivery.unwrap()),
                    delivery = two.recv() => twos.push(delivery.unwrap()),
                }
            })
            .await
            .expect("neither gets any");
            while let Ok(delivery) = timeout(A_WHILE, one.recv()).await {
                ones.push(delivery.unwrap());
            }
            while let Ok(delivery) = timeout(A_WHILE, two.recv()).await {
                twos.push(delivery.unwrap());
            }
            let both = ones.len() + twos.len();
            assert!(ones.len() <= 4 && twos.len() <= 3 && both <= 5, "{ones:?} and {twos:?}");
            let held = ones.into_iter().chain(twos).collect::<Vec<_>>();
            handled += held.len();
            for delivery in held {
                delivery.ack().unwrap();
            }
        }
        connection.close().await;
    });
}

#[test]
fn a_prefetch_of_zero_is_refused_and_unlimited_is_meant() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 300).await;
        let zero = channel.basic_qos(Prefetch::Count(0), false).await.unwrap_err();
        assert_eq!(zero.kind(), ErrorKind::Invalid);
        let consume = BasicConsume::new(&queue, Prefetch::Unlimited);
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        let mut taken = Vec::new();
        for _ in 0..300 {
            taken.push(timeout(SOON, consumer.recv()).await.unwrap().unwrap());
        }
        taken.pop().unwrap().ack_multiple().unwrap();
        await_counts(&channel, &queue, (0, 1)).await;
        connection.close().await;
    });
}
