//! One publish in the ring of a channel in confirm mode: what is known of its outcome, and who waits for it.
//!
//! Plain state, changed by [`Confirms`](super::confirm::Confirms) alone.

use std::sync::Arc;
use std::task::Waker;

use crate::error::CloseReason;
use crate::outcome::{Outcome, Returned, UnknownReason};
use crate::session::consume::backlog::content_cost;
use crate::session::effects::Effects;
use crate::session::publish::keep::Verdict;

#[derive(Default)]
pub(super) struct Slot {
    pub(super) state: State,
    pub(super) waker: Option<Waker>,
    /// Nobody waits for it.
    pub(super) detached: bool,
    /// What it counts in the limit of octets.
    pub(super) octets: u32,
}

#[derive(Default)]
pub(super) enum State {
    #[default]
    Pending,
    Done(Outcome),
    Claimed,
}

/// Whether the message of such an outcome is handed back where messages are kept.
pub(super) fn is_failure(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Nacked | Outcome::Unknown(_))
}

/// What the message of a return costs in memory, about, as long as nobody has taken it.
pub(super) fn return_cost(returned: &Returned) -> usize {
    size_of::<Returned>() + content_cost(&returned.properties, &returned.body)
}

/// The same, of an outcome.
#[inline]
pub(super) fn outcome_cost(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Returned(returned) => return_cost(returned),
        _ => 0,
    }
}

impl State {
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Pending)
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(self, Self::Done(outcome) if is_failure(outcome))
    }
}

impl Slot {
    /// The broker has answered an open one.
    #[inline]
    pub(super) fn resolve(&mut self, positive: bool, verdict: Verdict, effects: &mut Effects) {
        let outcome = match verdict {
            _ if !positive => Outcome::Nacked,
            Verdict::Plain => Outcome::Acked,
            Verdict::Returned(returned) => Outcome::Returned(returned),
            Verdict::Doubt => Outcome::Unknown(UnknownReason::UnmatchedReturn),
        };
        self.state = State::Done(outcome);
        effects.wake(self.waker.take());
    }

    /// True if it was open.
    pub(super) fn end(&mut self, reason: &Arc<CloseReason>) -> bool {
        let open = self.state.is_open();
        if open {
            let unknown = Outcome::Unknown(UnknownReason::Closed(reason.clone()));
            self.state = State::Done(unknown);
        }
        open
    }
}
