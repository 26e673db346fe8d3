//! Operations that expect a reply: sending them and matching their replies.
//!
//! Called by the futures of `crate::call` and by `incoming`. Calls that nobody waits for any more are left
//! to `abandon`.

pub(in crate::session) mod abandon;
pub(in crate::session) mod blame;
pub(in crate::session) mod deadline;
pub(in crate::session) mod pending;
pub(in crate::session) mod replies;
mod requests;
pub(in crate::session) mod unsent;

use std::panic::Location;
use std::task::Poll;

use amqp_types::protocol::{self, Method, ReplyCode, basic, queue};
use amqp_types::{AnyMethod, Body, Method as _, Reply, ShortStr};
use tracing::Level;

use crate::error::{CloseCause, Error, Result};
use crate::outcome::Event;
use crate::session::Caller;
use crate::session::Session;
use crate::session::calls::deadline::Deadline;
use crate::session::calls::pending::{
    CallOptions, CallReply, CallSlot, PendingCall, Undo, consumer_tag, take_answered,
};
use crate::session::calls::replies::{has_reply, is_answered, refuse_unlearnable};
use crate::session::channel::{ChannelKey, ChannelPhase, Restoring};
use crate::session::consume::consumer::Phase;
#[allow(unused_imports, reason = "not every specification has confirms")]
use crate::session::publish::confirm::Confirms;
use crate::session::timers::after;

/// The key of channel 0, which carries the connection's own calls.
pub(crate) const CONTROL: ChannelKey = ChannelKey { id: 0, epoch: 0 };

/// Answers that may wait for a peer to read them.
const ANSWERS_MAX: u32 = 65_536;

/// A call that was sent. Its owner polls it to the end or abandons it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallId {
    pub(in crate::session) key: ChannelKey,
    pub(in crate::session) id: u64,
}

impl Session {
    /// Opens a new channel; the reply makes it usable.
    pub(crate) fn open(&mut self, options: &CallOptions) -> Result<(ChannelKey, CallId)> {
        self.check_open()?;
        let Some(channel) = self.channels.allocate(self.options.assembler()) else {
            return Err(Error::channel_max(self.tuning.channel_max));
        };
        let key = channel.key;
        let request = protocol::channel::Open::default().into_any();
        let id = self.send_call(key, &request, options)?;
        Ok((key, id))
    }

    /// Sends `request` on an open channel and waits in line for its reply.
    pub(crate) fn call(
        &mut self,
        key: ChannelKey,
        request: &Method,
        options: &CallOptions,
    ) -> Result<CallId> {
        if key == CONTROL {
            self.check_open()?;
        } else {
            self.open_channel(key)?;
            self.check_tag(key, request)?;
        }
        self.send_call(key, request, options)
    }

    fn send_call(
        &mut self,
        key: ChannelKey,
        request: &Method,
        options: &CallOptions,
    ) -> Result<CallId> {
        self.send_call_for(key, request, options, None)
    }

    /// As [`send_call`](Self::send_call); a `basic.consume` is for this consumer, if there is one.
    pub(in crate::session) fn send_call_for(
        &mut self,
        key: ChannelKey,
        request: &Method,
        options: &CallOptions,
        consumer: Option<u64>,
    ) -> Result<CallId> {
        let waits = self.outbox.outstanding() > 0;
        if key == CONTROL {
            self.send_control(request)?;
        } else {
            self.before_method(key, request);
            self.send_method(key.id, request)?;
        }
        let id = self.fresh_id();
        self.note_inviting(key, request.info());
        let change = self.change_of(key, request);
        let consumer = consumer.or_else(|| self.note_request(key, request));
        // While the broker blocks us, no time passes for calls, unless that is wanted.
        let timeout = options.within.unwrap_or(self.options.call_timeout);
        let deadline = Deadline::First(after(self.call_clock(options.now), timeout));
        self.note_deadline(key, id, deadline);
        let call = PendingCall {
            id,
            name: full_name(request),
            accepts: options.accepts,
            consumer_tag: consumer_tag(request),
            undo: Undo::of(request),
            change,
            consumer,
            place: Some(options.place),
            deadline,
            abandoned: false,
        };
        self.stand_in_line(key, call);
        self.slots.insert(id, CallSlot::Waiting(None));
        if waits {
            self.note_unsent(key, id, options);
        }
        Ok(CallId { key, id })
    }

