//! What this process has used so far: processor time, memory, context switches. Linux only, by `/proc`.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What has been used up to one moment.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// User and system time of all threads, those that have ended included.
    pub cpu: Duration,
    /// How often a thread that still runs gave up the processor of its own accord.
    pub voluntary_switches: u64,
}

impl Usage {
    /// Up to now.
    #[must_use]
    pub fn now() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let seconds = u64::try_from(cpu.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(cpu.tv_nsec).unwrap_or(0);
        let cpu = Duration::from_secs(seconds) + Duration::from_nanos(nanos);
        Self { cpu, voluntary_switches: voluntary_switches() }
    }
}

/// Memory that is resident now, in KiB.
#[must_use]
pub fn resident_kib() -> u64 {
    status_line("/proc/self/status", "VmRSS:")
}

/// Most memory that was ever resident, in KiB.
#[must_use]
pub fn peak_kib() -> u64 {
    status_line("/proc/self/status", "VmHWM:")
}

fn voluntary_switches() -> u64 {
    let Ok(threads) = fs::read_dir("/proc/self/task") else {
        return 0;
    };
    let of_thread = |thread: fs::DirEntry| {
        let status = thread.path().join("status");
        status_line(&status.to_string_lossy(), "voluntary_ctxt_switches:")
    };
    threads.flatten().map(of_thread).sum()
}

/// The number on the line of a status file that begins so; 0 if there is none.
fn status_line(path: &str, begin: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(begin));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn using_the_processor_shows() {
        let before = Usage::now();
        while Usage::now().cpu < before.cpu + Duration::from_millis(2) {}
        assert!(resident_kib() > 0 && peak_kib() >= resident_kib());
    }
}
