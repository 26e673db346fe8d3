//! Opening a connection: the mechanisms, what is agreed, and each way in which a broker says no.

use std::time::Duration;

use amqp_connector::{
    ConnectError, Connection, Connector, ErrorKind, FieldTable, FieldValue, Mechanism, Options,
};
use amqp_tests::broker_test;

#[test]
fn uri_opens_a_connection_in_one_step() {
    broker_test(async |t| {
        let uri = format!("{}?heartbeat=10&channel_max=9&frame_max=8192", t.url());
        let connection = Connection::open(&uri).await.unwrap();
        let tuning = connection.tuning();
        assert_eq!((tuning.heartbeat, tuning.channel_max, tuning.frame_max), (10, 9, 8192));
        connection.close().await;
    });
}

#[test]
fn mechanisms_with_and_without_a_challenge_authenticate() {
    for mechanism in [Mechanism::Plain, Mechanism::AmqPlain, Mechanism::RabbitCrDemo] {
        broker_test(async |t| {
            let connector = t.connector().mechanisms([mechanism]);
            t.connect_as(&connector).await.close().await;
        });
    }
}

#[test]
fn wrong_password_is_refused_after_its_challenge() {
    broker_test(async |t| {
        let connector = t.connector().mechanisms([Mechanism::RabbitCrDemo]);
        let greeted = connector.connect().await.unwrap();
        let error = greeted.authenticate("guest", "wrong").await.unwrap_err();
        assert!(matches!(error, ConnectError::CredentialsRefused { .. }), "{error:?}");
    });
}

#[test]
fn new_secret_is_taken_where_the_spec_has_it() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let updated = connection.update_secret("guest", "renewed").await;
        amqp_types::if_spec! { connection.update_secret => {
            updated.unwrap();
            let too_long = connection.update_secret("guest", &"r".repeat(256)).await.unwrap_err();
            assert_eq!(too_long.kind(), ErrorKind::Invalid);
        } else {
            assert_eq!(updated.unwrap_err().kind(), ErrorKind::Unsupported);
        } }
        assert!(connection.close_reason().is_none());
        connection.close().await;
    });
}

#[test]
fn connection_is_known_by_its_name() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let names = t
            .eval(
                "[case lists:keyfind(<<\"connection_name\">>, 1, proplists:get_value(client_properties, I)) \
                 of {_, _, N} -> [N, $\\n]; false -> [] end || {_, I} <- ets:tab2list(connection_created)]",
            )
            .await
            .unwrap();
        let name = t.name("").trim_end_matches('.').to_owned();
        assert!(names.lines().any(|line| line == name), "{name} is not among\n{names}");
        connection.close().await;
    });
}

#[test]
fn what_the_broker_tells_of_itself_can_be_read() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let server = connection.server_properties();
        assert_eq!(server.product(), Some("RabbitMQ"), "{server:?}");
        assert!(server.version().is_some_and(|version| version >= (3, 0)), "{server:?}");
        assert!(server.platform().is_some_and(|it| it.starts_with("Erlang")), "{server:?}");
        assert!(server.cluster_name().is_some_and(|it| it.contains('@')), "{server:?}");
        assert!(!server.has_capability("basic.sing"), "{server:?}");
        // RabbitMQ tells of its additions whoever greets it by a version that may have them.
        let told: Vec<&str> = server.capabilities().collect();
        if amqp_types::protocol::VERSION.major == 0 {
            for capability in ["publisher_confirms", "basic.nack"] {
                assert!(server.has_capability(capability), "{capability}: {told:?}");
            }
        } else {
            assert!(told.is_empty(), "{told:?}");
        }
        connection.close().await;
    });
}

#[test]
fn wrong_password_is_refused_with_its_reason_by_a_broker_that_says_so() {
    broker_test(async |t| {
        let greeted = t.connector().connect().await.unwrap();
        let error = greeted.authenticate("guest", "wrong").await.unwrap_err();
        let ConnectError::CredentialsRefused { reason: Some(reason) } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(reason.code().map(|code| code.0), Some(403));
        assert!(!error.is_transient());
    });
}

#[test]
fn wrong_password_is_refused_by_a_broker_that_just_hangs_up() {
    broker_test(async |t| {
        // Without the capability authentication_failure_close brokers close the socket, after a while.
        let none = FieldValue::Table(FieldTable::new());
        let connector = t.connector().client_property("capabilities", none);
        let greeted = connector.connect().await.unwrap();
        let error = greeted.authenticate("guest", "wrong").await.unwrap_err();
        assert!(matches!(error, ConnectError::CredentialsRefused { reason: None }), "{error:?}");
    });
}

#[test]
fn unknown_virtual_host_is_named() {
    broker_test(async |t| {
        let greeted = t.connector().virtual_host("nowhere").connect().await.unwrap();
        let error = greeted.authenticate("guest", "guest").await.unwrap_err();
        let ConnectError::VirtualHost { name, reason } = &error else { panic!("{error:?}") };
        assert_eq!(name, "nowhere");
        assert_eq!(reason.method(), Some("connection.open"));
    });
}

#[test]
fn port_without_a_broker_is_refused_with_advice() {
    broker_test(async |t| {
        // One that nobody else can have meanwhile, and that does not listen.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let free = socket.local_addr().unwrap();
        let connector = Connector::new().host("127.0.0.1").port(free.port());
        let error = connector.connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::Io { .. }), "{error:?}");
        assert!(error.to_string().contains("is the broker running"), "{error}");
        assert!(error.is_transient());
        drop(t.url());
    });
}

#[test]
fn limits_agreed_are_never_over_what_the_broker_offers() {
    broker_test(async |t| {
        let mut options = Options::default();
        (options.channel_max, options.frame_max) = (0, 0); // no limit of ours
        let connection = t.connect_as(&t.connector().options(options)).await;
        let tuning = connection.tuning();
        assert!((1..=2047).contains(&tuning.channel_max), "{tuning:?}");
        assert!((4096..=131_072).contains(&tuning.frame_max), "{tuning:?}");
        connection.close().await;
    });
}

#[test]
fn connection_lives_on_heartbeats() {
    broker_test(async |t| {
        let connector = t.connector().heartbeat(Duration::from_secs(1));
        let connection = t.connect_as(&connector).await;
        assert_eq!(connection.tuning().heartbeat, 1);
        // The broker would close it after three intervals of silence.
        tokio::time::sleep(Duration::from_millis(4500)).await;
        assert!(connection.close_reason().is_none(), "{:?}", connection.close_reason());
        connection.channel_open().await.unwrap();
        connection.close().await;
    });
}

#[test]
fn many_connections_open_side_by_side() {
    broker_test(async |t| {
        let mut opening = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let connector = t.connector();
            opening.spawn(async move {
                let connection = connector
                    .connect()
                    .await
                    .unwrap()
                    .authenticate("guest", "guest")
                    .await
                    .unwrap();
                connection.channel_open().await.unwrap();
                connection.close().await;
            });
        }
        while let Some(opened) = opening.join_next().await {
            opened.unwrap();
        }
    });
}
