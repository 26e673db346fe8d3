//! What a run found, as kept in `results.json`: every sample, not only what is told of them.
//!
//! `run` fills it, `report` reads it. Nothing here decides what is good.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::build::BuildCost;
use super::catalogue::{self, Case, Contender, Role};
use super::codec::Codec;
use super::machine::Machine;
use super::stats::Summary;
use crate::project;

/// A whole run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    /// A name and what it is the version of.
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) series: Vec<Series>,
    #[serde(default)]
    pub(crate) codec: Option<Codec>,
    #[serde(default)]
    pub(crate) build: Option<BuildCost>,
}

/// All rounds of one contender in one case.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Series {
    pub(crate) case: String,
    /// A [`Contender`]'s name.
    pub(crate) contender: String,
    pub(crate) workers: u8,
    pub(crate) samples: Vec<Sample>,
    /// What went wrong, a line for each round in which something did.
    pub(crate) failures: Vec<String>,
    /// Why the client cannot do this at all.
    pub(crate) unsupported: Option<String>,
}

/// What one process measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    #[serde(default)]
    pub(crate) messages: f64,
    #[serde(default)]
    pub(crate) seconds: f64,
    #[serde(default)]
    pub(crate) per_second: Option<f64>,
    #[serde(default)]
    pub(crate) cpu_us_per_message: Option<f64>,
    #[serde(default)]
    pub(crate) p50_us: Option<f64>,
    #[serde(default)]
    pub(crate) p99_us: Option<f64>,
    #[serde(default)]
    pub(crate) rss_start_kib: Option<f64>,
    #[serde(default)]
    pub(crate) rss_peak_kib: Option<f64>,
    #[serde(default)]
    pub(crate) voluntary_switches_per_message: Option<f64>,
    /// What only some cases have.
    #[serde(default)]
    pub(crate) extra: BTreeMap<String, serde_json::Value>,
}

/// A figure of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Measure {
    /// Messages a second.
    Throughput,
    /// Microseconds of CPU per message.
    Cpu,
    /// Microseconds, the median.
    P50,
    /// Microseconds, all but one in a hundred.
    P99,
    /// Greatest resident size in KiB.
    Peak,
    /// By how many KiB the resident size grew since the connection was open.
    Growth,
    /// KiB for each idle connection.
    PerConnection,
}

impl Measure {
    pub(crate) fn of(self, sample: &Sample) -> Option<f64> {
        match self {
            Self::Throughput => sample.per_second.filter(|&rate| rate > 0.0),
            Self::Cpu => sample.cpu_us_per_message,
            Self::P50 => sample.p50_us,
            Self::P99 => sample.p99_us,
            Self::Peak => sample.rss_peak_kib,
            Self::Growth => Some(sample.rss_peak_kib? - sample.rss_start_kib?),
            Self::PerConnection => sample.extra.get("kib_per_connection")?.as_f64(),
        }
    }

    pub(crate) fn is_better(self, a: f64, b: f64) -> bool {
        if self == Self::Throughput { a > b } else { a < b }
    }
}

impl Series {
    pub(crate) fn summary(&self, measure: Measure) -> Option<Summary> {
        Summary::of(self.samples.iter().filter_map(|sample| measure.of(sample)))
    }
}

impl Results {
    /// What a contender did; one that has but one thread did the same for any number of workers.
    pub(crate) fn series(&self, case: &str, it: &Contender, workers: u8) -> Option<&Series> {
        let workers = if it.is_one_thread { 1 } else { workers };
        self.series.iter().find(|series| {
            series.case == case && series.contender == it.name && series.workers == workers
        })
    }

    pub(crate) fn summary(
        &self,
        case: &str,
        it: &Contender,
        workers: u8,
        measure: Measure,
    ) -> Option<Summary> {
        self.series(case, it, workers)?.summary(measure)
    }

    /// Our own median.
    pub(crate) fn ours(&self, case: &str, workers: u8, measure: Measure) -> Option<f64> {
        let ours = catalogue::contender_of(catalogue::OURS)?;
        Some(self.summary(case, ours, workers, measure)?.median)
    }

