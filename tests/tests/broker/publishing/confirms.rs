//! Confirm mode as a whole: waiting for everything, limits, messages that are handed back, returns as a stream, and
//! what a close tells of publishes.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use amqp_connector::{
    BasicPublish, BasicPublishStream, Channel, ConfirmOptions, ErrorKind, ExchangeDeclare, ExchangeDelete, FieldTable, Outcome, QueueDeclare,
    QueueBind, QueueDelete, QueueUnbind,
};
use amqp_tests::{Fixture, broker_test};

use super::{declare, publish};

/// A queue that takes one message and rejects the others.
async fn declare_full(t: &Fixture, channel: &Channel) -> String {
    let queue = t.name("full");
    let arguments = FieldTable::new()
        .try_with("x-max-length", 1_i32)
        .unwrap()
        .try_with("x-overflow", "reject-publish")
        .unwrap();
    let declare = QueueDeclare::new(&queue).exclusive(true).arguments(arguments);
    channel.queue_declare(declare).await.unwrap();
    queue
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

async fn send(channel: &Channel, message: BasicPublish) {
    drop(channel.basic_publish(message).await.unwrap());
}

#[test]
fn wait_for_confirms_counts_every_outcome_though_nobody_awaits_them() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let (queue, full) = (declare(t, &channel).await, declare_full(t, &channel).await);
        channel.confirm_select().await.unwrap();
        send(&channel, BasicPublish::new("", &full, "fills it")).await;
        let first = channel.wait_for_confirms().await.unwrap();
        assert!(first.all_acked() && first.acked == 1, "{first:?}");
        for n in 0..3000 {
            let key = match n % 3 {
                0 => queue.clone(),
                1 => t.name("nobody"),
                _ => full.clone(),
            };
            send(&channel, BasicPublish::new("", key, n.to_string()).mandatory(true)).await;
        }
        let counts = channel.wait_for_confirms().await.unwrap();
        println!("{counts:?}");
        assert_eq!(channel.unconfirmed(), 0);
        assert_eq!((counts.returned, counts.unknown), (1000, 0));
        assert_eq!(counts.acked + counts.nacked, 2000);
        // The queue may take another one before it knows that it is full.
        assert!(counts.nacked > 900, "{counts:?}");
        connection.close().await;
    });
}

#[test]
fn wait_for_confirms_fails_with_the_channel() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        assert_eq!(channel.wait_for_confirms().await.unwrap_err().kind(), ErrorKind::Invalid);
        channel.confirm_select().await.unwrap();
        send(&channel, BasicPublish::new(t.name("missing"), "", "x")).await;
        let error = channel.wait_for_confirms().await.unwrap_err();
        assert_eq!(error.close_reason().unwrap().code().map(|code| code.0), Some(404));
        connection.close().await;
    });
}

#[test]
fn limits_of_a_channel_hold_publishers_back_and_lose_nothing() {
    broker_test(async |t| {
        let connection = t.connect().await;
        for options in [
            ConfirmOptions::new().unconfirmed_max(10),
            ConfirmOptions::new().unconfirmed_octets_max(20_000),
        ] {
            let channel = connection.channel_open().await.unwrap();
            let queue = declare(t, &channel).await;
            channel.confirm_select_with(options).await.unwrap();
            let mut refused = 0;
            for _ in 0..500 {
                let message = BasicPublish::new("", &queue, vec![1; 1900]);
                if let Err(error) = channel.try_basic_publish(message.clone()).map(drop) {
                    assert_eq!(error.kind(), ErrorKind::Full);
                    refused += 1;
                    send(&channel, message).await;
                }
                assert!(channel.unconfirmed() <= 11);
            }
            let counts = channel.wait_for_confirms().await.unwrap();
            assert!(counts.acked == 500 && counts.all_acked(), "{counts:?}");
            assert!(refused > 0);
            channel.queue_delete(QueueDelete::new(&queue)).await.unwrap();
        }
        connection.close().await;
    });
}

