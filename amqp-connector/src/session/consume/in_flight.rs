//! How many deliveries are with the user: given to a handle, and neither settled nor dropped.
//!
//! One count for each consumer and each `basic.get`, which the handles keep and lend to the session with every
//! operation, so that nothing has to be looked up for it; and the session's own for each channel. Both change
//! under the session's lock only, together with what is sent, so none that waits for zero can miss it.
//! Deliveries that the peer counts as settled when it sends them are not counted, and those that a `basic.recover`
//! has taken back no more: nobody can settle them.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::task::Poll;

use crate::session::Caller;
use crate::session::Session;
use crate::session::channel::{ChannelKey, ChannelState};

/// The deliveries of one consumer, or the one of a `basic.get`, that are with the user.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    /// Written under the session's lock only, which orders it: so there is no need of atomic additions.
    count: AtomicUsize,
    /// Those that are with the user no more and were never settled. Written under the lock, too.
    unsettled: AtomicUsize,
    /// How often its channel had been recovered when that was counted; what was before is over.
    recovers: AtomicU32,
}

impl InFlight {
    /// How many there are. Exact under the session's lock, a moment old elsewhere.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// How many have ended unsettled: they were dropped and left to their channel, or it was over.
    pub(crate) fn unsettled(&self) -> usize {
        self.unsettled.load(Ordering::Relaxed)
    }

    #[cold]
    pub(in crate::session) fn note_unsettled(&self) {
        self.unsettled.store(self.unsettled().saturating_add(1), Ordering::Relaxed);
    }

    /// Forgets what was counted before the channel's last `basic.recover`.
    #[inline]
    fn catch_up(&self, recovers: u32) {
        if self.recovers.load(Ordering::Relaxed) != recovers {
            self.recovers.store(recovers, Ordering::Relaxed);
            self.unsettled.store(self.unsettled().saturating_add(self.count()), Ordering::Relaxed);
            self.count.store(0, Ordering::Relaxed);
        }
    }

    #[inline]
    fn add(&self, deliveries: usize) {
        self.count.store(self.count().saturating_add(deliveries), Ordering::Relaxed);
    }

    /// Gives how many are left.
    #[inline]
    pub(in crate::session) fn remove(&self, deliveries: usize) -> usize {
        let left = self.count().saturating_sub(deliveries);
        self.count.store(left, Ordering::Relaxed);
        left
    }
}

impl ChannelState {
    /// Whether a delivery of this number is counted: one that a `basic.recover` has taken back is not. A peer may give one
    /// none, which is zero.
    #[inline]
    pub(in crate::session) fn counts(&self, tag: u64) -> bool {
        tag > self.recovered_to || self.recovered_to == 0
    }

    /// So many of its deliveries are with the user no more, and `left` of the same consumer's are. Gives whether
    /// anybody who waits should look.
    #[inline]
    pub(in crate::session) fn land(&mut self, deliveries: usize, left: usize) -> bool {
        self.in_flight = self.in_flight.saturating_sub(deliveries);
        let watched = (left == 0 || self.in_flight == 0) && !self.settle_waiters.is_empty();
        watched || self.is_draining()
    }
}

impl Session {
    /// So many deliveries are with the user now.
    #[inline]
    pub(crate) fn take_off(&mut self, key: ChannelKey, deliveries: usize, in_flight: &InFlight) {
        let Some(channel) = self.channels.get(key) else { return };
        in_flight.catch_up(channel.recovers);
        // What comes while a recover is on its way is taken back by it.
        if channel.recovering == 0 {
            in_flight.add(deliveries);
            channel.in_flight = channel.in_flight.saturating_add(deliveries);
        }
    }

    /// A message that was got under this number is with the user now.
    pub(crate) fn take_off_got(&mut self, key: ChannelKey, tag: u64, in_flight: &InFlight) {
        // Of what is over nobody waits for the end.
        if self.channels.get(key).is_some_and(|channel| tag > channel.recovered_to) {
            self.take_off(key, 1, in_flight);
        }
    }

    /// Deliveries with these numbers are with the user no more; whoever waits for the last of them is woken.
    #[inline]
    pub(in crate::session) fn land(
        &mut self,
        key: ChannelKey,
        tags: impl Iterator<Item = u64>,
        in_flight: &InFlight,
    ) {
        let Some(channel) = self.channels.get(key) else { return };
        let deliveries = tags.filter(|tag| channel.counts(*tag)).count();
        if deliveries > 0 {
            let left = in_flight.remove(deliveries);
            if channel.land(deliveries, left) {
                self.wake_settled(key);
            }
        }
    }

    /// Nothing that is with the user can be settled any more: nobody waits for it.
    pub(in crate::session) fn void_in_flight(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get(key) else { return };
        channel.recovers = channel.recovers.wrapping_add(1);
        channel.in_flight = 0;
        self.wake_settled(key);
    }

    /// Tells those who wait for the last delivery to look.
    #[cold]
    pub(in crate::session) fn wake_settled(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get(key) else { return };
        self.effects.wake_all(channel.settle_waiters.take_all());
        // A graceful close may have waited for it.
        self.notify_driver();
    }

    /// Deliveries of a channel that are with the user: those in a consumer handle's unread batch, too.
    #[cfg(test)]
    pub(crate) fn in_flight(&mut self, key: ChannelKey) -> usize {
        self.channels.get(key).map_or(0, |channel| channel.in_flight)
    }

    /// Waits until no delivery that `in_flight` counts is with the user, or with `None` none of the whole channel.
    /// Ready at once when the channel is over: then nothing can be settled any more.
    ///
    /// What a consumer's handle has taken and not given out counts, too: it is to be read or given back before.
    /// A task that gives up leaves [`Line::Settled`](crate::session::Line::Settled) with its ticket.
    pub(crate) fn poll_settled(
        &mut self,
        key: ChannelKey,
        in_flight: Option<&InFlight>,
        ticket: &mut Option<u64>,
        waker: &dyn Caller,
    ) -> Poll<()> {
        let Ok(channel) = self.live_channel(key) else { return Poll::Ready(()) };
        if let Some(in_flight) = in_flight {
            in_flight.catch_up(channel.recovers);
        }
        if in_flight.map_or(channel.in_flight, InFlight::count) == 0 {
            return Poll::Ready(());
        }
        let old = channel.settle_waiters.stay(ticket, waker);
        self.effects.discard_waker(old);
        Poll::Pending
    }
}
