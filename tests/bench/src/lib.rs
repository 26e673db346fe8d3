//! What the benchmark's programs share: the cases, the measuring, the report, the clients and the sink.
//!
//! `bin/client.rs` runs one case with one client and prints one line; `bin/sink.rs` is the peer that a
//! client is measured against. Nothing here starts processes, compares results or judges them: the
//! command that runs the benchmark does.

pub mod cases;
pub mod clients;
pub mod context;
pub mod frames;
pub mod histogram;
pub mod idle;
pub mod meter;
pub mod report;
pub mod sink;
pub mod usage;