    /// The best median among contenders of some roles, and whose it is.
    pub(crate) fn best(
        &self,
        case: &str,
        workers: u8,
        measure: Measure,
        is_meant: impl Fn(Role) -> bool,
    ) -> Option<(&'static Contender, f64)> {
        let mut best: Option<(&Contender, f64)> = None;
        for it in catalogue::CONTENDERS.iter().filter(|it| is_meant(it.role)) {
            let Some(summary) = self.summary(case, it, workers, measure) else { continue };
            if best.is_none_or(|(_, best)| measure.is_better(summary.median, best)) {
                best = Some((it, summary.median));
            }
        }
        best
    }

    /// Those of all cases that anything is known of, in the catalogue's order.
    pub(crate) fn cases(&self) -> impl Iterator<Item = &'static Case> {
        catalogue::CASES
            .iter()
            .filter(|case| self.series.iter().any(|series| series.case == case.name))
    }

    /// The numbers of workers that ours ran a case with, or anyone if ours did not; most first.
    pub(crate) fn workers(&self, case: &str) -> Vec<u8> {
        let several = |series: &&Series| {
            catalogue::contender_of(&series.contender).is_some_and(|it| !it.is_one_thread)
        };
        let of_case = || self.series.iter().filter(|series| series.case == case);
        let mut workers: Vec<u8> = of_case().filter(several).map(|series| series.workers).collect();
        if workers.is_empty() {
            workers.extend(of_case().map(|series| series.workers));
        }
        workers.sort_unstable_by(|a, b| b.cmp(a));
        workers.dedup();
        workers
    }

    /// What of ours went wrong, a line for each series.
    pub(crate) fn our_failures(&self) -> Vec<String> {
        let ours = self.series.iter().filter(|series| series.contender == catalogue::OURS);
        ours.filter_map(|it| Some(format!("{} ({}): {}", it.case, it.workers, it.failures.last()?)))
            .collect()
    }

    /// Reads the file that [`Self::write`] wrote.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        serde_json::from_str(&project::read(path)?).with_context(|| project::shown(path))
    }

    /// Keeps everything.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        project::write_if_changed(path, &(serde_json::to_string_pretty(self)? + "\n"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Results with a series for each (case, contender, workers, messages a second in each round).
    pub(crate) fn results(of: &[(&str, &str, u8, &[f64])]) -> Results {
        let series = |(case, contender, workers, rates): &(&str, &str, u8, &[f64])| Series {
            case: (*case).to_owned(),
            contender: (*contender).to_owned(),
            workers: *workers,
            samples: rates
                .iter()
                .map(|&rate| Sample {
                    per_second: Some(rate),
                    cpu_us_per_message: Some(1e6 / rate),
                    p50_us: Some(2e6 / rate),
                    rss_start_kib: Some(3000.0),
                    rss_peak_kib: Some(4000.0),
                    ..Sample::default()
                })
                .collect(),
            ..Series::default()
        };
        Results { series: of.iter().map(series).collect(), ..Results::default() }
    }

    #[test]
    fn best_is_the_highest_rate_and_the_lowest_cost() {
        let results = results(&[
            ("rpc", "ours", 2, &[9e3]),
            ("rpc", "lapin", 2, &[1e3, 2e3, 3e3]),
            ("rpc", "librabbitmq", 1, &[5e3]),
            ("rpc", "amqprs", 1, &[8e3]),
        ]);
        let best = |measure| results.best("rpc", 2, measure, Role::is_peer).unwrap();
        assert_eq!(best(Measure::Throughput).0.name, "librabbitmq");
        assert_eq!(best(Measure::Cpu), (catalogue::contender_of("librabbitmq").unwrap(), 200.0));
        let rust = results.best("rpc", 2, Measure::P50, |role| role == Role::RustPeer).unwrap();
        assert_eq!((rust.0.name, rust.1), ("lapin", 1000.0));
        assert_eq!(results.ours("rpc", 2, Measure::Growth), Some(1000.0));
        assert_eq!(results.ours("rpc", 1, Measure::Cpu), None);
        assert_eq!(results.workers("rpc"), [2, 1]);
    }

    #[test]
    fn results_come_back_from_their_file() {
        let text = serde_json::to_string(&results(&[("rpc", "ours", 2, &[9e3])])).unwrap();
        let back: Results = serde_json::from_str(&text).unwrap();
        assert_eq!(back.ours("rpc", 2, Measure::Throughput), Some(9e3));
    }
}
