//! How a channel ends: by a close of ours or the peer's, or with its connection.
//!
//! Whatever ends it goes through `end_channel`, which gives everybody who waits for anything of it the one reason.
//! Called by handles, by `incoming`, by whatever notices that a channel is beyond saving, and by `connection` for
//! all of them. Never frees the number of a channel whose end the peer does not know of.

use std::sync::Arc;
use std::task::Poll;

use amqp_types::Method as _;
use amqp_types::protocol::{ReplyCode, channel};
use tracing::Level;

use crate::error::{CloseCause, CloseReason, Error, Scope};
use crate::outcome::{ConsumerEnd, Event};
use crate::session::channel::{ChannelKey, ChannelPhase, Restoring};
use crate::session::close::{blamed, dropped, short};
use crate::session::consume::consumer::Phase as ConsumerPhase;
use crate::session::recovery::is_being_started;
use crate::session::{Caller, Garbage, Session};

impl Session {
    /// Closes a channel for the application, with nothing graceful about it.
    #[cfg(test)]
    pub(crate) fn close_channel(&mut self, key: ChannelKey, code: ReplyCode, text: &str) {
        let reason =
            CloseReason::new(Scope::Channel(key.id), CloseCause::Requested, text).with_code(code);
        self.begin_close_channel(key, reason, code);
    }

    /// Closes a channel because of something that the library noticed.
    pub(in crate::session) fn close_channel_because(
        &mut self,
        key: ChannelKey,
        reason: CloseReason,
    ) {
        let code = reason.code().unwrap_or(ReplyCode::CHANNEL_ERROR);
        self.begin_close_channel(key, reason, code);
    }

    pub(in crate::session) fn begin_close_channel(
        &mut self,
        key: ChannelKey,
        reason: CloseReason,
        code: ReplyCode,
    ) {
        let restoring = self.channels.get(key).and_then(|channel| channel.restoring());
        if restoring == Some(Restoring::Waiting) {
            // The peer knows nothing of it.
            return self.end_channel(key, Arc::new(reason), true);
        }
        if self.is_ending() {
            return;
        }
        let Some(channel) = self.channels.get(key) else { return };
        if channel.ended().is_some() {
            return;
        }
        if !self.complete_stream(key, false) {
            return self.close_for_stream(key, &reason);
        }
        let close = channel::Close {
            reply_code: code.0,
            reply_text: short(reason.text()),
            ..Default::default()
        };
        self.write_acks(key);
        // Text and numbers of our own always fit a frame.
        let _ = self.send_method(key.id, &close.into_any());
        self.end_channel(key, Arc::new(reason), false);
    }

    /// Waits until a channel is over, whether or not the peer has answered a close.
    pub(crate) fn poll_channel_ended(
        &mut self,
        key: ChannelKey,
        ticket: &mut Option<u64>,
        waker: &dyn Caller,
    ) -> Poll<Option<Arc<CloseReason>>> {
        let key = self.channels.current(key);
        match self.channels.get(key) {
            Some(channel) => match channel.ended().or(channel.reopened_from()) {
                Some(reason) => Poll::Ready(Some(reason.clone())),
                None => {
                    let old = channel.close_waiters.stay(ticket, waker);
                    self.effects.discard_waker(old);
                    Poll::Pending
                }
            },
            None => Poll::Ready(self.channels.former(key).cloned()),
        }
    }

