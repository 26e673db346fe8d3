//! `cargo xtask test`: every test under every bundled spec, one summary at the end.
//!
//! A *suite* is one `cargo test`: one for the packages that do not depend on the spec, and one per spec
//! for those that do. Every spec but the default has a target folder of its own, so that switching
//! between them compiles nothing again. What the tests print is passed through as it comes; `tally`
//! counts it. A suite that does not build, or whose program dies, is a failure, and so is one that
//! runs nothing. `again` runs tests that failed once more, if that is asked for.

mod again;
mod suite;
mod tally;

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::broker::{Interrupt, Lease};
use crate::openssl;
use crate::project;
use crate::spec::{choice, package};
use crate::suggest::did_you_mean;
use crate::url::Url;
use suite::Outcome;
use tally::Counts;

/// What `AMQP_SPEC` may name, besides a file; the first is the default of amqp-types.
pub(crate) const SPECS: [&str; 4] = ["rabbitmq", "0-9-1", "0-9", "0-8"];
/// The packages whose code depends on the spec; all other members are tested once.
const SPEC_PACKAGES: [&str; 3] = ["amqp-types", "amqp-connector", "amqp-tests"];
/// The macro's tests over the files of Debian's package amqp-specs; without those they test nothing.
const OFFICIAL: &str = "tests::official::";

/// Run the tests.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask test                      everything, under all bundled specs
  cargo xtask test --spec 0-8           under one of them
  cargo xtask test -- publish           only tests whose name contains `publish`

It starts a private RabbitMQ (see `cargo xtask broker`) and stops it again.

A test that fails and then passes is flaky, which is a defect: of the test, or of what it tests. With
--retries it is named in the summary and does not fail the run, so that it hides nothing else.")]
pub(crate) struct Args {
    /// 0-8, 0-9, 0-9-1, rabbitmq, the path of an XML file, or all [default: AMQP_SPEC if set, else all]
    #[arg(long, value_name = "NAME|PATH|all")]
    spec: Option<String>,
    /// Test against this broker instead: what tests leave on it is not checked then, and those that
    /// must change or ask it from outside fail
    #[arg(long)]
    url: Option<String>,
    /// Run each test that failed up to so often again, alone; if it passes then, it counts as flaky
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u32,
    /// Passed on to the test programs: a part of the tests' names
    #[arg(last = true)]
    filter: Vec<String>,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let specs = match choice::chosen(args.spec)?.as_deref().unwrap_or("all") {
        "all" => SPECS.iter().map(|&spec| Spec::parse(spec)).collect::<Result<Vec<_>>>()?,
        spec => vec![Spec::parse(spec)?],
    };
    args.url.as_deref().map(Url::parse).transpose()?;
    openssl::ensure()?;
    let official = package::ensure();
    let interrupt = Interrupt::install()?;
    let lease = match args.url {
        Some(_) => None,
        None => Some(Lease::take(&interrupt)?),
    };
    let broker = match (&lease, args.url) {
        (Some(lease), _) => lease.node().test_environment(),
        (None, url) => {
            vec![("AMQP_TEST_URL", url.unwrap_or_default()), ("AMQP_TEST_CTL", "none".to_owned())]
        }
    };
    let runs = Runs { filter: &args.filter, retries: args.retries, interrupt: &interrupt };
    let outcomes = run_suites(&specs, &broker, official.err(), &runs)?;
    if let Some(lease) = lease {
        lease.end()?;
    }
    println!("\n{}", summary(&outcomes, args.retries));
    if outcomes.iter().any(|outcome| !outcome.is_success()) {
        bail!("the tests failed");
    }
    Ok(())
}

/// What all suites are run with.
#[derive(Clone, Copy)]
struct Runs<'a> {
    filter: &'a [String],
    retries: u32,
    interrupt: &'a Interrupt,
}

impl Runs<'_> {
    fn suite(
        self,
        name: &str,
        filter: &[String],
        cargo: impl Fn() -> Result<Command>,
    ) -> Result<Outcome> {
        again::run(name, cargo, filter, self.retries, self.interrupt)
    }
}

