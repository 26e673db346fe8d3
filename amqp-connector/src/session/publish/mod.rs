//! Publishing: whether a message may go now, its confirm tag, and its outcome.
//!
//! A publish that may not go waits in one line at a time: its channel's (flow, pace, limit of unconfirmed), then
//! the one for room (outbound budget, blocked broker). What it carries stays with the caller till it goes.

pub(in crate::session) mod admission;
mod answers;
mod blame;
pub(in crate::session) mod confirm;
mod keep;
mod origin;
pub(in crate::session) mod pace;
mod republish;
mod returns;
mod room;
mod slot;
mod tally;

use std::panic::Location;
use std::sync::LazyLock;
use std::task::{Poll, ready};

use amqp_types::content::ContentHeader;
use amqp_types::protocol::basic;
use amqp_types::wire::Writer;
use amqp_types::{Method, Properties};
use bytes::Bytes;

pub(crate) use answers::Claimed;
pub(crate) use tally::Awaited;

use crate::error::{Error, Result};
use crate::session::Caller;
use crate::session::Session;
use crate::session::channel::{ChannelKey, ChannelPhase, Sent};
use crate::session::output::outbox::SHARED_MAX;
use crate::session::output::put_content;
use crate::session::publish::confirm::Confirms;
use crate::session::publish::pace::Flow;

/// A message as the user gave it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) publish: basic::Publish,
    /// None where none was set: fourteen places to be made, asked, and dropped cost more than the octets of a small
    /// message.
    pub(crate) properties: Option<basic::Properties>,
    pub(crate) body: Bytes,
}

impl Message {
    /// The properties, also where none was set.
    pub(in crate::session) fn properties(&self) -> &basic::Properties {
        static NONE: LazyLock<basic::Properties> = LazyLock::new(basic::Properties::default);
        self.properties.as_ref().unwrap_or(&NONE)
    }
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
    /// For room in the shared queue.
    Room(u64),
    /// For room in the channel's own queue.
    Behind(u64),
    /// It is over.
    Gone,
}

/// Octets of publishes that make a unit of tokio's cooperative budget, of which a task has 128 each time it
/// is polled, and what each message counts besides its body.
const CHARGED_UNIT: usize = 4 << 10;
const CHARGED_PER_MESSAGE: usize = CHARGED_UNIT / 8;

