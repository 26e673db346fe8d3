//! The whole protocol of one connection as a state machine, without I/O, clock or async.
//!
//! Inputs are frames ([`Session::handle_frame`]), the passing of time ([`Session::handle_timeout`]), the
//! end of the transport ([`Session::handle_io_end`]) and operations of handles (publish, call, settle,
//! close). Outputs are octets in the [`Outbox`], the next deadline ([`Session::poll_timeout`]), and
//! [`Effects`] to run after unlocking. Handles and the driver share it behind one lock
//! ([`Shared`](crate::shared::Shared)); nothing here wakes, drops a user's value, waits or knows a socket.
//! The first reason that ends a channel or the connection wins, and every waiter gets it.

mod blocked;
mod caller;
mod calls;
mod channel;
mod close;
mod consume;
mod counted;
mod effects;
mod events;
mod incoming;
#[cfg(feature = "testing")]
mod leftovers;
mod output;
mod publish;
mod recovery;
mod shutdown;
mod stream;
#[cfg(test)]
mod tests;
mod ticket;
mod timers;
mod unasked;
mod unreadable;
mod wait;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Poll, Waker};

use amqp_types::content::Assembler;
use amqp_types::protocol::{Spec, connection};
use tokio::time::Instant;

pub(crate) use caller::{Asking, Caller, Ready};
pub(crate) use calls::pending::{CallOptions, CallReply};
pub(crate) use calls::{CONTROL, CallId};
pub(crate) use channel::ChannelKey;
pub(crate) use consume::backlog::Queued;
pub(crate) use consume::in_flight::InFlight;
pub(crate) use consume::settle::Settle;
pub(crate) use consume::unread::{Keeps, Unread};
pub(crate) use effects::{Due, Effects, Garbage};
#[cfg(feature = "testing")]
pub use leftovers::Leftovers;
pub(crate) use output::chunk::{Chunk, Segment, WriteQueue};
pub(crate) use publish::{Accepted, Awaited, Claimed, Message, Place};
pub(crate) use recovery::reopen::Reopening;
pub(crate) use recovery::restore::{Lasting, Restart};
pub(crate) use stream::outgoing::StreamHead;
pub(crate) use timers::after;

use self::blocked::BlockWatch;
use self::calls::pending::{CallSlot, PendingCall};
use self::calls::unsent::UnsentCalls;
use self::channel::{ChannelPhase, ChannelState, ChannelTable};
use self::consume::backlog::Crowd;
use self::consume::give_back::SENT_BACK_MAX;
use self::consume::hold::Hold;
use self::events::Subscribers;
use self::output::outbox::Outbox;
use self::publish::admission::Admission;
use self::recovery::Recovering;
use self::stream::Streaming;
use self::timers::{Alarms, Heartbeat};
use self::wait::WaitList;
use crate::error::{CloseReason, Error, Result};
use crate::options::{Options, Tuning};
use crate::outcome::ServerProperties;

/// How far the connection is.
pub(crate) enum Phase {
    Open,
    /// What was begun is brought to its end; nothing new begins. Our `connection.close` is to follow.
    Draining(Arc<CloseReason>),
    /// Our `connection.close` is on its way.
    Closing(Arc<CloseReason>),
    /// The transport is gone or about to go, and another one is to come.
    Lost(Arc<CloseReason>),
    /// Nothing more is expected: what is in the outbox is written and the transport shut.
    Closed(Arc<CloseReason>),
}

