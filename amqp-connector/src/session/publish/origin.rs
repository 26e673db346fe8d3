//! Where publishes went and which line of the program made them, so that the end of a channel can name them.
//!
//! One entry for each run of publishes that are equal in this: a program that publishes to one address in a loop has one.
//! Entries are in tag order. Called by [`Confirms`](super::confirm::Confirms) alone, on the path of every publish.

use std::collections::VecDeque;
use std::panic::Location;

use amqp_types::ShortStr;
use amqp_types::protocol::basic;

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

    /// Publishes below `base` are answered.
    #[inline]
    pub(super) fn forget_below(&mut self, base: u64) {
        while self.runs.get(1).is_some_and(|next| next.first <= base) {
            self.runs.pop_front();
        }
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
