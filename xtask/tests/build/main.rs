//! How the library crates behave in somebody else's build: cargo is run on crates outside the workspace.
//!
//! What these tests hold: a change of the specification rebuilds, whatever kind of dependency amqp-types
//! is; the published packages are complete; the compiler's messages tell what to do; a crate can compile
//! protocols of its own. They need cargo (1.90 or newer, which can package crates that depend on one
//! another), git, tar and, in their first run, crates.io; no broker. They stand in xtask because its tests
//! run once, not once for each specification.

// clippy's exception for tests covers functions marked #[test], and these stand beside them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod lab;
mod messages;
mod outsiders;
mod packages;
mod protocols;
mod tracking;
