//! Plain numbers: what was counted and not told yet.

use tokio::time::Instant;

use super::{Answer, Standing};

/// What only grows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sum {
    Published,
    PublishedBytes,
    Republished,
    Acked,
    Nacked,
    ReturnedOutcome,
    Unknown,
    Returned,
    Delivered,
    DeliveredBytes,
    Redelivered,
    SentBytes,
    ReceivedBytes,
    Losses,
    Reconnects,
}

/// How many sums there are.
pub(super) const SUMS: usize = Sum::Reconnects as usize + 1;

/// What rises and falls.
#[derive(Clone, Copy, Debug)]
pub(super) enum Level {
    Connections,
    Blocked,
    Channels,
    Consumers,
    Unconfirmed,
}

/// How many levels there are.
pub(super) const LEVELS: usize = Level::Unconfirmed as usize + 1;

/// When a message was published, to tell later how long its confirm took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamp(pub(super) Option<Instant>);

impl Stamp {
    #[inline]
    pub(crate) fn now() -> Self {
        Self(Some(Instant::now()))
    }
}

/// What was counted since the last was told.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(super) sums: [u64; SUMS],
    /// By how much levels have changed.
    pub(super) moves: [i64; LEVELS],
    /// When what was confirmed had been published.
    pub(super) confirmed: Vec<Stamp>,
}

impl Batch {
    #[inline]
    fn add(&mut self, sum: Sum, amount: usize) {
        if let Some(sum) = self.sums.get_mut(sum as usize) {
            *sum = sum.wrapping_add(amount as u64);
        }
    }

    #[inline]
    fn shift(&mut self, level: Level, by: i64) {
        if let Some(level) = self.moves.get_mut(level as usize) {
            *level += by;
        }
    }

    /// Octets were written to the transport.
    #[inline]
    pub(crate) fn sent(&mut self, octets: usize) {
        self.add(Sum::SentBytes, octets);
    }

    /// Octets of whole frames were read from the transport.
    #[inline]
    pub(crate) fn received(&mut self, octets: usize) {
        self.add(Sum::ReceivedBytes, octets);
    }
}

/// What a session counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    batch: Batch,
    /// What there was when it was last looked at.
    standing: Standing,
    /// It has to be looked at again.
    stale: bool,
    /// Something was counted since the last was taken.
    changed: bool,
    live: bool,
    /// When what is published now is.
    stamp: Stamp,
}

impl Counts {
    #[inline]
    fn add(&mut self, sum: Sum, amount: usize) {
        self.batch.add(sum, amount);
        self.changed = true;
    }

    /// The connection is open.
    pub(crate) fn opened(&mut self) {
        (self.live, self.stale) = (true, true);
    }

    /// It is open again.
    pub(crate) fn reopened(&mut self) {
        self.opened();
        self.add(Sum::Reconnects, 1);
    }

    /// It is over, or lost; not twice in a row.
    pub(crate) fn ended(&mut self, wanted: bool) {
        if std::mem::take(&mut self.live) && !wanted {
            self.add(Sum::Losses, 1);
        }
        self.stale = true;
    }

    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// Something rare has changed of what there is: it is to be counted again.
    #[inline]
    pub(crate) fn touch(&mut self) {
        self.stale = true;
    }

    #[inline]
    pub(crate) fn is_stale(&self) -> bool {
        self.stale
    }

    #[inline]
    pub(crate) fn has_changed(&self) -> bool {
        self.changed || self.stale
    }

    /// Takes note of what there is.
    pub(crate) fn recount(&mut self, standing: Standing) {
        let old = std::mem::replace(&mut self.standing, standing);
        let of = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for (level, old, new) in [
            (Level::Connections, old.open.into(), standing.open.into()),
            (Level::Blocked, old.blocked.into(), standing.blocked.into()),
            (Level::Channels, of(old.channels), of(standing.channels)),
            (Level::Consumers, of(old.consumers), of(standing.consumers)),
        ] {
            self.batch.shift(level, new - old);
        }
        (self.stale, self.changed) = (false, true);
    }

    /// Moves what was counted to `batch`.
    pub(crate) fn take(&mut self, batch: &mut Batch) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        for (to, from) in batch.sums.iter_mut().zip(&mut self.batch.sums) {
            *to = to.wrapping_add(std::mem::take(from));
        }
        for (to, from) in batch.moves.iter_mut().zip(&mut self.batch.moves) {
            *to += std::mem::take(from);
        }
        match batch.confirmed.is_empty() {
            true => std::mem::swap(&mut batch.confirmed, &mut self.batch.confirmed),
            false => batch.confirmed.append(&mut self.batch.confirmed),
        }
    }

    #[inline]
    pub(crate) fn publish_at(&mut self, now: Stamp) {
        self.stamp = now;
    }

    #[inline]
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// A message was encoded; with `confirms` the broker is to answer it.
    #[inline]
    pub(crate) fn published(&mut self, octets: usize, confirms: bool) {
        self.add(Sum::Published, 1);
        self.add(Sum::PublishedBytes, octets);
        self.batch.shift(Level::Unconfirmed, confirms.into());
    }

    /// A message was encoded once more.
    pub(crate) fn republished(&mut self) {
        self.add(Sum::Republished, 1);
    }

    /// The broker has answered a publish.
    #[inline]
    pub(crate) fn answered(&mut self, published: Stamp, answer: Answer) {
        self.add(
            match answer {
                Answer::Acked => Sum::Acked,
                Answer::Nacked => Sum::Nacked,
                Answer::Returned => Sum::ReturnedOutcome,
                Answer::Doubt => Sum::Unknown,
            },
            1,
        );
        self.batch.shift(Level::Unconfirmed, -1);
        self.batch.confirmed.push(published);
    }

    /// The broker will never answer so many publishes.
    pub(crate) fn unanswered(&mut self, publishes: usize) {
        self.add(Sum::Unknown, publishes);
        let publishes = i64::try_from(publishes).unwrap_or(i64::MAX);
        self.batch.shift(Level::Unconfirmed, -publishes);
    }

    /// A message has come back.
    pub(crate) fn returned(&mut self) {
        self.add(Sum::Returned, 1);
    }

    /// A message has come, or the beginning of one.
    #[inline]
    pub(crate) fn delivered(&mut self, octets: usize, redelivered: bool) {
        self.add(Sum::Delivered, 1);
        self.add(Sum::DeliveredBytes, octets);
        self.add(Sum::Redelivered, redelivered.into());
    }

    /// A piece of a message has come that is handed over as a stream.
    pub(crate) fn piece_delivered(&mut self, octets: usize) {
        self.add(Sum::DeliveredBytes, octets);
    }
}
