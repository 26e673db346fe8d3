//! What happens to messages: published, queued, delivered, settled, and dead.
//!
//! Everything here is part of the core; `channel` tells which method comes to which module.

mod basic;
mod consume;
mod dead_letter;
mod publish;
mod queue;
mod settle;
