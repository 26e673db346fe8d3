//! Publishes that the broker has not answered though most of what came after them is over.
//!
//! The ring has a slot for every publish behind its front, so that one without an answer would make it grow for as long as others
//! are published. What moves out of it costs a look into a map; no publish comes here as long as all are answered in time.

use std::ops::RangeInclusive;

use super::Confirms;
use crate::session::effects::Effects;
use crate::session::publish::keep::Verdict;
use crate::session::publish::slot::{Slot, State, outcome_cost};

/// A ring so short may have any number of slots that are over.
const SHORT: usize = 512;

impl Confirms {
    /// The ring is full. If most of it is over, its older half goes, so that it does not grow: it is never much longer
    /// than four times what is held.
    #[cold]
    pub(super) fn thin_out(&mut self) {
        let len = self.ring.len();
        if len < SHORT || len < 2 * self.held {
            return;
        }
        for (slot, tag) in self.ring.drain(..len / 2).zip(self.base..) {
            match slot {
                Slot { state: State::Pending, .. } => drop(self.early.insert(tag, slot)),
                Slot { state: State::Done(outcome), detached: false, .. } => {
                    self.aside.add(tag, outcome);
                }
                _ => {}
            }
        }
        self.base += (len / 2) as u64;
    }

    /// What the open ones came from is still to be told.
    #[cold]
    pub(super) fn forget_origins(&mut self) {
        let Self { origins, early, base, .. } = self;
        origins.forget_between(*base, |tags| early.range(tags).next().is_some());
    }

    /// How many places there are for publishes, used or not, and for where they went.
    #[cfg(test)]
    #[allow(dead_code, reason = "not every specification has confirms")]
    pub(crate) fn slots_kept(&self) -> usize {
        self.ring.capacity() + self.early.len() + self.aside.len() + self.origins.len()
    }

    /// The first tag that has no answer, or the next one.
    #[inline]
    pub(super) fn first_open(&self) -> u64 {
        match self.early.is_empty() {
            true => self.base,
            false => self.early.keys().next().copied().unwrap_or(self.base),
        }
    }

    /// All that may be open, in tag order.
    pub(super) fn slots(&self) -> impl Iterator<Item = (u64, &Slot)> {
        let ring = self.ring.iter().zip(self.base..);
        self.early.iter().map(|(tag, slot)| (*tag, slot)).chain(ring.map(|(slot, tag)| (tag, slot)))
    }

    /// The broker has answered these.
    #[inline]
    pub(super) fn resolve_early(
        &mut self,
        tags: RangeInclusive<u64>,
        positive: bool,
        effects: &mut Effects,
    ) {
        if !self.early.is_empty() {
            self.resolve_each(tags, positive, effects);
        }
    }

    #[cold]
    fn resolve_each(&mut self, tags: RangeInclusive<u64>, positive: bool, effects: &mut Effects) {
        let indexed = self.keep.is_indexed();
        while let Some(tag) = self.early.range(tags.clone()).next().map(|(tag, _)| *tag) {
            let Some(mut slot) = self.early.remove(&tag) else { break };
            let verdict = match indexed && positive {
                true => self.keep.verdict(tag),
                false => Verdict::Plain,
            };
            self.tally.count(positive, &verdict);
            slot.resolve(positive, verdict, effects);
            self.open -= 1;
            self.open_octets -= slot.octets as usize;
            self.keep.settle(tag, slot.state.has_failed());
            self.leave_early(tag, slot);
        }
        if indexed {
            self.collect_strays();
        }
    }

    /// One that was early has its outcome.
    pub(super) fn leave_early(&mut self, tag: u64, slot: Slot) {
        match slot {
            Slot { state: State::Done(outcome), detached: false, .. } => {
                self.aside.add_early(tag, outcome);
            }
            Slot { state, .. } => {
                self.held -= 1;
                if let State::Done(outcome) = &state {
                    self.back_octets -= outcome_cost(outcome);
                }
            }
        }
    }
}
