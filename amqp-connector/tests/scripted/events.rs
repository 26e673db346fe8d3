//! A connection watched by its events, against a scripted peer.

use amqp_connector::protocol::{channel, connection};
use amqp_connector::testing::{Peer, leftovers};
use amqp_connector::{CloseCause, Connection, Event, Events};
use futures_core::stream::{FusedStream as _, Stream};

use crate::support::{close_clean, connection, open, poll_and_drop, resolves};

async fn next(events: &mut Events) -> Event {
    resolves("an event", events.recv()).await.expect("not over")
}

/// The next event of a stream.
async fn next_of_stream(events: &mut Events) -> Option<Event> {
    let mut events = std::pin::Pin::new(events);
    resolves("an event", std::future::poll_fn(|cx| events.as_mut().poll_next(cx))).await
}

async fn watched() -> (Connection, Events, Peer) {
    let (connection, peer) = connection().await;
    let events = connection.events();
    (connection, events, peer)
}

#[tokio::test(start_paused = true)]
async fn a_life_is_told_from_connected_to_closed() {
    let (connection, mut events, mut peer) = watched().await;
    assert!(matches!(next(&mut events).await, Event::Connected));
    let channel = open(&connection, &mut peer).await;
    let id = channel.id();
    assert!(
        matches!(next(&mut events).await, Event::ChannelOpened { channel, .. } if channel == id)
    );
    peer.send(id, channel::Flow { active: false }).await;
    peer.expect_on::<channel::FlowOk>(id).await;
    assert!(!channel.is_flowing());
    assert!(matches!(next(&mut events).await, Event::FlowPaused { channel, .. } if channel == id));
    peer.send(id, channel::Flow { active: true }).await;
    peer.expect_on::<channel::FlowOk>(id).await;
    assert!(channel.is_flowing());
    assert!(matches!(next(&mut events).await, Event::FlowResumed { channel, .. } if channel == id));
    peer.close_channel(id, 404, "NOT_FOUND - no such thing").await;
    match next_of_stream(&mut events).await {
        Some(Event::ChannelClosed { channel, reason, .. }) => {
            assert_eq!((channel, reason.cause()), (id, CloseCause::PeerClosed));
        }
        other => panic!("{other:?}"),
    }
    tokio::join!(connection.close(), peer.expect_close());
    assert!(matches!(next(&mut events).await, Event::Closing { .. }));
    match next(&mut events).await {
        Event::Closed { reason, .. } => assert_eq!(reason.cause(), CloseCause::Requested),
        other => panic!("{other:?}"),
    }
    assert!(!events.is_terminated(), "it has not told the end yet");
    assert!(next_of_stream(&mut events).await.is_none());
    assert!(events.is_terminated());
    assert!(events.recv().await.is_none(), "and stays over");
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_does_not_keep_the_connection_open_and_outlives_it() {
    let (connection, mut events, mut peer) = watched().await;
    drop(connection);
    peer.expect::<connection::Close>().await;
    peer.send(0, connection::CloseOk::default()).await;
    assert!(matches!(next(&mut events).await, Event::Connected));
    assert!(matches!(next(&mut events).await, Event::Closing { .. }));
    match next(&mut events).await {
        Event::Closed { reason, .. } => assert_eq!(reason.cause(), CloseCause::HandlesDropped),
        other => panic!("{other:?}"),
    }
    assert!(events.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn subscribers_that_are_dropped_leave_nothing() {
    let (connection, mut peer) = connection().await;
    for n in 0..100 {
        let mut events = connection.events();
        let mut blocked = connection.blocked();
        poll_and_drop(n % 3, events.recv()).await;
        poll_and_drop(n % 3, blocked.changed()).await;
        // Dropped with a queue, and with a waker.
        drop(events);
    }
    let kept = connection.events();
    assert_eq!(leftovers(&connection).subscribers, 1);
    drop(kept);
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_in_a_task_of_its_own_hears_of_a_cut() {
    let (connection, mut events, peer) = watched().await;
    let task = tokio::spawn(async move {
        let mut last = None;
        while let Some(event) = events.recv().await {
            last = Some(event);
        }
        last
    });
    peer.cut();
    let last = resolves("the task", task).await.expect("no panic");
    match last {
        Some(Event::Closed { reason, .. }) => {
            assert_eq!(reason.cause(), CloseCause::TransportEnded);
            assert!(std::sync::Arc::ptr_eq(&reason, &connection.closed().await));
        }
        other => panic!("{other:?}"),
    }
}
