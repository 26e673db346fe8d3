//! Telling subscribers what happens to the connection.
//!
//! Each has a queue of its own, so that none waits for another and the session for none. With no subscriber
//! an event is not even made. Fed by whatever changes a state that users may want to know of; read by
//! [`Events`](crate::Events). Never wakes or drops under the lock: that is left to the effects.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

use crate::error::CloseReason;
use crate::outcome::Event;
use crate::session::Caller;
use crate::session::{Garbage, Phase, Session};

/// Events that wait for one subscriber; after that the oldest are dropped, and it learns how many. More than
/// the frames that the driver hands over under one lock, so that who is prompt misses nothing.
const EVENTS_MAX: usize = 4096;
/// The same of their octets: names and texts are the peer's and the authors' of messages, an alert has a table. The last
/// one stays, whatever it has.
const OCTETS_MAX: usize = 4 << 20;
/// Slots that a queue keeps when a burst is read.
const KEPT: usize = 64;

/// Everybody who wants to know.
#[derive(Default)]
pub(super) struct Subscribers {
    next: u64,
    list: Vec<Subscriber>,
}

struct Subscriber {
    id: u64,
    queue: VecDeque<Event>,
    /// What they cost in memory beside their own size.
    octets: usize,
    missed: u64,
    waker: Option<Waker>,
}

impl Subscribers {
    #[cfg(feature = "testing")]
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    fn get(&mut self, id: u64) -> Option<&mut Subscriber> {
        self.list.iter_mut().find(|subscriber| subscriber.id == id)
    }
}

impl Session {
    /// A new subscriber, which finds the state as it is now in its queue.
    pub(crate) fn subscribe(&mut self) -> u64 {
        let mut queue = VecDeque::new();
        match &self.phase {
            Phase::Open => {
                queue.push_back(Event::Connected);
                if let Some(reason) = self.block_reason() {
                    queue.push_back(Event::Blocked { reason });
                }
            }
            Phase::Draining(reason) | Phase::Closing(reason) => {
                queue.push_back(Event::Closing { reason: reason.clone() })
            }
            Phase::Lost(reason) => queue.push_back(Event::Recovering { reason: reason.clone() }),
            Phase::Closed(reason) => queue.push_back(Event::Closed { reason: reason.clone() }),
        }
        let id = self.subscribers.next;
        self.subscribers.next += 1;
        let octets = queue.iter().map(octets).sum();
        self.subscribers.list.push(Subscriber { id, queue, octets, missed: 0, waker: None });
        id
    }

    /// A subscriber is gone.
    pub(crate) fn unsubscribe(&mut self, id: u64) {
        let list = &mut self.subscribers.list;
        if let Some(at) = list.iter().position(|subscriber| subscriber.id == id) {
            let gone = list.swap_remove(at);
            self.effects.discard_waker(gone.waker);
            // A close reason may hold an error of the user's transport.
            self.effects.discard(Garbage::Events(gone.queue));
        }
    }

    /// The subscriber's next event; `None` after the last.
    pub(crate) fn poll_event(&mut self, id: u64, waker: &dyn Caller) -> Poll<Option<Event>> {
        let closed = self.is_closed();
        let Some(subscriber) = self.subscribers.get(id) else { return Poll::Ready(None) };
        if subscriber.missed > 0 {
            let missed = std::mem::take(&mut subscriber.missed);
            return Poll::Ready(Some(Event::Lagged { missed }));
        }
        if let Some(event) = subscriber.queue.pop_front() {
            subscriber.octets = subscriber.octets.saturating_sub(octets(&event));
            if subscriber.queue.is_empty() && subscriber.queue.capacity() > KEPT {
                subscriber.queue = VecDeque::new();
            }
            return Poll::Ready(Some(event));
        }
        if closed {
            return Poll::Ready(None);
        }
        self.effects.keep(&mut subscriber.waker, waker);
        Poll::Pending
    }

    /// Tells every subscriber. Costs a look where there is none.
    #[inline]
    pub(super) fn record(&mut self, event: impl FnOnce() -> Event) {
        if !self.subscribers.list.is_empty() {
            self.record_for_all(&event());
        }
    }

    #[cold]
    fn record_for_all(&mut self, event: &Event) {
        let cost = octets(event);
        for subscriber in &mut self.subscribers.list {
            let Subscriber { queue, octets: held, missed, waker, .. } = subscriber;
            let mut dropped = VecDeque::new();
            while queue.len() >= EVENTS_MAX || held.saturating_add(cost) > OCTETS_MAX {
                let Some(oldest) = queue.pop_front() else { break };
                *held = held.saturating_sub(octets(&oldest));
                *missed += 1;
                dropped.push_back(oldest);
            }
            if !dropped.is_empty() {
                self.effects.discard(Garbage::Events(dropped));
            }
            queue.push_back(event.clone());
            *held = held.saturating_add(cost);
            self.effects.wake(waker.take());
        }
    }
}

/// What an event holds that a peer has chosen. Reports of recoveries grow with what the user has declared, and with
/// nothing else.
fn octets(event: &Event) -> usize {
    match event {
        Event::Blocked { reason } => reason.heap_size(),
        Event::Alerted { alert, .. } => {
            alert.reply_text.heap_size().saturating_add(alert.details.heap_size())
        }
        Event::Unreadable { exchange, routing_key, .. } => {
            exchange.heap_size() + routing_key.heap_size()
        }
        Event::ChannelClosed { reason, .. }
        | Event::Recovering { reason }
        | Event::Closing { reason }
        | Event::Closed { reason } => size_of::<CloseReason>() + reason.text().len(),
        _ => 0,
    }
}