    /// The call gives out the handle of the consumer that it starts.
    pub(crate) fn await_handle(&mut self, call: CallId) {
        if let Some(consumer) = self.consumer_of(call) {
            consumer.awaited = true;
        }
    }

    /// Gives the consumer that a call starts a budget of its own, in octets.
    pub(crate) fn limit_consumer(&mut self, call: CallId, budget: usize) {
        if let Some(consumer) = self.consumer_of(call) {
            consumer.budget = budget;
        }
    }

    /// Sends a method that nothing answers.
    pub(crate) fn send(
        &mut self,
        key: ChannelKey,
        method: &Method,
        place: &'static Location<'static>,
    ) -> Result<()> {
        match has_reply(method.info()) {
            true => self.open_channel(key)?,
            // What settles deliveries may still be sent while the channel drains.
            false => self.live_channel(key)?,
        };
        if is_answered(method) {
            return Err(Error::invalid("the request has a reply: use `call`, or set its no-wait"));
        }
        refuse_unlearnable(method)?;
        let numbered = self.on_wire(key, method)?;
        if self.select_with_reply(key, method, place) {
            return Ok(());
        }
        self.spare_unread(key, method);
        self.before_method(key, method);
        self.send_method(key.id, numbered.as_ref().unwrap_or(method))?;
        self.note_change_sent(key, method);
        if let Method::Queue(queue::Method::Declare(declare)) = method {
            self.note_last_queue(key, declare.queue.as_bytes());
        }
        self.note_unanswered(key, method, Some(place));
        self.note_inviting(key, method.info());
        let noted = self.note_request(key, method);
        match (method, noted) {
            (Method::Basic(basic::Method::Consume(_)), Some(id)) => {
                if let Some(consumer) = self.channels.get(key).and_then(|it| it.consumers.by_id(id))
                {
                    consumer.phase = Phase::Active;
                    self.effects.counts.touch();
                }
            }
            (Method::Basic(basic::Method::Cancel(_)), Some(id)) => {
                self.consumer_cancelled(key, id);
            }
            _ => self.note_settled_raw(key, method),
        }
        Ok(())
    }

    /// Sends a request whose reply is for nobody but keeps its place in line.
    pub(in crate::session) fn send_unawaited<R: Reply>(
        &mut self,
        key: ChannelKey,
        request: &Method,
        place: Option<&'static Location<'static>>,
    ) {
        self.before_method(key, request);
        if self.send_method(key.id, request).is_err() {
            return;
        }
        let call = PendingCall {
            id: self.fresh_id(),
            name: full_name(request),
            accepts: R::accepts,
            consumer_tag: consumer_tag(request),
            undo: Undo::Nothing,
            change: self.change_of(key, request),
            consumer: self.note_cancel(key, request),
            place,
            deadline: Deadline::None,
            abandoned: true,
        };
        if self.channels.get(key).is_some() {
            self.stand_in_line(key, call);
        }
    }

    /// Puts a call that was sent behind those before it. Their numbers were given in this order.
    fn stand_in_line(&mut self, key: ChannelKey, call: PendingCall) {
        let line = match self.channels.get(key) {
            Some(channel) => &mut channel.calls,
            None => &mut self.control,
        };
        debug_assert!(line.back().is_none_or(|last| last.id < call.id), "numbers only grow");
        line.push_back(call);
    }

