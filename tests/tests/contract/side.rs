//! One side of the contract: a broker in memory or RabbitMQ, and what tests of both need.

use std::time::{Duration, Instant};

use amqp_connector::testing::broker::{MemoryBroker, Settings};
use amqp_connector::{
    BasicGet, BasicPublish, Body, Channel, CloseReason, Connection, Connector, Consumer, Delivery,
    QueueDeclare,
};
use amqp_tests::{Fixture, broker_test, broker_test_alone};
pub(crate) use amqp_tests::{await_depth, depth};
use tokio::time::timeout;

/// How long what has to come may take.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Where a test runs.
pub(crate) enum Side<'a> {
    Memory(MemoryBroker),
    RabbitMq(&'a Fixture),
}

/// Runs a test against a broker of its own in memory; nothing may be left of it.
pub(crate) fn in_memory(body: impl AsyncFnOnce(&Side<'_>)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let settings = Settings::new().challenges(true);
    runtime.block_on(body(&Side::Memory(MemoryBroker::start_with(settings))));
    let deadline = Instant::now() + SOON;
    while runtime.metrics().num_alive_tasks() > 0 {
        assert!(Instant::now() < deadline, "tasks are left");
        runtime.block_on(tokio::task::yield_now());
    }
}

/// Runs a test against RabbitMQ.
pub(crate) fn rabbitmq(body: impl AsyncFnOnce(&Side<'_>)) {
    broker_test(async |fixture| body(&Side::RabbitMq(fixture)).await);
}

/// As [`rabbitmq`], while no other test runs.
pub(crate) fn rabbitmq_alone(body: impl AsyncFnOnce(&Side<'_>)) {
    broker_test_alone(async |fixture| body(&Side::RabbitMq(fixture)).await);
}

/// A broker without memory, until this goes.
pub(crate) struct Block<'a>(&'a Side<'a>);

impl Drop for Block<'_> {
    fn drop(&mut self) {
        match self.0 {
            Side::Memory(broker) => broker.unblock(),
            Side::RabbitMq(fixture) => {
                let plenty =
                    "vm_memory_monitor:set_vm_memory_high_watermark({absolute, 2000000000}), \"\"";
                if let Err(error) = fixture.broker().eval(plenty) {
                    eprintln!("the broker's alarm stays: {error}");
                }
            }
        }
    }
}

impl<'a> Side<'a> {
    /// Takes the broker's memory away.
    pub(crate) async fn block(&'a self) -> Block<'a> {
        let block = Block(self);
        match self {
            Self::Memory(broker) => broker.block("low on memory"),
            Self::RabbitMq(fixture) => {
                // Asked for the alarms, the broker has told its connections before it answers.
                let none = "vm_memory_monitor:set_vm_memory_high_watermark(0), rabbit_alarm:get_alarms(), \"\"";
                fixture.eval(none).await.unwrap();
            }
        }
        block
    }
}

impl Side<'_> {
    pub(crate) fn name(&self, word: &str) -> String {
        match self {
            Self::Memory(_) => word.to_owned(),
            Self::RabbitMq(fixture) => fixture.name(word),
        }
    }

    pub(crate) async fn connect(&self) -> Connection {
        match self {
            Self::Memory(broker) => broker.connect().await.unwrap(),
            Self::RabbitMq(fixture) => fixture.connect().await,
        }
    }

    /// Connects by a connector that the test changes.
    pub(crate) async fn connect_as(
        &self,
        change: impl FnOnce(Connector) -> Connector,
        password: &str,
    ) -> Result<Connection, amqp_connector::ConnectError> {
        match self {
            Self::Memory(broker) => {
                broker.connect_as(&change(Connector::new()), "guest", password).await
            }
            Self::RabbitMq(fixture) => {
                let connector = change(fixture.connector());
                connector.connect().await?.authenticate("guest", password).await
            }
        }
    }

    /// A connection and a channel on it.
    pub(crate) async fn open(&self) -> (Connection, Channel) {
        let connection = self.connect().await;
        let channel = connection.channel_open().await.unwrap();
        (connection, channel)
    }

    /// As [`open`](Self::open), with an exclusive queue.
    pub(crate) async fn queue(&self) -> (Connection, Channel, String) {
        let (connection, channel) = self.open().await;
        let queue = declare(&channel, &self.name("q")).await;
        (connection, channel, queue)
    }

    /// Waits until so many messages are ready and none is unsettled: then it is certain what has become of those that
    /// somebody had. A broker in memory does all of it at once.
    pub(crate) async fn await_left(&self, channel: &Channel, queue: &str, ready: u32) {
        match self {
            Self::Memory(_) => assert_eq!(depth(channel, queue).await, ready),
            Self::RabbitMq(fixture) => fixture.await_messages(queue, ready, 0).await,
        }
    }
}

pub(crate) async fn declare(channel: &Channel, name: &str) -> String {
    channel.queue_declare(QueueDeclare::new(name).exclusive(true)).await.unwrap();
    name.to_owned()
}

/// Publishes and does not wait for what becomes of it.
pub(crate) async fn publish(channel: &Channel, exchange: &str, key: &str, body: &str) {
    let message = BasicPublish::new(exchange, key, body.to_owned());
    drop(channel.basic_publish(message).await.unwrap());
}

/// Takes all messages, up to one that is published now.
pub(crate) async fn drain(channel: &Channel, queue: &str) -> Vec<String> {
    publish(channel, "", queue, "end").await;
    let mut bodies = Vec::new();
    loop {
        let got = channel.basic_get(BasicGet::new(queue).no_ack(true)).await.unwrap();
        match got.map(|got| text(&got.body)) {
            Some(body) if body == "end" => return bodies,
            Some(body) => bodies.push(body),
            None => tokio::task::yield_now().await,
        }
    }
}

/// Gets the first message, once there is one.
pub(crate) async fn get(channel: &Channel, queue: &str) -> Delivery {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(got) = channel.basic_get(BasicGet::new(queue)).await.unwrap() {
            return got;
        }
        assert!(Instant::now() < deadline, "no message came");
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn recv(consumer: &mut Consumer) -> Delivery {
    timeout(SOON, consumer.recv()).await.expect("in time").expect("a delivery")
}

pub(crate) fn text(body: &Body) -> String {
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

/// Code and text of a close by the peer.
pub(crate) fn told(reason: &CloseReason) -> (u16, String) {
    (reason.code().map_or(0, |code| code.0), reason.text().to_owned())
}

/// Waits for the channel's close.
pub(crate) async fn closed(channel: &Channel) -> (u16, String) {
    told(&timeout(SOON, channel.closed()).await.expect("a close in time"))
}

/// Waits for the connection's close.
pub(crate) async fn connection_closed(connection: &Connection) -> (u16, String) {
    told(&timeout(SOON, connection.closed()).await.expect("a close in time"))
}

/// A text as a close has room for it.
pub(crate) fn cut(text: &str) -> String {
    if text.len() <= 255 { text.to_owned() } else { format!("{}...", &text[..252]) }
}
