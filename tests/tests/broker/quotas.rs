//! A broker that has no more to give, or not to this user: limits of virtual hosts and users, permissions, the disk.
//!
//! Each test has a virtual host or a user of its own, which is gone at its end whatever becomes of the test. The disk is
//! everybody's, so that its tests are alone.

use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, ConnectError, Connection, ErrorKind, Initiator, Prefetch,
    QueueDeclare, QueueDelete, Scope,
};
use amqp_tests::{Broker, Fixture, broker_test, broker_test_alone};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);

/// Something on the broker that an expression takes away when this goes.
pub(crate) struct Undo<'a>(&'a Broker, String);

impl<'a> Undo<'a> {
    async fn after(t: &'a Fixture, make: &str, unmake: String) -> Self {
        let undo = Self(t.broker(), unmake);
        t.eval(&format!("{make}, \"\"")).await.unwrap();
        undo
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.eval(&format!("{}, \"\"", self.1)) {
            eprintln!("left on the broker: {error}");
        }
    }
}

/// A virtual host with these limits, open to guest.
pub(crate) async fn virtual_host<'a>(t: &'a Fixture, name: &str, limits: &str) -> Undo<'a> {
    let make = format!(
        "rabbit_vhost:add(<<\"{name}\">>, <<\"test\">>), \
         rabbit_auth_backend_internal:set_permissions(<<\"guest\">>, <<\"{name}\">>, \
             <<\".*\">>, <<\".*\">>, <<\".*\">>, <<\"test\">>), \
         ok = rabbit_vhost_limit:parse_set(<<\"{name}\">>, <<{limits:?}>>, <<\"test\">>)"
    );
    Undo::after(t, &make, format!("rabbit_vhost:delete(<<\"{name}\">>, <<\"test\">>)")).await
}

/// A user with the password `secret` and no permission at all.
pub(crate) async fn user<'a>(t: &'a Fixture, name: &str) -> Undo<'a> {
    let make = format!(
        "rabbit_auth_backend_internal:add_user(<<\"{name}\">>, <<\"secret\">>, <<\"test\">>)"
    );
    let unmake = format!("rabbit_auth_backend_internal:delete_user(<<\"{name}\">>, <<\"test\">>)");
    Undo::after(t, &make, unmake).await
}

/// Lets a user configure, write and read what the expression matches, in virtual host `/`.
pub(crate) async fn permit(t: &Fixture, user: &str, pattern: &str) {
    let expression = format!(
        "rabbit_auth_backend_internal:set_permissions(<<\"{user}\">>, <<\"/\">>, \
             <<{pattern:?}>>, <<{pattern:?}>>, <<{pattern:?}>>, <<\"test\">>), \"\""
    );
    t.eval(&expression).await.unwrap();
}

pub(crate) async fn limit_user(t: &Fixture, user: &str, limits: &str) {
    let expression = format!(
        "ok = rabbit_auth_backend_internal:set_user_limits(<<\"{user}\">>, <<{limits:?}>>, <<\"test\">>), \"\""
    );
    t.eval(&expression).await.unwrap();
}

async fn log_in(t: &Fixture, user: &str) -> Result<Connection, ConnectError> {
    t.connector().connect().await?.authenticate(user, "secret").await
}

/// A virtual host that does not let us in: the broker's code and words.
fn refused(error: &ConnectError) -> (u16, &str) {
    assert!(matches!(error, ConnectError::VirtualHost { .. }), "{error:?}");
    assert!(!error.is_transient(), "who tries again may wait for ever: {error}");
    let reason = error.close_reason().unwrap();
    (reason.code().unwrap().0, reason.text())
}

