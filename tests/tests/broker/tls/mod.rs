//! TLS: which servers are believed, whom they want to see, and that everything goes over it.
//!
//! Each test has a listener of its own, with certificates made for it.

mod certificates;

use std::net::TcpListener;
use std::time::Duration;

use amqp_connector::{
    BasicGet, BasicPublish, ConnectError, Connection, Connector, Event, Mechanism, Outcome,
    QueueDeclare, Recovery, RecoveryEvent, Tls, TlsError,
};
use amqp_tests::{Broker, Fixture, broker_test};
use certificates::{Authority, Folder, Identity};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);

/// Ways to do it; what is set goes for each.
fn ways() -> Vec<Tls> {
    let ways = vec![Tls::new()];
    #[cfg(feature = "native-tls")]
    let ways = [ways, vec![Tls::new().native_tls()]].concat();
    ways
}

/// A listener of the broker's, as long as this lives.
struct Listener<'a> {
    broker: &'a Broker,
    port: u16,
    folder: Folder,
}

impl<'a> Listener<'a> {
    /// One that shows `identity`; with `demands`, it wants a certificate of this authority from its clients.
    async fn new(t: &'a Fixture, identity: &Identity, demands: Option<&Authority>) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = Folder::new(&t.name("tls"));
        let chain = folder.file("server.pem", &identity.certificate);
        let key = folder.file("server-key.pem", &identity.key);
        let demand = match demands {
            None => "{verify, verify_none}".to_owned(),
            Some(authority) => {
                let path = folder.file("clients.pem", &authority.certificate);
                format!(
                    "{{verify, verify_peer}}, {{fail_if_no_peer_cert, true}}, {{cacertfile, {path:?}}}"
                )
            }
        };
        let listen = format!(
            "ok = rabbit_networking:start_ssl_listener({{\"127.0.0.1\", {port}}}, \
                 [{{certfile, {chain:?}}}, {{keyfile, {key:?}}}, {demand}], 2), \"\""
        );
        t.eval(&listen).await.unwrap();
        Self { broker: t.broker(), port, folder }
    }

    fn connector(&self) -> Connector {
        Connector::new().host("localhost").port(self.port)
    }

    async fn open(&self, tls: Tls) -> Result<Connection, ConnectError> {
        let connector = self.connector().tls(tls);
        timeout(SOON, connector.open("guest", "guest")).await.expect("it ends")
    }

