//! Deliveries that wait for one consumer, and when the socket pauses for them.
//!
//! Kept in batches, each of which the consumer takes as a whole under one lock. A consumer that nothing
//! bounds but its budget (no-ack, or unlimited prefetch) is helped to keep up: reading from the socket pauses
//! for a moment each time its backlog has grown by a step. For one that makes no progress the moment is
//! short, so that it hardly delays the others of its connection.

mod cost;

use std::collections::VecDeque;
use std::time::Duration;

use amqp_types::protocol::basic;
use amqp_types::{Body, ShortStr};

pub(in crate::session) use cost::content_cost;
use cost::usual_cost;

/// Deliveries of one batch.
const BATCH: usize = 64;
/// Emptied batches that a connection keeps for the next deliveries of any consumer.
const SPARE: usize = 32;
/// Octets by which a backlog grows until reading pauses: once at first, and again after each further step,
/// so that a flood needs many moments in which the consumer does nothing before it is over its budget.
const PRESSURE: usize = 1 << 20;
/// The same for all of a connection's consumers together, of which each may be below its own.
const CROWD: usize = 4 << 20;
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
        size_of::<Self>() + usual_cost(&self.properties, &self.body)
    }
}

#[derive(Default)]
struct Batch {
    deliveries: VecDeque<Queued>,
    octets: usize,
}

/// What waits for all consumers of a connection that only their budget bounds.
pub(crate) struct Crowd {
    octets: usize,
    spare: Vec<VecDeque<Queued>>,
    pausing: bool,
    progressed: bool,
    pause_at: usize,
}

impl Default for Crowd {
    fn default() -> Self {
        Self { octets: 0, spare: Vec::new(), pausing: false, progressed: true, pause_at: CROWD }
    }
}

impl Crowd {
    pub(crate) fn is_pausing(&self) -> bool {
        self.pausing
    }

    #[cfg(test)]
    pub(crate) fn octets(&self) -> usize {
        self.octets
    }

    /// A pause has run out.
    pub(crate) fn end_pause(&mut self) {
        self.pausing = false;
    }

    /// Frees what a burst left behind.
    pub(crate) fn tidy(&mut self) {
        self.spare = Vec::new();
    }

    #[cold]
    fn pause(&mut self) -> Duration {
        self.pause_at = self.octets.saturating_add(CROWD);
        self.pausing = true;
        pause(&mut self.progressed)
    }

    /// Something waits that no backlog has; gives for how long reading should pause now.
    pub(in crate::session) fn add(&mut self, octets: usize) -> Option<Duration> {
        self.octets += octets;
        (self.octets > self.pause_at).then(|| self.pause())
    }

    /// Gives whether a pause is over by that.
    pub(in crate::session) fn remove(&mut self, octets: usize) -> bool {
        self.octets = self.octets.saturating_sub(octets);
        self.progressed = true;
        self.pause_at = self.pause_at.min(self.octets.saturating_add(CROWD));
        self.octets <= CROWD / 2 && std::mem::take(&mut self.pausing)
    }
}

/// For how long to pause, by whether there was progress since the last time.
fn pause(progressed: &mut bool) -> Duration {
    match std::mem::take(progressed) {
        true => PAUSE,
        false => SHORT_PAUSE,
    }
}

/// The deliveries of one consumer, oldest first.
pub(crate) struct Backlog {
    full: VecDeque<Batch>,
    tail: Batch,
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

    /// How many deliveries it holds.
    pub(crate) fn len(&self) -> usize {
        let full: usize = self.full.iter().map(|batch| batch.deliveries.len()).sum();
        full + self.tail.deliveries.len()
    }

    /// Whether it holds more than `budget` octets. One delivery alone is always let in.
    pub(crate) fn is_over(&self, budget: usize) -> bool {
        self.octets > budget && (!self.full.is_empty() || self.tail.deliveries.len() > 1)
    }

    /// Adds a delivery; gives for how long reading should pause now.
    #[inline]
    pub(crate) fn push(&mut self, delivery: Queued, crowd: &mut Crowd) -> Option<Duration> {
        let cost = delivery.cost();
        self.octets += cost;
        self.tail.octets += cost;
        self.tail.deliveries.push_back(delivery);
        if self.tail.deliveries.len() >= BATCH {
            self.begin_batch(crowd);
        }
        if !self.paced {
            return None;
        }
        crowd.octets += cost;
        if self.octets > self.pause_at {
            return Some(self.pause());
        }
        (crowd.octets > crowd.pause_at).then(|| crowd.pause())
    }

    #[cold]
    fn begin_batch(&mut self, crowd: &mut Crowd) {
        let deliveries = crowd.spare.pop().unwrap_or_else(|| VecDeque::with_capacity(BATCH));
        self.full.push_back(std::mem::replace(&mut self.tail, Batch { deliveries, octets: 0 }));
    }

    #[cold]
    fn pause(&mut self) -> Duration {
        self.pause_at = self.octets.saturating_add(PRESSURE);
        self.pausing = true;
        pause(&mut self.progressed)
    }

    /// Moves the oldest batch into `batch`, which is empty; gives whether a pause is over by that.
    pub(crate) fn take(&mut self, batch: &mut VecDeque<Queued>, crowd: &mut Crowd) -> bool {
        let octets = match self.full.pop_front() {
            Some(full) => {
                let emptied = std::mem::replace(batch, full.deliveries);
                if emptied.capacity() >= BATCH && crowd.spare.len() < SPARE {
                    crowd.spare.push(emptied);
                }
                full.octets
            }
            None => {
                std::mem::swap(batch, &mut self.tail.deliveries);
                std::mem::take(&mut self.tail.octets)
            }
        };
        self.octets = self.octets.saturating_sub(octets);
        self.progressed = true;
        self.pause_at = self.pause_at.min(self.octets.saturating_add(PRESSURE));
        let thinned = self.paced && crowd.remove(octets);
        (self.octets <= PRESSURE / 2 && std::mem::take(&mut self.pausing)) || thinned
    }

