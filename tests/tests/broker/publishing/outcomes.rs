//! Tens of thousands of publishes of which many cannot be routed: every one gets its own outcome, whatever the kind of
//! queue, the number of tasks and channels, and what else tells the messages apart.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use amqp_connector::amqp_types::FieldArray;
use amqp_connector::{
    BasicConsume, BasicPublish, Channel, Connection, ConsumerEnd, ExchangeDeclare, ExchangeDelete,
    FieldTable, FieldValue, Outcome, Prefetch, QueueBind, QueueDeclare, QueueDelete, QueueUnbind, Returned,
};
use amqp_tests::{Fixture, broker_test, depth};

/// Publishes of one test, all together.
const ALL: u32 = 20_000;

/// How one publish is told from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Body,
    Header,
}

/// A way to publish message `n`, and whether it is routed.
#[derive(Clone)]
struct Messages {
    exchange: String,
    /// For those that are routed, and for those that are not.
    keys: [String; 2],
    /// The header that a headers exchange looks at.
    by_header: bool,
    /// A header that the broker takes out.
    bcc: bool,
    mark: Mark,
}

impl Messages {
    fn is_routed(n: u32) -> bool {
        !n.is_multiple_of(7)
    }

    fn message(&self, n: u32) -> BasicPublish {
        let routed = Self::is_routed(n);
        let body = match self.mark {
            Mark::Body => n.to_string(),
            Mark::Header => "the same".to_owned(),
        };
        let key = self.keys[usize::from(!routed)].as_str();
        let message = BasicPublish::new(self.exchange.as_str(), key, body).mandatory(true);
        let message = match self.by_header {
            true => message.header("to", if routed { "queue" } else { "nobody" }),
            false => message,
        };
        let message = match self.bcc {
            true => message.header("BCC", FieldArray::from(vec![FieldValue::from("nobody")])),
            false => message,
        };
        match self.mark {
            Mark::Body => message,
            Mark::Header => message.header("n", i64::from(n)),
        }
    }

    fn is_mine(&self, n: u32, returned: &Returned) -> bool {
        match self.mark {
            Mark::Body => returned.body.to_bytes() == n.to_string(),
            Mark::Header => {
                let headers = returned.properties.headers.as_ref();
                headers.and_then(|it| it.get_i64("n")) == Some(i64::from(n))
            }
        }
    }
}

#[derive(Debug, Default)]
struct Tally {
    acked: u32,
    returned: u32,
    wrong: u32,
}

/// Publishes the numbers from `from` on in steps of `step`, all before any outcome is asked for.
async fn publish(channel: Channel, messages: Messages, from: u32, step: u32) -> Tally {
    let mut pending = Vec::new();
    for n in (from..ALL).step_by(usize::try_from(step).unwrap()) {
        pending.push((n, channel.basic_publish(messages.message(n)).await.unwrap()));
    }
    let mut tally = Tally::default();
    for (n, confirmation) in pending {
        match confirmation.await {
            Outcome::Acked if Messages::is_routed(n) => tally.acked += 1,
            Outcome::Returned(it) if !Messages::is_routed(n) && messages.is_mine(n, &it) => {
                tally.returned += 1;
            }
            _ => tally.wrong += 1,
        }
    }
    tally
}

async fn confirming(connection: &Connection) -> Channel {
    let channel = connection.channel_open().await.unwrap();
    channel.confirm_select().await.unwrap();
    channel
}

/// Publishes everything by so many tasks on so many channels, and checks every outcome.
async fn check(
    what: &str,
    connection: &Connection,
    messages: &Messages,
    tasks: u32,
    channels: u32,
) {
    let mut open = Vec::new();
    for _ in 0..channels {
        open.push(confirming(connection).await);
    }
    let publishing = (0..tasks).map(|task| {
        let channel = open[usize::try_from(task % channels).unwrap()].clone();
        tokio::spawn(publish(channel, messages.clone(), task, tasks))
    });
    let mut all = Tally::default();
    for task in publishing.collect::<Vec<_>>() {
        let tally = task.await.unwrap();
        all.acked += tally.acked;
        all.returned += tally.returned;
        all.wrong += tally.wrong;
    }
    println!("{what}, {tasks} tasks, {channels} channels: {all:?} of {ALL}");
    let unroutable = ALL.div_ceil(7);
    assert_eq!((all.acked, all.returned, all.wrong), (ALL - unroutable, unroutable, 0), "{what}");
    for channel in open {
        channel.close().await.unwrap();
    }
}

