//! Consumers that do not read: what they cost, and that they hold up nobody else.

use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::{
    BasicConsume, BasicPublish, Channel, Connection, Consumer, ConsumerEnd, Prefetch, QueueDeclare,
};
use amqp_tests::{Fixture, broker_test};
use tokio::time::timeout;

use super::{SOON, await_counts, text};

const KIB: usize = 1 << 10;

/// A queue with so many messages of that size, on a channel of its own.
async fn flooded(t: &Fixture, connection: &Connection, name: &str, n: u32, size: usize) -> String {
    let (queue, channel) = (t.name(name), connection.channel_open().await.unwrap());
    channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
    let body = bytes::Bytes::from(vec![b'x'; size]);
    for _ in 0..n {
        let message = BasicPublish::new("", &queue, body.clone());
        drop(channel.basic_publish(message).await.unwrap());
    }
    await_counts(&channel, &queue, (n, 0)).await;
    queue
}

/// Somebody on the same connection who has everything done that a connection is for.
struct Neighbour {
    channel: Channel,
    queue: String,
    consumer: Consumer,
    rounds: usize,
}

impl Neighbour {
    async fn new(t: &Fixture, connection: &Connection) -> Self {
        let (queue, channel) = (t.name("neighbour"), connection.channel_open().await.unwrap());
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        if_spec! { confirm.select => { channel.confirm_select().await.unwrap(); } else {} }
        let consume = BasicConsume::new(&queue, Prefetch::Count(10));
        let consumer = channel.basic_consume(consume).await.unwrap();
        Self { channel, queue, consumer, rounds: 0 }
    }

    /// A publish and its confirm, a delivery and its ack, a call and its reply.
    async fn round(&mut self) {
        let words = self.rounds.to_string();
        let message = BasicPublish::new("", &self.queue, words.clone());
        let confirmation = self.channel.basic_publish(message).await.unwrap();
        let outcome = within("a confirm", confirmation).await;
        if_spec! { confirm.select => { assert!(outcome.is_acked(), "{outcome:?}"); } else {
            drop(outcome);
        } }
        let delivery = within("a delivery", self.consumer.recv()).await.unwrap();
        assert_eq!(text(&delivery.body), words);
        delivery.ack().unwrap();
        let passive = QueueDeclare::new(&self.queue).passive(true);
        within("a reply", self.channel.queue_declare(passive)).await.unwrap();
        self.rounds += 1;
    }
}

async fn within<F: Future>(what: &str, future: F) -> F::Output {
    // Far longer than it takes, and a memory alarm that another test raises is waited for.
    match timeout(Duration::from_secs(30), future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} does not come"),
    }
}

#[test]
fn a_flood_ends_its_consumer_at_its_limit_while_the_others_go_on() {
    broker_test(async |t| {
        const MESSAGES: u32 = 2000;
        let connection = t.connect().await;
        let mut neighbour = Neighbour::new(t, &connection).await;
        for no_ack in [true, false] {
            let name = if no_ack { "no-ack" } else { "unlimited" };
            let queue = flooded(t, &connection, name, MESSAGES, 10 * KIB).await;
            let channel = connection.channel_open().await.unwrap();
            let consume =
                BasicConsume::new(&queue, Prefetch::Unlimited).no_ack(no_ack).budget(2000 * KIB);
            let mut consumer = channel.basic_consume(consume).await.unwrap();
            // Nobody reads; the broker sees it end.
            let over = async {
                loop {
                    neighbour.round().await;
                    let passive = QueueDeclare::new(&queue).passive(true);
                    if channel.queue_declare(passive).await.unwrap().consumer_count == 0 {
                        break;
                    }
                }
            };
            timeout(SOON, over).await.expect("the consumer goes on");
            let mut kept = 0;
            while let Some(delivery) = timeout(SOON, consumer.recv()).await.unwrap() {
                kept += delivery.body.len();
            }
            assert_eq!(consumer.end(), Some(&ConsumerEnd::Overflow));
            if no_ack {
                // Nobody else has them.
                assert!((1500 * KIB..2011 * KIB).contains(&kept), "{kept} octets");
            } else {
                assert_eq!(kept, 0);
                await_counts(&channel, &queue, (MESSAGES, 0)).await;
            }
        }
        assert!(neighbour.rounds > 0);
        connection.close().await;
    });
}

#[test]
fn a_consumer_within_its_prefetch_is_never_ended_however_slow() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let mut neighbour = Neighbour::new(t, &connection).await;
        let queue = flooded(t, &connection, "queue", 300, 10 * KIB).await;
        let channel = connection.channel_open().await.unwrap();
        // A hundred of them fit, with what they take besides; all three hundred would not.
        let consume = BasicConsume::new(&queue, Prefetch::Count(100)).budget(1100 * KIB);
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        for _ in 0..50 {
            neighbour.round().await;
        }
        for n in 1..=300 {
            let delivery = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
            assert_eq!(delivery.delivery_tag(), n);
            delivery.ack().unwrap();
            if n % 10 == 0 {
                neighbour.round().await;
            }
        }
        assert_eq!(consumer.end(), None);
        await_counts(&channel, &queue, (0, 1)).await;
        connection.close().await;
    });
}

