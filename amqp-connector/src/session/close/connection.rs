//! How the connection ends: by a close of ours or the peer's, or because the transport or the driver is gone.
//!
//! Called by handles, by `incoming`, by the clock and by the driver. Ends all channels with it, for its reason, and
//! sends nothing after the last word to the peer.

use std::io;
use std::sync::Arc;
use std::task::Poll;

use amqp_types::Method as _;
use amqp_types::protocol::{ReplyCode, connection};
use tokio::time::Instant;
use tracing::Level;

use crate::error::{CloseCause, CloseReason, Error, Initiator, Scope};
use crate::outcome::Event;
use crate::session::calls::unsent::UnsentCalls;
use crate::session::close::{blamed, dropped, short};
use crate::session::timers::after;
use crate::session::{Caller, Garbage, Phase, Session};

impl Session {
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
        self.stay_closed();
        if self.close_reason().is_some() {
            return;
        }
        if let Phase::Lost(_) = self.phase {
            return self.terminate(dropped(Scope::Connection));
        }
        let code = ReplyCode::REPLY_SUCCESS;
        self.begin_close(dropped(Scope::Connection).with_code(code), code, None);
    }

    /// Closes the connection because the peer broke a rule of the protocol.
    pub(in crate::session) fn violation(
        &mut self,
        code: ReplyCode,
        text: String,
        method: Option<&'static str>,
    ) {
        self.close_because(CloseCause::ProtocolViolation, code, text, method);
    }

    /// Closes the connection because of something that the library noticed.
    pub(in crate::session) fn close_because(
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

    pub(in crate::session) fn begin_close(
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
        if !matches!(self.phase, Phase::Open) && self.close_deadline.is_none() {
            self.close_deadline = Some(after(now, self.options.close_timeout));
        }
    }

    /// The peer closed the connection.
    pub(in crate::session) fn handle_close(&mut self, close: &connection::Close) {
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
    pub(in crate::session) fn handle_close_ok(&mut self) {
        if let Phase::Closing(reason) = &self.phase {
            let reason = reason.clone();
            self.finish(reason);
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
        if !self.is_closed() && !self.is_lost() {
            let text = "the connection's driver was dropped, or its runtime shut down";
            self.terminate(CloseReason::new(Scope::Connection, CloseCause::DriverDropped, text));
        }
        self.drop_output();
        if !self.is_lost() {
            self.driver_gone = true;
            self.effects.wake_all(self.finish_waiters.take_all());
        }
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

    /// Ends the connection at once; the outbox is still written if the transport lives. If it is to be recovered, only
    /// the application's own end is one.
    pub(in crate::session) fn terminate(&mut self, reason: CloseReason) {
        let reason = match &self.phase {
            Phase::Open => Arc::new(reason),
            Phase::Lost(_) if !self.comes_back_from(&reason) => Arc::new(reason),
            Phase::Draining(first) | Phase::Closing(first) => {
                self.effects.discard(Garbage::Reason(Box::new(reason)));
                first.clone()
            }
            Phase::Lost(_) | Phase::Closed(_) => {
                return self.effects.discard(Garbage::Reason(Box::new(reason)));
            }
        };
        self.close_behind = None;
        self.cut_off(reason);
    }

    fn cut_off(&mut self, reason: Arc<CloseReason>) {
        self.phase = match self.comes_back_from(&reason) {
            true => Phase::Lost(reason.clone()),
            false => Phase::Closed(reason.clone()),
        };
        self.end_everything(&reason);
        self.finish(reason);
    }

    /// Nothing more comes on this transport: the connection is over, or lost.
    pub(in crate::session) fn finish(&mut self, reason: Arc<CloseReason>) {
        if self.comes_back_from(&reason) {
            return self.lose(reason);
        }
        self.phase = Phase::Closed(reason);
        self.wake_closed();
    }

    /// The close took too long.
    pub(crate) fn give_up_closing(&mut self) {
        match &self.phase {
            Phase::Closing(reason) => {
                let reason = reason.clone();
                self.finish(reason);
            }
            Phase::Draining(reason) => {
                let reason = reason.clone();
                self.cut_off(reason);
            }
            Phase::Open | Phase::Lost(_) | Phase::Closed(_) => {}
        }
    }

    /// Ends the connection without a word to the peer.
    pub(crate) fn abort(&mut self) {
        self.stay_closed();
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

    pub(in crate::session) fn end_everything(&mut self, reason: &Arc<CloseReason>) {
        self.drop_streams(false);
        let comes_back = self.comes_back_from(reason);
        for key in self.channels.keys() {
            match comes_back && self.channels.get(key).is_some_and(|channel| channel.comes_back()) {
                true => self.suspend_channel(key, reason),
                false => self.end_channel(key, reason.clone(), true),
            }
        }
        let control = std::mem::take(&mut self.control);
        self.fail_calls(control, &Error::connection_closed(reason.clone()));
        self.unsent = UnsentCalls::default();
        self.forget_block(comes_back);
        self.pause = None;
        self.drain_until = None;
        self.drains = Vec::new();
        match comes_back {
            true => self.suspend_room(),
            false => self.effects.wake_all(self.room.take_all()),
        }
        self.wake_flush_waiters();
        self.notify_driver();
    }

    fn log_closed(&mut self, reason: Arc<CloseReason>) {
        match reason.initiator() {
            Initiator::Application => self.effects.log(Level::INFO, move || {
                tracing::info!(%reason, "the connection is closed");
            }),
            _ => self.effects.log(Level::WARN, move || {
                tracing::warn!(%reason, "the connection has ended");
            }),
        }
    }

    fn wake_closed(&mut self) {
        if let Phase::Closed(reason) = &self.phase {
            let reason = reason.clone();
            self.effects.counts.ended(reason.initiator() == Initiator::Application);
            self.log_closed(reason.clone());
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
