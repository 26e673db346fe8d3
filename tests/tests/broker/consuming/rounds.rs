//! Consumers that come and go, thousands of times, and not a message that is lost or comes twice.

use std::collections::BTreeSet;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::protocol::basic;
use amqp_connector::{BasicConsume, BasicGet, BasicPublish, Channel, Consumer, Delivery, Prefetch};
use amqp_connector::{ConsumerEnd, QueueDeclare};
use amqp_tests::{Fixture, broker_test};
use tokio::time::timeout;

use super::{SOON, await_counts, text};

/// All of them under the default specification, fewer under the others.
const ROUNDS: usize = if_spec! { confirm.select => { 10_000 } else { 800 } };
const CONNECTIONS: usize = 4;
/// Messages that are in the queue at all times.
const MESSAGES: usize = 30;

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What was done, for the eyes of the reader.
#[derive(Default, Debug)]
struct Counts {
    rounds: usize,
    delivered: usize,
    redelivered: usize,
    acked: usize,
    cancelled: usize,
    dropped: usize,
    read_after_cancel: usize,
    named_by_the_server: usize,
    given_up: usize,
}

/// A queue, and which messages it must have.
struct Ledger {
    channel: Channel,
    queue: String,
    next: usize,
    there: BTreeSet<usize>,
    counts: Counts,
}

impl Ledger {
    async fn publish(&mut self) {
        let message = BasicPublish::new("", &self.queue, self.next.to_string());
        drop(self.channel.basic_publish(message).await.unwrap());
        self.there.insert(self.next);
        self.next += 1;
    }

    /// A message has come: it must be one that is there. It is acked, and another takes its place, or given back.
    async fn take(&mut self, delivery: Delivery, ack: bool) {
        let number: usize = text(&delivery.body).parse().unwrap();
        assert!(self.there.contains(&number), "{number} came though it was acked");
        self.counts.delivered += 1;
        self.counts.redelivered += usize::from(delivery.redelivered);
        if ack {
            delivery.ack().unwrap();
            self.there.remove(&number);
            self.counts.acked += 1;
            self.publish().await;
        } else {
            delivery.nack(true).unwrap();
        }
    }

    async fn consumer(&mut self, dice: &mut Dice) -> Consumer {
        let prefetch = match dice.roll(4) {
            0 => Prefetch::Unlimited,
            few => Prefetch::Count(u16::try_from(few * few * few).unwrap()),
        };
        match dice.roll(4) {
            0 => {
                self.counts.named_by_the_server += 1;
                self.channel.basic_qos(prefetch, false).await.unwrap();
                let queue = self.queue.as_str().try_into().unwrap();
                let consume = basic::Consume { queue, ..Default::default() };
                let ok = self.channel.call(consume).await.unwrap();
                self.channel.consumer(ok.consumer_tag).expect("a consumer of that tag")
            }
            // The same tag again and again, too.
            1 => self.started(BasicConsume::new(&self.queue, prefetch).tag("again")).await,
            _ => self.started(BasicConsume::new(&self.queue, prefetch)).await,
        }
    }

    async fn started(&self, consume: BasicConsume) -> Consumer {
        self.channel.basic_consume(consume).await.unwrap()
    }

    async fn round(&mut self, dice: &mut Dice) {
        self.counts.rounds += 1;
        if dice.roll(10) == 0 {
            // A consumer whose start is given up at some moment.
            let consume = BasicConsume::new(&self.queue, Prefetch::Count(5));
            let patience = std::time::Duration::from_micros(dice.roll(1500));
            match timeout(patience, self.channel.basic_consume(consume)).await {
                Ok(consumer) => drop(consumer.unwrap()),
                Err(_) => self.counts.given_up += 1,
            }
            return;
        }
        let mut consumer = self.consumer(dice).await;
        for _ in 0..dice.roll(5) {
            let delivery = timeout(SOON, consumer.recv()).await.expect("a delivery").unwrap();
            self.take(delivery, dice.roll(2) == 0).await;
        }
        match dice.roll(3) {
            0 => {
                self.counts.dropped += 1;
                drop(consumer);
            }
            1 => {
                self.counts.cancelled += 1;
                consumer.cancel().await.unwrap();
                // What was not read goes back.
                drop(consumer);
            }
            _ => {
                self.counts.cancelled += 1;
                consumer.cancel().await.unwrap();
                while let Some(delivery) = timeout(SOON, consumer.recv()).await.expect("an end") {
                    self.counts.read_after_cancel += 1;
                    self.take(delivery, dice.roll(2) == 0).await;
                }
                assert_eq!(consumer.end(), Some(&ConsumerEnd::Cancelled));
            }
        }
    }

    /// Everything is ready again, on the very channel that all consumers were on, and nothing else is.
    async fn close(self) -> Counts {
        let Self { channel, queue, there, counts, .. } = self;
        await_counts(&channel, &queue, (u32::try_from(there.len()).unwrap(), 0)).await;
        let mut found = BTreeSet::new();
        while let Some(got) = channel.basic_get(BasicGet::new(&queue)).await.unwrap() {
            assert!(found.insert(text(&got.body).parse().unwrap()), "twice");
            got.ack().unwrap();
        }
        assert_eq!(found, there);
        counts
    }
}

async fn rounds(t: &Fixture, n: usize) -> Counts {
    let connection = t.connect().await;
    let channel = connection.channel_open().await.unwrap();
    let queue = t.name(&format!("queue-{n}"));
    channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
    let (there, counts) = (BTreeSet::new(), Counts::default());
    let mut ledger = Ledger { channel, queue, next: 0, there, counts };
    for _ in 0..MESSAGES {
        ledger.publish().await;
    }
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(n as u64 + 1));
    for _ in 0..ROUNDS / CONNECTIONS {
        ledger.round(&mut dice).await;
    }
    let counts = ledger.close().await;
    connection.close().await;
    counts
}

#[test]
fn no_message_is_lost_around_the_start_and_the_end_of_thousands_of_consumers() {
    broker_test(async |t| {
        let (a, b, c, d) = tokio::join!(rounds(t, 0), rounds(t, 1), rounds(t, 2), rounds(t, 3));
        let all = [a, b, c, d];
        for counts in &all {
            println!("{counts:?}");
        }
        let rounds: usize = all.iter().map(|counts| counts.rounds).sum();
        assert_eq!(rounds, ROUNDS);
        assert!(all.iter().all(|counts| counts.acked > 0 && counts.read_after_cancel > 0));
    });
}
