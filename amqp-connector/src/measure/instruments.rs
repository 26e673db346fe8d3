//! The program's recorder, as it was when the connection was made: one handle for each thing that is measured.
//!
//! Runs code of the program's, so never under a lock.

use metrics::{Counter, Gauge, Histogram, Label, Unit};
use tokio::time::Instant;

use super::counts::{Batch, LEVELS, Level, SUMS, Sum};

/// What is measured, as a recorder is told it.
struct Measure {
    name: &'static str,
    unit: Unit,
    help: &'static str,
}

const fn measure(name: &'static str, unit: Unit, help: &'static str) -> Measure {
    Measure { name, unit, help }
}

/// How long the outcomes of publishes took.
const CONFIRM_TIME: Measure = measure(
    "amqp_confirm_seconds",
    Unit::Seconds,
    "Time from a publish until the broker's ack or nack of it",
);

impl Sum {
    const ALL: [Self; SUMS] = [
        Self::Published,
        Self::PublishedBytes,
        Self::Republished,
        Self::Acked,
        Self::Nacked,
        Self::ReturnedOutcome,
        Self::Unknown,
        Self::Returned,
        Self::Delivered,
        Self::DeliveredBytes,
        Self::Redelivered,
        Self::SentBytes,
        Self::ReceivedBytes,
        Self::Losses,
        Self::Reconnects,
    ];

    fn measure(self) -> Measure {
        let (name, unit, help) = match self {
            Self::Published => ("amqp_published_messages_total", Unit::Count, "Messages published"),
            Self::PublishedBytes => {
                ("amqp_published_bytes_total", Unit::Bytes, "Octets of the bodies published")
            }
            Self::Republished => (
                "amqp_republished_messages_total",
                Unit::Count,
                "Messages published again after the connection was lost",
            ),
            Self::Acked | Self::Nacked | Self::ReturnedOutcome | Self::Unknown => (
                "amqp_publish_outcomes_total",
                Unit::Count,
                "Publishes on channels in confirm mode that have their outcome",
            ),
            Self::Returned => {
                ("amqp_returned_messages_total", Unit::Count, "Messages the broker sent back")
            }
            Self::Delivered => (
                "amqp_delivered_messages_total",
                Unit::Count,
                "Messages the broker delivered, or gave when it was asked",
            ),
            Self::DeliveredBytes => {
                ("amqp_delivered_bytes_total", Unit::Bytes, "Octets of the bodies delivered")
            }
            Self::Redelivered => (
                "amqp_redelivered_messages_total",
                Unit::Count,
                "Messages delivered that had been delivered before",
            ),
            Self::SentBytes => {
                ("amqp_sent_bytes_total", Unit::Bytes, "Octets written once connected")
            }
            Self::ReceivedBytes => {
                ("amqp_received_bytes_total", Unit::Bytes, "Octets read once connected")
            }
            Self::Losses => (
                "amqp_connection_losses_total",
                Unit::Count,
                "Ends of a connection that the program did not ask for",
            ),
            Self::Reconnects => (
                "amqp_reconnects_total",
                Unit::Count,
                "Connections opened again after they were lost",
            ),
        };
        measure(name, unit, help)
    }

    /// The further label of what is told apart under one name.
    fn outcome(self) -> Option<&'static str> {
        match self {
            Self::Acked => Some("acked"),
            Self::Nacked => Some("nacked"),
            Self::ReturnedOutcome => Some("returned"),
            Self::Unknown => Some("unknown"),
            _ => None,
        }
    }
}

impl Level {
    const ALL: [Self; LEVELS] =
        [Self::Connections, Self::Blocked, Self::Channels, Self::Consumers, Self::Unconfirmed];

    fn measure(self) -> Measure {
        let (name, help) = match self {
            Self::Connections => ("amqp_connections", "Connections that are open"),
            Self::Blocked => (
                "amqp_blocked_connections",
                "Connections on which the broker has blocked publishing",
            ),
            Self::Channels => ("amqp_channels", "Channels that are open"),
            Self::Consumers => ("amqp_consumers", "Consumers that the broker delivers to"),
            Self::Unconfirmed => (
                "amqp_unconfirmed_messages",
                "Messages published in confirm mode that have no outcome yet",
            ),
        };
        measure(name, Unit::Count, help)
    }
}

