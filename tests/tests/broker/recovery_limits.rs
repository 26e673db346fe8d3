//! Connections that are lost, and come back to a broker that has less for them than before: a full virtual host, an alarm,
//! a user with fewer permissions or none at all.

use std::sync::Arc;
use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::{
    BasicConsume, BasicPublish, ConnectError, Connection, Connector, Entity, ErrorKind, Event,
    Events, Prefetch, QueueDeclare, Recovery, RecoveryEvent,
};
use amqp_tests::{Fixture, broker_test, broker_test_alone};
use tokio::time::timeout;

use crate::limits::Alarm;
use crate::quotas::{limit_user, permit, user, virtual_host};
use crate::recovery::{quick, recovered};

const SOON: Duration = Duration::from_secs(60);

async fn connect(connector: Connector, user: &str, password: &str) -> (Connection, Events) {
    let connection = connector.open(user, password).await.unwrap();
    let events = connection.events();
    (connection, events)
}

/// The next attempt that fails, with its number.
async fn failed_attempt(events: &mut Events) -> (u32, Arc<ConnectError>) {
    let failing = async {
        loop {
            match events.recv().await.expect("an attempt fails") {
                Event::Recovery(RecoveryEvent::AttemptFailed { attempt, error, .. }) => {
                    return (attempt, error);
                }
                Event::Closed { reason, .. } => panic!("it is over: {reason}"),
                _ => {}
            }
        }
    };
    timeout(SOON, failing).await.expect("an attempt fails in time")
}

/// That nothing comes any more but the end, for the reason of the loss: the administrator's close.
async fn is_over(connection: &Connection, events: &mut Events) {
    let reason = timeout(SOON, connection.closed()).await.expect("it ends");
    assert_eq!(reason.code().map(|code| code.0), Some(320), "{reason}");
    while let Some(event) = timeout(SOON, events.recv()).await.expect("no hang") {
        assert!(!matches!(event, Event::Recovery(_)), "{event}");
    }
    let error = connection.channel_open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
}

async fn limit_connections(t: &Fixture, host: &str, most: u32) {
    let limits = format!("{{\"max-connections\": {most}}}");
    let set = format!(
        "ok = rabbit_vhost_limit:parse_set(<<\"{host}\">>, <<{limits:?}>>, <<\"test\">>), \"\""
    );
    t.eval(&set).await.unwrap();
}

fn is_full(error: &ConnectError) -> bool {
    error.close_reason().is_some_and(|reason| reason.text().contains("connection limit"))
}

