//! Which of the goals a run meets.
//!
//! A missed goal counts as explained if a floor, which makes the same system calls and does nothing else,
//! is no more than a quarter better than we are, and no peer that makes the same calls is better than it.
//! The blocking floor is held against all peers, the one with epoll against those in Rust: these run on
//! the same runtime as we do, while the one in C blocks. Ratios are of medians.

use super::super::catalogue::{self, Role};
use super::super::results::{Measure, Results};
use super::super::stats::{digits, ratio};
use super::goals::{Against, CodecGoal, Goal, Goals, Memory};
use super::tell;

/// So near to the floor, what is missing to a goal is not ours to give.
const NEAR: f64 = 1.25;
/// The codec that ours is held against.
const REFERENCE: &str = "amq-protocol";

/// A goal and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    pub(crate) case: String,
    /// None: with any number, or without any.
    pub(crate) workers: Option<u8>,
    /// What is held against what, and the bound.
    pub(crate) goal: String,
    /// What was measured, and whose figure it was held against.
    pub(crate) found: String,
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    Met,
    /// How many times that floor's figure ours is, no more than [`NEAR`].
    Explained(f64, &'static str),
    Missed,
    /// Something of it was not measured.
    Unknown,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Met => f.write_str("met"),
            Self::Explained(ratio, floor) => write!(f, "explained: {} x {floor}", digits(*ratio)),
            Self::Missed => f.write_str("not met"),
            Self::Unknown => f.write_str("not measured"),
        }
    }
}

impl Goals {
    /// All goals, those about memory last.
    pub(crate) fn judge(&self, results: &Results) -> Vec<Judged> {
        let mut judged: Vec<_> = self.goals.iter().map(|goal| goal.judge(results)).collect();
        judged.extend(self.codec.judge(results));
        judged.push(self.memory.judge(Measure::Peak, self.memory.peak, results));
        judged.push(self.memory.judge(Measure::Growth, self.memory.growth, results));
        judged
    }
}

impl CodecGoal {
    fn judge(&self, results: &Results) -> Vec<Judged> {
        self.operations.iter().map(|operation| self.judge_one(operation, results)).collect()
    }

    fn judge_one(&self, operation: &str, results: &Results) -> Judged {
        let of = |name| results.codec.as_ref().and_then(|codec| codec.nanoseconds(operation, name));
        let (Some(ours), Some(other)) = (of(catalogue::OURS), of(REFERENCE)) else {
            return self.judged(operation, String::new(), Verdict::Unknown);
        };
        let value = ours / other;
        let found = format!("{} x ({} ns : {} ns)", digits(value), digits(ours), digits(other));
        let verdict = if value <= self.at_most { Verdict::Met } else { Verdict::Missed };
        self.judged(operation, found, verdict)
    }

    fn judged(&self, operation: &str, found: String, verdict: Verdict) -> Judged {
        Judged {
            case: format!("{}: {operation}", catalogue::CODEC),
            workers: None,
            goal: format!("time : {REFERENCE} <= {} x", digits(self.at_most)),
            found,
            verdict,
        }
    }
}

impl Goal {
    fn judge(&self, results: &Results) -> Judged {
        let (sign, bound) = match (self.at_least, self.at_most) {
            (Some(bound), _) => (">=", bound),
            (None, bound) => ("<=", bound.unwrap_or(f64::INFINITY)),
        };
        let judged = |found: String, verdict: Verdict| Judged {
            case: self.case.clone(),
            workers: Some(self.workers),
            goal: format!("{} {sign} {}", self.subject(), self.bound(bound)),
            found,
            verdict,
        };
        let Some((value, whose)) = self.value(results) else {
            return judged(String::new(), Verdict::Unknown);
        };
        let is_met = if self.at_least.is_some() { value >= bound } else { value <= bound };
        let verdict = match self.near_floor(results) {
            _ if is_met => Verdict::Met,
            Some((ratio, floor)) => Verdict::Explained(ratio, floor),
            None => Verdict::Missed,
        };
        judged(format!("{}{whose}", self.bound(value)), verdict)
    }

    /// What is held against the bound, and in words what ours was compared with.
    fn value(&self, results: &Results) -> Option<(f64, String)> {
        let (case, workers, measure) = (&*self.case, self.workers, self.measure);
        let ours = results.ours(case, workers, measure)?;
        let is_meant = |role: Role| match self.against {
            Against::Peer => role.is_peer(),
            Against::RustPeer => role == Role::RustPeer,
            Against::Raw => role == Role::Raw,
            Against::Floor => role == Role::Floor,
            Against::Case(_) | Against::Nothing => false,
        };
        match &self.against {
            Against::Nothing => Some((ours, String::new())),
            Against::Case(other) => {
                let other = results.ours(other, workers, measure)?;
                Some((
                    ratio(ours, other)?,
                    format!(" ({} : {})", tell(measure, ours), tell(measure, other)),
                ))
            }
            _ => {
                let (it, other) = results.best(case, workers, measure, is_meant)?;
                let figures =
                    format!(" ({} : {}, {})", tell(measure, ours), tell(measure, other), it.name);
                Some((ratio(ours, other)?, figures))
            }
        }
    }

