//! What is dropped unsettled, and what is in flight.

use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Connection, ErrorKind, Options, Prefetch, QueueDeclare,
    Unsettled,
};
use amqp_tests::{Fixture, broker_test};
use tokio::time::timeout;

use super::{A_WHILE, SOON, await_counts, await_unacked, filled, text};

#[test]
fn a_delivery_dropped_unsettled_stays_with_its_channel_by_default() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 3).await;
        let consume = BasicConsume::new(&queue, Prefetch::Count(2));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        for _ in 0..2 {
            drop(timeout(SOON, consumer.recv()).await.unwrap().unwrap());
        }
        // Neither lost nor delivered again and again: the two are unsettled, and hold their place in the prefetch.
        assert!(timeout(A_WHILE, consumer.recv()).await.is_err(), "another one came");
        await_counts(&channel, &queue, (1, 1)).await;
        assert_eq!(consumer.in_flight(), 0);
        channel.close().await.unwrap();
        let other = connection.channel_open().await.unwrap();
        await_counts(&other, &queue, (3, 0)).await;
        connection.close().await;
    });
}

#[test]
fn a_delivery_dropped_unsettled_goes_back_or_is_discarded_if_its_consumer_says_so() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 2).await;
        let consume = BasicConsume::new(&queue, Prefetch::Count(1));
        let requeuing = consume.clone().unsettled(Unsettled::Requeue);
        let mut consumer = channel.basic_consume(requeuing).await.unwrap();
        let first = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        assert_eq!((text(&first.body), first.redelivered), ("0".to_owned(), false));
        drop(first);
        let again = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        assert_eq!((text(&again.body), again.redelivered), ("0".to_owned(), true));
        again.ack().unwrap();
        drop(consumer);
        await_counts(&channel, &queue, (1, 0)).await;

        let rejecting = consume.unsettled(Unsettled::Reject);
        let mut consumer = channel.basic_consume(rejecting).await.unwrap();
        drop(timeout(SOON, consumer.recv()).await.unwrap().unwrap());
        await_counts(&channel, &queue, (0, 1)).await;
        connection.close().await;
    });
}

/// A connection whose deliveries go back when they are dropped.
async fn requeuing(t: &Fixture) -> Connection {
    let mut options = Options::default();
    options.unsettled = Unsettled::Requeue;
    t.connect_as(&t.connector().options(options)).await
}

#[test]
fn what_becomes_of_dropped_deliveries_is_an_option_that_a_get_may_override() {
    broker_test(async |t| {
        let connection = requeuing(t).await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        drop(channel.basic_publish(BasicPublish::new("", &queue, "x")).await.unwrap());
        let get = |unsettled: Option<Unsettled>| {
            let get = BasicGet::new(&queue);
            channel.basic_get(unsettled.into_iter().fold(get, BasicGet::unsettled))
        };
        drop(get(None).await.unwrap().expect("the message"));
        let again = get(None).await.unwrap().expect("the message");
        assert!(again.redelivered);
        // A part of it is enough to settle it, or to drop it.
        let (_, body, acker) = again.into_parts();
        drop(acker);
        assert_eq!(text(&body), "x");
        drop(get(Some(Unsettled::Reject)).await.unwrap().expect("the message"));
        assert!(get(None).await.unwrap().is_none());
        connection.close().await;
    });
}

#[test]
fn a_delivery_dropped_by_a_task_that_panics_goes_back() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 1).await;
        let get = BasicGet::new(&queue).unsettled(Unsettled::Requeue);
        let delivery = channel.basic_get(get).await.unwrap().expect("the message");
        let handler = tokio::spawn(async move {
            let _delivery = delivery;
            std::panic::resume_unwind(Box::new("the handler fails"));
        });
        handler.await.unwrap_err();
        await_counts(&channel, &queue, (1, 0)).await;
        connection.close().await;
    });
}

#[test]
fn deliveries_can_be_dropped_where_there_is_no_runtime() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 1).await;
        let get = BasicGet::new(&queue).unsettled(Unsettled::Requeue);
        let delivery = channel.basic_get(get).await.unwrap().expect("the message");
        std::thread::spawn(move || drop(delivery)).join().unwrap();
        await_counts(&channel, &queue, (1, 0)).await;
        connection.close().await;
    });
}

#[test]
fn deliveries_given_out_are_in_flight_until_they_are_settled() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 10).await;
        let consume = BasicConsume::new(&queue, Prefetch::Unlimited);
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        let mut taken = Vec::new();
        for n in 1..=3 {
            taken.push(timeout(SOON, consumer.recv()).await.unwrap().unwrap());
            assert_eq!(consumer.in_flight(), n);
        }
        taken.pop().unwrap().ack().unwrap();
        assert_eq!(consumer.in_flight(), 2);
        let (_, _, acker) = taken.pop().unwrap().into_parts();
        assert_eq!(consumer.in_flight(), 2);
        acker.nack(true).unwrap();
        drop(taken);
        assert_eq!(consumer.in_flight(), 0);
        drop(consumer);
        // One was acked, and one dropped, which stays with the channel.
        await_counts(&channel, &queue, (8, 0)).await;
        connection.close().await;
    });
}

#[test]
fn what_ack_multiple_has_settled_cannot_be_settled_again() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 3).await;
        let consume = BasicConsume::new(&queue, Prefetch::Unlimited).unsettled(Unsettled::Requeue);
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        let first = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        let second = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        let third = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        third.ack_multiple().unwrap();
        assert_eq!(first.ack().unwrap_err().kind(), ErrorKind::Invalid);
        drop(second);
        // Had either been sent, the broker would close the channel: 406, unknown delivery tag.
        await_counts(&channel, &queue, (0, 1)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(channel.close_reason().is_none());
        connection.close().await;
    });
}

#[test]
fn nack_multiple_gives_back_all_before_it_where_the_specification_has_it() {
    broker_test(async |t| {
        let (connection, channel, queue) = filled(t, 5).await;
        let consume = BasicConsume::new(&queue, Prefetch::Count(4));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        let mut taken = Vec::new();
        for _ in 0..4 {
            taken.push(timeout(SOON, consumer.recv()).await.unwrap().unwrap());
        }
        taken.remove(0).ack().unwrap();
        let third = taken.remove(1);
        if_spec! { basic.nack => {
            third.nack_multiple(false).unwrap();
            await_unacked(t, &queue, 2).await;
            drop(consumer);
        } else {
            let error = third.nack_multiple(false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            // Nothing was sent: it is as if it had been dropped.
            await_unacked(t, &queue, 4).await;
            taken.into_iter().for_each(|delivery| delivery.reject(false).unwrap());
            drop(consumer);
            await_unacked(t, &queue, 1).await;
        } }
        assert!(channel.close_reason().is_none());
        connection.close().await;
    });
}
