//! What a connection counts of itself: each number is exact, and told outside of the lock.

mod recorder;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amqp_connector::amqp_types::frame::OVERHEAD;
use amqp_connector::testing::Peer;
use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Connection, Connector, Direction, Prefetch, QueueDeclare,
    Tapped,
};

use crate::support::{open, resolves};
use recorder::Recorder;

/// Gives the driver time to tell what it has counted.
async fn told() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Name and labels, on the connection of this name.
fn on<N>(connection: &str, numbers: &[(&str, N)]) -> BTreeMap<String, N>
where
    N: Copy,
{
    let name = |name: &str| match name.split_once(' ') {
        None => format!("amqp_{name} connection={connection}"),
        Some((name, label)) => format!("amqp_{name} connection={connection} {label}"),
    };
    numbers.iter().map(|(it, number)| (name(it), *number)).collect()
}

/// The octets of all frames but the handshakes'.
#[derive(Clone, Default)]
struct Octets(Arc<Mutex<(bool, u64, u64)>>);

impl Octets {
    fn add(&self, tapped: &Tapped<'_>) {
        let mut octets = self.0.lock().expect("no panic");
        let line = tapped.to_string();
        let size = (tapped.frame.payload.len() + OVERHEAD) as u64;
        if line.starts_with("<- 0 connection.start ") {
            octets.0 = false;
        }
        match (octets.0, tapped.direction) {
            (false, _) => octets.0 = line.starts_with("<- 0 connection.open-ok"),
            (true, Direction::Sent) => octets.1 += size,
            (true, Direction::Received) => octets.2 += size,
        }
    }

    fn both(&self) -> (u64, u64) {
        let octets = self.0.lock().expect("no panic");
        (octets.1, octets.2)
    }
}

async fn connect(broker: &MemoryBroker, connector: Connector) -> Connection {
    let broker = broker.clone();
    let dial = move || {
        let broker = broker.clone();
        async move { Ok(broker.transport()) }
    };
    let greeted = connector.connect_by(dial).await.expect("greeted");
    greeted.authenticate("guest", "guest").await.expect("welcome")
}

#[tokio::test(start_paused = true)]
async fn what_is_published_and_delivered_without_confirms_is_counted() {
    let recorder = Recorder::default();
    let _local = metrics::set_default_local_recorder(&recorder);
    let (broker, octets) = (MemoryBroker::start(), Octets::default());
    let seen = octets.clone();
    let connector = Connector::new().connection_name("orders");
    let connector = connector.tap(move |tapped| seen.add(tapped));
    let connection = connect(&broker, connector).await;
    let own = connection.clone();
    // It takes the lock, and would wait for ever if that was held.
    recorder.whenever_told(move || assert!(own.channel_count() <= 1));
    let channel = connection.channel_open().await.expect("a channel");
    channel.queue_declare(QueueDeclare::new("q")).await.expect("declared");
    for size in [10, 0, 100_000] {
        drop(channel.basic_publish(BasicPublish::new("", "q", vec![7; size])).await);
    }
    drop(channel.basic_publish(BasicPublish::new("", "nowhere", "back").mandatory(true)).await);
    let got = channel.basic_get(BasicGet::new("q")).await.expect("an answer").expect("a message");
    got.ack().expect("settled");
    let consume = BasicConsume::new("q", Prefetch::Count(5));
    let mut consumer = channel.basic_consume(consume).await.expect("a consumer");
    consumer.recv().await.expect("the second").nack(true).expect("given back");
    for _ in 0..2 {
        consumer.recv().await.expect("the third, and the second again").ack().expect("settled");
    }
    told().await;
    let levels = [("connections", 1.0), ("channels", 1.0), ("consumers", 1.0)];
    assert_eq!(recorder.gauges(), on("orders", &levels));
    drop(consumer);
    told().await;
    assert_eq!(recorder.gauges(), on("orders", &levels[..2]));
    channel.close().await.expect("closed");
    told().await;
    assert_eq!(recorder.gauges(), on("orders", &levels[..1]));
    connection.close().await;
    told().await;
    assert_eq!(recorder.gauges(), BTreeMap::new());
    let (sent, received) = octets.both();
    let counted = [
        ("published_messages_total", 4),
        ("published_bytes_total", 100_014),
        ("returned_messages_total", 1),
        ("delivered_messages_total", 4),
        ("delivered_bytes_total", 100_010),
        ("redelivered_messages_total", 1),
        ("sent_bytes_total", sent),
        ("received_bytes_total", received),
    ];
    assert_eq!(recorder.counters(), on("orders", &counted));
}