#[test]
fn a_rejected_message_is_handed_back_and_can_be_published_again() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let (queue, full) = (declare(t, &channel).await, declare_full(t, &channel).await);
        channel.confirm_select_with(ConfirmOptions::new().retain(true)).await.unwrap();
        let mut again = Vec::new();
        for n in 0..20 {
            let message = BasicPublish::new("", &full, n.to_string()).message_id(n.to_string());
            let mut confirmation = channel.basic_publish(message).await.unwrap();
            match (&mut confirmation).await {
                Outcome::Acked => assert!(confirmation.take_message().is_none()),
                Outcome::Nacked => again.push((n, confirmation.take_message().unwrap())),
                other => panic!("{other:?}"),
            }
            assert!(confirmation.take_message().is_none(), "it is given once");
        }
        assert!(!again.is_empty());
        for (n, message) in again {
            let (publish, properties, body) = message.into_parts();
            assert_eq!(
                (publish.routing_key.to_string(), &body[..]),
                (full.clone(), n.to_string().as_bytes())
            );
            let message = BasicPublish::new("", &queue, body).properties(properties);
            assert!(channel.basic_publish(message).await.unwrap().await.is_acked());
        }
        // Awaited by value the confirmation is gone, and its message is the channel's.
        assert!(channel.take_failed().is_empty());
        let message = BasicPublish::new("", &full, "one more");
        let outcome = channel.basic_publish(message).await.unwrap().await;
        assert!(matches!(outcome, Outcome::Nacked), "{outcome:?}");
        let [message] = channel.take_failed().try_into().unwrap();
        assert_eq!(message.into_parts().2, "one more");
        connection.close().await;
    });
}

#[test]
fn messages_that_came_back_hold_publishers_until_somebody_asks_for_their_outcomes() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let budget = ConfirmOptions::new().retained_budget(1_000_000);
        channel.confirm_select_with(budget).await.unwrap();
        let message = BasicPublish::new("", t.name("missing"), vec![1; 100_000]).mandatory(true);
        let mut held = Vec::new();
        // They hold it, though everything is answered.
        while channel.unconfirmed() > 0 || held.len() < 2 {
            while let Ok(confirmation) = channel.try_basic_publish(message.clone()) {
                held.push(confirmation);
            }
            channel.wait_for_confirms().await.unwrap();
            match channel.try_basic_publish(message.clone()) {
                Ok(confirmation) => held.push(confirmation),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Full, "{error}"),
            }
        }
        assert!(held.len() <= 10, "{} of 100 kB are held in 1 MB", held.len());
        for confirmation in held {
            assert!(matches!(confirmation.await, Outcome::Returned(_)));
        }
        assert!(matches!(publish(&channel, message).await, Outcome::Returned(_)));
        connection.close().await;
    });
}

#[test]
fn a_channel_stays_open_as_long_as_a_confirmation_of_it_has_not_resolved() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = declare(t, &channel).await;
        channel.confirm_select().await.unwrap();
        let mut confirmation =
            channel.basic_publish(BasicPublish::new("", &queue, "x")).await.unwrap();
        drop(channel);
        assert_eq!(connection.channel_count(), 1);
        assert!((&mut confirmation).await.is_acked());
        while connection.channel_count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(confirmation);
        connection.close().await;
    });
}

#[test]
fn messages_without_an_answer_are_had_from_the_channel_that_was_closed() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = declare(t, &channel).await;
        channel.confirm_select_with(ConfirmOptions::new().retain(true)).await.unwrap();
        send(&channel, BasicPublish::new("", &queue, "answered")).await;
        assert!(channel.wait_for_confirms().await.unwrap().all_acked());
        let missing = t.name("missing");
        let mut accepted = 0;
        for n in 0..5 {
            // The broker may close the channel in between.
            let publish = channel.basic_publish(BasicPublish::new(&*missing, "", n.to_string()));
            accepted += usize::from(publish.await.map(drop).is_ok());
        }
        channel.closed().await;
        let bodies: Vec<String> = channel
            .take_failed()
            .into_iter()
            .map(|message| String::from_utf8(message.into_parts().2.to_vec()).unwrap())
            .collect();
        assert_eq!(bodies.concat(), "01234"[..accepted]);
        assert!(accepted > 0);
        connection.close().await;
    });
}

#[test]
fn a_missing_exchange_names_the_publish_its_place_and_what_had_no_answer() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = declare(t, &channel).await;
        channel.confirm_select().await.unwrap();
        let missing = t.name("it's missing");
        send(&channel, BasicPublish::new("", &queue, "fine")).await;
        let (line, publish) =
            (line!(), channel.basic_publish(BasicPublish::new(&*missing, "lost", "x")));
        drop(publish.await.unwrap());
        let reason = channel.closed().await;
        let blamed = reason.publish().unwrap();
        assert_eq!(blamed.exchange().map(ToString::to_string), Some(missing));
        assert_eq!(blamed.routing_key().map(ToString::to_string), Some("lost".to_owned()));
        assert_eq!(blamed.delivery_tag(), Some(2));
        let place = blamed.place().unwrap();
        assert_eq!((place.file(), place.line()), (file!(), line));
        assert!(reason.unconfirmed().iter().any(|tags| tags.contains(&2)), "{reason:?}");
        assert!(reason.to_string().contains("\"lost\""), "{reason}");
        connection.close().await;
    });
}

