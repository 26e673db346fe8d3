//! Of many places in a row, each of which may have a span: whose reaches lowest, or highest, within a part of the row.
//!
//! A tree of the best of two, of two of these, and so on, so that a question costs as many looks as the row's length has binary digits.
//! Plain state, changed by [`Class`](super::class::Class) alone.

use std::cmp::Reverse;
use std::ops::Range;

use super::group::Work;

/// What lies between two returns, these included: by the tags that their ranges begin behind.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) last: u64,
}

/// The spans of places 0 to `room`, as far as they have one.
pub(super) struct Spans {
    first: Greatest<(Reverse<u64>, usize)>,
    last: Greatest<(u64, usize)>,
    room: usize,
}

impl Spans {
    /// So many places at least, of which these have a span.
    pub(super) fn new(places: usize, all: impl Iterator<Item = (usize, Span)> + Clone) -> Self {
        let room = places.next_power_of_two();
        let first = all.clone().map(|(at, span)| (at, (Reverse(span.first), at)));
        let (first, last) = (first, all.map(|(at, span)| (at, (span.last, at))));
        Self { first: Greatest::new(room, first), last: Greatest::new(room, last), room }
    }

    /// Whether there is room for so many.
    pub(super) fn is_for(&self, places: usize) -> bool {
        places <= self.room
    }

    pub(super) fn set(&mut self, at: usize, span: Option<Span>) {
        self.first.set(at, span.map(|span| (Reverse(span.first), at)));
        self.last.set(at, span.map(|span| (span.last, at)));
    }

    /// The place whose span reaches lowest, and how far.
    pub(super) fn lowest(&self, within: Range<usize>, work: &mut Work) -> Option<(u64, usize)> {
        self.first.within(within, work).map(|(Reverse(first), at)| (first, at))
    }

    /// The place whose span reaches highest, and how far.
    pub(super) fn highest(&self, within: Range<usize>, work: &mut Work) -> Option<(u64, usize)> {
        self.last.within(within, work)
    }
}

/// Node *n* is the greater of 2*n* and 2*n* + 1; the leaves are the upper half.
struct Greatest<T>(Vec<Option<T>>);

impl<T: Copy + Ord> Greatest<T> {
    fn new(room: usize, values: impl Iterator<Item = (usize, T)>) -> Self {
        let mut tree = Self(vec![None; 2 * room]);
        for (at, value) in values {
            if let Some(leaf) = tree.0.get_mut(room + at) {
                *leaf = Some(value);
            }
        }
        for node in (1..room).rev() {
            tree.update(node);
        }
        tree
    }

    fn update(&mut self, node: usize) {
        let greater = self.at(2 * node).max(self.at(2 * node + 1));
        if let Some(node) = self.0.get_mut(node) {
            *node = greater;
        }
    }

    fn at(&self, node: usize) -> Option<T> {
        self.0.get(node).copied().flatten()
    }

    fn set(&mut self, at: usize, value: Option<T>) {
        let mut node = self.0.len() / 2 + at;
        let Some(leaf) = self.0.get_mut(node) else { return };
        *leaf = value;
        while node > 1 {
            node /= 2;
            self.update(node);
        }
    }

    fn within(&self, places: Range<usize>, work: &mut Work) -> Option<T> {
        let leaves = self.0.len() / 2;
        let (mut from, mut to) = (leaves + places.start, leaves + places.end.min(leaves));
        let mut greatest = None;
        while from < to {
            work.count();
            if from % 2 == 1 {
                greatest = greatest.max(self.at(from));
                from += 1;
            }
            if to % 2 == 1 {
                to -= 1;
                greatest = greatest.max(self.at(to));
            }
            (from, to) = (from / 2, to / 2);
        }
        greatest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;

    #[test]
    fn the_tree_tells_what_a_look_at_each_place_would() {
        let mut rng = Rng::new(7);
        for places in [1, 2, 3, 17, 64] {
            let spanned =
                |rng: &mut Rng| Span { first: rng.below(50) as u64, last: rng.below(50) as u64 };
            let begin = spanned(&mut rng);
            let mut spans = Spans::new(places, (0..places).map(|at| (at, begin)));
            let mut model = vec![Some((begin.first, begin.last)); places];
            for _ in 0..300 {
                let at = rng.below(places);
                let span = (!rng.one_in(4)).then(|| spanned(&mut rng));
                spans.set(at, span);
                model[at] = span.map(|span| (span.first, span.last));
                let (from, to) = (rng.below(places + 1), rng.below(places + 1));
                let there = || model.iter().take(to).skip(from).flatten();
                let lowest = spans.lowest(from..to, &mut Work::default());
                assert_eq!(lowest.map(|it| it.0), there().map(|it| it.0).min());
                let highest = spans.highest(from..to, &mut Work::default());
                assert_eq!(highest.map(|it| it.0), there().map(|it| it.1).max());
                if let Some((value, at)) = highest {
                    assert_eq!(model[at].map(|it| it.1), Some(value));
                }
            }
        }
    }
}
