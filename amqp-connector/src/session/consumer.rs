//! What the session keeps of one consumer: its queue of deliveries, its budget, and how it ended.
//!
//! Deliveries are plain data here; the [`Consumer`](crate::Consumer) handle takes the whole queue under
//! one lock and builds [`Delivery`](crate::Delivery) values from it outside. Nothing here sends anything.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use amqp_types::protocol::basic;
use amqp_types::{Body, ShortStr};

use crate::outcome::ConsumerEnd;

/// A delivery as it came, not yet seen by the user.
pub(crate) struct Queued {
    pub(crate) deliver: basic::Deliver,
    pub(crate) properties: basic::Properties,
    pub(crate) body: Body,
}

impl Queued {
    /// What the delivery costs in memory, in octets: its own size counts, or a flood of empty messages
    /// would be free.
    pub(crate) fn cost(&self) -> usize {
        size_of::<Self>() + self.body.len()
    }
}

/// Whether the peer has confirmed the consumer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// `basic.consume` is on its way; deliveries may come already.
    Requested,
    Active,
    /// `basic.cancel` is on its way; what still comes is requeued.
    Cancelling,
}

/// Octets by which a consumer's queue grows until reading from the socket pauses for it, so that it can
/// catch up: once at first, and again after each further step, so that a flood needs many moments in which
/// the consumer does nothing before it is over its budget.
const PRESSURE: usize = 1 << 20;
/// The first pause, long enough for a busy consumer to come round.
const PAUSE: Duration = Duration::from_millis(25);
/// Each further one: a consumer that never reads hardly delays the others of its connection, and one that
/// only lacked its turn on a busy runtime gets it.
const SHORT_PAUSE: Duration = Duration::from_millis(2);

/// One consumer of a channel.
pub(crate) struct ConsumerState {
    pub(crate) id: u64,
    pub(crate) tag: ShortStr,
    pub(crate) no_ack: bool,
    pub(crate) phase: Phase,
    /// A handle exists, or a call that will give one is waiting.
    pub(crate) owned: bool,
    /// Its handle was given out.
    pub(crate) claimed: bool,
    pub(crate) queue: VecDeque<Queued>,
    /// 0 <= queued octets <= the consumer's budget.
    pub(crate) octets: usize,
    /// Reading from the socket is paused for this consumer.
    pub(crate) pausing: bool,
    /// The octets at which reading pauses next.
    pause_at: usize,
    pub(crate) waker: Option<Waker>,
    pub(crate) end: Option<ConsumerEnd>,
}

impl ConsumerState {
    pub(crate) fn new(id: u64, tag: ShortStr, no_ack: bool) -> Self {
        Self {
            id,
            tag,
            no_ack,
            phase: Phase::Requested,
            owned: true,
            claimed: false,
            queue: VecDeque::new(),
            octets: 0,
            pausing: false,
            pause_at: PRESSURE,
            waker: None,
            end: None,
        }
    }

    /// Adds a delivery; gives for how long reading should pause now.
    pub(crate) fn push(&mut self, delivery: Queued) -> Option<Duration> {
        self.octets += delivery.cost();
        self.queue.push_back(delivery);
        if self.octets <= self.pause_at {
            return None;
        }
        let pause = if self.pause_at > PRESSURE { SHORT_PAUSE } else { PAUSE };
        self.pause_at = self.octets.saturating_add(PRESSURE);
        self.pausing = true;
        Some(pause)
    }

    /// Moves everything that waits into `batch`, which is empty; gives whether reading was paused for
    /// this consumer.
    pub(crate) fn take(&mut self, batch: &mut VecDeque<Queued>) -> bool {
        std::mem::swap(&mut self.queue, batch);
        self.octets = 0;
        self.pause_at = PRESSURE;
        std::mem::take(&mut self.pausing)
    }
}