#[test]
fn a_virtual_host_that_is_full_of_queues_refuses_one_channel_the_next() {
    broker_test(async |t| {
        let host = t.name("host");
        let _host = virtual_host(t, &host, "{\"max-queues\": 1}").await;
        let connection = t.connect_as(&t.connector().virtual_host(&host)).await;
        let channel = connection.channel_open().await.unwrap();
        let first = QueueDeclare::new(t.name("first")).exclusive(true);
        channel.queue_declare(first.clone()).await.unwrap();
        channel.queue_declare(first.clone()).await.expect("it is there already");
        let second = QueueDeclare::new(t.name("second")).exclusive(true);
        let error = channel.queue_declare(second.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ChannelClosed);
        let reason = error.close_reason().unwrap();
        assert_eq!(
            (reason.code().unwrap().0, reason.method(), reason.initiator(), reason.scope()),
            (406, Some("queue.declare"), Initiator::Peer, Scope::Channel(channel.id()))
        );
        assert!(reason.text().contains("limit"), "{reason}");
        assert_eq!(reason.place().map(|place| place.file()), Some(file!()));
        // The connection lives, and there is room again once the first queue is gone.
        let channel = connection.channel_open().await.unwrap();
        channel.queue_delete(QueueDelete::new(t.name("first"))).await.unwrap();
        channel.queue_declare(second).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn a_virtual_host_that_is_full_of_connections_lets_nobody_in_until_one_has_gone() {
    broker_test(async |t| {
        let host = t.name("host");
        let _host = virtual_host(t, &host, "{\"max-connections\": 1}").await;
        let connector = t.connector().virtual_host(&host);
        let connection = t.connect_as(&connector).await;
        let error = connector.open("guest", "guest").await.unwrap_err();
        let (code, text) = refused(&error);
        assert!(code == 530 && text.contains("connection limit (1) is reached"), "{code} {text}");
        connection.close().await;
        // The broker counts a moment later.
        let again = async {
            loop {
                match connector.open("guest", "guest").await {
                    Ok(connection) => return connection,
                    Err(error) => assert_eq!(refused(&error).0, 530),
                }
            }
        };
        timeout(SOON, again).await.expect("room again").close().await;
    });
}

#[test]
fn a_user_who_has_all_his_channels_loses_the_connection_with_the_next() {
    broker_test(async |t| {
        let name = t.name("user");
        let _user = user(t, &name).await;
        permit(t, &name, ".*").await;
        limit_user(t, &name, "{\"max-channels\": 2}").await;
        let connection = log_in(t, &name).await.unwrap();
        let first = connection.channel_open().await.unwrap();
        let second = connection.channel_open().await.unwrap();
        let error = connection.channel_open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
        let reason = error.close_reason().unwrap();
        assert_eq!((reason.code().unwrap().0, reason.scope()), (530, Scope::Connection));
        assert!(reason.text().contains("limit"), "{reason}");
        assert!(!error.is_transient());
        for channel in [first, second] {
            let told = channel.closed().await;
            assert_eq!((told.code(), told.text()), (reason.code(), reason.text()));
        }
        connection.closed().await;
    });
}

#[test]
fn a_user_who_has_all_his_connections_gets_no_other() {
    broker_test(async |t| {
        let name = t.name("user");
        let _user = user(t, &name).await;
        permit(t, &name, ".*").await;
        limit_user(t, &name, "{\"max-connections\": 0}").await;
        let error = log_in(t, &name).await.unwrap_err();
        let reason = error.close_reason().unwrap();
        assert_eq!(reason.code().unwrap().0, 530, "{error}");
        assert!(reason.text().contains("limit"), "{reason}");
        assert!(!error.is_transient());
    });
}

#[test]
fn a_user_without_permission_is_let_into_no_virtual_host() {
    broker_test(async |t| {
        let name = t.name("user");
        let _user = user(t, &name).await;
        let error = log_in(t, &name).await.unwrap_err();
        let (code, text) = refused(&error);
        assert_eq!(code, 530);
        assert!(text.contains("refused for user"), "{text}");
    });
}

#[test]
fn what_a_user_may_not_do_closes_the_channel_it_was_asked_on() {
    broker_test(async |t| {
        let owner = t.connect().await;
        let queue = t.name("queue");
        let keeping = owner.channel_open().await.unwrap();
        keeping.queue_declare(QueueDeclare::new(&queue)).await.unwrap();
        let name = t.name("user");
        let _user = user(t, &name).await;
        permit(t, &name, "^$").await;
        let connection = log_in(t, &name).await.unwrap();
        let channel = || connection.channel_open();
        let declare = channel().await.unwrap().queue_declare(QueueDeclare::new(t.name("mine")));
        let get = channel().await.unwrap().basic_get(BasicGet::new(&queue));
        let consume = BasicConsume::new(&queue, Prefetch::Count(1));
        let consume = channel().await.unwrap().basic_consume(consume);
        for (method, error) in [
            ("queue.declare", declare.await.unwrap_err()),
            ("basic.get", get.await.unwrap_err()),
            ("basic.consume", consume.await.unwrap_err()),
        ] {
            assert_eq!(error.kind(), ErrorKind::ChannelClosed);
            let reason = error.close_reason().unwrap();
            assert_eq!((reason.code().unwrap().0, reason.method()), (403, Some(method)));
            assert!(reason.text().starts_with("ACCESS_REFUSED - "), "{reason}");
            assert!(!error.is_transient());
        }
        // A publish has no answer of its own: its channel's end tells.
        let channel = channel().await.unwrap();
        if_spec! { confirm.select => { channel.confirm_select().await.unwrap(); } else {} }
        let publish = BasicPublish::new("amq.topic", "key", "x");
        let outcome = channel.basic_publish(publish).await.unwrap().await;
        let reason = timeout(SOON, channel.closed()).await.unwrap();
        assert_eq!((reason.code().unwrap().0, reason.method()), (403, Some("basic.publish")));
        if_spec! { confirm.select => {
            assert!(matches!(outcome, amqp_connector::Outcome::Unknown(_)), "{outcome:?}");
        } else {
            assert!(matches!(outcome, amqp_connector::Outcome::Accepted), "{outcome:?}");
        } }
        assert!(connection.close_reason().is_none());
        connection.close().await;
        keeping.queue_delete(QueueDelete::new(&queue)).await.unwrap();
        owner.close().await;
    });
}

/// A disk that has too little room, until this goes.
async fn fill_disk(t: &Fixture) -> Undo<'_> {
    let limit = |text: &str| format!("rabbit_disk_monitor:set_disk_free_limit({text})");
    // Asked for the alarms, the broker has told its connections before it answers.
    let fill = format!("{}, rabbit_alarm:get_alarms()", limit("1000000000000000000"));
    Undo::after(t, &fill, limit("1000000")).await
}

#[test]
fn a_full_disk_hangs_nobody_and_all_goes_on_after_it() {
    broker_test_alone(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        if_spec! { confirm.select => { channel.confirm_select().await.unwrap(); } else {} }
        let full = fill_disk(t).await;
        let publish = || BasicPublish::new("amq.fanout", "", "x");
        let first =
            timeout(SOON, channel.basic_publish(publish())).await.expect("no hang").unwrap();
        if_spec! { connection.blocked => {
            let mut blocked = connection.blocked();
            while blocked.reason().is_none() {
                timeout(SOON, blocked.changed()).await.expect("no connection.blocked").unwrap();
            }
            assert_eq!(blocked.reason().unwrap(), *"low on disk");
            let refused = channel.try_basic_publish(publish()).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Blocked);
        } else {} }
        drop(full);
        let second =
            timeout(SOON, channel.basic_publish(publish())).await.expect("no hang").unwrap();
        for confirmation in [first, second] {
            let outcome = timeout(SOON, confirmation).await.expect("no hang");
            let expected = if_spec! { confirm.select => { "Acked" } else { "Accepted" } };
            assert_eq!(format!("{outcome:?}"), expected);
        }
        connection.close().await;
    });
}