    /// The tag of the oldest, and of the newest.
    pub(crate) fn ends(&self) -> Option<(u64, u64)> {
        let first = self.full.front().unwrap_or(&self.tail).deliveries.front()?;
        let last = self.tail.deliveries.back();
        let last = last.or_else(|| self.full.back().and_then(|batch| batch.deliveries.back()))?;
        Some((first.delivery_tag, last.delivery_tag))
    }

    /// What comes from now on is taken apart from what there is.
    pub(crate) fn part(&mut self, crowd: &mut Crowd) {
        if !self.tail.deliveries.is_empty() {
            self.begin_batch(crowd);
        }
    }

    /// What was taken last is here again.
    pub(crate) fn put_back(&mut self, deliveries: VecDeque<Queued>, crowd: &mut Crowd) {
        let octets: usize = deliveries.iter().map(Queued::cost).sum();
        self.octets += octets;
        if self.paced {
            crowd.octets += octets;
        }
        self.full.push_front(Batch { deliveries, octets });
    }

    /// The tags of all that it holds.
    pub(crate) fn tags(&self) -> impl Iterator<Item = u64> {
        self.iter().map(|queued| queued.delivery_tag)
    }

    /// All that it holds.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Queued> {
        self.full.iter().chain([&self.tail]).flat_map(|batch| &batch.deliveries)
    }

    /// A pause has run out.
    pub(crate) fn end_pause(&mut self) {
        self.pausing = false;
    }

    /// Reading may pause for this consumer again.
    pub(crate) fn pace(&mut self, crowd: &mut Crowd) {
        if !std::mem::replace(&mut self.paced, true) {
            crowd.octets += self.octets;
        }
    }

    /// Reading does not pause for this consumer any more.
    pub(crate) fn unpace(&mut self, crowd: &mut Crowd) {
        if std::mem::take(&mut self.paced) {
            crowd.remove(self.octets);
        }
        self.pausing = false;
    }

    pub(crate) fn is_pausing(&self) -> bool {
        self.pausing
    }

    /// Gives everything up.
    pub(crate) fn clear(&mut self, crowd: &mut Crowd) -> Vec<VecDeque<Queued>> {
        if self.paced {
            crowd.remove(self.octets);
        }
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
        let (mut backlog, mut crowd) = (Backlog::new(), Crowd::default());
        for tag in 0..1000 {
            backlog.push(delivery(tag, 10), &mut crowd);
        }
        let mut batch = VecDeque::new();
        let mut next = 0;
        while !backlog.is_empty() {
            backlog.take(&mut batch, &mut crowd);
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
        let (mut backlog, mut crowd) = (Backlog::new(), Crowd::default());
        backlog.push(delivery(1, 1 << 20), &mut crowd);
        assert!(!backlog.is_over(1000));
        backlog.push(delivery(2, 1), &mut crowd);
        assert!(backlog.is_over(1000));
    }

    #[test]
    fn reading_pauses_at_length_only_for_a_consumer_that_makes_progress() {
        let (mut backlog, mut crowd) = (Backlog::new(), Crowd::default());
        backlog.paced = true;
        assert_eq!(backlog.push(delivery(1, PRESSURE), &mut crowd), Some(PAUSE));
        backlog.end_pause();
        assert_eq!(backlog.push(delivery(2, PRESSURE), &mut crowd), Some(SHORT_PAUSE));
        assert!(backlog.is_pausing());
        let mut batch = VecDeque::new();
        assert!(backlog.take(&mut batch, &mut crowd), "the pause is over when little is left");
        assert_eq!(batch.len(), 2);
        assert_eq!(backlog.push(delivery(3, PRESSURE), &mut crowd), Some(PAUSE));
    }

    #[test]
    fn a_consumer_with_a_prefetch_never_pauses_reading() {
        let (mut backlog, mut crowd) = (Backlog::new(), Crowd::default());
        assert_eq!(backlog.push(delivery(1, 100 * PRESSURE), &mut crowd), None);
    }

    #[test]
    fn reading_pauses_for_many_consumers_that_each_hold_little() {
        let mut crowd = Crowd::default();
        let mut backlogs: Vec<Backlog> = (0..10).map(|_| Backlog::new()).collect();
        let mut pauses = 0;
        for backlog in &mut backlogs {
            backlog.paced = true;
            pauses += usize::from(backlog.push(delivery(1, PRESSURE / 2), &mut crowd).is_some());
        }
        assert_eq!((pauses, crowd.is_pausing()), (1, true), "once for each step");
        let over: Vec<bool> = backlogs
            .iter_mut()
            .map(|backlog| backlog.take(&mut VecDeque::new(), &mut crowd))
            .collect();
        assert_eq!(over.iter().filter(|over| **over).count(), 1);
        assert_eq!((crowd.octets, crowd.is_pausing()), (0, false));
        backlogs[0].push(delivery(2, 100), &mut crowd);
        backlogs[0].unpace(&mut crowd);
        backlogs[1].push(delivery(2, 100), &mut crowd);
        backlogs[1].clear(&mut crowd);
        assert_eq!(crowd.octets, 0);
    }
}