/// The state of one connection. See the module's documentation.
pub(crate) struct Session {
    options: Options,
    tuning: Tuning,
    server: ServerProperties,
    phase: Phase,
    channels: ChannelTable,
    /// Calls on channel 0, in the order of their numbers.
    control: VecDeque<PendingCall>,
    /// Where callers find their answers. Ordered, though nobody asks for the order: the numbers are our own and there
    /// are few, so that comparing costs less than hashing.
    slots: BTreeMap<u64, CallSlot>,
    /// Deadlines of calls, the nearest first, and the second ones of those that have missed theirs.
    deadlines: BTreeMap<(Instant, u64), ChannelKey>,
    overdue: BTreeMap<(Instant, u64), ChannelKey>,
    /// Calls whose time begins when they are written.
    unsent: UnsentCalls,
    alarms: Alarms,
    /// Numbers calls, consumers and alarms.
    next_id: u64,
    outbox: Outbox,
    /// Publishers that wait for room in the shared queue, or for the broker to unblock.
    room: Admission,
    /// Channels with publishers that wait for room in their own queues, and what is kept there for those let in.
    waiting_behind: VecDeque<ChannelKey>,
    reserved_behind: usize,
    /// Since when the broker has told us to stop publishing: it answers nothing either.
    blocked: Option<Instant>,
    block_watch: BlockWatch,
    subscribers: Subscribers,
    heartbeat: Heartbeat,
    /// When reading resumes though a consumer has not caught up.
    pause: Option<Instant>,
    /// What waits for all consumers together.
    crowd: Crowd,
    /// Up to how many octets a piece of a body is copied from where it was read.
    copy_max: usize,
    /// A channel holds acks back, or has done so.
    coalesces: bool,
    /// A channel has a pace, or has had one.
    paces: bool,
    /// When acks that are held back are to be sent, or a publish may go that waits for its channel's pace; and whether
    /// the clock has to be looked at for any of them first.
    soon: Option<Instant>,
    unclocked: bool,
    close_deadline: Option<Instant>,
    /// Until when the connection drains, and each channel that does so by itself.
    drain_until: Option<Instant>,
    drains: Vec<(ChannelKey, Instant)>,
    /// Channels of which something is given back as soon as nothing is with the user.
    holds: Vec<Hold>,
    /// When to look for buffers that nobody needs any more.
    tidy_at: Option<Instant>,
    /// Octets that moved since that was looked after last.
    moved: usize,
    /// The driver should free its buffers.
    idle: bool,
    /// Our `connection.close`, while large contents that were accepted before it are on their way.
    close_behind: Option<connection::Close>,
    close_waiters: WaitList,
    finish_waiters: WaitList,
    /// Nobody moves octets any more.
    driver_gone: bool,
    /// What is still in the driver's hands is to be dropped.
    aborted: bool,
    /// Answers to the peer since it last read everything.
    answers: u32,
    /// Messages that came for nobody and went back, since all was written for the last time; and how many may.
    sent_back: usize,
    sent_back_max: usize,
    flush_waiters: WaitList,
    /// Octets published since a task was charged for them.
    uncharged: usize,
    driver: Option<Waker>,
    /// What comes back when the connection is lost, if anything does.
    recovery: Option<Box<Recovering>>,
    /// Channels of which something is to be published again.
    republishing: VecDeque<ChannelKey>,
    effects: Effects,
}

/// What a task waits for in a list of the session's that it must leave when it gives up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Line {
    Closed,
    Finished,
    Blocked,
    ChannelClosed(ChannelKey),
    Returned(ChannelKey),
    Settled(ChannelKey),
    Answered(ChannelKey),
    Flushed,
}

impl Session {
    pub(crate) fn new(options: Options, tuning: Tuning, now: Instant) -> Self {
        let mut effects = Effects::default();
        effects.counts.opened();
        Self {
            channels: ChannelTable::new(tuning.channel_max),
            heartbeat: Heartbeat::new(tuning.heartbeat, now),
            tuning,
            server: ServerProperties::default(),
            phase: Phase::Open,
            control: VecDeque::new(),
            slots: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            overdue: BTreeMap::new(),
            unsent: UnsentCalls::default(),
            alarms: Alarms::default(),
            next_id: 0,
            outbox: Outbox::new(options.table_limits),
            room: Admission::default(),
            waiting_behind: VecDeque::new(),
            reserved_behind: 0,
            blocked: None,
            block_watch: BlockWatch::default(),
            subscribers: Subscribers::default(),
            pause: None,
            crowd: Crowd::default(),
            copy_max: Assembler::<Spec>::COPY_MAX,
            coalesces: false,
            paces: false,
            soon: None,
            unclocked: false,
            close_deadline: None,
            drain_until: None,
            drains: Vec::new(),
            holds: Vec::new(),
            tidy_at: None,
            moved: 0,
            idle: false,
            close_behind: None,
            close_waiters: WaitList::default(),
            finish_waiters: WaitList::default(),
            driver_gone: false,
            aborted: false,
            answers: 0,
            sent_back: 0,
            sent_back_max: SENT_BACK_MAX,
            flush_waiters: WaitList::default(),
            uncharged: 0,
            driver: None,
            recovery: None,
            republishing: VecDeque::new(),
            effects,
            options,
        }
    }

