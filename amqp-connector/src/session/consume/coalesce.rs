//! Acks that are held back for a moment, to be sent as few `multiple` ones: a channel's option.
//!
//! A multiple settles everything up to its tag, whoever it was delivered to. So it is used only up to the first
//! delivery of the channel that is not settled yet, whichever consumer or `basic.get` that belongs to; held acks
//! behind that one are sent one by one. For that every delivery that is to be settled is kept here, from when it
//! comes until it is settled. A peer that does not number deliveries one by one never gets a multiple.
//!
//! Held acks are sent when there are as many as allowed, when their time is up, and before anything else whose
//! effect they could change: every request on the channel, a flush, a close. Never waits.

use std::collections::VecDeque;
use std::time::Duration;

use amqp_types::protocol::{Method, basic};
use amqp_types::{AnyMethod, Method as _};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::session::Session;
use crate::session::channel::{ChannelKey, ChannelState};
use crate::session::consume::settle::Settle;
use crate::session::output::put_method;
use crate::session::timers::after;

/// What has become of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is to be settled.
    Open,
    /// It is acked, and the peer was not told.
    Held,
    /// The peer was told.
    Settled,
}

/// When held acks are sent at the latest. It may have been set for others, which have been sent since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    No,
    /// After the delay, counted from when somebody tells the time.
    Unclocked,
    At(Instant),
}

/// What became of an ack that was to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Held {
    /// It is for nothing that is open.
    Not,
    /// It is one of more, whose time runs.
    More,
    /// Its time is to be started.
    First,
    /// All are to be sent now.
    Full,
}

/// Tombstones that are not worth the moving.
const FEW: usize = 64;

/// So many deliveries are kept: far more than prefetches allow together.
const LINE_MAX: usize = 1 << 20;

/// The deliveries of a channel that the peer waits to have settled, and the acks that are held back.
#[derive(Debug)]
pub(crate) struct Coalescer {
    /// In the order of their tags. The first is never `Settled`, and of all no more than half, but for a few.
    line: VecDeque<(u64, State)>,
    /// The tags of those that are `Held`.
    held: Vec<u64>,
    /// How many are `Settled`.
    settled: usize,
    /// The highest tag that came.
    last: u64,
    /// A tag was not the successor of the one before: who knows what is between.
    irregular: bool,
    /// As many acks as the user wants to have held at most.
    max: usize,
    /// The same, and no more than half of any prefetch: a consumer must not starve for acks that are held.
    limit: usize,
    delay: Duration,
    due: Due,
}

impl Coalescer {
    fn new(max: usize, delay: Duration) -> Self {
        Self {
            line: VecDeque::new(),
            held: Vec::new(),
            settled: 0,
            last: 0,
            irregular: false,
            max,
            limit: max,
            delay,
            due: Due::No,
        }
    }

    /// A delivery has come; `open`: it is to be settled.
    pub(in crate::session) fn delivered(&mut self, tag: u64, open: bool) {
        self.irregular |= self.last.checked_add(1) != Some(tag);
        // One that comes out of order could not be found again: it is settled as if nothing could be held.
        if open && tag > self.last && self.line.len() < LINE_MAX {
            self.line.push_back((tag, State::Open));
        } else if open {
            self.irregular = true;
        }
        self.last = self.last.max(tag);
    }

    /// Consumers have come, with these prefetches; zero is unlimited.
    pub(in crate::session) fn bound(&mut self, prefetches: impl Iterator<Item = u16>) {
        let least = prefetches.filter(|prefetch| *prefetch > 0).min();
        let half = least.map_or(usize::MAX, |least| usize::from(least / 2).max(1));
        self.limit = self.max.min(half);
    }

    /// One that begins after a delivery of this number.
    pub(in crate::session) fn after(max: usize, delay: Duration, last: u64) -> Self {
        Self { last, ..Self::new(max, delay) }
    }

    /// How many acks may be held, and for how long.
    pub(in crate::session) fn wishes(&self) -> (usize, Duration) {
        (self.max, self.delay)
    }

    /// Whether acks are held back.
    pub(in crate::session) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    #[cfg(test)]
    pub(in crate::session) fn limit(&self) -> usize {
        self.limit
    }

    #[cfg(test)]
    pub(in crate::session) fn len(&self) -> usize {
        self.line.len()
    }

    fn state(&mut self, tag: u64) -> Option<&mut State> {
        let (first, _) = self.line.front()?;
        // Where it is unless there are gaps.
        let at = usize::try_from(tag.checked_sub(*first)?).ok()?;
        let at = match self.line.get(at) {
            Some((found, _)) if *found == tag => at,
            _ => self.line.binary_search_by_key(&tag, |(tag, _)| *tag).ok()?,
        };
        self.line.get_mut(at).map(|(_, state)| state)
    }

