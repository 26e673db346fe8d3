//! Measuring: a warm-up, then the time that counts, each with a clock that is looked at rarely.
//!
//! ```text
//! let mut meter = ctx.meter(body);
//! while meter.phase() {                 // true twice: the warm-up, then the measured phase
//!     while meter.tick() { publish().await? }
//!     barrier().await?;                 // so that what was only buffered is paid for in its own phase
//! }
//! Ok(meter.measured())
//! ```
//!
//! Several tasks: give each a [`Counter`] of the phase, join them, then [`Meter::add`] what they counted.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::histogram::Histogram;
use crate::usage::{self, Usage};

/// Measures one case.
#[derive(Debug)]
pub struct Meter {
    phases: [Duration; 2],
    next: usize,
    current: Counter,
    /// What was counted in the current phase by counters that have been added.
    added: u64,
    started: (Instant, Usage),
    latencies: Histogram,
    measured: Measured,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Messages, calls, connections or channels, by the case.
    pub messages: u64,
    /// How long that took.
    pub elapsed: Duration,
    /// User and system time of the process meanwhile.
    pub cpu: Duration,
    /// Times that a thread gave up the processor meanwhile.
    pub voluntary_switches: u64,
    /// Median time of one, in microseconds, where it was taken.
    pub p50_us: Option<f64>,
    /// The time that 99 of 100 did not exceed.
    pub p99_us: Option<f64>,
    /// Memory resident when the meter was made.
    pub rss_start_kib: u64,
    /// Most memory ever resident.
    pub rss_peak_kib: u64,
    /// Whatever else there is to tell.
    pub extra: Map<String, Value>,
}

/// Counts the messages of one task in one phase.
#[derive(Clone, Debug)]
pub struct Counter {
    count: u64,
    /// The count at which the clock is looked at next.
    check: u64,
    stride: u64,
    end: Instant,
    /// The count at which it ends whatever the clock says.
    most: u64,
}

impl Counter {
    /// Whether there is time for one more message, which is then counted.
    #[inline]
    pub fn tick(&mut self) -> bool {
        if self.count == self.check {
            if self.count == self.most || Instant::now() >= self.end {
                return false;
            }
            self.check = (self.check + self.stride).min(self.most);
        }
        self.count += 1;
        true
    }

    /// What was counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }
}

impl Meter {
    pub(crate) fn new(warm_up: Duration, measured: Duration, body: usize) -> Self {
        // Looking at the clock is to cost nothing beside a message and still to end in time.
        let stride = match body {
            0..=4096 => 64,
            4097..=131_072 => 8,
            _ => 1,
        };
        let now = Instant::now();
        let latencies = Histogram::default();
        Self {
            phases: [warm_up, measured],
            next: 0,
            current: Counter { count: 0, check: 0, stride, end: now, most: u64::MAX },
            added: 0,
            started: (now, Usage::now()),
            latencies,
            measured: Measured { rss_start_kib: usage::resident_kib(), ..Measured::default() },
        }
    }

    /// Ends the measuring when this many messages have been counted, warm-up included.
    #[must_use]
    pub fn at_most(mut self, messages: u64) -> Self {
        self.current.most = messages;
        self
    }

    /// Looks at the clock more often, since so many tasks share the messages of a phase: one that gets few
    /// must not keep the others waiting at its end.
    #[must_use]
    pub fn shared_by(mut self, tasks: usize) -> Self {
        self.current.stride = (self.current.stride / tasks.max(1) as u64).clamp(1, 8);
        self
    }

    /// Looks at the clock after each message: for cases whose single step takes microseconds anyway.
    #[must_use]
    pub fn each(mut self) -> Self {
        self.current.stride = 1;
        self
    }

    /// Ends a phase and begins the next; `false` when there is none.
    pub fn phase(&mut self) -> bool {
        let (now, usage) = (Instant::now(), Usage::now());
        if self.next == self.phases.len() {
            self.finish(now, usage);
        }
        let Some(duration) = self.phases.get(self.next) else {
            return false;
        };
        self.next += 1;
        let most = self.current.most.saturating_sub(self.count());
        self.current = Counter { count: 0, check: 0, end: now + *duration, most, ..self.current };
        self.added = 0;
        self.latencies.clear();
        self.started = (now, usage);
        true
    }

    fn finish(&mut self, now: Instant, usage: Usage) {
        let (began, used) = self.started;
        self.measured.messages = self.count();
        self.measured.elapsed = now - began;
        self.measured.cpu = usage.cpu.saturating_sub(used.cpu);
        self.measured.voluntary_switches =
            usage.voluntary_switches.saturating_sub(used.voluntary_switches);
        self.measured.p50_us = self.latencies.micros(0.5);
        self.measured.p99_us = self.latencies.micros(0.99);
    }

    /// Whether there is time in this phase for one more message, which is then counted.
    #[inline]
    pub fn tick(&mut self) -> bool {
        self.current.tick()
    }

    /// Counts messages that were done together, and tells whether there is time for more.
    pub fn done(&mut self, messages: u64) -> bool {
        self.current.count += messages;
        self.current.count < self.current.most && Instant::now() < self.current.end
    }

    /// A counter of the current phase, for a task of its own. [`at_most`](Self::at_most) bounds each.
    #[must_use]
    pub fn counter(&self) -> Counter {
        Counter { count: 0, check: 0, ..self.current }
    }

    /// Adds what a task counted.
    pub fn add(&mut self, counter: &Counter) {
        self.added += counter.count;
    }

    /// Records the time that one took.
    pub fn latency(&mut self, time: Duration) {
        self.latencies.record(time);
    }

    /// When the current phase ends.
    #[must_use]
    pub fn end(&self) -> Instant {
        self.current.end
    }

    /// Adds a line to the report.
    pub fn extra(&mut self, name: &str, value: impl Into<Value>) {
        self.measured.extra.insert(name.to_owned(), value.into());
    }

    /// What was measured, after [`phase`](Self::phase) has answered `false`.
    #[must_use]
    pub fn measured(mut self) -> Measured {
        self.measured.rss_peak_kib = usage::peak_kib();
        self.measured
    }

    fn count(&self) -> u64 {
        self.current.count + self.added
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(5);

    #[test]
    fn the_warm_up_does_not_count() {
        let mut meter = Meter::new(SHORT, SHORT, 1 << 20);
        let mut counts = Vec::new();
        while meter.phase() {
            let mut count = 0;
            while meter.tick() {
                meter.latency(Duration::from_micros(counts.len() as u64 + 1));
                count += 1;
            }
            let mut counter = meter.counter();
            assert!(!counter.tick(), "the phase is over for the tasks as well");
            counter.count = 10;
            meter.add(&counter);
            counts.push(count + 10);
        }
        let measured = meter.measured();
        assert_eq!(counts.len(), 2);
        assert_eq!(measured.messages, counts[1]);
        assert!(measured.elapsed >= SHORT);
        assert!((measured.p50_us.unwrap() - 2.0).abs() < 0.02);
    }

    #[test]
    fn a_bounded_number_of_messages_ends_the_phases() {
        let mut meter = Meter::new(SHORT, Duration::from_secs(60), 16).at_most(10_000_000);
        let mut total = 0;
        while meter.phase() {
            while meter.tick() {
                total += 1;
            }
        }
        assert_eq!(total, 10_000_000);
    }
}
