//! The line of publishes that wait for room: first come, first admitted, as many at once as there is room for.
//!
//! Whoever is admitted has its room kept until it has gone on or given up, so that a newcomer cannot take it;
//! but a newcomer need not wait for it either. Were each to wait till those before it had gone on, many
//! publishers in tight loops would hand each other one message at a time for ever. Plain data: waking is left
//! to the caller's [`Effects`].

use std::collections::VecDeque;
use std::task::Waker;

use crate::session::Caller;
use crate::session::effects::Effects;

struct Place {
    ticket: u64,
    size: usize,
    waker: Option<Waker>,
}

/// The tickets in line, oldest first.
#[derive(Default)]
pub(crate) struct Admission {
    next: u64,
    line: VecDeque<Place>,
    /// Tickets below this one are admitted.
    admitted: u64,
    /// The sizes of those, together.
    reserved: usize,
}

impl Admission {
    /// How many tasks wait.
    #[cfg(feature = "testing")]
    pub(crate) fn len(&self) -> usize {
        self.line.len()
    }

    /// Whether nobody waits, admitted or not.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// What is kept for those who are admitted and have not gone on yet.
    #[inline]
    pub(crate) fn reserved(&self) -> usize {
        self.reserved
    }

    /// Whether `ticket` was admitted; for a newcomer without one, whether nobody waits before it.
    #[inline]
    pub(crate) fn admits(&self, ticket: Option<u64>) -> bool {
        match ticket {
            Some(ticket) => ticket < self.admitted,
            None => self.line.back().is_none_or(|last| last.ticket < self.admitted),
        }
    }

    /// Joins the line, or renews the waker of a place in it; gives the ticket and the waker it replaced.
    pub(crate) fn wait(
        &mut self,
        ticket: Option<u64>,
        size: usize,
        waker: &dyn Caller,
    ) -> (u64, Option<Waker>) {
        if let Some(ticket) = ticket
            && let Some(place) = self.position(ticket).and_then(|at| self.line.get_mut(at))
        {
            let old = match &place.waker {
                Some(old) if waker.is_woken_by(old) => None,
                _ => waker.waker().and_then(|new| place.waker.replace(new)),
            };
            return (ticket, old);
        }
        let ticket = self.next;
        self.next += 1;
        self.line.push_back(Place { ticket, size, waker: waker.waker() });
        (ticket, None)
    }

    /// Leaves the line; gives the waker it had.
    pub(crate) fn leave(&mut self, ticket: u64) -> Option<Waker> {
        let place = self.position(ticket).and_then(|at| self.line.remove(at))?;
        if ticket < self.admitted {
            self.reserved -= place.size;
        }
        place.waker
    }

    /// Admits, in order, those who fit into `room`, which does not count what is reserved. With `alone` the
    /// first one is admitted whatever its size.
    pub(crate) fn admit(&mut self, mut room: usize, mut alone: bool, effects: &mut Effects) {
        let from = self.line.partition_point(|place| place.ticket < self.admitted);
        for place in self.line.iter_mut().skip(from) {
            if place.size > room && !std::mem::take(&mut alone) {
                break;
            }
            alone = false;
            room = room.saturating_sub(place.size);
            self.reserved += place.size;
            self.admitted = place.ticket + 1;
            effects.wake(place.waker.take());
        }
    }

    /// There is no room after all: everybody waits again.
    pub(crate) fn revoke(&mut self) {
        self.reserved = 0;
        self.admitted = self.line.front().map_or(self.admitted, |first| first.ticket);
    }

    /// Takes the waker of every task but leaves it its place.
    pub(crate) fn take_wakers(&mut self) -> impl Iterator<Item = Waker> + '_ {
        self.line.iter_mut().filter_map(|place| place.waker.take())
    }

    /// Takes every waker; the tasks find out by themselves why they were woken.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Waker> + '_ {
        self.reserved = 0;
        self.line.drain(..).filter_map(|place| place.waker)
    }

    fn position(&self, ticket: u64) -> Option<usize> {
        self.line.binary_search_by_key(&ticket, |place| place.ticket).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sizes: &[usize]) -> (Admission, Effects) {
        let mut line = Admission::default();
        for size in sizes {
            line.wait(None, *size, Waker::noop());
        }
        (line, Effects::default())
    }

    #[test]
    fn they_are_admitted_in_order_as_far_as_there_is_room() {
        let (mut line, mut effects) = line(&[5, 5, 5]);
        assert!(!line.admits(None) && !line.admits(Some(0)));
        line.admit(11, false, &mut effects);
        assert!(line.admits(Some(0)) && line.admits(Some(1)) && !line.admits(Some(2)));
        assert_eq!(line.reserved(), 10);
        line.admit(1, false, &mut effects);
        assert!(!line.admits(Some(2)));
        assert!(line.leave(1).is_none(), "it was woken");
        assert_eq!(line.reserved(), 5);
        line.admit(5, false, &mut effects);
        assert!(
            line.admits(Some(2)) && line.admits(None),
            "nobody waits, though two have not gone on"
        );
    }

    #[test]
    fn a_large_one_is_not_overtaken_and_goes_alone() {
        let (mut line, mut effects) = line(&[100, 1]);
        line.admit(50, false, &mut effects);
        assert!(!line.admits(Some(0)) && !line.admits(Some(1)));
        line.admit(50, true, &mut effects);
        assert!(line.admits(Some(0)) && !line.admits(Some(1)), "with nobody else");
        assert_eq!(line.reserved(), 100);
    }

    #[test]
    fn what_was_admitted_can_be_revoked() {
        let (mut line, mut effects) = line(&[1, 1]);
        line.admit(2, false, &mut effects);
        line.revoke();
        assert!(!line.admits(Some(0)) && !line.admits(Some(1)) && !line.admits(None));
        assert_eq!(line.reserved(), 0);
        assert!(line.wait(Some(0), 1, Waker::noop()).1.is_none());
        assert!(line.leave(0).is_some(), "it waits again");
        assert!(line.leave(1).is_none());
        assert!(line.admits(None));
    }
}
