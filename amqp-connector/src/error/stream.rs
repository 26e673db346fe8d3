//! How the source of a streamed body broke its promise.
//!
//! Made by the future of a streamed publish outside the session's lock: it owns an error of the user's.

use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

use amqp_types::ShortStr;

/// What went wrong with the source of a streamed body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamFault {
    /// It gave an error, which is the [`source`](Error::source) of [`BrokenStream`].
    Failed,
    /// It gave no octet for as long as it may take for a piece; empty pieces are none.
    #[non_exhaustive]
    Stalled {
        /// How long that was.
        timeout: Duration,
    },
    /// It ended before it had given as much as was promised.
    Short,
    /// It gave more than was promised.
    Long,
    /// The future of the publish was dropped.
    Dropped,
    /// The broker blocked publishing, and publishes are not to wait for that
    /// ([`Options::publish_while_blocked`](crate::Options::publish_while_blocked)).
    Blocked,
}

/// A streamed body that broke off: how, where, and how far it had come.
#[derive(Debug)]
pub struct BrokenStream {
    fault: StreamFault,
    expected: u64,
    given: u64,
    exchange: ShortStr,
    routing_key: ShortStr,
    place: &'static Location<'static>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl BrokenStream {
    pub(crate) fn new(
        fault: StreamFault,
        (given, expected): (u64, u64),
        (exchange, routing_key): (ShortStr, ShortStr),
        place: &'static Location<'static>,
    ) -> Self {
        Self { fault, expected, given, exchange, routing_key, place, source: None }
    }

    pub(crate) fn with_source(mut self, source: Option<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = source;
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn fault(&self) -> StreamFault {
        self.fault
    }

    /// The length that was promised, in octets.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.expected
    }

    /// The octets that the source had given, those included that were too much.
    #[must_use]
    pub fn given(&self) -> u64 {
        self.given
    }

    /// The exchange that the message was for.
    #[must_use]
    pub fn exchange(&self) -> &ShortStr {
        &self.exchange
    }

    /// Its routing key.
    #[must_use]
    pub fn routing_key(&self) -> &ShortStr {
        &self.routing_key
    }

    /// Where in the program it was published.
    #[must_use]
    pub fn place(&self) -> &'static Location<'static> {
        self.place
    }
}

impl fmt::Display for BrokenStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { given, expected, exchange, routing_key, .. } = self;
        write!(f, "the streamed body for exchange '{exchange}', routing key '{routing_key}' ")?;
        match self.fault {
            StreamFault::Failed => f.write_str("failed")?,
            StreamFault::Stalled { timeout } => write!(f, "gave nothing for {timeout:?}")?,
            StreamFault::Short => f.write_str("ended too early")?,
            StreamFault::Long => f.write_str("is longer than promised")?,
            StreamFault::Dropped => f.write_str("was dropped")?,
            StreamFault::Blocked => {
                f.write_str("was given up since the broker blocks publishing")?
            }
        }
        write!(f, " after {given} of {expected} octets")?;
        self.source.as_ref().map_or(Ok(()), |source| write!(f, ": {source}"))
    }
}

impl Error for BrokenStream {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}
