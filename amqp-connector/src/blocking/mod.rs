//! For programs without async: a connection whose driver runs on a thread of its own, and calls that wait.
//!
//! Heartbeats, recovery and whatever comes from the broker go on while the program's threads do something else. Nothing is
//! there twice: messages, arguments, deliveries, outcomes and errors are those of the rest of this crate, and every
//! `async` operation that has no method here is reached by [`Connection::wait`].
//!
//! ```no_run
//! use amqp_connector::blocking::Connection;
//! use amqp_connector::{BasicConsume, BasicPublish, Prefetch, QueueDeclare};
//!
//! # fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let connection = Connection::open("amqp://guest:guest@localhost:5672/%2f")?;
//! let channel = connection.channel_open()?;
//! channel.queue_declare(QueueDeclare::new("jobs"))?;
//! let outcome = channel.basic_publish(BasicPublish::new("", "jobs", "work"))?;
//! println!("{outcome}");
//!
//! for job in channel.basic_consume(BasicConsume::new("jobs", Prefetch::Count(10)))? {
//!     job?.ack()?;
//! }
//! connection.close()?;
//! # Ok(()) }
//! ```
//!
//! # Where it may be called
//!
//! On any thread, several at once included. On a thread of a tokio runtime it works, too, and blocks that thread: use
//! the rest of this crate there. On the connection's own thread, where [`Connector::tap`](crate::Connector::tap) and
//! handlers of [`rpc::Server`](crate::rpc::Server) run, waiting would be for ever, and is the error `Invalid`.

// Above the handles, by what they offer to everybody. Nothing below knows of it.

mod channel;
mod connection;
mod consumer;
mod park;
mod thread;

pub use channel::Channel;
pub use connection::Connection;
pub use consumer::Consumer;
