//! [`Timestamp`]: seconds since 1970. A number; this crate has no clock.

use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

/// A point in time: whole seconds since 1970-01-01 00:00 UTC, as the wire has it.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use amqp_types::Timestamp;
///
/// let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
/// let stamp = Timestamp::try_from(time)?;
/// assert_eq!(stamp, Timestamp(1_600_000_000));
/// assert_eq!(SystemTime::try_from(stamp)?, time);
/// # Ok::<(), amqp_types::TimestampRange>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Seconds since 1970-01-01 00:00 UTC.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }
}

impl From<u64> for Timestamp {
    fn from(seconds: u64) -> Self {
        Self(seconds)
    }
}

impl From<Timestamp> for u64 {
    fn from(stamp: Timestamp) -> Self {
        stamp.0
    }
}

/// The fraction of a second is dropped; a time before 1970 is an error.
impl TryFrom<SystemTime> for Timestamp {
    type Error = TimestampRange;

    fn try_from(time: SystemTime) -> Result<Self, TimestampRange> {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| TimestampRange(()))?;
        Ok(Self(since.as_secs()))
    }
}

/// A time that the platform cannot express is an error.
impl TryFrom<Timestamp> for SystemTime {
    type Error = TimestampRange;

    fn try_from(stamp: Timestamp) -> Result<Self, TimestampRange> {
        Self::UNIX_EPOCH.checked_add(Duration::from_secs(stamp.0)).ok_or(TimestampRange(()))
    }
}

/// The number of seconds since 1970.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A time that a [`Timestamp`], or the platform's clock, cannot express.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampRange(());

impl fmt::Display for TimestampRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("time out of range")
    }
}

impl Error for TimestampRange {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_out_of_range_are_errors() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert!(Timestamp::try_from(before).is_err());
        assert!(SystemTime::try_from(Timestamp(u64::MAX)).is_err());
        let fraction = SystemTime::UNIX_EPOCH + Duration::from_millis(1999);
        assert_eq!(Timestamp::try_from(fraction), Ok(Timestamp(1)));
    }
}
