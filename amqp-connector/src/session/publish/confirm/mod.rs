//! Publisher confirms of one channel: a ring of publishes in tag order, and what became of each.
//!
//! The ring has one slot per publish and no map: slot *n* is tag `base + n`. A slot is resolved by the
//! broker's `basic.ack` and `basic.nack`, by a `basic.return` before them, or by the end of the channel.
//! Resolved slots at the front leave the ring; those whose owner has not asked yet move aside, still in tag
//! order. Behind a front that stays unanswered the ring would fill with slots that are over: before it grows for that, what is left of
//! its older half moves out. Called by the session only. `limits` tells how much there may be, `early` keeps what has moved
//! out unanswered, `lost` tells what becomes of all when the connection or the channel ends.

mod early;
mod limits;
mod lost;

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::panic::Location;

use amqp_types::protocol::basic;

use crate::measure::Stamp;
use crate::outcome::{ConfirmCounts, Outcome, Returned};
use crate::session::Caller;
use crate::session::effects::{Effects, Garbage};
use crate::session::publish::Message;
use crate::session::publish::keep::{Keep, Verdict};
use crate::session::publish::origin::{Origin, Origins};
use crate::session::publish::slot::{
    Aside, Slot, State, forget_returns, is_failure, outcome_cost, return_cost,
};
use crate::session::publish::tally::{Awaited, Tally};
pub(crate) use limits::Limits;
use lost::Again;

/// The confirm state of one channel in confirm mode.
pub(crate) struct Confirms {
    /// Tag of the ring's front slot. Tags count from 1.
    base: u64,
    /// What the broker counts as its first publish is the next after this one: it begins anew when the channel comes
    /// back from the loss of its connection.
    wire_base: u64,
    /// What is published again after such a loss.
    again: Option<Box<Again>>,
    ring: VecDeque<Slot>,
    /// Open slots that have moved out of the ring.
    early: BTreeMap<u64, Slot>,
    /// Unconfirmed publishes, and confirmed ones whose outcome somebody may take and has not.
    held: usize,
    /// Slots that the broker has not answered, and what they count in octets.
    open: usize,
    open_octets: usize,
    aside: Aside,
    keep: Keep,
    origins: Origins,
    limits: Limits,
    /// How many may be unconfirmed, or confirmed and unawaited, now.
    count_max: usize,
    tally: Tally,
    /// The broker has said that it confirms: what came back before was published without confirms.
    begun: bool,
    /// What the messages cost that came back and that nobody has taken.
    back_octets: usize,
    /// Returns whose publishes ended otherwise than by an ack.
    strays: Vec<Returned>,
}

impl Confirms {
    #[allow(dead_code, reason = "not every specification has confirms")]
    pub(crate) fn new(limits: Limits, retains: bool, begun: bool) -> Self {
        Self {
            begun,
            base: 1,
            wire_base: 0,
            again: None,
            ring: VecDeque::new(),
            early: BTreeMap::new(),
            held: 0,
            open: 0,
            open_octets: 0,
            aside: Aside::default(),
            keep: Keep::new(retains),
            origins: Origins::default(),
            limits,
            count_max: limits.count,
            tally: Tally::default(),
            back_octets: 0,
            strays: Vec::new(),
        }
    }

    /// Unconfirmed publishes, and confirmed ones whose outcome nobody has taken.
    #[inline]
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Publishes without an answer of the broker.
    #[inline]
    pub(crate) fn unconfirmed(&self) -> usize {
        self.open
    }

    /// Octets of messages that are kept, those that came back among them.
    #[cfg(feature = "testing")]
    pub(crate) fn kept(&self) -> usize {
        self.retained_octets()
    }

    /// How many messages were looked at for returns.
    #[cfg(test)]
    #[allow(dead_code, reason = "not every specification has confirms")]
    pub(crate) fn looks(&self) -> usize {
        self.keep.looks()
    }

    /// Whether returns are no publish's outcome after all.
    #[inline]
    pub(crate) fn has_strays(&self) -> bool {
        !self.strays.is_empty()
    }

    /// How many returns are remembered that have an owner.
    #[cfg(test)]
    #[allow(dead_code, reason = "not every specification has confirms")]
    pub(crate) fn returns_given_away(&self) -> usize {
        self.keep.given_away()
    }

    #[cfg(test)]
    #[allow(dead_code, reason = "not every specification has confirms")]
    pub(crate) fn kept_entries(&self) -> usize {
        self.keep.entries()
    }

    /// The tag that the next publish gets, which is what the broker counts too.
    #[inline]
    pub(crate) fn next_tag(&self) -> u64 {
        self.base + self.ring.len() as u64
    }

    /// Adds a publish that has just been encoded, in so many octets; gives its tag. Of a mandatory one the
    /// content is taken, so that its return can be told from others'.
    #[inline]
    pub(crate) fn publish(
        &mut self,
        message: &mut Message,
        octets: usize,
        place: &'static Location<'static>,
        published: Stamp,
    ) -> u64 {
        let tag = self.push(u32::try_from(octets).unwrap_or(u32::MAX), published);
        let publish = &mut message.publish;
        if publish.mandatory || publish.immediate || self.keep.retains {
            self.origins.note_kept(tag, publish, place);
            self.keep.add(tag, message, octets);
        } else {
            self.origins.note(tag, publish, place);
        }
        tag
    }