/// Messages to a queue of this kind, by the default exchange.
async fn to_queue(t: &Fixture, channel: &Channel, kind: &str, mark: Mark) -> Messages {
    let queue = t.name(kind);
    let arguments = FieldTable::new().try_with("x-queue-type", kind).unwrap();
    channel
        .queue_declare(QueueDeclare::new(&queue).durable(true).arguments(arguments))
        .await
        .unwrap();
    let keys = [queue, t.name("nobody")];
    Messages { exchange: String::new(), keys, by_header: false, bcc: false, mark }
}

async fn delete(channel: &Channel, messages: &Messages) {
    channel.queue_delete(QueueDelete::new(&messages.keys[0])).await.unwrap();
}

#[test]
fn every_publish_to_a_classic_queue_gets_its_own_outcome() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let messages = to_queue(t, &channel, "classic", Mark::Body).await;
        for (tasks, channels) in [(1, 1), (1, 1), (8, 1), (8, 4)] {
            check("classic", &connection, &messages, tasks, channels).await;
        }
        delete(&channel, &messages).await;
        connection.close().await;
    });
}

#[test]
fn every_publish_gets_its_own_outcome_though_the_broker_takes_a_header_out_of_each() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let messages = to_queue(t, &channel, "classic", Mark::Header).await;
        let messages = Messages { bcc: true, ..messages };
        for (tasks, channels) in [(1, 1), (8, 1), (8, 4)] {
            check("BCC", &connection, &messages, tasks, channels).await;
        }
        delete(&channel, &messages).await;
        connection.close().await;
    });
}

#[test]
fn every_publish_to_a_quorum_queue_gets_its_own_outcome() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let messages = to_queue(t, &channel, "quorum", Mark::Body).await;
        for (tasks, channels) in [(1, 1), (8, 4)] {
            check("quorum", &connection, &messages, tasks, channels).await;
        }
        delete(&channel, &messages).await;
        connection.close().await;
    });
}

/// A headers exchange that routes what is for `queue`; all messages have the same routing key.
async fn by_header(t: &Fixture, channel: &Channel, mark: Mark) -> Messages {
    let (exchange, queue) = (t.name("headers"), t.name("queue"));
    channel
        .exchange_declare(ExchangeDeclare::new(&exchange, "headers").auto_delete(true))
        .await
        .unwrap();
    channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
    let arguments = FieldTable::new().try_with("to", "queue").unwrap();
    channel.queue_bind(QueueBind::new(&queue, &exchange, "").arguments(arguments)).await.unwrap();
    let keys = ["same".to_owned(), "same".to_owned()];
    Messages { exchange, keys, by_header: true, bcc: false, mark }
}

#[test]
fn messages_with_one_address_and_one_body_are_told_apart_by_their_headers() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let messages = by_header(t, &channel, Mark::Header).await;
        for (tasks, channels) in [(1, 1), (8, 1)] {
            check("headers differ", &connection, &messages, tasks, channels).await;
        }
        connection.close().await;
    });
}

#[test]
fn messages_with_one_address_and_alike_headers_are_told_apart_by_their_bodies() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let messages = by_header(t, &channel, Mark::Body).await;
        for (tasks, channels) in [(1, 1), (8, 4)] {
            check("bodies differ", &connection, &messages, tasks, channels).await;
        }
        connection.close().await;
    });
}

/// Binds and unbinds the queue until it is told to stop.
async fn change_bindings(channel: Channel, queue: String, exchange: String, stop: Arc<AtomicBool>) {
    let mut changes = 0;
    while !stop.load(Ordering::Relaxed) {
        channel.queue_bind(QueueBind::new(&queue, &exchange, "k")).await.unwrap();
        tokio::task::yield_now().await;
        channel.queue_unbind(QueueUnbind::new(&queue, &exchange, "k")).await.unwrap();
        changes += 1;
    }
    println!("bound and unbound {changes} times meanwhile");
}

