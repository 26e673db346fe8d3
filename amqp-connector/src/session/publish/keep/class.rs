//! Messages that are equal in everything, and which of them came back.
//!
//! A return may be of each that was unanswered when it came, but for those before a certain one: that is its range. Which
//! one it is nobody can know; those that are acked first get what came back, so that as many are told to have come back as did.
//! For that a return may pass from one to another of those that have theirs already.
//!
//! Both ends of the ranges grow together, so that the returns which one message may have stand next to each other: they are its
//! span. What can be reached by passing on is therefore one stretch of the row of returns, which grows by the spans of those who
//! hold what is in it, until it has a return that nobody holds. The shortest way there is taken: so the steps of all ways together
//! are hardly more than the messages, whatever a peer sends. A stretch that does not grow and has none is full for ever and is forgotten.
//! Called by [`Index`](super::index::Index) alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::group::Work;
use super::index::Verdict;
use super::prints::Prints;
use super::spans::{Span, Spans};
use crate::outcome::Returned;

/// Returns in the row that do not matter.
const NEEDLESS: usize = 64;
/// How often the row is gone through, both ways, for what does not matter.
const SWEEPS: usize = 16;

/// A return that nobody has.
struct Back {
    /// The last tag of its range.
    to: u64,
    returned: Box<Returned>,
}

/// Unanswered messages that are equal in everything. Returns are known by the tags that their ranges begin behind, which are
/// never the same for two.
pub(super) struct Class {
    pub(super) prints: Prints,
    members: BTreeSet<u64>,
    /// The ranges of returns in a row: all that are held or free, and some that are neither.
    row: Vec<(u64, u64)>,
    /// Each has one of the members in its range, or one who holds another can have it.
    back: BTreeMap<u64, Back>,
    /// Those that were given away and may pass on, each with the span of who has it. Later returns are none of the holder's.
    taken: BTreeMap<u64, Span>,
    /// The spans of those, once they are asked for.
    spans: Option<Spans>,
    /// So long a row is worth a look for what does not matter.
    tidy_at: usize,
    /// Ranges of returns that went to one in doubt: another of these may have come back instead, and be what the doubt was about.
    moved: BTreeMap<u64, u64>,
}

/// A step from one return to others that its holder can have, and the one before it.
struct Step {
    at: usize,
    before: Option<usize>,
}

/// What a search for a return has come to: one that nobody has and those on the way to it, the last one first; or all that
/// can be reached.
enum Found {
    Way(u64, Vec<usize>),
    Full(Range<usize>),
}

