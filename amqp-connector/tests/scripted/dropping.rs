//! More public futures, polled a number of times and dropped; see `cancellation`.

use std::time::Duration;

use amqp_connector::amqp_types::Method as _;
use amqp_connector::protocol::{basic, channel as channel_class};
use amqp_connector::testing::Peer;
use amqp_connector::topology::Removal;
use amqp_connector::{
    AccessRequest, BasicConsume, BasicPublishStream, CloseCause, ConfirmOptions, Connector,
    ErrorKind, ExchangeDeclare, Prefetch, QueueBind, QueueDeclare, Topology,
};
use tokio::io::AsyncReadExt as _;

use crate::broker::Verdict;
use crate::cancellation::{POLLS, against_broker, survives};
use crate::support::{channel, close_clean, poll_and_drop, resolves};

/// Longer than the outbound budget of these tests, so that it is not sent in one go.
const LENGTH: u64 = 200_000;

fn to_void() -> BasicPublishStream {
    BasicPublishStream::new("", "void", LENGTH)
}

#[tokio::test(start_paused = true)]
async fn a_call_with_content_can_be_dropped() {
    survives(async |_, channel, polls| {
        let get = basic::Get { queue: "work".try_into().expect("short"), ..Default::default() };
        let got = poll_and_drop(polls, channel.call_with_content(get)).await;
        if let Some(Ok((basic::GetReply::Ok(got), _))) = got {
            let reject = basic::Reject { delivery_tag: got.delivery_tag, requeue: true };
            channel.send(reject).expect("given back");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn sending_a_content_can_be_dropped() {
    survives(async |_, channel, polls| {
        amqp_connector::amqp_types::if_spec! { file.stage => {
            use amqp_connector::protocol::file;
            // The second has to wait for room.
            for _ in 0..2 {
                let (stage, properties) = (file::Stage::default(), file::Properties::default());
                let sending = channel.send_content(stage, properties, vec![0; 100_000]);
                drop(poll_and_drop(polls, sending).await);
            }
        } else {
            // There is none but the one that has a better operation: it is refused.
            let (publish, properties) = (basic::Publish::default(), basic::Properties::default());
            drop(poll_and_drop(polls, channel.send_content(publish, properties, "x")).await);
        } }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_for_access_can_be_dropped() {
    survives(async |_, channel, polls| {
        drop(poll_and_drop(polls, channel.access_request(AccessRequest::new("/data"))).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn applying_comparing_and_removing_a_topology_can_be_dropped() {
    let topology = Topology::default()
        .with_exchange(ExchangeDeclare::new("x", "topic"))
        .and_then(|it| it.with_queue(QueueDeclare::new("t")))
        .and_then(|it| it.with_queue_binding(QueueBind::new("t", "x", "#")))
        .expect("a topology");
    survives(async |connection, _, polls| {
        drop(poll_and_drop(polls, topology.apply(connection)).await);
    })
    .await;
    survives(async |connection, _, polls| {
        drop(poll_and_drop(polls, topology.compare(connection)).await);
    })
    .await;
    survives(async |connection, _, polls| {
        drop(poll_and_drop(polls, topology.remove(connection, Removal::new())).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_recover_can_be_dropped() {
    for polls in 0..4 {
        let (connection, channel, mut peer) = channel().await;
        let id = channel.id();
        drop(poll_and_drop(polls, channel.basic_recover(true)).await);
        if polls > 0 {
            peer.expect_on::<basic::Recover>(id).await;
            amqp_connector::amqp_types::if_spec! { basic.recover_ok => {
                peer.send(id, basic::RecoverOk::default()).await;
            } else {} }
        }
        // Its answer is nobody else's.
        let call = channel.queue_declare(QueueDeclare::new("q"));
        let script = async {
            let declare = peer.expect_on::<amqp_connector::protocol::queue::Declare>(id).await;
            assert!(peer.answer(id, &declare.into_any()).await);
        };
        let (declared, ()) = resolves("declare", async { tokio::join!(call, script) }).await;
        declared.expect("its own reply");
        drop(channel);
        peer.expect::<channel_class::Close>().await;
        close_clean(connection, &mut peer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn confirm_mode_with_options_can_be_dropped() {
    survives(async |connection, _, polls| {
        let channel = connection.channel_open().await.expect("open");
        let select = channel.confirm_select_with(ConfirmOptions::default());
        drop(poll_and_drop(polls, select).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn waiting_for_what_comes_unasked_can_be_dropped() {
    survives(async |_, channel, polls| {
        let mut incoming = channel.incoming().expect("the first");
        drop(poll_and_drop(polls, incoming.recv()).await);
        drop(incoming);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn watching_a_connection_can_be_dropped() {
    survives(async |connection, _, polls| {
        let mut events = connection.events();
        // What it tells of stays to be told.
        let opened = connection.channel_open().await.expect("open");
        let first = poll_and_drop(polls, events.recv()).await;
        let first = match first {
            Some(told) => told,
            None => resolves("an event", events.recv()).await,
        };
        assert!(first.is_some(), "nothing was lost");
        drop(opened);
        drop(poll_and_drop(polls, connection.blocked().changed()).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_streamed_publish_with_a_channel_of_its_own_can_be_dropped() {
    survives(async |connection, _, polls| {
        let source = tokio::io::repeat(1).take(LENGTH);
        drop(poll_and_drop(polls, connection.publish_reader(to_void(), source)).await);
        let (hand, pieces) = crate::streaming::by_hand();
        for _ in 0..20 {
            hand.send(Ok(vec![1; 10_000].into())).expect("kept");
        }
        drop(hand);
        drop(poll_and_drop(polls, connection.publish_stream(to_void(), pieces)).await);
    })
    .await;
}

/// On a channel without a transaction what was sent cannot be taken back: the connection ends, or nothing was sent.
#[tokio::test(start_paused = true)]
async fn a_streamed_publish_on_a_channel_can_be_dropped() {
    for (polls, reader) in (0..POLLS).flat_map(|polls| [(polls, true), (polls, false)]) {
        let (connection, broker) = against_broker().await;
        let channel = connection.channel_open().await.expect("open");
        if reader {
            let source = tokio::io::repeat(1).take(LENGTH);
            drop(poll_and_drop(polls, channel.basic_publish_reader(to_void(), source)).await);
        } else {
            let (hand, pieces) = crate::streaming::by_hand();
            for _ in 0..20 {
                hand.send(Ok(vec![1; 10_000].into())).expect("kept");
            }
            drop(hand);
            drop(poll_and_drop(polls, channel.basic_publish_stream(to_void(), pieces)).await);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        match connection.close_reason() {
            None => {
                let declare = channel.queue_declare(QueueDeclare::new("q"));
                resolves("declare", declare).await.expect("the channel works");
                resolves("close", connection.close()).await;
            }
            Some(reason) => {
                assert!(matches!(reason.cause(), CloseCause::StreamBroken), "{reason}");
            }
        }
        drop((channel, connection));
        let (verdict, messages) = resolves("the broker", broker).await.expect("no panic");
        assert!(matches!(verdict, Verdict::Over | Verdict::Truncated), "{verdict:?}");
        assert_eq!(messages, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn closes_with_a_deadline_can_be_dropped_and_go_on() {
    for polls in 0..POLLS {
        let (connection, broker) = against_broker().await;
        let channel = connection.channel_open().await.expect("open");
        let consume = BasicConsume::new("work", Prefetch::Count(1));
        let mut consumer = channel.basic_consume(consume).await.expect("a consumer");
        let soon = Duration::from_secs(1);
        drop(poll_and_drop(polls, channel.close_within(soon)).await);
        if polls > 0 {
            assert!(channel.close_reason().is_some());
            assert!(resolves("recv", consumer.recv()).await.is_none());
        }
        drop(poll_and_drop(polls, connection.close_within(soon)).await);
        if polls > 0 {
            assert!(connection.close_reason().is_some());
            resolves("closed", connection.closed()).await;
        }
        drop((consumer, channel, connection));
        let (verdict, _) = resolves("the broker", broker).await.expect("no panic");
        assert_eq!(verdict, Verdict::Over, "after {polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_can_be_dropped_after_any_poll() {
    for polls in 0..POLLS {
        let (io, mut peer) = Peer::new();
        let connect = async {
            let greeted = Connector::new().connect_with(io).await.expect("greeted");
            greeted.authenticate_with_driver("guest", "guest").await.expect("connected")
        };
        let ((connection, driver), _) = tokio::join!(connect, peer.handshake());
        let opening = tokio::spawn(connection.channel_open());
        tokio::task::yield_now().await;
        let _ = poll_and_drop(polls, driver).await;
        let error = resolves("opening", opening).await.expect("no panic").expect_err("it is over");
        assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
        resolves("close", connection.close()).await;
    }
}
