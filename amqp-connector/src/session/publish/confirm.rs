//! Publisher confirms of one channel: a ring of publishes in tag order, and what became of each.
//!
//! The ring has one slot per publish and no map: slot *n* is tag `base + n`. A slot is resolved by the
//! broker's `basic.ack` and `basic.nack`, by a `basic.return` before them, or by the end of the channel.
//! Resolved slots at the front leave the ring; those whose owner has not asked yet move aside, still in tag
//! order, and count in the limit of unconfirmed publishes. Called by the session only.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use amqp_types::protocol::basic;
use amqp_types::{Body, ShortStr};

use crate::error::CloseReason;
use crate::outcome::{Outcome, Returned, UnknownReason};
use crate::session::effects::{Effects, Garbage};
use crate::session::publish::Message;

/// A mandatory publish that may still be returned, kept to recognise its return by.
pub(crate) struct Mandatory {
    pub(crate) tag: u64,
    pub(crate) exchange: ShortStr,
    pub(crate) routing_key: ShortStr,
    pub(crate) properties: basic::Properties,
    pub(crate) body: Body,
}

impl Mandatory {
    fn is_addressed_as(&self, returned: &Returned) -> bool {
        self.exchange == returned.exchange && self.routing_key == returned.routing_key
    }

    fn is(&self, returned: &Returned) -> bool {
        self.is_addressed_as(returned)
            && self.body.len() == returned.body.len()
            && self.properties == returned.properties
            && self.body == returned.body
    }
}

#[derive(Default)]
struct Slot {
    state: State,
    waker: Option<Waker>,
    detached: bool,
}

#[derive(Default)]
enum State {
    #[default]
    Pending,
    /// A return came and fits; the ack that covers it is to follow.
    Returned(Box<Returned>),
    /// A return came that fits none of the pending publishes: this one may or may not be meant.
    Uncertain,
    Done(Outcome),
    Claimed,
}

/// The confirm state of one channel in confirm mode.
pub(crate) struct Confirms {
    /// Tag of the ring's front slot. Tags count from 1.
    base: u64,
    ring: VecDeque<Slot>,
    /// Slots of the ring that the broker has not answered.
    open: usize,
    aside: VecDeque<(u64, Option<Outcome>)>,
    /// Entries of `aside` that are `Some`.
    unclaimed: usize,
    mandatory: VecDeque<Mandatory>,
    /// Octets of the bodies kept in `mandatory`.
    retained: usize,
}

impl Default for Confirms {
    fn default() -> Self {
        Self {
            base: 1,
            ring: VecDeque::new(),
            open: 0,
            aside: VecDeque::new(),
            unclaimed: 0,
            mandatory: VecDeque::new(),
            retained: 0,
        }
    }
}

impl Confirms {
    /// Unconfirmed publishes, and confirmed ones whose outcome nobody has taken.
    pub(crate) fn held(&self) -> usize {
        self.ring.len() + self.unclaimed
    }

    /// Publishes without an answer of the broker.
    pub(crate) fn unconfirmed(&self) -> usize {
        self.open
    }

    /// The tag that the next publish gets, which is what the broker counts too.
    pub(crate) fn next_tag(&self) -> u64 {
        self.base + self.ring.len() as u64
    }

    /// Adds a publish that has just been encoded; gives its tag. Of a mandatory one the content is taken, so
    /// that its return can be told from others'.
    #[inline]
    pub(crate) fn publish(&mut self, message: &mut Message) -> u64 {
        let tag = self.next_tag();
        self.ring.push_back(Slot::default());
        self.open += 1;
        if message.publish.mandatory || message.publish.immediate {
            self.remember(tag, message);
        }
        tag
    }

    #[cold]
    fn remember(&mut self, tag: u64, message: &mut Message) {
        let Message { publish, properties, body } = message;
        self.retained += body.len();
        self.mandatory.push_back(Mandatory {
            tag,
            exchange: std::mem::take(&mut publish.exchange),
            routing_key: std::mem::take(&mut publish.routing_key),
            properties: std::mem::take(properties),
            body: Body::from(std::mem::take(body)),
        });
    }

