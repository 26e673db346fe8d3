//! What a server tells of itself, as it can be asked, and what is made of it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use amqp_connector::amqp_types::short_str;
use amqp_connector::protocol::connection;
use amqp_connector::testing::{Event, Peer};
use amqp_connector::{
    ConnectError, Connection, Connector, FieldTable, Initiator, Options, Recovery,
};
use tokio::io::DuplexStream;

use crate::handshake::connect;
use crate::recovery::wholly_recovered;
use crate::support::{connection_with, resolves};

/// Properties as RabbitMQ of this version tells them.
fn rabbitmq(version: &str) -> FieldTable {
    FieldTable::new()
        .with(short_str!("product"), "RabbitMQ")
        .with(short_str!("version"), version.to_owned())
}

/// Asks a server of these properties, which offers this, for frames of that size.
async fn ask_for(
    frame_max: u32,
    offered: u32,
    properties: FieldTable,
) -> Result<Connection, ConnectError> {
    let (io, peer) = Peer::new();
    let mut peer = peer.server_properties(properties);
    let mut options = Options::default();
    options.frame_max = frame_max;
    let script = async {
        peer.greet().await;
        peer.send(0, connection::Tune { channel_max: 9, frame_max: offered, heartbeat: 0 }).await;
        if let Ok(Event::Method { .. }) = peer.next().await {
            peer.expect_on::<connection::Open>(0).await;
            peer.send(0, connection::OpenOk::default()).await;
        }
        peer
    };
    connect(Connector::new().options(options), io, script).await
}

#[tokio::test(start_paused = true)]
async fn frames_smaller_than_a_server_takes_are_refused_with_the_reason_before_they_are_agreed_on()
{
    for (wanted, offered, version) in
        [(4096, 131_072, "4.1.0"), (8191, 0, "4.2.1-rc.1"), (0, 4096, "5.0.0"), (1, 9000, "4.1")]
    {
        let error = ask_for(wanted, offered, rabbitmq(version)).await.expect_err("too small");
        let ConnectError::FrameMaxRefused { frame_max, least, server } = &error else {
            panic!("{error:?}")
        };
        assert_eq!((*frame_max < 8192, *least), (true, 8192));
        assert_eq!(*server, format!("RabbitMQ {version}"));
        let text = error.to_string();
        assert!(text.contains("8192") && text.contains(version) && !error.is_transient(), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn frames_that_a_server_takes_are_agreed_on() {
    let other = FieldTable::new().with(short_str!("version"), "4.1.0");
    for (wanted, offered, properties) in [
        (4096, 131_072, rabbitmq("4.0.9")),
        (4096, 131_072, rabbitmq("?")),
        (4096, 131_072, other),
        (8192, 131_072, rabbitmq("4.1.0")),
        (0, 0, rabbitmq("4.1.0")),
        (131_072, 0, rabbitmq("4.1.0")),
    ] {
        let connection = ask_for(wanted, offered, properties).await.expect("agreed");
        assert!(connection.tuning().frame_max >= wanted, "{:?}", connection.tuning());
    }
}

#[tokio::test(start_paused = true)]
async fn where_neither_side_has_a_limit_a_large_frame_is_refused_at_its_header_all_the_same() {
    let mut options = Options::default();
    options.frame_max = 0;
    let (io, peer) = Peer::new();
    let (connection, mut peer) = connection_with(options, (io, peer.tune(9, 0, 0))).await;
    // One octet more than 1 MiB, announced only.
    peer.send_raw(&[1, 0, 0, 0, 0x0f, 0xff, 0xf9]).await;
    let (_, close) = peer.expect::<connection::Close>().await;
    assert_eq!(close.reply_code, 501);
    let reason = resolves("closed", connection.closed()).await;
    assert_eq!(reason.initiator(), Initiator::Library);
}

#[tokio::test(start_paused = true)]
async fn after_a_recovery_it_is_the_new_server_that_is_told_of() {
    let (pipes, mut peers): (VecDeque<DuplexStream>, Vec<Peer>) = ["3.13.7", "4.1.2"]
        .map(|version| {
            let (io, peer) = Peer::new();
            (io, peer.server_properties(rabbitmq(version)))
        })
        .into_iter()
        .unzip();
    let pipes = Arc::new(Mutex::new(pipes));
    let dial = move || {
        let pipe = pipes.lock().expect("no panic").pop_front();
        async move { pipe.ok_or(io::ErrorKind::ConnectionRefused.into()) }
    };
    let (mut second, mut first) = (peers.pop().expect("two"), peers.pop().expect("two"));
    let connector = Connector::new().recovery(Recovery::new());
    let connect = async {
        let greeted = connector.connect_by(dial).await.expect("greeted");
        assert_eq!(greeted.server_properties().to_string(), "RabbitMQ 3.13.7");
        greeted.authenticate("guest", "guest").await.expect("welcome")
    };
    let (connection, _) = tokio::join!(connect, first.handshake());
    assert!(connection.server_properties().version().is_some_and(|it| it == (3, 13, 7)));
    let mut events = connection.events();
    first.cut();
    second.handshake().await;
    resolves("the recovery", wholly_recovered(&mut events)).await;
    assert!(connection.server_properties().version().is_some_and(|it| it == (4, 1, 2)));
}
