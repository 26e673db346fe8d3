//! A channel that was closed for an error, as it comes back: its state goes on under another number, as another incarnation.
//!
//! From there on it is restored as after a loss of the connection (`restore`), but by whoever asked for it, and for all others
//! it stays closed until then. Its old number rests: what RabbitMQ had in hand for it may come even after an open-ok.

use std::sync::Arc;
use std::task::Poll;

use crate::error::{CloseReason, Error, Initiator, Result};
use crate::outcome::{ConsumerEnd, Epoch};
use crate::session::channel::{ChannelKey, ChannelPhase, ChannelState, Restoring};
use crate::session::consume::backlog::Crowd;
use crate::session::consume::coalesce::Coalescer;
use crate::session::consume::consumer::Phase as ConsumerPhase;
use crate::session::{Caller, Session};

/// What there is to be done to have a channel open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reopening {
    /// Nothing: it is.
    Open,
    /// It is to be restored under this key, which is its handle's from now on.
    Begun(ChannelKey),
}

impl Session {
    /// Begins to open a closed channel again. Waits for a close that is not answered yet, and for whoever else opens it.
    pub(crate) fn poll_reopen(
        &mut self,
        key: ChannelKey,
        ticket: &mut Option<u64>,
        waker: &dyn Caller,
    ) -> Poll<Result<Reopening>> {
        if let Err(error) = self.check_open() {
            return Poll::Ready(Err(error));
        }
        let Some(channel) = self.channels.get(key) else {
            return Poll::Ready(Err(self.gone(key)));
        };
        let reason = match &channel.phase {
            ChannelPhase::Open | ChannelPhase::Streaming(_) => {
                return Poll::Ready(Ok(Reopening::Open));
            }
            ChannelPhase::Opening => {
                return Poll::Ready(Err(Error::invalid("the channel is not open yet")));
            }
            ChannelPhase::Restoring(_, reason) if !channel.reopening => {
                return Poll::Ready(Err(Error::recovering(reason.clone())));
            }
            ChannelPhase::Draining(reason)
            | ChannelPhase::Closing(reason)
            | ChannelPhase::Closed(reason)
                if reason.initiator() == Initiator::Application =>
            {
                return Poll::Ready(Err(Error::closed(reason.clone())));
            }
            // The rest of a large content is still on its way.
            ChannelPhase::Closed(reason) if channel.large.is_empty() => reason.clone(),
            _ => {
                let old = channel.close_waiters.stay(ticket, waker);
                self.effects.discard_waker(old);
                return Poll::Pending;
            }
        };
        Poll::Ready(self.begin_reopening(key, &reason).map(Reopening::Begun))
    }

    fn begin_reopening(
        &mut self,
        key: ChannelKey,
        reason: &Arc<CloseReason>,
    ) -> Result<ChannelKey> {
        let Some(new) = self.channels.renew(key, reason) else {
            return Err(Error::channel_max(self.tuning.channel_max));
        };
        if let Some(channel) = self.channels.get(new) {
            channel.revive(reason, &mut self.crowd);
        }
        self.suspend_channel(new, reason);
        if let Some(channel) = self.channels.get(new) {
            channel.revive_coalescer();
        }
        Ok(new)
    }

    /// The channel that is being reopened was closed once more on the way: it gets yet another number. Gives its key, which
    /// is its handle's from now on.
    pub(crate) fn reopen_anew(&mut self, key: ChannelKey) -> ChannelKey {
        let Some(channel) = self.channels.get(key) else { return key };
        let reason = match &channel.phase {
            ChannelPhase::Restoring(Restoring::Waiting, reason) if channel.reopening => {
                reason.clone()
            }
            _ => return key,
        };
        self.effects
            .wake_all(channel.close_waiters.take_all().chain(channel.return_waiters.take_all()));
        self.channels.renew(key, &reason).unwrap_or(key)
    }

    /// All of it is restored: it is open. False if it is over, or has begun to end.
    pub(crate) fn reopened(&mut self, key: ChannelKey) -> bool {
        self.restored(key);
        self.channels.get(key).is_some_and(|channel| channel.is_open())
    }

    /// Why a channel that was being reopened is not.
    pub(crate) fn why_ended(&mut self, key: ChannelKey) -> Error {
        match self.check_open().and_then(|()| self.open_channel(key).map(drop)) {
            Err(error) => error,
            Ok(()) => Error::stale(None),
        }
    }

    /// Whoever was reopening the channel has given up: it is closed again, for the reason it was.
    pub(crate) fn give_up_reopening(&mut self, key: ChannelKey) {
        let reason = self.channels.get(key).and_then(|channel| channel.reopened_from().cloned());
        if let Some(reason) = reason {
            self.end_unrestored_channel(key, reason);
        }
    }
}

impl ChannelState {
    /// Makes of a closed channel one that was lost. What it held of the broker is gone, and its mode of transactions; those of
    /// its consumers that ended with it and that somebody still holds are to be started again.
    fn revive(&mut self, reason: &Arc<CloseReason>, crowd: &mut Crowd) {
        self.epoch_before = std::mem::replace(&mut self.epoch, Epoch(self.key.epoch));
        self.reopening = true;
        (self.tx, self.tx_settled_to) = (false, 0);
        (self.close_answered, self.acks_lost) = (false, false);
        (self.untaken, self.in_room) = (0, 0);
        let unlimited = self.prefetch_global == 0;
        for consumer in self.consumers.iter_mut() {
            let known = matches!(consumer.phase, ConsumerPhase::Active | ConsumerPhase::Requested);
            let ended_with_it =
                matches!(&consumer.end, Some(ConsumerEnd::Closed(end)) if Arc::ptr_eq(end, reason));
            if let Some(restart) = consumer.restart.take()
                && known
                && ended_with_it
                && consumer.owned
            {
                (consumer.start, consumer.end) = (Some(restart), None);
                consumer.unread.revive();
                if consumer.no_ack || (consumer.prefetch == 0 && unlimited) {
                    consumer.backlog.pace(crowd);
                }
            }
        }
        if let Some(confirms) = &mut self.confirms {
            confirms.revive();
        }
        if let Some(bodies) = &mut self.bodies {
            bodies.revive(crowd);
        }
    }

    fn revive_coalescer(&mut self) {
        if let Some((max, delay)) = self.coalesced.take() {
            self.coalescer = Some(Box::new(Coalescer::after(max, delay, self.last_tag)));
            self.bound_coalescer();
        }
    }
}
