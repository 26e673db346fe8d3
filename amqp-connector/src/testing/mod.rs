//! Support for tests without RabbitMQ: a broker in memory, a peer that follows a script, and a transport that misbehaves.
//!
//! [`Peer`] is the server's side of a connection over an in-memory pipe. A test says what it expects and
//! what it answers; every method of the compiled specification can be used for both. It checks what it
//! receives: frames within the negotiated size, contents that nothing interrupts, methods that a client may
//! send, on channels that are open. What does not fit ends the test with a message that names what came
//! instead.
//!
//! [`broker`] is for tests that want a broker to do what a broker does, and no script: it has exchanges and queues.
//!
//! [`Faulty`] wraps any transport and lets it stall, come in pieces, break or fall silent, by a seed.
//! [`Replay`] plays octets that were encoded beforehand, for measurements.
//!
//! Used by tests only (feature `testing`), with tokio's paused clock where time matters. A failed
//! expectation panics: none of this belongs into a program.
//!
//! ```
//! use amqp_connector::protocol::queue;
//! use amqp_connector::testing::Peer;
//! use amqp_connector::{Connector, QueueDeclare};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (io, mut peer) = Peer::new();
//! let script = async {
//!     peer.handshake().await;
//!     let channel = peer.open_channel().await;
//!
//!     let declare = peer.expect_on::<queue::Declare>(channel).await;
//!     assert_eq!(declare.queue, *"jobs");
//!     let ok = queue::DeclareOk { queue: declare.queue, message_count: 3, ..Default::default() };
//!     peer.send(channel, ok).await;
//!
//!     peer.close_channel(channel, 404, "NOT_FOUND - no such thing").await;
//!     peer.close_connection(320, "CONNECTION_FORCED - shutting down").await;
//! };
//! let test = async {
//!     let connection = Connector::new().connect_with(io).await?.authenticate("guest", "guest").await?;
//!     let channel = connection.channel_open().await?;
//!     assert_eq!(channel.queue_declare(QueueDeclare::new("jobs")).await?.message_count, 3);
//!     assert_eq!(channel.closed().await.code().map(|code| code.0), Some(404));
//!     assert_eq!(connection.closed().await.code().map(|code| code.0), Some(320));
//!     Ok(())
//! };
//! tokio::join!(script, test).1
//! # }
//! ```

#![allow(clippy::panic, clippy::missing_panics_doc, reason = "a failed expectation ends its test")]

pub mod broker;
mod faulty;
mod leftovers;
mod peer;
mod replay;
mod script;
mod send;
mod wire;

pub use faulty::{Ending, Faults, Faulty, Rng};
pub use leftovers::{Leftovers, leftovers};
pub use peer::Peer;
pub use replay::{Flood, Replay, ReplayControl};
pub use send::send_any;
pub use wire::{Event, WireError};
