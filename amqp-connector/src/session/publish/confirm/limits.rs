//! How much may be unconfirmed, or kept, on one channel, and whether that is used up.

use super::Confirms;

/// How much may be unconfirmed, or kept, on one channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Publishes that are unconfirmed, or confirmed and unawaited.
    pub(crate) count: usize,
    /// Octets of unconfirmed publishes.
    pub(crate) octets: usize,
    /// Octets of messages that are kept.
    pub(crate) retained: usize,
    /// How often a message is published again at most.
    pub(crate) republish: u16,
}

impl Confirms {
    /// Other limits from now on. What is kept once is kept to the end.
    pub(crate) fn set_limits(&mut self, limits: Limits, retains: bool) {
        self.limits = limits;
        self.keep.retains |= retains;
        self.bound();
    }

    /// The limit of publishes has changed: there are none while something has to be published again before.
    pub(super) fn bound(&mut self) {
        self.count_max = if self.is_republishing() { 0 } else { self.limits.count };
    }

    /// How many more publishes there may be: as many as the limit less those before, but none while the octets
    /// that are unconfirmed or kept are over theirs.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        let Limits { octets, retained, .. } = self.limits;
        if self.retained_octets() >= retained.max(1) || self.open_octets >= octets.max(1) {
            return 0;
        }
        self.count_max.saturating_sub(self.held())
    }

    /// What counts in the budget of messages that are kept.
    #[inline]
    pub(super) fn retained_octets(&self) -> usize {
        self.keep.octets() + self.back_octets
    }

    /// Whether there may be no more.
    pub(crate) fn is_full(&self) -> bool {
        self.room() == 0
    }

    /// Why there may be no more, if nothing can ever make room. Whoever holds a confirmation can, and so can whoever takes
    /// a failed message back: there may be a task that is about to.
    pub(crate) fn stuck(&self) -> Option<&'static str> {
        (self.limits.count == 0).then(|| self.why_full())
    }

    /// What is used up where there may be no more.
    pub(crate) fn why_full(&self) -> &'static str {
        let Limits { count, octets, retained, .. } = self.limits;
        if self.is_republishing() {
            "what was lost with the connection is being published again, which comes first"
        } else if self.retained_octets() >= retained.max(1) {
            "the budget of retained octets is used up by messages that are unconfirmed, that came back and are unawaited, or that failed and are not taken back"
        } else if self.open_octets >= octets.max(1) {
            "the limit of unconfirmed octets is reached"
        } else if count == 0 {
            "the limit of unconfirmed publishes is zero"
        } else {
            "the limit of publishes that are unconfirmed, or confirmed and unawaited, is reached"
        }
    }
}
