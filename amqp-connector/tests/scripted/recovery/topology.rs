//! What was declared: what is recorded of it, and what becomes of that.

use amqp_connector::amqp_types::if_spec;
use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::{
    BasicConsume, BasicPublish, Connection, Connector, ConsumerEnd, Destination, Entity, Event,
    ExchangeDeclare, Options, Prefetch, QueueBind, QueueDeclare, QueueDelete, Recovery,
    RecoveryEvent,
};

use super::{connect, connect_as, open, recovered, wholly_recovered};

fn queues(connection: &Connection) -> Vec<String> {
    connection.topology().queues.iter().map(|queue| queue.name.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_was_declared_is_recorded_and_what_is_gone_is_forgotten() {
    let broker = MemoryBroker::start();
    let (connection, channel, _) = open(&broker).await;
    assert!(connection.topology().is_empty());
    channel.queue_declare(QueueDeclare::new("kept")).await.expect("declared");
    channel.queue_declare(QueueDeclare::new("deleted")).await.expect("declared");
    channel.queue_declare(QueueDeclare::new("temporary").auto_delete(true)).await.expect("there");
    let other = broker.connect().await.expect("a connection");
    let theirs = other.channel_open().await.expect("a channel");
    theirs.queue_declare(QueueDeclare::new("theirs")).await.expect("declared");
    channel.queue_declare(QueueDeclare::new("theirs").passive(true)).await.expect("there");
    channel.exchange_declare(ExchangeDeclare::new("x", "topic")).await.expect("declared");
    channel.queue_bind(QueueBind::new("kept", "x", "a.#")).await.expect("bound");
    channel.queue_bind(QueueBind::new("deleted", "x", "b.#")).await.expect("bound");
    assert_eq!(queues(&connection), ["kept", "deleted", "temporary"]);
    let recorded = connection.topology();
    assert_eq!(recorded.exchanges[0].kind.to_string(), "topic");
    assert_eq!(recorded.bindings.len(), 2);

    channel.queue_delete(QueueDelete::new("deleted")).await.expect("deleted");
    let consume = BasicConsume::new("temporary", Prefetch::Count(1));
    channel.basic_consume(consume).await.expect("a consumer").cancel().await.expect("cancelled");
    assert_eq!(queues(&connection), ["kept"]);
    assert_eq!(connection.topology().bindings.len(), 1);
    let error = channel.queue_declare(QueueDeclare::new("kept").durable(true)).await;
    error.expect_err("it is another one");
    assert!(!connection.topology().queues[0].durable, "what failed changes nothing");
    connection.close().await;
    other.close().await;
}

#[tokio::test(start_paused = true)]
async fn exclusive_queues_and_all_bindings_come_back_and_messages_find_their_way() {
    let broker = MemoryBroker::start();
    let (connection, channel, mut events) = open(&broker).await;
    let declared = channel.queue_declare(QueueDeclare::new("").exclusive(true)).await.unwrap();
    let name = declared.queue.to_string();
    channel.exchange_declare(ExchangeDeclare::new("x", "direct")).await.expect("declared");
    channel.queue_bind(QueueBind::new(&name, "x", "key")).await.expect("bound");
    // The queue declared last has an empty name.
    channel.queue_bind(QueueBind::new("", "x", "other")).await.expect("bound");
    let consume = BasicConsume::new("", Prefetch::Count(3));
    let mut consumer = channel.basic_consume(consume).await.expect("a consumer");

    broker.cut();
    let mut renamed = None;
    let report = loop {
        match events.recv().await.expect("it comes back") {
            Event::Recovery(RecoveryEvent::QueueRenamed { old, new, .. }) => {
                assert_eq!(old.to_string(), name);
                renamed = Some(new.to_string());
            }
            Event::Recovery(RecoveryEvent::Recovered(report)) => break report,
            _ => {}
        }
    };
    assert!(report.failures.is_empty(), "{report:?}");
    let renamed = renamed.expect("it has another name");
    assert_ne!(renamed, name);
    assert_eq!(queues(&connection), std::slice::from_ref(&renamed));
    let destination = connection.topology().bindings[0].destination.clone();
    assert_eq!(destination, Destination::Queue(renamed.as_str().try_into().unwrap()));
    for key in ["key", "other"] {
        drop(channel.basic_publish(BasicPublish::new("x", key, key)).await.expect("sent"));
        assert_eq!(consumer.recv().await.expect("routed").body.to_bytes(), key);
    }
    // A second time, from what is recorded now.
    broker.cut();
    wholly_recovered(&mut events).await;
    drop(channel.basic_publish(BasicPublish::new("x", "key", "again")).await.expect("sent"));
    while consumer.recv().await.expect("routed").body.to_bytes() != "again" {}
    connection.close().await;
}

if_spec! { exchange.bind => {
    #[tokio::test(start_paused = true)]
    async fn exchanges_that_are_bound_to_exchanges_come_back() {
        let broker = MemoryBroker::start();
        let (connection, channel, mut events) = open(&broker).await;
        for name in ["from", "to"] {
            let declare = ExchangeDeclare::new(name, "fanout").auto_delete(name == "to");
            channel.exchange_declare(declare).await.expect("declared");
        }
        let bind = amqp_connector::ExchangeBind::new("to", "from", "");
        channel.exchange_bind(bind).await.expect("bound");
        channel.queue_declare(QueueDeclare::new("q").exclusive(true)).await.expect("declared");
        channel.queue_bind(QueueBind::new("q", "to", "")).await.expect("bound");
        broker.cut();
        let report = wholly_recovered(&mut events).await;
        assert_eq!((report.exchanges, report.queues, report.bindings), (2, 1, 2));
        drop(channel.basic_publish(BasicPublish::new("from", "", "m")).await.expect("sent"));
        channel.queue_declare(QueueDeclare::new("q").passive(true)).await.expect("a round trip");
        assert_eq!(broker.queue("q").expect("there").messages_ready, 1);
        // With its last queue the second exchange goes, and with that the binding to it.
        channel.queue_delete(QueueDelete::new("q")).await.expect("deleted");
        let left = connection.topology();
        assert_eq!((left.exchanges.len(), left.bindings.len()), (1, 0), "{left:?}");
        connection.close().await;
    }
} else {} }

#[tokio::test(start_paused = true)]
async fn what_cannot_be_restored_is_reported_and_stops_nothing_else() {
    let broker = MemoryBroker::start();
    let (connection, channel, mut events) = open(&broker).await;
    channel.exchange_declare(ExchangeDeclare::new("x", "direct")).await.expect("declared");
    for name in ["first", "changed", "last"] {
        channel.queue_declare(QueueDeclare::new(name).exclusive(true)).await.expect("declared");
        channel.queue_bind(QueueBind::new(name, "x", name)).await.expect("bound");
    }
    let other = broker.connect().await.expect("a connection");
    let theirs = other.channel_open().await.expect("a channel");
    theirs.queue_declare(QueueDeclare::new("theirs")).await.expect("declared");
    let mut consumers = Vec::new();
    for name in ["first", "changed", "theirs", "last"] {
        let consume = BasicConsume::new(name, Prefetch::Count(1));
        consumers.push(channel.basic_consume(consume).await.expect("a consumer"));
    }
    theirs.queue_delete(QueueDelete::new("theirs")).await.expect("deleted");
    // The peer's cancel is no loss: it is told at once, and that consumer is not to come back.
    assert!(consumers[2].recv().await.is_none());

    broker.cut();
    let another = broker.connect().await.expect("a connection");
    let taken = another.channel_open().await.expect("a channel");
    // Somebody has taken the name meanwhile, for a queue of another kind.
    taken.queue_declare(QueueDeclare::new("changed").durable(true)).await.expect("declared");
    let report = recovered(&mut events).await;
    let failed: Vec<_> = report.failures.iter().map(|failure| failure.entity.clone()).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0], Entity::Queue("changed".try_into().unwrap()));
    assert_eq!((report.queues, report.bindings, report.consumers), (2, 3, 3));
    assert!(report.failures[0].to_string().contains("changed"), "{}", report.failures[0]);
    for name in ["first", "last"] {
        drop(channel.basic_publish(BasicPublish::new("x", name, name)).await.expect("sent"));
    }
    assert_eq!(consumers[0].recv().await.expect("routed").body.to_bytes(), "first");
    assert_eq!(consumers[3].recv().await.expect("routed").body.to_bytes(), "last");
    connection.close().await;
    another.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_of_a_queue_that_is_gone_ends_and_the_others_of_its_channel_go_on() {
    let broker = MemoryBroker::start();
    let connection = connect(
        &broker,
        Recovery::new().edit_topology(|topology| {
            topology.queues.retain(|queue| queue.name != "unwanted");
        }),
    )
    .await;
    let channel = connection.channel_open().await.expect("a channel");
    let mut events = connection.events();
    let mut consumers = Vec::new();
    for name in ["first", "unwanted", "last"] {
        channel.queue_declare(QueueDeclare::new(name).exclusive(true)).await.expect("declared");
        let consume = BasicConsume::new(name, Prefetch::Count(2));
        consumers.push(channel.basic_consume(consume).await.expect("a consumer"));
    }
    broker.cut();
    let report = recovered(&mut events).await;
    let failed: Vec<_> = report.failures.iter().map(|failure| failure.entity.clone()).collect();
    assert!(
        matches!(&failed[..], [Entity::Consumer { channel: 1, queue, .. }] if *queue == "unwanted"),
        "{failed:?}"
    );
    assert_eq!((report.queues, report.channels, report.consumers), (2, 1, 2));
    assert!(consumers[1].recv().await.is_none());
    match consumers[1].end() {
        Some(ConsumerEnd::Closed(reason)) => {
            assert_eq!(reason.code().map(|code| code.0), Some(404));
        }
        other => panic!("{other:?}"),
    }
    for (at, name) in [(0, "first"), (2, "last")] {
        drop(channel.basic_publish(BasicPublish::new("", name, name)).await.expect("sent"));
        let delivery = consumers[at].recv().await.expect("a delivery");
        delivery.ack().expect("settled");
    }
    channel.queue_declare(QueueDeclare::new("first").passive(true)).await.expect("a round trip");
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn everything_comes_back_though_no_channel_has_a_number_to_spare() {
    let broker = MemoryBroker::start();
    let mut options = Options::default();
    options.channel_max = 2;
    let connector = Connector::new().options(options).recovery(Recovery::new());
    let connection = connect_as(&broker, connector).await;
    let channels =
        [connection.channel_open().await, connection.channel_open().await].map(Result::unwrap);
    let mut events = connection.events();
    let mut consumers = Vec::new();
    for name in ["first", "taken", "last"] {
        channels[1].queue_declare(QueueDeclare::new(name).exclusive(true)).await.expect("declared");
        let consume = BasicConsume::new(name, Prefetch::Count(1));
        consumers.push(channels[0].basic_consume(consume).await.expect("a consumer"));
    }
    for taken in [false, true] {
        broker.cut();
        let other = broker.connect().await.expect("a connection");
        let theirs = other.channel_open().await.expect("a channel");
        if taken {
            // It costs the channel on which it is asked for.
            theirs.queue_declare(QueueDeclare::new("taken").durable(true)).await.expect("theirs");
        }
        let report = recovered(&mut events).await;
        assert_eq!(report.failures.len(), usize::from(taken), "{report:?}");
        assert_eq!((report.queues, report.channels), (3 - usize::from(taken), 2), "{report:?}");
        assert_eq!(report.consumers, 3);
        other.close().await;
    }
    for (at, name) in [(0, "first"), (2, "last")] {
        drop(channels[1].basic_publish(BasicPublish::new("", name, name)).await.expect("sent"));
        consumers[at].recv().await.expect("a delivery").ack().expect("settled");
    }
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_went_with_its_last_consumer_is_not_declared_again_however_that_went() {
    for lost in [false, true] {
        let broker = MemoryBroker::start();
        let (connection, channel, mut events) = open(&broker).await;
        channel.queue_declare(QueueDeclare::new("q").auto_delete(true)).await.expect("declared");
        let other = connection.channel_open().await.expect("a channel");
        let consume = BasicConsume::new("q", Prefetch::Count(1));
        let consumer = other.basic_consume(consume).await.expect("a consumer");
        match lost {
            false => {
                let missing = QueueDeclare::new("missing").passive(true);
                other.queue_declare(missing).await.expect_err("the broker closes the channel");
                assert!(broker.queue("q").is_none());
                broker.cut();
            }
            true => {
                broker.cut();
                super::lost(&connection).await;
                drop(consumer);
            }
        }
        let report = wholly_recovered(&mut events).await;
        assert_eq!((report.queues, report.consumers), (0, 0));
        assert!(broker.queue("q").is_none() && connection.topology().is_empty());
        connection.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_exclusive_consumer_comes_back_once_the_broker_has_missed_the_old_one() {
    let broker = MemoryBroker::start();
    let (connection, channel, mut events) = open(&broker).await;
    channel.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("declared");
    let consume = BasicConsume::new("q", Prefetch::Count(1)).exclusive(true);
    let mut consumer = channel.basic_consume(consume.clone()).await.expect("a consumer");
    broker.cut();
    let other = broker.connect().await.expect("a connection");
    let theirs = other.channel_open().await.expect("a channel");
    let old = theirs.basic_consume(consume).await.expect("as if of the old connection");
    tokio::time::sleep(2 * super::SECOND).await;
    assert!(connection.is_recovering());
    drop(old);
    let report = wholly_recovered(&mut events).await;
    assert_eq!(report.consumers, 1);
    drop(channel.basic_publish(BasicPublish::new("", "q", "m")).await.expect("sent"));
    consumer.recv().await.expect("a delivery").ack().expect("settled");
    connection.close().await;
    other.close().await;
}

#[tokio::test(start_paused = true)]
async fn subscribers_are_told_of_the_program_s_own_channels_only() {
    let broker = MemoryBroker::start();
    let (connection, channel, mut events) = open(&broker).await;
    channel.queue_declare(QueueDeclare::new("q").exclusive(true)).await.expect("declared");
    broker.cut();
    let mut told = Vec::new();
    loop {
        let event = events.recv().await.expect("it comes back");
        if let Event::Recovery(RecoveryEvent::Recovered(_)) = event {
            break;
        }
        told.push(event.to_string());
    }
    assert!(!told.iter().any(|event| event.contains("channel")), "{told:?}");
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_name_means_the_queue_declared_last_after_a_recovery_too() {
    let broker = MemoryBroker::start();
    let (connection, channel, mut events) = open(&broker).await;
    channel.queue_declare(QueueDeclare::new("").exclusive(true)).await.expect("declared");
    channel.exchange_declare(ExchangeDeclare::new("x", "direct")).await.expect("declared");
    // With an empty key beside it, that is the queue's name.
    channel.queue_bind(QueueBind::new("", "x", "")).await.expect("bound");
    broker.cut();
    wholly_recovered(&mut events).await;
    let name = queues(&connection)[0].clone();
    channel.queue_bind(QueueBind::new("", "amq.topic", "key")).await.expect("bound");
    let consume = BasicConsume::new("", Prefetch::Count(2));
    let mut consumer = channel.basic_consume(consume).await.expect("a consumer");
    for (exchange, key) in [("x", &*name), ("amq.topic", "key")] {
        drop(channel.basic_publish(BasicPublish::new(exchange, key, "m")).await.expect("sent"));
        consumer.recv().await.expect("routed").ack().expect("settled");
    }
    channel.queue_delete(QueueDelete::new("")).await.expect("deleted");
    assert!(connection.topology().queues.is_empty());
    connection.close().await;
}
