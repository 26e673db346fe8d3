//! What a channel is like comes back with it: confirms, what is kept, acks that are held, streams, consumers without acks.

use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::{BasicConsume, BasicPublish, ErrorKind, Prefetch, QueueDeclare, Recovery};

use super::{consume, fail, open, publish, read_out, round_trip};
use crate::recovery;

if_spec! { confirm.select => {
    use amqp_connector::{ConfirmOptions, Outcome, UnknownReason};

    #[tokio::test(start_paused = true)]
    async fn confirmations_of_before_are_unknown_and_later_publishes_are_confirmed() {
        let broker = MemoryBroker::start();
        let (connection, channel) = open(&broker).await;
        channel.confirm_select().await.expect("confirms");
        let publish = || channel.basic_publish(BasicPublish::new("", "q", "m"));
        assert!(matches!(publish().await.expect("sent").await, Outcome::Acked));
        // The broker handles the call before it, and the publish never.
        let failing = tokio::spawn({
            let channel = channel.clone();
            async move { fail(&channel).await }
        });
        tokio::task::yield_now().await;
        let lost = publish().await;
        failing.await.expect("it failed");
        drop(channel.reopen().await.expect("reopened"));
        if let Ok(lost) = lost {
            match lost.await {
                Outcome::Unknown(UnknownReason::Closed(reason)) => {
                    assert_eq!(reason.code().map(|code| code.0), Some(404));
                }
                Outcome::Acked => {}
                other => panic!("{other:?}"),
            }
        }
        channel.wait_for_confirms().await.expect("it goes on");
        for _ in 0..3 {
            assert!(matches!(publish().await.expect("sent").await, Outcome::Acked));
        }
        let back = BasicPublish::new("", "nobody", "back").mandatory(true);
        let outcome = channel.basic_publish(back).await.expect("sent").await;
        assert!(matches!(outcome, Outcome::Returned(_)), "{outcome:?}");
        let counts = channel.wait_for_confirms().await.expect("it goes on");
        assert_eq!((counts.acked, counts.returned, counts.unknown), (3, 1, 0));
        connection.close().await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_limits_of_confirms_come_back_and_messages_that_failed_are_still_kept() {
        let (connection, channel, mut peer) = crate::support::channel().await;
        let options = ConfirmOptions::new().retain(true).unconfirmed_max(2);
        let select = tokio::spawn(channel.confirm_select_with(options));
        let (id, _) = peer.expect::<amqp_connector::protocol::confirm::Select>().await;
        peer.send(id, amqp_connector::protocol::confirm::SelectOk::default()).await;
        select.await.expect("no panic").expect("confirms");
        drop(channel.basic_publish(BasicPublish::new("", "q", "kept")).await.expect("sent"));
        peer.close_channel(id, 406, "PRECONDITION_FAILED").await;
        let reason = channel.closed().await;
        assert_eq!(reason.code().map(|code| code.0), Some(406));
        let reopening = tokio::spawn(channel.reopen());
        let id = peer.open_channel().await;
        let (_, _) = peer.expect::<amqp_connector::protocol::confirm::Select>().await;
        peer.send(id, amqp_connector::protocol::confirm::SelectOk::default()).await;
        drop(reopening.await.expect("no panic").expect("reopened"));
        let kept = channel.take_failed();
        assert_eq!(kept.len(), 1, "what failed is not lost by going on");
        for message in kept {
            drop(channel.basic_publish(message).await.expect("sent"));
        }
        drop(channel.basic_publish(BasicPublish::new("", "q", "second")).await.expect("sent"));
        let third = channel.try_basic_publish(BasicPublish::new("", "q", "third"));
        assert_eq!(third.expect_err("no more than two").kind(), ErrorKind::Full);
        for body in ["kept", "second"] {
            let (_, _, sent) = peer.expect_content::<amqp_connector::protocol::basic::Publish>(id).await;
            assert_eq!(sent, body);
        }
        // The broker counts anew.
        let ack = amqp_connector::protocol::basic::Ack { delivery_tag: 2, multiple: true };
        peer.send(id, ack).await;
        let counts = channel.wait_for_confirms().await.expect("it goes on");
        assert_eq!((counts.acked, counts.unknown), (2, 1));
        drop(channel);
        peer.close_connection(320, "CONNECTION_FORCED").await;
        connection.closed().await;
    }
} else {} }

#[tokio::test(start_paused = true)]
async fn acks_are_held_as_before() {
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    channel.coalesce_acks(100, Duration::from_secs(10)).expect("before the first consumer");
    let mut consumer = consume(&channel, "q").await;
    for body in ["a", "b"] {
        publish(&channel, "q", body).await;
    }
    let unacknowledged = || broker.queue("q").expect("there").unacknowledged;
    for _ in 0..2 {
        consumer.recv().await.expect("a delivery").ack().expect("held");
    }
    assert_eq!(unacknowledged(), 2);
    // They go before the call that fails.
    fail(&channel).await;
    drop(channel.reopen().await.expect("reopened"));
    assert_eq!(unacknowledged(), 0);
    for body in ["c", "d"] {
        publish(&channel, "q", body).await;
    }
    for body in ["c", "d"] {
        let delivery = consumer.recv().await.expect("a delivery");
        assert_eq!(delivery.body.to_bytes(), body);
        delivery.ack().expect("held");
    }
    assert_eq!(unacknowledged(), 2, "they are held");
    channel.flush().await.expect("written");
    round_trip(&channel).await;
    assert_eq!(unacknowledged(), 0);
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_consumer_without_acks_was_sent_stays_readable_and_is_told_apart() {
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    let wanted = BasicConsume::new("q", Prefetch::Unlimited).no_ack(true);
    let mut consumer = channel.basic_consume(wanted).await.expect("a consumer");
    publish(&channel, "q", "before").await;
    round_trip(&channel).await;
    let before = channel.epoch();
    fail(&channel).await;
    assert_eq!(channel.reopen().await.expect("reopened").consumers, 1);
    publish(&channel, "q", "after").await;
    for (body, epoch) in [("before", before), ("after", channel.epoch())] {
        let delivery = consumer.recv().await.expect("a delivery");
        assert_eq!((&*delivery.body.to_bytes(), delivery.epoch()), (body.as_bytes(), epoch));
    }
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_of_streamed_bodies_goes_on_and_a_body_that_was_all_there_stays_readable() {
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    let wanted = BasicConsume::new("q", Prefetch::Count(5));
    let mut consumer = channel.basic_consume_streamed(wanted).await.expect("a consumer");
    publish(&channel, "q", "whole").await;
    let mut old = consumer.recv().await.expect("a delivery");
    round_trip(&channel).await;
    fail(&channel).await;
    assert!(consumer.recv().await.is_none());
    assert_eq!(channel.reopen().await.expect("reopened").consumers, 1);
    let mut again = consumer.recv().await.expect("it comes again");
    assert!(again.epoch() > old.epoch());
    for delivery in [&mut old, &mut again] {
        assert_eq!(delivery.body.chunk().await.expect("whole").expect("a piece"), "whole");
        assert_eq!(delivery.body.chunk().await.expect("whole"), None);
    }
    assert_eq!(old.ack().expect_err("over").kind(), ErrorKind::Stale);
    again.ack().expect("settled");
    round_trip(&channel).await;
    assert_eq!(broker.queue("q").expect("there").messages_ready, 0);
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_come_back_are_read_by_the_same_stream() {
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    let mut returns = channel.returns();
    fail(&channel).await;
    assert!(returns.recv().await.is_none());
    drop(channel.reopen().await.expect("reopened"));
    let back = BasicPublish::new("", "nobody", "back").mandatory(true);
    drop(channel.basic_publish(back).await.expect("sent"));
    assert_eq!(returns.recv().await.expect("it came back").body.to_bytes(), "back");
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_name_still_means_the_queue_declared_last() {
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    fail(&channel).await;
    drop(channel.reopen().await.expect("reopened"));
    let mut consumer = consume(&channel, "").await;
    publish(&channel, "q", "m").await;
    consumer.recv().await.expect("a delivery").ack().expect("settled");
    fail(&channel).await;
    read_out(&mut consumer).await;
    assert_eq!(channel.reopen().await.expect("reopened").consumers, 1);
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_was_reopened_comes_back_with_its_connection() {
    let broker = MemoryBroker::start();
    let connection = recovery::connect(&broker, Recovery::new()).await;
    let (channel, mut events) =
        (connection.channel_open().await.expect("a channel"), connection.events());
    channel.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("there");
    let mut consumer = consume(&channel, "q").await;
    let mut epochs = vec![channel.epoch()];
    for _ in 0..2 {
        fail(&channel).await;
        drop(channel.reopen().await.expect("reopened"));
        epochs.push(channel.epoch());
        broker.cut();
        let report = recovery::wholly_recovered(&mut events).await;
        assert_eq!((report.channels, report.consumers), (1, 1));
        epochs.push(channel.epoch());
        publish(&channel, "q", "m").await;
        consumer.recv().await.expect("a delivery").ack().expect("settled");
    }
    assert!(epochs.is_sorted_by(|one, next| one < next), "{epochs:?}");
    round_trip(&channel).await;
    assert_eq!(broker.queue("q").expect("there").messages_ready, 0);
    connection.close().await;
}
