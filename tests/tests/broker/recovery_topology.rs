//! What was declared on a connection that comes back, on a real broker: everything that is still wanted, under its present name.

use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Channel, Connection, Entity, Event, Events,
    ExchangeDeclare, ExchangeDelete, Prefetch, QueueBind, QueueDeclare, QueueDelete, RecoveryEvent,
    RecoveryReport,
};
use amqp_tests::{Fixture, broker_test};
use std::sync::Arc;

use crate::recovery::{quick, recovered};

async fn open(t: &Fixture) -> (Connection, Channel, Events) {
    let connection = t.connect_as(&t.connector().recovery(quick())).await;
    let (channel, events) = (connection.channel_open().await.unwrap(), connection.events());
    (connection, channel, events)
}

async fn lose(t: &Fixture, events: &mut Events) -> Arc<RecoveryReport> {
    t.close_connections("for the test").await.unwrap();
    recovered(events).await
}

fn exchanges(connection: &Connection) -> Vec<String> {
    connection.topology().exchanges.iter().map(|it| it.name.to_string()).collect()
}

fn queues(connection: &Connection) -> Vec<String> {
    connection.topology().queues.iter().map(|it| it.name.to_string()).collect()
}

/// Whether the broker has an exchange of this name. It costs a channel if not.
async fn has_exchange(connection: &Connection, name: &str) -> bool {
    let channel = connection.channel_open().await.unwrap();
    let declare = ExchangeDeclare::new(name, "fanout").passive(true);
    channel.exchange_declare(declare).await.is_ok()
}

async fn has_queue(connection: &Connection, name: &str) -> bool {
    let channel = connection.channel_open().await.unwrap();
    channel.queue_declare(QueueDeclare::new(name).passive(true)).await.is_ok()
}

