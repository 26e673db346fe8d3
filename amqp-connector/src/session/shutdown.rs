//! The graceful end of a channel, or of all of them with the connection: what comes before the close.
//!
//! ```text
//!  Open --> Draining --------------------------------------> Closing --> Closed
//!           nothing new begins                   close         close-ok, or the deadline
//!           publishes are confirmed              is sent
//!           calls are answered
//!           consumers are cancelled, what nobody has read is given back
//!           what the user holds is settled or dropped
//! ```
//!
//! Driven by frames, settlements and the time: each of them is followed by a look at the clock
//! ([`Session::handle_timeout`]), which sends the close once there is nothing left to wait for, or the part of
//! the deadline that is for waiting has passed. The rest of it is kept for the close's own answer. With
//! nothing to wait for the close is sent at once. The close itself is `close`'s; nothing here waits.

use std::sync::Arc;
use std::time::Duration;

use amqp_types::Method as _;
use amqp_types::protocol::{ReplyCode, basic};
use tokio::time::Instant;

use crate::error::{CloseCause, CloseReason, Scope};
use crate::outcome::ConsumerEnd;
use crate::outcome::Event;
use crate::session::channel::{ChannelKey, ChannelPhase, ChannelState};
use crate::session::consume::consumer::Phase as ConsumerPhase;
use crate::session::timers::after;
use crate::session::{Garbage, Phase, Session};

/// The most that is kept of a deadline for the close's own answer: a quarter of it, up to this.
const HANDSHAKE_MAX: Duration = Duration::from_secs(2);

/// So many unread deliveries are given back before the close, so that others get them while something else
/// is waited for. More are left to the close: brokers put back one by one far more slowly than all at once.
const GIVE_BACK_MAX: usize = 256;

/// How long of `timeout` may be spent on waiting for what was begun.
pub(in crate::session) fn patience(timeout: Duration) -> Duration {
    timeout - (timeout / 4).min(HANDSHAKE_MAX)
}

impl Session {
    /// Ends the connection gracefully, at the latest after `timeout`. Joins an end that is under way: the
    /// earlier deadline holds.
    pub(crate) fn shut_down(&mut self, now: Instant, timeout: Duration) {
        if let Phase::Lost(_) = self.phase {
            return self.terminate(requested(Scope::Connection));
        }
        self.stay_closed();
        let deadline = after(now, timeout);
        // Of a connection that is over, too, whose last octets may still be on their way.
        self.close_deadline = Some(self.close_deadline.map_or(deadline, |at| at.min(deadline)));
        if matches!(self.phase, Phase::Open) {
            let reason = Arc::new(requested(Scope::Connection));
            self.phase = Phase::Draining(reason.clone());
            self.record(|| Event::Closing { reason: reason.clone() });
            for key in self.channels.keys() {
                self.begin_drain(key, reason.clone());
            }
        }
        if matches!(self.phase, Phase::Draining(_)) {
            let until = after(now, patience(timeout));
            self.drain_until = Some(self.drain_until.map_or(until, |at| at.min(until)));
            self.advance_drains(now);
        }
        self.notify_driver();
    }

    /// As [`shut_down`](Self::shut_down), for one channel. The deadline of its close is the caller's.
    pub(crate) fn shut_down_channel(&mut self, key: ChannelKey, now: Instant, timeout: Duration) {
        let Some(channel) = self.channels.get(key) else { return };
        if channel.is_publishing_stream() || channel.restoring().is_some() {
            // A body cannot be brought to its end without its source; and what comes back has nothing to bring to one.
            let reason = requested(Scope::Channel(key.id));
            return self.begin_close_channel(key, reason, ReplyCode::REPLY_SUCCESS);
        }
        let open = channel.is_open();
        if self.is_ending() {
            return;
        }
        if open {
            self.begin_drain(key, Arc::new(requested(Scope::Channel(key.id))));
        }
        if self.channels.get(key).is_some_and(|channel| channel.is_draining()) {
            let until = after(now, patience(timeout));
            match self.drains.iter_mut().find(|(draining, _)| *draining == key) {
                Some((_, at)) => *at = until.min(*at),
                None => self.drains.push((key, until)),
            }
            self.advance_drains(now);
        }
        self.notify_driver();
    }

    /// Nobody waits for the channel any more: what it has not brought to an end is cut off.
    pub(crate) fn give_up_draining(&mut self, key: ChannelKey) {
        let key = self.channels.current(key);
        self.drains.retain(|(draining, _)| *draining != key);
        self.finish_drain(key);
    }

