//! `cargo xtask bench`: our connector beside other AMQP clients, in interleaved rounds on this machine.
//!
//! tests/bench has the programs that measure; one process is one measurement, and prints a line. Here
//! they are built and run (`run`), and what they say is kept (`results`) and told (`report`): a table,
//! a picture, and which of the goals in report/goals.toml are met. `build` and `codec` are the two cases
//! without a connection.
//!
//! What is measured here must not be measured in this process: nothing of the connector is linked in.

mod build;
mod catalogue;
mod codec;
mod machine;
mod programs;
mod report;
mod results;
mod run;
mod stats;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::broker::Interrupt;
use crate::project;
use catalogue::{BUILD, CODEC, Case, Contender, OURS, Place};
use programs::Programs;
use results::Results;
use run::Plan;

/// Measure the connector beside other AMQP clients.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask bench --quick                          every case once and shortly, for a first look
  cargo xtask bench --case 'publish*'                some cases; a name, the beginning of one, or a pattern
  cargo xtask bench --case rpc --client lapin --client ours --rounds 9
  cargo xtask bench --write                          everything, and docs/benchmarks.md and .svg with it
  cargo xtask bench --report target/bench/results.json --write
                                                     the report of an earlier run again

Cases for RabbitMQ start a private node (see `cargo xtask broker`). The client in C takes part if rabbitmq-c is
installed (Debian: librabbitmq-dev). Judge by ratios: the figures themselves are this machine's.")]
pub(crate) struct Args {
    /// One short round
    #[arg(long)]
    quick: bool,
    /// Only these cases
    #[arg(long = "case", value_name = "CASE", value_delimiter = ',')]
    cases: Vec<String>,
    /// Only these clients
    #[arg(long = "client", value_name = "CLIENT", value_delimiter = ',')]
    clients: Vec<String>,
    /// How often each client takes its turn [default: 3, quick: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: Option<u32>,
    /// For how long each measures [default: 1, quick: 0.3]
    #[arg(long)]
    seconds: Option<f64>,
    /// Only with so many threads of the runtime, 1 or 2; both otherwise
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=2))]
    workers: Option<u8>,
    /// Where results, table and picture go [default: target/bench]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write docs/benchmarks.md and docs/benchmarks.svg too; of a whole run
    #[arg(long, conflicts_with_all = ["quick", "cases", "clients", "workers"])]
    write: bool,
    /// Measure nothing: write the report of an earlier run's results
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quick", "cases", "clients", "workers", "rounds", "seconds"])]
    report: Option<PathBuf>,
    /// Only tell which cases and clients there are
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(args: Args) -> Result<()> {
    if args.list {
        list();
        return Ok(());
    }
    if let Some(file) = &args.report {
        let results = Results::read(file)?;
        return tell(&results, args.out.as_deref(), args.write);
    }
    let plan = plan(&args)?;
    let is_alone = |name: &str| plan.cases.iter().any(|case| case.name == name);
    let (with_codec, with_build) = (is_alone(CODEC), is_alone(BUILD));
    let interrupt = Interrupt::install()?;
    let mut results = Results {
        machine: machine::Machine::here(),
        rounds: plan.rounds,
        seconds: plan.seconds,
        ..Results::default()
    };
    println!("{}", results.machine);
    if results.machine.is_busy() {
        println!("something else runs here (load {}): figures will be off", results.machine.load);
    }
    let mut problems = Vec::new();
    let connected = Plan {
        cases: plan.cases.iter().copied().filter(|case| case.place != Place::Alone).collect(),
        ..plan
    };
    if !connected.cases.is_empty() {
        connect(&connected, &args, &interrupt, &mut results)?;
    }
    if with_codec && let Err(error) = codec::run(&interrupt, &mut results) {
        interrupt.check()?;
        problems.push(format!("{CODEC}: {error:#}"));
    }
    let is_wanted = |client: &str| connected.contenders.iter().any(|it| it.client == client);
    if with_build
        && let Err(error) = build::run(is_wanted, connected.rounds, &interrupt, &mut results)
    {
        interrupt.check()?;
        problems.push(format!("{BUILD}: {error:#}"));
    }
    tell(&results, args.out.as_deref(), args.write)?;
    problems.extend(results.our_failures());
    if problems.is_empty() {
        return Ok(());
    }
    bail!("not everything could be measured:\n{}", problems.join("\n"))
}

