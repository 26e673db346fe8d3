//! How fast a channel may publish: what the peer's `channel.flow` and the user's [`Pace`] let through.
//!
//! A pace is a token bucket, one more condition of the channel's gate. The clock is the driver's: it looks whenever
//! something was published, and when the next token is due while somebody waits for one. So tokens are spent without
//! a clock, and those spent since the last look count as spent at the next one, which is right after them. Called
//! by publishing, [`Channel::pace`](crate::Channel::pace) and the timers.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Result;
use crate::options::Pace;
use crate::session::Session;
use crate::session::channel::{ChannelKey, ChannelState};
use crate::session::publish::confirm::Confirms;
use crate::session::timers::{after, earlier};

/// Whether publishes of a channel go as fast as they come. One value, so that a channel without a pace asks no
/// more than whether the peer has paused it.
#[derive(Default)]
pub(in crate::session) enum Flow {
    #[default]
    Free,
    Paced(Box<Bucket>),
    /// The peer has paused the channel by `channel.flow`.
    Paused(Option<Box<Bucket>>),
}

impl Flow {
    /// Whether nothing bounds it.
    #[inline]
    pub(in crate::session) fn is_free(&self) -> bool {
        matches!(self, Self::Free)
    }

    /// Whether the peer lets the channel publish.
    #[inline]
    pub(in crate::session) fn is_active(&self) -> bool {
        !matches!(self, Self::Paused(_))
    }

    /// How many publishes may go now.
    pub(in crate::session) fn room(&self) -> usize {
        match self {
            Self::Free => usize::MAX,
            Self::Paced(bucket) => bucket.room(),
            Self::Paused(_) => 0,
        }
    }

    /// The peer pauses the channel or lets it go on; tells whether that is new.
    pub(in crate::session) fn set_active(&mut self, active: bool) -> bool {
        let changed = active != self.is_active();
        if changed {
            *self = match (std::mem::take(self), active) {
                (Self::Paced(bucket), false) => Self::Paused(Some(bucket)),
                (Self::Paused(Some(bucket)), true) => Self::Paced(bucket),
                (_, false) => Self::Paused(None),
                (_, true) => Self::Free,
            };
        }
        changed
    }

    fn set_bucket(&mut self, bucket: Option<Box<Bucket>>) {
        *self = match (&self, bucket) {
            (Self::Paused(_), bucket) => Self::Paused(bucket),
            (_, Some(bucket)) => Self::Paced(bucket),
            (_, None) => Self::Free,
        };
    }

    fn bucket(&mut self) -> Option<&mut Bucket> {
        match self {
            Self::Paced(bucket) | Self::Paused(Some(bucket)) => Some(bucket),
            Self::Free | Self::Paused(None) => None,
        }
    }
}

/// Tokens, one for each publish. Counted in parts, of which so many come in each nanosecond as publishes are
/// allowed in a period, and of which a token has as many as the period has nanoseconds: no rate is rounded.
pub(in crate::session) struct Bucket {
    pace: Pace,
    /// Parts of tokens, as of the last look at the clock.
    parts: u128,
    looked: Instant,
    /// Tokens that were spent since.
    spent: u128,
}

impl Bucket {
    fn new(pace: Pace, now: Instant) -> Self {
        let mut bucket = Self { pace, parts: 0, looked: now, spent: 0 };
        bucket.parts = bucket.most();
        bucket
    }

    fn token(&self) -> u128 {
        self.pace.period.as_nanos()
    }

    /// Of how many parts it is full.
    fn most(&self) -> u128 {
        u128::from(self.pace.burst_or_default()).saturating_mul(self.token())
    }

    /// The parts that nobody has spent.
    fn left(&self) -> u128 {
        self.parts.saturating_sub(self.spent.saturating_mul(self.token()))
    }

    fn room(&self) -> usize {
        let tokens = self.left().checked_div(self.token()).unwrap_or(0);
        usize::try_from(tokens).unwrap_or(usize::MAX)
    }

    /// What has come since the last look, as far as it fits, less what was spent.
    fn look(&mut self, now: Instant) {
        let time = now.saturating_duration_since(self.looked).as_nanos();
        let more = time.saturating_mul(self.pace.publishes.into());
        self.parts = self.parts.saturating_add(more).min(self.most());
        self.parts = self.left();
        (self.spent, self.looked) = (0, self.looked.max(now));
    }

