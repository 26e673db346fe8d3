//! What idle connections cost: memory of this process for each.

use std::time::{Duration, Instant};

use crate::meter::Measured;
use crate::usage::{self, Usage};

/// How long opened connections are left alone before memory is looked at.
const SETTLE: Duration = Duration::from_millis(200);

/// The time before the connections are opened. One connection, which is not counted, should be open then, so
/// that what the first one sets up for all is not counted either.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    began: Instant,
    used: Usage,
    resident_kib: u64,
}

impl Idle {
    /// Now.
    #[must_use]
    pub fn begin() -> Self {
        Self { began: Instant::now(), used: Usage::now(), resident_kib: usage::resident_kib() }
    }

    /// So many connections are open and must stay so until this ends.
    pub async fn measured(self, connections: usize) -> Measured {
        let (elapsed, used) = (self.began.elapsed(), Usage::now());
        tokio::time::sleep(SETTLE).await;
        let grown = usage::resident_kib().saturating_sub(self.resident_kib);
        let each = grown as f64 / connections.max(1) as f64;
        let mut measured = Measured {
            messages: connections as u64,
            elapsed,
            cpu: used.cpu.saturating_sub(self.used.cpu),
            voluntary_switches: used
                .voluntary_switches
                .saturating_sub(self.used.voluntary_switches),
            rss_start_kib: self.resident_kib,
            rss_peak_kib: usage::peak_kib(),
            ..Measured::default()
        };
        measured.extra.insert("kib_per_connection".to_owned(), each.into());
        measured
    }
}
