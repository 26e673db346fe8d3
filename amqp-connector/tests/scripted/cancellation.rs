//! Every public future, polled a number of times and dropped: the connection works on, nothing is left.
//!
//! The broker of these tests checks that nothing is settled twice and no frame is out of order.

use amqp_connector::testing::{Leftovers, Peer, leftovers};
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Channel, Connection, Connector, ErrorKind, Options,
    Prefetch, QueueDeclare,
};
use tokio::task::JoinHandle;

use crate::broker::{Broker, Mood, Verdict};
use crate::support::{poll_and_drop, resolves};

/// More than any of these futures needs to resolve against the broker.
pub(crate) const POLLS: usize = 12;

pub(crate) async fn against_broker() -> (Connection, JoinHandle<(Verdict, usize)>) {
    let (io, peer) = Peer::new();
    let broker = tokio::spawn(async move {
        let mut broker = Broker::new(peer, 1, Mood::Friendly);
        (broker.run().await, broker.messages())
    });
    let mut options = Options::default();
    options.outbound_budget = 50_000;
    let greeted = Connector::new().options(options).connect_with(io).await.expect("greeted");
    (greeted.authenticate("guest", "guest").await.expect("connected"), broker)
}

/// Polls and drops what `begin` gives, for every number of polls; after each, everything works.
pub(crate) async fn survives(begin: impl AsyncFn(&Connection, &Channel, usize)) {
    for polls in 0..POLLS {
        let (connection, broker) = against_broker().await;
        let channel = connection.channel_open().await.expect("open");
        match channel.confirm_select().await {
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            other => other.expect("confirm mode"),
        }
        let work = BasicPublish::new("", "work", "the work");
        drop(channel.basic_publish(work).await.expect("accepted"));

        begin(&connection, &channel, polls).await;

        // Whatever was undone, the one message can still be had, here or on another channel.
        let other = resolves("open", connection.channel_open()).await.expect("it works");
        let consume = BasicConsume::new("work", Prefetch::Count(1));
        let mut consumer = resolves("consume", other.basic_consume(consume)).await.expect("works");
        let delivery = resolves("recv", consumer.recv()).await.expect("the message");
        assert_eq!(delivery.body.to_bytes(), "the work");
        delivery.ack().expect("acked");
        drop(consumer);
        if channel.close_reason().is_none() {
            let declare = channel.queue_declare(QueueDeclare::new("q"));
            resolves("declare", declare).await.expect("the channel works");
            resolves("flush", channel.flush()).await.expect("flushed");
            resolves("close", channel.close()).await.expect("closed");
        }
        resolves("close", other.close()).await.expect("closed");
        drop((channel, other));
        // Channels that were given up while they opened close behind the scenes.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(leftovers(&connection), Leftovers::default(), "after {polls} polls");
        resolves("close", connection.close()).await;
        let (verdict, messages) = resolves("the broker", broker).await.expect("no panic");
        assert_eq!((verdict, messages), (Verdict::Over, 0), "after {polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn channel_open_can_be_dropped() {
    survives(async |connection, _, polls| {
        drop(poll_and_drop(polls, connection.channel_open()).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_call_can_be_dropped() {
    survives(async |_, channel, polls| {
        drop(poll_and_drop(polls, channel.queue_declare(QueueDeclare::new(""))).await);
    })
    .await;
    survives(async |_, channel, polls| {
        let declare = QueueDeclare::new("").exclusive(true);
        drop(poll_and_drop(polls, channel.queue_declare(declare)).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_get_can_be_dropped() {
    survives(async |_, channel, polls| {
        let get = channel.basic_get(BasicGet::new("work"));
        if let Some(Ok(Some(delivery))) = poll_and_drop(polls, get).await {
            delivery.nack(true).expect("given back");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_consume_can_be_dropped() {
    survives(async |_, channel, polls| {
        let consume = BasicConsume::new("work", Prefetch::Count(1));
        drop(poll_and_drop(polls, channel.basic_consume(consume)).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn receiving_can_be_dropped() {
    survives(async |_, channel, polls| {
        let consume = BasicConsume::new("work", Prefetch::Count(1));
        let mut consumer = channel.basic_consume(consume).await.expect("a consumer");
        for _ in 0..3 {
            if let Some(Some(delivery)) = poll_and_drop(polls, consumer.recv()).await {
                delivery.nack(true).expect("given back");
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_can_be_dropped() {
    survives(async |_, channel, polls| {
        let consume = BasicConsume::new("work", Prefetch::Count(1));
        let mut consumer = channel.basic_consume(consume).await.expect("a consumer");
        drop(poll_and_drop(polls, consumer.cancel()).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_publish_can_be_dropped_also_while_it_waits_for_room() {
    survives(async |_, channel, polls| {
        for size in [10, 40_000, 40_000, 200_000, 10] {
            let publish = BasicPublish::new("", "void", vec![0; size]);
            drop(poll_and_drop(polls, channel.basic_publish(publish)).await);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_can_be_dropped() {
    survives(async |_, channel, polls| {
        for _ in 0..3 {
            let publish = BasicPublish::new("", "void", "x");
            let confirmation = channel.basic_publish(publish).await.expect("accepted");
            drop(poll_and_drop(polls, confirmation).await);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn flush_returned_and_closed_can_be_dropped() {
    survives(async |connection, channel, polls| {
        drop(poll_and_drop(polls, channel.flush()).await);
        drop(poll_and_drop(polls, channel.returned()).await);
        drop(poll_and_drop(polls, channel.returns().recv()).await);
        drop(poll_and_drop(polls, channel.wait_for_confirms()).await);
        drop(poll_and_drop(polls, channel.closed()).await);
        drop(poll_and_drop(polls, connection.closed()).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn watching_can_be_dropped() {
    survives(async |connection, channel, polls| {
        let (mut events, mut blocked) = (connection.events(), connection.blocked());
        poll_and_drop(polls, events.recv()).await;
        poll_and_drop(polls, blocked.changed()).await;
        poll_and_drop(polls, channel.channel_flow(true)).await;
        if polls == 0 {
            assert!(resolves("an event", events.recv()).await.is_some(), "nothing was taken");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn confirm_select_can_be_dropped() {
    survives(async |connection, _, polls| {
        let channel = connection.channel_open().await.expect("open");
        drop(poll_and_drop(polls, channel.confirm_select()).await);
        // The broker may count or not: the outcome is right either way.
        let publish = BasicPublish::new("", "void", "x");
        let confirmation = channel.basic_publish(publish).await.expect("accepted");
        drop(resolves("get", channel.basic_get(BasicGet::new("none"))).await);
        let outcome = resolves("the outcome", confirmation).await;
        use amqp_connector::Outcome::{Accepted, Acked};
        assert!(matches!(outcome, Acked | Accepted), "{outcome:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_channels_close_can_be_dropped() {
    survives(async |_, channel, polls| {
        drop(poll_and_drop(polls, channel.close()).await);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_connections_close_can_be_dropped_and_goes_on() {
    for polls in 0..POLLS {
        let (connection, broker) = against_broker().await;
        drop(poll_and_drop(polls, connection.close()).await);
        if polls > 0 {
            assert!(connection.close_reason().is_some());
            resolves("closed", connection.closed()).await;
        }
        drop(connection);
        let (verdict, _) = resolves("the broker", broker).await.expect("no panic");
        assert_eq!(verdict, Verdict::Over, "after {polls} polls");
    }
}
