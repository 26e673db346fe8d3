//! What the end of a channel tells of its publishes: which one the peer blames, and which had no answer.
//!
//! Filled in by the session, part of a [`CloseReason`](super::CloseReason). Plain values.

use std::ops::RangeInclusive;
use std::panic::Location;

use amqp_types::ShortStr;

/// The publishes of a channel that the peer has closed.
#[derive(Debug, Default)]
pub(crate) struct Publishes {
    pub(crate) blamed: Option<BlamedPublish>,
    pub(crate) unconfirmed: Vec<RangeInclusive<u64>>,
}

/// The publish that made the peer close a channel, as far as that is known; see
/// [`CloseReason::publish`](super::CloseReason::publish).
///
/// The peer names no publish, only the method and in its text mostly the exchange. In confirm mode it is the oldest
/// unconfirmed publish to that exchange. Where the text names none, and without confirms, only that is
/// told which all publishes that may be meant have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlamedPublish {
    pub(crate) exchange: Option<ShortStr>,
    pub(crate) routing_key: Option<ShortStr>,
    pub(crate) delivery_tag: Option<u64>,
    pub(crate) place: Option<&'static Location<'static>>,
}

impl BlamedPublish {
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

    /// Its number on its channel; see [`Confirmation::delivery_tag`](crate::Confirmation::delivery_tag).
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
