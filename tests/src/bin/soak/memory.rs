//! The memory of this program over time, and what the soak counts beside the books.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How much more than at most in the first quarter there may be at any time: all buffers of six connections that are
/// full at once.
const PEAK_KIB: u64 = 32 << 10;
/// How much more the last quarter's median may be than the second's.
const GROWTH_KIB: u64 = 4 << 10;
/// From when on there is enough to tell growth from chance, in looks.
const ENOUGH: usize = 600;

/// Looks at the memory, one a second.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    looks: Mutex<Vec<u64>>,
    counts: Mutex<Faults>,
}

/// How many faults there were.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) kills: u64,
    pub(crate) closes: u64,
    pub(crate) breaks: BTreeMap<String, u64>,
    pub(crate) last: String,
}

impl Memory {
    /// Looks once.
    pub(crate) fn look(&self) {
        self.looks().push(resident().unwrap_or(0));
    }

    /// What there was at the last look, in KiB.
    pub(crate) fn last(&self) -> u64 {
        self.looks().last().copied().unwrap_or(0)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is flat.
    ///
    /// # Errors
    ///
    /// How much it has grown, where that is too much.
    pub(crate) fn judge(&self) -> Result<(), String> {
        judge(&self.looks())
    }

    fn looks(&self) -> MutexGuard<'_, Vec<u64>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let looks = self.looks();
        let [first, second, third, last] = quarters(&looks);
        write!(
            f,
            "{} KiB at most, medians of the quarters {} {} {} {} KiB; at most {PEAK_KIB} KiB over the first quarter's \
             {} KiB are allowed",
            highest(&looks),
            median(first),
            median(second),
            median(third),
            median(last),
            highest(first),
        )?;
        if looks.len() >= ENOUGH {
            write!(f, ", and {GROWTH_KIB} KiB between the medians of the second and the last")?;
        }
        Ok(())
    }
}

fn judge(looks: &[u64]) -> Result<(), String> {
    let [first, second, _, last] = quarters(looks);
    let more = highest(looks).saturating_sub(highest(first));
    if more > PEAK_KIB {
        return Err(format!(
            "the memory grew: {more} KiB over the first quarter, {PEAK_KIB} are allowed"
        ));
    }
    let growth = median(last).saturating_sub(median(second));
    if looks.len() >= ENOUGH && growth > GROWTH_KIB {
        return Err(format!("the memory grows: {growth} KiB from the second quarter to the last"));
    }
    Ok(())
}

fn quarters(looks: &[u64]) -> [&[u64]; 4] {
    let quarter = looks.len() / 4;
    let (first, rest) = looks.split_at_checked(quarter).unwrap_or_default();
    let (second, rest) = rest.split_at_checked(quarter).unwrap_or_default();
    let (third, last) = rest.split_at_checked(quarter).unwrap_or_default();
    [first, second, third, last]
}

fn highest(looks: &[u64]) -> u64 {
    looks.iter().copied().max().unwrap_or(0)
}

fn median(looks: &[u64]) -> u64 {
    let mut looks = looks.to_vec();
    looks.sort_unstable();
    looks.get(looks.len() / 2).copied().unwrap_or(0)
}

/// What this process has in memory, in KiB.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_grows_slowly_or_suddenly_is_not_flat() {
        let flat: Vec<u64> = (0..1000).map(|n| 30_000 + n % 7 * 500).collect();
        assert_eq!(judge(&flat), Ok(()));
        let slowly: Vec<u64> = (0..1000).map(|n| 30_000 + n * 10).collect();
        assert!(judge(&slowly).unwrap_err().contains("grows"));
        let mut suddenly = flat;
        suddenly[700] += PEAK_KIB + 4000;
        assert!(judge(&suddenly).unwrap_err().contains("grew"));
        assert_eq!(judge(&[]), Ok(()));
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident().unwrap() > 100);
    }
}
