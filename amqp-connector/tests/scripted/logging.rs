//! What is logged, and that it is logged outside the connection's lock: a subscriber may use the very connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use amqp_connector::protocol::basic;
use amqp_connector::testing::Peer;
use amqp_connector::{
    BasicConsume, BasicGet, Connection, ConsumerEnd, Options, Prefetch, Unsettled,
};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::support::{connection_with, open, resolves};

/// Looks at its connection with every event.
#[derive(Clone, Default)]
struct Curious {
    connection: Arc<OnceLock<Connection>>,
    warnings: Arc<AtomicUsize>,
}

impl Subscriber for Curious {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("amqp_connector")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if let Some(connection) = self.connection.get() {
            // It takes the lock, and would wait for ever if that was held.
            assert!(connection.channel_count() <= 1);
            let warning = *event.metadata().level() == tracing::Level::WARN;
            self.warnings.fetch_add(usize::from(warning), Ordering::Relaxed);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_may_use_the_connection_that_it_hears_of() {
    let curious = Curious::default();
    let _subscribed = tracing::subscriber::set_default(curious.clone());
    let (connection, mut peer) = connection_with(Options::default(), Peer::new()).await;
    let channel = open(&connection, &mut peer).await;
    assert!(curious.connection.set(connection.clone()).is_ok());
    let consume = BasicConsume::new("q", Prefetch::Unlimited).tag("c").budget(1000);
    let started = tokio::spawn(channel.basic_consume(consume));
    let (id, _) = peer.expect::<basic::Qos>().await;
    peer.send(id, basic::QosOk::default()).await;
    peer.expect::<basic::Consume>().await;
    let consumer_tag: amqp_connector::ShortStr = "c".try_into().expect("short");
    peer.send(id, basic::ConsumeOk { consumer_tag: consumer_tag.clone() }).await;
    let mut consumer = resolves("the consumer", started).await.expect("no panic").expect("started");
    // For nobody, then more than the consumer may have.
    for (delivery_tag, consumer_tag) in
        [(1, "nobody".try_into().expect("short")), (2, consumer_tag.clone()), (3, consumer_tag)]
    {
        let deliver = basic::Deliver { consumer_tag, delivery_tag, ..Default::default() };
        peer.send_content(id, deliver, basic::Properties::default(), vec![0; 900]).await;
    }
    assert!(resolves("the end", consumer.recv()).await.is_none());
    assert_eq!(consumer.end(), Some(&ConsumerEnd::Overflow));
    assert_eq!(curious.warnings.load(Ordering::Relaxed), 1);
    connection.abort();
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_dropped_unsettled_is_warned_of_if_it_stays_with_its_channel() {
    let curious = Curious::default();
    let _subscribed = tracing::subscriber::set_default(curious.clone());
    let (connection, mut peer) = connection_with(Options::default(), Peer::new()).await;
    let channel = open(&connection, &mut peer).await;
    assert!(curious.connection.set(connection.clone()).is_ok());
    for (delivery_tag, unsettled, warnings) in
        [(1, Unsettled::Requeue, 0), (2, Unsettled::Reject, 0), (3, Unsettled::Leave, 1)]
    {
        let got = tokio::spawn(channel.basic_get(BasicGet::new("q").unsettled(unsettled)));
        let (id, _) = peer.expect::<basic::Get>().await;
        let ok = basic::GetOk { delivery_tag, ..Default::default() };
        peer.send_content(id, ok, basic::Properties::default(), "x").await;
        let got = resolves("a message", got).await.expect("no panic").expect("got");
        drop(got.expect("one"));
        assert_eq!(curious.warnings.load(Ordering::Relaxed), warnings, "{unsettled:?}");
        if unsettled != Unsettled::Leave {
            peer.expect::<basic::Reject>().await;
        }
    }
    connection.abort();
}
