//! How many publishes of a channel ended in which way, for those who wait for all of them.
//!
//! Called by [`Confirms`](super::confirm::Confirms) alone. Acks are not counted as they come: they are what is left.

use crate::outcome::ConfirmCounts;

pub(super) struct Tally {
    /// Outcomes since they were told last, but acks.
    pub(super) counts: ConfirmCounts,
    /// How many publishes were answered by then.
    told: u64,
    /// The first unanswered tag when the channel ended.
    ended_at: Option<u64>,
    /// Who waits is to look again once everything below this tag is answered.
    wake_at: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self { counts: ConfirmCounts::default(), told: 0, ended_at: None, wake_at: u64::MAX }
    }
}

impl Tally {
    /// The channel ended with so many publishes unanswered, the first of which is `base`.
    pub(super) fn end(&mut self, base: u64, open: usize) {
        self.ended_at.get_or_insert(base);
        self.counts.unknown += open as u64;
    }

    /// Whether everything below `target` is answered, and what was answered since this was told last; false if
    /// the channel ended before. `answered` are those that have an outcome, `base` the first that has none.
    pub(super) fn poll(
        &mut self,
        target: u64,
        base: u64,
        answered: u64,
    ) -> Option<(bool, ConfirmCounts)> {
        if base < target {
            self.wake_at = self.wake_at.min(target);
            return None;
        }
        if self.ended_at.is_some_and(|at| at < target) {
            return Some((false, self.counts));
        }
        let mut counts = std::mem::take(&mut self.counts);
        counts.acked = answered - self.told - counts.nacked - counts.returned - counts.unknown;
        self.told = answered;
        Some((true, counts))
    }

    /// Whether those who wait are to look again.
    #[inline]
    pub(super) fn wakes_waiters(&mut self, base: u64) -> bool {
        let wakes = base >= self.wake_at;
        if wakes {
            self.wake_at = u64::MAX;
        }
        wakes
    }
}