// Once in a run over all specifications: it is about time and memory, not about the protocol.
if_spec! { confirm.select => {
    use std::process::Command;
    use std::time::Instant;

    use amqp_connector::Options;

    /// Set in the process that does the work.
    const WORKER: &str = "AMQP_TEST_SLOW_CONSUMER";
    /// Long enough for two rounds; and what says how many seconds it is to be instead.
    const HELD: Duration = Duration::from_secs(22);
    const LONGER: &str = "AMQP_TEST_SLOW_CONSUMER_SECONDS";
    /// What the process may grow by after its first seconds.
    const GROWTH: usize = 8 << 20;

    /// Octets of memory that this process has in use.
    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * KIB
    }

    /// Holds the consumers for two rounds, or longer: one that its prefetch bounds, one that never gets as much as its limit,
    /// and again and again one whose flood ends it.
    async fn hold(t: &Fixture) {
        let mut options = Options::default();
        // Other tests may keep the broker itself busy for a few seconds.
        options.heartbeat = Some(Duration::from_secs(5));
        let connection = t.connect_as(&t.connector().options(options)).await;
        assert_eq!(connection.tuning().heartbeat, 5);
        let bounded = flooded(t, &connection, "bounded", 1000, 10 * KIB).await;
        let unlimited = flooded(t, &connection, "unlimited", 200, 10 * KIB).await;
        let flood = flooded(t, &connection, "flood", 500, 10 * KIB).await;
        let channel = connection.channel_open().await.unwrap();
        let consume = BasicConsume::new(&bounded, Prefetch::Count(500));
        let mut silent = channel.basic_consume(consume).await.unwrap();
        let consume = BasicConsume::new(&unlimited, Prefetch::Unlimited);
        let mut unbounded = channel.basic_consume(consume).await.unwrap();
        let mut neighbour = Neighbour::new(t, &connection).await;

        let longer = std::env::var(LONGER).ok().and_then(|seconds| seconds.parse().ok());
        let held = longer.map_or(HELD, Duration::from_secs);
        let started = Instant::now();
        let (mut first, mut most, mut floods) = (None, 0, 0);
        while started.elapsed() < held {
            for _ in 0..20 {
                neighbour.round().await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let consume = BasicConsume::new(&flood, Prefetch::Unlimited).budget(2000 * KIB);
            let mut flooded = channel.basic_consume(consume).await.unwrap();
            await_counts(&neighbour.channel, &flood, (500, 0)).await;
            assert!(within("its end", flooded.recv()).await.is_none());
            assert_eq!(flooded.end(), Some(&ConsumerEnd::Overflow));
            floods += 1;
            // Nothing but heartbeats keeps the connection then: it is more than two intervals.
            tokio::time::sleep(Duration::from_secs(11)).await;
            assert!(connection.close_reason().is_none(), "{:?}", connection.close_reason());
            if started.elapsed() > Duration::from_secs(10) {
                let now = resident();
                most = most.max(now);
                let first = *first.get_or_insert(now);
                assert!(now <= first + GROWTH, "grew from {first} to {now} octets");
            }
        }
        println!(
            "{} rounds, {floods} floods, resident from {} to {most} octets",
            neighbour.rounds,
            first.unwrap()
        );
        // Both are as they were, and can be read.
        for (consumer, deliveries) in [(&mut silent, 500), (&mut unbounded, 200)] {
            for _ in 0..deliveries {
                let delivery = within("what was sent", consumer.recv()).await.unwrap();
                assert_eq!(delivery.body.len(), 10 * KIB);
            }
            assert_eq!(consumer.end(), None);
        }
        connection.close().await;
    }

    #[test]
    fn a_consumer_that_never_reads_costs_no_memory_and_holds_up_nobody() {
        let own_port = std::env::var_os("AMQP_TEST_PORTS").is_some();
        if std::env::var_os(WORKER).is_some() || !own_port {
            return broker_test(hold);
        }
        // In a process of its own, whose memory is nobody else's, on the broker's first port, which is no other
        // test's. It does not count as a test that is running here, so one that has to be alone need not wait.
        let name = std::thread::current().name().map(ToOwned::to_owned).unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args([&name, "--exact", "--nocapture"])
            .env(WORKER, "1")
            .env_remove("AMQP_TEST_PORTS")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        println!("{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.contains("1 passed"));
    }
} else {} }
