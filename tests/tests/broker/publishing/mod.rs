//! Publishing: what becomes of a message, under specifications with confirms and without.

mod builder;
mod large;
mod pacing;
mod sizes;
mod transactions;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::{
    BasicGet, BasicPublish, Channel, ErrorKind, ExchangeDeclare, ExchangeDelete, FieldTable,
    Outcome, QueueBind, QueueDeclare, basic,
};
use amqp_tests::{Fixture, broker_test};

async fn declare(t: &Fixture, channel: &Channel) -> String {
    let queue = t.name("queue");
    channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
    queue
}

async fn publish(channel: &Channel, message: BasicPublish) -> Outcome {
    channel.basic_publish(message).await.unwrap().await
}

#[test]
fn message_without_confirms_counts_as_accepted() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = declare(t, &channel).await;
        let outcome = publish(&channel, BasicPublish::new("", &queue, "one")).await;
        assert!(matches!(outcome, Outcome::Accepted), "{outcome:?}");
        let got = channel.basic_get(BasicGet::new(&queue).no_ack(true)).await.unwrap().unwrap();
        assert_eq!(&got.body.to_bytes()[..], b"one");
        assert_eq!((got.exchange.to_string(), got.routing_key.to_string()), (String::new(), queue));
        connection.close().await;
    });
}

#[test]
fn returned_message_comes_back_whole() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let properties = basic::Properties { priority: Some(3), ..Default::default() };
        let key = t.name("nobody");
        let message = BasicPublish::new("", &key, "back").mandatory(true);
        drop(channel.basic_publish(message.properties(properties.clone())).await.unwrap());
        let returned = channel.returned().await.unwrap();
        // 0-9-1 took the code's name away, and brokers go on sending it.
        assert_eq!(returned.reply_code.0, 312);
        assert_eq!(returned.routing_key, *key);
        assert_eq!(returned.properties, properties);
        assert_eq!(&returned.body.to_bytes()[..], b"back");
        connection.close().await;
    });
}

#[test]
fn without_confirms_an_exchange_that_is_deleted_between_two_publishes_names_neither_of_them() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let (queue, exchange) = (declare(t, &channel).await, t.name("gone"));
        channel.exchange_declare(ExchangeDeclare::new(&exchange, "direct")).await.unwrap();
        channel.queue_bind(QueueBind::new(&queue, &exchange, "good")).await.unwrap();
        drop(channel.basic_publish(BasicPublish::new(&*exchange, "good", "x")).await.unwrap());
        channel.exchange_delete(ExchangeDelete::new(&exchange)).await.unwrap();
        drop(channel.basic_publish(BasicPublish::new(&*exchange, "bad", "x")).await.unwrap());
        let reason = channel.closed().await;
        assert_eq!(reason.code().map(|code| code.0), Some(404), "{reason}");
        let blamed = reason.publish().unwrap();
        assert_eq!(blamed.exchange().map(ToString::to_string), Some(exchange));
        assert_eq!((blamed.count(), blamed.routing_key(), blamed.place()), (0, None, None));
        assert_eq!((blamed.delivery_tag(), reason.place()), (None, None));
        connection.close().await;
    });
}

#[test]
fn publish_to_a_missing_exchange_closes_the_channel() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let missing = t.name("missing");
        let line = line!() + 1;
        drop(channel.basic_publish(BasicPublish::new(&*missing, "key", "x")).await.unwrap());
        let reason = channel.closed().await;
        assert_eq!(reason.code().map(|code| code.0), Some(404));
        assert_eq!(reason.method(), Some("basic.publish"));
        // It was the only one of its channel.
        let blamed = reason.publish().unwrap();
        assert_eq!(blamed.exchange().map(ToString::to_string), Some(missing));
        assert_eq!(blamed.routing_key().map(ToString::to_string).as_deref(), Some("key"));
        assert_eq!(blamed.delivery_tag(), None);
        assert_eq!(reason.place().map(|place| place.line()), Some(line));
        connection.close().await;
    });
}