    /// The consumer that a cancel is meant for: another may have its tag by the time of the answer.
    fn note_cancel(&mut self, key: ChannelKey, request: &Method) -> Option<u64> {
        match request {
            Method::Basic(basic::Method::Cancel(_)) => self.note_request(key, request),
            _ => None,
        }
    }

    /// An answer that the peer asked for. One that asks and asks without reading ends the connection.
    pub(in crate::session) fn send_answer(
        &mut self,
        key: ChannelKey,
        answer: &Method,
    ) -> Result<()> {
        self.answers += 1;
        if self.answers > ANSWERS_MAX {
            let text = "the peer wants answers and does not read them".to_owned();
            let (cause, code) = (CloseCause::LimitExceeded, ReplyCode::RESOURCE_ERROR);
            self.close_because(cause, code, text, Some(full_name(answer)));
            return Ok(());
        }
        self.send_method(key.id, answer)
    }

    /// The reply, once it is there.
    pub(crate) fn poll_call(
        &mut self,
        call: CallId,
        waker: &dyn Caller,
    ) -> Poll<Result<Box<CallReply>>> {
        if let Some(CallSlot::Waiting(slot)) = self.slots.get_mut(&call.id) {
            self.effects.keep(slot, waker);
            return Poll::Pending;
        }
        match self.slots.remove(&call.id) {
            Some(CallSlot::Done(result, undo)) => {
                self.note_taken(call.key, undo);
                Poll::Ready(result)
            }
            // One that waits was found above.
            Some(CallSlot::Waiting(_)) | None => Poll::Ready(Err(Error::stale(None))),
        }
    }

    pub(in crate::session) fn pending_call(
        &mut self,
        key: ChannelKey,
        id: u64,
    ) -> Option<&mut PendingCall> {
        let calls = match self.channels.get(key) {
            Some(channel) => &mut channel.calls,
            None => &mut self.control,
        };
        // They stand in the order of their numbers.
        let at = calls.binary_search_by_key(&id, |call| call.id).ok()?;
        calls.get_mut(at)
    }

    /// A method that can only be the reply to a call.
    pub(in crate::session) fn handle_reply(
        &mut self,
        key: ChannelKey,
        mut method: Method,
        content: Option<(protocol::Properties, Body)>,
    ) {
        self.number_got(key, &mut method);
        let (calls, doubts) = match self.channels.get(key) {
            Some(channel) => (&mut channel.calls, !channel.unanswered.is_empty()),
            None => (&mut self.control, false),
        };
        let Some(call) = take_answered(calls, &method) else {
            let Some(method) = self.take_unasked(key, method, content) else { return };
            let name = full_name(&method);
            let text = format!("{name} came and no call waits for it");
            return self.violation(ReplyCode::COMMAND_INVALID, text, Some(name));
        };
        self.forget_deadline(&call);
        if doubts {
            self.note_answered(key, &call);
        }
        if let Method::Basic(basic::Method::GetOk(got)) = &method {
            let octets = content.as_ref().map_or(0, |(_, body)| body.len());
            self.effects.counts.delivered(octets, got.redelivered);
            let (tag, open) = (got.delivery_tag, call.undo == Undo::Requeue);
            self.note_told(key, |coalescer| coalescer.delivered(tag, open));
        }
        let consumer = self.settle_consumer(key, &call, &method);
        self.note_reply(key, &method);
        if let Some(change) = call.change {
            self.note_change(*change, Some(&method));
        }
        if let (Method::Basic(basic::Method::CancelOk(_)), Some(id)) = (&method, call.consumer) {
            self.consumer_cancelled(key, id);
        }
        let reply = CallReply { method, content, consumer };
        if call.abandoned {
            self.undo(key, call.undo, reply);
        } else if let Some(slot) = self.slots.get_mut(&call.id)
            && let CallSlot::Waiting(waker) = slot
        {
            self.effects.wake(waker.take());
            let got = matches!(&reply.method, Method::Basic(basic::Method::GetOk(_)));
            let undo = if call.undo == Undo::Requeue && !got { Undo::Nothing } else { call.undo };
            *slot = CallSlot::Done(Ok(Box::new(reply)), undo);
            if undo == Undo::Requeue
                && let Some(channel) = self.channels.get(key)
            {
                channel.untaken += 1;
            }
        }
    }

