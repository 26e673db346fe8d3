//! Calls that were made while other octets were still to be written: their time begins when they are written.
//!
//! Over a slow link a request can stand in our own buffers for longer than its whole timeout; the peer is not to
//! blame for that. So it is remembered where such a request stands, and its deadline is set anew once that is
//! written. A deadline that comes before is put off for as long as octets are written at all: when none was for a
//! whole timeout it holds, and so it does after [`TIMEOUTS_MAX`] of them, so that nobody waits for ever. A deadline
//! that a user has given is the user's and stays where it is; the second one, which costs the channel, does not. A
//! call that finds nothing to be written before it costs nothing here. Called where calls are sent, where octets
//! were written, and by the clock.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::session::Session;
use crate::session::calls::deadline::Deadline;
use crate::session::calls::pending::CallOptions;
use crate::session::channel::ChannelKey;
use crate::session::timers::after;

/// For how many timeouts a call may stand unwritten though octets are written.
const TIMEOUTS_MAX: u32 = 10;
/// A call that waited for no more than this part of its timeout keeps the deadline that it has.
const HARDLY: u32 = 64;

/// A request that is not written yet.
#[derive(Debug)]
struct Unsent {
    key: ChannelKey,
    id: u64,
    /// Up to which octet of the shared queue it stands, or up to which item of its channel's own.
    stand: u64,
    /// When it was encoded, and until when that it is not written excuses it.
    since: Instant,
    until: Instant,
    /// Its first deadline is its user's.
    own: bool,
}

/// The requests that are not written yet. An entry goes when its octets do, whatever has become of the call.
#[derive(Debug, Default)]
pub(in crate::session) struct UnsentCalls {
    /// Those in the shared queue, and those in their channels' own, each in the order of their numbers.
    shared: VecDeque<Unsent>,
    behind: VecDeque<Unsent>,
    /// When octets were written last, while there is any.
    wrote: Option<Instant>,
    /// Items of channels' own queues were taken since `behind` was looked at.
    took: bool,
}

impl UnsentCalls {
    #[inline]
    pub(in crate::session) fn is_empty(&self) -> bool {
        self.shared.is_empty() && self.behind.is_empty()
    }

    #[cfg(feature = "testing")]
    pub(in crate::session) fn len(&self) -> usize {
        self.shared.len() + self.behind.len()
    }

    /// An item of a channel's own queue was taken whole.
    pub(in crate::session) fn note_taken(&mut self) {
        self.took = true;
    }

    /// Whether a call stands unwritten.
    pub(super) fn holds(&self, id: u64) -> bool {
        self.find(id).is_some()
    }

    fn find(&self, id: u64) -> Option<&Unsent> {
        let find = |calls: &VecDeque<Unsent>| calls.binary_search_by_key(&id, |it| it.id).ok();
        match find(&self.shared) {
            Some(at) => self.shared.get(at),
            None => self.behind.get(find(&self.behind)?),
        }
    }
}

impl Session {
    /// A call was encoded behind octets that are not written.
    #[cold]
    pub(super) fn note_unsent(&mut self, key: ChannelKey, id: u64, options: &CallOptions) {
        let now = options.now;
        if self.unsent.is_empty() {
            self.unsent.wrote = Some(now);
        }
        let channel = self.channels.get(key).filter(|channel| !channel.large.is_empty());
        let (line, stand) = match channel {
            Some(channel) => {
                (&mut self.unsent.behind, channel.large_taken + channel.large.len() as u64)
            }
            None => (&mut self.unsent.shared, self.outbox.position()),
        };
        let patience = self.options.call_timeout.saturating_mul(TIMEOUTS_MAX);
        let until = after(self.blocked.unwrap_or(now), patience);
        debug_assert!(line.back().is_none_or(|last| last.id < id), "numbers only grow");
        let own = options.within.is_some();
        line.push_back(Unsent { key, id, stand, since: now, until, own });
    }

    /// Octets were written at this moment; told before it is looked what is due.
    #[inline]
    pub(crate) fn handle_progress(&mut self, at: Instant) {
        if !self.unsent.is_empty() {
            self.unsent.wrote = self.unsent.wrote.max(Some(at));
        }
    }

    /// Octets were written; `drained`: all that the driver had taken. The time of calls that are written by that
    /// begins.
    #[cold]
    pub(in crate::session) fn look_for_sent(&mut self, drained: bool) {
        let written = self.outbox.shared_written();
        while self.unsent.shared.front().is_some_and(|first| first.stand <= written)
            && let Some(unsent) = self.unsent.shared.pop_front()
        {
            self.begin_time(&unsent);
        }
        if !drained || !std::mem::take(&mut self.unsent.took) {
            return;
        }
        let mut waiting = VecDeque::new();
        for unsent in std::mem::take(&mut self.unsent.behind) {
            let channel = self.channels.get(unsent.key);
            match channel.is_none_or(|channel| channel.large_taken >= unsent.stand) {
                true => self.begin_time(&unsent),
                false => waiting.push_back(unsent),
            }
        }
        self.unsent.behind = waiting;
    }

    /// A call is written: it has its whole time from now on.
    fn begin_time(&mut self, unsent: &Unsent) {
        let timeout = self.options.call_timeout;
        let Some(from) = self.unsent.wrote else { return };
        let Some(call) = self.pending_call(unsent.key, unsent.id) else { return };
        let to = match call.deadline {
            Deadline::First(_) if unsent.own => return,
            Deadline::First(_) => {
                if from.saturating_duration_since(unsent.since) <= timeout / HARDLY {
                    return;
                }
                Deadline::First(after(self.call_clock(from), timeout))
            }
            Deadline::Second(_) => Deadline::Second(after(self.blocked.unwrap_or(from), timeout)),
            Deadline::None => return,
        };
        self.move_deadline(unsent.key, unsent.id, to);
    }

    /// Whether the deadline of a call that is reached at `now` has been put off, since the call is not written and
    /// others are being written. A peer that blocks us reads nothing, so it does not count then.
    pub(in crate::session) fn put_off_unsent(
        &mut self,
        key: ChannelKey,
        id: u64,
        now: Instant,
    ) -> bool {
        let Some(wrote) = self.unsent.wrote.filter(|_| !self.is_blocked()) else { return false };
        let Some(unsent) = self.unsent.find(id) else { return false };
        let (own, until) = (unsent.own, unsent.until);
        let next = after(wrote, self.options.call_timeout).min(until);
        let to = match self.pending_call(key, id).map(|call| call.deadline) {
            Some(Deadline::First(_)) if !own => Deadline::First(next),
            Some(Deadline::Second(_)) => Deadline::Second(next),
            _ => return false,
        };
        let later = next > now;
        if later {
            self.move_deadline(key, id, to);
        }
        later
    }

    /// The time in which nothing could be written, since the broker blocked us, does not count.
    pub(in crate::session) fn excuse_unsent(&mut self, now: Instant, blocked: Duration) {
        if self.unsent.is_empty() {
            return;
        }
        self.unsent.wrote = Some(now);
        for unsent in self.unsent.shared.iter_mut().chain(&mut self.unsent.behind) {
            unsent.until = after(unsent.until, blocked);
        }
    }
}
