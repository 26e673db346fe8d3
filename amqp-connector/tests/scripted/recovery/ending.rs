//! How a recovery ends otherwise than well: by the policy, by the program, by its runtime.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use amqp_connector::testing::broker::{MemoryBroker, Settings};
use amqp_connector::{
    BasicConsume, BasicPublish, CloseCause, ConnectError, Connection, Connector, Event, Prefetch,
    QueueDeclare, Recovery, RecoveryEvent,
};
use tokio::time::Instant;

use super::{SECOND, connect_as, lost, open, wholly_recovered};
use crate::support::await_no_tasks;

/// A connection to a broker that, after the first one, is reached by what `then` gives.
async fn connect_then<F>(
    broker: &MemoryBroker,
    recovery: Recovery,
    then: impl Fn(usize) -> F + Send + Sync + 'static,
) -> Connection
where
    F: Future<Output = io::Result<tokio::io::DuplexStream>> + Send + 'static,
{
    let (broker, dialled, then) = (broker.clone(), Arc::new(AtomicUsize::new(0)), Arc::new(then));
    let dial = move || {
        let attempt = dialled.fetch_add(1, Ordering::Relaxed);
        let (broker, then) = (broker.clone(), then.clone());
        async move {
            match attempt {
                0 => Ok(broker.transport()),
                attempt => then(attempt).await,
            }
        }
    };
    let greeted = Connector::new().recovery(recovery).connect_by(dial).await.expect("greeted");
    greeted.authenticate("guest", "guest").await.expect("welcome")
}

