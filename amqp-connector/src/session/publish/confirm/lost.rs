//! What becomes of unanswered publishes when their channel ends, or loses its connection and comes back: their outcome is
//! unknown, or they are published again, as the user has chosen.
//!
//! The broker counts from 1 again then, while tags go on. Those that are published again come first there, in their
//! order, so that a table of them tells which tag is meant; what is published after them is a fixed number away.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Confirms;
use crate::error::CloseReason;
use crate::session::effects::Effects;
use crate::session::publish::Message;

/// Publishes without an answer that go once more, in the order of their tags.
pub(super) struct Again {
    /// How they were lost.
    reason: Arc<CloseReason>,
    /// Those that are still to go.
    todo: VecDeque<u64>,
    /// Those that went, as the broker counts them.
    sent: Vec<u64>,
}

impl Again {
    /// Which publish the broker counts so, if it is one of these.
    pub(super) fn own_tag(&self, counted: u64) -> Option<u64> {
        let at = usize::try_from(counted.checked_sub(1)?).ok()?;
        self.sent.get(at).copied()
    }
}

impl Confirms {
    /// The broker is gone and another one to come, which counts anew. What was not answered is unknown, unless it is to be
    /// published again.
    pub(in crate::session) fn break_off(
        &mut self,
        channel: u16,
        reason: &Arc<CloseReason>,
        effects: &mut Effects,
    ) {
        let todo = self.to_republish(channel, reason);
        self.tally.break_off(self.open - todo.len());
        self.give_up(reason, &todo, effects);
        let again = || Box::new(Again { reason: reason.clone(), todo, sent: Vec::new() });
        self.again = (self.open > 0).then(again);
        self.bound();
        (self.wire_base, self.begun) = (self.next_tag() - 1, false);
    }

    /// The channel ended: what the broker has not answered is unknown.
    pub(crate) fn end(&mut self, reason: &Arc<CloseReason>, effects: &mut Effects) {
        self.tally.end(self.first_open(), self.open);
        self.again = None;
        self.bound();
        self.give_up(reason, &VecDeque::new(), effects);
    }

    /// Which ones go once more: those whose message is kept, that have not gone as often as they may, and that the broker
    /// has not blamed for the end of the connection, which they might end again.
    fn to_republish(&self, channel: u16, reason: &CloseReason) -> VecDeque<u64> {
        if self.limits.republish == 0 {
            return VecDeque::new();
        }
        let blamed = reason.publish().map_or(&[][..], |publish| publish.candidates_on(channel));
        let may_go = self.slots().filter(|(tag, slot)| {
            slot.state.is_open()
                && slot.republished < self.limits.republish
                && self.keep.message(*tag).is_some()
                && !blamed.iter().any(|tags| tags.contains(tag))
        });
        may_go.map(|(tag, _)| tag).collect()
    }

    /// All that is unanswered becomes unknown, but for what is to go `again`.
    fn give_up(&mut self, reason: &Arc<CloseReason>, again: &VecDeque<u64>, effects: &mut Effects) {
        effects.counts.unanswered(self.open - again.len());
        (self.open, self.open_octets) = (0, 0);
        self.keep.give_up_returns();
        self.collect_strays();
        let mut again = again.iter().peekable();
        for (tag, mut slot) in std::mem::take(&mut self.early) {
            if again.next_if_eq(&&tag).is_some() {
                self.open += 1;
                self.open_octets += slot.octets as usize;
                self.early.insert(tag, slot);
                continue;
            }
            slot.end(reason);
            self.keep.settle(tag, true);
            effects.wake(slot.waker.take());
            self.leave_early(tag, slot);
        }
        for (slot, tag) in self.ring.iter_mut().zip(self.base..) {
            if again.next_if_eq(&&tag).is_some() {
                self.open += 1;
                self.open_octets += slot.octets as usize;
                continue;
            }
            if slot.end(reason) {
                self.held -= usize::from(slot.detached);
                if !self.keep.is_empty() {
                    self.keep.settle(tag, true);
                }
            }
            effects.wake(slot.waker.take());
        }
        self.keep.forget_returns();
        self.advance(effects);
    }

    /// Whether something has to be published again before anything else may be.
    pub(in crate::session) fn is_republishing(&self) -> bool {
        self.again.as_ref().is_some_and(|again| !again.todo.is_empty())
    }

    /// How much is to be published again.
    pub(in crate::session) fn republishing(&self) -> usize {
        self.again.as_ref().map_or(0, |again| again.todo.len())
    }

    /// The message that is to be published again next, with its tag.
    pub(in crate::session) fn next_again(&self) -> Option<(u64, Option<&Message>)> {
        let tag = *self.again.as_ref()?.todo.front()?;
        Some((tag, self.keep.message(tag)))
    }

    /// It was published again.
    pub(in crate::session) fn went_again(&mut self, tag: u64) {
        self.leave_todo(tag, true);
        if let Some(slot) = self.slot(tag) {
            slot.republished += 1;
        }
    }

    /// It cannot be published again.
    pub(in crate::session) fn give_up_again(&mut self, tag: u64, effects: &mut Effects) {
        let Some(reason) = self.again.as_ref().map(|again| again.reason.clone()) else { return };
        self.leave_todo(tag, false);
        self.tally.break_off(1);
        effects.counts.unanswered(1);
        self.open -= 1;
        if let Some(slot) = self.slot(tag) {
            slot.end(&reason);
            let (octets, waker) = (slot.octets as usize, slot.waker.take());
            let is_unasked = slot.detached;
            self.open_octets -= octets;
            effects.wake(waker);
            match self.early.remove(&tag) {
                Some(slot) => self.leave_early(tag, slot),
                None => self.held -= usize::from(is_unasked),
            }
        }
        self.keep.settle(tag, true);
        self.advance(effects);
    }

    fn leave_todo(&mut self, tag: u64, sent: bool) {
        let Some(again) = &mut self.again else { return };
        again.todo.pop_front();
        if sent {
            again.sent.push(tag);
        }
        // What is new is counted behind these, whatever its tag.
        self.wire_base = self.base + self.ring.len() as u64 - 1 - again.sent.len() as u64;
        self.bound();
    }

    /// Once all of them are answered the table is of no use any more: later answers to them mean nothing.
    #[cold]
    pub(super) fn forget_again(&mut self) {
        let first_open = self.first_open();
        self.again.take_if(|again| {
            again.todo.is_empty() && again.sent.last().is_none_or(|last| *last < first_open)
        });
    }
}
