//! The loss of the connection as a pause: what stays of it and of its channels until another transport comes.
//!
//! ```text
//!              any end but our own             resume                     restored
//!  connection: Open ----------------> Lost ------------> Open
//!  channel:    Open ----------------> Restoring(Waiting) -> (Opening) -> (Live) ----> Open
//! ```
//!
//! A loss does to a channel what `basic.recover` does, and then some: nothing that was delivered can be settled, calls
//! fail, confirmations are unknown. Numbers of deliveries and publishes go on, and are counted anew on the wire
//! (`tag_base`, `wire_base`), so that none ever means two. Only connections with a policy come back. Called by `close`
//! and by the supervisor of [`crate::recovery`]; `restore` is what that sends, `record` what it learns to send from.

mod record;
pub(crate) mod reopen;
pub(crate) mod restore;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;

use tokio::time::Instant;
use tracing::Level;

use crate::error::{CloseCause, CloseReason, Error, Initiator, Result, Scope};
use crate::options::{Tuning, WhileBlocked};
use crate::outcome::{ConsumerEnd, Event, Topology};
use crate::session::calls::pending::{PendingCall, Undo};
use crate::session::channel::{ChannelKey, ChannelPhase, ChannelState, Restoring, Sent};
use crate::session::consume::consumer::{ConsumerState, Phase as ConsumerPhase};
use crate::session::stream::Streaming;
use crate::session::timers::Heartbeat;
use crate::session::{Caller, Garbage, Phase, Place, Session};

/// What a connection keeps that comes back.
pub(in crate::session) struct Recovering {
    /// What publishes do meanwhile.
    publishes: WhileBlocked,
    topology: Topology,
    /// The secret that the broker has taken in place of the one that the connection was opened with.
    secret: Option<String>,
    /// What is sent now restores, and is no news.
    silent: bool,
    /// How it was lost last, and where the outbox ended then.
    lost: Option<(Arc<CloseReason>, u64)>,
}

/// What a channel has that is restored.
#[derive(Default)]
pub(crate) struct Restored {
    pub(crate) consumers: usize,
    /// Messages that are published again.
    pub(crate) messages: usize,
}

impl ChannelState {
    /// Whether it comes back when its connection does. A transaction is lost with it, and so is a body that was on its
    /// way: such a channel ends.
    pub(in crate::session) fn comes_back(&self) -> bool {
        let live = self.is_open() || self.restoring().is_some();
        let wanted = !self.own && !self.released && !self.reopening;
        live && wanted && !self.tx && !self.is_publishing_stream()
    }
}

/// Whether the call that starts a consumer is on its way. It fails with its channel; one that restores the consumer does
/// not count.
pub(in crate::session) fn is_being_started(
    consumer: &ConsumerState,
    calls: &VecDeque<PendingCall>,
) -> bool {
    calls.iter().any(|it| it.undo == Undo::Cancel && it.consumer == Some(consumer.id))
}

impl Session {
    /// From now on the connection comes back when it is lost.
    pub(crate) fn set_recovery(&mut self, publishes: WhileBlocked) {
        let topology = Topology::default();
        self.recovery = Some(Box::new(Recovering {
            publishes,
            topology,
            secret: None,
            silent: false,
            lost: None,
        }));
    }

