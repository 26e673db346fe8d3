//! Topologies as values, on a real broker: applied, compared, removed, and what is refused of them.

use amqp_connector::amqp_types::if_spec;
use amqp_connector::arguments::{ExchangeType, QueueType};
use amqp_connector::topology::{Comparison, Finding, Removal, TopologyError, TopologyReport};
use amqp_connector::{
    BasicGet, BasicPublish, Channel, Connection, DeclaredQueue, Destination, Entity, Error,
    ErrorKind, ExchangeBind, ExchangeDeclare, ExchangeDelete, QueueBind, QueueDeclare, QueueDelete,
    ShortStr, Topology,
};
use amqp_tests::{Fixture, broker_test};

use crate::quotas::{permit, user};
use crate::recovery::quick;

fn short(name: &str) -> ShortStr {
    ShortStr::try_from(name).unwrap()
}

/// An exchange, a quorum queue and another one, each with a binding.
fn orders(t: &Fixture) -> Result<Topology, TopologyError> {
    let (exchange, quorum, log) = (t.name("orders"), t.name("quorum"), t.name("log"));
    Topology::default()
        .with_exchange(ExchangeDeclare::new(&exchange, ExchangeType::Topic).durable(true))?
        .with_queue(
            QueueDeclare::new(&quorum)
                .durable(true)
                .queue_type(QueueType::Quorum)
                .delivery_limit(5)
                .dead_letter_exchange(&*exchange),
        )?
        .with_queue(QueueDeclare::new(&log).max_length(10))?
        .with_queue_binding(QueueBind::new(&quorum, &exchange, "order.new"))?
        .with_queue_binding(QueueBind::new(&log, &exchange, "#"))
}

/// What the broker closed the channel for.
fn code(error: &Error) -> Option<u16> {
    error.close_reason().and_then(|reason| reason.code()).map(|code| code.0)
}

/// What failed: its name, and the broker's code.
fn failures(report: &TopologyReport) -> Vec<(String, Option<u16>)> {
    let failures = report.failures();
    failures.map(|it| (it.entity.to_string(), it.error.as_ref().and_then(code))).collect()
}

fn finding<'a>(comparison: &'a Comparison, name: &str) -> &'a Finding {
    let of = |entity: &Entity| match entity {
        Entity::Exchange(it) | Entity::Queue(it) => *it == name,
        _ => false,
    };
    &comparison.findings.iter().find(|found| of(&found.entity)).unwrap().finding
}

async fn remove_all(topology: &Topology, connection: &Connection) {
    let removed = topology.remove(connection, Removal::new()).await.unwrap();
    assert!(removed.is_complete() && removed.topology.is_empty(), "{removed:#}");
}

async fn is_routed(channel: &Channel, exchange: &str, key: &str, queue: &str) -> bool {
    drop(channel.basic_publish(BasicPublish::new(exchange, key, "m")).await.unwrap());
    for _ in 0..1000 {
        if let Some(got) = channel.basic_get(BasicGet::new(queue)).await.unwrap() {
            got.ack().unwrap();
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

#[test]
fn a_topology_is_applied_again_and_again_found_to_be_the_same_and_removed() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let text = serde_json::to_string(&orders(t).unwrap()).unwrap();
        let orders: Topology = serde_json::from_str(&text).unwrap();
        for _ in 0..2 {
            let report = orders.apply(&connection).await.unwrap();
            assert!(report.is_complete(), "{report:#}");
            assert_eq!((report.steps.len(), &report.topology), (5, &orders));
        }
        assert!(is_routed(&channel, &t.name("orders"), "order.new", &t.name("quorum")).await);
        let comparison = orders.compare(&connection).await.unwrap();
        assert!(comparison.is_same(), "{comparison:#}");
        let asked = |it: &&amqp_connector::topology::Found| matches!(it.finding, Finding::Same);
        assert_eq!(comparison.findings.iter().filter(asked).count(), 3, "{comparison:#}");

        remove_all(&orders, &connection).await;
        let comparison = orders.compare(&connection).await.unwrap();
        let missing = |it: &amqp_connector::topology::Found| matches!(it.finding, Finding::Missing);
        assert!(comparison.findings.iter().all(missing), "{comparison:#}");
        assert_eq!(comparison.differences().count(), 5, "bindings have no ends: {comparison:#}");
        // To look for something makes nothing, and what is not there is removed.
        remove_all(&orders, &connection).await;
        assert_eq!(connection.channel_count(), 1, "those of its own are closed");
        connection.close().await;
    });
}

