//! Deliveries that wait for one consumer, and when the socket pauses for them.
//!
//! Kept in batches, each of which the consumer takes as a whole under one lock. A consumer that nothing
//! bounds but its budget (no-ack, or unlimited prefetch) is helped to keep up: reading from the socket pauses
//! for a moment each time its backlog has grown by a step. For one that makes no progress the moment is
//! short, so that it hardly delays the others of its connection.

use std::collections::VecDeque;
use std::time::Duration;

use amqp_types::protocol::basic;
use amqp_types::{Body, FieldTable, FieldValue, ShortStr};

/// Deliveries of one batch.
const BATCH: usize = 64;
/// Emptied batches kept for the next deliveries.
const SPARE: usize = 4;
/// Octets by which a backlog grows until reading pauses: once at first, and again after each further step,
/// so that a flood needs many moments in which the consumer does nothing before it is over its budget.
const PRESSURE: usize = 1 << 20;
/// A pause for a consumer that makes progress, long enough for a busy one to come round.
const PAUSE: Duration = Duration::from_millis(25);
/// A pause for one that made none in the last: it may only have lacked its turn on a busy runtime.
const SHORT_PAUSE: Duration = Duration::from_millis(2);

/// A delivery as it came, not yet seen by the user.
pub(crate) struct Queued {
    pub(crate) delivery_tag: u64,
    pub(crate) redelivered: bool,
    pub(crate) exchange: ShortStr,
    pub(crate) routing_key: ShortStr,
    pub(crate) properties: basic::Properties,
    pub(crate) body: Body,
}

impl Queued {
    /// What the delivery costs in memory, in octets: its own size counts, or a flood of empty messages
    /// would be free.
    #[inline]
    fn cost(&self) -> usize {
        let headers = self.properties.headers.as_ref().map_or(0, table_cost);
        size_of::<Self>() + self.body.len() + headers
    }
}

/// What a table costs in memory, about.
fn table_cost(table: &FieldTable) -> usize {
    table.iter().map(|(key, value)| key.len() + value_cost(value)).sum()
}

fn value_cost(value: &FieldValue) -> usize {
    let more = match value {
        FieldValue::LongString(octets) | FieldValue::ByteArray(octets) => octets.len(),
        FieldValue::Table(table) => table_cost(table),
        FieldValue::Array(array) => array.iter().map(value_cost).sum(),
        _ => 0,
    };
    size_of::<FieldValue>() + more
}

#[derive(Default)]
struct Batch {
    deliveries: VecDeque<Queued>,
    octets: usize,
}

/// The deliveries of one consumer, oldest first.
pub(crate) struct Backlog {
    full: VecDeque<Batch>,
    tail: Batch,
    spare: Vec<VecDeque<Queued>>,
    octets: usize,
    /// Reading may pause for this consumer.
    pub(crate) paced: bool,
    /// Reading is paused for this consumer now.
    pausing: bool,
    /// The consumer took something since reading was paused for it last.
    progressed: bool,
    pause_at: usize,
}

