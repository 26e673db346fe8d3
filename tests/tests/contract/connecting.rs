//! Logging in, virtual hosts, and the end.

use amqp_connector::{ConnectError, Mechanism};

use super::side::Side;

contract! {
    every_mechanism_logs_in,
    a_wrong_password_is_refused_with_rabbitmqs_text,
    an_unknown_virtual_host_is_refused_with_rabbitmqs_text,
    a_channel_s_number_can_be_used_again,
}

async fn every_mechanism_logs_in(side: &Side<'_>) {
    for mechanism in [Mechanism::Plain, Mechanism::AmqPlain, Mechanism::RabbitCrDemo] {
        let change = |connector: amqp_connector::Connector| connector.mechanisms([mechanism]);
        side.connect_as(change, "guest").await.unwrap().close().await;
    }
}

async fn a_wrong_password_is_refused_with_rabbitmqs_text(side: &Side<'_>) {
    for mechanism in [Mechanism::Plain, Mechanism::RabbitCrDemo] {
        let name = mechanism.name().to_owned();
        let change = |connector: amqp_connector::Connector| connector.mechanisms([mechanism]);
        let refused = side.connect_as(change, "wrong").await.unwrap_err();
        let ConnectError::CredentialsRefused { reason: Some(reason) } = refused else {
            panic!("{refused:?}")
        };
        let text = format!(
            "ACCESS_REFUSED - Login was refused using authentication mechanism {name}. For details see the broker logfile."
        );
        assert_eq!((reason.code().unwrap().0, reason.text()), (403, text.as_str()));
    }
}

async fn an_unknown_virtual_host_is_refused_with_rabbitmqs_text(side: &Side<'_>) {
    let change = |connector: amqp_connector::Connector| connector.virtual_host("nowhere");
    let refused = side.connect_as(change, "guest").await.unwrap_err();
    let ConnectError::VirtualHost { reason, .. } = refused else { panic!("{refused:?}") };
    let text = "NOT_ALLOWED - vhost nowhere not found";
    assert_eq!((reason.code().unwrap().0, reason.text()), (530, text));
    assert_eq!(reason.method(), Some("connection.open"));
}

async fn a_channel_s_number_can_be_used_again(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let number = channel.id();
    channel.close().await.unwrap();
    let again = connection.channel_open().await.unwrap();
    assert_eq!(again.id(), number);
    connection.close().await;
}