    /// State that changes with a reply, whoever asked: an open channel.
    fn note_reply(&mut self, key: ChannelKey, method: &Method) {
        self.note_ticket(key, method);
        if let Method::Queue(queue::Method::DeclareOk(ok)) = method {
            self.note_last_queue(key, ok.queue.as_bytes());
        }
        amqp_types::if_spec! { basic.recover_ok => {
            if let Method::Basic(basic::Method::RecoverOk(_)) = method {
                self.note_recovered(key);
            }
        } else {} }
        let Some(channel) = self.channels.get(key) else { return };
        amqp_types::if_spec! { confirm.select => {
            if let (Method::Confirm(protocol::confirm::Method::SelectOk(_)), Some(confirms)) =
                (method, &mut channel.confirms)
            {
                confirms.begin();
            }
        } else {} }
        if matches!(method, Method::Channel(protocol::channel::Method::OpenOk(_)))
            && let ChannelPhase::Restoring(stage, _) = &mut channel.phase
        {
            *stage = Restoring::Live;
            return;
        }
        if matches!(method, Method::Channel(protocol::channel::Method::OpenOk(_)))
            && matches!(channel.phase, ChannelPhase::Opening)
        {
            channel.phase = match &self.phase {
                crate::session::Phase::Draining(reason) => ChannelPhase::Draining(reason.clone()),
                _ => ChannelPhase::Open,
            };
            if channel.own {
                return;
            }
            self.effects.counts.touch();
            self.effects.log(Level::DEBUG, move || {
                tracing::debug!(channel = key.id, "a channel is open");
            });
            return self.record(|| Event::ChannelOpened { channel: key.id });
        }
        if let Method::Basic(basic::Method::GetOk(got)) = method {
            channel.last_tag = got.delivery_tag;
        }
    }

    /// The consume-ok gives the consumer its name, before any delivery for it is looked at.
    fn settle_consumer(
        &mut self,
        key: ChannelKey,
        call: &PendingCall,
        method: &Method,
    ) -> Option<(u64, ShortStr)> {
        let Method::Basic(basic::Method::ConsumeOk(ok)) = method else { return None };
        let id = call.consumer?;
        let channel = self.channels.get(key)?;
        let draining = channel.is_draining();
        let Some(consumer) = channel.consumers.by_id(id) else {
            // Its handle went while it came back.
            self.send_cancel(key, ok.consumer_tag.clone());
            return None;
        };
        consumer.tag = ok.consumer_tag.clone();
        consumer.phase = Phase::Active;
        self.effects.counts.touch();
        // It may have gone over its budget, or its channel begun to close, before it had a name to cancel.
        if consumer.end.is_some() || draining {
            consumer.phase = Phase::Cancelling;
            self.send_cancel(key, ok.consumer_tag.clone());
        }
        Some((id, ok.consumer_tag.clone()))
    }

    /// Gives every waiter of these calls the reason why no reply comes.
    pub(in crate::session) fn fail_calls(
        &mut self,
        calls: impl IntoIterator<Item = PendingCall>,
        error: &Error,
    ) {
        for call in calls {
            self.forget_deadline(&call);
            if let Some(slot) = self.slots.get_mut(&call.id)
                && let CallSlot::Waiting(waker) = slot
            {
                self.effects.wake(waker.take());
                *slot = CallSlot::Done(Err(error.clone()), Undo::Nothing);
            }
        }
    }
}

/// `class.method`.
pub(in crate::session) fn full_name(method: &Method) -> &'static str {
    method.info().full_name
}
