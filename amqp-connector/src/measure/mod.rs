//! What a connection counts of itself for the facade `metrics` (feature `metrics`), and where that is told.
//!
//! The session counts where things happen, in plain numbers and under its lock: [`Counts`]. What reads a clock or runs
//! the program's recorder is done outside of the lock, by the driver after each of its rounds: it takes a [`Batch`] of what
//! was counted, and [`Instruments`] tell it. They are made once for each connection, so that no message costs a look-up.
//! Without the feature all of it is empty and compiles to nothing. Knows nothing of the rest of the connector. What is
//! measured is written down for users in `docs/observing.md`, which a test compares with the table here.

#[cfg(feature = "metrics")]
mod counts;
#[cfg(feature = "metrics")]
mod instruments;
#[cfg(not(feature = "metrics"))]
mod nothing;

#[cfg(feature = "metrics")]
pub(crate) use self::counts::{Batch, Counts, Stamp};
#[cfg(feature = "metrics")]
pub(crate) use self::instruments::Instruments;
#[cfg(not(feature = "metrics"))]
pub(crate) use self::nothing::{Batch, Counts, Instruments, Stamp};

/// What the broker has answered to a publish.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Acked,
    Nacked,
    /// Acked, after its message had come back.
    Returned,
    /// Acked, and a message came back that may be this one's.
    Doubt,
}

/// What there is of a connection at this moment.
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "nobody reads it then"))]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) open: bool,
    pub(crate) blocked: bool,
    pub(crate) channels: usize,
    pub(crate) consumers: usize,
}
