//! Messages that are equal in everything, and which of them came back.
//!
//! A return may be of each that was unanswered when it came, but for those before a certain one: that is its range. Which
//! one it is nobody can know; those that are acked first get what came back, so that as many are told to have come back as did.
//! For that a return may pass from one to another of those that have theirs already. Called by [`Index`](super::index::Index)
//! alone.

use std::collections::{BTreeMap, BTreeSet};

use super::index::Verdict;
use super::prints::Prints;
use crate::outcome::Returned;

/// Returns that were given away and that do not matter.
const TAKEN: usize = 64;

/// A return that nobody has. Returns are known by the tags that their ranges begin behind, which are never the same for two;
/// both ends of the ranges grow together.
struct Back {
    /// The last tag of its range.
    to: u64,
    returned: Box<Returned>,
}

/// A return that was given away: another may come in its stead, so that this one is free for who cannot have that.
struct Taken {
    to: u64,
    holder: u64,
    /// Later returns are none of the holder's.
    until: u64,
}

impl Taken {
    /// Whether its holder can have the return of this range instead.
    fn can_have(&self, past: u64, to: u64) -> bool {
        past < self.holder && self.holder <= to && past <= self.until
    }
}

/// Unanswered messages that are equal in everything.
pub(super) struct Class {
    pub(super) prints: Prints,
    members: BTreeSet<u64>,
    /// Each has one of the members in its range.
    back: BTreeMap<u64, Back>,
    taken: BTreeMap<u64, Taken>,
    /// So many taken ones are worth a look for those that do not matter.
    tidy_at: usize,
    /// Ranges of returns that went to one in doubt: another of these may have come back instead, and be what the doubt was about.
    moved: BTreeMap<u64, u64>,
}

impl Class {
    pub(super) fn new(prints: Prints) -> Self {
        let (members, back, taken, moved) = Default::default();
        Self { prints, members, back, taken, tidy_at: TAKEN, moved }
    }

    #[cfg(test)]
    pub(super) fn given_away(&self) -> usize {
        self.taken.len()
    }

    /// One more of them was published.
    pub(super) fn add(&mut self, tag: u64) {
        self.members.insert(tag);
    }

    /// One of those behind `past` and up to `to` came back.
    pub(super) fn give(&mut self, past: u64, to: u64, returned: Box<Returned>) {
        self.back.insert(past, Back { to, returned });
    }

    /// One of them is acked, about which there may be a doubt of another kind.
    pub(super) fn verdict(&mut self, tag: u64, doubt: bool) -> Verdict {
        let until = |it: Option<&u64>| it.copied().unwrap_or_default();
        let until = until(self.back.keys().next_back()).max(until(self.taken.keys().next_back()));
        // The one that the fewest others can have.
        let past = self.back.range(..tag).next_back();
        let past = past.filter(|(_, back)| back.to >= tag).map(|(past, _)| *past);
        if let Some((past, Back { to, returned })) =
            past.and_then(|past| Some((past, self.back.remove(&past)?)))
        {
            match doubt {
                true => drop(self.moved.insert(past, to)),
                false => drop(self.taken.insert(past, Taken { to, holder: tag, until })),
            }
            return Verdict::Returned(returned);
        }
        if doubt {
            return Verdict::Doubt;
        }
        if let Some(returned) = self.exchange(tag, until) {
            return Verdict::Returned(returned);
        }
        let moved = self.moved.range(..tag).next_back();
        let moved = moved.filter(|(_, to)| **to >= tag).map(|(past, _)| *past);
        match moved.and_then(|past| self.moved.remove(&past)) {
            Some(_) => Verdict::Doubt,
            None => Verdict::Plain,
        }
    }

    /// Gives `tag` a return that another one has, where that can have another, and so on to one that nobody has.
    fn exchange(&mut self, tag: u64, until: u64) -> Option<Box<Returned>> {
        let (free, mut way) = self.way(tag)?;
        let Back { to, returned } = self.back.remove(&free)?;
        let mut place = (free, to);
        while let Some(past) = way.pop() {
            let taken = self.taken.remove(&past)?;
            let left = (past, taken.to);
            self.taken.insert(place.0, Taken { to: place.1, ..taken });
            place = left;
        }
        self.taken.insert(place.0, Taken { to: place.1, holder: tag, until });
        Some(returned)
    }

