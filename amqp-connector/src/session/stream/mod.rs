//! Bodies that are never whole: sent from a source piece by piece, and given out frame by frame.
//!
//! A content cannot be given up midway: whatever stands between its frames makes brokers close the connection.
//! So a channel belongs to its outgoing stream while that runs ([`Streaming::publishing`]), and a stream that
//! breaks is completed with zeros where nobody can ever see it, or ends the connection (`breaking`). What comes for
//! a consumer of streamed bodies waits in its channel's `bodies`, and `incoming` brings it there and from there.

pub(in crate::session) mod bodies;
mod breaking;
mod incoming;
pub(in crate::session) mod outgoing;

/// What is unusual about an open channel. Kept in its phase, so that the paths which most messages take ask for
/// nothing more than before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Streaming {
    /// A streamed publish owns the channel: nobody else may send a request or a content on it.
    pub(crate) publishing: bool,
    /// Deliveries may be for a consumer that wants their bodies as streams.
    pub(crate) consuming: bool,
}
