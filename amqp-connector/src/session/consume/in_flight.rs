//! How many deliveries are with the user: given to a handle, and neither settled nor dropped.
//!
//! One count for each consumer and each `basic.get`, which the handles keep and lend to the session with every
//! operation, so that nothing has to be looked up for it; and the session's own for each channel. Both change
//! under the session's lock only, together with what is sent, so none that waits for zero can miss it.
//! Deliveries that the peer counts as settled when it sends them are not counted.

use std::sync::atomic::{AtomicUsize, Ordering};
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
        in_flight.add(deliveries);
        if let Some(channel) = self.channels.get(key) {
            channel.in_flight = channel.in_flight.saturating_add(deliveries);
        }
    }

    /// So many deliveries are with the user no more; whoever waits for the last of them is woken.
    #[inline]
    pub(in crate::session) fn land(
        &mut self,
        key: ChannelKey,
        deliveries: usize,
        in_flight: &InFlight,
    ) {
        let left = in_flight.remove(deliveries);
        if let Some(channel) = self.channels.get(key)
            && channel.land(deliveries, left)
        {
            self.wake_settled(key);
        }
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
        if in_flight.map_or(channel.in_flight, InFlight::count) == 0 {
            return Poll::Ready(());
        }
        let old = channel.settle_waiters.stay(ticket, waker);
        self.effects.discard_waker(old);
        Poll::Pending
    }
}
