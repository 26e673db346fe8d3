//! What is told to whoever measures: what was counted since the last time, and what there is now.
//!
//! Taken by the driver in each of its rounds; after its end by whatever operation still changes something. What there is
//! is counted only after something rare has changed it, so that messages pay nothing for it.

use crate::measure::{Batch, Stamp, Standing};
use crate::session::Session;
use crate::session::consume::consumer::Phase;

impl Session {
    /// Tells what time it is to the publish that follows.
    #[inline]
    pub(crate) fn publish_at(&mut self, now: Stamp) {
        self.effects.counts.publish_at(now);
    }

    /// Moves what was counted to `batch`.
    #[inline]
    pub(crate) fn take_counts(&mut self, batch: &mut Batch) {
        if self.effects.counts.is_stale() {
            self.recount();
        }
        self.effects.counts.take(batch);
    }

    /// What was counted since there is no driver any more that would take it.
    #[inline]
    pub(crate) fn take_last_counts(&mut self) -> Option<Batch> {
        (self.driver_gone && self.effects.counts.has_changed()).then(|| {
            let mut batch = Batch::default();
            self.take_counts(&mut batch);
            batch
        })
    }

    #[cold]
    fn recount(&mut self) {
        let mut standing = Standing {
            open: self.effects.counts.is_live(),
            blocked: self.is_blocked(),
            ..Standing::default()
        };
        for channel in self.channels.iter_mut().filter(|it| !it.own && it.is_live()) {
            standing.channels += usize::from(channel.restoring().is_none());
            let active = channel.consumers.iter().filter(|it| it.phase == Phase::Active);
            standing.consumers += active.filter(|it| it.end.is_none()).count();
        }
        self.effects.counts.recount(standing);
    }
}
