//! `cargo xtask check`: everything about the code that is no test.
//!
//! A step is a function that gives a short note or an error; all run, whatever fails. This module
//! holds the list and the telling; the steps themselves live below.

mod api;
mod cargo;
mod deny;
mod instructions;
mod layers;
mod licence;
mod policy;
mod source;

use std::time::Instant;

use anyhow::{Result, bail};

use crate::suggest::did_you_mean;

/// Everything about the code that is no test: format, lints, docs, layers, dependencies, specs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask check                 all steps
  cargo xtask check fmt layers      some of them
  cargo xtask check --list          which there are
  cargo xtask check instructions --bless
                                    accept what the hot paths cost now")]
pub(crate) struct Args {
    /// Only these steps; a step is meant by the beginning of its name
    steps: Vec<String>,
    /// Only print the steps' names
    #[arg(long)]
    list: bool,
    /// Take what the step `instructions` counts as the new budget
    #[arg(long)]
    bless: bool,
}

const INSTRUCTIONS: &str = "instructions";

/// A step's name and what it does; the text it gives is told after `ok`.
pub(crate) struct Step {
    name: String,
    run: Box<dyn Fn() -> Result<String>>,
}

impl Step {
    fn new(name: impl Into<String>, run: impl Fn() -> Result<String> + 'static) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

pub(crate) fn run(args: Args) -> Result<()> {
    let steps = chosen(steps(args.bless), &args.steps)?;
    if args.bless && !steps.iter().any(|step| step.name == INSTRUCTIONS) {
        bail!("--bless is for the step `{INSTRUCTIONS}`, which is not among those chosen");
    }
    if args.list {
        steps.iter().for_each(|step| println!("{}", step.name));
        return Ok(());
    }
    run_all(&steps)
}

/// Those of the steps that are wanted.
fn chosen(mut steps: Vec<Step>, wanted: &[String]) -> Result<Vec<Step>> {
    for word in wanted {
        if !steps.iter().any(|step| step.name.starts_with(word.as_str())) {
            let names: Vec<_> = steps.iter().map(|step| step.name.as_str()).collect();
            // `clippy` is meant by `clipy`, too: the steps' names go on with a package's.
            let beginnings = names.iter().filter_map(|name| name.split(' ').next());
            let near = did_you_mean(word, beginnings.chain(names.iter().copied()));
            bail!("no step `{word}`{near} (there are: {})", names.join(", "));
        }
    }
    steps.retain(|step| {
        wanted.is_empty() || wanted.iter().any(|word| step.name.starts_with(word.as_str()))
    });
    Ok(steps)
}

fn steps(bless: bool) -> Vec<Step> {
    let mut steps = vec![Step::new("fmt", cargo::fmt)];
    steps.push(Step::new("layers", layers::check));
    steps.extend(
        cargo::MEMBERS
            .map(|member| Step::new(format!("clippy {member}"), move || cargo::clippy(member))),
    );
    steps.push(Step::new("clippy tests/bench", cargo::clippy_bench));
    steps.push(Step::new("doc", cargo::doc));
    steps.push(Step::new("api", api::check));
    steps.push(Step::new("duplicates", policy::duplicates));
    steps.push(Step::new("licences", policy::licences));
    steps.push(Step::new("sources", deny::sources));
    steps.push(Step::new("deny", deny::check));
    steps.push(Step::new("dependencies", policy::dependencies));
    steps.push(Step::new("surface", crate::spec::surface::check));
    steps.push(Step::new("specs", crate::spec::check::step));
    // The last, since it takes over the signals.
    steps.push(Step::new(INSTRUCTIONS, move || instructions::check(bless)));
    steps
}

fn run_all(steps: &[Step]) -> Result<()> {
    let begin = Instant::now();
    let mut failed = Vec::new();
    for step in steps {
        print!("{:24} ", step.name);
        flush();
        let begin = Instant::now();
        let result = (step.run)();
        let seconds = begin.elapsed().as_secs_f32();
        match result {
            Ok(note) => println!("ok     {seconds:6.1} s  {note}"),
            Err(error) => {
                println!("FAILED {seconds:6.1} s\n{error:#}\n");
                failed.push(step.name.as_str());
            }
        }
    }
    let seconds = begin.elapsed().as_secs_f32();
    println!("{} steps, {} failed, {seconds:.0} s", steps.len(), failed.len());
    if failed.is_empty() {
        return Ok(());
    }
    bail!("failed: {}", failed.join(", "))
}

fn flush() {
    // Only for the look of it: the name of a step shows while it runs.
    let _ = std::io::Write::flush(&mut std::io::stdout());
}

#[cfg(test)]
mod tests {
    use super::{chosen, steps};

    #[test]
    fn step_is_meant_by_its_beginning_and_a_wrong_one_suggests_the_nearest() {
        let of = |word: &str| chosen(steps(false), &[word.to_owned()]);
        assert_eq!(of("lay").unwrap().len(), 1);
        for (word, near) in [("clipy", "clippy"), ("layer-s", "layers")] {
            let error = of(word).err().unwrap().to_string();
            assert!(error.contains(&format!("did you mean `{near}`?")), "{error}");
        }
    }
}
