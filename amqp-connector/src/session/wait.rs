//! A first-come-first-served list of waiting tasks: for room or permission to publish, for an end.
//!
//! The session keeps one list for each thing that can be waited for. A task holds a ticket and gives it up
//! when it stops waiting, so that no list outgrows its tasks. In the lines for publishing only the front may
//! go on, and whoever leaves wakes the next. Plain data: waking is left to the
//! caller's [`Effects`](super::effects::Effects).

use std::collections::VecDeque;
use std::task::Waker;

/// The tickets in line, oldest first.
#[derive(Default)]
pub(crate) struct WaitList {
    next: u64,
    line: VecDeque<(u64, Option<Waker>)>,
}

impl WaitList {
    /// How many tasks wait.
    #[cfg(feature = "testing")]
    pub(crate) fn len(&self) -> usize {
        self.line.len()
    }

    /// Whether `ticket` (or a newcomer without one) is allowed to go before everybody else.
    pub(crate) fn may_pass(&self, ticket: Option<u64>) -> bool {
        match (self.line.front(), ticket) {
            (None, _) => true,
            (Some((front, _)), Some(ticket)) => *front == ticket,
            (Some(_), None) => false,
        }
    }

    /// Joins the line, or renews the waker of a place in it; gives the ticket and the waker it replaced.
    pub(crate) fn wait(&mut self, ticket: Option<u64>, waker: &Waker) -> (u64, Option<Waker>) {
        if let Some(ticket) = ticket
            && let Some((_, slot)) = self.line.iter_mut().find(|(id, _)| *id == ticket)
        {
            let old = match slot {
                Some(old) if old.will_wake(waker) => None,
                _ => slot.replace(waker.clone()),
            };
            return (ticket, old);
        }
        let ticket = self.next;
        self.next += 1;
        self.line.push_back((ticket, Some(waker.clone())));
        (ticket, None)
    }

    /// As [`wait`](Self::wait), keeping the ticket where the caller has it.
    pub(crate) fn stay(&mut self, ticket: &mut Option<u64>, waker: &Waker) -> Option<Waker> {
        let (held, old) = self.wait(*ticket, waker);
        *ticket = Some(held);
        old
    }

    /// Leaves the line; gives the waker it had.
    pub(crate) fn leave(&mut self, ticket: u64) -> Option<Waker> {
        let position = self.line.iter().position(|(id, _)| *id == ticket)?;
        self.line.remove(position).and_then(|(_, waker)| waker)
    }

    /// Takes the waker of the front, which is to be woken because it may now go on.
    pub(crate) fn take_front(&mut self) -> Option<Waker> {
        self.line.front_mut().and_then(|(_, waker)| waker.take())
    }

    /// Takes the waker of every task but leaves it its place.
    pub(crate) fn take_wakers(&mut self) -> impl Iterator<Item = Waker> + '_ {
        self.line.iter_mut().filter_map(|(_, waker)| waker.take())
    }

    /// Takes every waker; the tasks find out by themselves why they were woken, and join again if they
    /// have to.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Waker> + '_ {
        self.line.drain(..).filter_map(|(_, waker)| waker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_front_passes_and_leaving_moves_the_line() {
        let waker = Waker::noop();
        let mut list = WaitList::default();
        assert!(list.may_pass(None));
        let (first, _) = list.wait(None, waker);
        let (second, _) = list.wait(None, waker);
        assert!(!list.may_pass(None) && list.may_pass(Some(first)) && !list.may_pass(Some(second)));
        assert!(list.take_front().is_some() && list.take_front().is_none());
        assert!(list.leave(first).is_none());
        assert!(list.may_pass(Some(second)));
        assert!(list.take_front().is_some());
    }
}
