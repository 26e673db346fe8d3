//! Where publishes went and which line of the program made them, so that the end of a channel can name them.
//!
//! One entry for each run of publishes that are equal in this: a program that publishes to one address in a loop has one.
//! Entries are in tag order. Called by [`Confirms`](super::confirm::Confirms) alone, on the path of every publish.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::Location;

use amqp_types::ShortStr;
use amqp_types::protocol::basic;

/// Runs without an open publish that do not matter.
const ENDED: usize = 256;

/// What a run of publishes has in common.
pub(super) struct Origin {
    first: u64,
    pub(super) place: &'static Location<'static>,
    pub(super) exchange: ShortStr,
    pub(super) routing_key: ShortStr,
}

/// The runs of one channel's unconfirmed publishes.
#[derive(Default)]
pub(super) struct Origins {
    runs: VecDeque<Origin>,
    /// So many runs are worth a look for those that have ended.
    tidy_at: usize,
}

impl Origins {
    /// Notes a publish that was encoded. Its address is taken if it begins a run.
    #[inline]
    pub(super) fn note(
        &mut self,
        tag: u64,
        publish: &mut basic::Publish,
        place: &'static Location<'static>,
    ) {
        let goes_on = self.runs.back().is_some_and(|run| {
            std::ptr::eq(run.place, place)
                && run.routing_key == publish.routing_key
                && run.exchange == publish.exchange
        });
        if !goes_on {
            self.runs.push_back(Origin {
                first: tag,
                place,
                exchange: std::mem::take(&mut publish.exchange),
                routing_key: std::mem::take(&mut publish.routing_key),
            });
        }
    }

    /// As [`note`](Self::note), of a message that is kept.
    pub(super) fn note_kept(
        &mut self,
        tag: u64,
        publish: &basic::Publish,
        place: &'static Location<'static>,
    ) {
        let mut address = basic::Publish {
            exchange: publish.exchange.clone(),
            routing_key: publish.routing_key.clone(),
            ..Default::default()
        };
        self.note(tag, &mut address, place);
    }

    #[cfg(test)]
    #[allow(dead_code, reason = "not every specification has confirms")]
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Publishes below `base` are answered.
    #[inline]
    pub(super) fn forget_below(&mut self, base: u64) {
        while self.runs.get(1).is_some_and(|next| next.first <= base) {
            self.runs.pop_front();
        }
    }

    /// Of those below `base` only runs are kept in which something is open. Now and then.
    pub(super) fn forget_between(&mut self, base: u64, is_open: impl Fn(Range<u64>) -> bool) {
        if self.runs.len() < self.tidy_at.max(ENDED) {
            return;
        }
        let firsts = self.runs.iter().map(|run| run.first).skip(1).chain([u64::MAX]);
        let mut ends = firsts.collect::<Vec<_>>().into_iter();
        self.runs.retain(|run| ends.next().is_none_or(|end| end > base || is_open(run.first..end)));
    }

    /// Everything is answered; a burst's memory is given back.
    pub(super) fn shrink(&mut self) {
        self.runs.shrink_to(64);
    }

    /// Where `tag` came from.
    pub(super) fn of(&self, tag: u64) -> Option<&Origin> {
        let after = self.runs.partition_point(|run| run.first <= tag);
        self.runs.get(after.checked_sub(1)?)
    }
}
