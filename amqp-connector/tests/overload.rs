//! Overload: a thousand tasks publish at full speed to a broker that takes nothing.
//!
//! What waits is bounded by the outbound budget, whether the broker tells that it is blocked or merely stops reading, and
//! every outcome is known once it goes on. Client and broker (the one in memory) run on the thread whose memory is
//! counted; the broker keeps nothing, since no queue gets the messages.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed expectation ends its test"
)]

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::testing::{Leftovers, leftovers};
use amqp_connector::{BasicPublish, Bytes, Channel, Connection, Connector, Options, Outcome};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::runtime::Builder;

const TASKS: usize = 1000;
/// Messages of each task: far more octets than the budget has, together.
const EACH: usize = 20;
const BUDGET: usize = 4 << 20;
/// What else there may be: the tasks themselves, their places in line, and what is being written.
const BESIDE: usize = 4 << 20;

/// Whether a transport takes octets, and whom to wake when it does again.
#[derive(Clone, Debug, Default)]
struct Valve(Arc<Mutex<(bool, Option<Waker>)>>);

impl Valve {
    fn close(&self) {
        self.0.lock().unwrap().0 = true;
    }

    fn is_closed_for(&self, writer: &Waker) -> bool {
        let (closed, waker) = &mut *self.0.lock().unwrap();
        *waker = closed.then(|| writer.clone());
        *closed
    }

    fn open(&self) {
        let (closed, waker) = &mut *self.0.lock().unwrap();
        *closed = false;
        if let Some(waker) = waker.take() {
            waker.wake();
        }
    }
}

/// A transport that takes nothing while its valve is closed, as one whose other end does not read.
struct Throttled {
    io: DuplexStream,
    valve: Valve,
}

impl AsyncRead for Throttled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Throttled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.valve.is_closed_for(cx.waker()) {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// How the broker comes to take nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// It tells that it has blocked the connection.
    Told,
    /// It just does not read.
    Untold,
}

/// What a stop has shown.
#[derive(Debug, Default)]
struct Seen {
    /// Octets that waited to be written, at most.
    waiting: usize,
    /// Publishes whose outcome is that the broker has them.
    taken: usize,
}

async fn overload(
    broker: &MemoryBroker,
    connection: &Connection,
    stop: Stop,
    valve: &Valve,
) -> Seen {
    let channels = open(connection).await;
    match stop {
        Stop::Told => {
            let mut blocked = connection.blocked();
            broker.block("low on memory");
            let channel = connection.channel_open().await.unwrap();
            drop(channel.basic_publish(BasicPublish::new("", "nowhere", "first")).await.unwrap());
            blocked.changed().await.unwrap();
        }
        Stop::Untold => valve.close(),
    }
    let body = Bytes::from(vec![7; 2000]);
    let tasks: Vec<_> = (0..TASKS)
        .map(|number| {
            let (channel, body) = (channels[number % channels.len()].clone(), body.clone());
            tokio::spawn(async move { publish_all(&channel, &body).await })
        })
        .collect();
    // Until nothing goes on any more: who has published all of its own waits for confirms, all others for their turn.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let held = leftovers(connection);
    assert!(held.waiting > TASKS / 2 && held.octets <= BUDGET, "{held:?}");
    let expected = if stop == Stop::Told { 0 } else { BUDGET / 2 };
    assert!(held.octets >= expected, "{held:?}");
    match stop {
        Stop::Told => broker.unblock(),
        Stop::Untold => valve.open(),
    }
    let mut seen = Seen { waiting: held.octets, taken: 0 };
    for task in tasks {
        seen.taken += task.await.unwrap();
    }
    seen
}

async fn open(connection: &Connection) -> Vec<Channel> {
    let mut channels = Vec::new();
    for _ in 0..10 {
        let channel = connection.channel_open().await.unwrap();
        if_spec! { confirm.select => { channel.confirm_select().await.unwrap(); } else {} }
        channels.push(channel);
    }
    channels
}

/// Publishes as fast as it is let, and then looks what became of it.
async fn publish_all(channel: &Channel, body: &Bytes) -> usize {
    let mut confirmations = Vec::new();
    for _ in 0..EACH {
        let publish = BasicPublish::new("amq.fanout", "to.nobody", body.clone());
        confirmations.push(channel.basic_publish(publish).await.unwrap());
    }
    let mut taken = 0;
    for confirmation in confirmations {
        taken += usize::from(matches!(confirmation.await, Outcome::Acked | Outcome::Accepted));
    }
    taken
}

fn measure(stop: Stop) {
    let mut options = Options::default();
    options.outbound_budget = BUDGET;
    // The stop is not to be taken for the peer's death.
    options.heartbeat = Some(Duration::ZERO);
    let connector = Connector::new().options(options);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (broker, valve) = (MemoryBroker::start(), Valve::default());
    let connection = runtime.block_on(async {
        let io = Throttled { io: broker.transport(), valve: valve.clone() };
        let greeted = connector.connect_with(io).await.unwrap();
        greeted.authenticate("guest", "guest").await.unwrap()
    });
    let mut seen = Seen::default();
    let memory = allocation_counter::measure(|| {
        seen = runtime.block_on(overload(&broker, &connection, stop, &valve));
    });
    println!(
        "{stop:?}: {TASKS} tasks, {} messages; {} KiB waited to be written, {} KiB more memory at most; {} were taken",
        TASKS * EACH,
        seen.waiting >> 10,
        memory.bytes_max >> 10,
        seen.taken,
    );
    assert_eq!(seen.taken, TASKS * EACH);
    assert!(memory.bytes_max <= (BUDGET + BESIDE) as u64, "{memory:?}");
    runtime.block_on(async {
        connection.close().await;
        assert_eq!(leftovers(&connection), Leftovers::default());
    });
}

if_spec! { connection.blocked => {
    #[test]
    fn a_thousand_publishers_to_a_blocked_broker_take_no_memory_beyond_the_budget() {
        measure(Stop::Told);
    }
} else {} }

#[test]
fn a_thousand_publishers_to_a_broker_that_stops_reading_take_no_memory_beyond_the_budget() {
    measure(Stop::Untold);
}