#[tokio::test(start_paused = true)]
async fn after_as_many_attempts_as_are_allowed_it_ends_as_it_was_lost() {
    let broker = MemoryBroker::start();
    let refused = |_| async { Err(io::ErrorKind::ConnectionRefused.into()) };
    let recovery = Recovery::new().backoff(SECOND, 4 * SECOND).max_attempts(4);
    let connection = connect_then(&broker, recovery, refused).await;
    let channel = connection.channel_open().await.expect("a channel");
    channel.queue_declare(QueueDeclare::new("q")).await.expect("declared");
    let consume = BasicConsume::new("q", Prefetch::Count(1));
    let mut consumer = channel.basic_consume(consume).await.expect("a consumer");
    let mut events = connection.events();
    let began = Instant::now();
    broker.close_connections(320, "CONNECTION_FORCED - bye");
    lost(&connection).await;
    let waits = channel.basic_publish(BasicPublish::new("", "q", "never"));
    let (reason, published) = tokio::join!(connection.closed(), waits);
    assert_eq!(reason.code().map(|code| code.0), Some(320));
    assert_eq!(published.expect_err("over").close_reason().and_then(|it| it.code()), reason.code());
    assert!(consumer.recv().await.is_none());
    // Pauses of 1, 2, 4 and 4 seconds, each cut by up to a half.
    let took = began.elapsed();
    assert!((SECOND * 11 / 2..SECOND * 12).contains(&took), "{took:?}");
    let mut failed = 0;
    while let Some(event) = events.recv().await {
        if let Event::Recovery(RecoveryEvent::AttemptFailed { attempt, error, .. }) = event {
            failed += 1;
            assert_eq!(attempt, failed);
            assert!(matches!(*error, ConnectError::Io { .. }), "{error}");
        }
    }
    assert_eq!(failed, 4);
    drop((connection, channel, consumer, events));
    drop(broker);
    await_no_tasks().await;
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_refused_now_end_it_at_once() {
    let broker = MemoryBroker::start();
    let settings = Settings::new().user("guest", "another password");
    let changed = MemoryBroker::start_with(settings);
    let transport = move |_| {
        let changed = changed.clone();
        async move { Ok(changed.transport()) }
    };
    let connection = connect_then(&broker, Recovery::new(), transport).await;
    let mut events = connection.events();
    broker.cut();
    connection.closed().await;
    let mut errors = Vec::new();
    while let Some(event) = events.recv().await {
        if let Event::Recovery(RecoveryEvent::AttemptFailed { error, .. }) = event {
            errors.push(error);
        }
    }
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(matches!(&*errors[0], ConnectError::CredentialsRefused { .. }), "{}", errors[0]);
}

amqp_connector::amqp_types::if_spec! { connection.update_secret => {
    #[tokio::test(start_paused = true)]
    async fn it_comes_back_by_the_secret_that_the_broker_was_given_last() {
        let broker = MemoryBroker::start();
        let changed = MemoryBroker::start_with(Settings::new().user("guest", "a newer token"));
        let transport = move |_| {
            let changed = changed.clone();
            async move { Ok(changed.transport()) }
        };
        let connection = connect_then(&broker, Recovery::new(), transport).await;
        let mut events = connection.events();
        connection.update_secret("a newer token", "the old one expires").await.expect("taken");
        broker.cut();
        wholly_recovered(&mut events).await;
        connection.close().await;
    }
} else {} }

#[tokio::test(start_paused = true)]
async fn the_program_ends_it_in_the_middle_in_every_way() {
    for way in 0..4 {
        let broker = MemoryBroker::start();
        let silent = |_| std::future::pending();
        let connection = connect_then(&broker, Recovery::new(), silent).await;
        let channel = connection.channel_open().await.expect("a channel");
        broker.cut();
        lost(&connection).await;
        let began = Instant::now();
        match way {
            0 => {
                let reason = connection.close().await;
                assert_eq!(reason.cause(), CloseCause::Requested);
                assert_eq!(channel.closed().await.cause(), CloseCause::Requested);
            }
            1 => {
                connection.abort();
                assert_eq!(connection.closed().await.cause(), CloseCause::Aborted);
            }
            2 => drop(channel.close().await),
            _ => {}
        }
        drop((connection, channel));
        drop(broker);
        await_no_tasks().await;
        assert!(began.elapsed() < SECOND, "way {way}: {:?}", began.elapsed());
    }
}

#[test]
fn with_its_runtime_it_ends_for_good() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let (connection, channel) = first.block_on(async {
        let broker = MemoryBroker::start();
        let (connection, channel, _) = open(&broker).await;
        broker.cut();
        lost(&connection).await;
        (connection, channel)
    });
    drop(first);
    runtime().block_on(async {
        assert_eq!(connection.closed().await.cause(), CloseCause::DriverDropped);
        let error = channel.basic_publish(BasicPublish::new("", "q", "x")).await;
        assert!(error.expect_err("over").close_reason().is_some());
        connection.close().await;
    });
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_recovered_is_not_begun() {
    let broker = MemoryBroker::start();
    let connector = Connector::new().recovery(Recovery::new());
    let once = broker.connect_as(&connector, "guest", "guest").await.expect_err("once only");
    assert!(matches!(once, ConnectError::NoRecovery { .. }), "{once}");
    assert!(once.to_string().contains("connect_by"), "{once}");
    assert!(broker.connections().is_empty());
}

/// Cuts every connection after so many octets from the broker.
#[tokio::test(start_paused = true)]
async fn losses_in_the_middle_of_a_recovery_are_recovered_from_wherever_they_come() {
    use amqp_connector::testing::{Ending, Faults, Faulty};
    let mut cuts = 0;
    for octets in 1.. {
        let broker = MemoryBroker::start();
        let dialled = Arc::new(AtomicUsize::new(0));
        let dial = {
            let (broker, dialled) = (broker.clone(), dialled.clone());
            move || {
                let attempt = dialled.fetch_add(1, Ordering::Relaxed);
                let inbound = match attempt {
                    1 | 2 => Faults { octets, ending: Ending::Cut, ..Faults::NONE },
                    _ => Faults::NONE,
                };
                let transport = Faulty::new(broker.transport(), 1, inbound, Faults::NONE);
                async move { Ok(transport) }
            }
        };
        let connector = Connector::new().recovery(Recovery::new());
        let greeted = connector.connect_by(dial).await.expect("greeted");
        let connection = greeted.authenticate("guest", "guest").await.expect("welcome");
        let mut events = connection.events();
        let channels =
            [connection.channel_open().await, connection.channel_open().await].map(Result::unwrap);
        let mut consumers = Vec::new();
        for (n, channel) in channels.iter().enumerate() {
            let name = format!("queue {n}");
            channel.queue_declare(QueueDeclare::new(&name).exclusive(true)).await.unwrap();
            let consume = BasicConsume::new(&name, Prefetch::Count(2));
            consumers.push(channel.basic_consume(consume).await.unwrap());
        }
        broker.cut();
        let report = wholly_recovered(&mut events).await;
        if dialled.load(Ordering::Relaxed) == 2 {
            // Nothing was cut off any more.
            break;
        }
        cuts += 1;
        assert_eq!((report.queues, report.channels, report.consumers), (2, 2, 2), "{octets}");
        for (n, channel) in channels.iter().enumerate() {
            let message = BasicPublish::new("", format!("queue {n}"), "m");
            drop(channel.basic_publish(message).await.expect("sent"));
            let delivery = consumers[n].recv().await.expect("a delivery");
            drop(delivery.ack());
        }
        connection.close().await;
        drop((connection, channels, consumers, events, broker));
        await_no_tasks().await;
    }
    println!("cut at {cuts} places");
    assert!(cuts > 300);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_policy_just_ends() {
    let broker = MemoryBroker::start();
    let connection = connect_as(&broker, Connector::new()).await;
    broker.cut();
    connection.closed().await;
    assert!(connection.topology().is_empty() && !connection.is_recovering());
}

#[tokio::test(start_paused = true)]
async fn connecting_by_ones_own_dialling_can_be_dropped() {
    for polls in 0..8 {
        let broker = MemoryBroker::start();
        let connecting = connect_as(&broker, Connector::new().recovery(Recovery::new()));
        drop(crate::support::poll_and_drop(polls, connecting).await);
        drop(broker);
        await_no_tasks().await;
    }
}

#[tokio::test]
async fn the_broker_is_reached_wherever_it_is_and_after_a_loss_where_it_is_then() {
    let [first, second] = [MemoryBroker::start(), MemoryBroker::start()];
    let [one, other] = [first.listen("127.0.0.1:0").await, second.listen("127.0.0.1:0").await]
        .map(|address| address.expect("a port").port());
    // Port 1 is nobody's on loopback.
    let connector = Connector::new()
        .host("127.0.0.1")
        .port(1)
        .alternative("127.0.0.1", one)
        .alternative("127.0.0.1", other)
        .recovery(Recovery::new().backoff(SECOND / 50, SECOND));
    let connection = connector.open("guest", "guest").await.expect("the second one answers");
    assert_eq!((first.connections().len(), second.connections().len()), (1, 0));
    let mut events = connection.events();
    drop(first);
    wholly_recovered(&mut events).await;
    assert_eq!(second.connections().len(), 1);
    connection.close().await;

    let nowhere = Connector::new().host("127.0.0.1").port(1).alternative("localhost", 1);
    let error = nowhere.connect().await.expect_err("nobody is there");
    assert!(error.to_string().contains("127.0.0.1:1 or localhost:1"), "{error}");
}
