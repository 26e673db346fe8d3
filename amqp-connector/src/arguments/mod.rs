//! RabbitMQ's `x-` arguments of queues, exchanges and consumers, by name and type.
//!
//! They are plain entries of the tables that `queue.declare`, `exchange.declare` and `basic.consume` carry, and
//! brokers add to them as they please; those that are known stand here with the types that the broker takes.
//! [`QueueDeclare`](crate::QueueDeclare), [`ExchangeDeclare`](crate::ExchangeDeclare) and
//! [`BasicConsume`](crate::BasicConsume) have each of them as a setter. [`QueueArguments`] and its like give
//! the table alone, for a [`Channel::call`](crate::Channel::call) with a method of one's own making or for a
//! policy:
//!
//! ```
//! use amqp_connector::arguments::{Overflow, QueueArguments, QueueType};
//! use std::time::Duration;
//!
//! let table = QueueArguments::new()
//!     .queue_type(QueueType::Quorum)
//!     .message_ttl(Duration::from_secs(60))
//!     .max_length(1000)
//!     .overflow(Overflow::RejectPublish)
//!     .into_table()?;
//! assert_eq!(table.get_i64("x-message-ttl"), Some(60_000));
//! # Ok::<(), amqp_connector::Error>(())
//! ```
//!
//! A value that no broker could take is an `Invalid` error when the table is made or the request sent. Whether
//! a broker knows an argument, and in which combinations, is its own to say (406): which those are changes
//! from one release to the next. Nothing here sends anything.

mod values;

use std::time::Duration;

use amqp_types::{FieldTable, FieldValue, InvalidShortStr, ShortStr, short_str};

pub use values::{
    DeadLetterStrategy, ExchangeType, LeaderLocator, Overflow, QueueMode, QueueType, StreamOffset,
};

use crate::error::{Error, Result};

/// The most milliseconds that RabbitMQ's timers take.
const MILLISECONDS_MAX: u128 = u32::MAX as u128;

/// Entries of a table, and the first thing given that cannot be sent. In a box, since most requests have none
/// and are moved about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries(Option<Box<Given>>);

#[derive(Clone, Debug, Default)]
struct Given {
    table: FieldTable,
    /// A table of the user's own making, looked at by nobody.
    further: FieldTable,
    error: Option<Error>,
}

impl Entries {
    pub(crate) fn put(&mut self, key: ShortStr, value: Result<FieldValue>) {
        match value {
            Ok(value) => {
                self.0.get_or_insert_default().table.set(key, value);
            }
            Err(error) => self.refuse(error),
        }
    }

    /// What it is for cannot be sent.
    pub(crate) fn refuse(&mut self, error: Error) {
        self.0.get_or_insert_default().error.get_or_insert(error);
    }

    /// The name, or an empty one and a refusal.
    pub(crate) fn name<N>(&mut self, what: &'static str, name: N) -> ShortStr
    where
        N: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        name.try_into().unwrap_or_else(|error| {
            self.refuse(Error::name(what, error.into()));
            ShortStr::EMPTY
        })
    }

    pub(crate) fn get(&self, key: &str) -> Option<&FieldValue> {
        self.0.as_ref()?.table.get(key)
    }

    /// A whole table, whose entries stand behind these and are replaced by them.
    pub(crate) fn set_further(&mut self, further: FieldTable) {
        self.0.get_or_insert_default().further = further;
    }

    pub(crate) fn into_table(self) -> Result<FieldTable> {
        let Some(given) = self.0 else { return Ok(FieldTable::default()) };
        let Given { mut table, further, error } = *given;
        if let Some(error) = error {
            return Err(error);
        }
        if table.is_empty() {
            return Ok(further);
        }
        let others: Vec<_> =
            further.into_iter().filter(|(key, _)| !table.contains_key(key)).collect();
        table.extend(others);
        Ok(table)
    }
}

/// Whole milliseconds, as RabbitMQ's queue arguments count time.
pub(crate) fn milliseconds(time: Duration) -> Result<FieldValue> {
    if !time.subsec_nanos().is_multiple_of(1_000_000) {
        return Err(Error::invalid("the broker counts this time in whole milliseconds"));
    }
    match i64::try_from(time.as_millis()) {
        Ok(count) if time.as_millis() <= MILLISECONDS_MAX => Ok(FieldValue::I64(count)),
        _ => Err(Error::invalid("the broker takes at most 4294967295 ms (about 49 days)")),
    }
}

/// A message's `expiration` property: after this time in a queue it is dropped or dead-lettered.
///
/// # Errors
///
/// `Invalid` for fractions of a millisecond, and for more than 4294967295 of them.
pub fn expiration(time: Duration) -> Result<ShortStr> {
    milliseconds(time)?;
    Ok(ShortStr::try_from(time.as_millis().to_string())?)
}

pub(crate) fn count(number: u64) -> Result<FieldValue> {
    i64::try_from(number)
        .map(FieldValue::I64)
        .map_err(|_| Error::invalid("a number of an argument has at most 63 bits"))
}

