//! The rounds: every contender of a case in turn, again and again, so that what else the machine does
//! falls on all of them alike.
//!
//! Called by `bench` with what to measure; gives the samples back. It judges nothing.

mod client;
mod sink;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;

use super::catalogue::{Case, Contender, Place};
use super::programs::Programs;
use super::results::{Results, Series};
use super::{programs, report};
use crate::broker::{Interrupt, Lease, Progress};
use client::{Answer, Call};
use sink::Sink;

/// A series that failed so often is not tried again: each time may take the whole deadline.
const FAILURES: usize = 2;

/// What to measure, and how long.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) cases: Vec<&'static Case>,
    pub(crate) contenders: Vec<&'static Contender>,
    pub(crate) workers: Vec<u8>,
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
}

impl Plan {
    /// The series of a case: every contender, with each number of workers that it can have.
    fn series(&self, case: &Case) -> Vec<(&'static Contender, u8)> {
        let several = self.workers.iter().flat_map(|&workers| {
            let it = self.contenders.iter().filter(|it| !it.is_one_thread);
            it.map(move |&it| (it, workers))
        });
        let single = self.contenders.iter().filter(|it| it.is_one_thread).map(|&it| (it, 1));
        several.chain(single).filter(|(it, _)| it.case(case).is_some()).collect()
    }

    /// How many processes will be run, at most.
    pub(crate) fn count(&self) -> usize {
        let rounds = usize::try_from(self.rounds).unwrap_or(usize::MAX);
        self.cases.iter().map(|case| self.series(case).len() * rounds).sum()
    }
}

/// Runs the plan and adds what came of it to the results.
pub(crate) fn run(
    plan: &Plan,
    programs: &Programs,
    interrupt: &Interrupt,
    results: &mut Results,
) -> Result<()> {
    let mut runner = Runner {
        plan,
        programs,
        interrupt,
        folder: programs::target()?,
        sink: None,
        lease: None,
        versions: BTreeMap::new(),
    };
    for (at, case) in plan.cases.iter().enumerate() {
        let place = format!("[{:2}/{}] {:30}", at + 1, plan.cases.len(), case.name);
        runner.case(case, &place, results)?;
    }
    results.versions.append(&mut runner.versions);
    match runner.lease {
        Some(lease) => lease.end(),
        None => Ok(()),
    }
}

struct Runner<'a> {
    plan: &'a Plan,
    programs: &'a Programs,
    interrupt: &'a Interrupt,
    folder: PathBuf,
    sink: Option<Sink>,
    lease: Option<Lease>,
    versions: BTreeMap<String, String>,
}

impl Runner<'_> {
    /// All rounds of a case.
    fn case(&mut self, case: &Case, place: &str, results: &mut Results) -> Result<()> {
        self.prepare(case)?;
        let mut all: Vec<(&Contender, Series)> = Vec::new();
        for (it, workers) in self.plan.series(case) {
            let (case, contender) = (case.name.to_owned(), it.name.to_owned());
            all.push((it, Series { case, contender, workers, ..Series::default() }));
        }
        let mut progress = Progress::start(place);
        for round in 1..=self.plan.rounds {
            for (it, series) in &mut all {
                if series.unsupported.is_some() || series.failures.len() >= FAILURES {
                    continue;
                }
                progress.detail(&format!(
                    "round {round} of {}: {} ({})",
                    self.plan.rounds, it.name, series.workers
                ));
                self.measure(case, it, series, &mut progress)?;
            }
            // Whoever came first in this round comes last in the next.
            if !all.is_empty() {
                all.rotate_left(1);
            }
        }
        results.series.extend(all.into_iter().map(|(_, series)| series));
        progress.done(&report::headline(case, results));
        for series in results.series.iter().filter(|series| series.case == case.name) {
            if let Some(why) = series.failures.last() {
                eprintln!("        {} ({}): {why}", series.contender, series.workers);
            }
        }
        Ok(())
    }

    /// Starts what the case needs and is not there.
    fn prepare(&mut self, case: &Case) -> Result<()> {
        match (case.place, &mut self.sink, &self.lease) {
            (Place::Sink, Some(sink), _) => sink.revive(self.interrupt)?,
            (Place::Sink, none @ None, _) => {
                *none = Some(Sink::start(&self.programs.sink, &self.folder, self.interrupt)?);
            }
            (Place::Broker, _, None) => {
                // Nobody else is to have the processors while the broker is measured.
                self.sink = None;
                let lease = Lease::take(self.interrupt)?;
                let product = lease.node().product.clone().unwrap_or_default();
                self.versions.insert("broker".to_owned(), product);
                self.lease = Some(lease);
            }
            (Place::Broker, _, Some(_)) | (Place::Alone, ..) => {}
        }
        Ok(())
    }

    fn measure(
        &mut self,
        case: &Case,
        it: &Contender,
        series: &mut Series,
        progress: &mut Progress,
    ) -> Result<()> {
        let program = match self.programs.of(it.client) {
            Ok(program) => program,
            Err(why) => {
                series.unsupported = Some(why.to_owned());
                return Ok(());
            }
        };
        let Some(name) = it.case(case) else { return Ok(()) };
        let (url, target) = match (case.place, &self.sink, &self.lease) {
            (Place::Sink, Some(sink), _) if case.is_encrypted => (sink.tls_url(), "sink"),
            (Place::Sink, Some(sink), _) => (sink.url(), "sink"),
            (Place::Broker, _, Some(lease)) => (lease.node().url(), "broker"),
            _ => return Ok(()),
        };
        let call = Call {
            program,
            client: it.client,
            case: &name,
            url: &url,
            target,
            workers: series.workers,
            seconds: self.plan.seconds,
        };
        match call.run(&self.folder, self.interrupt, || progress.tick())? {
            Answer::Measured { sample, version } => {
                self.versions.insert(it.client.to_owned(), version);
                series.samples.push(sample);
            }
            Answer::Unsupported(why) => series.unsupported = Some(why),
            Answer::Failed(mut why) => {
                if let Some(sink) = &mut self.sink
                    && !sink.is_alive()
                {
                    why += "; the sink died of it";
                    sink.revive(self.interrupt)?;
                }
                series.failures.push(why);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    /// A shell script as a program. Written by another process: while this one had it open for writing,
    /// a fork of some other test could keep it from being run.
    pub(crate) fn script(path: &Path, text: &str) -> PathBuf {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut write = Command::new("sh");
        write.args(["-c", r#"printf '#!/bin/sh\n%s' "$2" > "$1" && chmod +x "$1""#, "sh"]);
        assert!(write.arg(path).arg(text).status().unwrap().success());
        path.to_owned()
    }
}
