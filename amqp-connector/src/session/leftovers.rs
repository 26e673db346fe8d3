//! Counting what a session holds, for tests that want nothing left behind. Changes nothing.

use crate::session::Session;

/// What a connection's tables hold. All zero is what a test wants to see at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leftovers {
    /// Channels that hold a number, open or being closed.
    pub channels: usize,
    /// Closed channels that a handle still refers to.
    pub retired: usize,
    /// Calls that wait for a reply, abandoned ones too.
    pub calls: usize,
    /// Replies that nobody has taken.
    pub slots: usize,
    /// Deadlines of calls.
    pub deadlines: usize,
    /// Consumers of open channels.
    pub consumers: usize,
    /// Returned messages that nobody has taken.
    pub returns: usize,
    /// Methods that came unasked-for and that nobody has taken.
    pub unasked: usize,
    /// Streamed bodies that were not read to their end, those of closed channels too.
    pub bodies: usize,
    /// Publishes that have no outcome yet, or one that nobody has taken.
    pub confirms: usize,
    /// Octets of published messages that are kept for their return or to be handed back, or that came back.
    pub kept: usize,
    /// Tasks in any line: for room, for a flush, for an end, for their time.
    pub waiting: usize,
    /// Subscribers to the connection's events.
    pub subscribers: usize,
    /// Octets that are not written.
    pub octets: usize,
}

impl Session {
    pub(crate) fn leftovers(&mut self) -> Leftovers {
        let mut left = Leftovers {
            channels: self.channels.open_count(),
            retired: self.channels.retired_count(),
            calls: self.control.len(),
            slots: self.slots.len(),
            deadlines: self.deadlines.len() + self.overdue.len() + self.unsent.len(),
            subscribers: self.subscribers.len(),
            waiting: self.room.len()
                + self.close_waiters.len()
                + self.finish_waiters.len()
                + self.flush_waiters.len()
                + self.alarms.len()
                + self.block_watch.waiting(),
            octets: self.outbox.outstanding(),
            bodies: self.channels.retired_bodies(),
            kept: self.channels.retired_kept(),
            ..Leftovers::default()
        };
        for channel in self.channels.iter_mut() {
            left.calls += channel.calls.len();
            left.consumers += channel.consumers.len();
            left.returns += channel.returns.len();
            left.unasked += channel.inbox.as_ref().map_or(0, |inbox| inbox.len());
            left.bodies += channel.bodies.as_ref().map_or(0, |bodies| bodies.len());
            left.confirms += channel.confirms.as_ref().map_or(0, |confirms| confirms.held());
            left.kept += channel.confirms.as_ref().map_or(0, |confirms| confirms.kept());
            left.waiting += channel.gate.len()
                + channel.behind.len()
                + channel.return_waiters.len()
                + channel.answer_waiters.len()
                + channel.close_waiters.len()
                + channel.settle_waiters.len();
        }
        left
    }
}