/// Publishes a message and gets it from the queue.
async fn is_routed(channel: &Channel, exchange: &str, key: &str, queue: &str) -> bool {
    drop(channel.basic_publish(BasicPublish::new(exchange, key, "m")).await.unwrap());
    for _ in 0..200 {
        if let Some(got) = channel.basic_get(BasicGet::new(queue)).await.unwrap() {
            got.ack().unwrap();
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

#[test]
fn what_was_only_looked_for_or_has_gone_is_not_declared_again() {
    broker_test(async |t| {
        let (connection, channel, mut events) = open(t).await;
        let other = t.connect_as(&t.connector().recovery(quick())).await;
        let mut other_events = other.events();
        let theirs = other.channel_open().await.unwrap();
        let [passive, deleted, temporary, kept, source] =
            ["passive", "deleted", "temporary", "kept", "source"].map(|word| t.name(word));
        theirs.queue_declare(QueueDeclare::new(&passive).durable(true)).await.unwrap();
        channel.queue_declare(QueueDeclare::new(&passive).passive(true)).await.unwrap();
        channel.queue_declare(QueueDeclare::new(&kept).exclusive(true)).await.unwrap();
        channel.queue_declare(QueueDeclare::new(&deleted)).await.unwrap();
        channel.queue_delete(QueueDelete::new(&deleted)).await.unwrap();
        // One that goes with its last consumer.
        channel.queue_declare(QueueDeclare::new(&temporary).auto_delete(true)).await.unwrap();
        let consume = || BasicConsume::new(&temporary, Prefetch::Count(1));
        let mut first = channel.basic_consume(consume()).await.unwrap();
        let mut second = channel.basic_consume(consume()).await.unwrap();
        first.cancel().await.unwrap();
        assert_eq!(queues(&connection), [&kept, &temporary].map(Clone::clone));
        second.cancel().await.unwrap();
        assert_eq!(queues(&connection), std::slice::from_ref(&kept));
        assert!(!has_queue(&connection, &temporary).await, "so has the broker");
        // An exchange that is deleted by name.
        channel.exchange_declare(ExchangeDeclare::new(&source, "fanout")).await.unwrap();
        channel.queue_bind(QueueBind::new(&kept, &source, "")).await.unwrap();
        channel.exchange_delete(ExchangeDelete::new(&source)).await.unwrap();
        assert!(exchanges(&connection).is_empty() && connection.topology().bindings.is_empty());

        // Deleted while it is lost, it does not come back by the connection that had only looked for it.
        theirs.queue_delete(QueueDelete::new(&passive)).await.unwrap();
        let report = lose(t, &mut events).await;
        assert!(report.failures.is_empty(), "{report:?}");
        assert_eq!((report.exchanges, report.queues, report.bindings), (0, 1, 0));
        recovered(&mut other_events).await;
        for gone in [&passive, &deleted, &temporary] {
            assert!(!has_queue(&connection, gone).await, "{gone}");
        }
        assert!(!has_exchange(&connection, &source).await);
        assert!(is_routed(&channel, "", &kept, &kept).await);
        connection.close().await;
        other.close().await;
    });
}

#[test]
fn durable_and_transient_entities_come_back_as_they_were_declared() {
    broker_test(async |t| {
        let (connection, channel, mut events) = open(t).await;
        let exchange = t.name("exchange");
        let [durable, transient, exclusive] =
            ["durable", "transient", "exclusive"].map(|word| t.name(word));
        let declare = ExchangeDeclare::new(&exchange, "direct").durable(true);
        channel.exchange_declare(declare).await.unwrap();
        channel.queue_declare(QueueDeclare::new(&durable).durable(true)).await.unwrap();
        channel.queue_declare(QueueDeclare::new(&transient)).await.unwrap();
        channel.queue_declare(QueueDeclare::new(&exclusive).exclusive(true)).await.unwrap();
        for queue in [&durable, &transient, &exclusive] {
            channel.queue_bind(QueueBind::new(queue, &exchange, queue)).await.unwrap();
        }
        let message = BasicPublish::new(&exchange, &durable, "kept").persistent();
        drop(channel.basic_publish(message).await.unwrap());
        channel.queue_declare(QueueDeclare::new(&durable).passive(true)).await.unwrap();
        for _ in 0..2 {
            let report = lose(t, &mut events).await;
            assert!(report.failures.is_empty(), "{report:?}");
            assert_eq!((report.exchanges, report.queues, report.bindings), (1, 3, 3));
        }
        let recorded = connection.topology();
        let flags: Vec<_> = recorded.queues.iter().map(|it| (it.durable, it.exclusive)).collect();
        assert_eq!(flags, [(true, false), (false, false), (false, true)]);
        // The message that it had is there: it was not deleted and made anew.
        let kept = channel.basic_get(BasicGet::new(&durable)).await.unwrap().expect("a message");
        assert_eq!(kept.body.to_bytes(), "kept");
        kept.ack().unwrap();
        for queue in [&durable, &transient, &exclusive] {
            assert!(is_routed(&channel, &exchange, queue, queue).await, "{queue}");
            channel.queue_delete(QueueDelete::new(queue)).await.unwrap();
        }
        channel.exchange_delete(ExchangeDelete::new(&exchange)).await.unwrap();
        assert!(connection.topology().is_empty());
        connection.close().await;
    });
}

#[test]
fn a_queue_that_the_broker_names_has_its_new_name_everywhere_and_the_program_is_told() {
    broker_test(async |t| {
        let (connection, channel, mut events) = open(t).await;
        let exchange = t.name("exchange");
        channel.exchange_declare(ExchangeDeclare::new(&exchange, "direct")).await.unwrap();
        let mut names = Vec::new();
        let mut consumers = Vec::new();
        for _ in 0..2 {
            let declared =
                channel.queue_declare(QueueDeclare::new("").exclusive(true)).await.unwrap();
            let name = declared.queue.to_string();
            let key = format!("key {}", names.len());
            channel.queue_bind(QueueBind::new(&name, &exchange, key)).await.unwrap();
            channel.queue_bind(QueueBind::new(&name, &exchange, &name)).await.unwrap();
            let consume = BasicConsume::new(&name, Prefetch::Count(1));
            consumers.push(channel.basic_consume(consume).await.unwrap());
            names.push(name);
        }
        t.close_connections("for the test").await.unwrap();
        let mut renamed = Vec::new();
        let report = loop {
            match events.recv().await.expect("it comes back") {
                Event::Recovery(RecoveryEvent::QueueRenamed { old, new, .. }) => {
                    renamed.push((old.to_string(), new.to_string()));
                }
                Event::Recovery(RecoveryEvent::Recovered(report)) => break report,
                Event::Closed { reason, .. } => panic!("it is over: {reason}"),
                _ => {}
            }
        };
        assert!(report.failures.is_empty(), "{report:?}");
        assert_eq!((report.queues, report.bindings, report.consumers), (2, 4, 2));
        let [old, new]: [Vec<_>; 2] = [
            renamed.iter().map(|(old, _)| old.clone()).collect(),
            renamed.iter().map(|(_, new)| new.clone()).collect(),
        ];
        assert_eq!((old, queues(&connection)), (names, new.clone()));
        for (n, consumer) in consumers.iter_mut().enumerate() {
            for key in [format!("key {n}"), new[n].clone()] {
                drop(
                    channel
                        .basic_publish(BasicPublish::new(&exchange, &key, key.clone()))
                        .await
                        .unwrap(),
                );
                let delivery = consumer.recv().await.expect("routed");
                assert_eq!(delivery.body.to_bytes(), key);
                delivery.ack().unwrap();
            }
        }
        channel.exchange_delete(ExchangeDelete::new(&exchange)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn what_the_broker_refuses_is_told_and_everything_else_comes_back() {
    broker_test(async |t| {
        let (connection, channel, mut events) = open(t).await;
        let other = t.connect().await;
        let theirs = other.channel_open().await.unwrap();
        let exchange = t.name("exchange");
        channel.exchange_declare(ExchangeDeclare::new(&exchange, "direct")).await.unwrap();
        let [first, changed, last] = ["first", "changed", "last"].map(|word| t.name(word));
        for queue in [&first, &changed, &last] {
            channel.queue_declare(QueueDeclare::new(queue)).await.unwrap();
            channel.queue_bind(QueueBind::new(queue, &exchange, queue)).await.unwrap();
        }
        // Another program has made another one of it.
        theirs.queue_delete(QueueDelete::new(&changed)).await.unwrap();
        theirs.queue_declare(QueueDeclare::new(&changed).durable(true)).await.unwrap();
        let report = lose(t, &mut events).await;
        let failed: Vec<_> = report.failures.iter().map(|it| it.entity.clone()).collect();
        assert_eq!(failed, [Entity::Queue(changed.as_str().try_into().unwrap())]);
        let reason = report.failures[0].error.close_reason().unwrap();
        assert_eq!(reason.code().map(|code| code.0), Some(406), "{reason}");
        assert_eq!((report.exchanges, report.queues, report.bindings), (1, 2, 3));
        for queue in [&first, &changed, &last] {
            assert!(is_routed(&channel, &exchange, queue, queue).await, "{queue}");
            channel.queue_delete(QueueDelete::new(queue)).await.unwrap();
        }
        channel.exchange_delete(ExchangeDelete::new(&exchange)).await.unwrap();
        connection.close().await;
        other.close().await;
    });
}

amqp_connector::amqp_types::if_spec! { exchange.bind => {
    use amqp_connector::{ExchangeBind, ExchangeUnbind};

    #[test]
    fn bindings_between_exchanges_come_back_and_those_that_go_by_themselves_are_forgotten() {
        broker_test(async |t| {
            let (connection, channel, mut events) = open(t).await;
            let [from, middle, to, queue] =
                ["from", "middle", "to", "queue"].map(|word| t.name(word));
            for (name, auto_delete) in [(&from, false), (&middle, true), (&to, true)] {
                let declare = ExchangeDeclare::new(name, "topic").auto_delete(auto_delete);
                channel.exchange_declare(declare).await.unwrap();
            }
            channel.exchange_bind(ExchangeBind::new(&middle, &from, "a.*")).await.unwrap();
            channel.exchange_bind(ExchangeBind::new(&to, &middle, "*.b")).await.unwrap();
            channel.exchange_bind(ExchangeBind::new(&to, &from, "unbound")).await.unwrap();
            channel.exchange_unbind(ExchangeUnbind::new(&to, &from, "unbound")).await.unwrap();
            channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
            channel.queue_bind(QueueBind::new(&queue, &to, "#")).await.unwrap();
            for _ in 0..2 {
                let report = lose(t, &mut events).await;
                assert!(report.failures.is_empty(), "{report:?}");
                assert_eq!((report.exchanges, report.queues, report.bindings), (3, 1, 3));
                assert!(is_routed(&channel, &from, "a.b", &queue).await);
            }
            // With its last binding each of those two goes, and with it the binding to it.
            channel.queue_delete(QueueDelete::new(&queue)).await.unwrap();
            assert_eq!(exchanges(&connection), std::slice::from_ref(&from));
            assert!(connection.topology().bindings.is_empty());
            for gone in [&middle, &to] {
                assert!(!has_exchange(&connection, gone).await, "so has the broker: {gone}");
            }
            let report = lose(t, &mut events).await;
            assert_eq!((report.exchanges, report.queues, report.bindings), (1, 0, 0));
            channel.exchange_delete(ExchangeDelete::new(&from)).await.unwrap();
            connection.close().await;
        });
    }
} else {} }
