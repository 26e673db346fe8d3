//! Instants that handles wait for where no runtime runs that could tell them: the driver's clock does.
//!
//! Asked for by [`Deadline`](crate::deadline::Deadline). Once the connection is over nobody waits for anything but its
//! driver, which has the close's own deadline, so no alarm rings then.

use std::collections::BTreeMap;
use std::task::{Poll, Waker};

use tokio::time::Instant;

use crate::session::{Caller, Session};

/// Whom to wake when, the nearest first.
#[derive(Default)]
pub(in crate::session) struct Alarms(BTreeMap<(Instant, u64), Option<Waker>>);

impl Alarms {
    /// When the next one rings.
    #[inline]
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first_key_value().map(|((at, _), _)| *at)
    }

    /// How many wait.
    #[cfg(feature = "testing")]
    pub(in crate::session) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Session {
    /// Waits until `at`, with the ticket kept where the caller has it.
    pub(crate) fn poll_alarm(
        &mut self,
        at: Instant,
        ticket: &mut Option<u64>,
        waker: &dyn Caller,
    ) -> Poll<()> {
        let id = match *ticket {
            Some(id) => id,
            None => {
                let id = *ticket.insert(self.fresh_id());
                self.alarms.0.insert((at, id), None);
                self.notify_driver();
                id
            }
        };
        match self.alarms.0.get_mut(&(at, id)) {
            Some(slot) => {
                self.effects.keep(slot, waker);
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }

    /// A task waits no more.
    pub(crate) fn drop_alarm(&mut self, at: Instant, ticket: u64) {
        let waker = self.alarms.0.remove(&(at, ticket)).flatten();
        self.effects.discard_waker(waker);
    }

    /// Wakes those whose time has come.
    #[cold]
    pub(super) fn ring_alarms(&mut self, now: Instant) {
        while let Some(first) = self.alarms.0.first_entry()
            && first.key().0 <= now
        {
            self.effects.wake(first.remove());
        }
    }
}
