//! Connections that one side refuses, for a version, the credentials, a virtual host or what cannot be sent: the error tells which.

use amqp_connector::amqp_types::{
    self,
    protocol::{self, connection},
};
use amqp_connector::testing::Peer;
use amqp_connector::{ConnectError, Connector, Step};
use tokio::io::AsyncReadExt;

use crate::handshake::{answered_by, connect, connector, up_to_open};

#[tokio::test(start_paused = true)]
async fn a_counter_offer_of_a_bundled_version_says_how_to_recompile() {
    for spec in protocol::BUNDLED {
        if spec.protocol_header == protocol::PROTOCOL_HEADER {
            continue;
        }
        let error = answered_by(&spec.protocol_header).await;
        assert!(
            matches!(error, ConnectError::VersionOffered { offered } if offered == spec.protocol_header)
        );
        let text = error.to_string();
        assert!(
            text.contains(&format!("AMQP_SPEC={}", spec.name)) || text.contains("AMQP_SPEC="),
            "{text}"
        );
        assert!(!error.is_transient());
    }
}

#[tokio::test(start_paused = true)]
async fn the_offer_of_amqp_1_0_says_that_0_9_1_may_work() {
    for header in [*b"AMQP\x03\x01\x00\x00", *b"AMQP\x00\x01\x00\x00"] {
        let error = answered_by(&header).await;
        assert!(matches!(error, ConnectError::VersionOffered { offered } if offered == header));
        let text = error.to_string();
        assert!(text.contains("AMQP 1.0"), "{text}");
    }
    let text = answered_by(b"AMQP\x03\x01\x00\x00").await.to_string();
    // What is compiled in already is no advice.
    let speaks_0_9_1 = protocol::VERSION.revision.is_some();
    assert_eq!(text.contains("AMQP_SPEC=rabbitmq"), !speaks_0_9_1, "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_version_is_shown_as_it_came() {
    let error = answered_by(b"AMQP\x07\x08\x09\x0a").await;
    assert!(error.to_string().contains("7 8 9 10"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_start_of_another_version_is_a_counter_offer() {
    let (io, mut peer) = Peer::new();
    let script = async {
        peer.expect_header().await;
        let start = connection::Start { version_major: 77, version_minor: 3, ..peer.start() };
        peer.send(0, start).await;
        peer.expect_end().await;
    };
    let error = connect(connector(), io, script).await.expect_err("no connection");
    assert!(matches!(error, ConnectError::VersionOffered { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_with_a_reason_refused_the_password() {
    for code in [403, 530] {
        let (io, mut peer) = Peer::new();
        let script = async {
            peer.greet().await;
            peer.close_connection(code, "ACCESS_REFUSED - Login was refused").await;
        };
        let error = connect(connector(), io, script).await.expect_err("no connection");
        let ConnectError::CredentialsRefused { reason: Some(reason) } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(reason.code().map(|code| code.0), Some(code));
        assert!(!error.is_transient());
        assert!(!format!("{error} {error:?}").contains("secret word"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_drops_the_transport_refused_the_password() {
    let (io, mut peer) = Peer::new();
    let script = async move {
        peer.greet().await;
        peer.cut();
    };
    let error = connect(connector(), io, script).await.expect_err("no connection");
    assert!(matches!(error, ConnectError::CredentialsRefused { reason: None }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_shuts_down_while_we_log_in_did_not_refuse_the_password() {
    let (io, mut peer) = Peer::new();
    let script = async {
        peer.greet().await;
        peer.close_connection(320, "CONNECTION_FORCED - shutting down").await;
    };
    let error = connect(connector(), io, script).await.expect_err("no connection");
    assert!(matches!(error, ConnectError::Closed { step: Step::Authentication, .. }), "{error:?}");
    assert!(error.is_transient());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_virtual_host_is_named() {
    let (io, mut peer) = Peer::new();
    let script = async {
        assert_eq!(up_to_open(&mut peer).await.virtual_host, *"nowhere");
        peer.close_connection(530, "NOT_ALLOWED - vhost nowhere not found").await;
    };
    let connector = connector().virtual_host("nowhere");
    let error = connect(connector, io, script).await.expect_err("no connection");
    assert!(matches!(&error, ConnectError::VirtualHost { name, .. } if name == "nowhere"));
    assert!(!error.is_transient());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_shuts_down_while_we_open_has_nothing_against_the_virtual_host() {
    let (io, mut peer) = Peer::new();
    let script = async {
        up_to_open(&mut peer).await;
        peer.close_connection(320, "CONNECTION_FORCED - shutting down").await;
    };
    let error = connect(connector(), io, script).await.expect_err("no connection");
    assert!(matches!(error, ConnectError::Closed { step: Step::OpenVirtualHost, .. }), "{error:?}");
    assert!(error.is_transient());
}

#[tokio::test(start_paused = true)]
async fn what_speaks_another_protocol_is_no_amqp_server() {
    let replies: [&[u8]; 5] = [
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n",
        b"220 mail.example.org ESMTP\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    ];
    for reply in replies {
        let error = answered_by(reply).await;
        assert!(matches!(error, ConnectError::NotAmqp { .. }), "{error:?}");
        assert!(!error.is_transient());
    }
}

#[tokio::test(start_paused = true)]
async fn no_mechanism_in_common_names_both_sides() {
    let (io, peer) = Peer::new();
    let mut peer = peer.mechanisms("EXTERNAL RABBIT-CR-DEMO");
    let script = async {
        peer.expect_header().await;
        peer.send(0, peer.start()).await;
        peer.expect_end().await;
    };
    let error = connect(connector(), io, script).await.expect_err("no connection");
    let text = error.to_string();
    assert!(matches!(error, ConnectError::Mechanism { .. }), "{text}");
    assert!(text.contains("EXTERNAL") && text.contains("PLAIN"), "{text}");
}

/// Why a connection is refused before a single octet goes out.
async fn refused_unsent(connector: Connector) -> ConnectError {
    let (mut io, ours) = tokio::io::duplex(1 << 16);
    let error = connector.connect_with(ours).await.map(|_| ()).expect_err("refused");
    let mut sent = Vec::new();
    io.read_to_end(&mut sent).await.expect("readable");
    assert!(sent.is_empty(), "{sent:?}");
    error
}

#[tokio::test(start_paused = true)]
async fn names_that_cannot_be_sent_are_refused_before_any_octet() {
    let long = "v".repeat(300);
    for (connector, expected) in [
        (connector().virtual_host(&long), "virtual host"),
        (connector().locale(&long), "locale"),
        (
            connector().client_property(&long, amqp_types::FieldValue::Bool(true)),
            "client property's name",
        ),
    ] {
        let error = refused_unsent(connector).await;
        let ConnectError::InvalidName { what, .. } = error else { panic!("{error:?}") };
        assert!(what == expected && error.to_string().contains(expected), "{error}");
    }
    let error = refused_unsent(connector().connection_name(&"n".repeat(5000))).await;
    let ConnectError::TooLarge { method: "connection.start-ok", len, max: 4096, .. } = error else {
        panic!("{error:?}");
    };
    assert!(len > 5000);
    assert!(error.to_string().contains("connection_name") && !error.is_transient(), "{error}");
    // One that fits is sent.
    let (io, mut peer) = Peer::new();
    let named = connector().connection_name(&"n".repeat(3000));
    connect(named, io, async { peer.handshake().await }).await.expect("connected");
}

#[tokio::test(start_paused = true)]
async fn credentials_that_do_not_fit_a_first_frame_are_refused_before_they_are_sent() {
    let password = "secret".repeat(1000);
    let (io, mut peer) = Peer::new();
    let script = async {
        peer.expect_header().await;
        peer.send(0, peer.start()).await;
        peer.expect_end().await;
    };
    let work = async {
        let greeted = connector().connect_with(io).await.expect("greeted");
        greeted.authenticate("guest", &password).await.expect_err("refused")
    };
    let (error, ()) = tokio::join!(work, script);
    assert!(matches!(error, ConnectError::TooLarge { .. }), "{error:?}");
    assert!(error.to_string().contains("user and password"), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"));
    // Where they are known from the start, nobody is dialled: the port would be refused.
    let error = connector().port(1).open("guest", &password).await.expect_err("refused");
    assert!(matches!(error, ConnectError::TooLarge { .. }), "{error:?}");
}

/// It would go over it in the clear.
#[tokio::test(start_paused = true)]
#[cfg(any(feature = "rustls", feature = "native-tls"))]
async fn tls_is_not_forgotten_over_a_transport_that_is_given() {
    use amqp_connector::{Tls, TlsError};
    let connector = Connector::new().tls(Tls::new());
    let (io, _peer) = Peer::new();
    let given = connector.connect_with(io).await.expect_err("as it is");
    let dial = || async { Ok(Peer::new().0) };
    let dialled = connector.connect_by(dial).await.expect_err("as it is");
    for error in [given, dialled] {
        let ConnectError::Tls { source: TlsError::GivenTransport, .. } = &error else {
            panic!("{error:?}");
        };
        assert!(!error.is_transient() && error.to_string().contains("encrypted itself"), "{error}");
    }
}
