//! Room for publishes: what may stand in the shared queue, and in the own queue of a channel with a large content.
//!
//! Each has its budget and its line, so that a large body delays no other channel. The shared queue has one budget,
//! and one line for all channels. The own queues have one budget together, but each may hold its share, or one
//! message of any size, whatever the others hold; who waits for that stands in a line of the channel. Nobody's turn
//! depends on another channel's large bodies alone, so none of them has to be waited for. Called by publishing, by
//! streams, and by whatever is written or ends; nothing here looks at more of a line than it lets in.

use std::task::Poll;

use crate::error::{Error, Result};
use crate::session::channel::{ChannelKey, ChannelState};
use crate::session::effects::Effects;
use crate::session::output::outbox::SHARED_MAX;
use crate::session::publish::admission::Admission;
use crate::session::{Caller, Place, Session};

/// Octets that a channel may keep in its own queue, whatever other channels have in theirs; no more than the budget.
const OWN_SHARE: usize = 256 << 10;

impl Session {
    /// Whether the shared queue has room for a message so large. One larger than the whole budget is let in alone.
    #[inline]
    pub(in crate::session) fn has_room(&self, size: usize) -> bool {
        let taken = self.outbox.shared().saturating_add(self.room.reserved());
        self.blocked.is_none()
            && (taken == 0 || taken.saturating_add(size) <= self.options.outbound_budget)
    }

    /// Passes the line that the publish has to stand in: one that must stay behind a large content, or is one, its
    /// channel's; otherwise the shared one.
    pub(super) fn pass_room(
        &mut self,
        key: ChannelKey,
        size: usize,
        place: &mut Place,
        waker: Option<&dyn Caller>,
    ) -> Poll<Result<()>> {
        if self.goes_behind(key, size, place) {
            return self.pass_behind(key, size, place, waker);
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
            let text = "Options::outbound_budget is used up by what waits to be written";
            return Poll::Ready(Err(self.no_room(text)));
        };
        let (new, old) = self.room.wait(ticket, size, waker);
        self.effects.discard_waker(old);
        if ticket.is_none() {
            if let Some(channel) = self.channels.get(key) {
                channel.in_room += 1;
            }
            self.leave(key, place);
            *place = Place::Room(new);
        }
        Poll::Pending
    }

    /// As [`pass_room`](Self::pass_room), for what goes into the channel's own queue.
    pub(in crate::session) fn pass_behind(
        &mut self,
        key: ChannelKey,
        size: usize,
        place: &mut Place,
        waker: Option<&dyn Caller>,
    ) -> Poll<Result<()>> {
        if let Place::Room(_) = place {
            // A large content came between.
            self.leave(key, place);
        }
        let ticket = match *place {
            Place::Behind(ticket) => Some(ticket),
            _ => None,
        };
        if self.has_own_room(key, size, ticket) {
            return Poll::Ready(Ok(()));
        }
        let Some(waker) = waker else {
            let text = "Options::outbound_budget is used up by large messages, and the channel still holds one";
            return Poll::Ready(Err(self.no_room(text)));
        };
        let wait = |line: &mut Admission, _: &mut Effects| line.wait(ticket, size, waker);
        let Some((ticket, old)) = self.with_line(key, wait) else {
            return Poll::Ready(Err(Error::stale(None)));
        };
        self.effects.discard_waker(old);
        if !matches!(place, Place::Behind(_)) {
            self.leave(key, place);
            *place = Place::Behind(ticket);
        }
        if let Some(channel) = self.channels.get(key)
            && !std::mem::replace(&mut channel.waits_behind, true)
        {
            self.waiting_behind.push_back(key);
        }
        Poll::Pending
    }

    #[cold]
    fn no_room(&self, text: &'static str) -> Error {
        match self.blocked.is_some() {
            true => Error::blocked("the broker has blocked publishing on this connection"),
            false => Error::full(text),
        }
    }

    /// Whether a publish belongs into its channel's own queue. One that fits the shared queue waits before that
    /// while others of its channel still wait for the own one, which it must not pass.
    fn goes_behind(&mut self, key: ChannelKey, size: usize, place: &Place) -> bool {
        let Some(channel) = self.channels.get(key) else { return false };
        size > SHARED_MAX
            || !channel.large.is_empty()
            || match *place {
                Place::Room(_) => false,
                Place::Behind(ticket) => !channel.behind.admits(Some(ticket)),
                _ => !channel.behind.admits(None),
            }
    }

    /// Whether whoever has this ticket of the channel's line was admitted, or a newcomer may go.
    #[inline(never)]
    pub(super) fn has_own_room(
        &mut self,
        key: ChannelKey,
        size: usize,
        ticket: Option<u64>,
    ) -> bool {
        let Some(channel) = self.channels.get(key) else { return true };
        let (admits, must_wait) = (channel.behind.admits(ticket), channel.must_let_pass());
        admits && (ticket.is_some() || !must_wait && self.fits_own(key, size))
    }

    /// Whether the channel's own queue has room for a message so large, whoever waits for it.
    pub(super) fn fits_own(&mut self, key: ChannelKey, size: usize) -> bool {
        let (budget, blocked) = (self.options.outbound_budget, self.blocked.is_some());
        let taken = self.outbox.large().saturating_add(self.reserved_behind);
        let Some(channel) = self.channels.get(key) else { return true };
        let own = channel.own_octets();
        let room = budget.min(OWN_SHARE).saturating_sub(own).max(budget.saturating_sub(taken));
        !blocked && (own == 0 || size <= room)
    }

