//! A consumer that is ended in order while its channel lives on: what is waited for.
//!
//! Called by [`Consumer::shutdown`](crate::Consumer::shutdown), which has the deadline.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{CloseReason, Error, Result};
use crate::outcome::ConsumerEnd;
use crate::session::Caller;
use crate::session::Session;
use crate::session::channel::ChannelKey;
use crate::session::consume::consumer::{ConsumerState, Phase};
use crate::session::consume::in_flight::InFlight;
use crate::session::shutdown::patience;
use crate::session::timers::after;

/// How far the end of a consumer has come.
#[derive(Debug)]
pub(crate) struct ShutdownState {
    /// Deliveries that came for it after its end had begun.
    pub(crate) late: usize,
    /// The peer knows it no more.
    pub(crate) cancelled: bool,
    /// Why its channel ended.
    pub(crate) closed: Option<Arc<CloseReason>>,
}

impl Session {
    /// Cancels a consumer and gives back what it has not read, in time for `timeout`; gives how much that was.
    pub(crate) fn begin_consumer_shutdown(
        &mut self,
        key: ChannelKey,
        id: u64,
        now: Instant,
        timeout: Duration,
    ) -> usize {
        self.hurry_hold(key, after(now, patience(timeout)));
        let Some(channel) = self.channels.get(key) else { return 0 };
        let recovered_to = channel.recovered_to;
        let Some(consumer) = channel.consumers.by_id(id) else { return 0 };
        // What a recover has taken back is not given back by us.
        let unread = match consumer.no_ack {
            true => consumer.backlog.len(),
            false => consumer.backlog.tags().filter(|tag| *tag > recovered_to).count(),
        };
        self.finish_consumer(key, id, ConsumerEnd::Dropped, true);
        // Its handle gives nothing out any more.
        self.drop_bodies(key, id);
        if let Some(channel) = self.channels.get(key)
            && channel.giving.is_empty()
        {
            // It is not for what another consumer may leave.
            channel.give_by = None;
        }
        unread
    }

    /// Whether nothing has to be sent any more to cancel a consumer.
    pub(crate) fn is_cancelling(&mut self, key: ChannelKey, id: u64) -> bool {
        let Some(channel) = self.channels.get(key) else { return false };
        match channel.consumers.by_id(id).map(|consumer| consumer.phase) {
            Some(Phase::Requested | Phase::Active) => false,
            Some(Phase::Cancelling) => channel.is_live(),
            Some(Phase::Cancelled) | None => true,
        }
    }

    /// Waits until the peer knows a consumer no more that is being cancelled.
    pub(crate) fn poll_cancelled(
        &mut self,
        key: ChannelKey,
        id: u64,
        waker: &dyn Caller,
    ) -> Poll<Result<()>> {
        let Some(channel) = self.channels.get(key) else { return Poll::Ready(Ok(())) };
        let reason = channel.ended().cloned();
        match (channel.consumers.by_id(id), reason) {
            (Some(ConsumerState { phase: Phase::Cancelled, .. }) | None, _) => Poll::Ready(Ok(())),
            (_, Some(reason)) => Poll::Ready(Err(Error::closed(reason))),
            (Some(consumer), None) => {
                self.effects.keep(&mut consumer.waker, waker);
                Poll::Pending
            }
        }
    }

    /// Waits until the peer knows the consumer no more and nothing of it is in flight, or the channel is over.
    pub(crate) fn poll_consumer_shutdown(
        &mut self,
        key: ChannelKey,
        id: u64,
        in_flight: &InFlight,
        ticket: &mut Option<u64>,
        waker: &dyn Caller,
    ) -> Poll<()> {
        let key = self.channels.current(key);
        if self.live_channel(key).is_err() {
            return Poll::Ready(());
        }
        if let Some(consumer) =
            self.channels.get(key).and_then(|channel| channel.consumers.by_id(id))
            && consumer.phase != Phase::Cancelled
        {
            self.effects.keep(&mut consumer.waker, waker);
            return Poll::Pending;
        }
        if self.poll_settled(key, Some(in_flight), ticket, waker).is_pending() {
            return Poll::Pending;
        }
        if self.is_holding(key)
            && let Some(channel) = self.channels.get(key)
        {
            let old = channel.settle_waiters.stay(ticket, waker);
            self.effects.discard_waker(old);
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    pub(crate) fn consumer_shutdown_state(&mut self, key: ChannelKey, id: u64) -> ShutdownState {
        let key = self.channels.current(key);
        let closed = self.live_channel(key).err().and_then(Error::into_reason);
        let consumer = self.channels.get(key).and_then(|channel| channel.consumers.by_id(id));
        ShutdownState {
            late: consumer.as_ref().map_or(0, |consumer| consumer.late),
            cancelled: consumer.is_none_or(|consumer| consumer.phase == Phase::Cancelled),
            closed,
        }
    }
}
