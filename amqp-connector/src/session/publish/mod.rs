//! Publishing: whether a message may go now, its confirm tag, and its outcome.
//!
//! A publish that may not go waits in one line at a time: its channel's (flow, limit of unconfirmed), then
//! the connection's (outbound budget, blocked broker). What it carries stays with the caller till it goes.

pub(in crate::session) mod admission;
pub(in crate::session) mod confirm;

use std::task::{Poll, Waker, ready};

use amqp_types::protocol::basic;
use amqp_types::{Method, Properties};
use bytes::Bytes;

use crate::error::{Error, Result};
use crate::outcome::{Outcome, Returned};
use crate::session::Session;
use crate::session::channel::{ChannelKey, ChannelPhase};
use crate::session::output::put_content;
use crate::session::publish::confirm::Confirms;

/// A message as the user gave it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) publish: basic::Publish,
    pub(crate) properties: basic::Properties,
    pub(crate) body: Bytes,
}

/// A publish that was encoded: its tag on a channel in confirm mode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub(crate) tag: Option<u64>,
    /// The task has done a unit of work since it was charged last.
    pub(crate) charge: bool,
}

/// The line that a waiting publish stands in.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Place {
    #[default]
    None,
    Gate(u64),
    Room(u64),
    /// It is over.
    Gone,
}

/// Octets of publishes that make a unit of tokio's cooperative budget, of which a task has 128 each time it
/// is polled, and what each message counts besides its body.
const CHARGED_UNIT: usize = 4 << 10;
const CHARGED_PER_MESSAGE: usize = CHARGED_UNIT / 8;
/// Returned messages kept for a channel without confirms whose user does not ask for them.
const RETURNS_MAX: usize = 1024;

impl Session {
    /// Encodes the message if it may go now; with no `waker` it fails instead of waiting. The message stays
    /// where it is, but the content of a mandatory one is taken, to recognise its return by.
    pub(crate) fn poll_publish(
        &mut self,
        key: ChannelKey,
        message: &mut Message,
        place: &mut Place,
        waker: Option<&Waker>,
    ) -> Poll<Result<Accepted>> {
        if !self.may_pass_at_once(key, message.body.len(), place) {
            ready!(self.wait_to_pass(key, message.body.len(), place, waker))?;
        }
        let frame_max = self.tuning.frame_max;
        let Some(channel) = self.channels.get(key) else {
            return Poll::Ready(Err(Error::stale(None)));
        };
        let Message { publish, properties, body } = &*message;
        let sent = put_content(&mut self.outbox, channel, frame_max, publish, properties, body);
        let tag = match (&sent, &mut channel.confirms) {
            (Ok(()), Some(confirms)) => Some(confirms.publish(message)),
            _ => None,
        };
        self.leave(key, place);
        sent?;
        self.notify_driver();
        let charge = self.charge(message.body.len());
        Poll::Ready(Ok(Accepted { tag, charge }))
    }

    /// Whether a publish of this size completes a unit of tokio's cooperative budget: a few messages, or a
    /// few KiB, so that one turn of a publisher in a tight loop fills a write of decent size.
    #[inline]
    fn charge(&mut self, size: usize) -> bool {
        self.uncharged = self.uncharged.saturating_add(size).saturating_add(CHARGED_PER_MESSAGE);
        let charge = self.uncharged >= CHARGED_UNIT;
        if charge {
            self.uncharged = 0;
        }
        charge
    }

    /// Whether nothing and nobody stands in the way of a publish that does not wait yet.
    #[inline]
    fn may_pass_at_once(&mut self, key: ChannelKey, size: usize, place: &Place) -> bool {
        let room = matches!(place, Place::None) && self.has_room(size) && self.room.admits(None);
        let (max, budget) = (self.options.unconfirmed_max, self.options.retained_budget);
        room && self.channels.get(key).is_some_and(|channel| {
            matches!(channel.phase, ChannelPhase::Open)
                && channel.gate.admits(None)
                && channel.gate_room(max, budget) > 0
        })
    }

    /// Passes both lines, or takes a place in one; an error leaves them.
    fn wait_to_pass(
        &mut self,
        key: ChannelKey,
        size: usize,
        place: &mut Place,
        waker: Option<&Waker>,
    ) -> Poll<Result<()>> {
        if let Err(error) = self.open_channel(key) {
            self.leave(key, place);
            return Poll::Ready(Err(error));
        }
        self.pass(key, size, place, waker)
    }