    /// Admits publishers to the shared queue once half of its budget is free again, so that each wake-up is worth it.
    pub(in crate::session) fn wake_room(&mut self) {
        if !self.republishing.is_empty() {
            self.republish();
        }
        let taken = self.outbox.shared().saturating_add(self.room.reserved());
        let budget = self.options.outbound_budget;
        if self.blocked.is_none() && taken <= budget / 2 && !self.room.is_empty() {
            self.room.admit(budget - taken, taken == 0, &mut self.effects);
        }
    }

    /// Admits publishers to the own queue of a channel, once half of its share or of the budget is free, or it is
    /// empty.
    pub(in crate::session) fn wake_behind(&mut self, key: ChannelKey) {
        let budget = self.options.outbound_budget;
        let taken = self.outbox.large().saturating_add(self.reserved_behind);
        let blocked = self.blocked.is_some();
        let Some(channel) = self.channels.get(key) else { return };
        if channel.behind.admits(None) || blocked || channel.must_let_pass() {
            return;
        }
        let free = |most: usize, taken: usize| match taken <= most / 2 {
            true => most - taken,
            false => 0,
        };
        let own = channel.own_octets();
        let room = free(budget.min(OWN_SHARE), own).max(free(budget, taken));
        if room > 0 || own == 0 {
            self.with_line(key, |line, effects| line.admit(room, own == 0, effects));
        }
    }

    /// Lets channels have their turns at the budget of own queues, each as far as it goes, till one of them finds no
    /// room. That one is first no more: it goes on when its own queue is empty, at the latest.
    pub(in crate::session) fn wake_all_behind(&mut self) {
        for _ in 0..self.waiting_behind.len() {
            let taken = self.outbox.large().saturating_add(self.reserved_behind);
            if taken > self.options.outbound_budget / 2 {
                break;
            }
            let Some(key) = self.waiting_behind.pop_front() else { break };
            self.wake_behind(key);
            let Some(channel) = self.channels.get(key) else { continue };
            channel.waits_behind = !channel.behind.admits(None);
            if channel.waits_behind {
                self.waiting_behind.push_back(key);
                break;
            }
        }
    }

    /// The broker takes no publishes: all that were let in wait again.
    #[allow(dead_code, reason = "not every specification has `connection.blocked`")]
    pub(in crate::session) fn revoke_room(&mut self) {
        self.room.revoke();
        for channel in self.channels.iter_mut() {
            channel.behind.revoke();
        }
        self.reserved_behind = 0;
    }

    /// It takes them again, or there is another one.
    pub(in crate::session) fn wake_every_room(&mut self) {
        self.wake_room();
        for key in self.channels.keys() {
            self.wake_behind(key);
        }
    }

    /// The queues are gone, and others are to come: all wait again, and those who look may wait elsewhere.
    pub(in crate::session) fn suspend_room(&mut self) {
        self.room.revoke();
        self.effects.wake_all(self.room.take_wakers());
    }

    /// The same, of a channel's own queue.
    pub(in crate::session) fn suspend_line(&mut self, key: ChannelKey) {
        self.with_line(key, |line, effects| {
            line.revoke();
            effects.wake_all(line.take_wakers());
        });
    }

    /// The channel is over: nobody waits for its own queue any more.
    pub(in crate::session) fn end_line(&mut self, key: ChannelKey) {
        self.with_line(key, |line, effects| effects.wake_all(line.take_all()));
        if self.channels.get(key).is_some_and(|channel| channel.waits_behind) {
            self.waiting_behind.retain(|waiting| *waiting != key);
        }
    }

    /// Leaves the line of the shared queue.
    #[inline(never)]
    pub(super) fn leave_room(&mut self, key: ChannelKey, ticket: u64) {
        let mine = self.room.leave(ticket);
        self.effects.discard_waker(mine);
        if let Some(channel) = self.channels.get(key) {
            channel.in_room = channel.in_room.saturating_sub(1);
            if channel.in_room == 0 {
                self.wake_behind(key);
            }
        }
        self.wake_room();
    }

    /// Leaves the line of the channel's own queue.
    #[inline(never)]
    pub(super) fn leave_behind(&mut self, key: ChannelKey, ticket: u64) {
        let left = self.with_line(key, |line, _| (line.leave(ticket), line.is_empty()));
        let Some((mine, is_last)) = left else { return };
        self.effects.discard_waker(mine);
        if !is_last {
            self.wake_behind(key);
        }
        if !self.waiting_behind.is_empty() {
            self.wake_all_behind();
        }
    }

    /// Changes the line of a channel's own queue, and counts what is kept for those who were let in.
    fn with_line<R>(
        &mut self,
        key: ChannelKey,
        change: impl FnOnce(&mut Admission, &mut Effects) -> R,
    ) -> Option<R> {
        let line = &mut self.channels.get(key)?.behind;
        let before = line.reserved();
        let result = change(line, &mut self.effects);
        self.reserved_behind =
            self.reserved_behind.saturating_sub(before).saturating_add(line.reserved());
        Some(result)
    }
}

impl ChannelState {
    /// Octets in its own queue, and kept for those who were let in there.
    fn own_octets(&self) -> usize {
        self.large_octets.saturating_add(self.behind.reserved())
    }

    /// Whether its own queue has become so short that those who wait for it may look.
    #[inline]
    pub(in crate::session) fn is_short(&self) -> bool {
        !self.behind.is_empty() && self.large_octets <= OWN_SHARE / 2
    }

    /// Whether earlier publishes of the channel wait for the shared queue. A stream owns its channel: no publish
    /// goes before it.
    fn must_let_pass(&self) -> bool {
        self.in_room > 0 && !self.is_publishing_stream()
    }
}