#[test]
fn name_over_255_octets_is_refused_before_it_is_sent() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let message = BasicPublish::new("", "k".repeat(256), "x");
        let error = channel.basic_publish(message).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let error = channel.queue_declare(QueueDeclare::new("q".repeat(256))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        declare(t, &channel).await;
        connection.close().await;
    });
}

#[test]
fn arguments_that_the_broker_refuses_are_a_soft_error() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let arguments = FieldTable::new().try_with("x-message-ttl", "soon").unwrap();
        let declare = QueueDeclare::new(t.name("q")).exclusive(true).arguments(arguments);
        let error = channel.queue_declare(declare).await.unwrap_err();
        assert_eq!(error.close_reason().unwrap().code().map(|code| code.0), Some(406));
        connection.close().await;
    });
}

if_spec! { confirm.select => {
    mod changed;
    mod confirms;
    mod outcomes;
    mod unanswered;

    #[test]
    fn confirmed_message_is_acked() {
        broker_test(async |t| {
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            let queue = declare(t, &channel).await;
            channel.confirm_select().await.unwrap();
            let outcome = publish(&channel, BasicPublish::new("", &queue, "one")).await;
            assert!(outcome.is_acked(), "{outcome:?}");
            assert_eq!(channel.unconfirmed(), 0);
            connection.close().await;
        });
    }

    #[test]
    fn each_of_many_publishes_in_flight_gets_its_own_outcome() {
        broker_test(async |t| {
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            let queue = declare(t, &channel).await;
            channel.confirm_select().await.unwrap();
            let mut pending = Vec::new();
            for n in 0..1000 {
                let key = if n % 7 == 0 { t.name("nobody") } else { queue.clone() };
                let message = BasicPublish::new("", key, n.to_string()).mandatory(true);
                pending.push((n, channel.basic_publish(message).await.unwrap()));
            }
            for (n, confirmation) in pending {
                match confirmation.await {
                    Outcome::Acked => assert_ne!(n % 7, 0, "message {n} was routed nowhere"),
                    Outcome::Returned(returned) => {
                        assert_eq!(n % 7, 0, "message {n} was routed");
                        assert_eq!(returned.body.to_bytes(), n.to_string());
                    }
                    other => panic!("message {n}: {other:?}"),
                }
            }
            connection.close().await;
        });
    }

    #[test]
    fn message_that_a_full_queue_rejects_is_nacked() {
        broker_test(async |t| {
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            let queue = t.name("full");
            let arguments = FieldTable::new()
                .try_with("x-max-length", 1_i32).unwrap()
                .try_with("x-overflow", "reject-publish").unwrap();
            let declare = QueueDeclare::new(&queue).exclusive(true).arguments(arguments);
            channel.queue_declare(declare).await.unwrap();
            channel.confirm_select().await.unwrap();
            let mut outcomes = Vec::new();
            for _ in 0..4 {
                outcomes.push(publish(&channel, BasicPublish::new("", &queue, "x")).await);
            }
            assert!(outcomes[0].is_acked(), "{outcomes:?}");
            assert!(matches!(outcomes[3], Outcome::Nacked), "{outcomes:?}");
            connection.close().await;
        });
    }

    #[test]
    fn outcome_of_what_is_pending_when_the_channel_fails_is_unknown() {
        broker_test(async |t| {
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            channel.confirm_select().await.unwrap();
            let lost = BasicPublish::new(t.name("missing"), "", "x");
            let outcome = publish(&channel, lost).await;
            let Outcome::Unknown(reason) = &outcome else { panic!("{outcome:?}") };
            assert!(reason.to_string().contains("404"), "{reason}");
            connection.close().await;
        });
    }
} else {
    #[test]
    fn confirms_are_unsupported_where_the_specification_has_none() {
        broker_test(async |t| {
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            let error = channel.confirm_select().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            let queue = declare(t, &channel).await;
            let outcome = publish(&channel, BasicPublish::new("", &queue, "one")).await;
            assert!(matches!(outcome, Outcome::Accepted), "{outcome:?}");
            connection.close().await;
        });
    }
} }
