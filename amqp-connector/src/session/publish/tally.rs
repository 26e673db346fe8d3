//! How many publishes of a channel ended in which way, for those who wait for all of them.
//!
//! Called by [`Confirms`](super::confirm::Confirms) alone. Acks are not counted as they come: they are what is left.

use crate::outcome::ConfirmCounts;
use crate::session::publish::keep::Verdict;

/// One wait for all publishes of a channel: filled in by its first look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Awaited {
    /// The first tag that it does not wait for, from when it began; zero before.
    target: u64,
    /// What had been told by then.
    since: ConfirmCounts,
}

pub(super) struct Tally {
    /// Outcomes so far, but acks.
    pub(super) counts: ConfirmCounts,
    /// Outcomes that the last wait to end had counted.
    told: ConfirmCounts,
    /// The first unanswered tag when the channel ended.
    ended_at: Option<u64>,
    /// Who waits is to look again once everything below this tag is answered.
    wake_at: u64,
}

impl Default for Tally {
    fn default() -> Self {
        let (counts, told) = Default::default();
        Self { counts, told, ended_at: None, wake_at: u64::MAX }
    }
}

impl Tally {
    /// The channel ended with so many publishes unanswered, the first of which is `base`.
    pub(super) fn end(&mut self, base: u64, open: usize) {
        self.ended_at.get_or_insert(base);
        self.break_off(open);
    }

    /// The channel goes on after its end.
    pub(super) fn revive(&mut self) {
        self.ended_at = None;
    }

    /// So many publishes will never be answered, but the channel goes on.
    pub(super) fn break_off(&mut self, open: usize) {
        self.counts.unknown += open as u64;
    }

    /// A publish was answered.
    #[inline]
    pub(super) fn count(&mut self, positive: bool, verdict: &Verdict) {
        match verdict {
            _ if !positive => self.counts.nacked += 1,
            Verdict::Plain => {}
            Verdict::Returned(_) => self.counts.returned += 1,
            Verdict::Doubt => self.counts.unknown += 1,
        }
    }

    /// Whether everything below the wait's target, at first `next`, is answered, and what was since the last wait that had
    /// ended when it began: waits side by side count the same outcomes. False if the channel ended before.
    /// `answered` are those that have an outcome, `base` the first that has none.
    pub(super) fn poll(
        &mut self,
        wait: &mut Awaited,
        next: u64,
        base: u64,
        answered: u64,
    ) -> Option<(bool, ConfirmCounts)> {
        if wait.target == 0 {
            *wait = Awaited { target: next, since: self.told };
        }
        if base < wait.target {
            self.wake_at = self.wake_at.min(wait.target);
            return None;
        }
        let ConfirmCounts { nacked, returned, unknown, .. } = self.counts;
        let acked = answered.saturating_sub(nacked + returned + unknown);
        let all = ConfirmCounts { acked, nacked, returned, unknown };
        let counts = all.since(&wait.since);
        if self.ended_at.is_some_and(|at| at < wait.target) {
            return Some((false, counts));
        }
        self.told = all;
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
