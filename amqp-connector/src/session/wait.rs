//! A list of waiting tasks: for an end, a flush, a returned message.
//!
//! The session keeps one list for each thing that can be waited for. A task holds a ticket and gives it up
//! when it stops waiting, so that no list outgrows its tasks. Plain data: waking is left to the caller's
//! [`Effects`](crate::session::effects::Effects).

use crate::session::Caller;
use std::collections::VecDeque;
use std::task::Waker;

/// The tickets in line, oldest first.
#[derive(Default)]
pub(crate) struct WaitList {
    next: u64,
    line: VecDeque<(u64, Waker)>,
}

impl WaitList {
    /// How many tasks wait.
    #[cfg(feature = "testing")]
    pub(crate) fn len(&self) -> usize {
        self.line.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Joins the list, or renews the waker of a place in it, with the ticket kept where the caller has it;
    /// gives the waker that it replaced.
    pub(crate) fn stay(&mut self, ticket: &mut Option<u64>, waker: &dyn Caller) -> Option<Waker> {
        if let Some(held) = *ticket
            && let Some((_, slot)) = self.line.iter_mut().find(|(id, _)| *id == held)
        {
            return match slot {
                old if waker.is_woken_by(old) => None,
                old => waker.waker().map(|new| std::mem::replace(old, new)),
            };
        }
        if let Some(waker) = waker.waker() {
            *ticket = Some(self.next);
            self.line.push_back((self.next, waker));
            self.next += 1;
        }
        None
    }

    /// Leaves the line; gives the waker it had.
    pub(crate) fn leave(&mut self, ticket: u64) -> Option<Waker> {
        let position = self.line.iter().position(|(id, _)| *id == ticket)?;
        self.line.remove(position).map(|(_, waker)| waker)
    }

    /// Takes every waker; the tasks find out by themselves why they were woken, and join again if they
    /// have to.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Waker> + '_ {
        self.line.drain(..).map(|(_, waker)| waker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_one_place_until_it_is_left() {
        let mut list = WaitList::default();
        let (mut first, mut second) = (None, None);
        assert!(list.stay(&mut first, Waker::noop()).is_none());
        list.stay(&mut first, Waker::noop());
        assert!(list.stay(&mut second, Waker::noop()).is_none());
        assert_eq!((first, second), (Some(0), Some(1)));
        assert!(list.leave(0).is_some() && list.leave(0).is_none());
        assert_eq!(list.take_all().count(), 1);
    }
}
