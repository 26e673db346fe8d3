//! The setters of a message's properties, the same for every builder that has a message.

/// Setters of the properties of `self.message`, which has none before the first, one by one. What cannot be sent is kept in `self.invalid`, to be told
/// when the message is published.
macro_rules! property_setters {
    ($builder:ident) => {
        /// Properties one by one. A text of more than 255 octets is refused when the message is published.
        impl $builder {
            #[inline]
            fn set_properties(&mut self) -> &mut amqp_types::protocol::basic::Properties {
                self.message.properties.get_or_insert_default()
            }

            /// The MIME type of the body.
            pub fn content_type<T>(mut self, content_type: T) -> Self
            where
                T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
            {
                self.set_properties().content_type = Some($crate::name::short_str(
                    "property content-type",
                    content_type,
                    &mut self.invalid,
                ));
                self
            }

            /// The MIME encoding of the body.
            pub fn content_encoding<T>(mut self, content_encoding: T) -> Self
            where
                T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
            {
                self.set_properties().content_encoding = Some($crate::name::short_str(
                    "property content-encoding",
                    content_encoding,
                    &mut self.invalid,
                ));
                self
            }

            /// The message's headers, all of them.
            pub fn headers(mut self, headers: FieldTable) -> Self {
                self.set_properties().headers = Some(headers);
                self
            }

            /// One more header.
            pub fn header<T>(mut self, name: T, value: impl Into<FieldValue>) -> Self
            where
                T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
            {
                let name = $crate::name::short_str("name of a header", name, &mut self.invalid);
                self.set_properties().headers.get_or_insert_default().insert(name, value);
                self
            }

            /// To which trace the message belongs: two headers, in place of those that are there.
            #[cfg(feature = "trace-context")]
            pub fn trace_context(mut self, context: &$crate::TraceContext) -> Self {
                context.write_to(self.set_properties().headers.get_or_insert_default());
                self
            }

            /// 1 for a message that a restart of the broker may lose, 2 for a persistent one.
            pub fn delivery_mode(mut self, delivery_mode: u8) -> Self {
                self.set_properties().delivery_mode = Some(delivery_mode);
                self
            }

            /// A message that outlives a restart of the broker in a durable queue: delivery mode 2.
            pub fn persistent(self) -> Self {
                self.delivery_mode(2)
            }

            /// The message's priority, from 0 to 9, in a queue that has priorities.
            pub fn priority(mut self, priority: u8) -> Self {
                self.set_properties().priority = Some(priority);
                self
            }

            /// What the message belongs to, mostly the request that it answers.
            pub fn correlation_id<T>(mut self, correlation_id: T) -> Self
            where
                T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
            {
                self.set_properties().correlation_id = Some($crate::name::short_str(
                    "property correlation-id",
                    correlation_id,
                    &mut self.invalid,
                ));
                self
            }

            /// The queue that replies go to.
            pub fn reply_to<T>(mut self, reply_to: T) -> Self
            where
                T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
            {
                self.set_properties().reply_to =
                    Some($crate::name::short_str("property reply-to", reply_to, &mut self.invalid));
                self
            }

            /// How long the message may wait in a queue; sent as text, in milliseconds. Fractions of a millisecond, and more
            /// than 4294967295 of them, are refused when the message is published ([`ErrorKind::Invalid`](crate::ErrorKind::Invalid)).
            pub fn expiration(mut self, expiration: Duration) -> Self {
                match crate::arguments::expiration(expiration) {
                    Ok(text) => self.set_properties().expiration = Some(text),
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
                self.set_properties().message_id = Some($crate::name::short_str(
                    "property message-id",
                    message_id,
                    &mut self.invalid,
                ));
                self
            }

            /// When the message was made; seconds since 1970.
            pub fn timestamp(mut self, timestamp: impl Into<Timestamp>) -> Self {
                self.set_properties().timestamp = Some(timestamp.into());
                self
            }

            /// What kind of message it is, for the application (property `type`).
            pub fn message_type<T>(mut self, message_type: T) -> Self
            where
                T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
            {
                self.set_properties().r#type =
                    Some($crate::name::short_str("property type", message_type, &mut self.invalid));
                self
            }

            /// The user who publishes; RabbitMQ closes the channel (406) if it is another one.
            pub fn user_id<T>(mut self, user_id: T) -> Self
            where
                T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
            {
                self.set_properties().user_id =
                    Some($crate::name::short_str("property user-id", user_id, &mut self.invalid));
                self
            }

            /// The application that publishes.
            pub fn app_id<T>(mut self, app_id: T) -> Self
            where
                T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
            {
                self.set_properties().app_id =
                    Some($crate::name::short_str("property app-id", app_id, &mut self.invalid));
                self
            }
        }
    };
}
pub(crate) use property_setters;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{BasicPublish, BasicPublishStream};

    macro_rules! all_set {
        ($builder:expr) => {
            $builder
                .content_type("text/plain")
                .content_encoding("gzip")
                .header("attempt", 1_i32)
                .persistent()
                .priority(3)
                .correlation_id("c")
                .reply_to("r")
                .expiration(Duration::from_secs(60))
                .message_id("m")
                .timestamp(amqp_types::Timestamp(1))
                .message_type("t")
                .user_id("u")
                .app_id("a")
        };
    }

    #[test]
    fn streamed_and_plain_messages_are_given_the_same_properties_by_the_same_names() {
        let plain = all_set!(BasicPublish::new("", "q", ""));
        let streamed = all_set!(BasicPublishStream::new("", "q", 5));
        assert_eq!(Some(plain.into_parts().1), streamed.message.properties);
        assert!(streamed.invalid.is_none());
        let long = BasicPublishStream::new("", "q", 5).app_id("a".repeat(256));
        assert!(long.invalid.is_some(), "it is told when it is published");
    }
}