    /// How many more publishes there may be: `max` less those before, but none while the octets that are
    /// kept of messages which may still come back are over their budget.
    #[inline]
    pub(crate) fn room(&self, max: usize, budget: usize) -> usize {
        if self.retained >= budget { 0 } else { max.saturating_sub(self.held()) }
    }

    /// Whether there may be no more.
    pub(crate) fn is_full(&self, max: usize, budget: usize) -> bool {
        self.room(max, budget) == 0
    }

    /// Pairs a return with its publish. Returns come in publish order and before the ack that covers
    /// them, so the search goes on from the last one paired.
    pub(crate) fn returned(&mut self, returned: Returned, effects: &mut Effects) {
        let found = self
            .mandatory
            .iter()
            .position(|mandatory| mandatory.is(&returned) && self.is_open(mandatory.tag));
        let Some(position) = found else {
            self.doubt(&returned);
            return;
        };
        let passed: VecDeque<Mandatory> = self.mandatory.drain(..=position).collect();
        let tag = passed.back().map_or(0, |mandatory| mandatory.tag);
        if let Some(slot) = self.slot(tag) {
            slot.state = State::Returned(Box::new(returned));
        }
        self.retained -= passed.iter().map(|kept| kept.body.len()).sum::<usize>();
        effects.discard(Garbage::Mandatory(passed));
    }

    /// A return that fits no pending publish makes every publish that it could mean uncertain.
    fn doubt(&mut self, returned: &Returned) {
        let alike: Vec<u64> = self
            .mandatory
            .iter()
            .filter(|mandatory| mandatory.is_addressed_as(returned))
            .map(|mandatory| mandatory.tag)
            .collect();
        let doubted = match alike.is_empty() {
            true => self.mandatory.iter().map(|mandatory| mandatory.tag).collect(),
            false => alike,
        };
        for tag in doubted {
            if let Some(slot) = self.slot(tag)
                && matches!(slot.state, State::Pending)
            {
                slot.state = State::Uncertain;
            }
        }
    }

    /// An ack or nack of the broker. Gives false for a tag that was never published.
    #[must_use]
    pub(crate) fn confirm(
        &mut self,
        tag: u64,
        multiple: bool,
        positive: bool,
        effects: &mut Effects,
    ) -> bool {
        if tag >= self.next_tag() || (tag == 0 && !multiple) {
            return false;
        }
        // 0-9-1 1.8.3.13: tag 0 with multiple means everything outstanding.
        let last = if tag == 0 { self.next_tag() - 1 } else { tag };
        let count = match multiple {
            true => usize::try_from((last + 1).saturating_sub(self.base)).unwrap_or(usize::MAX),
            false => 0,
        };
        for slot in self.ring.iter_mut().take(count) {
            self.open -= usize::from(slot.resolve(positive, effects));
        }
        if !multiple && let Some(slot) = self.slot(tag) {
            let resolved = slot.resolve(positive, effects);
            self.open -= usize::from(resolved);
        }
        self.advance(effects);
        true
    }

    /// The channel ended: what the broker has not answered is unknown.
    pub(crate) fn end(&mut self, reason: &Arc<CloseReason>, effects: &mut Effects) {
        self.open = 0;
        for slot in &mut self.ring {
            slot.end(reason);
            effects.wake(slot.waker.take());
        }
        self.advance(effects);
    }