    /// A floor that we are near to, and how many times as good as we are it is.
    fn near_floor(&self, results: &Results) -> Option<(f64, &'static str)> {
        let near = |(ratio, _): &(f64, &str)| *ratio <= NEAR;
        let blocking = self.above_floor(results, Role::Floor, Role::is_peer).filter(near);
        blocking.or_else(|| {
            let is_event_driven = |role| role == Role::RustPeer;
            self.above_floor(results, Role::EpollFloor, is_event_driven).filter(near)
        })
    }

    /// How many times as good a floor is as we are, and its name; none where a peer of its kind is better
    /// than the floor, which then is no limit.
    fn above_floor(
        &self,
        results: &Results,
        floor: Role,
        is_of_its_kind: impl Fn(Role) -> bool,
    ) -> Option<(f64, &'static str)> {
        let (case, workers, measure) = (&*self.case, self.workers, self.measure);
        let ours = results.ours(case, workers, measure)?;
        let (it, floor) = results.best(case, workers, measure, |role| role == floor)?;
        let best = results.best(case, workers, measure, is_of_its_kind);
        if best.is_some_and(|(_, best)| measure.is_better(best, floor)) {
            return None;
        }
        let is_rate = measure == Measure::Throughput;
        let ratio = if is_rate { ratio(floor, ours) } else { ratio(ours, floor) };
        Some((ratio?, it.name))
    }

    fn subject(&self) -> String {
        let measure = match self.measure {
            Measure::Throughput => "rate",
            Measure::Cpu => "CPU per message",
            Measure::P50 => "p50",
            Measure::P99 => "p99",
            Measure::Peak => "peak memory",
            Measure::Growth => "growth of memory",
            Measure::PerConnection => "memory per connection",
        };
        let against = match &self.against {
            Against::Peer => " : best peer",
            Against::RustPeer => " : best Rust peer",
            Against::Raw => " : raw",
            Against::Floor => " : floor",
            Against::Case(case) => return format!("{measure} : {case}"),
            Against::Nothing => "",
        };
        format!("{measure}{against}")
    }

    /// A bound, or a value held against it.
    fn bound(&self, value: f64) -> String {
        match self.against {
            Against::Raw => format!("{} %", digits(value * 100.0)),
            Against::Nothing => tell(self.measure, value),
            _ => format!("{} x", digits(value)),
        }
    }
}