    /// Whether a delivery is to be settled still.
    pub(in crate::session) fn is_open(&mut self, tag: u64) -> bool {
        matches!(self.state(tag), Some(State::Open))
    }

    /// Keeps an ack.
    pub(in crate::session) fn hold(&mut self, tag: u64) -> Held {
        let Some(state @ State::Open) = self.state(tag) else { return Held::Not };
        *state = State::Held;
        self.held.push(tag);
        if self.held.len() >= self.limit {
            Held::Full
        } else if self.due == Due::No {
            self.due = Due::Unclocked;
            Held::First
        } else {
            Held::More
        }
    }

    /// The peer is told about this one.
    pub(in crate::session) fn settle(&mut self, tag: u64) {
        let Some(state) = self.state(tag) else { return };
        match std::mem::replace(state, State::Settled) {
            State::Settled => return,
            State::Held => self.held.retain(|held| *held != tag),
            State::Open => {}
        }
        self.settled += 1;
        self.trim();
    }

    /// The peer is told about all up to this one; zero is all that there are.
    pub(in crate::session) fn settle_to(&mut self, tag: u64) {
        let tag = if tag == 0 { self.last } else { tag };
        self.held.retain(|held| *held > tag);
        self.pop_while(|front, _| front <= tag);
        self.trim();
    }

    /// Takes out what is settled: from the front always, and from among the others when it is the most of them.
    fn trim(&mut self) {
        self.pop_while(|_, state| state == State::Settled);
        if self.settled > FEW && self.settled > self.line.len() / 2 {
            self.line.retain(|(_, state)| *state != State::Settled);
            self.settled = 0;
        }
    }

    fn pop_while(&mut self, mut goes: impl FnMut(u64, State) -> bool) {
        while let Some((tag, state)) = self.line.front().copied()
            && goes(tag, state)
        {
            self.line.pop_front();
            self.settled -= usize::from(state == State::Settled);
        }
    }

    /// The last of the held ones that nothing open is before, if a multiple up to there saves anything.
    fn prefix(&self) -> Option<u64> {
        if self.irregular || self.held.len() < 2 {
            return None;
        }
        let prefix = self.line.iter().take_while(|(_, state)| *state != State::Open);
        // The tag of a multiple must be one that the peer waits for.
        let mut held = prefix.filter(|(_, state)| *state == State::Held).map(|(tag, _)| *tag);
        held.next();
        held.last()
    }

    /// The next ack to be sent now, of those that are held: first the one that settles most.
    fn take_ack(&mut self) -> Option<basic::Ack> {
        if let Some(delivery_tag) = self.prefix() {
            self.settle_to(delivery_tag);
            return Some(basic::Ack { delivery_tag, multiple: true });
        }
        let delivery_tag = self.held.pop()?;
        self.settle(delivery_tag);
        Some(basic::Ack { delivery_tag, multiple: false })
    }
}

impl ChannelState {
    /// Holds no more acks than its consumers' prefetches allow.
    pub(in crate::session) fn bound_coalescer(&mut self) {
        let Self { coalescer: Some(coalescer), consumers, prefetch_global, .. } = self else {
            return;
        };
        let live = consumers.iter().filter(|it| !it.no_ack && it.end.is_none());
        coalescer.bound(live.map(|it| it.prefetch).chain([*prefetch_global]));
    }
}

impl Session {
    /// Holds back the acks of a channel: at most `max`, for `delay` at the latest. Only a channel that nothing was
    /// delivered on can know of every delivery.
    pub(crate) fn coalesce_acks(
        &mut self,
        key: ChannelKey,
        max: usize,
        delay: Duration,
    ) -> Result<()> {
        let channel = self.open_channel(key)?;
        if channel.consumed {
            let text =
                "acks can be coalesced only from before the first basic.consume or basic.get";
            return Err(Error::invalid(text));
        }
        channel.coalescer = Some(Box::new(Coalescer::new(max, delay)));
        self.coalesces = true;
        Ok(())
    }

