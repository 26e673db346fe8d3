//! What a connection still holds, for tests that want nothing left behind.
//!
//! Called by tests; reads the session under its lock and changes nothing.

use crate::connection::Connection;
pub use crate::session::Leftovers;

/// What `connection` holds now.
#[must_use]
pub fn leftovers(connection: &Connection) -> Leftovers {
    connection.shared().with(|session| session.leftovers())
}