#[test]
fn a_full_virtual_host_is_waited_for() {
    broker_test(async |t| {
        let host = t.name("host");
        let _host = virtual_host(t, &host, "{\"max-connections\": 1}").await;
        let connector = t.connector().virtual_host(&host).recovery(quick());
        let (connection, mut events) = connect(connector, "guest", "guest").await;
        let channel = connection.channel_open().await.unwrap();
        limit_connections(t, &host, 0).await;
        t.close_connections("for the test").await.unwrap();
        for _ in 0..3 {
            let (attempt, error) = failed_attempt(&mut events).await;
            assert!(is_full(&error) && !error.is_transient(), "{attempt}: {error}");
        }
        limit_connections(t, &host, 1).await;
        let report = recovered(&mut events).await;
        assert!(report.attempts >= 4 && report.failures.is_empty(), "{report}");
        channel.queue_declare(QueueDeclare::new("").exclusive(true)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn a_user_who_has_all_his_connections_waits_for_one() {
    broker_test(async |t| {
        let name = t.name("user");
        let _user = user(t, &name).await;
        permit(t, &name, ".*").await;
        limit_user(t, &name, "{\"max-connections\": 1}").await;
        let connector = t.connector().recovery(quick());
        let (connection, mut events) = connect(connector, &name, "secret").await;
        limit_user(t, &name, "{\"max-connections\": 0}").await;
        t.close_connections("for the test").await.unwrap();
        for _ in 0..2 {
            let (attempt, error) = failed_attempt(&mut events).await;
            assert!(is_full(&error), "{attempt}: {error}");
        }
        limit_user(t, &name, "{\"max-connections\": 1}").await;
        recovered(&mut events).await;
        connection.close().await;
    });
}

#[test]
fn by_policy_a_full_virtual_host_ends_a_recovery_at_once() {
    broker_test(async |t| {
        let host = t.name("host");
        let _host = virtual_host(t, &host, "{\"max-connections\": 1}").await;
        let recovery = quick().retry_if(ConnectError::is_transient);
        let connector = t.connector().virtual_host(&host).recovery(recovery);
        let (connection, mut events) = connect(connector, "guest", "guest").await;
        limit_connections(t, &host, 0).await;
        t.close_connections("for the test").await.unwrap();
        let (attempt, error) = failed_attempt(&mut events).await;
        assert!(attempt == 1 && is_full(&error), "{attempt}: {error}");
        is_over(&connection, &mut events).await;
    });
}

#[test]
fn a_virtual_host_that_is_gone_is_not_tried_again() {
    broker_test(async |t| {
        let host = t.name("host");
        let gone = virtual_host(t, &host, "{}").await;
        let connector = t.connector().virtual_host(&host).recovery(quick());
        let (connection, mut events) = connect(connector, "guest", "guest").await;
        // RabbitMQ closes what is connected to it.
        drop(gone);
        let ended = timeout(SOON, connection.closed()).await;
        assert!(ended.is_ok(), "it is tried again for ever");
        let mut last = None;
        while let Some(event) = timeout(SOON, events.recv()).await.expect("no hang") {
            if let Event::Recovery(RecoveryEvent::AttemptFailed { error, .. }) = event {
                last = Some(error);
            }
        }
        let error = last.expect("an attempt failed");
        assert!(matches!(*error, ConnectError::VirtualHost { .. }), "{error}");
    });
}

#[test]
fn a_user_who_is_gone_is_not_tried_again() {
    broker_test(async |t| {
        let name = t.name("user");
        let gone = user(t, &name).await;
        permit(t, &name, ".*").await;
        let connector = t.connector().recovery(quick());
        let (connection, mut events) = connect(connector, &name, "secret").await;
        // RabbitMQ closes the connections of a user who is deleted, too.
        drop(gone);
        t.close_connections("for the test").await.unwrap();
        let (attempt, error) = failed_attempt(&mut events).await;
        assert_eq!(attempt, 1);
        assert!(matches!(&*error, ConnectError::CredentialsRefused { .. }), "{error}");
        is_over(&connection, &mut events).await;
    });
}

#[test]
fn what_a_user_may_not_declare_any_more_is_reported_and_the_rest_comes_back() {
    broker_test(async |t| {
        let name = t.name("user");
        let _user = user(t, &name).await;
        permit(t, &name, ".*").await;
        let connector = t.connector().recovery(quick());
        let (connection, mut events) = connect(connector, &name, "secret").await;
        let channel = connection.channel_open().await.unwrap();
        let [kept, barred] = ["kept", "barred"].map(|word| t.name(word));
        for queue in [&barred, &kept] {
            channel.queue_declare(QueueDeclare::new(queue).exclusive(true)).await.unwrap();
        }
        let consume = BasicConsume::new(&kept, Prefetch::Count(1));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        permit(t, &name, "^(amq[.]default|.*kept)$").await;
        t.close_connections("for the test").await.unwrap();
        let report = recovered(&mut events).await;
        let [failure] = &report.failures[..] else { panic!("{report:?}") };
        assert_eq!(failure.entity, Entity::Queue(barred.as_str().try_into().unwrap()));
        let reason = failure.error.close_reason().unwrap();
        assert_eq!((reason.code().unwrap().0, reason.method()), (403, Some("queue.declare")));
        assert_eq!((report.queues, report.channels, report.consumers), (1, 1, 1));
        drop(channel.basic_publish(BasicPublish::new("", &kept, "m")).await.unwrap());
        let delivery = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(delivery.body.to_bytes(), "m");
        delivery.ack().unwrap();
        connection.close().await;
    });
}

#[test]
fn a_connection_that_is_lost_during_an_alarm_comes_back_and_publishes_after_it() {
    broker_test_alone(async |t| {
        let recovery: Recovery = quick();
        let (connection, mut events) =
            connect(t.connector().recovery(recovery), "guest", "guest").await;
        let channel = connection.channel_open().await.unwrap();
        if_spec! { confirm.select => { channel.confirm_select().await.unwrap(); } else {} }
        let queue = t.name("queue");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        let alarm = Alarm::raise(t).await;
        let publish = || channel.basic_publish(BasicPublish::new("", &queue, "m"));
        let first = timeout(SOON, publish()).await.expect("no hang").unwrap();
        t.close_connections("for the test").await.unwrap();
        // What it restores is no publish: an alarm does not hold it up.
        let report = recovered(&mut events).await;
        assert!(report.failures.is_empty() && report.queues == 1, "{report:?}");
        let outcome = timeout(SOON, first).await.expect("no hang");
        let expected = if_spec! { confirm.select => { "Unknown" } else { "Accepted" } };
        assert!(format!("{outcome:?}").starts_with(expected), "{outcome:?}");
        let mut consumer =
            channel.basic_consume(BasicConsume::new(&queue, Prefetch::Count(1))).await.unwrap();
        let second = timeout(SOON, publish()).await.expect("no hang").unwrap();
        if_spec! { connection.blocked => {
            let mut blocked = connection.blocked();
            while !blocked.is_blocked() {
                timeout(SOON, blocked.changed()).await.expect("no connection.blocked").unwrap();
            }
        } else {} }
        alarm.clear();
        let outcome = timeout(SOON, second).await.expect("no hang");
        let expected = if_spec! { confirm.select => { "Acked" } else { "Accepted" } };
        assert_eq!(format!("{outcome:?}"), expected);
        timeout(SOON, consumer.recv()).await.expect("it arrives").unwrap().ack().unwrap();
        connection.close().await;
    });
}