impl Class {
    pub(super) fn new(prints: Prints) -> Self {
        let (members, row, back, taken, moved) = Default::default();
        Self { prints, members, row, back, taken, spans: None, tidy_at: NEEDLESS, moved }
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
    pub(super) fn give(&mut self, past: u64, to: u64, returned: Box<Returned>, work: &mut Work) {
        if self.row.len() >= self.tidy_at {
            self.tidy(work);
        }
        self.row.push((past, to));
        self.back.insert(past, Back { to, returned });
        self.spans.take_if(|spans| !spans.is_for(self.row.len()));
    }

    /// One of them is acked, about which there may be a doubt of another kind.
    pub(super) fn verdict(&mut self, tag: u64, doubt: bool, work: &mut Work) -> Verdict {
        // The one that the fewest others can have.
        let past = self.back.range(..tag).next_back();
        let past = past.filter(|(_, back)| back.to >= tag).map(|(past, _)| *past);
        if let Some((past, Back { to, returned })) =
            past.and_then(|past| Some((past, self.back.remove(&past)?)))
        {
            match doubt {
                true => drop(self.moved.insert(past, to)),
                false => self.take(past, tag),
            }
            return Verdict::Returned(returned);
        }
        if doubt {
            return Verdict::Doubt;
        }
        if let Some(returned) = self.exchange(tag, work) {
            return Verdict::Returned(returned);
        }
        let moved = self.moved.range(..tag).next_back();
        let moved = moved.filter(|(_, to)| **to >= tag).map(|(past, _)| *past);
        match moved.and_then(|past| self.moved.remove(&past)) {
            Some(_) => Verdict::Doubt,
            None => Verdict::Plain,
        }
    }

    /// The places in the row of those that `tag` can have.
    fn places(&self, tag: u64) -> Range<usize> {
        let first = self.row.partition_point(|(_, to)| *to < tag);
        first..self.row.partition_point(|(past, _)| *past < tag).max(first)
    }

    fn place(&self, past: u64) -> usize {
        self.row.partition_point(|(other, _)| *other < past)
    }

    /// The first place behind this return, which may have left the row.
    fn end(&self, past: u64) -> usize {
        self.row.partition_point(|(other, _)| *other <= past)
    }

    fn past(&self, at: usize) -> Option<u64> {
        self.row.get(at).map(|(past, _)| *past)
    }

    /// `tag` has this return from now on.
    fn take(&mut self, past: u64, tag: u64) {
        let places = self.places(tag);
        let ends =
            (self.past(places.start), places.end.checked_sub(1).and_then(|it| self.past(it)));
        let span = match ends {
            // Whoever can have one only never passes it on.
            (Some(first), Some(last)) if first < last => Some(Span { first, last }),
            _ => None,
        };
        self.hold(past, span);
    }

    fn hold(&mut self, past: u64, span: Option<Span>) {
        match span {
            Some(span) => drop(self.taken.insert(past, span)),
            None => drop(self.taken.remove(&past)),
        }
        let at = self.place(past);
        if let Some(spans) = &mut self.spans {
            spans.set(at, span);
        }
    }

    /// Gives `tag` a return that another one has, where that can have another, and so on to one that nobody has.
    fn exchange(&mut self, tag: u64, work: &mut Work) -> Option<Box<Returned>> {
        if self.back.is_empty() || self.taken.is_empty() {
            return None;
        }
        self.need_spans(work);
        match self.way(self.places(tag), work)? {
            Found::Way(free, way) => {
                let Back { returned, .. } = self.back.remove(&free)?;
                let mut place = free;
                for at in way {
                    let past = self.past(at)?;
                    let span = self.taken.remove(&past);
                    self.hold(place, span);
                    place = past;
                }
                self.take(place, tag);
                Some(returned)
            }
            Found::Full(places) => {
                self.forget(places, work);
                None
            }
        }
    }

    /// The shortest way from the places that one can have to a return that nobody has.
    fn way(&self, own: Range<usize>, work: &mut Work) -> Option<Found> {
        let spans = self.spans.as_ref()?;
        let mut all = own.clone();
        let mut steps: Vec<Step> = Vec::new();
        // What was reached last, on both sides, and by which step.
        let mut reached = [(own, None), (0..0, None)];
        loop {
            for (places, step) in &reached {
                if let Some(free) = self.free(places) {
                    let of = |step: &usize| steps.get(*step).and_then(|step| step.before);
                    let way = std::iter::successors(*step, of);
                    let way = way.filter_map(|step| Some(steps.get(step)?.at)).collect();
                    return Some(Found::Way(free, way));
                }
            }
            let parts = || reached.iter().map(|(places, step)| (places.clone(), *step));
            let lowest = parts().filter_map(|(it, step)| Some((spans.lowest(it, work)?, step)));
            let lowest = lowest.min_by_key(|((first, _), _)| *first);
            let highest = parts().filter_map(|(it, step)| Some((spans.highest(it, work)?, step)));
            let highest = highest.max_by_key(|((last, _), _)| *last);
            let first = lowest.map_or(all.start, |((first, _), _)| self.place(first));
            let end = highest.map_or(all.end, |((last, _), _)| self.end(last));
            let grown = first.min(all.start)..end.max(all.end);
            if grown == all {
                return Some(Found::Full(all));
            }
            let mut by = |part: Range<usize>, best: Option<((u64, usize), Option<usize>)>| {
                let step = best.filter(|_| !part.is_empty()).map(|((_, at), before)| {
                    steps.push(Step { at, before });
                    steps.len() - 1
                });
                (part, step)
            };
            reached = [by(grown.start..all.start, lowest), by(all.end..grown.end, highest)];
            all = grown;
        }
    }

    /// A return among these that nobody has.
    fn free(&self, places: &Range<usize>) -> Option<u64> {
        let (first, last) = self.ends(places)?;
        self.back.range(first..=last).next().map(|(past, _)| *past)
    }

    fn ends(&self, places: &Range<usize>) -> Option<(u64, u64)> {
        let places = self.row.get(places.clone())?;
        Some((places.first()?.0, places.last()?.0))
    }

    fn need_spans(&mut self, work: &mut Work) {
        if self.spans.is_none() {
            self.taken.iter().for_each(|_| work.count());
            let all = self.taken.iter().map(|(past, span)| (self.place(*past), *span));
            self.spans = Some(Spans::new(self.row.len(), all));
        }
    }

    /// Those who hold what is at these places can have nothing else.
    fn forget(&mut self, places: Range<usize>, work: &mut Work) {
        let Some((first, last)) = self.ends(&places) else { return };
        let mut full = self.taken.split_off(&first);
        self.taken.append(&mut full.split_off(&(last + 1)));
        let many = full.len() > self.row.len() / 8;
        self.spans.take_if(|_| many);
        for past in full.into_keys() {
            work.count();
            self.hold(past, None);
        }
    }

    /// One of them is answered. Returns that can be of none that is left are no publish's outcome; where they may pass on
    /// in the place of another that can, they are told once none is left. True if none is left.
    pub(super) fn leave(&mut self, tag: u64, strays: &mut Vec<Returned>, work: &mut Work) -> bool {
        self.members.remove(&tag);
        if self.members.is_empty() {
            strays.extend(self.take_back().map(|(_, returned)| returned));
        }
        if self.back.is_empty() {
            self.row.clear();
            self.taken.clear();
            self.spans = None;
            self.tidy_at = NEEDLESS;
            return self.members.is_empty();
        }
        let before = self.members.range(..tag).next_back().copied().unwrap_or_default();
        let behind = self.members.range(tag..).next().copied().unwrap_or(u64::MAX);
        // It was the only one in their ranges.
        let from = self.past(self.places(tag).start).unwrap_or(tag).max(before);
        let alone = self.back.range(from.min(tag)..tag).take_while(|(_, back)| back.to < behind);
        let alone: Vec<u64> = alone.map(|(past, _)| *past).collect();
        for past in alone {
            if !self.passes_on(past, work)
                && let Some(back) = self.back.remove(&past)
            {
                strays.push(*back.returned);
            }
        }
        false
    }

    /// Whether one who holds another return can have this one.
    fn passes_on(&mut self, past: u64, work: &mut Work) -> bool {
        if self.taken.is_empty() {
            return false;
        }
        self.need_spans(work);
        let Some(spans) = &self.spans else { return false };
        let at = self.place(past);
        spans.highest(0..at, work).is_some_and(|(last, _)| last >= past)
            || spans.lowest(at + 1..self.row.len(), work).is_some_and(|(first, _)| first <= past)
    }

    /// Forgets what was given away and cannot pass on to any that nobody has, and shortens the row.
    fn tidy(&mut self, work: &mut Work) {
        if !self.taken.is_empty() {
            self.forget_needless(work);
        }
        self.row.retain(|(past, _)| self.back.contains_key(past) || self.taken.contains_key(past));
        self.spans = None;
        self.tidy_at = NEEDLESS + 2 * self.row.len();
    }

    /// Forgets who can have no return that is free, nor one whose holder can have such a one, and so on. In few sweeps, or not at all.
    fn forget_needless(&mut self, work: &mut Work) {
        let taken: Vec<(u64, Span)> = self.taken.iter().map(|(past, it)| (*past, *it)).collect();
        let mut of_use = vec![false; taken.len()];
        for _ in 0..SWEEPS {
            let mut found = false;
            let mut find = |of_use: &mut bool, reaches: bool| {
                work.count();
                found |= reaches && !*of_use;
                *of_use |= reaches;
                *of_use
            };
            let (mut free, mut below) = (self.back.keys().copied().peekable(), None);
            for ((past, span), of_use) in taken.iter().zip(&mut of_use) {
                while let Some(free) = free.next_if(|free| free < past) {
                    below = Some(free);
                }
                if find(of_use, below.is_some_and(|below| below >= span.first)) {
                    below = Some(*past);
                }
            }
            let (mut free, mut above) = (self.back.keys().copied().rev().peekable(), None);
            for ((past, span), of_use) in taken.iter().zip(&mut of_use).rev() {
                while let Some(free) = free.next_if(|free| free > past) {
                    above = Some(free);
                }
                if find(of_use, above.is_some_and(|above| above <= span.last)) {
                    above = Some(*past);
                }
            }
            if !found {
                let mut of_use = of_use.into_iter();
                self.taken.retain(|_, _| of_use.next().unwrap_or(true));
                return;
            }
        }
    }

    /// All returns that nobody has.
    pub(super) fn take_back(&mut self) -> impl Iterator<Item = (u64, Returned)> + use<> {
        std::mem::take(&mut self.back).into_iter().map(|(past, back)| (past, *back.returned))
    }
}
