//! Ending channels and the connection: by us, by the peer, or because the transport is gone.
//!
//! Each ending has one reason, the first; whoever waits for anything of the ended channel or connection
//! gets it. Closing is idempotent and bounded.

use std::io;
use std::sync::Arc;
use std::task::Poll;

use amqp_types::protocol::{self, ReplyCode, channel, connection};
use amqp_types::{Method as _, ShortStr};
use tokio::time::Instant;

use crate::error::{CloseCause, CloseReason, Error, Initiator, Scope};
use crate::outcome::ConsumerEnd;
use crate::outcome::Event;
use crate::session::Caller;
use crate::session::channel::{ChannelKey, ChannelPhase};
use crate::session::timers::after;
use crate::session::{Garbage, Phase, Session};

impl Session {
    /// Closes a channel for the application, with nothing graceful about it.
    #[cfg(test)]
    pub(crate) fn close_channel(&mut self, key: ChannelKey, code: ReplyCode, text: &str) {
        let reason =
            CloseReason::new(Scope::Channel(key.id), CloseCause::Requested, text).with_code(code);
        self.begin_close_channel(key, reason, code);
    }

    /// Closes a channel because of something that the library noticed.
    pub(super) fn close_channel_because(&mut self, key: ChannelKey, reason: CloseReason) {
        let code = reason.code().unwrap_or(ReplyCode::CHANNEL_ERROR);
        self.begin_close_channel(key, reason, code);
    }

    pub(super) fn begin_close_channel(
        &mut self,
        key: ChannelKey,
        reason: CloseReason,
        code: ReplyCode,
    ) {
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
        match self.channels.get(key) {
            Some(channel) => match channel.ended() {
                Some(reason) => Poll::Ready(Some(reason.clone())),
                None => {
                    let old = channel.close_waiters.stay(ticket, waker);
                    self.effects.discard_waker(old);
                    Poll::Pending
                }
            },
            None => Poll::Ready(None),
        }
    }

