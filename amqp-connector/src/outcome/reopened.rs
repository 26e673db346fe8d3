//! What came of reopening a channel.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::outcome::{Epoch, RecoveryFailure};

/// What came of [`Channel::reopen`](crate::Channel::reopen): the channel is open.
#[derive(Clone, Debug)]
#[must_use = "a consumer may not have been started again"]
#[non_exhaustive]
pub struct Reopened {
    /// The incarnation that the channel is now.
    pub epoch: Epoch,
    /// How many consumers were started again by this call: none where the channel was open, or another call has
    /// reopened it.
    pub consumers: usize,
    /// Consumers that the broker did not start again, each with its error. They have ended.
    pub failures: Vec<Arc<RecoveryFailure>>,
    /// How long it took.
    pub took: Duration,
}

impl Default for Reopened {
    fn default() -> Self {
        Self { epoch: Epoch(0), consumers: 0, failures: Vec::new(), took: Duration::ZERO }
    }
}

impl fmt::Display for Reopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, consumers, failures, took } = self;
        write!(
            f,
            "reopened as {epoch} in {took:?}: {consumers} consumers; {} failures",
            failures.len()
        )?;
        failures.iter().try_for_each(|failure| write!(f, "\n  {failure}"))
    }
}