fn run_suites(
    specs: &[Spec],
    broker: &[(&'static str, String)],
    no_official: Option<anyhow::Error>,
    runs: &Runs<'_>,
) -> Result<Vec<Outcome>> {
    let filter = runs.filter;
    let once = || {
        let mut cargo = project::cargo();
        cargo.env_remove("AMQP_SPEC");
        cargo.args(["test", "--workspace", "--all-features", "--no-fail-fast"]);
        cargo.args(SPEC_PACKAGES.iter().flat_map(|package| ["--exclude", package]));
        Ok(cargo)
    };
    let mut outcomes = vec![match no_official {
        None => runs.suite("(once)", filter, once)?,
        Some(reason) => {
            let without = ["--skip".to_owned(), OFFICIAL.to_owned()];
            let filter = [filter, &without].concat();
            let mut outcome = runs.suite("(once)", &filter, once)?;
            outcome.skip(format!("{OFFICIAL}: {reason:#}"));
            outcome
        }
    }];
    for spec in specs {
        let cargo = || {
            let mut cargo = project::cargo();
            cargo.args(["test", "--all-features", "--no-fail-fast"]);
            cargo.args(SPEC_PACKAGES.iter().flat_map(|package| ["--package", package]));
            spec.select(&mut cargo)?;
            cargo.envs(broker.iter().map(|(name, value)| (*name, value)));
            Ok(cargo)
        };
        outcomes.push(runs.suite(&spec.name, filter, cargo)?);
    }
    // With a filter, one suite with such a test is enough.
    if filter.is_empty() || !outcomes.iter().any(Outcome::has_tests) {
        for outcome in &mut outcomes {
            outcome.require_tests();
        }
    }
    Ok(outcomes)
}

/// A specification to compile with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    /// For people.
    pub(crate) name: String,
    /// The value of `AMQP_SPEC`; none for the default.
    value: Option<String>,
    /// The folder below target/spec to build in; none for the default.
    folder: Option<String>,
}

impl Spec {
    /// A bundled name or the path of an XML file.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if let Some(at) = SPECS.iter().position(|&name| name == text) {
            let other = (at > 0).then(|| text.to_owned());
            return Ok(Self { name: text.to_owned(), value: other.clone(), folder: other });
        }
        let path = std::path::Path::new(text);
        if !path.is_file() {
            bail!(
                "no spec `{text}`{} (there are: {}, or the path of an XML file)",
                did_you_mean(text, SPECS),
                SPECS.join(", ")
            );
        }
        let path = path.canonicalize()?.display().to_string();
        // One folder per file, with a name that the file system takes.
        let folder =
            path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        Ok(Self { name: text.to_owned(), value: Some(path), folder: Some(folder) })
    }

    /// Makes `cargo` build with it, in the folder that is for it.
    pub(crate) fn select(&self, cargo: &mut Command) -> Result<()> {
        match &self.value {
            Some(value) => cargo.env("AMQP_SPEC", value),
            // As in a plain `cargo build`, which then need not build again.
            None => cargo.env_remove("AMQP_SPEC"),
        };
        if self.folder.is_some() {
            cargo.env("CARGO_TARGET_DIR", self.target_dir()?);
        }
        Ok(())
    }

    /// Where it is built.
    pub(crate) fn target_dir(&self) -> Result<std::path::PathBuf> {
        let target = project::target_dir()?;
        Ok(match &self.folder {
            Some(folder) => target.join("spec").join(folder),
            None => target,
        })
    }
}

/// Names what failed, is flaky or was left out, and counts; those that are flaky only if there were retries.
fn summary(outcomes: &[Outcome], retries: u32) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        for failure in outcome.failures() {
            text += &format!("failed under {}: {failure}\n", outcome.name());
        }
        for flake in outcome.flakes() {
            text += &flake.told(outcome.name());
        }
        for skip in outcome.skips() {
            text += &format!("skipped under {}: {skip}\n", outcome.name());
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let width = outcomes.iter().map(|outcome| outcome.name().len()).max().unwrap_or(0).max(4);
    let flaky = |column: String| if retries > 0 { column } else { String::new() };
    let title = flaky("   flaky".to_owned());
    text += &format!("{:width$}  passed  failed{title}  skipped     time\n", "spec");
    let (mut all, mut time) = (Counts::default(), Duration::ZERO);
    for outcome in outcomes {
        let counts = outcome.counts();
        text += &format!(
            "{:width$}  {:6}  {:6}{}  {:7}  {:5.0} s\n",
            outcome.name(),
            counts.passed,
            counts.failed,
            flaky(format!("  {:6}", counts.flaky)),
            counts.skipped,
            outcome.time().as_secs_f32()
        );
        all.add(counts);
        time += outcome.time();
    }
    let gap = flaky(" ".repeat(8));
    text += &format!("{:width$}  {gap}{:32.0} s\n\n", "all", time.as_secs_f32());
    let Counts { passed, failed, skipped, .. } = all;
    let flaky = flaky(format!("{} flaky, ", all.flaky));
    text + &format!("{passed} passed, {failed} failed, {flaky}{skipped} skipped")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_spec_is_built_as_without_xtask() {
        let default = Spec::parse("rabbitmq").unwrap();
        assert_eq!((default.value, default.folder), (None, None));
        let other = Spec::parse("0-8").unwrap();
        assert_eq!((other.value.as_deref(), other.folder.as_deref()), (Some("0-8"), Some("0-8")));
    }

    #[test]
    fn unknown_spec_lists_the_known_ones() {
        let error = Spec::parse("0-7").unwrap_err().to_string();
        assert!(error.contains("rabbitmq, 0-9-1, 0-9, 0-8"), "{error}");
        let error = Spec::parse("rabitmq").unwrap_err().to_string();
        assert!(error.contains("did you mean `rabbitmq`?"), "{error}");
    }

    #[test]
    fn tests_over_the_official_files_go_by_their_name() {
        let of =
            |path: &str| project::read(&project::root().join("amqp-spec-macro/src").join(path));
        assert!(of("lib.rs").unwrap().contains("mod tests;"));
        assert!(of("tests/mod.rs").unwrap().contains("mod official;"));
        assert!(of("tests/official.rs").unwrap().contains("\"/usr/share/amqp/specs\""));
        assert_eq!(OFFICIAL, "tests::official::");
    }

    #[test]
    fn bundled_specs_are_those_of_amqp_types() {
        let line = project::read(&project::root().join("amqp-types/src/protocol.rs")).unwrap();
        for spec in SPECS {
            assert!(line.contains(&format!("\"{spec}\" =>")), "{spec} is not bundled");
        }
    }
}
