//! Numbers of channels: handed out once at a time, and free again only when the peer says so.

use amqp_connector::protocol::channel;
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