    /// Whether anything drains.
    #[inline]
    pub(in crate::session) fn is_draining(&self) -> bool {
        self.drain_until.is_some() || !self.drains.is_empty()
    }

    /// Until when the first of them may wait.
    pub(in crate::session) fn next_drain(&self) -> Option<Instant> {
        self.drains.iter().map(|(_, until)| *until).chain(self.drain_until).min()
    }

    /// Nothing new begins on the channel; its consumers are cancelled.
    fn begin_drain(&mut self, key: ChannelKey, reason: Arc<CloseReason>) {
        let Some(channel) = self.channels.get(key) else { return };
        if !channel.is_open() || channel.is_publishing_stream() {
            return;
        }
        channel.phase = ChannelPhase::Draining(reason.clone());
        // Those who wait to publish have not begun.
        self.effects.wake_all(channel.gate.take_all().chain(channel.behind.take_wakers()));
        self.effects.wake_all(self.room.take_wakers());
        let consumers: Vec<u64> = channel.consumers.iter().map(|consumer| consumer.id).collect();
        for id in consumers {
            self.drain_consumer(key, id, &reason);
        }
    }

    /// Cancels a consumer and gives back what nobody has read; what the peer counts as settled stays readable.
    fn drain_consumer(&mut self, key: ChannelKey, id: u64, reason: &Arc<CloseReason>) {
        let Some(channel) = self.channels.get(key) else { return };
        let cancelled = channel
            .calls
            .iter()
            .any(|call| call.name == basic::Cancel::NAME && call.consumer == Some(id));
        let Some(consumer) = channel.consumers.by_id(id) else { return };
        let active = consumer.phase == ConsumerPhase::Active;
        if active && cancelled {
            // The user has asked for it already, and the answer is on its way.
            consumer.phase = ConsumerPhase::Cancelling;
        }
        if !consumer.no_ack {
            consumer.unread.stop();
            if consumer.backlog.len() > GIVE_BACK_MAX {
                let left = consumer.backlog.clear(&mut self.crowd);
                self.drop_unseen_bodies(key, id, &left);
                self.effects.discard(Garbage::Deliveries(left));
            }
            self.finish_consumer(key, id, ConsumerEnd::Closed(reason.clone()), true);
        } else if active && !cancelled {
            consumer.phase = ConsumerPhase::Cancelling;
            let tag = consumer.tag.clone();
            self.send_cancel(key, tag);
        }
    }

    /// Sends the close of whatever has nothing left to wait for, or no time.
    pub(in crate::session) fn advance_drains(&mut self, now: Instant) {
        for (key, until) in std::mem::take(&mut self.drains) {
            match until <= now || self.channels.get(key).is_none_or(|it| it.is_drained()) {
                true => self.finish_drain(key),
                false => self.drains.push((key, until)),
            }
        }
        if let Phase::Draining(reason) = &self.phase {
            let reason = reason.clone();
            // Those that have been published to from a stream till now.
            for key in self.channels.keys() {
                self.begin_drain(key, reason.clone());
            }
        }
        if let Some(until) = self.drain_until
            && (until <= now || self.is_drained())
        {
            let reason = requested(Scope::Connection);
            self.begin_close(reason, ReplyCode::REPLY_SUCCESS, None);
        }
    }

    fn finish_drain(&mut self, key: ChannelKey) {
        if self.channels.get(key).is_some_and(|channel| channel.is_draining()) {
            let reason = requested(Scope::Channel(key.id));
            self.begin_close_channel(key, reason, ReplyCode::REPLY_SUCCESS);
        }
    }

    fn is_drained(&mut self) -> bool {
        self.control.iter().all(|call| call.abandoned)
            && self.channels.iter_mut().all(|channel| channel.is_drained())
    }
}

impl ChannelState {
    /// Whether nothing that was begun is left to wait for.
    fn is_drained(&self) -> bool {
        let unread: usize = self
            .consumers
            .iter()
            .filter(|consumer| !consumer.no_ack)
            .map(|consumer| consumer.unread.count())
            .sum();
        !self.is_draining()
            || (self.in_flight.saturating_sub(unread) == 0
                && self.untaken == 0
                && self.confirms.as_ref().is_none_or(|confirms| confirms.unconfirmed() == 0)
                && self.calls.iter().all(|call| call.abandoned)
                && self.consumers.iter().all(|it| it.phase == ConsumerPhase::Cancelled))
    }
}

/// The application has asked for it.
fn requested(scope: Scope) -> CloseReason {
    CloseReason::new(scope, CloseCause::Requested, "").with_code(ReplyCode::REPLY_SUCCESS)
}
