//! Heartbeats as a peer sees them, and a process that stalled: it is told apart from a peer that died.

use std::time::Duration;

use amqp_connector::amqp_types::frame::FrameKind;
use amqp_connector::protocol::{FRAMING, channel};
use amqp_connector::testing::{Event, Peer};
use amqp_connector::{BasicPublish, CloseCause, Connection, Initiator, Options};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, advance, sleep, timeout_at};

use crate::support::{close_clean, connection_with, open, resolves};

/// A connection whose peer offers heartbeats every so many seconds.
async fn beating(seconds: u16) -> (Connection, Peer) {
    let (io, peer) = Peer::new();
    connection_with(Options::default(), (io, peer.tune(9, 4096, seconds))).await
}

#[tokio::test(start_paused = true)]
async fn an_interval_of_one_second_sends_every_half_second_and_no_more() {
    let (connection, mut peer) = beating(1).await;
    let (end, mut heartbeats) = (Instant::now() + Duration::from_secs(100), 0);
    let mut next_own = Instant::now();
    while Instant::now() < end {
        match timeout_at(next_own, peer.next()).await {
            Ok(Ok(Event::Heartbeat)) => heartbeats += 1,
            Ok(other) => panic!("{other:?}"),
            Err(_) => {
                peer.send_heartbeat().await;
                next_own += Duration::from_secs(1);
            }
        }
    }
    assert!((195..=201).contains(&heartbeats), "{heartbeats} in 100 seconds");
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn without_heartbeats_nothing_is_sent_and_silence_is_never_fatal() {
    let mut off = Options::default();
    off.heartbeat = Some(Duration::ZERO);
    for (options, offered) in [(off.clone(), 60), (off, 0), (Options::default(), 0)] {
        let (io, peer) = Peer::new();
        let (connection, mut peer) =
            connection_with(options, (io, peer.tune(9, 4096, offered))).await;
        assert_eq!(connection.tuning().heartbeat, 0);
        let end = Instant::now() + Duration::from_secs(24 * 60 * 60);
        let came = timeout_at(end, peer.next()).await;
        assert!(came.is_err(), "{came:?} with {offered} offered");
        close_clean(connection, &mut peer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_written_slowly_holds_no_sign_of_life_back() {
    let (io, peer) = Peer::with_pipe(1000);
    let (connection, mut peer) =
        connection_with(Options::default(), (io, peer.tune(9, 4096, 1))).await;
    let channel = open(&connection, &mut peer).await;
    let (mut io, mut read) = peer.into_parts();
    drop(channel.basic_publish(BasicPublish::new("", "q", vec![7; 200_000])).await.expect("open"));
    let mut piece = [0; 1000];
    let mut heartbeat = BytesMut::new();
    FRAMING.put_heartbeat(&mut heartbeat);
    let (mut body, mut heartbeats) = (0, 0);
    while body < 200_000 {
        io.write_all(&heartbeat).await.expect("open");
        sleep(Duration::from_millis(900)).await;
        // There is always something: the peer hears from us in every interval.
        let octets = timeout_at(Instant::now(), io.read(&mut piece)).await.expect("octets wait");
        read.extend_from_slice(&piece[..octets.expect("open")]);
        while let Some(frame) = FRAMING.decode(&mut read, 4096).expect("frames") {
            match frame.kind {
                FrameKind::Body => body += frame.payload.len(),
                FrameKind::Heartbeat => heartbeats += 1,
                _ => {}
            }
        }
    }
    assert!(heartbeats < 10, "{heartbeats} though the body's octets told as much");
    // When it is out, heartbeats go on.
    sleep(Duration::from_millis(900)).await;
    assert!(timeout_at(Instant::now(), io.read(&mut piece)).await.is_ok());
    assert!(connection.close_reason().is_none());
    connection.abort();
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_told_apart_from_a_stall_of_our_own() {
    let (connection, mut peer) = beating(10).await;
    let begun = Instant::now();
    peer.send_heartbeat().await;
    let reason = resolves("closed", connection.closed()).await;
    let CloseCause::PeerSilent { silence, .. } = reason.cause() else { panic!("{reason}") };
    assert_eq!(reason.initiator(), Initiator::Library);
    assert!(silence >= Duration::from_secs(20), "{silence:?}");
    assert!(begun.elapsed() < Duration::from_secs(21), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_spoke_while_we_stalled_lives() {
    let (connection, mut peer) = beating(10).await;
    // Written to the pipe, and nobody is polled until the clock has jumped.
    peer.send_heartbeat().await;
    advance(Duration::from_secs(300)).await;
    assert!(connection.close_reason().is_none(), "{:?}", connection.close_reason());
    let channel = open(&connection, &mut peer).await;
    drop(channel);
    peer.expect::<channel::Close>().await;
    connection.abort();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_left_while_we_stalled_is_not_blamed() {
    let (connection, mut peer) = beating(10).await;
    peer.send_heartbeat().await;
    peer.cut();
    advance(Duration::from_secs(300)).await;
    let reason = resolves("closed", connection.closed()).await;
    let CloseCause::RuntimeStalled { stall, .. } = reason.cause() else { panic!("{reason}") };
    assert!(stall >= Duration::from_secs(290), "{stall:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_gone_without_a_word_when_we_wake_costs_one_more_interval() {
    let (connection, peer) = beating(10).await;
    advance(Duration::from_secs(300)).await;
    let woken = Instant::now();
    let reason = resolves("closed", connection.closed()).await;
    assert!(matches!(reason.cause(), CloseCause::PeerSilent { .. }), "{reason}");
    assert!(reason.text().contains("did not look"), "{reason}");
    assert!(woken.elapsed() <= Duration::from_secs(11), "{:?}", woken.elapsed());
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up_though_we_stall_again_and_again() {
    let (connection, peer) = beating(10).await;
    for _ in 0..4 {
        advance(Duration::from_secs(11)).await;
        sleep(Duration::from_millis(50)).await;
    }
    let reason = connection.close_reason().expect("given up");
    assert!(matches!(reason.cause(), CloseCause::PeerSilent { .. }), "{reason}");
    drop(peer);
}
