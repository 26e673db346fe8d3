//! Times, counted by size class. Fixed memory, so that recording does not show in the memory measured.

use std::time::Duration;

/// Each power of two is divided into this many classes: the error is below one percent.
const CLASSES: usize = 128;
const SHIFT: u32 = CLASSES.ilog2();

/// How often which time was seen.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u32>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        let len = (u64::BITS - SHIFT + 1) as usize * CLASSES;
        Self { counts: vec![0; len], total: 0 }
    }
}

impl Histogram {
    /// Counts a time.
    pub fn record(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(class(nanos)) {
            *count = count.saturating_add(1);
            self.total += 1;
        }
    }

    /// How many times were counted.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.total
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }

    /// The time that this share of all does not exceed, in microseconds; `None` without any.
    #[must_use]
    pub fn micros(&self, share: f64) -> Option<f64> {
        let mut seen = 0;
        for (class, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen > 0 && seen as f64 >= self.total as f64 * share {
                return Some(middle(class) / 1000.0);
            }
        }
        None
    }
}

fn class(nanos: u64) -> usize {
    // Up to 2 * CLASSES each value has a class of its own.
    let power = nanos.checked_ilog2().unwrap_or(0).saturating_sub(SHIFT);
    power as usize * CLASSES + usize::try_from(nanos >> power).unwrap_or(0)
}

fn middle(class: usize) -> f64 {
    let power = (class / CLASSES).saturating_sub(1);
    let low = (class - power * CLASSES) << power;
    low as f64 + ((1_usize << power) - 1) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_found_again_within_a_percent() {
        for nanos in [0, 1, 127, 128, 255, 256, 257, 1_000, 12_345, 1 << 20, 987_654_321, u64::MAX]
        {
            let mut histogram = Histogram::default();
            histogram.record(Duration::from_nanos(nanos));
            let found = histogram.micros(0.5).unwrap() * 1000.0;
            assert!((found - nanos as f64).abs() <= nanos as f64 / 128.0, "{nanos}: {found}");
        }
    }

    #[test]
    fn shares_are_counted_from_below() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.micros(0.5), None);
        (1..=100).for_each(|n| histogram.record(Duration::from_nanos(n)));
        assert_eq!(histogram.micros(0.5), Some(0.05));
        assert_eq!(histogram.micros(0.99), Some(0.099));
    }
}
