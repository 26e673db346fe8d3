//! Nothing leaks: connections and channels that are opened and ended in every way leave no task, socket or memory, and
//! nothing on the broker.
//!
//! Client and broker (the one in memory) run on the thread whose allocations are counted. What a first lap has left, such
//! as buffers that are kept for the next one, does not count: the laps after it leave nothing more.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends its test")]

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::testing::{Leftovers, leftovers};
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Channel, Connection, Connector, ErrorKind, Prefetch,
    QueueDeclare,
};
use tokio::runtime::{Builder, Runtime};

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    Drop,
    Abort,
    PeerCloses,
    Cut,
}

const ENDS: [End; 5] = [End::Close, End::Drop, End::Abort, End::PeerCloses, End::Cut];

/// The first channels of a connection hold something when they end, each something else.
const HOLDINGS: usize = 7;

/// In the queue; more than a connection's channels hold at once.
const MESSAGES: usize = 20;

/// A lap has a connection for each way to end.
struct Stage {
    runtime: Runtime,
    broker: MemoryBroker,
    channels: usize,
    /// Tasks of the broker that stay.
    listeners: usize,
}

impl Stage {
    fn new(runtime: Runtime, channels: usize) -> Self {
        let broker = MemoryBroker::start();
        runtime.block_on(async {
            let connection = broker.connect().await.unwrap();
            let channel = connection.channel_open().await.unwrap();
            channel.queue_declare(QueueDeclare::new("q")).await.unwrap();
            for _ in 0..MESSAGES {
                drop(channel.basic_publish(BasicPublish::new("", "q", "work")).await.unwrap());
            }
            connection.close().await;
        });
        Self { runtime, broker, channels, listeners: 0 }
    }

    /// Runs laps, and tells the octets and allocations that are there since.
    fn left_by(&self, laps: usize, connect: impl AsyncFn() -> Connection) -> (i64, i64) {
        let spent = allocation_counter::measure(|| {
            for lap in 0..laps {
                self.runtime.block_on(self.lap(lap, &connect));
            }
        });
        (spent.bytes_current, spent.count_current)
    }

    async fn lap(&self, lap: usize, connect: &impl AsyncFn() -> Connection) {
        for end in ENDS {
            let connection = connect().await;
            let opening = (0..self.channels).map(|_| tokio::spawn(connection.channel_open()));
            // All at once, which spares most of the time.
            let opening: Vec<_> = opening.collect();
            let (mut open, mut ending) = (Vec::new(), Vec::new());
            for (number, channel) in opening.into_iter().enumerate() {
                let channel = channel.await.unwrap().unwrap();
                let held = hold(&channel, number).await;
                // From lap to lap another way for the same holding.
                match (lap + number) % 4 {
                    0 => open.push((channel, held)),
                    1 => drop((channel, held)),
                    2 => {
                        drop(held);
                        ending.push(tokio::spawn(async move { channel.close().await.unwrap() }));
                    }
                    _ => {
                        ending.push(tokio::spawn(peer_closes(channel.clone())));
                        open.push((channel, held));
                    }
                }
            }
            for ended in ending {
                ended.await.unwrap();
            }
            self.end(connection, end, open).await;
            self.await_nothing().await;
        }
    }

    async fn end<T>(&self, connection: Connection, end: End, mut open: Vec<T>) {
        match end {
            // Nothing is held that it could wait for.
            End::Close => {
                open.clear();
                connection.close().await;
            }
            End::Drop => return,
            End::Abort => connection.abort(),
            End::PeerCloses => {
                self.broker.close_connections(320, "CONNECTION_FORCED - maintenance");
            }
            End::Cut => self.broker.cut(),
        }
        connection.closed().await;
        drop(open);
        // The driver may have its answer to the broker's close to write yet.
        self.await_no_tasks().await;
        assert_eq!(leftovers(&connection), Leftovers::default(), "{end:?}");
    }

