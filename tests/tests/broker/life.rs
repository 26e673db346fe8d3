//! The numbers of channels, all of them, again and again; flow; and a connection's events.

use std::sync::Arc;
use std::time::Duration;

use amqp_connector::testing::{Leftovers, leftovers};
use amqp_connector::{BasicPublish, Channel, CloseCause, Connection, ErrorKind, Event, Initiator};
use amqp_tests::{Fixture, broker_test};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What RabbitMQ offers.
const CHANNELS: usize = 2047;
const SOON: Duration = Duration::from_secs(30);

async fn open_all(connection: &Connection) -> Vec<Channel> {
    let mut opening = JoinSet::new();
    for _ in 0..CHANNELS {
        opening.spawn(connection.channel_open());
    }
    let mut channels = Vec::new();
    while let Some(channel) = timeout(SOON, opening.join_next()).await.unwrap() {
        channels.push(channel.unwrap().unwrap());
    }
    channels
}

/// Waits until no number is in use, on either side.
async fn all_gone(t: &Fixture, connection: &Connection) {
    let gone = async {
        while connection.channel_count() > 0 || channels_at_the_broker(t).await != "0" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, gone).await.expect("channels are left");
    assert_eq!(leftovers(connection), Leftovers::default());
}

async fn channels_at_the_broker(t: &Fixture) -> String {
    let port = t.port();
    t.eval(&format!(
        "integer_to_list(length([P || {{P, I}} <- ets:tab2list(channel_created), is_process_alive(P),
         binary:match(proplists:get_value(name, I), <<\":{port} (\">>) =/= nomatch]))"
    ))
    .await
    .unwrap()
}

#[test]
fn every_channel_is_opened_and_closed_round_after_round_and_nothing_is_left() {
    broker_test(async |t| {
        let connection = t.connect().await;
        for round in 0..3 {
            let channels = open_all(&connection).await;
            let mut numbers: Vec<_> = channels.iter().map(Channel::id).collect();
            numbers.sort_unstable();
            assert!(numbers.iter().copied().eq(1..=2047), "round {round}");
            let error = connection.channel_open().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Limit);
            assert!(error.to_string().contains("channel-max, 2047,"), "{error}");
            for channel in channels {
                timeout(SOON, channel.close()).await.unwrap().unwrap();
            }
            all_gone(t, &connection).await;
        }
        connection.close().await;
    });
}

#[test]
fn channels_that_are_dropped_give_their_numbers_back() {
    broker_test(async |t| {
        let connection = t.connect().await;
        for _ in 0..3 {
            drop(open_all(&connection).await);
            all_gone(t, &connection).await;
        }
        // A number is taken again at once, whatever the peer has answered by then.
        for _ in 0..CHANNELS {
            drop(timeout(SOON, connection.channel_open()).await.unwrap().unwrap());
        }
        all_gone(t, &connection).await;
        connection.close().await;
    });
}

#[test]
fn channels_that_many_tasks_close_at_once_give_their_numbers_back() {
    broker_test(async |t| {
        let connection = t.connect().await;
        for _ in 0..3 {
            let channels = Arc::new(open_all(&connection).await);
            let mut closing = JoinSet::new();
            // Each by two tasks, and every third is dropped by the last of them.
            for n in 0..2 * CHANNELS {
                let channels = channels.clone();
                closing.spawn(async move {
                    let channel = channels[n % CHANNELS].clone();
                    match n % 3 {
                        0 => drop(channel),
                        _ => timeout(SOON, channel.close()).await.unwrap().unwrap(),
                    }
                });
            }
            drop(channels);
            while let Some(done) = closing.join_next().await {
                done.unwrap();
            }
            all_gone(t, &connection).await;
        }
        connection.close().await;
    });
}

#[test]
fn a_flow_of_ours_is_answered_and_a_pause_refused_by_its_name() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        assert!(channel.channel_flow(true).await.unwrap().active);
        assert!(channel.is_flowing());
        let error = channel.channel_flow(false).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
        let reason = error.close_reason().unwrap();
        assert_eq!(reason.code().map(|code| code.0), Some(540), "{reason}");
        assert_eq!(reason.method(), Some("channel.flow"), "{reason}");
        assert_eq!((reason.cause(), reason.initiator()), (CloseCause::PeerClosed, Initiator::Peer));
    });
}

#[test]
fn events_tell_a_connection_s_life_to_every_subscriber() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let (mut events, mut other) = (connection.events(), connection.events());
        let channel = connection.channel_open().await.unwrap();
        let id = channel.id();
        // No such exchange: the broker closes the channel.
        let publish = BasicPublish::new(t.name("missing"), "", "x");
        drop(channel.basic_publish(publish).await.unwrap());
        timeout(SOON, channel.closed()).await.unwrap();
        t.close_connections("time to go").await.unwrap();
        timeout(SOON, connection.closed()).await.unwrap();
        for events in [&mut events, &mut other] {
            let mut told = Vec::new();
            while let Some(event) = timeout(SOON, events.recv()).await.unwrap() {
                told.push(event);
            }
            assert_eq!(told.len(), 4, "{told:?}");
            assert!(matches!(told[0], Event::Connected), "{told:?}");
            assert!(
                matches!(told[1], Event::ChannelOpened { channel, .. } if channel == id),
                "{told:?}"
            );
            match &told[2] {
                Event::ChannelClosed { channel, reason, .. } => {
                    assert_eq!(*channel, id);
                    assert_eq!(reason.code().map(|code| code.0), Some(404));
                }
                other => panic!("{other:?}"),
            }
            match &told[3] {
                Event::Closed { reason, .. } => assert!(reason.text().contains("time to go")),
                other => panic!("{other:?}"),
            }
        }
        drop((events, other));
        assert_eq!(leftovers(&connection).subscribers, 0);
    });
}