/// Where what a connection counts is told.
#[derive(Debug)]
pub(crate) struct Instruments {
    sums: [Counter; SUMS],
    levels: [Gauge; LEVELS],
    confirm_time: Histogram,
}

impl Instruments {
    /// Asks the program's recorder for them.
    pub(crate) fn new(connection_name: Option<&str>) -> Self {
        let label = Label::new("connection", connection_name.unwrap_or_default().to_owned());
        let sums = Sum::ALL.map(|sum| {
            let Measure { name, unit, help } = sum.measure();
            metrics::describe_counter!(name, unit, help);
            let outcome = sum.outcome().map(|outcome| Label::from_static_parts("outcome", outcome));
            let labels: Vec<_> = std::iter::once(label.clone()).chain(outcome).collect();
            metrics::counter!(name, labels)
        });
        let levels = Level::ALL.map(|level| {
            let Measure { name, unit, help } = level.measure();
            metrics::describe_gauge!(name, unit, help);
            metrics::gauge!(name, vec![label.clone()])
        });
        let Measure { name, unit, help } = CONFIRM_TIME;
        metrics::describe_histogram!(name, unit, help);
        let confirm_time = metrics::histogram!(name, vec![label]);
        Self { sums, levels, confirm_time }
    }

    /// Tells what was counted, and empties the batch.
    pub(crate) fn tell(&self, batch: &mut Batch) {
        for (counter, sum) in self.sums.iter().zip(&mut batch.sums) {
            match std::mem::take(sum) {
                0 => {}
                sum => counter.increment(sum),
            }
        }
        for (gauge, by) in self.levels.iter().zip(&mut batch.moves) {
            // Added to, and not set: several connections may have one name.
            match std::mem::take(by) {
                0 => {}
                by => gauge.increment(by as f64),
            }
        }
        if !batch.confirmed.is_empty() {
            self.tell_confirmed(batch);
        }
    }

    fn tell_confirmed(&self, batch: &mut Batch) {
        /// So many places for what is confirmed at once are kept.
        const KEPT: usize = 4096;
        let now = Instant::now();
        for published in batch.confirmed.drain(..).filter_map(|stamp| stamp.0) {
            self.confirm_time.record(now.saturating_duration_since(published).as_secs_f64());
        }
        batch.confirmed.shrink_to(KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of the page's table: name, kind, unit.
    fn documented() -> Vec<(String, String, String)> {
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/observing.md"));
        let page = page.expect("the page");
        let cells = |line: &str| {
            let cells: Vec<_> = line.split('|').map(|it| it.trim().to_owned()).collect();
            let [_, name, kind, unit, ..] = &cells[..] else { return None };
            let name = name.strip_prefix("`amqp_")?.strip_suffix('`')?;
            Some((format!("amqp_{name}"), kind.clone(), unit.clone()))
        };
        page.lines().filter(|line| line.starts_with("| `amqp_")).filter_map(cells).collect()
    }

    #[test]
    fn every_measure_is_documented_with_its_kind_and_unit_and_nothing_else_is() {
        let told = |measure: Measure, kind: &str| {
            let unit = match measure.unit {
                Unit::Count => "",
                Unit::Bytes => "octets",
                Unit::Seconds => "seconds",
                unit => panic!("{unit:?}"),
            };
            (measure.name.to_owned(), kind.to_owned(), unit.to_owned())
        };
        let sums = Sum::ALL.into_iter().map(|sum| told(sum.measure(), "counter"));
        let levels = Level::ALL.into_iter().map(|level| told(level.measure(), "gauge"));
        let mut made: Vec<_> = sums.chain(levels).collect();
        made.push(told(CONFIRM_TIME, "histogram"));
        let mut documented = documented();
        made.sort();
        made.dedup();
        documented.sort();
        assert_eq!(made, documented);
    }

    #[test]
    fn every_sum_and_level_stands_where_its_number_says() {
        assert!(Sum::ALL.iter().enumerate().all(|(at, sum)| *sum as usize == at));
        assert!(Level::ALL.iter().enumerate().all(|(at, level)| *level as usize == at));
    }
}
