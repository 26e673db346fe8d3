//! What the hot paths allocate once they run steadily, and that large bodies are not copied.
//!
//! User, driver and transport (a [`Replay`]) run on the thread that is counted. Each figure is a mean over many
//! messages, after as many that do not count.

#![allow(clippy::unwrap_used, reason = "a failed expectation ends its test")]

use amqp_connector::protocol::{basic, channel};
use amqp_connector::testing::{Flood, Replay, ReplayControl};
use amqp_connector::{
    BasicConsume, BasicPublish, Channel, Connection, Connector, Consumer, Prefetch,
};
use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

/// What one message costs.
#[derive(Debug)]
struct Cost {
    allocations: f64,
    octets: f64,
}

/// A connection with one channel.
struct Stage {
    runtime: Runtime,
    control: ReplayControl,
    connection: Connection,
    channel: Channel,
}

impl Stage {
    fn new() -> Self {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        let (io, control) = Replay::new();
        let (connection, channel) = runtime.block_on(async {
            let greeted = Connector::new().connect_with(io).await.unwrap();
            let connection = greeted.authenticate("guest", "guest").await.unwrap();
            control.answer(1, channel::OpenOk::default());
            let channel = connection.channel_open().await.unwrap();
            (connection, channel)
        });
        Self { runtime, control, connection, channel }
    }

    /// A consumer, whose deliveries come `per_lap` at a time.
    fn consumer(&self, no_ack: bool, body: usize, per_lap: usize) -> Consumer {
        let consume = BasicConsume::new("jobs", Prefetch::Count(500)).no_ack(no_ack).tag("ctag-1");
        let deliver = basic::Deliver {
            consumer_tag: "ctag-1".try_into().unwrap(),
            exchange: "amq.topic".try_into().unwrap(),
            routing_key: "orders.created.eu".try_into().unwrap(),
            ..Default::default()
        };
        let (properties, body) = (basic::Properties::default(), vec![b'x'; body]);
        self.control.load(Flood::new(1, &deliver, &properties, &body, per_lap));
        self.control.answer(1, basic::QosOk::default());
        self.control.answer(1, basic::ConsumeOk { consumer_tag: deliver.consumer_tag });
        self.runtime.block_on(self.channel.basic_consume(consume)).unwrap()
    }

    /// Does `work`, which handles `messages`, without counting and then counted.
    fn cost(&self, messages: usize, mut work: impl AsyncFnMut()) -> Cost {
        self.runtime.block_on(work());
        let spent = allocation_counter::measure(|| self.runtime.block_on(work()));
        assert!(self.connection.close_reason().is_none());
        let each = |total| total as f64 / messages as f64;
        Cost { allocations: each(spent.count_total), octets: each(spent.bytes_total) }
    }
}

fn publish(body: &Bytes) -> BasicPublish {
    BasicPublish::new("amq.topic", "orders.created.eu", body.clone())
}

fn cost_of_consuming(no_ack: bool, body: usize, per_lap: usize) -> Cost {
    const LAPS: usize = 40;
    let stage = Stage::new();
    let mut consumer = stage.consumer(no_ack, body, per_lap);
    stage.cost(LAPS * per_lap, async || {
        stage.control.play(LAPS);
        for _ in 0..LAPS * per_lap {
            let delivery = consumer.recv().await.unwrap();
            assert_eq!(delivery.body.len(), body);
            if !no_ack {
                delivery.ack().unwrap();
            }
        }
    })
}

#[test]
fn a_publish_allocates_nothing() {
    for size in [0, 16, 1024, 16 << 10] {
        let stage = Stage::new();
        let body = Bytes::from(vec![b'x'; size]);
        let cost = stage.cost(10_000, async || {
            for _ in 0..10_000 {
                let _ = stage.channel.basic_publish(publish(&body)).await.unwrap().await;
            }
        });
        println!("publish of {size} octets: {cost:?}");
        assert!(cost.allocations <= 0.01, "{size} octets: {cost:?}");
    }
}

#[test]
fn a_large_body_is_written_from_where_it_lies() {
    for size in [16 << 10, 64 << 10, 1 << 20] {
        let stage = Stage::new();
        let body = Bytes::from(vec![b'x'; size]);
        stage.control.watch(&body);
        let cost = stage.cost(100, async || {
            for _ in 0..100 {
                let _ = stage.channel.basic_publish(publish(&body)).await.unwrap().await;
            }
            stage.channel.flush().await.unwrap();
        });
        println!("publish of {size} octets: {cost:?}");
        assert_eq!(stage.control.seen(), 200 * size);
        assert!(cost.allocations <= 0.1 && cost.octets <= 64.0, "{size} octets: {cost:?}");
    }
}

#[test]
fn a_small_delivery_costs_one_allocation_at_most() {
    for size in [0, 16, 1024] {
        let cost = cost_of_consuming(true, size, 500);
        println!("delivery of {size} octets: {cost:?}");
        assert!(cost.allocations <= 1.01, "{size} octets: {cost:?}");
    }
}