impl Backlog {
    pub(crate) fn new() -> Self {
        Self {
            full: VecDeque::new(),
            tail: Batch::default(),
            spare: Vec::new(),
            octets: 0,
            paced: false,
            pausing: false,
            progressed: true,
            pause_at: PRESSURE,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.full.is_empty() && self.tail.deliveries.is_empty()
    }

    /// Whether it holds more than `budget` octets. One delivery alone is always let in.
    pub(crate) fn is_over(&self, budget: usize) -> bool {
        self.octets > budget && (!self.full.is_empty() || self.tail.deliveries.len() > 1)
    }

    /// Adds a delivery; gives for how long reading should pause now.
    #[inline]
    pub(crate) fn push(&mut self, delivery: Queued) -> Option<Duration> {
        let cost = delivery.cost();
        self.octets += cost;
        self.tail.octets += cost;
        self.tail.deliveries.push_back(delivery);
        if self.tail.deliveries.len() >= BATCH {
            self.begin_batch();
        }
        if !self.paced || self.octets <= self.pause_at {
            return None;
        }
        Some(self.pause())
    }

    #[cold]
    fn begin_batch(&mut self) {
        let deliveries = self.spare.pop().unwrap_or_else(|| VecDeque::with_capacity(BATCH));
        self.full.push_back(std::mem::replace(&mut self.tail, Batch { deliveries, octets: 0 }));
    }

    #[cold]
    fn pause(&mut self) -> Duration {
        self.pause_at = self.octets.saturating_add(PRESSURE);
        self.pausing = true;
        match std::mem::take(&mut self.progressed) {
            true => PAUSE,
            false => SHORT_PAUSE,
        }
    }

    /// Moves the oldest batch into `batch`, which is empty; gives whether a pause is over by that.
    pub(crate) fn take(&mut self, batch: &mut VecDeque<Queued>) -> bool {
        let taken = match self.full.pop_front() {
            Some(full) => full,
            None => {
                let deliveries = self.spare.pop().unwrap_or_default();
                std::mem::replace(&mut self.tail, Batch { deliveries, octets: 0 })
            }
        };
        self.octets = self.octets.saturating_sub(taken.octets);
        let emptied = std::mem::replace(batch, taken.deliveries);
        if emptied.capacity() > 0 && self.spare.len() < SPARE {
            self.spare.push(emptied);
        }
        self.progressed = true;
        self.pause_at = self.pause_at.min(self.octets.saturating_add(PRESSURE));
        self.octets <= PRESSURE / 2 && std::mem::take(&mut self.pausing)
    }

    /// A pause has run out.
    pub(crate) fn end_pause(&mut self) {
        self.pausing = false;
    }

    /// Reading does not pause for this consumer any more.
    pub(crate) fn unpace(&mut self) {
        self.paced = false;
        self.pausing = false;
    }

    pub(crate) fn is_pausing(&self) -> bool {
        self.pausing
    }

    /// Gives everything up.
    pub(crate) fn clear(&mut self) -> Vec<VecDeque<Queued>> {
        let full = std::mem::take(&mut self.full);
        let tail = std::mem::take(&mut self.tail);
        self.octets = 0;
        self.pausing = false;
        full.into_iter().chain([tail]).map(|batch| batch.deliveries).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(tag: u64, size: usize) -> Queued {
        Queued {
            delivery_tag: tag,
            redelivered: false,
            exchange: ShortStr::EMPTY,
            routing_key: ShortStr::EMPTY,
            properties: basic::Properties::default(),
            body: Body::from(vec![0; size]),
        }
    }

    #[test]
    fn batches_come_out_in_order_and_octets_are_counted() {
        let mut backlog = Backlog::new();
        for tag in 0..1000 {
            backlog.push(delivery(tag, 10));
        }
        let mut batch = VecDeque::new();
        let mut next = 0;
        while !backlog.is_empty() {
            backlog.take(&mut batch);
            assert!(batch.len() <= BATCH);
            for queued in batch.drain(..) {
                assert_eq!(queued.delivery_tag, next);
                next += 1;
            }
        }
        assert_eq!((next, backlog.octets), (1000, 0));
    }

    #[test]
    fn a_delivery_over_the_budget_is_let_in_alone() {
        let mut backlog = Backlog::new();
        backlog.push(delivery(1, 1 << 20));
        assert!(!backlog.is_over(1000));
        backlog.push(delivery(2, 1));
        assert!(backlog.is_over(1000));
    }

    #[test]
    fn reading_pauses_at_length_only_for_a_consumer_that_makes_progress() {
        let mut backlog = Backlog::new();
        backlog.paced = true;
        assert_eq!(backlog.push(delivery(1, PRESSURE)), Some(PAUSE));
        backlog.end_pause();
        assert_eq!(backlog.push(delivery(2, PRESSURE)), Some(SHORT_PAUSE));
        assert!(backlog.is_pausing());
        let mut batch = VecDeque::new();
        assert!(backlog.take(&mut batch), "the pause is over when little is left");
        assert_eq!(batch.len(), 2);
        assert_eq!(backlog.push(delivery(3, PRESSURE)), Some(PAUSE));
    }

    #[test]
    fn a_consumer_with_a_prefetch_never_pauses_reading() {
        let mut backlog = Backlog::new();
        assert_eq!(backlog.push(delivery(1, 100 * PRESSURE)), None);
    }
}
