//! How fast a channel may publish, as the user says it. Plain data.

use std::time::Duration;

use crate::error::{Error, Result};

/// How many publishes a channel may make in a time; see [`Channel::pace`](crate::Channel::pace).
///
/// ```
/// use std::time::Duration;
///
/// use amqp_connector::Pace;
///
/// // A hundred per second, and no more than five at once after a rest.
/// let steady = Pace::per_second(100).burst(5);
/// let slow = Pace::per(90, Duration::from_secs(60));
/// # let _ = (steady, slow);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "the pace is given to `Channel::pace`"]
pub struct Pace {
    pub(crate) publishes: u32,
    pub(crate) period: Duration,
    burst: Option<u32>,
}

impl Pace {
    /// So many publishes in each second.
    pub const fn per_second(publishes: u32) -> Self {
        Self::per(publishes, Duration::from_secs(1))
    }

    /// So many publishes in each `period`.
    pub const fn per(publishes: u32, period: Duration) -> Self {
        Self { publishes, period, burst: None }
    }

    /// How many publishes may be made at once after a rest, in which they were saved up. Default: as many as are
    /// allowed in a tenth of a second, and at least one. A burst that is smaller than what is allowed in a few
    /// milliseconds makes the pace slower, since no timer is more exact than that.
    pub const fn burst(mut self, publishes: u32) -> Self {
        self.burst = Some(publishes);
        self
    }

    /// The burst that was asked for, or the default one.
    pub(crate) fn burst_or_default(&self) -> u32 {
        const REST: u128 = 100_000_000;
        self.burst.unwrap_or_else(|| {
            let saved = u128::from(self.publishes).saturating_mul(REST);
            let saved = saved.checked_div(self.period.as_nanos()).unwrap_or(0);
            u32::try_from(saved).unwrap_or(u32::MAX).max(1)
        })
    }

    /// Refuses a pace by which nothing would ever go, or everything at once.
    pub(crate) fn check(&self) -> Result<()> {
        match (self.publishes, self.period, self.burst) {
            (0, ..) | (_, _, Some(0)) => {
                Err(Error::invalid("a pace of no publishes would let none go"))
            }
            (_, Duration::ZERO, _) => Err(Error::invalid("a pace needs a period")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_a_tenth_of_a_second_if_nothing_else_is_said() {
        for (publishes, seconds, burst) in [(1, 1, 1), (15, 1, 1), (1000, 1, 100), (6000, 60, 10)] {
            let pace = Pace::per(publishes, Duration::from_secs(seconds));
            assert_eq!(pace.burst_or_default(), burst, "{pace:?}");
        }
        assert_eq!(Pace::per(u32::MAX, Duration::from_nanos(1)).burst_or_default(), u32::MAX);
        assert_eq!(Pace::per_second(10).burst(7).burst_or_default(), 7);
    }
}