impl Session {
    /// Encodes the message if it may go now; with no `waker` it fails instead of waiting. The message stays
    /// where it is, but the content of a mandatory one is taken, to recognise its return by.
    pub(crate) fn poll_publish(
        &mut self,
        key: ChannelKey,
        message: &mut Message,
        caller: &'static Location<'static>,
        place: &mut Place,
        waker: Option<&dyn Caller>,
    ) -> Poll<Result<Accepted>> {
        if !self.may_pass_at_once(key, message.body.len(), place) {
            ready!(self.wait_to_pass(key, message.body.len(), place, waker))?;
        }
        let frame_max = self.tuning.frame_max;
        let Some(channel) = self.channels.get(key) else {
            return Poll::Ready(Err(Error::stale(None)));
        };
        amqp_types::if_spec! { basic.publish.ticket => {
            if message.publish.ticket == 0 {
                message.publish.ticket = channel.ticket;
            }
        } else {} }
        let Message { publish, properties, body } = &*message;
        let (before, size) = (self.outbox.outstanding(), body.len());
        let method = |writer: &mut Writer<'_>| publish.encode(writer);
        let header = |writer: &mut Writer<'_>| match properties {
            Some(properties) => ContentHeader::write(properties, size as u64, writer),
            None => {
                ContentHeader::<basic::Properties>::write_bare(size as u64, writer);
                Ok(())
            }
        };
        let sent = put_content(&mut self.outbox, channel, frame_max, method, header, body);
        let counts = &mut self.effects.counts;
        if sent.is_ok() {
            counts.published(size, channel.confirms.is_some());
        }
        let tag = match (&sent, &mut channel.confirms) {
            (Ok(()), Some(confirms)) => {
                let octets = self.outbox.outstanding() - before;
                Some(confirms.publish(message, octets, caller, counts.stamp()))
            }
            (Ok(()), None) => {
                if !matches!(channel.sent, Sent::Many) {
                    channel.note_sent(publish, caller);
                }
                None
            }
            (Err(_), _) => None,
        };
        self.leave(key, place);
        if let Err(error) = sent {
            self.unspend(key);
            return Poll::Ready(Err(error));
        }
        self.notify_driver();
        let charge = self.charge(size);
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
        let large = size > SHARED_MAX;
        let room = matches!(place, Place::None)
            && match large {
                true => self.has_own_room(key, size, None),
                false => self.has_room(size) && self.room.admits(None),
            };
        room && self.channels.get(key).is_some_and(|channel| {
            matches!(channel.phase, ChannelPhase::Open)
                && (large || channel.large.is_empty() && channel.behind.is_empty())
                && channel.gate.admits(None)
                && channel.flow.is_free()
                && channel.free_room() > 0
        })
    }

    /// Passes both lines, or takes a place in one; an error leaves them.
    #[inline(never)]
    pub(in crate::session) fn wait_to_pass(
        &mut self,
        key: ChannelKey,
        size: usize,
        place: &mut Place,
        waker: Option<&dyn Caller>,
    ) -> Poll<Result<()>> {
        if let Err(error) = self.open_channel(key) {
            return self.wait_for_recovery(key, place, waker, error);
        }
        if let Some(error) = self.refuses_publishes() {
            self.leave(key, place);
            return Poll::Ready(Err(error));
        }
        ready!(self.pass(key, size, place, waker))?;
        self.spend(key);
        Poll::Ready(Ok(()))
    }

    /// Sends another content than a publish, once it may go.
    pub(crate) fn poll_send_content<M: Method, P: Properties>(
        &mut self,
        key: ChannelKey,
        content: (&M, &P, &Bytes),
        place: &mut Place,
        waker: &dyn Caller,
    ) -> Poll<Result<()>> {
        let (method, properties, body) = content;
        ready!(self.wait_to_pass(key, body.len(), place, Some(waker)))?;
        let result = self.send_content(key.id, method, properties, body);
        self.leave(key, place);
        match result {
            Ok(()) => self.note_inviting(key, M::INFO),
            Err(_) => self.unspend(key),
        }
        Poll::Ready(result)
    }

    /// Passes both lines, or takes a place in one.
    fn pass(
        &mut self,
        key: ChannelKey,
        size: usize,
        place: &mut Place,
        waker: Option<&dyn Caller>,
    ) -> Poll<Result<()>> {
        let has_passed = |place: &Place| matches!(place, Place::Room(_) | Place::Behind(_));
        if has_passed(place) && !self.gate_is_open(key) {
            // The gate was shut meanwhile: others must not wait behind this channel's publish.
            self.leave(key, place);
        }
        if !has_passed(place) {
            match self.pass_gate(key, place, waker) {
                Poll::Ready(Ok(())) => {}
                other => return other,
            }
        }
        self.pass_room(key, size, place, waker)
    }

    fn gate_is_open(&mut self, key: ChannelKey) -> bool {
        self.channels.get(key).is_some_and(|channel| {
            channel.flow.room() > 0 && !channel.confirms.as_ref().is_some_and(Confirms::is_full)
        })
    }

    fn pass_gate(
        &mut self,
        key: ChannelKey,
        place: &mut Place,
        waker: Option<&dyn Caller>,
    ) -> Poll<Result<()>> {
        let channel = match self.open_channel(key) {
            Ok(channel) => channel,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let ticket = match *place {
            Place::Gate(ticket) => Some(ticket),
            _ => None,
        };
        let full = channel.confirms.as_ref().is_some_and(Confirms::is_full);
        let admitted = match ticket {
            Some(_) => channel.flow.room() > 0 && !full,
            None => channel.gate_room() > 0,
        };
        if admitted && channel.gate.admits(ticket) {
            return Poll::Ready(Ok(()));
        }
        if ticket.is_some() && !admitted {
            channel.gate.revoke();
        }
        if let Some(text) = channel.confirms.as_ref().and_then(Confirms::stuck) {
            // Neither the broker nor an awaited confirmation will ever make room.
            self.leave(key, place);
            return Poll::Ready(Err(Error::limit(text)));
        }
        let Some(waker) = waker else {
            return Poll::Ready(Err(match (&channel.flow, &channel.confirms) {
                (Flow::Paused(_), _) => {
                    Error::blocked("the peer has paused publishing on this channel")
                }
                (_, Some(confirms)) if full => Error::full(confirms.why_full()),
                _ => Error::full("the channel's pace lets no more go now"),
            }));
        };
        let (ticket, old) = channel.gate.wait(ticket, 1, waker);
        let paced = !channel.flow.is_free();
        self.effects.discard_waker(old);
        if paced {
            self.want_clock();
        }
        *place = Place::Gate(ticket);
        Poll::Pending
    }

    /// Leaves the line and lets the next ones try.
    #[inline]
    pub(crate) fn leave(&mut self, key: ChannelKey, place: &mut Place) {
        match std::mem::take(place) {
            Place::None | Place::Gone => {}
            Place::Gate(ticket) => self.leave_gate(key, ticket),
            Place::Room(ticket) => self.leave_room(key, ticket),
            Place::Behind(ticket) => self.leave_behind(key, ticket),
        }
    }

    #[inline(never)]
    fn leave_gate(&mut self, key: ChannelKey, ticket: u64) {
        if let Some(channel) = self.channels.get(key) {
            let mine = channel.gate.leave(ticket);
            self.effects.discard_waker(mine);
            self.wake_gate(key);
        }
    }

    /// Admits publishers of a channel as far as its limits allow.
    #[inline]
    pub(in crate::session) fn wake_gate(&mut self, key: ChannelKey) {
        if let Some(channel) = self.channels.get(key)
            && !channel.gate.is_empty()
            && channel.restoring().is_none()
        {
            let room = channel.gate_room();
            channel.gate.admit(room, false, &mut self.effects);
            let stuck = |confirms: &Confirms| confirms.stuck().is_some();
            if room == 0 && channel.flow.is_active() && channel.confirms.as_ref().is_some_and(stuck)
            {
                // No answer is to come that could make room: they are to be told.
                self.effects.wake_all(channel.gate.take_wakers());
            }
            if !channel.flow.is_free() {
                self.want_clock();
            }
        }
    }
}