/// Reads the queue till there is no more.
async fn drain(channel: &Channel, queue: &str) -> Vec<String> {
    // All that was published has its outcome, so none is on its way.
    let count = depth(channel, queue).await;
    let consume = BasicConsume::new(queue, Prefetch::Unlimited).no_ack(true);
    let mut consumer = channel.basic_consume(consume).await.unwrap();
    let mut bodies = Vec::new();
    for _ in 0..count {
        let delivery = consumer.recv().await.unwrap();
        bodies.push(String::from_utf8(delivery.body.to_bytes().to_vec()).unwrap());
    }
    consumer.cancel().await.unwrap();
    assert!(consumer.recv().await.is_none());
    assert!(matches!(consumer.end(), Some(ConsumerEnd::Cancelled)));
    bodies
}

/// An exchange and a queue whose binding comes and goes while `body(n)` is published; gives the outcomes, and what
/// is in the queue.
async fn while_bindings_change(
    t: &Fixture,
    connection: &Connection,
    body: fn(u32) -> String,
) -> (Vec<(u32, Outcome)>, Vec<String>) {
    let channel = connection.channel_open().await.unwrap();
    let (exchange, queue) = (t.name("direct"), t.name("queue"));
    channel.exchange_declare(ExchangeDeclare::new(&exchange, "direct")).await.unwrap();
    channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let changing = change_bindings(
        connection.channel_open().await.unwrap(),
        queue.clone(),
        exchange.clone(),
        stop.clone(),
    );
    let changing = tokio::spawn(changing);

    const TASKS: u32 = 4;
    let publisher = confirming(connection).await;
    let tasks = (0..TASKS).map(|task| {
        let (publisher, exchange) = (publisher.clone(), exchange.clone());
        tokio::spawn(async move {
            let (mut pending, mut outcomes) = (VecDeque::new(), Vec::new());
            for n in (task..ALL).step_by(usize::try_from(TASKS).unwrap()) {
                let message = BasicPublish::new(exchange.as_str(), "k", body(n)).mandatory(true);
                pending.push_back((n, publisher.basic_publish(message).await.unwrap()));
                // So few under way that the bindings change many times until all are published.
                while pending.len() > 50
                    && let Some((n, confirmation)) = pending.pop_front()
                {
                    outcomes.push((n, confirmation.await));
                }
            }
            for (n, confirmation) in pending {
                outcomes.push((n, confirmation.await));
            }
            outcomes
        })
    });
    let mut outcomes = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        outcomes.extend(task.await.unwrap());
    }
    stop.store(true, Ordering::Relaxed);
    changing.await.unwrap();
    let bodies = drain(&channel, &queue).await;
    channel.exchange_delete(ExchangeDelete::new(&exchange)).await.unwrap();
    (outcomes, bodies)
}

#[test]
fn while_bindings_change_exactly_what_was_acked_is_in_the_queue() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let (outcomes, bodies) = while_bindings_change(t, &connection, |n| n.to_string()).await;
        let queued: BTreeSet<u32> = bodies.iter().map(|body| body.parse().unwrap()).collect();
        assert_eq!(queued.len(), bodies.len(), "a message came twice");
        let (mut returned, mut wrong) = (0, 0);
        for (n, outcome) in &outcomes {
            let right = match outcome {
                Outcome::Acked => queued.contains(n),
                Outcome::Returned(it) => {
                    returned += 1;
                    !queued.contains(n) && it.body.to_bytes() == n.to_string()
                }
                _ => false,
            };
            wrong += u32::from(!right);
        }
        println!("{} queued, {returned} returned, {wrong} wrong, of {ALL}", queued.len());
        assert_eq!((wrong, u32::try_from(outcomes.len()).unwrap()), (0, ALL));
        assert!(returned > 0 && !queued.is_empty(), "the bindings did not change");
        connection.close().await;
    });
}

#[test]
fn of_identical_messages_as_many_are_acked_as_are_in_the_queue() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let (outcomes, bodies) = while_bindings_change(t, &connection, |_| "same".into()).await;
        let count = |is: fn(&Outcome) -> bool| outcomes.iter().filter(|(_, it)| is(it)).count();
        let acked = count(Outcome::is_acked);
        let returned = count(|outcome| matches!(outcome, Outcome::Returned(_)));
        println!("{acked} acked, {returned} returned, {} queued", bodies.len());
        assert_eq!(acked, bodies.len());
        assert_eq!(acked + returned, outcomes.len());
        connection.close().await;
    });
}
