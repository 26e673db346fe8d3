//! How long a call's reply is waited for: until its deadline, and then as a tombstone until a second one.
//!
//! Called where calls are sent, answered and failed, and by the clock. What stands in the call and in the session's
//! ordered deadlines is only changed here, together.

use tokio::time::Instant;

use crate::session::Session;
use crate::session::calls::pending::PendingCall;
use crate::session::channel::ChannelKey;

/// How long a call is waited for.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) enum Deadline {
    /// Its reply is for nobody.
    None,
    First(Instant),
    /// It has missed the first one.
    Second(Instant),
}

impl Session {
    /// Notes in the order of all deadlines that a call has this one.
    pub(super) fn note_deadline(&mut self, key: ChannelKey, id: u64, deadline: Deadline) {
        match deadline {
            Deadline::First(at) => drop(self.deadlines.insert((at, id), key)),
            Deadline::Second(at) => drop(self.overdue.insert((at, id), key)),
            Deadline::None => {}
        }
    }

    /// The call is answered, or will never be.
    pub(super) fn forget_deadline(&mut self, call: &PendingCall) {
        match call.deadline {
            Deadline::First(at) => drop(self.deadlines.remove(&(at, call.id))),
            Deadline::Second(at) => drop(self.overdue.remove(&(at, call.id))),
            Deadline::None => {}
        }
    }

    /// Gives a call that waits another deadline.
    pub(in crate::session) fn move_deadline(&mut self, key: ChannelKey, id: u64, to: Deadline) {
        let Some(call) = self.pending_call(key, id) else { return };
        match std::mem::replace(&mut call.deadline, to) {
            Deadline::First(at) => drop(self.deadlines.remove(&(at, id))),
            Deadline::Second(at) => drop(self.overdue.remove(&(at, id))),
            Deadline::None => {}
        }
        self.note_deadline(key, id, to);
    }
}
