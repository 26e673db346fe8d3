//! The first three tests of "Writing an AMQP connector with Python, Twisted, Trial and txAMQP" (2009), in
//! its order: connect, authenticate, open a channel, each building on the one before.
//!
//! There, the tests first passed and then failed again: "Reactor was unclean", as they had left their
//! sockets open. Here [`broker_test`] sees to that.

use amqp_connector::{Connection, Connector, Greeted, Transport};
use amqp_tests::{Fixture, broker_test};

/// Each test gets a new connector.
fn set_up(t: &Fixture) -> Connector {
    Connector::new().host(t.host()).port(t.port())
}

async fn connect(t: &Fixture) -> Greeted<Transport> {
    set_up(t).connect().await.unwrap()
}

async fn authenticate(t: &Fixture) -> Connection {
    connect(t).await.authenticate("guest", "guest").await.unwrap()
}

#[test]
fn a_connector_is_constructed() {
    let _connector = Connector::new();
}

#[test]
fn connect_reaches_the_broker() {
    broker_test(async |t| {
        let greeted = connect(t).await;
        assert!(greeted.server_properties().product().is_some());
        assert!(greeted.mechanisms().any(|name| name == "AMQPLAIN"));
    });
}

#[test]
fn authenticate_opens_the_connection() {
    broker_test(async |t| {
        let connection = authenticate(t).await;
        assert!(connection.close_reason().is_none());
        connection.close().await;
    });
}

#[test]
fn channel_open_opens_channel_one() {
    broker_test(async |t| {
        let connection = authenticate(t).await;
        let channel = connection.channel_open().await.unwrap();
        assert_eq!(channel.id(), 1);
        connection.close().await;
    });
}
