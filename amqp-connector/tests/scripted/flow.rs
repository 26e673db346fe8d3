//! Pauses: of one channel by `channel.flow`, of the whole connection by `connection.blocked`.

use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::protocol::{basic, channel, queue};
use amqp_connector::testing::{Event, Peer};
use amqp_connector::{BasicPublish, ErrorKind, Options};

use crate::support::{close_clean, connection, connection_with, open, resolves};

#[tokio::test(start_paused = true)]
async fn the_peers_flow_pauses_its_channel_alone() {
    let (connection, mut peer) = connection().await;
    let (paused, other) = (open(&connection, &mut peer).await, open(&connection, &mut peer).await);
    peer.send(paused.id(), channel::Flow { active: false }).await;
    let ok = peer.expect_on::<channel::FlowOk>(paused.id()).await;
    assert!(!ok.active && !paused.is_flowing() && other.is_flowing());
    let waiting: Vec<_> = (0..3)
        .map(|n| {
            let channel = paused.clone();
            tokio::spawn(async move {
                let publish = BasicPublish::new("", "paused", n.to_string());
                drop(channel.basic_publish(publish).await.expect("open"));
            })
        })
        .collect();
    for _ in 0..100 {
        drop(resolves("publish", other.basic_publish(BasicPublish::new("", "q", "x"))).await);
        peer.expect_content::<basic::Publish>(other.id()).await;
    }
    // Everything but publishes goes on, on the paused channel too.
    let purge = paused.call(queue::Purge::default());
    let answer = async {
        let (id, _) = peer.expect::<queue::Purge>().await;
        peer.send(id, queue::PurgeOk::default()).await;
    };
    assert!(tokio::join!(purge, answer).0.is_ok());
    peer.send(paused.id(), channel::Flow { active: true }).await;
    peer.expect_on::<channel::FlowOk>(paused.id()).await;
    for _ in 0..3 {
        peer.expect_content::<basic::Publish>(paused.id()).await;
    }
    for task in waiting {
        resolves("a publish", task).await.expect("accepted");
    }
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn our_flow_is_a_call() {
    let (connection, mut peer) = connection().await;
    let channel = open(&connection, &mut peer).await;
    for active in [false, true] {
        let answer = async {
            let flow = peer.expect_on::<channel::Flow>(channel.id()).await;
            assert_eq!(flow.active, active);
            peer.send(channel.id(), channel::FlowOk { active }).await;
        };
        let (ok, ()) = tokio::join!(channel.channel_flow(active), answer);
        assert_eq!(ok.expect("answered").active, active);
        assert!(channel.is_flowing(), "that is the other direction");
    }
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_stops_reading_without_a_word_hangs_nobody_and_publishing_resumes() {
    let mut options = Options::default();
    options.call_timeout = Duration::from_secs(10);
    options.outbound_budget = 10_000;
    let (connection, mut peer) = connection_with(options, Peer::with_pipe(1000)).await;
    let (publisher, caller) =
        (open(&connection, &mut peer).await, open(&connection, &mut peer).await);
    let publishing = {
        let channel = publisher.clone();
        tokio::spawn(async move {
            for n in 0..100_u8 {
                let publish = BasicPublish::new("", "q", vec![n; 1000]);
                drop(channel.basic_publish(publish).await.expect("open"));
            }
        })
    };
    // It reads nothing and says nothing: that is all a block is under a specification without the method.
    let error = resolves("the call", caller.call(queue::Purge::default())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.is_transient() && !publishing.is_finished());
    tokio::time::sleep(Duration::from_secs(5)).await;
    for n in 0..100 {
        // The call was sent meanwhile, and is answered late.
        let (_, _, body) = loop {
            match peer.next().await.expect("in order") {
                Event::Content { method, properties, body, .. } => {
                    break (method, properties, body);
                }
                Event::Method { channel, method } => {
                    assert!(peer.answer(channel, &method).await);
                }
                _ => {}
            }
        };
        assert_eq!(body.to_bytes()[0], n);
    }
    resolves("publishing", publishing).await.expect("accepted");
    assert!(caller.close_reason().is_none() && publisher.close_reason().is_none());
    close_clean(connection, &mut peer).await;
}

if_spec! { connection.blocked => {
    use amqp_connector::protocol::connection as wire;
    use amqp_connector::testing::leftovers;
    use amqp_connector::{BasicConsume, Prefetch, WhileBlocked};

    #[tokio::test(start_paused = true)]
    async fn a_block_is_watched_and_everything_comes_right_after_it() {
        let (io, peer) = Peer::new();
        let (connection, mut peer) =
            connection_with(Options::default(), (io, peer.tune(9, 4096, 10))).await;
        let channel = open(&connection, &mut peer).await;
        let mut blocked = connection.blocked();
        assert_eq!((blocked.is_blocked(), blocked.reason()), (false, None));
        peer.send(0, wire::Blocked { reason: "low on memory".try_into().expect("short") }).await;
        let reason = resolves("the block", blocked.changed()).await.expect("open");
        assert_eq!(reason.expect("blocked"), *"low on memory");
        assert!(blocked.is_blocked() && connection.is_blocked());
        let waiting: Vec<_> = (0..3)
            .map(|n| {
                let channel = channel.clone();
                tokio::spawn(async move {
                    let publish = BasicPublish::new("", "q", n.to_string());
                    channel.basic_publish(publish).await.map(drop)
                })
            })
            .collect();
        let purge = tokio::spawn(channel.call(queue::Purge::default()));
        // For an hour: heartbeats go out, nothing else, and nothing is given up.
        let (mut heartbeats, mut calls) = (0, 0);
        for _ in 0..360 {
            peer.send_heartbeat().await;
            let until = tokio::time::Instant::now() + Duration::from_secs(10);
            while let Ok(event) = tokio::time::timeout_at(until, peer.next()).await {
                match event.expect("in order") {
                    Event::Heartbeat => heartbeats += 1,
                    Event::Method { .. } => calls += 1,
                    other => panic!("{other}"),
                }
            }
        }
        assert!((700..=721).contains(&heartbeats), "{heartbeats} in an hour");
        assert_eq!((calls, purge.is_finished()), (1, false));
        peer.send(0, wire::Unblocked::default()).await;
        assert_eq!(resolves("the unblock", blocked.changed()).await.expect("open"), None);
        peer.send(channel.id(), queue::PurgeOk::default()).await;
        assert!(resolves("the call", purge).await.expect("no panic").is_ok());
        for task in waiting {
            peer.expect_content::<basic::Publish>(channel.id()).await;
            resolves("a publish", task).await.expect("no panic").expect("accepted");
        }
        drop(channel);
        peer.expect::<channel::Close>().await;
        peer.send(1, channel::CloseOk::default()).await;
        close_clean(connection, &mut peer).await;
    }

    #[tokio::test(start_paused = true)]
    async fn by_policy_what_waits_fails_when_the_block_begins() {
        let mut options = Options::default();
        options.publish_while_blocked = WhileBlocked::Fail;
        options.call_while_blocked = WhileBlocked::Fail;
        options.call_timeout = Duration::from_secs(7);
        let (io, peer) = Peer::new();
        let (connection, mut peer) = connection_with(options, (io, peer.tune(9, 4096, 0))).await;
        let channel = open(&connection, &mut peer).await;
        peer.send(channel.id(), channel::Flow { active: false }).await;
        peer.expect_on::<channel::FlowOk>(channel.id()).await;
        let waiting = {
            let channel = channel.clone();
            tokio::spawn(async move {
                channel.basic_publish(BasicPublish::new("", "q", "x")).await.map(drop)
            })
        };
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!waiting.is_finished());
        peer.send(0, wire::Blocked::default()).await;
        let error = resolves("the publish", waiting).await.expect("no panic").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Blocked);
        let begun = tokio::time::Instant::now();
        let call = channel.call(queue::Purge::default());
        let error = resolves("the call", call).await.unwrap_err();
        assert_eq!((error.kind(), begun.elapsed().as_secs()), (ErrorKind::Blocked, 7));
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(channel.close_reason().is_none(), "{:?}", channel.close_reason());
        assert_eq!(leftovers(&connection).waiting, 0);
        peer.expect::<queue::Purge>().await;
        let mut blocked = connection.blocked();
        peer.send(0, wire::Unblocked::default()).await;
        peer.send(channel.id(), queue::PurgeOk::default()).await;
        peer.send(channel.id(), channel::Flow { active: true }).await;
        assert_eq!(resolves("the unblock", blocked.changed()).await.expect("open"), None);
        drop(resolves("the publish", channel.basic_publish(BasicPublish::new("", "q", "x"))).await);
        peer.expect_on::<channel::FlowOk>(channel.id()).await;
        peer.expect_content::<basic::Publish>(channel.id()).await;
        close_clean(connection, &mut peer).await;
    }

    #[tokio::test(start_paused = true)]
    async fn no_time_passes_for_who_joins_a_cancel_while_the_broker_blocks() {
        for answered in [true, false] {
            let mut options = Options::default();
            options.call_timeout = Duration::from_secs(7);
            options.consumer_budget = 1000;
            let (io, peer) = Peer::new();
            let (connection, mut peer) =
                connection_with(options, (io, peer.tune(9, 4096, 0))).await;
            let channel = open(&connection, &mut peer).await;
            let consume = channel.basic_consume(BasicConsume::new("q", Prefetch::Unlimited));
            let answer = async {
                let (id, _) = peer.expect::<basic::Qos>().await;
                peer.send(id, basic::QosOk::default()).await;
                let (id, consume) = peer.expect::<basic::Consume>().await;
                let consumer_tag = consume.consumer_tag;
                peer.send(id, basic::ConsumeOk { consumer_tag }).await;
            };
            let mut consumer = tokio::join!(consume, answer).0.expect("consumes");
            // It goes over its budget, and is cancelled for that.
            for delivery_tag in [1, 2] {
                let consumer_tag = consumer.tag().clone();
                let deliver = basic::Deliver { consumer_tag, delivery_tag, ..Default::default() };
                let (id, body) = (channel.id(), vec![0; 2000]);
                peer.send_content(id, deliver, basic::Properties::default(), &body).await;
            }
            let (id, cancel) = peer.expect::<basic::Cancel>().await;
            let mut blocked = connection.blocked();
            peer.send(0, wire::Blocked::default()).await;
            assert!(resolves("the block", blocked.changed()).await.expect("open").is_some());
            let joined = tokio::spawn(async move { consumer.cancel().await });
            tokio::time::sleep(Duration::from_secs(1000)).await;
            assert!(!joined.is_finished());
            peer.send(0, wire::Unblocked::default()).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert!(!joined.is_finished(), "of its time enough is left");
            if answered {
                let consumer_tag = cancel.consumer_tag;
                peer.send(id, basic::CancelOk { consumer_tag }).await;
            }
            let ended = resolves("the cancel", joined).await.expect("no panic");
            assert_eq!(ended.map_err(|error| error.kind()).err(), (!answered).then_some(ErrorKind::Timeout));
            connection.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_ends_with_the_connection_and_does_not_keep_it_open() {
        let (connection, mut peer) = connection().await;
        let mut blocked = connection.blocked();
        peer.send(0, wire::Blocked::default()).await;
        assert!(resolves("the block", blocked.changed()).await.expect("open").is_some());
        let watch = tokio::spawn(async move { blocked.changed().await });
        drop(connection);
        peer.expect::<wire::Close>().await;
        peer.send(0, wire::CloseOk::default()).await;
        let error = resolves("the watch", watch).await.expect("no panic").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_blocked_connection_closes_within_its_deadline() {
        let (connection, mut peer) = connection().await;
        let mut blocked = connection.blocked();
        peer.send(0, wire::Blocked::default()).await;
        assert!(resolves("the block", blocked.changed()).await.expect("open").is_some());
        let begun = tokio::time::Instant::now();
        resolves("close", connection.close_within(Duration::from_secs(3))).await;
        assert!(begun.elapsed() <= Duration::from_secs(3), "{:?}", begun.elapsed());
    }
} else {} }