    /// Waits until a channel's number is free again, or the connection is gone.
    pub(crate) fn poll_channel_closed(
        &mut self,
        key: ChannelKey,
        ticket: &mut Option<u64>,
        waker: &dyn Caller,
    ) -> Poll<()> {
        let key = self.channels.current(key);
        if self.is_closed() {
            return Poll::Ready(());
        }
        match self.channels.get(key) {
            Some(channel) if !channel.is_closed() => {
                let old = channel.close_waiters.stay(ticket, waker);
                self.effects.discard_waker(old);
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// The last handle of a channel is gone.
    pub(crate) fn release_channel(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get(key) else { return };
        channel.released = true;
        if let Some(confirms) = &mut channel.confirms {
            confirms.abandon_kept(&mut self.effects);
        }
        if channel.is_closed() {
            self.channels.forget(key);
        } else if channel.is_open() || channel.restoring().is_some() {
            let (scope, code) = (Scope::Channel(key.id), ReplyCode::REPLY_SUCCESS);
            self.begin_close_channel(key, dropped(scope).with_code(code), code);
        }
    }

    /// The peer closed a channel.
    pub(in crate::session) fn handle_channel_close(
        &mut self,
        key: ChannelKey,
        close: &channel::Close,
    ) {
        let blamed = blamed(close.class_id, close.method_id);
        let place = blamed.and_then(|name| self.blamed_place(Some(key), name));
        let publishes = self.publishes_at_close(Some(key), blamed, &close.reply_text);
        let reason = CloseReason::new(
            Scope::Channel(key.id),
            CloseCause::PeerClosed,
            close.reply_text.to_string_lossy(),
        )
        .with_code(ReplyCode(close.reply_code))
        .with_method(blamed)
        .with_place(place)
        .with_publishes(publishes);
        let reason = Arc::new(reason);
        if self.channels.get(key).is_some_and(|channel| channel.restoring().is_some()) {
            self.answer_channel_close(key);
            return self.suspend_channel(key, &reason);
        }
        let completed = self.complete_stream(key, true);
        if completed {
            self.answer_channel_close(key);
        }
        self.end_channel(key, reason.clone(), true);
        if !completed {
            self.close_for_stream(key, &reason);
        }
    }

    pub(in crate::session) fn answer_channel_close(&mut self, key: ChannelKey) {
        // It has no arguments, so it always fits.
        let _ = self.send_method(key.id, &channel::CloseOk::default().into_any());
    }

    /// Our close was answered: the number is free.
    pub(in crate::session) fn handle_channel_close_ok(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get(key) else { return };
        if let ChannelPhase::Closing(reason) = &channel.phase {
            let reason = reason.clone();
            self.end_channel(key, reason, true);
        }
    }

    /// Gives everybody who waits on the channel the reason. With `closed` its number becomes free.
    pub(in crate::session) fn end_channel(
        &mut self,
        key: ChannelKey,
        reason: Arc<CloseReason>,
        closed: bool,
    ) {
        let Some(channel) = self.channels.get(key) else { return };
        let reason = channel.close_reason().cloned().unwrap_or(reason);
        self.effects.counts.touch();
        // Those that end with their connection are not told of one by one, nor is what nobody was told to be open.
        let known = !channel.own
            && !std::mem::take(&mut channel.reopening)
            && (channel.is_live() || channel.restoring().is_some());
        let tell = known && matches!(reason.scope(), Scope::Channel(_));
        channel.set_offsets();
        if let Some(coalescer) = channel.coalescer.take() {
            channel.acks_lost = coalescer.holds();
            channel.coalesced = Some(coalescer.wishes());
        }
        channel.phase = match closed {
            true => ChannelPhase::Closed(reason.clone()),
            false => ChannelPhase::Closing(reason.clone()),
        };
        let calls = std::mem::take(&mut channel.calls);
        channel.giving = Vec::new();
        let mut starts = Vec::new();
        for consumer in channel.consumers.iter_mut() {
            if consumer.end.is_none() {
                consumer.end = Some(ConsumerEnd::Closed(reason.clone()));
                consumer.restart = consumer.start.clone();
            }
            if is_being_started(consumer, &calls) {
                // Its handle is not given out any more.
                consumer.phase = ConsumerPhase::Cancelled;
            }
            starts.extend(consumer.start.take());
            self.effects.wake(consumer.waker.take());
            // Nothing more comes.
            consumer.backlog.unpace(&mut self.crowd);
            if !consumer.no_ack {
                // They went back to the queue with the channel.
                let gone = consumer.backlog.clear(&mut self.crowd);
                if let (Some(bodies), Some(first)) =
                    (&mut channel.bodies, gone.iter().flatten().next())
                {
                    let (crowd, effects) = (&mut self.crowd, &mut self.effects);
                    bodies.discard_unseen(consumer.id, first.delivery_tag, crowd, effects);
                }
                self.effects.discard(Garbage::Deliveries(gone));
            }
        }
        if let Some(bodies) = &mut channel.bodies {
            bodies.end(&reason, &mut self.crowd, &mut self.effects);
        }
        if let Some(confirms) = &mut channel.confirms {
            confirms.end(&reason, &mut self.effects);
        }
        self.keep_strays(key);
        // Those that wait for room must not wait on for a channel that is over.
        if !self.is_ending() {
            self.effects.wake_all(self.room.take_wakers());
        }
        self.end_line(key);
        let Some(channel) = self.channels.get(key) else { return };
        self.effects.wake_all(channel.gate.take_all().chain(channel.return_waiters.take_all()));
        self.effects.wake_all(channel.answer_waiters.take_all().chain(channel.source.take()));
        self.effects
            .wake_all(channel.close_waiters.take_all().chain(channel.settle_waiters.take_all()));
        if closed {
            // A content under way is completed: the peer would take the next frames for its body.
            if channel.large.is_empty() {
                self.channels.retire(key);
            }
        }
        self.wake_unasked(key);
        if tell {
            let told = reason.clone();
            self.effects.log(Level::DEBUG, move || {
                tracing::debug!(channel = key.id, reason = %told, "a channel is over");
            });
            self.record(|| Event::ChannelClosed { channel: key.id, reason: reason.clone() });
        }
        if tell || self.is_coming_back() {
            // Its connection goes on without it.
            starts.into_iter().for_each(|start| self.note_unconsumed(Some(start)));
        }
        self.fail_calls(calls, &Error::closed(reason));
        self.consumer_caught_up();
        self.notify_driver();
    }

    /// Frees the number of a closed channel whose large content has been handed over.
    pub(in crate::session) fn retire_if_closed(&mut self, id: u16) {
        if let Some(channel) = self.channels.by_id(id)
            && channel.is_closed()
        {
            let key = channel.key;
            // It may be reopened from now on.
            self.effects.wake_all(channel.close_waiters.take_all());
            self.channels.retire(key);
        }
    }
}
