//! Requests and replies over AMQP: a [`Client`] that calls, and a [`Server`] that answers.
//!
//! ```no_run
//! # async fn run(connection: amqp_connector::Connection) -> Result<(), Box<dyn std::error::Error>> {
//! use amqp_connector::rpc::{Client, Failure, Received, Server, ServerOptions};
//! use amqp_connector::typed::Text;
//!
//! let shout = |request: Received<String>| async move { Ok::<_, Failure>(request.value.to_uppercase()) };
//! let server = Server::start(&connection, ServerOptions::new("shout", 10), Text, shout).await?;
//!
//! let client = Client::open(&connection).await?.codec(Text);
//! let loud: String = client.call("shout", &"hello".to_owned()).await?;
//! assert_eq!(loud, "HELLO");
//! # drop(server);
//! # Ok(()) }
//! ```
//!
//! # On the wire
//!
//! A request is any message with `reply-to`; its `correlation-id` comes back with the reply, which is published to the
//! default exchange with `reply-to` as its routing key. So the other side may be of any make.
//!
//! A reply is an error if it has the header `x-rpc-error`, a long string: `handler`, `panic`, `undecodable` (the request) or
//! `unencodable` (what the handler has returned). Then its body is what there is to say, as text in UTF-8, and the header
//! `x-rpc-error-code` has the handler's own word for it, if it has given one.
//!
//! A layer on the handles, by what they offer to everybody, and on [`typed`](crate::typed); nothing below knows of it. Its
//! tasks are one for each client, one for each server and one for each request that is being served.

use std::time::Duration;

mod address;
mod answering;
mod calls;
mod client;
mod error;
mod ids;
mod message;
mod receiving;
mod server;
mod serving;

pub use calls::DroppedReplies;
pub use client::{Client, ClientOptions, ReplyBy};
pub use error::{CallError, Failure, FailureKind};
pub use message::{Reply, Request};
pub use server::{Received, Server, ServerOptions, ServerReport, WithoutReplyTo};

/// Further off than any deadline.
const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);