    /// Sends another content than a publish, once it may go.
    pub(crate) fn poll_send_content<M: Method, P: Properties>(
        &mut self,
        key: ChannelKey,
        content: (&M, &P, &Bytes),
        place: &mut Place,
        waker: &Waker,
    ) -> Poll<Result<()>> {
        let (method, properties, body) = content;
        ready!(self.wait_to_pass(key, body.len(), place, Some(waker)))?;
        let result = self.send_content(key.id, method, properties, body);
        self.leave(key, place);
        Poll::Ready(result)
    }

    /// Passes both lines, or takes a place in one.
    fn pass(
        &mut self,
        key: ChannelKey,
        size: usize,
        place: &mut Place,
        waker: Option<&Waker>,
    ) -> Poll<Result<()>> {
        if matches!(place, Place::Room(_)) && !self.gate_is_open(key) {
            // The gate was shut meanwhile: others must not wait behind this channel's publish.
            self.leave(key, place);
        }
        if !matches!(place, Place::Room(_)) {
            match self.pass_gate(key, place, waker) {
                Poll::Ready(Ok(())) => {}
                other => return other,
            }
        }
        let ticket = match *place {
            Place::Room(ticket) => Some(ticket),
            _ => None,
        };
        // Those who were admitted have their room.
        if self.room.admits(ticket) && (ticket.is_some() || self.has_room(size)) {
            return Poll::Ready(Ok(()));
        }
        let Some(waker) = waker else {
            return Poll::Ready(Err(Error::blocked(match self.blocked.is_some() {
                true => "the broker has blocked publishing on this connection",
                false => "the outbound budget is used up",
            })));
        };
        let (ticket, old) = self.room.wait(ticket, size, waker);
        self.effects.discard_waker(old);
        if let Place::Gate(_) = place {
            self.leave(key, place);
        }
        *place = Place::Room(ticket);
        Poll::Pending
    }

    fn gate_is_open(&mut self, key: ChannelKey) -> bool {
        let (max, budget) = (self.options.unconfirmed_max, self.options.retained_budget);
        self.channels.get(key).is_some_and(|channel| {
            let full = |confirms: &Confirms| confirms.is_full(max, budget);
            channel.flow && !channel.confirms.as_ref().is_some_and(full)
        })
    }