impl Memory {
    /// A bound for every case but the excepted: tells the worst.
    fn judge(&self, measure: Measure, bound: f64, results: &Results) -> Judged {
        let ours = results.series.iter().filter(|series| series.contender == catalogue::OURS);
        let counted = ours.filter(|series| !self.except.contains_key(&series.case));
        let worst = counted
            .filter_map(|series| Some((series.summary(measure)?.greatest, series)))
            .max_by(|(a, _), (b, _)| a.total_cmp(b));
        let what = if measure == Measure::Peak { "peak memory" } else { "growth of memory" };
        let (found, verdict) = match worst {
            None => (String::new(), Verdict::Unknown),
            Some((worst, series)) => (
                format!(
                    "at most {} ({}, workers {})",
                    tell(measure, worst),
                    series.case,
                    series.workers
                ),
                if worst <= bound { Verdict::Met } else { Verdict::Missed },
            ),
        };
        Judged {
            case: format!("every case but {}", self.except.len()),
            workers: None,
            goal: format!("{what} <= {}", tell(measure, bound)),
            found,
            verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::codec::{Codec, Figure};
    use super::super::super::results::tests::results;
    use super::*;

    fn judged(results: &Results, case: &str, goal: &str) -> Judged {
        let judged = Goals::read().unwrap().judge(results);
        judged.into_iter().find(|it| it.case == case && it.goal.starts_with(goal)).unwrap()
    }

    #[test]
    fn goals_hold_our_medians_against_the_best_peer() {
        let results = results(&[
            ("publish-16", "ours", 2, &[9.9e6, 9.8e6, 1.0]),
            ("publish-16", "lapin", 2, &[1e5]),
            ("publish-16", "amqp-client", 2, &[8e5, 9e5, 7e5]),
            ("publish-16", "raw", 1, &[4e7]),
        ]);
        let rate = judged(&results, "publish-16", "rate : best peer");
        assert_eq!(rate.goal, "rate : best peer >= 10.0 x");
        assert_eq!(rate.found, "12.2 x (9.80 M/s : 800 k/s, amqp-client)");
        assert_eq!(rate.verdict, Verdict::Met);
        let raw = judged(&results, "publish-16", "rate : raw");
        assert_eq!((raw.goal.as_str(), raw.verdict), ("rate : raw >= 25.0 %", Verdict::Missed));
        assert_eq!(raw.found, "24.5 % (9.80 M/s : 40.0 M/s, raw)");
        assert_eq!(judged(&results, "publish-16", "CPU").verdict, Verdict::Met);
        assert_eq!(judged(&results, "rpc", "p50").verdict, Verdict::Unknown);
        assert_eq!(judged(&results, "publishers-10", "rate").verdict, Verdict::Unknown);
    }

    #[test]
    fn missed_goal_is_explained_only_near_the_floor() {
        let of = |floor: f64| {
            let results = results(&[
                ("broker-publish-confirm-1k", "ours", 2, &[1e5]),
                ("broker-publish-confirm-1k", "amqprs", 2, &[1.1e5]),
                ("broker-publish-confirm-1k", "floor", 1, &[floor]),
            ]);
            judged(&results, "broker-publish-confirm-1k", "rate : best peer").verdict
        };
        assert_eq!(of(1.2e5), Verdict::Explained(1.2, "floor"));
        assert_eq!(of(1.3e5), Verdict::Missed);
        assert_eq!(of(1.05e5), Verdict::Missed, "a peer goes below this floor");
    }

    #[test]
    fn epoll_floor_explains_what_only_a_blocking_peer_does_better() {
        let of = |rust_peer: f64, epoll_floor: f64| {
            let results = results(&[
                ("broker-rpc", "ours", 2, &[8e3]),
                ("broker-rpc", "lapin", 2, &[rust_peer]),
                ("broker-rpc", "librabbitmq", 1, &[1.1e4]),
                ("broker-rpc", "floor", 1, &[1.2e4]),
                ("broker-rpc", "floor-epoll", 1, &[epoll_floor]),
            ]);
            judged(&results, "broker-rpc", "p50 : best peer").verdict
        };
        assert_eq!(of(7e3, 1e4), Verdict::Explained(1.25, "floor-epoll"));
        assert_eq!(of(7e3, 1.01e4), Verdict::Missed);
        assert_eq!(of(1.01e4, 1e4), Verdict::Missed, "a peer on a runtime goes below this floor");
    }

    #[test]
    fn ourselves_in_another_case_is_a_measure_too() {
        let results = results(&[
            ("publish-16", "ours", 2, &[1e6]),
            ("publishers-100", "ours", 2, &[2e6]),
            ("channels-open-2000", "ours", 2, &[5e5]),
        ]);
        let hundred = judged(&results, "publishers-100", "rate");
        assert_eq!(hundred.found, "2.00 x (2.00 M/s : 1.00 M/s)");
        assert_eq!(hundred.verdict, Verdict::Met);
        assert_eq!(judged(&results, "channels-open-2000", "CPU").verdict, Verdict::Missed);
    }

    #[test]
    fn operations_of_the_codec_are_held_against_the_reference() {
        let figure = |operation: &str, implementation: &str, nanoseconds| Figure {
            operation: operation.to_owned(),
            implementation: implementation.to_owned(),
            nanoseconds,
        };
        let figures = vec![
            figure("decode deliver", "ours", 5.0),
            figure("decode deliver", "amq-protocol", 50.0),
            figure("encode publish", "ours", 5.0),
            figure("encode publish", "amq-protocol", 10.0),
        ];
        let results = Results { codec: Some(Codec { figures }), ..Results::default() };
        let it = judged(&results, "codec: decode deliver", "time : amq-protocol <= 0.25 x");
        assert_eq!((it.found.as_str(), it.verdict), ("0.10 x (5.00 ns : 50.0 ns)", Verdict::Met));
        assert_eq!(judged(&results, "codec: encode publish", "time").verdict, Verdict::Missed);
        assert_eq!(judged(&results, "codec: decode header 10", "time").verdict, Verdict::Unknown);
    }

    #[test]
    fn memory_is_bounded_in_every_case_but_the_listed() {
        let mut results = results(&[
            ("publish-16", "ours", 2, &[1e6]),
            ("publish-64k", "lapin", 2, &[1e6]),
            ("call-latency", "ours", 2, &[1e6]),
        ]);
        results.series[1].samples[0].rss_peak_kib = Some(1e6);
        results.series[2].samples[0].rss_peak_kib = Some(1e6);
        let judge = |results: &Results| {
            let judged = Goals::read().unwrap().judge(results);
            let found = judged.into_iter().find(|it| it.goal.starts_with("peak memory")).unwrap();
            (found.verdict, found.found)
        };
        assert_eq!(
            judge(&results),
            (Verdict::Met, "at most 3.91 MiB (publish-16, workers 2)".to_owned())
        );
        results.series[0].samples[0].rss_peak_kib = Some(16385.0);
        assert_eq!(judge(&results).0, Verdict::Missed);
    }
}