/// What the command line asks for.
fn plan(args: &Args) -> Result<Plan> {
    let (rounds, seconds) = if args.quick { (1, 0.3) } else { (3, 1.0) };
    let seconds = args.seconds.unwrap_or(seconds);
    if !(0.05..=60.0).contains(&seconds) {
        bail!("--seconds {seconds}: at least 0.05 and at most 60");
    }
    Ok(Plan {
        cases: catalogue::cases(&args.cases)?,
        contenders: catalogue::contenders(&args.clients)?,
        workers: args.workers.map_or_else(|| vec![2, 1], |workers| vec![workers]),
        rounds: args.rounds.unwrap_or(rounds),
        seconds,
    })
}

/// The cases with a connection.
fn connect(plan: &Plan, args: &Args, interrupt: &Interrupt, results: &mut Results) -> Result<()> {
    let with_c = plan.contenders.iter().any(|it| it.client == catalogue::LIBRABBITMQ);
    let programs = Programs::build(with_c, interrupt)?;
    if with_c && let Err(why) = programs.of(catalogue::LIBRABBITMQ) {
        if args.clients.iter().any(|client| client == catalogue::LIBRABBITMQ) {
            bail!("{}: {why}", catalogue::LIBRABBITMQ);
        }
        println!("{} does not take part: {why}", catalogue::LIBRABBITMQ);
    }
    let (runs, seconds) = (plan.count(), plan.seconds);
    println!(
        "{} cases, at most {runs} runs of {seconds} s each; (1) and (2) are threads of the runtime",
        plan.cases.len()
    );
    run::run(plan, &programs, interrupt, results)
}

/// Keeps the results, tells the goals, writes the report.
fn tell(results: &Results, out: Option<&Path>, with_docs: bool) -> Result<()> {
    let out = match out {
        Some(out) => std::path::absolute(out)?,
        None => programs::target()?,
    };
    results.write(&out.join("results.json"))?;
    print!("\n{}", report::goals(results)?);
    report::write(results, &out)?;
    if with_docs {
        report::write(results, &project::root().join("docs"))?;
    }
    Ok(())
}

fn list() {
    println!("cases:");
    for Case { name, title, .. } in catalogue::CASES {
        println!("  {name:30} {title}");
    }
    println!("clients:");
    for Contender { client, .. } in catalogue::CONTENDERS.iter().filter(|it| it.suffix.is_empty()) {
        println!("  {client}{}", if *client == OURS { " (amqp-connector)" } else { "" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(words: &str) -> Result<Plan> {
        plan(&Cli::try_parse_from(format!("bench {words}").split_whitespace())?.args)
    }

    #[test]
    fn quick_is_one_short_round_unless_more_is_asked_for() {
        let of =
            |words| parsed(words).map(|plan| (plan.rounds, plan.seconds, plan.workers)).unwrap();
        assert_eq!(of(""), (3, 1.0, vec![2, 1]));
        assert_eq!(of("--quick"), (1, 0.3, vec![2, 1]));
        assert_eq!(of("--quick --rounds 5 --seconds 2 --workers 1"), (5, 2.0, vec![1]));
        assert!(parsed("--seconds 0").is_err() && parsed("--seconds nan").is_err());
    }

    #[test]
    fn docs_are_written_of_whole_runs_only() {
        assert!(parsed("--write --rounds 5").is_ok());
        assert!(parsed("--write --quick").is_err());
        assert!(parsed("--write --case rpc").is_err());
        assert!(parsed("--write --client ours").is_err());
    }

    #[test]
    fn clients_with_one_thread_run_once() {
        let count = |words| parsed(words).unwrap().count();
        assert_eq!(count("--case rpc --client ours --client raw --rounds 1"), 3);
        assert_eq!(count("--case publish-16,rpc --client lapin --rounds 3"), 3 * (4 + 2));
        assert_eq!(count("--case rpc --workers 2 --client ours,librabbitmq --rounds 1"), 2);
    }
}
