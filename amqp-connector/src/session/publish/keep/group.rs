//! Messages that have something in common, by which a return may mean them.
//!
//! Plain state, changed by [`Index`](super::index::Index) alone.

use std::collections::VecDeque;

use super::{Entry, position};

/// Answered members of a group that do not matter.
const ANSWERED: usize = 64;

/// Messages that have something in common.
#[derive(Default)]
pub(super) struct Group {
    /// How many are unanswered.
    pub(super) open: usize,
    /// In tag order with their classes; some may be answered.
    members: VecDeque<(u64, u32)>,
    /// Unanswered ones below this tag are all of the first one's class.
    uniform_to: u64,
    pub(super) doubts: Doubts,
}

/// The unanswered members of a group that a return may mean.
#[derive(Clone, Copy)]
pub(super) enum Meant {
    None,
    /// All are equal; the first one.
    Equal(u64, u32),
    Different,
}

impl Meant {
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, it) | (it, Self::None) => it,
            _ => Self::Different,
        }
    }
}

impl Group {
    pub(super) fn add(&mut self, tag: u64, class: u32, entries: &VecDeque<Entry>) {
        self.open += 1;
        if self.members.len() > 2 * self.open + ANSWERED {
            self.members.retain(|(tag, _)| is_open(entries, *tag));
        }
        self.members.push_back((tag, class));
    }

    /// Which of those behind `past` a return may mean.
    pub(super) fn meant(&mut self, entries: &VecDeque<Entry>, past: u64, work: &mut Work) -> Meant {
        let (first, class) = loop {
            let Some(&(tag, class)) = self.members.front() else { return Meant::None };
            work.count();
            if tag > past && is_open(entries, tag) {
                break (tag, class);
            }
            self.members.pop_front();
        };
        let from = self.members.partition_point(|(tag, _)| *tag < self.uniform_to);
        for (tag, other) in self.members.range(from..) {
            work.count();
            self.uniform_to = *tag;
            if *other != class && is_open(entries, *tag) {
                return Meant::Different;
            }
            self.uniform_to = *tag + 1;
        }
        Meant::Equal(first, class)
    }
}

/// Ranges of tags, the first one not in it, that returns may mean which fit none.
#[derive(Default)]
pub(super) struct Doubts(Vec<(u64, u64)>);

impl Doubts {
    /// Both ends grow from one call to the next.
    pub(super) fn add(&mut self, past: u64, to: u64, front: u64) {
        match self.0.last_mut() {
            Some(last) if last.1 >= past => last.1 = to,
            _ => {
                if self.0.len() >= ANSWERED && self.0.len().is_power_of_two() {
                    self.0.retain(|doubt| doubt.1 >= front);
                }
                self.0.push((past, to));
            }
        }
    }

    pub(super) fn contain(&self, tag: u64) -> bool {
        let at = self.0.partition_point(|doubt| doubt.1 < tag);
        self.0.get(at).is_some_and(|doubt| doubt.0 < tag)
    }
}

/// How many messages were looked at, for tests.
#[derive(Default)]
pub(super) struct Work {
    #[cfg(test)]
    pub(super) looks: usize,
}

impl Work {
    #[inline]
    pub(super) fn count(&mut self) {
        #[cfg(test)]
        {
            self.looks += 1;
        }
    }
}

/// Whether the message of `tag` is unanswered.
fn is_open(entries: &VecDeque<Entry>, tag: u64) -> bool {
    let entry = position(entries, tag).and_then(|at| entries.get(at));
    entry.is_some_and(|entry| entry.class != 0)
}