#[tokio::test(start_paused = true)]
async fn connections_of_one_name_add_up_and_others_are_told_apart() {
    let recorder = Recorder::default();
    let _local = metrics::set_default_local_recorder(&recorder);
    let broker = MemoryBroker::start();
    let named = || Connector::new().connection_name("orders");
    let (first, second) = (connect(&broker, named()).await, connect(&broker, named()).await);
    let handles = recorder.len();
    let nameless = connect(&broker, Connector::new()).await;
    assert_eq!(recorder.len(), 2 * handles);
    told().await;
    let (two, one) = (on("orders", &[("connections", 2.0)]), on("", &[("connections", 1.0)]));
    assert_eq!(recorder.gauges(), two.into_iter().chain(one).collect());
    second.close().await;
    nameless.close().await;
    told().await;
    assert_eq!(recorder.gauges(), on("orders", &[("connections", 1.0)]));
    first.close().await;
    told().await;
    assert_eq!(recorder.gauges(), BTreeMap::new());
    // Messages need no further ones.
    assert_eq!(recorder.len(), 2 * handles);
}

#[tokio::test(start_paused = true)]
async fn whatever_ends_a_connection_its_gauges_return_to_zero() {
    for end in ["abort", "cut", "drop"] {
        let recorder = Recorder::default();
        let _local = metrics::set_default_local_recorder(&recorder);
        let (io, mut peer) = Peer::new();
        let connect = async {
            let greeted = Connector::new().connect_with(io).await.expect("greeted");
            greeted.authenticate_with_driver("guest", "guest").await.expect("welcome")
        };
        let ((connection, driver), _) = tokio::join!(connect, peer.handshake());
        let driver = tokio::spawn(driver);
        let channel = open(&connection, &mut peer).await;
        drop(channel.basic_publish(BasicPublish::new("", "q", "m")).await);
        told().await;
        let levels = [("connections", 1.0), ("channels", 1.0)];
        assert_eq!(recorder.gauges(), on("", &levels), "{end}");
        match end {
            "abort" => connection.abort(),
            "cut" => peer.cut(),
            _ => driver.abort(),
        }
        resolves("the end", connection.closed()).await;
        told().await;
        assert_eq!(recorder.gauges(), BTreeMap::new(), "{end}");
        let losses = recorder.counters().get("amqp_connection_losses_total connection=").copied();
        assert_eq!(losses, (end == "cut").then_some(1), "{end}");
    }
}

amqp_connector::amqp_types::if_spec! { connection.blocked => {
    #[tokio::test(start_paused = true)]
    async fn that_the_broker_blocks_is_told_until_it_does_not() {
        let recorder = Recorder::default();
        let _local = metrics::set_default_local_recorder(&recorder);
        let broker = MemoryBroker::start();
        let connection = connect(&broker, Connector::new()).await;
        let channel = connection.channel_open().await.expect("a channel");
        broker.block("low on memory");
        drop(channel.basic_publish(BasicPublish::new("", "q", "m")).await);
        told().await;
        assert_eq!(recorder.gauges()["amqp_blocked_connections connection="], 1.0);
        broker.unblock();
        told().await;
        assert!(!recorder.gauges().contains_key("amqp_blocked_connections connection="));
        connection.close().await;
    }
} else {} }