    /// A return that nobody has, and those before it that pass from one to the next: the first to `tag`.
    fn way(&self, tag: u64) -> Option<(u64, Vec<u64>)> {
        if self.back.is_empty() {
            return None;
        }
        // Those that are taken, each with the one before it. All between the first and the last are among them.
        let within = self.taken.range(..tag).rev().take_while(|(_, taken)| taken.to >= tag);
        let mut reached: Vec<(u64, Option<usize>)> =
            within.map(|(past, _)| (*past, None)).collect();
        let (mut last, mut first) = (reached.first()?.0, reached.last()?.0);
        let mut at = 0;
        let free = loop {
            let taken = self.taken.get(&reached.get(at)?.0)?;
            let end = taken.holder.min(taken.until + 1).max(last + 1);
            let before = self.back.range(..first).next_back();
            let before = before.filter(|(_, back)| back.to >= taken.holder);
            if let Some((free, _)) = before.or(self.back.range(last + 1..end).next()) {
                break *free;
            }
            let before = self.taken.range(..first).rev();
            let before = before.take_while(|(_, other)| other.to >= taken.holder);
            let mut ends = (first, last);
            for (past, _) in before.chain(self.taken.range(last + 1..end)) {
                reached.push((*past, Some(at)));
                ends = (ends.0.min(*past), ends.1.max(*past));
            }
            ((first, last), at) = (ends, at + 1);
        };
        let back_from = |at: &usize| reached.get(*at).and_then(|(_, before)| *before);
        let steps = std::iter::successors(Some(at), back_from);
        let mut way: Vec<u64> = steps.filter_map(|at| Some(reached.get(at)?.0)).collect();
        way.reverse();
        Some((free, way))
    }

    /// One of them is answered. Returns that can be of none that is left are no publish's outcome. True if none is left.
    pub(super) fn leave(&mut self, tag: u64, strays: &mut Vec<Returned>) -> bool {
        self.members.remove(&tag);
        if self.back.is_empty() {
            self.taken.clear();
            return self.members.is_empty();
        }
        let before = self.members.range(..tag).next_back().copied().unwrap_or_default();
        let behind = self.members.range(tag..).next().copied().unwrap_or(u64::MAX);
        // It was the only one in their ranges.
        let alone = self.back.range(before..tag).take_while(|(_, back)| back.to < behind);
        let alone: Vec<u64> = alone.map(|(past, _)| *past).collect();
        for past in alone {
            if let Some(Back { to, returned }) = self.back.remove(&past)
                && let Some(returned) = self.replace(past, to, returned)
            {
                strays.push(*returned);
            }
        }
        if self.taken.len() >= self.tidy_at {
            self.tidy();
        }
        self.members.is_empty()
    }

    /// Frees another return instead that can be of one that is left, if who has that can have this one, or one that another
    /// has who can have this one. Else gives it back.
    fn replace(&mut self, past: u64, to: u64, returned: Box<Returned>) -> Option<Box<Returned>> {
        // Each with the one that its holder can have instead.
        let (mut reached, mut seen) = (vec![(past, to, 0)], BTreeSet::from([past]));
        let mut at = 0;
        let found = loop {
            let Some(&(past, to, _)) = reached.get(at) else { return Some(returned) };
            let others = self.taken.iter().filter(|(_, taken)| taken.can_have(past, to));
            let others = others.filter(|(other, _)| seen.insert(**other));
            let from = reached.len();
            reached.extend(others.map(|(other, taken)| (*other, taken.to, at)));
            let mut added = reached.iter().enumerate().skip(from);
            let is_left = |past, to| self.members.range(past + 1..=to).next().is_some();
            if let Some((found, _)) = added.find(|(_, (past, to, _))| is_left(*past, *to)) {
                break found;
            }
            at += 1;
        };
        let &(free, to, mut next) = reached.get(found)?;
        let mut moving = self.taken.remove(&free);
        while let (Some(taken), Some(&(past, to, after))) = (moving, reached.get(next)) {
            moving = self.taken.insert(past, Taken { to, ..taken });
            next = after;
        }
        self.back.insert(free, Back { to, returned });
        None
    }

    /// Forgets those that were given away and that no exchange can come to.
    fn tidy(&mut self) {
        let mut of_use = BTreeMap::<u64, u64>::new();
        loop {
            let before = of_use.len();
            for (past, taken) in &self.taken {
                let last = taken.until.min(taken.holder - 1);
                let free = self.back.range(..=last).next_back();
                let free = free.map(|(past, back)| (*past, back.to));
                let below = of_use.range(..past).next_back().map(|(past, to)| (*past, *to));
                let above = of_use.range(past + 1..).next().map(|(past, to)| (*past, *to));
                let mut near = [free, below, above].into_iter().flatten();
                if near.any(|(past, to)| taken.can_have(past, to)) {
                    of_use.insert(*past, taken.to);
                }
            }
            if of_use.len() == before {
                break;
            }
        }
        self.taken.retain(|past, _| of_use.contains_key(past));
        self.tidy_at = TAKEN + 2 * self.taken.len();
    }

    /// All returns that nobody has.
    pub(super) fn take_back(&mut self) -> impl Iterator<Item = (u64, Returned)> {
        std::mem::take(&mut self.back).into_iter().map(|(past, back)| (past, *back.returned))
    }
}