pub(crate) fn name<N>(name: N) -> Result<FieldValue>
where
    N: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
{
    let name = name.try_into().map_err(|error| Error::from(error.into()))?;
    Ok(FieldValue::from(name))
}

pub(crate) fn seconds(time: Duration) -> Result<FieldValue> {
    match time.subsec_nanos() {
        0 => Ok(FieldValue::from(format!("{}s", time.as_secs()))),
        _ => Err(Error::invalid("the broker counts this time in whole seconds")),
    }
}

/// The setters of a queue's arguments, for whatever keeps [`Entries`].
macro_rules! queue_arguments {
    ($owner:ident) => {
        impl $owner {
            /// What kind of queue it is (`x-queue-type`).
            pub fn queue_type(self, queue_type: QueueType) -> Self {
                self.put(short_str!("x-queue-type"), Ok(queue_type.into()))
            }

            /// How long a message may wait in the queue before it is dropped or dead-lettered
            /// (`x-message-ttl`). `Invalid` for fractions of a millisecond and for more than 2³²−1 of them.
            pub fn message_ttl(self, ttl: Duration) -> Self {
                self.put(short_str!("x-message-ttl"), milliseconds(ttl))
            }

            /// After how long without consumers, gets and declares the queue is deleted (`x-expires`).
            /// `Invalid` as for [`message_ttl`](Self::message_ttl), and for zero.
            pub fn expires(self, after: Duration) -> Self {
                let value = match after.is_zero() {
                    true => Err(Error::invalid("a queue cannot expire at once")),
                    false => milliseconds(after),
                };
                self.put(short_str!("x-expires"), value)
            }

            /// The exchange that messages go to when they are rejected, expire or do not fit
            /// (`x-dead-letter-exchange`).
            pub fn dead_letter_exchange<N>(self, exchange: N) -> Self
            where
                N: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
            {
                self.put(short_str!("x-dead-letter-exchange"), name(exchange))
            }

            /// The routing key that dead-lettered messages get in place of their own
            /// (`x-dead-letter-routing-key`).
            pub fn dead_letter_routing_key<N>(self, routing_key: N) -> Self
            where
                N: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
            {
                self.put(short_str!("x-dead-letter-routing-key"), name(routing_key))
            }

            /// How hard the broker tries to dead-letter (`x-dead-letter-strategy`, quorum queues).
            pub fn dead_letter_strategy(self, strategy: DeadLetterStrategy) -> Self {
                self.put(short_str!("x-dead-letter-strategy"), Ok(strategy.into()))
            }

            /// How many messages may be ready in the queue (`x-max-length`).
            pub fn max_length(self, messages: u64) -> Self {
                self.put(short_str!("x-max-length"), count(messages))
            }

            /// How many octets of bodies may be ready in the queue (`x-max-length-bytes`).
            pub fn max_length_bytes(self, octets: u64) -> Self {
                self.put(short_str!("x-max-length-bytes"), count(octets))
            }

            /// What becomes of messages that do not fit (`x-overflow`). Default: the oldest is dropped.
            pub fn overflow(self, overflow: Overflow) -> Self {
                self.put(short_str!("x-overflow"), Ok(overflow.into()))
            }

            /// Delivers messages by their `priority`, up to this one (`x-max-priority`, classic queues).
            /// Each priority costs memory: few are wise. `Invalid` for zero.
            pub fn max_priority(self, highest: u8) -> Self {
                let value = match highest {
                    0 => Err(Error::invalid("a queue's highest priority is at least 1")),
                    highest => Ok(FieldValue::U8(highest)),
                };
                self.put(short_str!("x-max-priority"), value)
            }

            /// Whether one consumer at a time gets messages, the next one when it is gone
            /// (`x-single-active-consumer`).
            pub fn single_active_consumer(self, single: bool) -> Self {
                self.put(short_str!("x-single-active-consumer"), Ok(FieldValue::Bool(single)))
            }

            /// How often a message may go back to the queue before it is dropped or dead-lettered
            /// (`x-delivery-limit`, quorum queues).
            pub fn delivery_limit(self, times: u32) -> Self {
                self.put(short_str!("x-delivery-limit"), count(times.into()))
            }

            /// On how many nodes the queue begins (`x-quorum-initial-group-size`, quorum queues).
            pub fn quorum_initial_group_size(self, nodes: u32) -> Self {
                self.put(short_str!("x-quorum-initial-group-size"), count(nodes.into()))
            }

            /// On how many nodes the stream begins (`x-initial-cluster-size`, streams).
            pub fn stream_initial_cluster_size(self, nodes: u32) -> Self {
                self.put(short_str!("x-initial-cluster-size"), count(nodes.into()))
            }

            /// On which node a new queue's leader is put (`x-queue-leader-locator`).
            pub fn leader_locator(self, locator: LeaderLocator) -> Self {
                self.put(short_str!("x-queue-leader-locator"), Ok(locator.into()))
            }

            /// Whether messages go to disk at once (`x-queue-mode`, classic queues of RabbitMQ before 3.12).
            pub fn queue_mode(self, mode: QueueMode) -> Self {
                self.put(short_str!("x-queue-mode"), Ok(mode.into()))
            }

            /// For how long a stream keeps its messages at least (`x-max-age`). `Invalid` for fractions of a
            /// second.
            pub fn stream_max_age(self, age: Duration) -> Self {
                self.put(short_str!("x-max-age"), seconds(age))
            }

            /// How large the files are that a stream is kept in (`x-stream-max-segment-size-bytes`): it is
            /// shortened by whole files.
            pub fn stream_max_segment_size(self, octets: u64) -> Self {
                self.put(short_str!("x-stream-max-segment-size-bytes"), count(octets))
            }

            /// How large the filter of each of a stream's chunks is (`x-stream-filter-size-bytes`, RabbitMQ
            /// 3.13 and later).
            pub fn stream_filter_size(self, octets: u8) -> Self {
                self.put(short_str!("x-stream-filter-size-bytes"), count(octets.into()))
            }
        }
    };
}
pub(crate) use queue_arguments;