    /// The outcome of `tag` if it is known, else the waker is kept. Gives the waker that it replaced.
    pub(crate) fn poll(
        &mut self,
        tag: u64,
        waker: &Waker,
        effects: &mut Effects,
    ) -> Option<Outcome> {
        if let Some(slot) = self.slot(tag) {
            match std::mem::replace(&mut slot.state, State::Claimed) {
                State::Done(outcome) => {
                    self.advance(effects);
                    return Some(outcome);
                }
                open => slot.state = open,
            }
            if !slot.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
                effects.discard_waker(slot.waker.replace(waker.clone()));
            }
            return None;
        }
        self.claim_aside(tag)
    }

    /// The owner of `tag` is gone.
    pub(crate) fn detach(&mut self, tag: u64, effects: &mut Effects) -> Option<Outcome> {
        if let Some(slot) = self.slot(tag) {
            slot.detached = true;
            effects.discard_waker(slot.waker.take());
            self.advance(effects);
            return None;
        }
        self.claim_aside(tag)
    }

    fn claim_aside(&mut self, tag: u64) -> Option<Outcome> {
        // Mostly they are claimed in order.
        let at = match self.aside.front() {
            Some((front, _)) if *front == tag => 0,
            _ => self.aside.binary_search_by_key(&tag, |(tag, _)| *tag).ok()?,
        };
        let outcome = self.aside.get_mut(at).and_then(|(_, outcome)| outcome.take());
        if outcome.is_some() {
            self.unclaimed -= 1;
        }
        while matches!(self.aside.front(), Some((_, None))) {
            self.aside.pop_front();
        }
        // Holes behind one that is kept for ever must not add up.
        if self.aside.len() > 64 && self.aside.len() > 2 * self.unclaimed {
            self.aside.retain(|(_, outcome)| outcome.is_some());
        }
        outcome
    }

    fn is_open(&self, tag: u64) -> bool {
        let index = tag.checked_sub(self.base).and_then(|n| usize::try_from(n).ok());
        index
            .and_then(|n| self.ring.get(n))
            .is_some_and(|slot| matches!(slot.state, State::Pending | State::Uncertain))
    }

    fn slot(&mut self, tag: u64) -> Option<&mut Slot> {
        let index = usize::try_from(tag.checked_sub(self.base)?).ok()?;
        self.ring.get_mut(index)
    }

    /// Lets resolved slots at the front go.
    fn advance(&mut self, effects: &mut Effects) {
        while self.ring.front().is_some_and(|slot| !slot.state.is_open()) {
            if let Some(Slot { state: State::Done(outcome), detached: false, .. }) =
                self.ring.pop_front()
            {
                self.aside.push_back((self.base, Some(outcome)));
                self.unclaimed += 1;
            }
            self.base += 1;
        }
        let settled = self.mandatory.iter().take_while(|kept| kept.tag < self.base).count();
        if settled > 0 {
            let gone: VecDeque<Mandatory> = self.mandatory.drain(..settled).collect();
            self.retained -= gone.iter().map(|kept| kept.body.len()).sum::<usize>();
            effects.discard(Garbage::Mandatory(gone));
        }
        if self.ring.is_empty() && self.ring.capacity() > 4096 {
            self.ring.shrink_to(1024);
        }
    }
}

impl State {
    fn is_open(&self) -> bool {
        matches!(self, Self::Pending | Self::Returned(_) | Self::Uncertain)
    }
}

impl Slot {
    /// True if it was open.
    #[inline]
    fn resolve(&mut self, positive: bool, effects: &mut Effects) -> bool {
        let outcome = match std::mem::take(&mut self.state) {
            State::Pending if positive => Outcome::Acked,
            State::Pending => Outcome::Nacked,
            State::Returned(returned) if positive => Outcome::Returned(returned),
            State::Returned(_) => Outcome::Nacked,
            State::Uncertain if positive => Outcome::Unknown(UnknownReason::UnmatchedReturn),
            State::Uncertain => Outcome::Nacked,
            settled @ (State::Done(_) | State::Claimed) => {
                self.state = settled;
                return false;
            }
        };
        self.state = State::Done(outcome);
        effects.wake(self.waker.take());
        true
    }

    fn end(&mut self, reason: &Arc<CloseReason>) {
        if self.state.is_open() {
            let unknown = Outcome::Unknown(UnknownReason::Closed(reason.clone()));
            self.state = State::Done(unknown);
        }
    }
}
