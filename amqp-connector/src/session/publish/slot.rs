//! One publish in the ring of a channel in confirm mode: what is known of its outcome, and who waits for it; and the
//! outcomes that have left the ring.
//!
//! Plain state, changed by [`Confirms`](super::confirm::Confirms) alone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use crate::error::CloseReason;
use crate::measure::{Answer, Stamp};
use crate::outcome::{Outcome, Returned, UnknownReason};
use crate::session::consume::backlog::content_cost;
use crate::session::effects::Effects;
use crate::session::publish::keep::Verdict;

/// Holes in [`Aside`] that do not matter.
const HOLES: usize = 64;

#[derive(Default)]
pub(super) struct Slot {
    pub(super) state: State,
    pub(super) waker: Option<Waker>,
    /// Nobody waits for it.
    pub(super) detached: bool,
    /// How often it was published again.
    pub(super) republished: u16,
    /// What it counts in the limit of octets.
    pub(super) octets: u32,
    /// When it was published for the first time.
    pub(super) published: Stamp,
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
    matches!(outcome.plain(), Outcome::Nacked | Outcome::Unknown(_))
}

/// What the message of a return costs in memory, about, as long as nobody has taken it.
pub(super) fn return_cost(returned: &Returned) -> usize {
    size_of::<Returned>() + content_cost(&returned.properties, &returned.body)
}

/// The same, of an outcome.
#[inline]
pub(super) fn outcome_cost(outcome: &Outcome) -> usize {
    match outcome.plain() {
        Outcome::Returned(returned) => return_cost(returned),
        _ => 0,
    }
}

/// Lets go of messages that came back and whose outcome nobody will ask for; tells what they cost.
#[inline(never)]
pub(super) fn forget_returns<'a>(slots: impl Iterator<Item = &'a mut Slot>) -> usize {
    let forget = |slot: &mut Slot| match &slot.state {
        State::Done(outcome) if matches!(outcome.plain(), Outcome::Returned(_)) => {
            let octets = outcome_cost(outcome);
            slot.state = State::Claimed;
            octets
        }
        _ => 0,
    };
    slots.filter(|slot| slot.detached).map(forget).sum()
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
    #[inline(always)]
    pub(super) fn resolve(&mut self, positive: bool, verdict: Verdict, effects: &mut Effects) {
        let (outcome, answer) = match verdict {
            _ if !positive => (Outcome::Nacked, Answer::Nacked),
            Verdict::Plain => (Outcome::Acked, Answer::Acked),
            Verdict::Returned(returned) => (Outcome::Returned(returned), Answer::Returned),
            Verdict::Doubt => (Outcome::Unknown(UnknownReason::UnmatchedReturn), Answer::Doubt),
        };
        effects.counts.answered(self.published, answer);
        self.state = State::Done(self.marked(outcome));
        effects.wake(self.waker.take());
    }

    /// The outcome, which tells too if the message was published again.
    #[inline]
    fn marked(&self, outcome: Outcome) -> Outcome {
        match self.republished {
            0 => outcome,
            times => Outcome::Republished { times, outcome: Arc::new(outcome) },
        }
    }

    /// True if it was open.
    pub(super) fn end(&mut self, reason: &Arc<CloseReason>) -> bool {
        let open = self.state.is_open();
        if open {
            let unknown = Outcome::Unknown(UnknownReason::Closed(reason.clone()));
            self.state = State::Done(self.marked(unknown));
        }
        open
    }
}

/// Outcomes that have left the ring and that their owners have not asked for yet. In tag order, as they leave the ring
/// only from its front, so that none is searched for long; the few for which that does not hold are in a map.
#[derive(Default)]
pub(super) struct Aside {
    outcomes: VecDeque<(u64, Option<Outcome>)>,
    /// Those of them that are there.
    unclaimed: usize,
    /// Outcomes that came after those of later publishes had moved here.
    early: BTreeMap<u64, Outcome>,
}

impl Aside {
    #[cfg(test)]
    #[allow(dead_code, reason = "not every specification has confirms")]
    pub(super) fn len(&self) -> usize {
        self.outcomes.len() + self.early.len()
    }

    /// Puts the outcome of `tag` behind those of all earlier ones.
    #[inline]
    pub(super) fn add(&mut self, tag: u64, outcome: Outcome) {
        self.outcomes.push_back((tag, Some(outcome)));
        self.unclaimed += 1;
    }

    /// The same, where later ones may be there.
    pub(super) fn add_early(&mut self, tag: u64, outcome: Outcome) {
        self.early.insert(tag, outcome);
    }

    /// The outcome of `tag`, once.
    #[inline]
    pub(super) fn claim(&mut self, tag: u64) -> Option<Outcome> {
        // Mostly they are claimed in order.
        let outcome = match self.outcomes.front() {
            Some((front, _)) if *front == tag => self.outcomes.pop_front()?.1?,
            _ => match self.claim_behind(tag) {
                Some(outcome) => outcome,
                None => return self.early.remove(&tag),
            },
        };
        self.unclaimed -= 1;
        while matches!(self.outcomes.front(), Some((_, None))) {
            self.outcomes.pop_front();
        }
        // Behind one that is kept for ever they must not add up.
        if self.outcomes.len() > HOLES && self.outcomes.len() > 2 * self.unclaimed {
            self.outcomes.retain(|(_, outcome)| outcome.is_some());
        }
        Some(outcome)
    }

    fn claim_behind(&mut self, tag: u64) -> Option<Outcome> {
        let at = self.outcomes.binary_search_by_key(&tag, |(tag, _)| *tag).ok()?;
        self.outcomes.get_mut(at).and_then(|(_, outcome)| outcome.take())
    }
}
