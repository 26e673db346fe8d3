//! What a peer may not make us buffer, and what a burst may not leave behind.

use std::time::Duration;

use amqp_connector::protocol::{basic, connection};
use amqp_connector::testing::{Event, Peer};
use amqp_connector::{BasicPublish, Options};

use crate::support::{close_clean, connection_with, open, resolves};

#[tokio::test(start_paused = true)]
async fn an_inbound_frame_over_the_negotiated_size_is_refused_at_its_header() {
    let (io, peer) = Peer::new();
    let (connection, mut peer) =
        connection_with(Options::default(), (io, peer.tune(9, 4096, 0))).await;
    let channel = open(&connection, &mut peer).await;
    // 4089 octets of payload announced, which makes a frame of 4097; none of them is sent.
    let id = u8::try_from(channel.id()).expect("small");
    peer.send_raw(&[3, 0, id, 0, 0, 0x0f, 0xf9]).await;
    let (_, close) = peer.expect::<connection::Close>().await;
    assert_eq!(close.reply_code, 501);
    let reason = resolves("closed", connection.closed()).await;
    assert_eq!(reason.initiator(), amqp_connector::Initiator::Library);
    assert_eq!(reason.code().map(|code| code.0), Some(501));
}

#[tokio::test(start_paused = true)]
async fn a_frame_of_the_negotiated_size_is_taken() {
    let (io, peer) = Peer::new();
    let (connection, mut peer) =
        connection_with(Options::default(), (io, peer.tune(9, 4096, 0))).await;
    let channel = open(&connection, &mut peer).await;
    let returned = basic::Return { reply_code: 312, ..Default::default() };
    let body = vec![7; 4088];
    peer.send_content(channel.id(), returned, basic::Properties::default(), &body).await;
    let returned = resolves("the return", channel.returned()).await.expect("returned");
    assert_eq!(returned.body.to_bytes(), body);
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn octets_that_are_no_frame_close_the_connection() {
    for octets in [
        &b"HTTP/1.1 200 OK"[..],
        b"\x01\x00\x00\x00\x00\x00\x01\x00\x00",
        b"\x08\0\x01\0\0\0\0\xce",
    ] {
        let (connection, mut peer) = connection_with(Options::default(), Peer::new()).await;
        peer.send_raw(octets).await;
        let (_, close) = peer.expect::<connection::Close>().await;
        assert_eq!(close.reply_code, 501);
        peer.expect_end().await;
        resolves("closed", connection.closed()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_well_in_the_middle_of_anything_the_peer_sends() {
    // A delivery, cut after each of its octets.
    let whole = {
        let (client, server) = tokio::io::duplex(1 << 16);
        let mut peer = Peer::over(server);
        let returned = basic::Return { reply_code: 312, ..Default::default() };
        let properties = basic::Properties {
            content_type: Some("text/plain".try_into().expect("short")),
            ..Default::default()
        };
        peer.send_content(1, returned, properties, "body").await;
        drop(peer);
        let mut client = client;
        let mut octets = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut client, &mut octets).await.expect("read");
        octets
    };
    for length in 0..=whole.len() {
        let (connection, mut peer) = connection_with(Options::default(), Peer::new()).await;
        let channel = open(&connection, &mut peer).await;
        peer.send_raw(&whole[..length]).await;
        peer.cut();
        let reason = resolves("closed", connection.closed()).await;
        assert_eq!(reason.initiator(), amqp_connector::Initiator::Peer);
        let returned = resolves("returned", channel.returned()).await;
        assert_eq!(returned.is_ok(), length == whole.len());
    }
}

#[tokio::test(start_paused = true)]
async fn publishing_is_held_by_a_peer_that_does_not_read() {
    let mut options = Options::default();
    options.outbound_budget = 100_000;
    let (connection, mut peer) = connection_with(options, Peer::with_pipe(1000)).await;
    let channel = open(&connection, &mut peer).await;
    let publisher = async {
        let mut sent = 0_usize;
        loop {
            let publish = channel.basic_publish(BasicPublish::new("", "q", vec![0; 1000]));
            match tokio::time::timeout(Duration::from_secs(1), publish).await {
                Ok(accepted) => drop(accepted.expect("accepted")),
                Err(_) => return sent,
            }
            sent += 1;
        }
    };
    let sent = publisher.await;
    assert!((90..=105).contains(&sent), "{sent} messages of 1000 octets in a budget of 100000");
    let left = amqp_connector::testing::leftovers(&connection);
    assert!(left.octets <= 100_000, "{left:?}");
    assert_eq!(left.waiting, 0);
    for _ in 0..sent {
        peer.expect_content::<basic::Publish>(channel.id()).await;
    }
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn heartbeats_go_on_while_a_write_is_stuck_and_reading_too() {
    let (io, peer) = Peer::with_pipe(1000);
    let (connection, mut peer) =
        connection_with(Options::default(), (io, peer.tune(9, 4096, 10))).await;
    let channel = open(&connection, &mut peer).await;
    drop(channel.basic_publish(BasicPublish::new("", "q", vec![0; 300_000])).await);
    // The peer lives, but reads nothing for a long time.
    for _ in 0..20 {
        peer.send_heartbeat().await;
        peer.silence(Duration::from_secs(5)).await;
    }
    assert!(connection.close_reason().is_none());
    match peer.next().await.expect("in order") {
        Event::Content { body, .. } => assert_eq!(body.len(), 300_000),
        other => panic!("{other}"),
    }
    let reason = async {
        connection.close().await;
    };
    tokio::join!(reason, peer.expect_close());
}
