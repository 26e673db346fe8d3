//! A [`Topology`](crate::Topology) put together by a program: exchanges, queues and bindings declared together, compared with a
//! broker, and removed.
//!
//! It is made of the same builders that declare each of them alone, so whatever can be declared can stand in it:
//!
//! ```
//! use amqp_connector::arguments::{ExchangeType, QueueType};
//! use amqp_connector::topology::{Removal, TopologyError};
//! use amqp_connector::{Connection, ExchangeDeclare, QueueBind, QueueDeclare, Topology};
//!
//! fn orders() -> Result<Topology, TopologyError> {
//!     Topology::default()
//!         .with_exchange(ExchangeDeclare::new("orders", ExchangeType::Topic).durable(true))?
//!         .with_queue(QueueDeclare::new("new").durable(true).queue_type(QueueType::Quorum))?
//!         .with_queue_binding(QueueBind::new("new", "orders", "order.new"))
//! }
//!
//! # async fn run(connection: &Connection) -> Result<(), Box<dyn std::error::Error>> {
//! // What the broker refuses is told of each, and stops none of the others.
//! let report = orders()?.apply(connection).await?;
//! println!("{report:#}");
//! let applied = report.into_result()?;
//!
//! let comparison = orders()?.compare(connection).await?;
//! assert!(comparison.is_same(), "{comparison:#}");
//!
//! // What was applied, and no more, is taken away again.
//! applied.remove(connection, Removal::new()).await?.into_result()?;
//! # Ok(()) }
//! # assert!(orders().is_ok());
//! ```
//!
//! [`Connection::topology`](crate::Connection::topology) gives one, too: what a connection has declared that recovers.
//! With the feature `serde` one is a value of serde's, and nothing of it is lost:
//!
//! ```json
//! {
//!   "exchanges": [
//!     { "name": "orders", "type": "topic", "durable": true, "auto_delete": false, "internal": false, "arguments": [] }
//!   ],
//!   "queues": [
//!     { "name": "new", "server_named": false, "durable": true, "exclusive": false, "auto_delete": false,
//!       "arguments": [["x-queue-type", { "long_string": "quorum" }]] }
//!   ],
//!   "bindings": [
//!     { "source": "orders", "destination": { "queue": "new" }, "routing_key": "order.new", "arguments": [] }
//!   ]
//! }
//! ```
//!
//! All is written. Of what is read only `name`, `type`, `source` and `destination` must be there; what is left out is
//! false or empty, and a field that is not known is refused. How tables are written tells
//! [`FieldTable`](crate::FieldTable). What is read is looked over by [`Topology::check`](crate::Topology::check) when it is used.
//!
//! # What a topology is not
//!
//! Policies, users and virtual hosts are a broker's administrator's: AMQP has nothing for them.

// Above the handles, by what they offer to everybody. Nothing below knows of it.

mod apply;
mod check;
mod compare;
mod remove;
mod report;
mod steps;
#[cfg(test)]
mod tests;

pub use check::TopologyError;
pub use compare::{Comparison, Finding, Found};
pub use remove::Removal;
pub use report::{TopologyReport, TopologyStep};