#[test]
fn what_is_there_and_different_is_told_by_name_and_stops_nothing_else() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let (exchange, log) = (t.name("orders"), t.name("log"));
        channel.exchange_declare(ExchangeDeclare::new(&exchange, "fanout")).await.unwrap();
        channel.queue_declare(QueueDeclare::new(&log).max_length(20)).await.unwrap();

        let orders = orders(t).unwrap();
        let report = orders.apply(&connection).await.unwrap();
        let told =
            [(format!("exchange {exchange:?}"), Some(406)), (format!("queue {log:?}"), Some(406))];
        assert_eq!(failures(&report), told, "{report:#}");
        assert!(report.to_string().contains(&exchange), "{report}");
        let error = report.clone().into_result().unwrap_err();
        assert!(matches!(error, TopologyError::Failed(_)), "{error}");
        assert!(std::error::Error::source(&error).is_some());

        let comparison = orders.compare(&connection).await.unwrap();
        for (name, word) in [(&exchange, "type"), (&log, "x-max-length")] {
            match finding(&comparison, name) {
                Finding::Different(error) => assert!(error.to_string().contains(word), "{error}"),
                other => panic!("{name}: {other}"),
            }
        }
        assert!(matches!(finding(&comparison, &t.name("quorum")), Finding::Same));

        // What is somebody else's is not what was applied: it stays.
        let removed = report.topology.remove(&connection, Removal::new()).await.unwrap();
        if_spec! { queue.unbind => {
            assert!(removed.is_complete(), "{removed:#}");
        } else {
            // Its queue stays, and is all that it could go with.
            let error = removed.failures().next().unwrap().error.clone().unwrap();
            assert_eq!((removed.failures().count(), error.kind()), (1, ErrorKind::Unsupported));
        } }
        assert_eq!(channel.queue_delete(QueueDelete::new(&log)).await.unwrap().message_count, 0);
        let passive = ExchangeDeclare::new(&exchange, "").passive(true);
        channel.exchange_declare(passive).await.unwrap();
        channel.exchange_delete(ExchangeDelete::new(&exchange)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn what_a_user_may_not_do_is_told_of_each_and_the_rest_is_done() {
    broker_test(async |t| {
        let name = t.name("user");
        let _user = user(t, &name).await;
        // May configure, write and read the exchange and one of the queues.
        permit(t, &name, &format!("{}(orders|log)$", t.name(""))).await;
        let greeted = t.connector().connect().await.unwrap();
        let connection = greeted.authenticate(&name, "secret").await.unwrap();
        let orders = orders(t).unwrap();
        let report = orders.apply(&connection).await.unwrap();
        let told: Vec<_> = failures(&report).into_iter().map(|(_, code)| code).collect();
        assert_eq!(told, [Some(403), Some(403)], "the queue and its binding: {report:#}");
        assert_eq!(report.topology.queues.len(), 1);

        // Somebody else makes it: it is there, and more is not to be known.
        let guest = t.connect().await;
        orders.apply(&guest).await.unwrap().into_result().unwrap();
        let comparison = orders.compare(&connection).await.unwrap();
        match finding(&comparison, &t.name("quorum")) {
            Finding::Exists(error) => assert_eq!(code(error), Some(403)),
            other => panic!("{other}"),
        }
        let removed = orders.remove(&connection, Removal::new()).await.unwrap();
        assert_eq!(removed.failures().count(), 2, "{removed:#}");
        let left = &removed.topology;
        assert_eq!((left.queues.len(), left.bindings.len(), left.exchanges.len()), (1, 1, 0));
        remove_all(left, &guest).await;
        connection.close().await;
        guest.close().await;
    });
}

#[test]
fn a_queue_that_may_not_go_keeps_its_binding_and_so_does_the_exchange() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let (exchange, log) = (t.name("orders"), t.name("log"));
        let mut topology = orders(t).unwrap();
        topology.queues.remove(0);
        topology.bindings.remove(0);
        topology.apply(&connection).await.unwrap().into_result().unwrap();
        assert!(is_routed(&channel, &exchange, "any", &log).await);
        drop(channel.basic_publish(BasicPublish::new(&exchange, "any", "m")).await.unwrap());
        channel.flush().await.unwrap();
        amqp_tests::await_depth(&channel, &log, 1).await;

        let careful = Removal::new().if_unused(true).if_empty(true);
        let removed = topology.remove(&connection, careful).await.unwrap();
        let codes: Vec<_> = failures(&removed).into_iter().map(|(_, code)| code).collect();
        assert_eq!(codes, [Some(406); 3], "{removed:#}");
        assert_eq!(removed.topology, topology);
        assert!(is_routed(&channel, &exchange, "any", &log).await);
        remove_all(&topology, &connection).await;
        connection.close().await;
    });
}

#[test]
fn what_would_cost_the_connection_or_is_the_brokers_own_is_not_asked_for() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let mut topology = orders(t).unwrap();
        let own = ExchangeDeclare::new("amq.topic", ExchangeType::Topic).durable(true);
        topology = topology.with_exchange(own).unwrap();
        topology.apply(&connection).await.unwrap().into_result().unwrap();
        let careful = Removal::new().if_unused(true);
        let removed = topology.remove(&connection, careful).await.unwrap();
        let names: Vec<_> = removed.failures().map(|it| it.entity.to_string()).collect();
        // The quorum queue stays, and what is bound to it.
        assert_eq!(names.len(), 4, "{removed:#}");
        let of = |name: &str| {
            let step = removed.failures().find(|it| it.entity.to_string().contains(name));
            step.and_then(|it| it.error.clone()).unwrap()
        };
        assert_eq!(of("queue").kind(), ErrorKind::Invalid);
        assert_eq!(of("amq.topic").kind(), ErrorKind::Invalid);
        assert!(connection.close_reason().is_none());
        topology.exchanges.pop();
        remove_all(&topology, &connection).await;
        connection.close().await;
    });
}