    /// When there will be a token besides those that are `reserved`, if time alone brings it.
    fn due(&self, reserved: usize) -> Option<Instant> {
        let tokens = u128::try_from(reserved).unwrap_or(u128::MAX).saturating_add(1);
        let wanted = tokens.saturating_mul(self.token());
        let missing = wanted.checked_sub(self.left()).filter(|_| wanted <= self.most())?;
        let time = missing.div_ceil(self.pace.publishes.max(1).into());
        let time = Duration::from_nanos(u64::try_from(time).unwrap_or(u64::MAX));
        Some(after(self.looked, time))
    }
}

impl ChannelState {
    /// How many publishes the limits allow where not only those of confirms are to be asked.
    #[cold]
    pub(in crate::session) fn paced_room(&self) -> usize {
        self.unpaced_room().min(self.flow.room())
    }

    /// How many publishes all limits but the pace allow.
    fn unpaced_room(&self) -> usize {
        match self.flow.is_active() {
            true => self.confirms.as_ref().map_or(usize::MAX, Confirms::room),
            false => 0,
        }
    }
}

impl Session {
    /// Sets the pace of a channel, or takes it away. What the channel had saved up stays, as far as it may.
    pub(crate) fn set_pace(
        &mut self,
        key: ChannelKey,
        pace: Option<Pace>,
        now: Instant,
    ) -> Result<()> {
        let channel = self.open_channel(key)?;
        let bucket = pace.map(|pace| {
            let mut bucket = Bucket::new(pace, now);
            if let Some(old) = channel.flow.bucket() {
                old.look(now);
                let saved = bucket.token().saturating_mul(old.room() as u128);
                bucket.parts = bucket.parts.min(saved);
            }
            Box::new(bucket)
        });
        channel.flow.set_bucket(bucket);
        // Those who were admitted may be more than may go now.
        channel.gate.revoke();
        self.paces |= pace.is_some();
        self.wake_gate(key);
        self.want_clock();
        Ok(())
    }

    /// A publish has passed the gate of its channel, and is to go.
    pub(super) fn spend(&mut self, key: ChannelKey) {
        if let Some(channel) = self.channels.get(key)
            && let Some(bucket) = channel.flow.bucket()
        {
            bucket.spent += 1;
            self.want_clock();
        }
    }

    /// It has not gone after all.
    #[cold]
    #[inline(never)]
    pub(in crate::session) fn unspend(&mut self, key: ChannelKey) {
        if let Some(channel) = self.channels.get(key)
            && let Some(bucket) = channel.flow.bucket()
        {
            bucket.spent = bucket.spent.saturating_sub(1);
            self.wake_gate(key);
        }
    }

    /// Somebody waits for a token, or for the driver to count one: it is to look at the clock.
    pub(super) fn want_clock(&mut self) {
        self.unclocked = true;
        self.notify_driver();
    }

    /// Looks at the clock for somebody who cannot wait for the driver to do so. True if that may be of use.
    pub(crate) fn look_at_pace(&mut self, key: ChannelKey, now: Instant) -> bool {
        let Some(bucket) = self.channels.get(key).and_then(|channel| channel.flow.bucket()) else {
            return false;
        };
        bucket.look(now);
        // Those who wait come first.
        self.wake_gate(key);
        true
    }

    /// Brings the tokens that are due at `now`; tells when the next one is that somebody waits for.
    pub(in crate::session) fn clock_paces(&mut self, now: Instant) -> Option<Instant> {
        if !self.paces {
            return None;
        }
        let (mut next, effects) = (None, &mut self.effects);
        for channel in self.channels.iter_mut() {
            let Some(bucket) = channel.flow.bucket() else { continue };
            bucket.look(now);
            if channel.gate.is_empty() {
                continue;
            }
            let room = channel.gate_room();
            channel.gate.admit(room, false, effects);
            let reserved = channel.gate.reserved();
            // Where another limit holds them up, its end has the clock looked at.
            if !channel.gate.admits(None)
                && channel.unpaced_room() > reserved
                && let Some(bucket) = channel.flow.bucket()
            {
                next = earlier(next, bucket.due(reserved));
            }
        }
        if !self.republishing.is_empty() {
            self.republish();
            for key in &self.republishing {
                let bucket = self.channels.get(*key).and_then(|channel| channel.flow.bucket());
                next = earlier(next, bucket.and_then(|bucket| bucket.due(0)));
            }
        }
        next
    }
}