    /// What this server is refused for.
    async fn refused(&self, tls: Tls) -> TlsError {
        match self.open(tls).await {
            Err(ConnectError::Tls { source, .. }) => source,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        let stop =
            format!("rabbit_networking:stop_tcp_listener({{\"127.0.0.1\", {}}}), \"\"", self.port);
        if let Err(error) = self.broker.eval(&stop) {
            eprintln!("left on the broker: {error}");
        }
    }
}

/// Messages of all sizes go there and back.
async fn use_well(t: &Fixture, connection: &Connection) {
    let channel = connection.channel_open().await.unwrap();
    let queue = t.name("over-tls");
    channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
    for size in [0, 16, 5_000, 70_000, 3 << 20] {
        let body: Vec<u8> = (0..=250).cycle().take(size).collect();
        let publish = BasicPublish::new("", &queue, body.clone());
        let confirmation = channel.basic_publish(publish).await.unwrap();
        assert!(matches!(confirmation.await, Outcome::Accepted));
        channel.flush().await.unwrap();
        let got = timeout(SOON, async {
            loop {
                if let Some(got) = channel.basic_get(BasicGet::new(&queue)).await.unwrap() {
                    return got;
                }
            }
        });
        let got = got.await.expect("it is there");
        assert!(got.body.to_bytes() == body, "{size} octets");
        got.ack().unwrap();
    }
}

#[test]
fn a_server_of_the_right_authority_is_believed_and_all_goes_over_tls() {
    broker_test(async |t| {
        let authority = Authority::new();
        let listener = Listener::new(t, &authority.vouch_for("localhost"), None).await;
        for tls in ways() {
            let tls = tls.authorities(authority.certificate.clone());
            let greeted = listener.connector().tls(tls).connect().await.unwrap();
            let connection = greeted.authenticate("guest", "guest").await.unwrap();
            let encrypted = t
                .eval(&format!(
                    "[rabbit_data_coercion:to_list(V) || [{{port, {}}}, {{ssl, V}}] <- \
                     rabbit_networking:connection_info_all([port, ssl])]",
                    listener.port
                ))
                .await;
            assert_eq!(encrypted.unwrap(), "true");
            use_well(t, &connection).await;
            connection.close().await;
        }
    });
}

#[test]
fn a_uri_says_all_of_it() {
    broker_test(async |t| {
        let (authority, clients) = (Authority::new(), Authority::new());
        let server = authority.vouch_for("a-broker.example");
        let listener = Listener::new(t, &server, Some(&clients)).await;
        let client = clients.vouch_for("a client");
        let (folder, port) = (&listener.folder, listener.port);
        let uri = format!(
            "amqps://guest:guest@127.0.0.1:{port}/%2f?cacertfile={}&certfile={}&keyfile={}\
             &server_name_indication=a-broker.example&verify=verify_peer",
            folder.file("ca.pem", &authority.certificate),
            folder.file("client.pem", &client.certificate),
            folder.file("client-key.pem", &client.key),
        );
        let connection = Connection::open(&uri).await.unwrap();
        use_well(t, &connection).await;
        connection.close().await;
        let uri = format!("{uri}&cacertfile=/nowhere.pem");
        match Connection::open(&uri).await.unwrap_err() {
            ConnectError::Tls { source: TlsError::File { path, .. }, .. } => {
                assert_eq!(path.to_str(), Some("/nowhere.pem"));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_server_that_nobody_vouches_for_is_not_believed() {
    broker_test(async |t| {
        let (authority, another) = (Authority::new(), Authority::new());
        let listener = Listener::new(t, &authority.vouch_for("localhost"), None).await;
        for tls in ways() {
            let knowing = tls.clone().authorities(another.certificate.clone());
            let refused = listener.refused(knowing).await;
            assert!(matches!(refused, TlsError::Certificate(_)), "{refused}");
            // The operating system's authorities do not know it either, where there are any.
            let refused = listener.refused(tls).await;
            assert!(
                matches!(refused, TlsError::Certificate(_) | TlsError::NoRoots { .. }),
                "{refused}"
            );
        }
    });
}

#[test]
fn a_server_of_another_name_is_not_believed_unless_that_one_was_meant() {
    broker_test(async |t| {
        let authority = Authority::new();
        let listener = Listener::new(t, &authority.vouch_for("elsewhere.example"), None).await;
        for tls in ways() {
            let tls = tls.authorities(authority.certificate.clone());
            let refused = listener.refused(tls.clone()).await;
            assert!(matches!(refused, TlsError::Certificate(_)), "{refused}");
            let connection = listener.open(tls.server_name("elsewhere.example")).await.unwrap();
            connection.close().await;
        }
    });
}

#[test]
fn a_certificate_out_of_date_is_not_believed_and_not_tried_again() {
    broker_test(async |t| {
        let authority = Authority::new();
        let listener = Listener::new(t, &authority.vouch_once_for("localhost"), None).await;
        for tls in ways() {
            let tls = tls.authorities(authority.certificate.clone());
            let error = listener.open(tls).await.unwrap_err();
            assert!(!error.is_transient() && error.to_string().contains("not believed"), "{error}");
        }
    });
}

#[test]
fn any_server_is_taken_only_on_request() {
    broker_test(async |t| {
        let listener = Listener::new(t, &Authority::new().vouch_once_for("nobody"), None).await;
        for tls in ways() {
            let connection = listener.open(tls.danger_trust_any_server()).await.unwrap();
            connection.close().await;
        }
        let uri = format!("amqps://127.0.0.1:{}/%2f?verify=verify_none", listener.port);
        Connection::open(&uri).await.unwrap().close().await;
    });
}

#[test]
fn a_server_that_demands_a_certificate_takes_that_of_its_authority_alone() {
    broker_test(async |t| {
        let (authority, clients) = (Authority::new(), Authority::new());
        let listener = Listener::new(t, &authority.vouch_for("localhost"), Some(&clients)).await;
        for tls in ways() {
            let tls = tls.authorities(authority.certificate.clone());
            let shown = |by: &Authority| {
                let client = by.vouch_for("a client");
                tls.clone().identity(client.certificate, client.key)
            };
            let connection = listener.open(shown(&clients)).await.unwrap();
            connection.close().await;
            // The server may say so only when the client takes the handshake for done.
            for tls in [tls.clone(), shown(&Authority::new())] {
                let refused = listener.refused(tls).await;
                assert!(matches!(refused, TlsError::Refused(_)), "{refused}");
            }
        }
    });
}

#[test]
fn who_shows_a_certificate_may_be_known_by_it() {
    broker_test(async |t| {
        let (authority, clients) = (Authority::new(), Authority::new());
        let listener = Listener::new(t, &authority.vouch_for("localhost"), Some(&clients)).await;
        // The broker's plugin takes the common name for the user's.
        let plugin = "{ok, _} = application:ensure_all_started(rabbitmq_auth_mechanism_ssl), \
             rabbit_registry:register(auth_mechanism, <<\"EXTERNAL\">>, rabbit_auth_mechanism_ssl), \
             application:set_env(rabbit, ssl_options, [{verify, verify_peer}]), \
             application:set_env(rabbit, ssl_cert_login_from, common_name), \
             {ok, Known} = application:get_env(rabbit, auth_mechanisms), \
             application:set_env(rabbit, auth_mechanisms, lists:usort(['EXTERNAL' | Known])), \"\"";
        t.eval(plugin).await.unwrap();
        let connector = |name: &str| {
            let client = clients.vouch_for(name);
            let tls = Tls::new().authorities(authority.certificate.clone());
            let tls = tls.identity(client.certificate, client.key);
            listener.connector().tls(tls).mechanisms([Mechanism::External])
        };
        let connection = connector("guest").open("", "").await.unwrap();
        use_well(t, &connection).await;
        connection.close().await;
        let refused = connector("nobody").open("", "").await.unwrap_err();
        assert!(matches!(refused, ConnectError::CredentialsRefused { .. }), "{refused}");
    });
}

#[test]
fn a_key_that_is_none_is_told_by_its_place_and_never_shown() {
    broker_test(async |t| {
        let authority = Authority::new();
        let listener = Listener::new(t, &authority.vouch_for("localhost"), None).await;
        let identity = authority.vouch_for("a client");
        for tls in ways() {
            let certificate = &identity.certificate;
            let tls = tls.authorities(authority.certificate.clone());
            let bad_key = tls.clone().identity(certificate.clone(), certificate.clone());
            let shown = format!("{bad_key:?}");
            assert!(!shown.contains("CERTIFICATE"), "{shown}");
            let refused = listener.refused(bad_key).await;
            assert!(matches!(refused, TlsError::Pem { what: "private key", .. }), "{refused}");
            let no_chain = tls.identity("", identity.key.clone());
            let refused = listener.refused(no_chain).await;
            assert!(matches!(refused, TlsError::Pem { what: "certificate", .. }), "{refused}");
        }
    });
}

#[test]
fn tls_with_a_server_that_has_none_ends_with_an_error() {
    broker_test(async |t| {
        for tls in ways() {
            let connector = t.connector().tls(tls.danger_trust_any_server());
            let opened = timeout(SOON, connector.connect()).await.expect("it ends");
            match opened {
                Err(ConnectError::Tls { source: TlsError::Handshake(_), .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn a_lost_connection_comes_back_over_tls() {
    broker_test(async |t| {
        let authority = Authority::new();
        let listener = Listener::new(t, &authority.vouch_for("localhost"), None).await;
        let tls = Tls::new().authorities(authority.certificate.clone());
        let connector = listener.connector().tls(tls).recovery(Recovery::new());
        let connection = connector.open("guest", "guest").await.unwrap();
        let mut events = connection.events();
        let close = format!(
            "[rabbit_networking:close_connection(Pid, \"a test\") || [{{pid, Pid}}, {{port, {}}}] <- \
             rabbit_networking:connection_info_all([pid, port])], \"\"",
            listener.port
        );
        t.eval(&close).await.unwrap();
        let recovered = async {
            while let Some(event) = events.recv().await {
                if matches!(event, Event::Recovery(RecoveryEvent::Recovered(_))) {
                    return;
                }
            }
            panic!("it is over");
        };
        timeout(SOON, recovered).await.expect("it comes back");
        use_well(t, &connection).await;
        connection.close().await;
    });
}
