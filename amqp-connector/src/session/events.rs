//! Telling subscribers what happens to the connection.
//!
//! Each has a queue of its own, so that none waits for another and the session for none. With no subscriber
//! an event is not even made. Fed by whatever changes a state that users may want to know of; read by
//! [`Events`](crate::Events). Never wakes or drops under the lock: that is left to the effects.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

use crate::outcome::Event;
use crate::session::Caller;
use crate::session::{Garbage, Phase, Session};

/// Events that wait for one subscriber; after that the oldest are dropped, and it learns how many. More than
/// the frames that the driver hands over under one lock, so that who is prompt misses nothing.
const EVENTS_MAX: usize = 4096;
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
        self.subscribers.list.push(Subscriber { id, queue, missed: 0, waker: None });
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
        for subscriber in &mut self.subscribers.list {
            if subscriber.queue.len() >= EVENTS_MAX {
                let dropped = subscriber.queue.pop_front();
                subscriber.missed += 1;
                self.effects.discard(Garbage::Events(dropped.into_iter().collect()));
            }
            subscriber.queue.push_back(event.clone());
            self.effects.wake(subscriber.waker.take());
        }
    }
}