#[test]
fn a_large_delivery_costs_few_allocations_and_no_new_buffer() {
    for (size, per_lap, allocations) in [(64 << 10, 8, 1.0), (1 << 20, 1, 8.0)] {
        let cost = cost_of_consuming(true, size, per_lap);
        println!("delivery of {size} octets: {cost:?}");
        assert!(cost.allocations <= allocations, "{size} octets: {cost:?}");
        assert!(cost.octets <= 4096.0, "{size} octets: {cost:?}");
    }
}

#[test]
fn an_ack_allocates_nothing() {
    let [with, without] = [false, true].map(|no_ack| cost_of_consuming(no_ack, 16, 500));
    println!("delivery with ack: {with:?}, without: {without:?}");
    // Without acks reading pauses for the consumer, and fewer batches of deliveries are under way.
    assert!(with.allocations <= without.allocations + 0.02, "{with:?}, without acks {without:?}");
}

amqp_types::if_spec! { confirm.select => {
    #[test]
    fn a_confirmation_allocates_nothing() {
        const WINDOW: usize = 100;
        let stage = Stage::new();
        stage.control.answer(1, amqp_connector::protocol::confirm::SelectOk::default());
        stage.runtime.block_on(stage.channel.confirm_select()).unwrap();
        let body = Bytes::from_static(&[b'x'; 16]);
        let mut pending = Vec::with_capacity(WINDOW);
        let mut delivery_tag = 0;
        let cost = stage.cost(100 * WINDOW, async || {
            for _ in 0..100 {
                for _ in 0..WINDOW {
                    pending.push(stage.channel.basic_publish(publish(&body)).await.unwrap());
                }
                delivery_tag += WINDOW as u64;
                stage.control.send(1, basic::Ack { delivery_tag, multiple: true });
                for confirmation in pending.drain(..) {
                    assert!(confirmation.await.is_acked());
                }
            }
        });
        println!("publish with confirm: {cost:?}");
        assert!(cost.allocations <= 0.01, "{cost:?}");
    }

    #[test]
    fn a_publish_to_another_address_each_time_allocates_nothing() {
        const WINDOW: usize = 100;
        let stage = Stage::new();
        stage.control.answer(1, amqp_connector::protocol::confirm::SelectOk::default());
        stage.runtime.block_on(stage.channel.confirm_select()).unwrap();
        let keys: Vec<String> = (0..WINDOW).map(|n| format!("orders.{n}")).collect();
        let mut delivery_tag = 0;
        let cost = stage.cost(100 * WINDOW, async || {
            for _ in 0..100 {
                for key in &keys {
                    let message = BasicPublish::new("amq.topic", key.as_str(), "x");
                    drop(stage.channel.basic_publish(message).await.unwrap());
                }
                delivery_tag += WINDOW as u64;
                stage.control.send(1, basic::Ack { delivery_tag, multiple: true });
                stage.channel.flush().await.unwrap();
            }
        });
        println!("publish with confirm to many addresses: {cost:?}");
        assert!(cost.allocations <= 0.02, "{cost:?}");
    }

    /// Publishes in windows, each acked as a whole, and does with the confirmations as `keep` wants.
    fn cost_of_unawaited(keep: bool) -> (Cost, Stage) {
        const WINDOW: usize = 100;
        let stage = Stage::new();
        stage.control.answer(1, amqp_connector::protocol::confirm::SelectOk::default());
        stage.runtime.block_on(stage.channel.confirm_select()).unwrap();
        let body = Bytes::from(vec![b'x'; 16 << 10]);
        let mut pending = Vec::with_capacity(200 * WINDOW);
        let mut delivery_tag = 0;
        let cost = stage.cost(100 * WINDOW, async || {
            for _ in 0..100 {
                for _ in 0..WINDOW {
                    let confirmation = stage.channel.basic_publish(publish(&body)).await.unwrap();
                    if keep {
                        pending.push(confirmation);
                    }
                }
                delivery_tag += WINDOW as u64;
                stage.control.send(1, basic::Ack { delivery_tag, multiple: true });
                stage.channel.wait_for_confirms().await.unwrap();
            }
        });
        drop(pending);
        (cost, stage)
    }

    #[test]
    fn a_confirmation_that_is_dropped_costs_nothing() {
        let (cost, stage) = cost_of_unawaited(false);
        println!("publish with a confirmation that is dropped: {cost:?}");
        // A wait for each window has a place in a list.
        assert!(cost.allocations <= 0.02 && cost.octets <= 2.0, "{cost:?}");
        assert_eq!(amqp_connector::testing::leftovers(&stage.connection).confirms, 0);
    }

    #[test]
    fn a_confirmation_that_is_kept_costs_a_place_and_no_message() {
        let (cost, stage) = cost_of_unawaited(true);
        println!("publish with a confirmation that is kept: {cost:?}");
        // 24 octets for each, in a list that doubles now and then.
        assert!(cost.allocations <= 0.02 && cost.octets <= 128.0, "{cost:?}");
        assert_eq!(amqp_connector::testing::leftovers(&stage.connection).confirms, 0);
    }
} else {} }