/// The setters of an exchange's arguments.
macro_rules! exchange_arguments {
    ($owner:ident) => {
        impl $owner {
            /// The exchange that gets what this one can route nowhere (`alternate-exchange`).
            pub fn alternate_exchange<N>(self, exchange: N) -> Self
            where
                N: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
            {
                self.put(short_str!("alternate-exchange"), name(exchange))
            }

            /// How a delayed-message exchange routes when the time has come (`x-delayed-type`).
            pub fn delayed_type<T>(self, exchange_type: T) -> Self
            where
                T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
            {
                self.put(short_str!("x-delayed-type"), name(exchange_type))
            }

            /// The header whose value a consistent-hash exchange hashes in place of the routing key
            /// (`hash-header`).
            pub fn hash_header<N>(self, header: N) -> Self
            where
                N: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
            {
                self.put(short_str!("hash-header"), name(header))
            }

            /// The property that it hashes, such as `message_id` (`hash-property`).
            pub fn hash_property<N>(self, property: N) -> Self
            where
                N: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
            {
                self.put(short_str!("hash-property"), name(property))
            }
        }
    };
}
pub(crate) use exchange_arguments;

/// The setters of a consumer's arguments.
macro_rules! consume_arguments {
    ($owner:ident) => {
        impl $owner {
            /// Consumers of a higher priority get messages as long as they can take them (`x-priority`).
            pub fn priority(self, priority: i32) -> Self {
                self.put(short_str!("x-priority"), Ok(FieldValue::I32(priority)))
            }

            /// Where in a stream to begin (`x-stream-offset`). Default: what is published from now on.
            /// `Invalid` for an offset of more than 63 bits. Streams want a [`Prefetch`](crate::Prefetch)
            /// with a count, and acknowledgements.
            ///
            /// A consumer that comes back after a loss of its connection, or is started again by
            /// [`reopen`](crate::Channel::reopen), goes on with its oldest delivery that was not settled, or behind the last
            /// one if all were; one without acknowledgements goes on behind what it was given. So everything is delivered
            /// at least once, and what was settled behind an unsettled one comes again. If nothing had come yet, it begins as
            /// is said here: with [`Next`](StreamOffset::Next) it misses what was published meanwhile.
            pub fn stream_offset(self, offset: impl Into<StreamOffset>) -> Self {
                self.put(short_str!("x-stream-offset"), offset.into().into_value())
            }

            /// Only messages with this filter value, and such as share its place in the stream's filter
            /// (`x-stream-filter`, RabbitMQ 3.13 and later).
            pub fn stream_filter(self, value: &str) -> Self {
                self.put(short_str!("x-stream-filter"), Ok(FieldValue::from(value)))
            }

            /// With [`stream_filter`](Self::stream_filter): messages without a filter value, too
            /// (`x-stream-match-unfiltered`).
            pub fn stream_match_unfiltered(self, unfiltered: bool) -> Self {
                let value = Ok(FieldValue::Bool(unfiltered));
                self.put(short_str!("x-stream-match-unfiltered"), value)
            }
        }
    };
}
pub(crate) use consume_arguments;

/// A table of arguments in the making.
macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        #[must_use = "it becomes a table by `into_table`"]
        pub struct $name(Entries);

        impl $name {
            /// No arguments.
            pub fn new() -> Self {
                Self::default()
            }

            fn put(mut self, key: ShortStr, value: Result<FieldValue>) -> Self {
                self.0.put(key, value);
                self
            }

            /// The arguments as a table.
            ///
            /// # Errors
            ///
            /// `Invalid` for the first value that cannot be sent.
            pub fn into_table(self) -> Result<FieldTable> {
                self.0.into_table()
            }
        }
    )*};
}

tables! {
    /// The arguments of a queue, as a table alone.
    QueueArguments
    /// The arguments of an exchange, as a table alone.
    ExchangeArguments
    /// The arguments of a consumer, as a table alone.
    ConsumeArguments
}
queue_arguments!(QueueArguments);
exchange_arguments!(ExchangeArguments);
consume_arguments!(ConsumeArguments);

#[cfg(test)]
mod tests;