    /// Until the last task is gone.
    async fn await_no_tasks(&self) {
        let metrics = tokio::runtime::Handle::current().metrics();
        let tasks = || metrics.num_alive_tasks() - self.listeners;
        for _ in 0..100_000 {
            if tasks() == 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(tasks(), 0, "tasks are left");
    }

    /// The broker holds what it did before.
    async fn await_nothing(&self) {
        self.await_no_tasks().await;
        assert_eq!(self.broker.connections(), []);
        let [queue] = &self.broker.queues()[..] else { panic!("queues are left") };
        let counts = (queue.messages_ready, queue.unacknowledged, queue.consumers);
        assert_eq!(counts, (MESSAGES, 0, 0));
    }
}

/// Gives a channel something to hold.
async fn hold(channel: &Channel, holding: usize) -> Option<Box<dyn std::any::Any>> {
    let consume = || BasicConsume::new("q", Prefetch::Count(2));
    match holding {
        HOLDINGS.. => None,
        0 => {
            let consumer = channel.basic_consume(consume()).await.unwrap();
            Some(Box::new(consumer))
        }
        1 => {
            let mut consumer = channel.basic_consume(consume()).await.unwrap();
            let delivery = consumer.recv().await;
            Some(Box::new((consumer, delivery)))
        }
        2 => Some(Box::new(channel.basic_get(BasicGet::new("q")).await.unwrap())),
        3 => {
            if_spec! { confirm.select => { channel.confirm_select().await.unwrap(); } else {} }
            let publish = BasicPublish::new("", "nowhere", "back").mandatory(true);
            Some(Box::new(channel.basic_publish(publish).await.unwrap()))
        }
        4 => {
            let declare = QueueDeclare::new("").exclusive(true);
            channel.queue_declare(declare).await.unwrap();
            None
        }
        5 => {
            let consumer = channel.basic_consume_streamed(consume()).await.unwrap();
            Some(Box::new(consumer))
        }
        _ => Some(Box::new(channel.returns())),
    }
}

async fn peer_closes(channel: Channel) {
    let missing = QueueDeclare::new("missing").passive(true);
    let error = channel.queue_declare(missing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ChannelClosed);
}

/// One test at a time: the descriptors are the process's.
fn alone() -> impl Drop {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The open files and sockets of this process, where that can be told.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

#[test]
fn a_thousand_connections_and_a_hundred_thousand_channels_leave_nothing() {
    const LAPS: usize = 200;
    let _alone = alone();
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let stage = Stage::new(runtime, 100);
    let connect = async || stage.broker.connect().await.unwrap();
    stage.left_by(1, connect);
    let (octets, allocations) = stage.left_by(LAPS, connect);
    let connections = LAPS * ENDS.len();
    println!(
        "{connections} connections, {} channels: {octets} octets in {allocations} allocations are left",
        connections * stage.channels
    );
    // No hundredth of an octet for each channel.
    assert!(octets < 1000 && allocations < 10, "{octets} octets in {allocations} allocations");
}

#[test]
fn a_thousand_sockets_leave_none() {
    const LAPS: usize = 200;
    let _alone = alone();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let mut stage = Stage::new(runtime, 4);
    let address = stage.runtime.block_on(stage.broker.listen("127.0.0.1:0")).unwrap();
    stage.listeners = 1;
    let connector = Connector::new().host("127.0.0.1").port(address.port());
    let connect = async || connector.open("guest", "guest").await.unwrap();
    stage.left_by(1, connect);
    let before = descriptors();
    let (octets, allocations) = stage.left_by(LAPS, connect);
    let left = descriptors().saturating_sub(before);
    println!(
        "{} connections by TCP: {left} of {before} descriptors, {octets} octets in {allocations} allocations are left",
        LAPS * ENDS.len()
    );
    assert_eq!(left, 0);
    assert!(octets < 1000 && allocations < 10, "{octets} octets in {allocations} allocations");
    // The broker's listener goes with it.
    let Stage { runtime, broker, .. } = stage;
    drop(broker);
    runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
}
