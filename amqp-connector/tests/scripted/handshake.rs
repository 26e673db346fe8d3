//! Connecting, and every way in which nothing comes of it without a word, each within the connect deadline.

use std::time::Duration;

use amqp_connector::amqp_types::{
    self,
    protocol::{self, connection},
};
use amqp_connector::testing::Peer;
use amqp_connector::{ConnectError, Connection, Connector, Mechanism, Options, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::support::resolves;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(7);

pub(crate) fn connector() -> Connector {
    Connector::new().connect_timeout(TIMEOUT)
}

/// Runs both steps against the script; each has the connect timeout, and must hold it.
pub(crate) async fn connect<T>(
    connector: Connector,
    io: tokio::io::DuplexStream,
    script: impl Future<Output = T>,
) -> Result<Connection, ConnectError> {
    let begun = Instant::now();
    let connect = async {
        let result = match connector.connect_with(io).await {
            Ok(greeted) => greeted.authenticate("guest", "secret word").await,
            Err(error) => Err(error),
        };
        assert!(begun.elapsed() <= 2 * TIMEOUT, "{:?}", begun.elapsed());
        result
    };
    resolves("connecting", async { tokio::join!(connect, script).0 }).await
}

/// What the client makes of a server that answers its header by these octets, and then waits.
pub(crate) async fn answered_by(octets: &[u8]) -> ConnectError {
    let (io, mut peer) = Peer::new();
    let script = async {
        peer.expect_header().await;
        peer.send_raw(octets).await;
        peer.silence(3 * TIMEOUT).await;
    };
    connect(connector(), io, script).await.expect_err("no connection")
}

/// The script up to `connection.open`, which is left to be answered.
pub(crate) async fn up_to_open(peer: &mut Peer) -> connection::Open {
    peer.greet().await;
    peer.send(0, connection::Tune { channel_max: 9, frame_max: 8192, heartbeat: 0 }).await;
    peer.expect_on::<connection::TuneOk>(0).await;
    peer.expect_on::<connection::Open>(0).await
}

#[tokio::test(start_paused = true)]
async fn silence_in_any_step_ends_at_its_deadline() {
    for (quiet_after, step) in
        [(0, Step::Greeting), (1, Step::Authentication), (2, Step::OpenVirtualHost)]
    {
        let (io, mut peer) = Peer::new();
        let script = async {
            match quiet_after {
                0 => peer.expect_header().await,
                1 => drop(peer.greet().await),
                _ => drop(up_to_open(&mut peer).await),
            }
            peer.silence(3 * TIMEOUT).await;
        };
        let error = connect(connector(), io, script).await.expect_err("no connection");
        assert!(matches!(error, ConnectError::Deadline { step: at } if at == step), "{error:?}");
        assert!(error.is_transient());
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_reads_ends_at_the_deadline() {
    let (io, _peer) = Peer::with_pipe(4);
    let error = connect(connector(), io, async {}).await.expect_err("no connection");
    assert!(matches!(error, ConnectError::Deadline { step: Step::Greeting }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn half_a_frame_and_then_silence_ends_at_the_deadline() {
    for half in [&b"A"[..], b"AMQP\x00\x00\x09", b"\x01\x00\x00\x00\x00\x01\x00\x00\x0a"] {
        let error = answered_by(half).await;
        assert!(matches!(error, ConnectError::Deadline { .. }), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_frame_of_absurd_size_is_refused_at_its_header() {
    let error = answered_by(b"\x01\x00\x00\xff\xff\xff\xff").await;
    assert!(matches!(error, ConnectError::NotAmqp { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn before_a_size_is_agreed_on_no_frame_is_larger_than_what_we_would_agree_on() {
    // Payloads of frames of 128 KiB, and of one octet more; none of their octets is sent.
    for (payload, refused) in [(131_064_u32, false), (131_065, true)] {
        let octets = [&[1, 0, 0][..], &payload.to_be_bytes()].concat();
        let error = answered_by(&octets).await;
        match error {
            ConnectError::NotAmqp { .. } => assert!(refused, "{payload}: {error}"),
            ConnectError::Deadline { .. } => assert!(!refused, "{payload}: {error}"),
            error => panic!("{payload}: {error}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_method_that_cannot_be_read_is_told_as_such() {
    let error = answered_by(b"\x01\x00\x00\x00\x00\x00\x05\x00\x0a\xff\xff\x00\xce").await;
    assert!(matches!(error, ConnectError::Decode { step: Step::Greeting, .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_method_out_of_place_is_named() {
    let (io, mut peer) = Peer::new();
    let script = async {
        peer.expect_header().await;
        peer.send(0, connection::OpenOk::default()).await;
        peer.expect_end().await;
    };
    let error = connect(connector(), io, script).await.expect_err("no connection");
    let named = matches!(&error, ConnectError::Unexpected { step: Step::Greeting, method } if *method == "connection.open-ok");
    assert!(named, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn an_end_of_the_transport_names_the_step() {
    let (io, mut peer) = Peer::new();
    let script = async move {
        peer.expect_header().await;
        peer.cut();
    };
    let error = connect(connector(), io, script).await.expect_err("no connection");
    assert!(matches!(error, ConnectError::EndOfStream { step: Step::Greeting }), "{error:?}");

    let (io, mut peer) = Peer::new();
    let script = async move {
        up_to_open(&mut peer).await;
        peer.cut();
    };
    let error = connect(connector(), io, script).await.expect_err("no connection");
    assert!(
        matches!(error, ConnectError::EndOfStream { step: Step::OpenVirtualHost }),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_preferred_mechanism_that_the_server_offers_is_used() {
    for (wanted, offered, used) in [
        (vec![Mechanism::Plain, Mechanism::AmqPlain], "AMQPLAIN PLAIN", "PLAIN"),
        (vec![Mechanism::Plain, Mechanism::AmqPlain], "AMQPLAIN", "AMQPLAIN"),
        (vec![Mechanism::AmqPlain], "PLAIN AMQPLAIN", "AMQPLAIN"),
    ] {
        let (io, peer) = Peer::new();
        let mut peer = peer.mechanisms(offered);
        let script = async { peer.handshake().await };
        let connector = connector().mechanisms(wanted);
        let connect = async {
            let greeted = connector.connect_with(io).await.expect("greeted");
            greeted.authenticate("guest", "guest").await.expect("connected")
        };
        let (_connection, start_ok) = tokio::join!(connect, script);
        assert_eq!(start_ok.mechanism, *used);
    }
}

#[tokio::test(start_paused = true)]
async fn tune_is_answered_within_the_offer_and_used() {
    let (io, peer) = Peer::new();
    let mut peer = peer.tune(7, 5000, 20);
    let script = async {
        peer.greet().await;
        peer.send(0, connection::Tune { channel_max: 7, frame_max: 5000, heartbeat: 20 }).await;
        let tune_ok = peer.expect_on::<connection::TuneOk>(0).await;
        assert_eq!((tune_ok.channel_max, tune_ok.frame_max, tune_ok.heartbeat), (7, 5000, 5));
        peer.expect_on::<connection::Open>(0).await;
        peer.send(0, connection::OpenOk::default()).await;
    };
    let connector = connector().heartbeat(Duration::from_secs(5));
    let connection = connect(connector, io, script).await.expect("connected");
    let tuning = connection.tuning();
    assert_eq!((tuning.channel_max, tuning.frame_max, tuning.heartbeat), (7, 5000, 5));
}

#[tokio::test]
async fn a_refused_port_is_an_io_error_that_gives_advice() {
    // One that nobody else can have meanwhile, and that does not listen.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let port = socket.local_addr().expect("an address").port();
    let error = Connector::new().host("127.0.0.1").port(port).connect().await.expect_err("refused");
    let ConnectError::Io { step: Step::Transport, address, source } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(source.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(*address, format!("127.0.0.1:{port}"));
    assert!(error.to_string().contains("is the broker running"), "{error}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_real_socket_that_says_nothing_ends_at_the_deadline() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let connector =
        Connector::new().host("127.0.0.1").port(port).connect_timeout(Duration::from_millis(300));
    let error = connector.connect().await.expect_err("no connection");
    assert!(matches!(error, ConnectError::Deadline { step: Step::Greeting }), "{error:?}");
}

#[tokio::test]
async fn the_whole_road_works_over_a_real_socket() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let serve = async {
        let (socket, _) = listener.accept().await.expect("a client");
        let mut peer = Peer::over(socket);
        peer.handshake().await;
        peer.open_channel().await;
        peer.expect_close().await;
    };
    let uri = format!("amqp://guest:guest@127.0.0.1:{port}/%2f");
    let client = async {
        let connection = Connection::open(&uri).await.expect("connected");
        let _channel = connection.channel_open().await.expect("opened");
        connection.close().await
    };
    let (reason, ()) = tokio::join!(client, serve);
    assert_eq!(reason.initiator(), amqp_connector::Initiator::Application);
}

#[tokio::test(start_paused = true)]
async fn octets_right_behind_open_ok_are_not_lost() {
    let (io, mut peer) = Peer::new();
    let script = async {
        up_to_open(&mut peer).await;
        let (io, _) = peer.into_parts();
        let mut io = io;
        let mut both = Vec::new();
        both.extend_from_slice(&frame(connection::OpenOk::default()));
        both.extend_from_slice(&frame(connection::Close { reply_code: 320, ..Default::default() }));
        io.write_all(&both).await.expect("written");
        let mut rest = Vec::new();
        io.read_to_end(&mut rest).await.expect("read");
        rest
    };
    let connect = async {
        let greeted = connector().connect_with(io).await.expect("greeted");
        let connection = greeted.authenticate("guest", "guest").await.expect("connected");
        resolves("closed", connection.closed()).await
    };
    let (rest, reason) = tokio::join!(script, connect);
    assert_eq!(reason.code().map(|code| code.0), Some(320));
    assert_eq!(rest, frame(connection::CloseOk::default()));
}

/// A method frame on channel 0, by the wire's rules.
fn frame<M: amqp_types::Method>(method: M) -> Vec<u8> {
    use amqp_connector::amqp_types::wire::Writer;
    let mut payload = bytes::BytesMut::new();
    method.encode(&mut Writer::new(&mut payload)).expect("encodes");
    let mut frame = bytes::BytesMut::new();
    let kind = amqp_types::frame::FrameKind::Method;
    protocol::FRAMING.put(kind, 0, &payload, &mut frame).expect("short");
    frame.to_vec()
}

#[tokio::test(start_paused = true)]
async fn connecting_can_be_given_up_at_any_poll() {
    for polls in 0..8 {
        let (io, mut peer) = Peer::new();
        let options = Options::default();
        let connector = Connector::new().options(options);
        let script = tokio::spawn(async move {
            // The client may vanish anywhere; what it did send must be in order.
            while let Ok(event) = peer.next().await {
                match event {
                    amqp_connector::testing::Event::End => return true,
                    amqp_connector::testing::Event::ProtocolHeader(_) => {
                        let start = peer.start();
                        peer.send(0, start).await;
                    }
                    amqp_connector::testing::Event::Method { method, .. }
                        if !peer.answer(0, &method).await =>
                    {
                        let tune = connection::Tune { frame_max: 4096, ..Default::default() };
                        peer.send(0, tune).await;
                    }
                    _ => {}
                }
            }
            false
        });
        let connect = async {
            let greeted = connector.connect_with(io).await?;
            greeted.authenticate("guest", "guest").await
        };
        drop(crate::support::poll_and_drop(polls, connect).await);
        assert!(resolves("the peer", script).await.expect("no panic"), "after {polls} polls");
    }
}
