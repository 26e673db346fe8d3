//! Numbers of channels: handed out once at a time, and free again only when the peer says so.

use amqp_connector::protocol::{basic, channel};
use amqp_connector::testing::Peer;
use amqp_connector::{ErrorKind, Options};

use crate::support::{close_clean, connection_with, open, resolves};

#[tokio::test(start_paused = true)]
async fn a_number_whose_close_is_not_answered_is_not_used_again() {
    let (io, peer) = Peer::new();
    let (connection, mut peer) =
        connection_with(Options::default(), (io, peer.tune(2, 4096, 0))).await;
    let first = open(&connection, &mut peer).await;
    let id = first.id();
    drop(first);
    peer.expect_on::<channel::Close>(id).await;
    let second = open(&connection, &mut peer).await;
    assert_ne!(second.id(), id);
    // All numbers are in use: one is open, and one may be for the peer.
    let error = resolves("the third", connection.channel_open()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.to_string().contains("channel-max, 2,"), "{error}");
    assert_eq!(connection.channel_count(), 2);
    peer.send(id, channel::CloseOk::default()).await;
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    assert_eq!(connection.channel_count(), 1);
    let third = open(&connection, &mut peer).await;
    assert_eq!(third.id(), id);
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_open_frees_its_number() {
    let (io, peer) = Peer::new();
    let (connection, mut peer) =
        connection_with(Options::default(), (io, peer.tune(1, 4096, 0))).await;
    let refuse = async {
        let (id, _) = peer.expect::<channel::Open>().await;
        peer.close_channel(id, 504, "CHANNEL_ERROR - not now").await;
    };
    let (refused, ()) = tokio::join!(connection.channel_open(), refuse);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ChannelClosed);
    assert_eq!(connection.channel_count(), 0);
    let channel = open(&connection, &mut peer).await;
    assert_eq!(channel.id(), 1);
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn deliveries_behind_the_close_of_their_channel_leave_the_connection_alone() {
    // As many numbers as channels, so that one is used again at once.
    let (io, peer) = Peer::new();
    let (connection, mut peer) =
        connection_with(Options::default(), (io, peer.tune(2, 4096, 0))).await;
    let failing = open(&connection, &mut peer).await;
    let innocent = open(&connection, &mut peer).await;
    let id = failing.id();
    peer.close_channel(id, 404, "NOT_FOUND - no queue").await;
    let stray = basic::Deliver { delivery_tag: 1, ..Default::default() };
    let properties = basic::Properties::default();
    peer.send_content(id, stray.clone(), properties.clone(), b"sent before the close-ok").await;
    resolves("the end", failing.closed()).await;
    // The number is opened again while they still come.
    let opening = async {
        assert_eq!(peer.expect::<channel::Open>().await.0, id);
        peer.send_content(id, stray, properties, b"and another").await;
        peer.send(id, channel::OpenOk::default()).await;
    };
    let (again, ()) = tokio::join!(connection.channel_open(), opening);
    assert_eq!(again.expect("opened").id(), id);
    assert!(connection.close_reason().is_none());
    assert!(innocent.close_reason().is_none());
}

#[tokio::test(start_paused = true)]
async fn deliveries_of_a_channel_that_the_peer_closed_reach_none_that_is_opened_then() {
    let (connection, failing, mut peer) = crate::support::channel().await;
    let id = failing.id();
    peer.close_channel(id, 404, "NOT_FOUND - no queue").await;
    resolves("the end", failing.closed()).await;
    let next = open(&connection, &mut peer).await;
    // A broker with much to do sends what it had in hand even now. Were it taken for the new channel's, it would be
    // given back there, with a tag that the broker does not know.
    let stray = basic::Deliver { delivery_tag: 118, ..Default::default() };
    peer.send_content(id, stray, basic::Properties::default(), b"late").await;
    assert_ne!(next.id(), id);
    let (closed, ()) = tokio::join!(next.close(), async {
        let (at, _) = peer.expect::<channel::Close>().await;
        assert_eq!(at, next.id(), "nothing is sent before it");
        peer.send(at, channel::CloseOk::default()).await;
    });
    closed.expect("in order");
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn numbers_whose_channels_the_peer_closed_are_used_again_when_there_are_no_others() {
    let (io, peer) = Peer::new();
    let (connection, mut peer) =
        connection_with(Options::default(), (io, peer.tune(3, 4096, 0))).await;
    let mut numbers = Vec::new();
    for _ in 0..7 {
        let channel = open(&connection, &mut peer).await;
        peer.close_channel(channel.id(), 404, "NOT_FOUND - no queue").await;
        resolves("the end", channel.closed()).await;
        numbers.push(channel.id());
    }
    assert_eq!(numbers, [1, 2, 3, 1, 2, 3, 1], "the one that has rested longest");
    close_clean(connection, &mut peer).await;
}
