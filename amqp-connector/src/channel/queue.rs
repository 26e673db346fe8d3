//! Class `queue`: declare, bind, purge, delete, in terms that every specification has.

use amqp_types::protocol::queue;
use amqp_types::{FieldTable, InvalidShortStr, ShortStr};

use super::Channel;
use crate::call::Call;
use crate::error::Result;
use crate::name::short_str;

/// A queue to declare; see [`Channel::queue_declare`].
#[derive(Clone, Debug, Default)]
#[must_use = "a queue is declared by `Channel::queue_declare`"]
pub struct QueueDeclare {
    method: queue::Declare,
    invalid: Option<InvalidShortStr>,
}

impl QueueDeclare {
    /// A queue of this name; an empty one lets the broker choose. Transient, shared and kept unless told
    /// otherwise.
    pub fn new<N>(name: N) -> Self
    where
        N: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        let mut this = Self::default();
        this.method.queue = short_str(name, &mut this.invalid);
        this
    }

    /// Whether to ask only if the queue exists, without creating it.
    pub fn passive(mut self, passive: bool) -> Self {
        self.method.passive = passive;
        self
    }

    /// Whether the queue survives a restart of the broker.
    pub fn durable(mut self, durable: bool) -> Self {
        self.method.durable = durable;
        self
    }

    /// Whether the queue belongs to this connection alone and ends with it.
    pub fn exclusive(mut self, exclusive: bool) -> Self {
        self.method.exclusive = exclusive;
        self
    }

    /// Whether the queue is deleted when its last consumer is gone.
    pub fn auto_delete(mut self, auto_delete: bool) -> Self {
        self.method.auto_delete = auto_delete;
        self
    }

    /// Further arguments, such as `x-queue-type`.
    pub fn arguments(mut self, arguments: FieldTable) -> Self {
        self.method.arguments = arguments;
        self
    }
}

/// A binding of a queue to an exchange; see [`Channel::queue_bind`].
#[derive(Clone, Debug, Default)]
#[must_use = "a queue is bound by `Channel::queue_bind`"]
pub struct QueueBind {
    queue: ShortStr,
    exchange: ShortStr,
    routing_key: ShortStr,
    arguments: FieldTable,
    invalid: Option<InvalidShortStr>,
}

impl QueueBind {
    /// Messages that reach `exchange` with `routing_key` go to `queue`.
    pub fn new<Q, E, K>(queue: Q, exchange: E, routing_key: K) -> Self
    where
        Q: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
        E: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
        K: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        let mut invalid = None;
        Self {
            queue: short_str(queue, &mut invalid),
            exchange: short_str(exchange, &mut invalid),
            routing_key: short_str(routing_key, &mut invalid),
            arguments: FieldTable::default(),
            invalid,
        }
    }

    /// The binding's arguments, which a headers exchange matches.
    pub fn arguments(mut self, arguments: FieldTable) -> Self {
        self.arguments = arguments;
        self
    }
}

/// A queue to delete; see [`Channel::queue_delete`].
#[derive(Clone, Debug, Default)]
#[must_use = "a queue is deleted by `Channel::queue_delete`"]
pub struct QueueDelete {
    method: queue::Delete,
    invalid: Option<InvalidShortStr>,
}

impl QueueDelete {
    /// The queue of this name.
    pub fn new<N>(name: N) -> Self
    where
        N: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        let mut this = Self::default();
        this.method.queue = short_str(name, &mut this.invalid);
        this
    }

    /// Whether to delete it only if it has no consumers.
    pub fn if_unused(mut self, if_unused: bool) -> Self {
        self.method.if_unused = if_unused;
        self
    }

    /// Whether to delete it only if it has no messages.
    pub fn if_empty(mut self, if_empty: bool) -> Self {
        self.method.if_empty = if_empty;
        self
    }
}

fn valid<M>(method: M, invalid: Option<InvalidShortStr>) -> Result<M> {
    invalid.map_or(Ok(method), |invalid| Err(invalid.into()))
}

impl Channel {
    /// Declares a queue (`queue.declare`). The reply has its name, and how many messages and consumers
    /// it has.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call). The broker closes the channel if the queue exists with other attributes
    /// (406), or does not exist and is declared passively (404).
    ///
    /// # Cancel safety
    ///
    /// See [`Call`].
    #[track_caller]
    pub fn queue_declare(&self, declare: QueueDeclare) -> Call<queue::Declare> {
        Call::new(self.handle.clone(), valid(declare.method, declare.invalid))
    }

    /// Binds a queue to an exchange (`queue.bind`).
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call). The broker closes the channel if either does not exist (404).
    ///
    /// # Cancel safety
    ///
    /// See [`Call`].
    #[track_caller]
    pub fn queue_bind(&self, bind: QueueBind) -> Call<queue::Bind> {
        let QueueBind { queue, exchange, routing_key, arguments, invalid } = bind;
        let bind = queue::Bind { queue, exchange, routing_key, arguments, ..Default::default() };
        Call::new(self.handle.clone(), valid(bind, invalid))
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
        let mut invalid = None;
        let purge = queue::Purge { queue: short_str(name, &mut invalid), ..Default::default() };
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