    /// Whether the connection is lost and another transport is to come.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self.phase, Phase::Lost(_))
    }

    /// How it was lost, while it is.
    pub(crate) fn lost_reason(&self) -> Option<&Arc<CloseReason>> {
        match &self.phase {
            Phase::Lost(reason) => Some(reason),
            _ => None,
        }
    }

    /// Whether something of it is not back yet.
    pub(crate) fn is_recovering(&mut self) -> bool {
        self.is_coming_back()
            || self.channels.iter_mut().any(|it| it.restoring().is_some() && !it.reopening)
    }

    /// Whether what ends so comes back.
    pub(in crate::session) fn comes_back_from(&self, reason: &CloseReason) -> bool {
        self.recovery.is_some() && reason.initiator() != Initiator::Application
    }

    /// Whether the connection is lost, or about to be, and comes back then.
    pub(in crate::session) fn is_coming_back(&self) -> bool {
        match &self.phase {
            Phase::Lost(_) => true,
            Phase::Closing(reason) => self.comes_back_from(reason),
            _ => false,
        }
    }

    /// The application ends the connection. If we are closing it already, of ourselves, it does not come back from that.
    pub(in crate::session) fn stay_closed(&mut self) {
        if let Phase::Closing(reason) = &self.phase
            && self.recovery.is_some()
        {
            let reason = reason.clone();
            self.recovery = None;
            self.end_everything(&reason);
        }
    }

    /// How the octets up to this position were lost.
    pub(in crate::session) fn lost_before(&self, position: u64) -> Option<Arc<CloseReason>> {
        let (reason, lost_to) = self.recovery.as_ref()?.lost.as_ref()?;
        (position <= *lost_to).then(|| reason.clone())
    }

    /// The transport is of no use any more.
    pub(in crate::session) fn lose(&mut self, reason: Arc<CloseReason>) {
        self.phase = Phase::Lost(reason.clone());
        self.effects.counts.ended(false);
        self.republishing.clear();
        let position = self.outbox.position();
        if let Some(recovery) = &mut self.recovery {
            recovery.lost = Some((reason.clone(), position));
        }
        self.record(|| Event::Recovering { reason: reason.clone() });
        self.effects.log(Level::WARN, move || tracing::warn!(%reason, "the connection is lost"));
        self.wake_flush_waiters();
        self.notify_driver();
    }

    /// The connection is given up; it ends for the reason for which it was lost.
    pub(crate) fn give_up_recovery(&mut self) {
        self.recovery = None;
        if let Phase::Lost(reason) = &self.phase {
            let reason = reason.clone();
            self.phase = Phase::Closed(reason.clone());
            self.end_everything(&reason);
            self.finish(reason);
        }
    }

    /// Nobody brings the connection back any more, nor moves its octets: its runtime has shut down, as a rule.
    pub(crate) fn handle_supervisor_gone(&mut self) {
        self.recovery = None;
        if self.is_lost() {
            let text = "the connection was being recovered, and its runtime shut down";
            self.terminate(CloseReason::new(Scope::Connection, CloseCause::DriverDropped, text));
        }
        self.handle_driver_gone();
    }

    /// What the program has given for recovery has panicked: this of it.
    pub(crate) fn handle_recovery_panicked(&mut self, what: &'static str) {
        let lost = self.recovery.take().and_then(|recovery| recovery.lost);
        let mut text = format!("the connection was being recovered, and {what} panicked");
        if let Some((reason, _)) = lost {
            text = format!("{text}; it had been lost: {reason}");
        }
        self.terminate(CloseReason::new(Scope::Connection, CloseCause::RecoveryPanicked, text));
    }

    /// Another transport has been opened. False if nobody wants it any more.
    pub(crate) fn resume(&mut self, tuning: Tuning, now: Instant) -> bool {
        let Phase::Lost(_) = self.phase else { return false };
        self.tuning = tuning;
        self.heartbeat = Heartbeat::new(tuning.heartbeat, now);
        self.outbox.restart();
        (self.close_deadline, self.pause, self.answers) = (None, None, 0);
        self.phase = Phase::Open;
        self.effects.counts.reopened();
        self.wake_every_room();
        self.channels.set_max(tuning.channel_max);
        for key in self.channels.keys() {
            if key.id > tuning.channel_max {
                let text = "the broker allows fewer channels than before";
                let cause = CloseCause::LimitExceeded;
                let reason = CloseReason::new(Scope::Channel(key.id), cause, text);
                self.end_channel(key, Arc::new(reason), true);
            }
        }
        true
    }

    /// A channel loses everything that the peer knew of it, and waits to be restored.
    pub(in crate::session) fn suspend_channel(
        &mut self,
        key: ChannelKey,
        reason: &Arc<CloseReason>,
    ) {
        let (assembler, epoch) = (self.options.assembler(), self.channels.next_epoch());
        let Some(channel) = self.channels.get(key) else { return };
        if channel.is_live() {
            channel.epoch_before = std::mem::replace(&mut channel.epoch, epoch);
        }
        channel.phase = ChannelPhase::Restoring(Restoring::Waiting, reason.clone());
        channel.lost = Some(reason.clone());
        self.effects.counts.touch();
        channel.assembler = assembler;
        channel.unanswered = Vec::new();
        channel.giving = Vec::new();
        (channel.left, channel.give_by, channel.recovering) = (None, None, 0);
        // A ticket is a right of the incarnation that it was given to.
        (channel.sent, channel.ticket) = (Sent::Nothing, 0);
        channel.set_offsets();
        let last = channel.last_tag;
        (channel.tag_base, channel.recovered_to, channel.settled_to) = (last, last, last);
        if let Some(coalescer) = &mut channel.coalescer {
            coalescer.settle_to(last);
        }
        if let Some(confirms) = &mut channel.confirms {
            confirms.break_off(key.id, reason, &mut self.effects);
        }
        let resumed = channel.flow.set_active(true);
        channel.gate.revoke();
        self.effects.wake_all(channel.gate.take_wakers().chain(channel.answer_waiters.take_all()));
        let calls = std::mem::take(&mut channel.calls);
        if let Some(bodies) = &mut channel.bodies {
            bodies.break_off(reason, &mut self.crowd, &mut self.effects);
        }
        self.suspend_consumers(key, &calls);
        self.keep_strays(key);
        self.suspend_line(key);
        self.void_in_flight(key);
        self.fail_calls(calls, &Error::closed(reason.clone()));
        self.consumer_caught_up();
        if resumed {
            self.record(|| Event::FlowResumed { channel: key.id });
        }
    }

    /// The peer knows no consumer any more. Those that are read go on; those that were being cancelled are that.
    fn suspend_consumers(&mut self, key: ChannelKey, calls: &VecDeque<PendingCall>) {
        let Some(channel) = self.channels.get(key) else { return };
        for consumer in channel.consumers.iter_mut() {
            consumer.gathers = false;
            consumer.unread.void();
            if consumer.no_ack {
                consumer.part_backlog(channel.epoch_before, &mut self.crowd);
            } else {
                let gone = consumer.backlog.clear(&mut self.crowd);
                self.effects.discard(Garbage::Deliveries(gone));
                if let Some(bodies) = &mut channel.bodies {
                    bodies.discard_unclaimed(consumer.id, &mut self.crowd, &mut self.effects);
                }
            }
            consumer.phase = match consumer.phase {
                ConsumerPhase::Active | ConsumerPhase::Requested
                    if consumer.end.is_none() && !is_being_started(consumer, calls) =>
                {
                    ConsumerPhase::Requested
                }
                _ => ConsumerPhase::Cancelled,
            };
            if consumer.phase == ConsumerPhase::Cancelled {
                consumer.end.get_or_insert(ConsumerEnd::Cancelled);
                self.effects.wake(consumer.waker.take());
            }
        }
        let crowd = &mut self.crowd;
        channel.consumers.retain_mut(|it| {
            let kept = it.phase == ConsumerPhase::Requested || (it.owned && it.claimed);
            if !kept {
                it.backlog.unpace(crowd);
            }
            kept
        });
    }

    /// The channel is as it was: whoever waits may go on.
    pub(crate) fn restored(&mut self, key: ChannelKey) -> Restored {
        let Some(channel) = self.channels.get(key) else { return Restored::default() };
        if channel.restoring() != Some(Restoring::Live) {
            return Restored::default();
        }
        let consuming = channel.consumers.iter().any(|consumer| consumer.streamed);
        channel.phase = match consuming {
            true => ChannelPhase::Streaming(Streaming { consuming, ..Streaming::default() }),
            false => ChannelPhase::Open,
        };
        self.effects.counts.touch();
        let active = |consumer: &&ConsumerState| consumer.phase == ConsumerPhase::Active;
        let restored = Restored {
            consumers: channel.consumers.iter().filter(active).count(),
            messages: channel.republishing(),
        };
        if std::mem::take(&mut channel.reopening) {
            let epoch = channel.epoch;
            self.record(|| Event::ChannelReopened { channel: key.id, epoch });
        }
        if let Some(channel) = self.channels.get(key) {
            self.effects.wake_all(channel.close_waiters.take_all());
        }
        self.begin_republishing(key);
        self.wake_gate(key);
        restored
    }

    /// Waits until a channel whose connection was lost is back.
    pub(crate) fn poll_back(
        &mut self,
        key: ChannelKey,
        ticket: &mut Option<u64>,
        waker: &dyn Caller,
    ) -> Poll<Result<()>> {
        let key = self.channels.current(key);
        let coming = self.is_coming_back();
        let waiting = self.channels.get(key).filter(|channel| {
            !channel.reopening && (channel.restoring().is_some() || coming && channel.is_open())
        });
        let Some(channel) = waiting else {
            return Poll::Ready(self.check_open().and_then(|()| self.open_channel(key).map(drop)));
        };
        let old = channel.close_waiters.stay(ticket, waker);
        self.effects.discard_waker(old);
        Poll::Pending
    }

    /// A publish on a channel that is not open: it waits until that is restored, if it is to, or fails.
    #[cold]
    pub(in crate::session) fn wait_for_recovery(
        &mut self,
        key: ChannelKey,
        place: &mut Place,
        waker: Option<&dyn Caller>,
        error: Error,
    ) -> Poll<Result<()>> {
        let waits = self.recovery.as_ref().is_some_and(|it| it.publishes == WhileBlocked::Wait);
        if !matches!(place, Place::Gate(_)) {
            self.leave(key, place);
        }
        let channel = self.channels.get(key).filter(|it| waits && it.restoring().is_some());
        let (Some(channel), Some(waker)) = (channel, waker) else {
            self.leave(key, place);
            return Poll::Ready(Err(error));
        };
        let ticket = match *place {
            Place::Gate(ticket) => Some(ticket),
            _ => None,
        };
        let (ticket, old) = channel.gate.wait(ticket, 1, waker);
        self.effects.discard_waker(old);
        *place = Place::Gate(ticket);
        Poll::Pending
    }
}
