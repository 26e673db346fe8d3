//! What is told of a run: the line for each case while it runs, the table, the picture, the goals.
//!
//! Everything here is made of [`Results`] alone, so an earlier run's file gives the same report.

mod goals;
mod judge;
mod picture;
mod table;

use std::path::Path;

use anyhow::Result;

use super::catalogue::{Case, Kind, Role};
use super::results::{Measure, Results};
use super::stats::{digits, ratio, short};
use crate::project;
use goals::Goals;
use judge::{Judged, Verdict};

/// Writes `benchmarks.md` and `benchmarks.svg` into a folder.
pub(crate) fn write(results: &Results, folder: &Path) -> Result<()> {
    let goals = Goals::read()?;
    let (text, drawn) = (folder.join("benchmarks.md"), folder.join("benchmarks.svg"));
    project::write_if_changed(&text, &table::markdown(results, &goals))?;
    project::write_if_changed(&drawn, &picture::svg(results))?;
    println!("wrote {} and {}", project::shown(&text), project::shown(&drawn));
    Ok(())
}

/// The goals that anything was measured for, and how many are met.
pub(crate) fn goals(results: &Results) -> Result<String> {
    let judged = Goals::read()?.judge(results);
    let known: Vec<&Judged> = judged.iter().filter(|it| it.verdict != Verdict::Unknown).collect();
    let count = |is: fn(Verdict) -> bool| known.iter().filter(|it| is(it.verdict)).count();
    let mut text = String::new();
    for it in &known {
        let workers = it.workers.map_or_else(String::new, |workers| format!(" ({workers})"));
        let mark = if it.verdict == Verdict::Missed { "NOT MET" } else { "met" };
        let mark = if matches!(it.verdict, Verdict::Explained(..)) { "near floor" } else { mark };
        let case = format!("{}{workers}", it.case);
        text += &format!("{mark:10}  {case:32}  {}: {}\n", it.goal, it.found);
    }
    text += &format!(
        "{} goals: {} met, {} not met but explained by a floor, {} not met, {} not measured\n",
        judged.len(),
        count(|verdict| verdict == Verdict::Met),
        count(|verdict| matches!(verdict, Verdict::Explained(..))),
        count(|verdict| verdict == Verdict::Missed),
        judged.len() - known.len(),
    );
    Ok(text)
}

/// The figure that a case is about.
fn main_measure(case: &Case) -> Measure {
    match case.kind {
        Kind::Rate => Measure::Throughput,
        Kind::Latency => Measure::P50,
        Kind::Memory => Measure::PerConnection,
    }
}

/// A figure with its unit.
fn tell(measure: Measure, value: f64) -> String {
    match measure {
        Measure::Throughput => format!("{}/s", short(value)),
        Measure::Cpu | Measure::P50 | Measure::P99 => format!("{} us", digits(value)),
        Measure::Peak | Measure::Growth if value >= 1024.0 => {
            format!("{} MiB", digits(value / 1024.0))
        }
        Measure::Peak | Measure::Growth | Measure::PerConnection => {
            format!("{} KiB", digits(value))
        }
    }
}

/// How a case went, in a line: with the most workers, beside the best peer and raw.
pub(crate) fn headline(case: &Case, results: &Results) -> String {
    let measure = main_measure(case);
    let Some(&workers) = results.workers(case.name).first() else { return "nothing".to_owned() };
    let mut parts = Vec::new();
    let ours = results.ours(case.name, workers, measure);
    if let Some(ours) = ours {
        parts.push(format!("ours {}", tell(measure, ours)));
    }
    if let Some((it, best)) = results.best(case.name, workers, measure, Role::is_peer) {
        let times = ours.and_then(|ours| ratio(ours, best));
        let times = times.map_or_else(String::new, |times| format!(" ({} x)", digits(times)));
        parts.push(format!("{} {}{times}", it.name, tell(measure, best)));
    }
    for (role, name) in
        [(Role::Raw, "raw"), (Role::Floor, "floor"), (Role::EpollFloor, "floor-epoll")]
    {
        let Some((_, other)) = results.best(case.name, workers, measure, |it| it == role) else {
            continue;
        };
        let share = ours.and_then(|ours| ratio(ours, other));
        parts.push(match share {
            Some(share) if measure == Measure::Throughput => {
                format!("{} % of {name}", digits(share * 100.0))
            }
            Some(share) => format!("{} x {name}", digits(share)),
            None => format!("{name} {}", tell(measure, other)),
        });
    }
    if parts.is_empty() { "no figures".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::CASES;
    use super::super::results::tests::results;
    use super::*;

    fn line(results: &Results, name: &str) -> String {
        headline(CASES.iter().find(|case| case.name == name).unwrap(), results)
    }

    #[test]
    fn headline_compares_with_the_best_peer_and_raw() {
        let results = results(&[
            ("publish-16", "ours", 2, &[9e6]),
            ("publish-16", "ours", 1, &[1.0]),
            ("publish-16", "amqprs", 2, &[1e5]),
            ("publish-16", "lapin, 64 in flight", 2, &[3e5]),
            ("publish-16", "raw", 1, &[3.6e7]),
            ("rpc", "amqprs", 2, &[1e4]),
        ]);
        let told = "ours 9.00 M/s, lapin, 64 in flight 300 k/s (30.0 x), 25.0 % of raw";
        assert_eq!(line(&results, "publish-16"), told);
        assert_eq!(line(&results, "rpc"), "amqprs 200 us");
        assert_eq!(line(&results, "lone"), "nothing");
    }

    #[test]
    fn only_goals_that_were_measured_are_told() {
        let results = results(&[
            ("consume-64k", "ours", 2, &[4e4]),
            ("consume-64k", "librabbitmq", 1, &[5e4]),
        ]);
        let told = goals(&results).unwrap();
        assert!(told.starts_with("NOT MET     consume-64k (2)"), "{told}");
        assert!(
            told.contains("rate : best peer >= 1.00 x: 0.80 x (40.0 k/s : 50.0 k/s, librabbitmq)"),
            "{told}"
        );
        assert!(
            told.contains("goals: 2 met, 0 not met but explained by a floor, 1 not met"),
            "{told}"
        );
    }
}
