//! What the end of a channel tells of its publishes: which one the peer blames, and which had no answer.
//!
//! Filled in by the session, part of a [`CloseReason`](super::CloseReason). Plain values.

use std::ops::RangeInclusive;
use std::panic::Location;

use amqp_types::ShortStr;

/// The publishes of a channel, or of all, that the peer has closed.
#[derive(Debug, Default)]
pub(crate) struct Publishes {
    pub(crate) blamed: Option<BlamedPublish>,
    pub(crate) unconfirmed: Tags,
}

/// Tags of publishes, in ascending order, by the number of their channel: tags are a channel's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tags(Vec<(u16, Vec<RangeInclusive<u64>>)>);

impl Tags {
    /// Adds those of a channel, in ascending order.
    pub(crate) fn add(&mut self, channel: u16, tags: impl Iterator<Item = u64>) {
        let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
        for tag in tags {
            match ranges.last_mut() {
                Some(last) if last.end() + 1 == tag => *last = *last.start()..=tag,
                _ => ranges.push(tag..=tag),
            }
        }
        if !ranges.is_empty() {
            self.0.push((channel, ranges));
        }
    }

    pub(crate) fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of the only channel that has any, if there is but one.
    pub(crate) fn only(&self) -> &[RangeInclusive<u64>] {
        match &*self.0 {
            [(_, tags)] => tags,
            _ => &[],
        }
    }

    pub(crate) fn on(&self, channel: u16) -> &[RangeInclusive<u64>] {
        let found = self.0.iter().find(|(id, _)| *id == channel);
        found.map_or(&[], |(_, tags)| tags)
    }
}

/// The publish that made the peer close a channel or the connection, as far as that is known; see
/// [`CloseReason::publish`](super::CloseReason::publish).
///
/// The peer names no publish, only the method and in its text mostly the exchange. In confirm mode it can be each
/// unconfirmed publish to that exchange, or to any where the text names none, but for a text that names `immediate`: then
/// it can be those that asked for it. [`count`](Self::count) tells how many those
/// are; where it is not 1, only that is told which all of them have in common. Without confirms nothing is known of
/// what was sent, but for a publish that was the only one of its channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlamedPublish {
    pub(crate) exchange: Option<ShortStr>,
    pub(crate) routing_key: Option<ShortStr>,
    pub(crate) delivery_tag: Option<u64>,
    pub(crate) place: Option<&'static Location<'static>>,
    pub(crate) count: usize,
    pub(crate) channels: usize,
    pub(crate) channel: Option<u16>,
    pub(crate) candidates: Tags,
}

impl BlamedPublish {
    pub(crate) fn one() -> Self {
        Self { count: 1, channels: 1, ..Self::default() }
    }

    /// Keeps of this only what is the same in the other.
    pub(crate) fn keep_common(&mut self, other: &Self) {
        self.exchange.take_if(|it| other.exchange.as_ref() != Some(it));
        self.routing_key.take_if(|it| other.routing_key.as_ref() != Some(it));
        self.place.take_if(|it| other.place != Some(*it));
    }

    /// How many publishes it can be; 0 where that is not known.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// On how many channels those are; 0 where that is not known.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The number of their channel, if they are on one, in confirm mode.
    #[must_use]
    pub fn channel(&self) -> Option<u16> {
        self.channel
    }

    /// The tags of the publishes that it can be, in ascending order; empty without confirms. Tags are a channel's, so it is
    /// empty, too, where they are on several channels: see [`candidates_on`](Self::candidates_on).
    #[must_use]
    pub fn candidates(&self) -> &[RangeInclusive<u64>] {
        self.candidates.only()
    }

    /// The tags of the publishes on the channel of this number that it can be, in ascending order.
    #[must_use]
    pub fn candidates_on(&self, channel: u16) -> &[RangeInclusive<u64>] {
        self.candidates.on(channel)
    }

    /// The exchange that it was published to.
    #[must_use]
    pub fn exchange(&self) -> Option<&ShortStr> {
        self.exchange.as_ref()
    }

    /// The routing key that it was published with.
    #[must_use]
    pub fn routing_key(&self) -> Option<&ShortStr> {
        self.routing_key.as_ref()
    }

    /// Its number on its channel, where it is the only one that it can be; see [`Confirmation::delivery_tag`](crate::Confirmation::delivery_tag).
    #[must_use]
    pub fn delivery_tag(&self) -> Option<u64> {
        self.delivery_tag
    }

    /// Where in the program it was published.
    #[must_use]
    pub fn place(&self) -> Option<&'static Location<'static>> {
        self.place
    }
}