#[test]
fn exchanges_are_bound_to_exchanges_or_that_is_refused_by_its_name() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let (from, to, queue) = (t.name("from"), t.name("to"), t.name("q"));
        let topology = Topology::default()
            .with_queue_binding(QueueBind::new(&queue, &to, ""))
            .and_then(|it| it.with_exchange_binding(ExchangeBind::new(&to, &from, "")))
            .and_then(|it| it.with_queue(QueueDeclare::new(&queue)))
            .and_then(|it| it.with_exchange(ExchangeDeclare::new(&to, ExchangeType::Fanout)))
            .and_then(|it| it.with_exchange(ExchangeDeclare::new(&from, ExchangeType::Fanout)))
            .unwrap();
        let report = topology.apply(&connection).await.unwrap();
        let is_first = |at: usize| match &report.steps[at].entity {
            Entity::Binding(it) => it.destination == Destination::Exchange(short(&to)),
            _ => false,
        };
        assert!(is_first(3), "{report:#}");
        if_spec! { exchange.bind => {
            assert!(report.is_complete(), "{report:#}");
            let channel = connection.channel_open().await.unwrap();
            assert!(is_routed(&channel, &from, "", &queue).await);
            remove_all(&report.topology, &connection).await;
        } else {
            let failed: Vec<_> = report.failures().collect();
            let error = failed[0].error.as_ref().unwrap();
            assert_eq!((failed.len(), error.kind()), (1, ErrorKind::Unsupported), "{report:#}");
            assert!(error.to_string().contains("exchange.bind"), "{error}");
            remove_all(&report.topology, &connection).await;
        } }
        connection.close().await;
    });
}

#[test]
fn a_queue_that_the_broker_names_is_bound_by_its_name_and_removed_by_it() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let exchange = t.name("x");
        let mut topology = Topology::default()
            .with_exchange(ExchangeDeclare::new(&exchange, ExchangeType::Direct))
            .and_then(|it| it.with_queue_binding(QueueBind::new("mine", &exchange, "k")))
            .unwrap();
        let mut mine = DeclaredQueue::default();
        (mine.name, mine.server_named, mine.exclusive) = (short("mine"), true, true);
        topology.queues.push(mine);
        let report = topology.apply(&connection).await.unwrap();
        assert!(report.is_complete(), "{report:#}");
        let given = report.given_name("mine").unwrap().to_string();
        assert!(given.starts_with("amq.gen-"), "{given}");
        assert!(is_routed(&channel, &exchange, "k", &given).await);
        let comparison = report.topology.compare(&connection).await.unwrap();
        assert!(comparison.is_same(), "{comparison:#}");

        // Another connection's it is not, whatever it is called.
        let other = t.connect().await;
        let comparison = report.topology.compare(&other).await.unwrap();
        match finding(&comparison, &given) {
            Finding::Different(error) => assert_eq!(code(error), Some(405)),
            other => panic!("{other}"),
        }
        other.close().await;
        remove_all(&report.topology, &connection).await;
        connection.close().await;
    });
}

#[test]
fn what_is_applied_is_declared_again_after_a_loss_and_what_is_compared_is_not() {
    broker_test(async |t| {
        let connection = t.connect_as(&t.connector().recovery(quick())).await;
        let orders = orders(t).unwrap();
        let other = t.connect().await;
        orders.apply(&other).await.unwrap().into_result().unwrap();
        let comparison = orders.compare(&connection).await.unwrap();
        assert!(comparison.is_same() && connection.topology().is_empty(), "{comparison:#}");
        orders.apply(&connection).await.unwrap().into_result().unwrap();
        assert_eq!(connection.topology(), orders);
        remove_all(&connection.topology(), &connection).await;
        assert!(connection.topology().is_empty());
        other.close().await;
        connection.close().await;
    });
}

#[test]
fn a_type_that_the_broker_does_not_have_ends_the_connection_and_the_rest_is_told_of() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let topology = Topology::default()
            .with_exchange(ExchangeDeclare::new(t.name("x"), "x-unheard-of"))
            .and_then(|it| it.with_queue(QueueDeclare::new(t.name("q"))))
            .unwrap();
        let report = topology.apply(&connection).await.unwrap();
        assert_eq!(failures(&report).len(), 2, "{report:#}");
        assert!(report.steps[0].error.as_ref().unwrap().to_string().contains("x-unheard-of"));
        assert!(connection.close_reason().is_some() && report.topology.is_empty());
    });
}
