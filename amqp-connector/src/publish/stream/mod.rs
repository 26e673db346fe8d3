//! Publishing a body that is never whole: from a stream of pieces or a reader, of known length.
//!
//! The futures here run in the user's task: they ask the source when there is room, and hand its pieces to the
//! session. What follows from a source that breaks its promise is the session's.

mod handles;
mod run;
mod source;

use std::fmt;
use std::time::Duration;

use amqp_types::protocol::basic;
use amqp_types::{FieldTable, FieldValue, InvalidShortStr, ShortStr, Timestamp};
use bytes::Bytes;

pub(crate) use run::{publish, publish_in_tx};
pub(crate) use source::{Pieces, Reads, Source, SourceError};

use crate::name::{Refusal, short_str};
use crate::session::Message;

/// A message whose body comes from a stream or reader, and where it goes; see
/// [`Connection::publish_stream`](crate::Connection::publish_stream).
///
/// ```
/// use std::time::Duration;
/// use amqp_connector::BasicPublishStream;
///
/// let publish = BasicPublishStream::new("", "files", 400 << 20)
///     .source_timeout(Duration::from_secs(5))
///     .persistent()
///     .content_type("video/mp4");
/// # let _ = publish;
/// ```
#[derive(Clone)]
#[must_use = "a message is sent by `Connection::publish_stream` and its like"]
pub struct BasicPublishStream {
    pub(crate) message: Message,
    pub(crate) length: u64,
    pub(crate) source_timeout: Option<Duration>,
    pub(crate) padding_max: Option<u64>,
    /// The first thing that cannot be sent; told when it is published.
    pub(crate) invalid: Option<Refusal>,
}

impl BasicPublishStream {
    /// A message to an exchange (`""` is the default one), whose body has `length` octets. A name over 255
    /// octets is refused when it is published.
    pub fn new<E, K>(exchange: E, routing_key: K, length: u64) -> Self
    where
        E: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
        K: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        let mut invalid = None;
        let publish = basic::Publish {
            exchange: short_str("exchange's name", exchange, &mut invalid),
            routing_key: short_str("routing key", routing_key, &mut invalid),
            ..Default::default()
        };
        let message = Message { publish, properties: None, body: Bytes::new() };
        Self { message, length, source_timeout: None, padding_max: None, invalid }
    }

    /// The message's properties, all of them: those that were set before are replaced.
    pub fn properties(mut self, properties: basic::Properties) -> Self {
        self.message.properties = Some(properties);
        self
    }

    /// Whether the broker gives the message back when it can route it to no queue. Not on a channel in confirm
    /// mode.
    pub fn mandatory(mut self, mandatory: bool) -> Self {
        self.message.publish.mandatory = mandatory;
        self
    }

    /// Whether the broker gives the message back when no consumer can take it at once. RabbitMQ refuses this flag by
    /// closing the connection with 540. Not on a channel in confirm mode.
    pub fn immediate(mut self, immediate: bool) -> Self {
        self.message.publish.immediate = immediate;
        self
    }

    /// How long the source may take for each piece with octets before it counts as stalled, in place of
    /// [`Options::source_timeout`](crate::Options::source_timeout).
    pub fn source_timeout(mut self, timeout: Duration) -> Self {
        self.source_timeout = Some(timeout);
        self
    }

    /// Octets that may be made up if the source breaks its promise, in place of
    /// [`Options::padding_max`](crate::Options::padding_max).
    pub fn padding_max(mut self, octets: u64) -> Self {
        self.padding_max = Some(octets);
        self
    }
}

super::properties::property_setters!(BasicPublishStream);

impl fmt::Debug for BasicPublishStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicPublishStream")
            .field("publish", &self.message.publish)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}
