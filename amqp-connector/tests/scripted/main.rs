//! The connector over an in-memory pipe, against a scripted peer: no broker, no socket, no waiting.
//!
//! Time is tokio's paused clock: a test of a 30 s deadline takes no time. One behaviour per test.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::field_reassign_with_default,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation ends its test"
)]

mod broker;
mod calls;
mod cancellation;
mod closing;
mod credentials;
mod driver_rules;
mod dropping;
mod elsewhere;
mod events;
mod flow;
mod handshake;
mod heartbeats;
mod hostile;
mod limits;
mod lock_rules;
mod logging;
#[cfg(feature = "metrics")]
mod measuring;
mod memory_broker;
mod no_wait;
mod numbers;
mod pacing;
mod publishing;
mod reasons;
mod recovery;
mod refusals;
mod reopening;
mod rpc;
mod sasl;
mod server;
mod shutdown;
mod simulation;
mod slow_link;
mod spans;
mod specs;
mod stream_consuming;
mod stream_ending;
mod streaming;
mod support;
mod tap;
mod timers;
mod turns;
mod typed;
mod walk;
