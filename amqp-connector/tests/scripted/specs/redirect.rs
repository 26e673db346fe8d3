//! `connection.redirect`, where the specification has it: a typed outcome, and followed on demand.

amqp_connector::amqp_types::if_spec! { connection.redirect => {
    use amqp_connector::protocol::connection;
    use amqp_connector::testing::Peer;
    use amqp_connector::{Address, ConnectError, Connector};
    use tokio::net::{TcpListener, TcpStream};

    use super::wire::short;

    /// The handshake up to the client's `connection.open`.
    async fn up_to_open(peer: &mut Peer<TcpStream>) {
        peer.greet().await;
        peer.send(0, connection::Tune { channel_max: 9, frame_max: 4096, heartbeat: 0 }).await;
        peer.expect::<connection::TuneOk>().await;
        peer.expect::<connection::Open>().await;
    }

    async fn accept(listener: &TcpListener) -> Peer<TcpStream> {
        let (stream, _) = listener.accept().await.expect("accepted");
        Peer::over(stream)
    }

    async fn redirect(listener: &TcpListener, to: &TcpListener) {
        let mut peer = accept(listener).await;
        up_to_open(&mut peer).await;
        let host = to.local_addr().expect("bound").to_string().try_into().expect("short");
        let known_hosts = short("one:1, two");
        peer.send(0, connection::Redirect { host, known_hosts }).await;
        peer.expect_end().await;
    }

    async fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").await.expect("bound")
    }

    fn connector(listener: &TcpListener) -> Connector {
        let port = listener.local_addr().expect("bound").port();
        Connector::new().host("127.0.0.1").port(port)
    }

    #[tokio::test]
    async fn a_redirect_tells_where_to_and_which_hosts_are_known() {
        let (first, second) = (listener().await, listener().await);
        let connector = connector(&first);
        let (error, ()) =
            tokio::join!(connector.open("guest", "guest"), redirect(&first, &second));
        let error = error.expect_err("redirected");
        assert!(!error.is_transient());
        assert!(error.to_string().contains("redirects to 127.0.0.1:"), "{error}");
        let ConnectError::Redirected { to, known_hosts } = error else { panic!("{error:?}") };
        let port = second.local_addr().expect("bound").port();
        assert_eq!(to, Address { host: "127.0.0.1".to_owned(), port });
        let known: Vec<String> = known_hosts.iter().map(ToString::to_string).collect();
        assert_eq!(known, ["one:1", "two:5672"]);
    }

    #[tokio::test]
    async fn as_many_redirects_as_allowed_are_followed() {
        let (first, second, third) = (listener().await, listener().await, listener().await);
        let script = async {
            redirect(&first, &second).await;
            redirect(&second, &third).await;
            let mut peer = accept(&third).await;
            peer.handshake().await;
            peer.expect_close().await;
        };
        let connector = connector(&first).redirects(2);
        let test = async {
            let connection = connector.open("guest", "guest").await.expect("at the third");
            connection.close().await;
        };
        tokio::join!(script, test);
    }

    #[tokio::test]
    async fn one_redirect_more_than_allowed_is_told() {
        let (first, second) = (listener().await, listener().await);
        let script = async {
            redirect(&first, &second).await;
            redirect(&second, &first).await;
        };
        let connector = connector(&first).redirects(1);
        let (error, ()) = tokio::join!(connector.open("guest", "guest"), script);
        let error = error.expect_err("sent round in circles");
        assert!(matches!(error, ConnectError::Redirected { .. }), "{error:?}");
    }
} else {} }