#[test]
fn a_close_of_the_connection_for_immediate_names_the_publish_and_its_place() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        channel.confirm_select().await.unwrap();
        // Of the others some are unconfirmed, too.
        for _ in 0..10 {
            send(&channel, BasicPublish::new("amq.direct", "other", "x")).await;
        }
        let message = BasicPublish::new("amq.topic", "key", "x").immediate(true);
        let (line, publish) = (line!(), channel.basic_publish(message));
        drop(publish.await.unwrap());
        send(&channel, BasicPublish::new("amq.direct", "other", "x")).await;
        let reason = connection.closed().await;
        assert_eq!(reason.method(), Some("basic.publish"), "{reason}");
        let blamed = reason.publish().unwrap();
        assert_eq!(blamed.exchange().map(ToString::to_string), Some("amq.topic".to_owned()));
        assert_eq!(blamed.routing_key().map(ToString::to_string), Some("key".to_owned()));
        assert_eq!((blamed.delivery_tag(), blamed.count()), (Some(11), 1));
        assert_eq!(blamed.candidates(), blamed.candidates_on(channel.id()));
        assert_eq!(reason.place().map(|place| place.line()), Some(line));
        assert!(reason.unconfirmed().iter().any(|tags| tags.contains(&11)), "{reason:?}");
        assert_eq!(reason.unconfirmed(), reason.unconfirmed_on(channel.id()));
    });
}

#[test]
fn an_exchange_that_is_deleted_between_two_publishes_names_nothing_that_is_not_certain() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let owner = connection.channel_open().await.unwrap();
        let queue = declare(t, &owner).await;
        for round in 0..20 {
            let exchange = t.name(&format!("gone-{round}"));
            owner.exchange_declare(ExchangeDeclare::new(&exchange, "direct")).await.unwrap();
            owner.queue_bind(QueueBind::new(&queue, &exchange, "good")).await.unwrap();
            let channel = connection.channel_open().await.unwrap();
            channel.confirm_select().await.unwrap();
            send(&channel, BasicPublish::new(&*exchange, "good", "x")).await;
            let (line, delete) = (line!() + 3, ExchangeDelete::new(&exchange));
            let bad = async {
                let message = BasicPublish::new(&*exchange, "bad", "x");
                drop(channel.basic_publish(message).await.unwrap());
            };
            let (deleted, ()) = tokio::join!(channel.exchange_delete(delete), bad);
            deleted.unwrap();
            let reason = channel.closed().await;
            assert_eq!(reason.code().map(|code| code.0), Some(404), "{reason}");
            let blamed = reason.publish().unwrap();
            assert_eq!(blamed.exchange().map(ToString::to_string), Some(exchange));
            let key = blamed.routing_key().map(ToString::to_string);
            let told = (key.as_deref(), blamed.delivery_tag(), blamed.place().map(|it| it.line()));
            // The first one may have been confirmed by then.
            match blamed.count() {
                1 => assert_eq!(told, (Some("bad"), Some(2), Some(line)), "{reason:?}"),
                count => assert_eq!((count, told), (2, (None, None, None)), "{reason:?}"),
            }
            assert!(blamed.candidates().iter().any(|tags| tags.contains(&2)), "{reason:?}");
            assert_eq!(blamed.place(), reason.place());
        }
        connection.close().await;
    });
}

#[test]
fn a_missing_exchange_names_the_place_of_a_streamed_publish() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let missing = t.name("missing");
        let message = BasicPublishStream::new(&*missing, "key", 3);
        let (line, publish) = (line!(), connection.publish_reader(message, &b"abc"[..]));
        let error = publish.await.unwrap_err();
        let reason = error.close_reason().unwrap();
        assert_eq!(reason.method(), Some("basic.publish"), "{reason}");
        assert_eq!(reason.place().map(|place| place.line()), Some(line), "{reason}");
        assert_eq!(reason.publish().unwrap().count(), 1);
        connection.close().await;
    });
}

