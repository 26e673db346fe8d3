//! What a broker in memory tells of itself: queues, exchanges, bindings, connections.
//!
//! Plain values, made by the core.

use amqp_types::FieldTable;

/// A queue.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct QueueInfo {
    /// The virtual host it is in.
    pub virtual_host: String,
    /// Its name.
    pub name: String,
    /// Messages that nobody has.
    pub messages_ready: usize,
    /// Messages that were delivered or got, and are not settled.
    pub unacknowledged: usize,
    /// Consumers of it.
    pub consumers: usize,
    /// Whether it would outlive a restart.
    pub durable: bool,
    /// Whether it belongs to one connection.
    pub exclusive: bool,
    /// Whether it goes with its last consumer.
    pub auto_delete: bool,
    /// Its arguments, as declared.
    pub arguments: FieldTable,
}

/// An exchange. The default one has an empty name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExchangeInfo {
    /// The virtual host it is in.
    pub virtual_host: String,
    /// Its name.
    pub name: String,
    /// `direct`, `fanout`, `topic` or `headers`.
    pub exchange_type: String,
    /// Whether it would outlive a restart.
    pub durable: bool,
    /// Whether it goes with its last binding.
    pub auto_delete: bool,
    /// Whether it takes messages from exchanges only.
    pub internal: bool,
    /// Its arguments, as declared.
    pub arguments: FieldTable,
}

/// A binding. Those of the default exchange are not told.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BindingInfo {
    /// The virtual host it is in.
    pub virtual_host: String,
    /// The exchange that messages come from.
    pub source: String,
    /// The queue or exchange that they go to.
    pub destination: String,
    /// Whether the destination is an exchange.
    pub to_exchange: bool,
    /// The routing key.
    pub routing_key: String,
    /// Its arguments, as bound.
    pub arguments: FieldTable,
}

/// A connection whose handshake is done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The virtual host that it has opened.
    pub virtual_host: String,
    /// The user it has logged in as.
    pub user: String,
    /// The name that the client gave it.
    pub name: Option<String>,
    /// The number of its open channels.
    pub channels: usize,
}
