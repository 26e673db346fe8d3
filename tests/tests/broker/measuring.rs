//! What is measured of connections to a real broker is what happened, to the last octet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amqp_connector::amqp_types::frame::OVERHEAD;
use amqp_connector::{
    BasicConsume, BasicPublish, Direction, Prefetch, QueueDeclare, QueueDelete, Tapped,
};
use amqp_tests::broker_test;
use tokio::time::{sleep, timeout};

use crate::recovery::{SOON, quick, recovered};

#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../../../amqp-connector/tests/scripted/measuring/recorder.rs"]
mod recorder;

use recorder::Recorder;

const MESSAGES: usize = 500;
const SIZE: usize = 300;

/// The octets of all frames but the handshakes', sent and received.
#[derive(Default)]
struct Octets {
    open: bool,
    sent: u64,
    received: u64,
}

impl Octets {
    fn add(&mut self, tapped: &Tapped<'_>) {
        let size = (tapped.frame.payload.len() + OVERHEAD) as u64;
        let line = tapped.to_string();
        if line.starts_with("<- 0 connection.start ") {
            self.open = false;
        }
        match (self.open, tapped.direction) {
            (false, _) => self.open = line.starts_with("<- 0 connection.open-ok"),
            (true, Direction::Sent) => self.sent += size,
            (true, Direction::Received) => self.received += size,
        }
    }
}

fn named<N: Copy>(numbers: &[(&str, N)]) -> BTreeMap<String, N> {
    let name = |name: &str| match name.split_once(' ') {
        None => format!("amqp_{name} connection=orders"),
        Some((name, label)) => format!("amqp_{name} connection=orders {label}"),
    };
    numbers.iter().map(|(it, number)| (name(it), *number)).collect()
}

/// The gauges soon are these.
async fn levels(recorder: &Recorder, levels: &[(&str, f64)]) {
    let expected = named(levels);
    let reached = async {
        while recorder.gauges() != expected {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let reached = timeout(SOON, reached).await;
    assert!(reached.is_ok(), "{:?}, and not {expected:?}", recorder.gauges());
}

#[test]
fn every_measure_is_what_happened_through_the_loss_of_the_connection() {
    broker_test(async |t| {
        let recorder = Recorder::default();
        let _local = metrics::set_default_local_recorder(&recorder);
        let octets = Arc::new(Mutex::new(Octets::default()));
        let seen = octets.clone();
        let connector = t.connector().recovery(quick()).connection_name("orders");
        let connector = connector.tap(move |tapped| seen.lock().unwrap().add(tapped));
        let connection = t.connect_as(&connector).await;
        let mut events = connection.events();
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        channel.queue_declare(QueueDeclare::new(&queue).durable(true)).await.unwrap();
        channel.confirm_select().await.unwrap();
        let consume = BasicConsume::new(&queue, Prefetch::Count(100));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        let open = [("connections", 1.0), ("channels", 1.0), ("consumers", 1.0)];

        for round in 0..2 {
            for _ in 0..MESSAGES {
                let publish = BasicPublish::new("", &queue, vec![b'x'; SIZE]);
                drop(channel.basic_publish(publish).await.unwrap());
            }
            for _ in 0..MESSAGES {
                consumer.recv().await.unwrap().ack().unwrap();
            }
            channel.wait_for_confirms().await.unwrap();
            // The acks are there before its answer.
            channel.queue_declare(QueueDeclare::new(&queue).passive(true)).await.unwrap();
            levels(&recorder, &open).await;
            if round == 0 {
                t.close_connections("for the test").await.unwrap();
                recovered(&mut events).await;
                levels(&recorder, &open).await;
            }
        }
        channel.queue_delete(QueueDelete::new(&queue)).await.unwrap();
        connection.close().await;
        levels(&recorder, &[]).await;

        let all = 2 * MESSAGES as u64;
        let counted = {
            let octets = octets.lock().unwrap();
            named(&[
                ("published_messages_total", all),
                ("published_bytes_total", all * SIZE as u64),
                ("publish_outcomes_total outcome=acked", all),
                ("delivered_messages_total", all),
                ("delivered_bytes_total", all * SIZE as u64),
                ("sent_bytes_total", octets.sent),
                ("received_bytes_total", octets.received),
                ("connection_losses_total", 1),
                ("reconnects_total", 1),
            ])
        };
        assert_eq!(recorder.counters(), counted);
        let seconds = recorder.values("amqp_confirm_seconds connection=orders");
        assert_eq!(seconds.len() as u64, all);
        assert!(seconds.iter().all(|it| (0.0..SOON.as_secs_f64()).contains(it)), "{seconds:?}");
    });
}
