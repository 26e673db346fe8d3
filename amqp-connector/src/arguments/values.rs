//! The values that arguments take, where they are not numbers, and the types of exchanges.

use amqp_types::{FieldValue, ShortStr, Timestamp};

use crate::error::{Error, Result};

/// Enums whose variants are words to the broker.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident = $word:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$word_doc])* $variant,)+
        }

        impl $name {
            /// The broker's word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl From<$name> for FieldValue {
            fn from(value: $name) -> Self {
                Self::from(value.as_str())
            }
        }
    )+};
}

words! {
    /// The kinds of queues that RabbitMQ has.
    QueueType {
        /// One that lives on one node.
        Classic = "classic",
        /// One that is kept on several nodes. It is durable, and neither exclusive nor auto-delete.
        Quorum = "quorum",
        /// A log that consumers read without taking messages away. It is durable and not exclusive.
        Stream = "stream",
    }

    /// What becomes of messages when a queue is full.
    Overflow {
        /// The oldest message is dropped or dead-lettered.
        DropHead = "drop-head",
        /// A new message is refused: nacked, on a channel with confirms.
        RejectPublish = "reject-publish",
        /// A new message is refused and dead-lettered (classic queues).
        RejectPublishDlx = "reject-publish-dlx",
    }

    /// How hard a quorum queue tries to dead-letter.
    DeadLetterStrategy {
        /// Messages may be lost on the way.
        AtMostOnce = "at-most-once",
        /// They are kept until the target queues have them; wants [`Overflow::RejectPublish`].
        AtLeastOnce = "at-least-once",
    }

    /// On which node the leader of a new queue is put.
    LeaderLocator {
        /// The one that the client is connected to.
        ClientLocal = "client-local",
        /// One with few leaders.
        Balanced = "balanced",
    }

    /// Where a classic queue of RabbitMQ before 3.12 keeps messages.
    QueueMode {
        /// In memory as long as there is room.
        Default = "default",
        /// On disk from the beginning.
        Lazy = "lazy",
    }

    /// Types of exchanges: the specification's, and those of RabbitMQ's plugins. Any other is given by its
    /// name alone.
    ExchangeType {
        /// To queues bound with the message's very routing key.
        Direct = "direct",
        /// To every queue.
        Fanout = "fanout",
        /// To queues bound with a pattern that the routing key fits.
        Topic = "topic",
        /// To queues whose binding's arguments the message's headers fit.
        Headers = "headers",
        /// Plugin `rabbitmq_consistent_hash_exchange`: to one queue, by a hash of the routing key.
        ConsistentHash = "x-consistent-hash",
        /// Plugin `rabbitmq_sharding`: to one queue, by the hash modulo their number.
        ModulusHash = "x-modulus-hash",
        /// Plugin `rabbitmq_random_exchange`: to any one queue.
        Random = "x-random",
        /// RabbitMQ 4: to one queue on the node that the client is connected to.
        LocalRandom = "x-local-random",
        /// Plugin `rabbitmq_recent_history_exchange`: to every queue, and the last ones to each new queue.
        RecentHistory = "x-recent-history",
        /// Plugin `rabbitmq_delayed_message_exchange`: later, as the message's header `x-delay` says.
        DelayedMessage = "x-delayed-message",
    }
}

impl From<ExchangeType> for ShortStr {
    fn from(exchange_type: ExchangeType) -> Self {
        Self::from_static(exchange_type.as_str())
    }
}

/// Where in a stream a consumer begins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamOffset {
    /// With the oldest message that is kept.
    First,
    /// With the last chunk of messages that was written.
    Last,
    /// With what is published from now on.
    Next,
    /// With the message of this number, or the oldest that is kept.
    Offset(u64),
    /// With the chunk that was written at this time.
    Timestamp(Timestamp),
    /// With what was written so long ago, in the broker's words: `1h`, `7D`, `5m`.
    Interval(String),
}

impl StreamOffset {
    pub(crate) fn into_value(self) -> Result<FieldValue> {
        Ok(match self {
            Self::First => FieldValue::from("first"),
            Self::Last => FieldValue::from("last"),
            Self::Next => FieldValue::from("next"),
            Self::Offset(offset) => FieldValue::I64(
                i64::try_from(offset)
                    .map_err(|_| Error::invalid("a stream's offset has at most 63 bits"))?,
            ),
            Self::Timestamp(timestamp) => FieldValue::Timestamp(timestamp),
            Self::Interval(text) => FieldValue::from(text),
        })
    }
}

impl From<u64> for StreamOffset {
    fn from(offset: u64) -> Self {
        Self::Offset(offset)
    }
}

impl From<Timestamp> for StreamOffset {
    fn from(timestamp: Timestamp) -> Self {
        Self::Timestamp(timestamp)
    }
}