if_spec! { connection.blocked => {
    use crate::limits::Alarm;

    #[test]
    fn of_two_alarms_the_last_one_has_to_end() {
        broker_test_alone(async |t| {
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            channel.confirm_select().await.unwrap();
            let (memory, disk) = (Alarm::raise(t).await, fill_disk(t).await);
            let publish = || BasicPublish::new("amq.fanout", "", "x");
            let first = channel.basic_publish(publish()).await.unwrap();
            let mut blocked = connection.blocked();
            while !blocked.is_blocked() {
                timeout(SOON, blocked.changed()).await.expect("no connection.blocked").unwrap();
            }
            let reason = blocked.reason().unwrap().to_string();
            assert!(reason.contains("memory") && reason.contains("disk"), "{reason}");
            memory.clear();
            let mut second = channel.basic_publish(publish());
            let waited = timeout(Duration::from_millis(300), &mut second).await;
            assert!(waited.is_err() && connection.is_blocked(), "the disk is still full");
            drop(disk);
            let second = timeout(SOON, second).await.expect("no hang").unwrap();
            for confirmation in [first, second] {
                assert!(timeout(SOON, confirmation).await.expect("no hang").is_acked());
            }
            assert!(!connection.is_blocked());
            connection.close().await;
        });
    }
} else {} }
