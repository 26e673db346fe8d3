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
            exchange: short_str(exchange, &mut invalid),
            routing_key: short_str(routing_key, &mut invalid),
            ..Default::default()
        };
        let (properties, body) = (basic::Properties::default(), body.into());
        Self { message: Message { publish, properties, body }, invalid }
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
    pub fn properties(mut self, properties: basic::Properties) -> Self {
        self.message.properties = properties;
        self
    }

    /// The method, the properties and the body that it would be sent as.
    #[must_use]
    pub fn into_parts(self) -> (basic::Publish, basic::Properties, Bytes) {
        let Message { publish, properties, body } = self.message;
        (publish, properties, body)
    }

    pub(crate) fn from_message(message: Message) -> Self {
        Self { message, invalid: None }
    }
}

/// Properties one by one. A text of more than 255 octets is refused when the message is published.
impl BasicPublish {
    /// The MIME type of the body.
    pub fn content_type<T>(mut self, content_type: T) -> Self
    where
        T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        self.message.properties.content_type = Some(short_str(content_type, &mut self.invalid));
        self
    }

    /// The MIME encoding of the body.
    pub fn content_encoding<T>(mut self, content_encoding: T) -> Self
    where
        T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        self.message.properties.content_encoding =
            Some(short_str(content_encoding, &mut self.invalid));
        self
    }

    /// The message's headers, all of them.
    pub fn headers(mut self, headers: FieldTable) -> Self {
        self.message.properties.headers = Some(headers);
        self
    }

    /// One more header.
    pub fn header<T>(mut self, name: T, value: impl Into<FieldValue>) -> Self
    where
        T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        let name = short_str(name, &mut self.invalid);
        self.message.properties.headers.get_or_insert_default().insert(name, value);
        self
    }

    /// 1 for a message that a restart of the broker may lose, 2 for a persistent one.
    pub fn delivery_mode(mut self, delivery_mode: u8) -> Self {
        self.message.properties.delivery_mode = Some(delivery_mode);
        self
    }

    /// A message that outlives a restart of the broker in a durable queue: delivery mode 2.
    pub fn persistent(self) -> Self {
        self.delivery_mode(2)
    }

    /// The message's priority, from 0 to 9, in a queue that has priorities.
    pub fn priority(mut self, priority: u8) -> Self {
        self.message.properties.priority = Some(priority);
        self
    }

    /// What the message belongs to, mostly the request that it answers.
    pub fn correlation_id<T>(mut self, correlation_id: T) -> Self
    where
        T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        self.message.properties.correlation_id = Some(short_str(correlation_id, &mut self.invalid));
        self
    }

    /// The queue that replies go to.
    pub fn reply_to<T>(mut self, reply_to: T) -> Self
    where
        T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        self.message.properties.reply_to = Some(short_str(reply_to, &mut self.invalid));
        self
    }

    /// How long the message may wait in a queue; sent as text, in milliseconds. Fractions of a millisecond, and more
    /// than 4294967295 of them, are refused when the message is published ([`ErrorKind::Invalid`](crate::ErrorKind::Invalid)).
    pub fn expiration(mut self, expiration: Duration) -> Self {
        match crate::arguments::expiration(expiration) {
            Ok(text) => self.message.properties.expiration = Some(text),
            Err(error) => {
                self.invalid.get_or_insert_with(|| error.into());
            }
        }
        self
    }

    /// A name for the message, of the application's choice.
    pub fn message_id<T>(mut self, message_id: T) -> Self
    where
        T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        self.message.properties.message_id = Some(short_str(message_id, &mut self.invalid));
        self
    }

    /// When the message was made; seconds since 1970.
    pub fn timestamp(mut self, timestamp: impl Into<Timestamp>) -> Self {
        self.message.properties.timestamp = Some(timestamp.into());
        self
    }

    /// What kind of message it is, for the application (property `type`).
    pub fn message_type<T>(mut self, message_type: T) -> Self
    where
        T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        self.message.properties.r#type = Some(short_str(message_type, &mut self.invalid));
        self
    }

    /// The user who publishes; RabbitMQ closes the channel (406) if it is another one.
    pub fn user_id<T>(mut self, user_id: T) -> Self
    where
        T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        self.message.properties.user_id = Some(short_str(user_id, &mut self.invalid));
        self
    }

    /// The application that publishes.
    pub fn app_id<T>(mut self, app_id: T) -> Self
    where
        T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        self.message.properties.app_id = Some(short_str(app_id, &mut self.invalid));
        self
    }
}