amqp_connector::amqp_types::if_spec! { confirm.select => {
    use amqp_connector::protocol::{basic, confirm};
    use amqp_connector::{Outcome, Recovery};

    use crate::recovery::wholly_recovered;
    use crate::support::channel;

    #[tokio::test(start_paused = true)]
    async fn every_outcome_of_a_publish_is_counted_through_the_loss_of_the_connection() {
        let recorder = Recorder::default();
        let _local = metrics::set_default_local_recorder(&recorder);
        let broker = MemoryBroker::start();
        let connector = Connector::new().recovery(Recovery::new());
        let connection = connect(&broker, connector).await;
        let mut events = connection.events();
        let channel = connection.channel_open().await.expect("a channel");
        channel.confirm_select().await.expect("confirm mode");
        channel.queue_declare(QueueDeclare::new("q")).await.expect("declared");
        let to = |key: &str| BasicPublish::new("", key, "four").mandatory(true);
        let mut waiting = Vec::new();
        for key in ["q", "q", "q", "nowhere"] {
            waiting.push(channel.basic_publish(to(key)).await.expect("accepted"));
        }
        for confirmation in waiting {
            let _ = confirmation.await;
        }
        broker.refuse_publishes();
        for _ in 0..2 {
            let outcome = channel.basic_publish(to("q")).await.expect("accepted").await;
            assert!(matches!(outcome, Outcome::Nacked), "{outcome:?}");
        }
        broker.accept_publishes();
        let consume = BasicConsume::new("q", Prefetch::Count(5));
        let consumer = channel.basic_consume(consume).await.expect("a consumer");
        let lost = channel.basic_publish(to("q")).await.expect("accepted");
        broker.cut();
        assert!(matches!(lost.await, Outcome::Unknown(_)));
        told().await;
        wholly_recovered(&mut events).await;
        told().await;
        let levels = [("connections", 1.0), ("channels", 1.0), ("consumers", 1.0)];
        assert_eq!(recorder.gauges(), on("", &levels));
        let mut counted = recorder.counters();
        counted.retain(|name, _| !name.starts_with("amqp_sent") && !name.starts_with("amqp_received"));
        counted.retain(|name, _| !name.contains("delivered"));
        let expected = [
            ("published_messages_total", 7),
            ("published_bytes_total", 28),
            ("returned_messages_total", 1),
            ("publish_outcomes_total outcome=acked", 3),
            ("publish_outcomes_total outcome=nacked", 2),
            ("publish_outcomes_total outcome=returned", 1),
            ("publish_outcomes_total outcome=unknown", 1),
            ("connection_losses_total", 1),
            ("reconnects_total", 1),
        ];
        assert_eq!(counted, on("", &expected));
        // What the broker never answered took no time.
        assert_eq!(recorder.values("amqp_confirm_seconds connection=").len(), 6);
        connection.close().await;
        drop(consumer);
        told().await;
        assert_eq!(recorder.gauges(), BTreeMap::new());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_unconfirmed_and_how_long_a_confirm_takes_is_told() {
        let recorder = Recorder::default();
        let _local = metrics::set_default_local_recorder(&recorder);
        let (connection, channel, mut peer) = channel().await;
        let answer = async {
            let (id, _) = peer.expect::<confirm::Select>().await;
            peer.send(id, confirm::SelectOk::default()).await;
        };
        let (selected, ()) = tokio::join!(channel.confirm_select(), answer);
        selected.expect("confirm mode");
        let mut waiting = Vec::new();
        for _ in 0..3 {
            let publish = BasicPublish::new("", "q", "m");
            waiting.push(channel.basic_publish(publish).await.expect("accepted"));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(recorder.gauges()["amqp_unconfirmed_messages connection="], 3.0);
        peer.send(channel.id(), basic::Ack { delivery_tag: 2, multiple: true }).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(recorder.gauges()["amqp_unconfirmed_messages connection="], 1.0);
        let nack = basic::Nack { delivery_tag: 3, multiple: false, ..Default::default() };
        peer.send(channel.id(), nack).await;
        told().await;
        assert!(!recorder.gauges().contains_key("amqp_unconfirmed_messages connection="));
        let milliseconds: Vec<_> = recorder
            .values("amqp_confirm_seconds connection=")
            .iter()
            .map(|seconds| (seconds * 1000.0).round() as u64)
            .collect();
        assert_eq!(milliseconds, [300, 200, 200]);
        drop(waiting);
        connection.abort();
    }
} else {} }