    /// Waits until a channel's number is free again, or the connection is gone.
    pub(crate) fn poll_channel_closed(
        &mut self,
        key: ChannelKey,
        ticket: &mut Option<u64>,
        waker: &dyn Caller,
    ) -> Poll<()> {
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
        } else if channel.is_open() {
            let (scope, code) = (Scope::Channel(key.id), ReplyCode::REPLY_SUCCESS);
            self.begin_close_channel(key, dropped(scope).with_code(code), code);
        }
    }

    /// The peer closed a channel.
    pub(super) fn handle_channel_close(&mut self, key: ChannelKey, close: &channel::Close) {
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
        let completed = self.complete_stream(key, true);
        if completed {
            self.answer_channel_close(key);
        }
        self.end_channel(key, reason.clone(), true);
        if !completed {
            self.close_for_stream(key, &reason);
        }
    }

    pub(super) fn answer_channel_close(&mut self, key: ChannelKey) {
        // It has no arguments, so it always fits.
        let _ = self.send_method(key.id, &channel::CloseOk::default().into_any());
    }

    /// Our close was answered: the number is free.
    pub(super) fn handle_channel_close_ok(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get(key) else { return };
        if let ChannelPhase::Closing(reason) = &channel.phase {
            let reason = reason.clone();
            self.end_channel(key, reason, true);
        }
    }

    /// Gives everybody who waits on the channel the reason. With `closed` its number becomes free.
    fn end_channel(&mut self, key: ChannelKey, reason: Arc<CloseReason>, closed: bool) {
        let Some(channel) = self.channels.get(key) else { return };
        let reason = channel.close_reason().cloned().unwrap_or(reason);
        // Those that end with their connection are not told of one by one.
        let tell = channel.is_live() && matches!(reason.scope(), Scope::Channel(_));
        if let Some(coalescer) = channel.coalescer.take() {
            channel.acks_lost = coalescer.holds();
        }
        channel.phase = match closed {
            true => ChannelPhase::Closed(reason.clone()),
            false => ChannelPhase::Closing(reason.clone()),
        };
        let calls = std::mem::take(&mut channel.calls);
        channel.giving = Vec::new();
        for consumer in channel.consumers.iter_mut() {
            consumer.end.get_or_insert(ConsumerEnd::Closed(reason.clone()));
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
            self.record(|| Event::ChannelClosed { channel: key.id, reason: reason.clone() });
        }
        self.fail_calls(calls, &Error::closed(reason));
        self.consumer_caught_up();
        self.notify_driver();
    }

    /// Frees the number of a closed channel whose large content has been handed over.
    pub(super) fn retire_if_closed(&mut self, id: u16) {
        if let Some(channel) = self.channels.by_id(id)
            && channel.is_closed()
        {
            let key = channel.key;
            self.channels.retire(key);
        }
    }

    /// Closes the connection for the application, with nothing graceful about it.
    #[cfg(test)]
    pub(crate) fn close(&mut self, code: ReplyCode, text: &str, deadline: Option<Instant>) {
        if self.close_reason().is_some() {
            return;
        }
        let reason =
            CloseReason::new(Scope::Connection, CloseCause::Requested, text).with_code(code);
        self.begin_close(reason, code, deadline);
    }

    /// The last handle of the connection is gone.
    pub(crate) fn release(&mut self) {
        if self.close_reason().is_some() {
            return;
        }
        let code = ReplyCode::REPLY_SUCCESS;
        self.begin_close(dropped(Scope::Connection).with_code(code), code, None);
    }

    /// Closes the connection because the peer broke a rule of the protocol.
    pub(super) fn violation(
        &mut self,
        code: ReplyCode,
        text: String,
        method: Option<&'static str>,
    ) {
        self.close_because(CloseCause::ProtocolViolation, code, text, method);
    }

    /// Closes the connection because of something that the library noticed.
    pub(super) fn close_because(
        &mut self,
        cause: CloseCause,
        code: ReplyCode,
        text: String,
        method: Option<&'static str>,
    ) {
        if self.is_ending() {
            return;
        }
        let reason =
            CloseReason::new(Scope::Connection, cause, text).with_code(code).with_method(method);
        self.begin_close(reason, code, None);
    }

    pub(super) fn begin_close(
        &mut self,
        reason: CloseReason,
        code: ReplyCode,
        deadline: Option<Instant>,
    ) {
        for key in self.channels.keys() {
            self.write_acks(key);
        }
        let at_once = reason.initiator() != Initiator::Application;
        self.drop_streams(at_once);
        let close = connection::Close {
            reply_code: code.0,
            reply_text: short(reason.text()),
            ..Default::default()
        };
        if !at_once && self.outbox.has_large() {
            self.close_behind = Some(close);
            self.notify_driver();
        } else {
            let _ = self.send_control(&close.into_any());
        }
        let told = matches!(self.phase, Phase::Draining(_));
        let reason = match &self.phase {
            // The first reason wins, and has its deadline.
            Phase::Draining(first) => first.clone(),
            _ => {
                // Without one yet, the next look at the clock sets it.
                self.close_deadline = deadline;
                Arc::new(reason)
            }
        };
        self.phase = Phase::Closing(reason.clone());
        if !told {
            self.record(|| Event::Closing { reason: reason.clone() });
        }
        self.end_everything(&reason);
    }

    /// Sets the deadline of a close that began where no clock was at hand.
    pub(crate) fn ensure_close_deadline(&mut self, now: Instant) {
        if self.close_reason().is_some() && self.close_deadline.is_none() {
            self.close_deadline = Some(after(now, self.options.close_timeout));
        }
    }

    /// The peer closed the connection.
    pub(super) fn handle_close(&mut self, close: &connection::Close) {
        let blamed = blamed(close.class_id, close.method_id);
        let place = blamed.and_then(|name| self.blamed_place(None, name));
        let publishes = self.publishes_at_close(None, blamed, &close.reply_text);
        let text = close.reply_text.to_string_lossy();
        let reason = CloseReason::new(Scope::Connection, CloseCause::PeerClosed, text)
            .with_code(ReplyCode(close.reply_code))
            .with_method(blamed)
            .with_place(place)
            .with_publishes(publishes);
        // Nothing may follow the close-ok, and nobody would read what is before it.
        self.drop_output();
        let _ = self.send_control(&connection::CloseOk::default().into_any());
        self.terminate(reason);
    }

    /// Our close was answered.
    pub(super) fn handle_close_ok(&mut self) {
        if let Phase::Closing(reason) = &self.phase {
            self.phase = Phase::Closed(reason.clone());
            self.wake_closed();
        }
    }

    /// The transport ended or failed.
    pub(crate) fn handle_io_end(&mut self, error: Option<io::Error>) {
        let reason = self.heartbeat.reason_of_end(error);
        self.terminate(reason);
    }

    /// An error of the transport that is nobody's reason.
    pub(crate) fn discard_io_error(&mut self, error: Option<io::Error>) {
        if let Some(error) = error {
            self.effects.discard(Garbage::Io(error));
        }
    }

    /// The peer sent octets that are no frame.
    pub(crate) fn handle_frame_error(&mut self, error: &amqp_types::FrameError) {
        self.violation(ReplyCode::FRAME_ERROR, error.to_string(), None);
    }

    /// The driver is dropped: nothing can be sent or received any more.
    pub(crate) fn handle_driver_gone(&mut self) {
        if !self.is_closed() {
            let text = "the connection's driver was dropped, or its runtime shut down";
            self.terminate(CloseReason::new(Scope::Connection, CloseCause::DriverDropped, text));
        }
        self.drop_output();
        self.driver_gone = true;
        self.effects.wake_all(self.finish_waiters.take_all());
    }

    /// Waits until the driver has let go of the transport.
    pub(crate) fn poll_finished(
        &mut self,
        ticket: &mut Option<u64>,
        waker: &dyn Caller,
    ) -> Poll<()> {
        if self.driver_gone {
            return Poll::Ready(());
        }
        let old = self.finish_waiters.stay(ticket, waker);
        self.effects.discard_waker(old);
        Poll::Pending
    }

    /// Ends the connection at once; the outbox is still written if the transport lives.
    pub(super) fn terminate(&mut self, reason: CloseReason) {
        let reason = match &self.phase {
            Phase::Open => Arc::new(reason),
            Phase::Draining(first) | Phase::Closing(first) => {
                self.effects.discard(Garbage::Reason(Box::new(reason)));
                first.clone()
            }
            Phase::Closed(_) => return self.effects.discard(Garbage::Reason(Box::new(reason))),
        };
        self.phase = Phase::Closed(reason.clone());
        self.close_behind = None;
        self.end_everything(&reason);
        self.wake_closed();
    }

    /// The close took too long.
    pub(crate) fn give_up_closing(&mut self) {
        match &self.phase {
            Phase::Closing(reason) => {
                self.phase = Phase::Closed(reason.clone());
                self.wake_closed();
            }
            Phase::Draining(reason) => {
                let reason = reason.clone();
                self.phase = Phase::Closed(reason.clone());
                self.end_everything(&reason);
                self.wake_closed();
            }
            Phase::Open | Phase::Closed(_) => {}
        }
    }

    /// Ends the connection without a word to the peer.
    pub(crate) fn abort(&mut self) {
        self.terminate(CloseReason::new(Scope::Connection, CloseCause::Aborted, "aborted"));
        self.drop_output();
        self.aborted = true;
    }

    /// Gives up what was not written, large bodies too.
    pub(crate) fn drop_output(&mut self) {
        for channel in self.channels.iter_mut() {
            let large = std::mem::take(&mut channel.large);
            channel.large_octets = 0;
            self.effects.discard(Garbage::Large(large));
        }
        // Those that only waited for their large content to be handed over.
        for key in self.channels.keys() {
            self.retire_if_closed(key.id);
        }
        let chunks = self.outbox.clear();
        self.effects.discard(Garbage::Chunks(chunks));
        self.wake_flush_waiters();
    }

    fn end_everything(&mut self, reason: &Arc<CloseReason>) {
        self.drop_streams(false);
        for key in self.channels.keys() {
            self.end_channel(key, reason.clone(), true);
        }
        let control = std::mem::take(&mut self.control);
        self.fail_calls(control, &Error::connection_closed(reason.clone()));
        self.forget_block();
        self.pause = None;
        self.drain_until = None;
        self.drains = Vec::new();
        self.effects.wake_all(self.room.take_all());
        self.wake_flush_waiters();
        self.notify_driver();
    }

    fn wake_closed(&mut self) {
        if let Phase::Closed(reason) = &self.phase {
            let reason = reason.clone();
            self.record(|| Event::Closed { reason });
        }
        self.effects.wake_all(self.close_waiters.take_all());
        self.notify_driver();
    }

    /// Waits until the connection is over, and gives the reason.
    pub(crate) fn poll_closed(
        &mut self,
        ticket: &mut Option<u64>,
        waker: &dyn Caller,
    ) -> Poll<Arc<CloseReason>> {
        if let Phase::Closed(reason) = &self.phase {
            return Poll::Ready(reason.clone());
        }
        let old = self.close_waiters.stay(ticket, waker);
        self.effects.discard_waker(old);
        Poll::Pending
    }
}

/// Nobody can ask for anything any more.
fn dropped(scope: Scope) -> CloseReason {
    CloseReason::new(scope, CloseCause::HandlesDropped, "last handle dropped")
}

/// The method that a close names.
fn blamed(class_id: u16, method_id: u16) -> Option<&'static str> {
    protocol::INFO.method_by_id(class_id, method_id).map(|method| method.full_name)
}

/// As much of `text` as a short string holds.
fn short(text: &str) -> ShortStr {
    let mut end = text.len().min(ShortStr::MAX_LEN);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).and_then(|text| ShortStr::try_from(text).ok()).unwrap_or_default()
}
