//! Class `queue`: declare, purge, delete, in terms that every specification has. Bindings are in `binding`.

use std::time::Duration;

use amqp_types::protocol::queue;
use amqp_types::{FieldTable, FieldValue, InvalidShortStr, ShortStr, short_str};

use super::Channel;
use crate::arguments::{
    DeadLetterStrategy, Entries, LeaderLocator, Overflow, QueueMode, QueueType, count,
    milliseconds, name, queue_arguments, seconds,
};
use crate::call::Call;
use crate::error::{Error, Result};
use crate::name::{InvalidName, bits, short_str, valid};

/// A queue to declare; see [`Channel::queue_declare`].
///
/// ```
/// use amqp_connector::QueueDeclare;
/// use amqp_connector::arguments::QueueType;
/// use std::time::Duration;
///
/// let declare = QueueDeclare::new("jobs")
///     .durable(true)
///     .queue_type(QueueType::Quorum)
///     .delivery_limit(5)
///     .message_ttl(Duration::from_secs(60));
/// # let _ = declare;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a queue is declared by `Channel::queue_declare`"]
pub struct QueueDeclare {
    method: queue::Declare,
    arguments: Entries,
}

impl QueueDeclare {
    /// A queue of this name; an empty one lets the broker choose. Transient, shared and kept unless told
    /// otherwise.
    pub fn new<N>(name: N) -> Self
    where
        N: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        let mut this = Self::default();
        this.method.queue = this.arguments.name("queue's name", name);
        this
    }

    bits! {
        /// Whether to ask only if the queue exists, without creating it.
        passive
        /// Whether the queue survives a restart of the broker.
        durable
        /// Whether the queue belongs to this connection alone and ends with it.
        exclusive
        /// Whether the queue is deleted when its last consumer is gone.
        auto_delete
    }

    /// Further arguments, for which there is no setter here. They go to the broker as they are; those that
    /// are set by their setters, too, are theirs.
    pub fn arguments(mut self, arguments: FieldTable) -> Self {
        self.arguments.set_further(arguments);
        self
    }

    fn put(mut self, key: ShortStr, value: Result<FieldValue>) -> Self {
        self.arguments.put(key, value);
        self
    }

    /// Quorum queues and streams are durable and shared, whatever the broker's release: what cannot be is
    /// refused here and costs no channel.
    pub(crate) fn into_method(self) -> Result<queue::Declare> {
        let Self { mut method, arguments } = self;
        let replicated = arguments.get("x-queue-type").is_some_and(|queue_type| {
            [QueueType::Quorum, QueueType::Stream].into_iter().any(|it| *queue_type == it.into())
        });
        if replicated && !method.passive && (!method.durable || method.exclusive) {
            return Err(Error::invalid("quorum queues and streams are durable and not exclusive"));
        }
        method.arguments = arguments.into_table()?;
        Ok(method)
    }
}

queue_arguments!(QueueDeclare);

/// A queue to delete; see [`Channel::queue_delete`].
#[derive(Clone, Debug, Default)]
#[must_use = "a queue is deleted by `Channel::queue_delete`"]
pub struct QueueDelete {
    method: queue::Delete,
    invalid: Option<InvalidName>,
}

impl QueueDelete {
    /// The queue of this name.
    pub fn new<N>(name: N) -> Self
    where
        N: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        let mut this = Self::default();
        this.method.queue = short_str("queue's name", name, &mut this.invalid);
        this
    }

    bits! {
        /// Whether to delete it only if it has no consumers.
        if_unused
        /// Whether to delete it only if it has no messages.
        if_empty
    }
}

impl Channel {
    /// Declares a queue (`queue.declare`). The reply has its name, and how many messages and consumers
    /// it has.
    ///
    /// # Errors
    ///
    /// `Invalid` for an argument that cannot be sent, and for a quorum queue or stream that is not durable or
    /// is exclusive; as [`call`](Self::call). The broker closes the channel if the queue exists with other
    /// attributes (406), if it takes an argument not at all or not for such a queue (406), or if the queue
    /// does not exist and is declared passively (404).
    ///
    /// # Cancel safety
    ///
    /// See [`Call`].
    #[track_caller]
    pub fn queue_declare(&self, declare: QueueDeclare) -> Call<queue::Declare> {
        Call::new(self.handle.clone(), declare.into_method())
    }

    /// Removes all messages that are ready for delivery (`queue.purge`); the reply counts them.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call). The broker closes the channel if the queue does not exist (404).
    ///
    /// # Cancel safety
    ///
    /// See [`Call`].
    #[track_caller]
    pub fn queue_purge<N>(&self, name: N) -> Call<queue::Purge>
    where
        N: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        let mut invalid: Option<InvalidName> = None;
        let purge = queue::Purge {
            queue: short_str("queue's name", name, &mut invalid),
            ..Default::default()
        };
        Call::new(self.handle.clone(), valid(purge, invalid))
    }

    /// Deletes a queue (`queue.delete`); the reply counts the messages that went with it.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call). The broker closes the channel if a condition does not hold (406).
    ///
    /// # Cancel safety
    ///
    /// See [`Call`].
    #[track_caller]
    pub fn queue_delete(&self, delete: QueueDelete) -> Call<queue::Delete> {
        Call::new(self.handle.clone(), valid(delete.method, delete.invalid))
    }
}