    /// Adds a streamed publish, whose body nobody has whole: it is never kept. Gives its tag.
    pub(crate) fn publish_streamed(
        &mut self,
        publish: &mut basic::Publish,
        octets: u64,
        place: &'static Location<'static>,
        published: Stamp,
    ) -> u64 {
        let tag = self.push(u32::try_from(octets).unwrap_or(u32::MAX), published);
        self.origins.note(tag, publish, place);
        tag
    }

    #[inline]
    fn push(&mut self, octets: u32, published: Stamp) -> u64 {
        if self.ring.len() == self.ring.capacity() {
            self.thin_out();
        }
        let tag = self.next_tag();
        self.ring.push_back(Slot { octets, published, ..Slot::default() });
        self.held += 1;
        self.open += 1;
        self.open_octets += octets as usize;
        tag
    }

    /// The broker has answered a `confirm.select`.
    #[allow(dead_code, reason = "not every specification has confirms")]
    pub(crate) fn begin(&mut self) {
        self.begun = true;
    }

    /// Whether the broker has: what it answers now was published in confirm mode.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Pairs a return with its publish. Returns come in publish order and before the ack that covers
    /// them. One that fits none makes every publish that it could mean uncertain, and is given back.
    pub(crate) fn returned(&mut self, returned: Returned) -> Option<Returned> {
        if !self.begun {
            return Some(returned);
        }
        let octets = return_cost(&returned);
        let unpaired = self.keep.pair(returned);
        if unpaired.is_none() {
            self.back_octets += octets;
        }
        unpaired
    }

    /// A message came back that cannot be read but for where it was sent to: it is uncertain of every publish that it could
    /// mean.
    pub(crate) fn returned_unreadable(&mut self, exchange: &[u8], routing_key: &[u8]) {
        if self.begun {
            self.keep.doubt((exchange, routing_key));
        }
    }

    /// An ack or nack of the broker. Gives false for a tag that was never published.
    #[must_use]
    pub(crate) fn confirm(
        &mut self,
        tag: u64,
        multiple: bool,
        positive: bool,
        effects: &mut Effects,
    ) -> bool {
        if tag >= self.next_tag() - self.wire_base || (tag == 0 && !multiple) {
            return false;
        }
        let tag = match (tag, &self.again) {
            // 0-9-1 1.8.3.13: tag 0 with multiple means everything outstanding.
            (0, _) => self.next_tag() - 1,
            (tag, None) => tag + self.wire_base,
            (tag, Some(again)) => again.own_tag(tag).unwrap_or(tag + self.wire_base),
        };
        let base = self.base;
        if multiple {
            self.resolve_early(1..=tag, positive, effects);
            self.resolve(base..=tag, positive, effects);
        } else if tag >= base {
            self.resolve(tag..=tag, positive, effects);
        } else {
            self.resolve_early(tag..=tag, positive, effects);
        }
        self.advance(effects);
        if self.again.is_some() {
            self.forget_again();
        }
        true
    }

    /// Resolves these slots of the ring, as far as they are open.
    #[inline]
    fn resolve(&mut self, tags: RangeInclusive<u64>, positive: bool, effects: &mut Effects) {
        let Self { ring, base, keep, tally, held, open, open_octets, back_octets, .. } = self;
        let index = |tag: u64| usize::try_from(tag.saturating_sub(*base)).unwrap_or(usize::MAX);
        let (from, count) = (index(*tags.start()), index(*tags.end() + 1));
        let slots = ring.iter_mut().take(count).skip(from);
        let (mut answered, mut unasked, mut octets, kept) = (0, 0, 0, !keep.is_empty());
        let indexed = keep.is_indexed();
        for (slot, tag) in slots.zip(*tags.start()..) {
            if !slot.state.is_open() {
                continue;
            }
            let verdict = match indexed && positive {
                true => keep.verdict(tag),
                false => Verdict::Plain,
            };
            tally.count(positive, &verdict);
            slot.resolve(positive, verdict, effects);
            answered += 1;
            unasked += usize::from(slot.detached);
            octets += slot.octets as usize;
            if kept {
                keep.settle(tag, slot.state.has_failed());
            }
        }
        *open -= answered;
        *held -= unasked;
        *open_octets -= octets;
        if indexed {
            *back_octets -= forget_returns(ring.iter_mut().take(count).skip(from));
            self.collect_strays();
        }
    }

    #[inline(never)]
    fn collect_strays(&mut self) {
        let strays = self.keep.take_strays();
        self.back_octets -= strays.iter().map(return_cost).sum::<usize>();
        self.strays.extend(strays);
    }

    /// Returns that are no publish's outcome after all.
    #[inline]
    pub(crate) fn take_strays(&mut self) -> Option<Vec<Returned>> {
        (!self.strays.is_empty()).then(|| std::mem::take(&mut self.strays))
    }

