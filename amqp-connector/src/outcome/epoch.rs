//! Which incarnation of a channel something belongs to: a plain value to compare.

use std::fmt;

/// An incarnation of a channel: from when the broker opened it until the broker has lost it, for whatever reason. A
/// channel of a connection that comes back ([`Recovery`](crate::Recovery)) gets another one when the connection is lost,
/// and one that is [reopened](crate::Channel::reopen) gets another one by that.
///
/// What the broker counts and keeps for a channel ends with its incarnation: deliveries of another epoch than before may be
/// messages that were delivered before, and what of theirs was not settled cannot be settled any more. So who tells
/// duplicates apart has to look at those only that come after the epoch has changed, and those that are
/// [`redelivered`](crate::Delivery::redelivered).
///
/// Of one connection's incarnations, of whichever channel, the later one is the greater one, and no two are equal. Those of two
/// connections mean nothing to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub(crate) u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}", self.0)
    }
}
