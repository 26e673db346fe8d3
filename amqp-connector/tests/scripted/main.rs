//! The connector over an in-memory pipe, against a scripted peer: no broker, no socket, no waiting.
//!
//! Time is tokio's paused clock: a test of a 30 s deadline takes no time. One behaviour per test.

mod broker;
mod closing;
mod handshake;
mod rules;
mod simulation;
mod support;