    fn pass_gate(
        &mut self,
        key: ChannelKey,
        place: &mut Place,
        waker: Option<&Waker>,
    ) -> Poll<Result<()>> {
        let (max, budget) = (self.options.unconfirmed_max, self.options.retained_budget);
        let channel = match self.open_channel(key) {
            Ok(channel) => channel,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let ticket = match *place {
            Place::Gate(ticket) => Some(ticket),
            _ => None,
        };
        let full = channel.confirms.as_ref().is_some_and(|confirms| confirms.is_full(max, budget));
        let admitted = match ticket {
            Some(_) => channel.flow && !full,
            None => channel.gate_room(max, budget) > 0,
        };
        if admitted && channel.gate.admits(ticket) {
            return Poll::Ready(Ok(()));
        }
        if ticket.is_some() && !admitted {
            channel.gate.revoke();
        }
        let answered = |confirms: &Confirms| confirms.unconfirmed() == 0;
        let nothing_to_come = full && channel.confirms.as_ref().is_none_or(answered);
        if nothing_to_come {
            // Waiting would be for the user's own doing, possibly by this very task.
            let text =
                "as many confirmations as the limit of unconfirmed publishes are kept unawaited";
            self.leave(key, place);
            return Poll::Ready(Err(Error::limit(text)));
        }
        let Some(waker) = waker else {
            return Poll::Ready(Err(Error::blocked(match channel.flow {
                false => "the peer has paused publishing on this channel",
                true => "the limit of unconfirmed publishes is reached",
            })));
        };
        let (ticket, old) = channel.gate.wait(ticket, 1, waker);
        self.effects.discard_waker(old);
        *place = Place::Gate(ticket);
        Poll::Pending
    }

    /// A message larger than the whole budget is let in alone.
    #[inline]
    fn has_room(&self, size: usize) -> bool {
        let taken = self.outbox.outstanding().saturating_add(self.room.reserved());
        self.blocked.is_none()
            && (taken == 0 || taken.saturating_add(size) <= self.options.outbound_budget)
    }

    /// Leaves the line and lets the next ones try.
    #[inline]
    pub(crate) fn leave(&mut self, key: ChannelKey, place: &mut Place) {
        match std::mem::take(place) {
            Place::None | Place::Gone => {}
            Place::Gate(ticket) => {
                if let Some(channel) = self.channels.get(key) {
                    let mine = channel.gate.leave(ticket);
                    self.effects.discard_waker(mine);
                    self.wake_gate(key);
                }
            }
            Place::Room(ticket) => {
                let mine = self.room.leave(ticket);
                self.effects.discard_waker(mine);
                self.wake_room();
            }
        }
    }

    /// Admits publishers once half of the budget is free again, so that each wake-up is worth it.
    pub(in crate::session) fn wake_room(&mut self) {
        let taken = self.outbox.outstanding().saturating_add(self.room.reserved());
        let budget = self.options.outbound_budget;
        if self.blocked.is_none() && taken <= budget / 2 {
            self.room.admit(budget - taken, taken == 0, &mut self.effects);
        }
    }

    /// Admits publishers of a channel as far as its limits allow.
    pub(in crate::session) fn wake_gate(&mut self, key: ChannelKey) {
        let (max, budget) = (self.options.unconfirmed_max, self.options.retained_budget);
        if let Some(channel) = self.channels.get(key) {
            let room = channel.gate_room(max, budget);
            channel.gate.admit(room, false, &mut self.effects);
            let answered = |confirms: &Confirms| confirms.unconfirmed() == 0;
            if room == 0 && channel.flow && channel.confirms.as_ref().is_some_and(answered) {
                // No answer is to come that could make room: they are to be told.
                for waker in channel.gate.take_wakers() {
                    self.effects.wake(Some(waker));
                }
            }
        }
    }

    /// `basic.ack` or `basic.nack` from the peer. False for a tag that was never published.
    #[must_use]
    pub(in crate::session) fn handle_confirm(
        &mut self,
        key: ChannelKey,
        tag: u64,
        multiple: bool,
        positive: bool,
    ) -> bool {
        let Some(channel) = self.channels.get(key) else { return true };
        let known = match &mut channel.confirms {
            Some(confirms) => confirms.confirm(tag, multiple, positive, &mut self.effects),
            None => false,
        };
        self.wake_gate(key);
        known
    }

    /// A message came back: it is the outcome of a publish with confirms, or news without them.
    pub(in crate::session) fn handle_return(&mut self, key: ChannelKey, returned: Returned) {
        let Some(channel) = self.channels.get(key) else { return };
        if let Some(confirms) = &mut channel.confirms {
            confirms.returned(returned, &mut self.effects);
            return;
        }
        channel.returns_octets += returned.body.len();
        channel.returns.push_back(returned);
        let budget = self.options.consumer_budget;
        while channel.returns.len() > RETURNS_MAX
            || (channel.returns_octets > budget && channel.returns.len() > 1)
        {
            tracing::warn!("nobody takes returned messages; the oldest is dropped");
            let dropped = channel.returns.pop_front();
            channel.returns_octets -= dropped.map_or(0, |returned| returned.body.len());
        }
        for waker in channel.return_waiters.take_all() {
            self.effects.wake(Some(waker));
        }
    }

    /// The next message that came back on a channel without confirms.
    pub(crate) fn poll_returned(
        &mut self,
        key: ChannelKey,
        ticket: &mut Option<u64>,
        waker: &Waker,
    ) -> Poll<Result<Returned>> {
        if let Some(channel) = self.channels.get(key)
            && let Some(returned) = channel.returns.pop_front()
        {
            channel.returns_octets -= returned.body.len();
            return Poll::Ready(Ok(returned));
        }
        match self.open_channel(key) {
            Err(error) => Poll::Ready(Err(error)),
            Ok(channel) => {
                let old = channel.return_waiters.stay(ticket, waker);
                self.effects.discard_waker(old);
                Poll::Pending
            }
        }
    }

    /// What became of the publish with `tag`, and whether the task has done a unit of work by now.
    pub(crate) fn poll_confirm(
        &mut self,
        key: ChannelKey,
        tag: u64,
        waker: &Waker,
    ) -> Poll<(Option<Outcome>, bool)> {
        let Some(confirms) = self.channels.get(key).and_then(|channel| channel.confirms.as_mut())
        else {
            return Poll::Ready((None, false));
        };
        match confirms.poll(tag, waker, &mut self.effects) {
            None => Poll::Pending,
            outcome => {
                self.wake_gate(key);
                Poll::Ready((outcome, self.charge(0)))
            }
        }
    }

    /// Nobody will ask for `tag` any more. Gives what was known, to be dropped outside the lock.
    pub(crate) fn detach_confirm(&mut self, key: ChannelKey, tag: u64) -> Option<Outcome> {
        let confirms = self.channels.get(key)?.confirms.as_mut()?;
        let outcome = confirms.detach(tag, &mut self.effects);
        self.wake_gate(key);
        outcome
    }

    /// Publishes of a channel that the broker has not answered.
    pub(crate) fn unconfirmed(&mut self, key: ChannelKey) -> usize {
        self.channels
            .get(key)
            .and_then(|channel| channel.confirms.as_ref())
            .map_or(0, Confirms::unconfirmed)
    }
}
