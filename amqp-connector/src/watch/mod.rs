//! Handles that only watch: what happens to a connection, whether it is blocked, what its peer sends unasked.
//!
//! None keeps a connection open or holds anything up; their queues are the session's.

mod blocked;
mod events;
mod incoming;

pub use blocked::BlockedWatch;
pub use events::Events;
pub use incoming::Incoming;
