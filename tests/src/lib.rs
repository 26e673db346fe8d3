//! What the broker tests stand on: [`broker_test`] gives each test a [`Fixture`], and fails it if
//! anything is left behind: a task, a socket, a connection, a channel, a queue or an exchange.
//!
//! ```no_run
//! use amqp_connector::QueueDeclare;
//! use amqp_tests::broker_test;
//!
//! // With #[test] above it:
//! fn a_sentence_that_says_what_holds() {
//!     broker_test(async |t| {
//!         let connection = t.connect().await;
//!         let channel = connection.channel_open().await.unwrap();
//!         let queue = t.name("orders"); // unique to this test
//!         channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
//!         connection.close().await;
//!     });
//! }
//! ```
//!
//! `tests/broker/skel.rs` is an empty test file to copy. A test that kills its broker has one of its own, by [`broker_test_with`];
//! what it may do to that is in [`faults`]. `cargo xtask test` starts a broker and says
//! where it is (see [`Broker::from_env`]); without that every broker test fails and tells how to run it.
//!
//! # How leaks are told apart
//!
//! Tests of one program run side by side, so "whose is it?" must have an exact answer. The broker
//! listens on several ports, and each test has one of them for itself (a lane): every socket,
//! connection and channel with that port is this test's. Names carry the test's own prefix, and its
//! tasks are those of its own runtime.

mod broker;
pub mod faults;
mod fixture;
mod lanes;
mod leaks;
mod outcome;
mod queues;
mod sockets;

pub use broker::{Broker, EvalError};
pub use fixture::{Fixture, broker_test, broker_test_alone, broker_test_with, leaks_of};
pub use leaks::{Leak, Leaks};
pub use outcome::Outcome;
pub use queues::{Messages, await_depth, depth};
