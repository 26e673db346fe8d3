//! A message to publish, put together step by step. Plain data; what is invalid is told when it is published.

use std::time::Duration;

use amqp_types::protocol::basic;
use amqp_types::{FieldTable, FieldValue, InvalidShortStr, ShortStr, Timestamp};
use bytes::Bytes;

use crate::name::{Refusal, short_str};
use crate::session::Message;

/// A message and where it goes; see [`Channel::basic_publish`](crate::Channel::basic_publish).
///
/// ```
/// use amqp_connector::{BasicPublish, basic};
///
/// let publish = BasicPublish::new("", "jobs", "the work")
///     .mandatory(true)
///     .persistent()
///     .content_type("text/plain")
///     .header("attempt", 1_i32);
///
/// // The same properties, made apart from the message.
/// let properties = basic::Properties { delivery_mode: Some(2), ..Default::default() };
/// let again = BasicPublish::new("", "jobs", "the work").properties(properties);
/// # let _ = (publish, again);
/// ```
///
/// A publish that fails before it is sent takes the message with it. Who wants to try again keeps a clone, which shares
/// the body; names and headers are copied:
///
/// ```no_run
/// # async fn run(channel: amqp_connector::Channel) -> amqp_connector::Result<()> {
/// # use amqp_connector::{BasicPublish, ErrorKind};
/// let publish = BasicPublish::new("", "jobs", "the work");
/// let confirmation = match channel.try_basic_publish(publish.clone()) {
///     Err(error) if error.kind() == ErrorKind::Full => channel.basic_publish(publish).await?,
///     tried => tried?,
/// };
/// # drop(confirmation);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a message is sent by `Channel::basic_publish`"]
pub struct BasicPublish {
    pub(super) message: Message,
    /// The first thing that cannot be sent; told when it is published.
    pub(super) invalid: Option<Refusal>,
}

impl BasicPublish {
    /// A message to an exchange (`""` is the default one, which routes to the queue named by the
    /// routing key). A name over 255 octets is refused when it is published.
    #[inline]
    pub fn new<E, K>(exchange: E, routing_key: K, body: impl Into<Bytes>) -> Self
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
        Self { message: Message { publish, properties: None, body: body.into() }, invalid }
    }

    /// Whether the broker gives the message back when it can route it to no queue.
    pub fn mandatory(mut self, mandatory: bool) -> Self {
        self.message.publish.mandatory = mandatory;
        self
    }

    /// Whether the broker gives the message back when no consumer can take it at once. RabbitMQ
    /// refuses this flag by closing the connection with 540.
    pub fn immediate(mut self, immediate: bool) -> Self {
        self.message.publish.immediate = immediate;
        self
    }

    /// The message's properties, all of them: those that were set before are replaced.
    #[inline]
    pub fn properties(mut self, properties: basic::Properties) -> Self {
        self.message.properties = Some(properties);
        self
    }

    /// The method, the properties and the body that it would be sent as.
    #[must_use]
    pub fn into_parts(self) -> (basic::Publish, basic::Properties, Bytes) {
        let Message { publish, properties, body } = self.message;
        (publish, properties.unwrap_or_default(), body)
    }

    pub(crate) fn from_message(message: Message) -> Self {
        Self { message, invalid: None }
    }
}

super::properties::property_setters!(BasicPublish);
