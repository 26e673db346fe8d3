//! The broker in memory, as tests use it: what it refuses, the faults it plays, and that nothing is left of it.
//!
//! That it does what RabbitMQ does, the contract tests show.

mod bounds;

use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::testing::broker::{MemoryBroker, Settings};
use amqp_connector::{
    BasicConsume, BasicPublish, Channel, CloseReason, Connection, Connector, FieldTable, Prefetch,
    QueueDeclare, ShortStr,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::await_no_tasks;

#[allow(dead_code, unreachable_pub, reason = "its own main is not run here")]
#[path = "../../../examples/embedded.rs"]
mod embedded;

async fn open(broker: &MemoryBroker) -> (Connection, Channel) {
    let connection = broker.connect().await.expect("a connection");
    let channel = connection.channel_open().await.expect("a channel");
    (connection, channel)
}

fn told(reason: &CloseReason) -> (u16, &str) {
    (reason.code().map_or(0, |code| code.0), reason.text())
}

fn table(key: &str, value: &str) -> FieldTable {
    FieldTable::new().with(ShortStr::try_from(key).expect("short"), value)
}

#[tokio::test(start_paused = true)]
async fn an_argument_that_the_broker_does_not_know_is_refused_with_its_name() {
    let broker = MemoryBroker::start();
    for (key, value) in [("x-queue-type", "quorum"), ("x-expires", "5"), ("x-unheard-of", "1")] {
        let (connection, channel) = open(&broker).await;
        let declare = QueueDeclare::new("q").arguments(table(key, value));
        channel.queue_declare(declare).await.expect_err("refused");
        let reason = connection.closed().await;
        let text = format!(
            "NOT_IMPLEMENTED - the in-memory broker's queues have no argument '{key}' of value '{value}'"
        );
        assert_eq!(told(&reason), (540, &*text));
        assert!(broker.queue("q").is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_test_sees_queues_exchanges_bindings_and_connections() {
    let settings = Settings::new().user("me", "secret").virtual_host("shop");
    let broker = MemoryBroker::start_with(settings);
    let connector = Connector::new().virtual_host("shop").connection_name("test");
    let connection = broker.connect_as(&connector, "me", "secret").await.expect("welcome");
    let channel = connection.channel_open().await.expect("a channel");
    channel.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("declared");
    let bind = amqp_connector::QueueBind::new("q", "amq.topic", "a.*");
    channel.queue_bind(bind).await.expect("bound");
    let consume = BasicConsume::new("q", Prefetch::Count(1));
    let mut consumer = channel.basic_consume(consume).await.expect("a consumer");
    for _ in 0..3 {
        drop(channel.basic_publish(BasicPublish::new("amq.topic", "a.b", "m")).await);
    }
    let delivery = consumer.recv().await.expect("a delivery");
    channel.queue_declare(QueueDeclare::new("q").passive(true)).await.expect("a round trip");

    let queue = broker.queue("q").expect("there");
    assert_eq!((queue.messages_ready, queue.unacknowledged, queue.consumers), (2, 1, 1));
    assert_eq!((&*queue.virtual_host, queue.durable, queue.exclusive), ("shop", true, false));
    let bindings = broker.bindings();
    assert_eq!((&*bindings[0].source, &*bindings[0].routing_key), ("amq.topic", "a.*"));
    assert!(broker.exchanges().iter().any(|exchange| exchange.name == "amq.headers"));
    let open = broker.connections();
    assert_eq!(
        (&*open[0].user, open[0].name.as_deref(), open[0].channels),
        ("me", Some("test"), 1)
    );
    drop(delivery);
    connection.close().await;
    assert!(broker.connections().is_empty());
    assert_eq!(broker.queue("q").expect("durable").messages_ready, 3);
}

#[tokio::test(start_paused = true)]
async fn refused_publishes_are_nacked_until_they_are_accepted_again() {
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    channel.queue_declare(QueueDeclare::new("q")).await.expect("declared");
    if_spec! { confirm.select => { channel.confirm_select().await.expect("confirms"); } else {} }
    let publish = async || {
        let outcome =
            channel.basic_publish(BasicPublish::new("", "q", "m")).await.expect("sent").await;
        channel.queue_declare(QueueDeclare::new("q").passive(true)).await.expect("a round trip");
        format!("{outcome:?}")
    };
    broker.refuse_publishes();
    let refused = publish().await;
    assert_eq!(broker.queue("q").expect("there").messages_ready, 0);
    broker.accept_publishes();
    let taken = publish().await;
    assert_eq!(broker.queue("q").expect("there").messages_ready, 1);
    let expected = if_spec! { confirm.select => { ["Nacked", "Acked"] } else { ["Accepted"; 2] } };
    assert_eq!([refused, taken], expected);
    connection.close().await;
}

if_spec! { connection.blocked => {
    #[tokio::test(start_paused = true)]
    async fn a_block_is_told_and_publishes_wait_for_its_end() {
        let broker = MemoryBroker::start();
        let (connection, channel) = open(&broker).await;
        channel.queue_declare(QueueDeclare::new("q")).await.expect("declared");
        broker.block("low on memory");
        let mut blocked = connection.blocked();
        let publish = channel.basic_publish(BasicPublish::new("", "q", "first"));
        drop(publish.await.expect("sent"));
        while blocked.reason().is_none() {
            blocked.changed().await.expect("open");
        }
        assert_eq!(broker.queue("q").expect("there").messages_ready, 0);
        let waiting = tokio::spawn(async move {
            drop(channel.basic_publish(BasicPublish::new("", "q", "m")).await.expect("sent"));
            channel.queue_declare(QueueDeclare::new("q").passive(true)).await.expect("a round trip");
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!waiting.is_finished());
        broker.unblock();
        waiting.await.expect("no panic");
        assert_eq!(broker.queue("q").expect("there").messages_ready, 2);
        connection.close().await;
    }
} else {} }

#[tokio::test(start_paused = true)]
async fn answers_without_a_queue_are_refused_by_name() {
    let broker = MemoryBroker::start();
    let name = "amq.rabbitmq.reply-to";
    for step in 0..4 {
        let (connection, channel) = open(&broker).await;
        let message = |key: &str| BasicPublish::new("", key.to_owned(), "question");
        match step {
            0 => {
                let consume = BasicConsume::new(name, Prefetch::Unlimited).no_ack(true);
                channel.basic_consume(consume).await.map(drop).expect_err("refused");
            }
            1 => drop(channel.basic_publish(message("q").reply_to(name)).await),
            2 => drop(channel.basic_publish(message(&format!("{name}.abc"))).await),
            _ => {
                let passive = QueueDeclare::new(name).passive(true);
                channel.queue_declare(passive).await.map(drop).expect_err("refused");
            }
        }
        let text = "NOT_IMPLEMENTED - the in-memory broker does not have direct reply-to";
        let reason = connection.closed().await;
        assert_eq!(told(&reason), (540, text), "step {step}");
    }
}

#[tokio::test(start_paused = true)]
async fn connections_can_be_closed_and_cut_and_queues_outlive_that() {
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    channel.queue_declare(QueueDeclare::new("mine").exclusive(true)).await.expect("declared");
    channel.queue_declare(QueueDeclare::new("all")).await.expect("declared");
    broker.close_connections(320, "CONNECTION_FORCED - maintenance");
    let reason = connection.closed().await;
    assert_eq!(told(&reason), (320, "CONNECTION_FORCED - maintenance"));

    let (connection, _channel) = open(&broker).await;
    broker.cut();
    assert_eq!(connection.closed().await.code(), None);
    drop(connection);
    await_no_tasks().await;
    assert!(broker.queue("mine").is_none() && broker.queue("all").is_some());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_a_broker_whose_last_handle_is_dropped() {
    let broker = MemoryBroker::start();
    let other = broker.clone();
    let address = broker.listen("127.0.0.1:0").await.expect("a port");
    let (connection, _channel) = open(&broker).await;
    drop(broker);
    assert!(connection.close_reason().is_none(), "there is another handle");
    drop(other);
    assert_eq!(connection.closed().await.code(), None);
    drop(connection);
    await_no_tasks().await;
    tokio::net::TcpStream::connect(address).await.expect_err("nobody listens");
}

#[tokio::test]
async fn example_embedded_has_the_demo_s_session_with_a_broker_in_memory() {
    embedded::run().await.map_err(|error| error.to_string()).expect("a whole session");
}

#[tokio::test(start_paused = true)]
async fn connecting_to_it_can_be_given_up_at_any_poll() {
    let broker = MemoryBroker::start();
    for polls in 0..8 {
        drop(crate::support::poll_and_drop(polls, broker.connect()).await);
    }
    await_no_tasks().await;
    assert!(broker.connections().is_empty());
}

#[tokio::test(start_paused = true)]
async fn time_to_live_and_heartbeats_pass_with_a_paused_clock() {
    let broker = MemoryBroker::start();
    let connector = Connector::new().heartbeat(Duration::from_secs(2));
    let connection = broker.connect_as(&connector, "guest", "guest").await.expect("welcome");
    let channel = connection.channel_open().await.expect("a channel");
    channel.queue_declare(QueueDeclare::new("q")).await.expect("declared");
    let message = BasicPublish::new("", "q", "m").expiration(Duration::from_secs(30));
    drop(channel.basic_publish(message).await.expect("sent"));
    channel.queue_declare(QueueDeclare::new("q").passive(true)).await.expect("a round trip");
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(broker.queue("q").expect("there").messages_ready, 1);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(broker.queue("q").expect("there").messages_ready, 0);
    assert!(connection.close_reason().is_none());
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn another_protocol_s_header_is_answered_with_the_right_one() {
    use amqp_connector::protocol::PROTOCOL_HEADER;

    let broker = MemoryBroker::start();
    let mut other = broker.transport();
    other.write_all(b"HTTP/1.1").await.expect("written");
    let mut answer = Vec::new();
    other.read_to_end(&mut answer).await.expect("an end");
    assert_eq!(answer, PROTOCOL_HEADER);
    await_no_tasks().await;
}

/// What no client may send ends the connection, and never the broker.
#[tokio::test(start_paused = true)]
async fn octets_that_are_no_amqp_never_make_it_panic() {
    use amqp_connector::protocol::PROTOCOL_HEADER;

    let broker = MemoryBroker::start();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for length in 0..400 {
        let mut io = broker.transport();
        io.write_all(&PROTOCOL_HEADER).await.expect("written");
        let mut octets = vec![1, 0, 0, 0, 0, 0, 60];
        octets.extend((0..length % 90).map(|_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random.to_be_bytes()[0] % 64
        }));
        let _ = io.write_all(&octets).await;
        let _ = io.shutdown().await;
        let mut answer = Vec::new();
        let _ = io.read_to_end(&mut answer).await;
    }
    await_no_tasks().await;
    open(&broker).await.0.close().await;
}