#[test]
fn an_invalid_property_names_the_only_publish_that_it_can_be() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = declare(t, &channel).await;
        channel.confirm_select().await.unwrap();
        send(&channel, BasicPublish::new("", &queue, "x").user_id("somebody else")).await;
        let reason = channel.closed().await;
        assert_eq!(reason.code().map(|code| code.0), Some(406), "{reason}");
        let blamed = reason.publish().unwrap();
        assert_eq!(blamed.routing_key().map(ToString::to_string), Some(queue));
        assert_eq!(blamed.delivery_tag(), Some(1));
        connection.close().await;
    });
}

#[test]
fn in_confirm_mode_a_return_that_has_its_publish_is_not_in_the_stream() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let mut returns = channel.returns();
        // Before confirm mode, and so nobody's outcome.
        let before = BasicPublish::new("", t.name("nobody"), "before").mandatory(true);
        send(&channel, before).await;
        channel.confirm_select().await.unwrap();
        let message = BasicPublish::new("", t.name("nobody"), "within").mandatory(true);
        let outcome = channel.basic_publish(message).await.unwrap().await;
        assert!(matches!(outcome, Outcome::Returned(_)), "{outcome:?}");
        channel.close().await.unwrap();
        assert_eq!(returns.recv().await.unwrap().body.to_bytes(), "before");
        assert!(returns.recv().await.is_none(), "it ends with the channel");
        connection.close().await;
    });
}

#[test]
fn a_return_from_before_confirm_mode_is_not_taken_for_an_equal_publish_after_it() {
    broker_test(async |t| {
        let connection = t.connect().await;
        for _ in 0..20 {
            let channel = connection.channel_open().await.unwrap();
            let mut returns = channel.returns();
            let queue = t.name("late");
            let same = || BasicPublish::new("", &queue, "same").mandatory(true);
            send(&channel, same()).await;
            // All of it is on its way before the broker answers anything.
            let mut declared = channel.queue_declare(QueueDeclare::new(&queue).exclusive(true));
            let mut selected = channel.confirm_select();
            assert!(poll_once(&mut declared).is_pending());
            assert!(poll_once(&mut selected).is_pending());
            let confirmation = channel.basic_publish(same()).await.unwrap();
            declared.await.unwrap();
            selected.await.unwrap();
            assert!(confirmation.await.is_acked());
            assert_eq!(returns.recv().await.unwrap().body.to_bytes(), "same");
            channel.queue_delete(QueueDelete::new(&queue)).await.unwrap();
            channel.close().await.unwrap();
        }
        connection.close().await;
    });
}

#[test]
fn tasks_that_await_each_confirmation_share_the_smallest_limit() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = declare(t, &channel).await;
        channel.confirm_select_with(ConfirmOptions::new().unconfirmed_max(1)).await.unwrap();
        let tasks = (0..3).map(|_| {
            let (channel, queue) = (channel.clone(), queue.clone());
            tokio::spawn(async move {
                for n in 0..300 {
                    let message = BasicPublish::new("", &queue, n.to_string());
                    assert!(channel.basic_publish(message).await.unwrap().await.is_acked());
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        connection.close().await;
    });
}

#[test]
fn of_identical_messages_some_rejected_and_some_unroutable_none_is_told_as_acked() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let full = declare_full(t, &channel).await;
        let key = t.name("key");
        channel.queue_bind(QueueBind::new(&full, "amq.direct", &key)).await.unwrap();
        channel.confirm_select().await.unwrap();
        for _ in 0..3 {
            send(&channel, BasicPublish::new("", &full, "fills it")).await;
        }
        channel.wait_for_confirms().await.unwrap();
        for _ in 0..20 {
            let same = || BasicPublish::new("amq.direct", &key, "same").mandatory(true);
            let mut confirmations = Vec::new();
            for _ in 0..20 {
                confirmations.push(channel.basic_publish(same()).await.unwrap());
            }
            let unbind = QueueUnbind::new(&full, "amq.direct", &key);
            let unbind = {
                let channel = channel.clone();
                tokio::spawn(async move { channel.queue_unbind(unbind).await })
            };
            tokio::task::yield_now().await;
            for _ in 0..20 {
                confirmations.push(channel.basic_publish(same()).await.unwrap());
            }
            unbind.await.unwrap().unwrap();
            for confirmation in confirmations {
                let outcome = confirmation.await;
                assert!(matches!(outcome, Outcome::Nacked | Outcome::Returned(_)), "{outcome:?}");
            }
            channel.queue_bind(QueueBind::new(&full, "amq.direct", &key)).await.unwrap();
        }
        connection.close().await;
    });
}