    /// The channel goes on after its end.
    pub(in crate::session) fn revive(&mut self) {
        self.tally.revive();
    }

    /// Whether all publishes up to the wait's first look are answered, and what was answered; see [`Tally::poll`].
    pub(crate) fn poll_answered(&mut self, wait: &mut Awaited) -> Option<(bool, ConfirmCounts)> {
        let next = self.next_tag();
        let answered = next - 1 - self.open as u64;
        let first_open = self.first_open();
        self.tally.poll(wait, next, first_open, answered)
    }

    /// Whether those who wait for all publishes are to look again.
    #[inline]
    pub(crate) fn wakes_waiters(&mut self) -> bool {
        let first_open = self.first_open();
        self.tally.wakes_waiters(first_open)
    }

    /// The tags that are unanswered, and where they came from.
    pub(super) fn pending(&self) -> impl Iterator<Item = (u64, Option<&Origin>)> {
        let open = self.slots().filter(|(_, slot)| slot.state.is_open());
        open.map(|(tag, _)| (tag, self.origins.of(tag)))
    }

    /// Whether a message is kept of which a broker is told `immediate`.
    pub(super) fn asks_for_immediate(&self, tag: u64) -> bool {
        self.keep.asks_for_immediate(tag)
    }

    /// The outcome of `tag` if it is known, else the waker is kept.
    pub(crate) fn poll(
        &mut self,
        tag: u64,
        waker: &dyn Caller,
        effects: &mut Effects,
    ) -> Option<Outcome> {
        if let Some(slot) = self.slot(tag) {
            match std::mem::replace(&mut slot.state, State::Claimed) {
                State::Done(outcome) => {
                    self.held -= 1;
                    self.back_octets -= outcome_cost(&outcome);
                    self.advance(effects);
                    return Some(outcome);
                }
                open => slot.state = open,
            }
            effects.keep(&mut slot.waker, waker);
            return None;
        }
        self.claim_aside(tag)
    }

    /// The owner of `tag` is gone.
    pub(crate) fn detach(&mut self, tag: u64, effects: &mut Effects) -> Option<Outcome> {
        if !self.keep.is_empty() {
            self.keep.orphan(tag);
        }
        if let Some(slot) = self.slot(tag) {
            slot.detached = true;
            effects.discard_waker(slot.waker.take());
            let known = match std::mem::replace(&mut slot.state, State::Claimed) {
                State::Done(outcome) => Some(outcome),
                open => {
                    slot.state = open;
                    None
                }
            };
            self.held -= usize::from(known.is_some());
            self.back_octets -= known.as_ref().map_or(0, outcome_cost);
            self.advance(effects);
            return known;
        }
        self.claim_aside(tag)
    }

    /// Whether the message of such an outcome is kept to be handed back.
    #[inline]
    pub(crate) fn keeps(&self, outcome: &Outcome) -> bool {
        self.keep.retains && is_failure(outcome)
    }

    /// The message of a publish that failed, once.
    pub(crate) fn take_message(&mut self, tag: u64) -> Option<Message> {
        self.keep.take(tag)
    }

    /// Whoever could have taken the message of `tag` is gone.
    pub(crate) fn leave_message(&mut self, tag: u64) {
        self.keep.orphan(tag);
    }

    /// The messages of failed publishes whose confirmation nobody holds, in tag order.
    pub(crate) fn take_orphans(&mut self) -> Vec<Message> {
        self.keep.take_orphans()
    }

    /// No handle of the channel is left: nobody can ask for a message any more.
    pub(crate) fn abandon_kept(&mut self, effects: &mut Effects) {
        self.keep.retains = false;
        self.keep.clear();
        self.discard_gone(effects);
    }

    fn discard_gone(&mut self, effects: &mut Effects) {
        if let Some(gone) = self.keep.take_gone() {
            effects.discard(Garbage::Messages(gone));
        }
    }

    fn claim_aside(&mut self, tag: u64) -> Option<Outcome> {
        let outcome = self.aside.claim(tag)?;
        self.held -= 1;
        self.back_octets -= outcome_cost(&outcome);
        Some(outcome)
    }

    fn slot(&mut self, tag: u64) -> Option<&mut Slot> {
        match tag.checked_sub(self.base) {
            Some(index) => self.ring.get_mut(usize::try_from(index).ok()?),
            None => self.early.get_mut(&tag),
        }
    }

    /// Lets resolved slots at the front go.
    fn advance(&mut self, effects: &mut Effects) {
        while self.ring.front().is_some_and(|slot| !slot.state.is_open()) {
            if let Some(Slot { state: State::Done(outcome), detached: false, .. }) =
                self.ring.pop_front()
            {
                self.aside.add(self.base, outcome);
            }
            self.base += 1;
        }
        self.discard_gone(effects);
        match self.early.is_empty() {
            true => self.origins.forget_below(self.base),
            false => self.forget_origins(),
        }
        if self.ring.is_empty() && self.ring.capacity() > 4096 {
            self.ring.shrink_to(1024);
            self.origins.shrink();
        }
    }
}