    /// As [`Session::settle`], on a channel that coalesces acks.
    #[cold]
    pub(in crate::session) fn settle_coalesced(
        &mut self,
        key: ChannelKey,
        tag: u64,
        settle: Settle,
    ) -> Result<()> {
        let Some(ChannelState { coalescer: Some(coalescer), .. }) = self.channels.get(key) else {
            return Ok(());
        };
        match settle {
            Settle::Ack { multiple: false } => {
                let held = coalescer.hold(tag);
                return self.ack_held(key, tag, held);
            }
            Settle::Ack { multiple: true } => coalescer.settle_to(tag),
            Settle::Nack { multiple: true, .. } => {
                // It must not take what was acked.
                self.write_acks(key);
                self.note_told(key, |coalescer| coalescer.settle_to(tag));
            }
            Settle::Nack { .. } | Settle::Reject { .. } => coalescer.settle(tag),
        }
        self.send_settle(key, tag, settle)
    }

    /// An ack is held, or was to be.
    #[inline]
    pub(in crate::session) fn ack_held(
        &mut self,
        key: ChannelKey,
        tag: u64,
        held: Held,
    ) -> Result<()> {
        match held {
            Held::More => {}
            Held::First => {
                self.unclocked = true;
                self.notify_driver();
            }
            Held::Full => self.write_acks(key),
            Held::Not => {
                self.note_told(key, |coalescer| coalescer.settle(tag));
                return self.send_settle(key, tag, Settle::Ack { multiple: false });
            }
        }
        Ok(())
    }

    /// Sends the acks that a channel holds.
    pub(in crate::session) fn write_acks(&mut self, key: ChannelKey) {
        let frame_max = self.tuning.frame_max;
        let Some(channel) = self.channels.get(key) else { return };
        let Some(mut coalescer) = channel.coalescer.take() else { return };
        let any = !coalescer.held.is_empty();
        while let Some(ack) = coalescer.take_ack() {
            // Numbers always fit a frame.
            let ack = basic::Ack { delivery_tag: channel.wire_tag(ack.delivery_tag), ..ack };
            let _ = put_method(&mut self.outbox, channel, frame_max, |writer| ack.encode(writer));
        }
        channel.coalescer = Some(coalescer);
        if any {
            self.notify_driver();
        }
    }

    /// The peer is told about a delivery.
    pub(in crate::session) fn note_told(
        &mut self,
        key: ChannelKey,
        note: impl FnOnce(&mut Coalescer),
    ) {
        if let Some(ChannelState { coalescer: Some(coalescer), .. }) = self.channels.get(key) {
            note(coalescer);
        }
    }

    /// A method is about to be sent on the channel: held acks go before it, since it may mean them (`tx.commit`,
    /// `basic.recover`), or what follows from it (a cancel). If it settles deliveries itself, that is noted.
    #[inline]
    pub(in crate::session) fn before_method(&mut self, key: ChannelKey, method: &Method) {
        if !self.coalesces {
            return;
        }
        self.write_acks(key);
        if is_recover(method) {
            self.stop_offsets(key);
        }
        if let Some((tag, multiple)) = settles(method) {
            self.note_told(key, |coalescer| match multiple {
                true => coalescer.settle_to(tag),
                false => coalescer.settle(tag),
            });
        }
    }

    /// Sends the acks whose time is up, and starts the time of those that came since.
    #[cold]
    pub(in crate::session) fn clock_acks(&mut self, now: Instant) -> Option<Instant> {
        let mut due = Vec::new();
        let mut next: Option<Instant> = None;
        for channel in self.channels.iter_mut() {
            let Some(coalescer) = &mut channel.coalescer else { continue };
            if coalescer.due == Due::Unclocked {
                coalescer.due = Due::At(after(now, coalescer.delay));
            }
            if let Due::At(at) = coalescer.due {
                if at <= now {
                    coalescer.due = Due::No;
                    due.push(channel.key);
                } else {
                    next = Some(next.map_or(at, |next| next.min(at)));
                }
            }
        }
        for key in due {
            self.write_acks(key);
        }
        next
    }
}

/// The deliveries that a method of the user's own making settles: up to which tag, or which one.
fn settles(method: &Method) -> Option<(u64, bool)> {
    if is_recover(method) {
        // All of them go back, and come under new tags.
        return Some((u64::MAX, true));
    }
    let Method::Basic(method) = method else { return None };
    amqp_types::if_spec! { basic.nack => {
        if let basic::Method::Nack(nack) = method {
            return Some((nack.delivery_tag, nack.multiple));
        }
    } else {} }
    match method {
        basic::Method::Ack(ack) => Some((ack.delivery_tag, ack.multiple)),
        basic::Method::Reject(reject) => Some((reject.delivery_tag, false)),
        _ => None,
    }
}

fn is_recover(method: &Method) -> bool {
    method.info().full_name.starts_with("basic.recover")
}