    /// What has to be done once the lock is released.
    #[inline]
    pub(crate) fn take_effects(&mut self) -> Option<Due> {
        self.effects.take_due()
    }

    /// Remembers whom to wake when there is something to write.
    pub(crate) fn set_driver(&mut self, waker: &dyn Caller) {
        self.effects.keep(&mut self.driver, waker);
    }

    /// Something is to be written, or the state changed: the driver must look.
    #[inline]
    fn notify_driver(&mut self) {
        if let Some(driver) = self.driver.take() {
            self.effects.wake_driver(driver);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed(_))
    }

    /// Whether the driver is to let go of the transport at once.
    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted
    }

    /// What both sides agreed on.
    pub(crate) fn tuning(&self) -> Tuning {
        self.tuning
    }

    /// What the server tells about itself.
    pub(crate) fn server(&self) -> ServerProperties {
        self.server.clone()
    }

    /// Another server, or the first, has greeted us. Gives what was told before.
    pub(crate) fn set_server(&mut self, server: ServerProperties) -> ServerProperties {
        std::mem::replace(&mut self.server, server)
    }

    /// Why the connection ends or ended.
    pub(crate) fn close_reason(&self) -> Option<&Arc<CloseReason>> {
        match &self.phase {
            Phase::Open | Phase::Lost(_) => None,
            Phase::Draining(reason) | Phase::Closing(reason) | Phase::Closed(reason) => {
                Some(reason)
            }
        }
    }

    /// Why the connection ends or ended, if it does not come back from that.
    pub(crate) fn final_reason(&self) -> Option<&Arc<CloseReason>> {
        self.close_reason().filter(|reason| self.is_closed() || !self.comes_back_from(reason))
    }

    /// Whether the connection is beyond its graceful part: a close was sent, or it is over.
    fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Closing(_) | Phase::Lost(_) | Phase::Closed(_))
    }

    fn check_open(&self) -> Result<()> {
        match &self.phase {
            Phase::Open => Ok(()),
            Phase::Lost(reason) => Err(Error::recovering(reason.clone())),
            // We close it ourselves, and it is to come back.
            Phase::Closing(reason) if self.comes_back_from(reason) => {
                Err(Error::recovering(reason.clone()))
            }
            Phase::Draining(reason) | Phase::Closing(reason) | Phase::Closed(reason) => {
                Err(Error::connection_closed(reason.clone()))
            }
        }
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// The channel, if requests and contents may be sent on it; otherwise the reason why not.
    fn open_channel(&mut self, key: ChannelKey) -> Result<&mut ChannelState> {
        let reason = self.final_reason().cloned();
        match self.channels.find(key) {
            Ok(channel) => match &channel.phase {
                ChannelPhase::Streaming(Streaming { publishing: true, .. }) => Err(Error::busy()),
                ChannelPhase::Open | ChannelPhase::Streaming(_) => Ok(channel),
                ChannelPhase::Opening => Err(Error::invalid("the channel is not open yet")),
                ChannelPhase::Restoring(_, reason) if channel.reopening => {
                    Err(Error::closed(reason.clone()))
                }
                ChannelPhase::Restoring(_, reason) => Err(Error::recovering(reason.clone())),
                ChannelPhase::Draining(reason)
                | ChannelPhase::Closing(reason)
                | ChannelPhase::Closed(reason) => Err(Error::closed(reason.clone())),
            },
            Err(former) => Err(gone(reason, former)),
        }
    }

    /// Why there is nothing to be had of an incarnation that nobody knows any more.
    #[cold]
    pub(crate) fn gone(&self, key: ChannelKey) -> Error {
        gone(self.final_reason().cloned(), self.channels.former(key).cloned())
    }

    /// The channel, if what was begun on it can still be brought to its end; otherwise the reason why not. What is
    /// sent on it may have to stay behind a streamed publish.
    #[inline]
    fn live_channel(&mut self, key: ChannelKey) -> Result<&mut ChannelState> {
        match self.channels.get(key).is_some_and(|channel| channel.is_live()) {
            true => self.channels.get(key).ok_or_else(|| Error::stale(None)),
            false => self.open_channel(key),
        }
    }

    /// Why a channel ends or ended, while a handle of it exists.
    pub(crate) fn channel_close_reason(&mut self, key: ChannelKey) -> Option<Arc<CloseReason>> {
        match self.channels.get(key) {
            Some(channel) => channel.close_reason().or(channel.reopened_from()).cloned(),
            None => self.channels.former(key).cloned(),
        }
    }

    /// How many channels of the user's hold a number.
    pub(crate) fn channel_count(&self) -> usize {
        self.channels.users_count()
    }

    /// Waits until everything encoded so far, on this channel, is written to the transport.
    pub(crate) fn poll_flush(
        &mut self,
        channel: ChannelKey,
        position: &mut Option<u64>,
        ticket: &mut Option<u64>,
        waker: &dyn Caller,
    ) -> Poll<Result<()>> {
        let channel = self.channels.current(channel);
        if position.is_none() {
            self.write_acks(channel);
            if let Some(reason) = self.lost_acks(channel) {
                return Poll::Ready(Err(Error::closed(reason)));
            }
        }
        let position = *position.get_or_insert(self.outbox.position());
        if let Some(reason) = self.lost_before(position) {
            return Poll::Ready(Err(Error::closed(reason)));
        }
        if self.is_flushed(channel, position) {
            return Poll::Ready(Ok(()));
        }
        if self.is_closed()
            && let Err(error) = self.check_open()
        {
            return Poll::Ready(Err(error));
        }
        let old = self.flush_waiters.stay(ticket, waker);
        self.effects.discard_waker(old);
        Poll::Pending
    }

    /// Why acks that a channel held back were never written.
    fn lost_acks(&mut self, key: ChannelKey) -> Option<Arc<CloseReason>> {
        let channel = self.channels.get(key).filter(|channel| channel.acks_lost)?;
        channel.close_reason().cloned()
    }

    fn wake_flush_waiters(&mut self) {
        if !self.flush_waiters.is_empty() {
            self.effects.wake_all(self.flush_waiters.take_all());
        }
    }

    /// A task waits no more.
    pub(crate) fn leave_line(&mut self, line: Line, ticket: u64) {
        let now = |key| self.channels.current(key);
        let line = match line {
            Line::ChannelClosed(key) => Line::ChannelClosed(now(key)),
            Line::Returned(key) => Line::Returned(now(key)),
            Line::Settled(key) => Line::Settled(now(key)),
            Line::Answered(key) => Line::Answered(now(key)),
            line => line,
        };
        let list = match line {
            Line::Closed => Some(&mut self.close_waiters),
            Line::Finished => Some(&mut self.finish_waiters),
            Line::Blocked => Some(self.block_watch.waiters()),
            Line::Flushed => Some(&mut self.flush_waiters),
            Line::ChannelClosed(key) => {
                self.channels.get(key).map(|channel| &mut channel.close_waiters)
            }
            Line::Returned(key) => {
                self.channels.get(key).map(|channel| &mut channel.return_waiters)
            }
            Line::Settled(key) => self.channels.get(key).map(|channel| &mut channel.settle_waiters),
            Line::Answered(key) => {
                self.channels.get(key).map(|channel| &mut channel.answer_waiters)
            }
        };
        let waker = list.and_then(|list| list.leave(ticket));
        self.effects.discard_waker(waker);
    }

    fn is_flushed(&mut self, channel: ChannelKey, position: u64) -> bool {
        let written_round = self.outbox.written_round();
        // What was taken of a large content may still be in the driver's hands.
        let large = self.channels.get(channel).is_some_and(|channel| {
            !channel.large.is_empty() || channel.large_round > written_round
        });
        self.outbox.written_to() >= position && !large
    }
}

/// What nobody knows any more is over with its connection, or for this reason, if it was reopened.
#[cold]
fn gone(ending: Option<Arc<CloseReason>>, former: Option<Arc<CloseReason>>) -> Error {
    match (ending, former) {
        (Some(reason), _) => Error::connection_closed(reason),
        (None, Some(reason)) => Error::closed(reason),
        (None, None) => Error::stale(None),
    }
}
