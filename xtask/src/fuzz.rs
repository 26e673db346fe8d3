//! `cargo xtask fuzz`: the fuzz targets of amqp-types and the connector's dialogues, in parallel, for a stated time.
//!
//! amqp-types/fuzz has the targets, and its README the same commands by hand. Here they are built,
//! fed with seeds from a folder of vectors, run side by side and watched. The dialogues are a test program of the
//! connector, which makes up servers by seed; here it begins with seeds that it has not had before.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use crate::{project, scratch};

/// Run the fuzz targets of amqp-types and the connector's dialogues in parallel, on the stable toolchain.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask fuzz                                   a minute
  cargo xtask fuzz --minutes 20
  cargo xtask fuzz --vectors path/to/vectors         more seeds
  AMQP_SPEC=0-8 cargo xtask fuzz                     another specification")]
pub(crate) struct Args {
    /// For how long all targets run side by side; parts of a minute are possible
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Take seeds from this folder of vectors too
    #[arg(long, value_name = "DIR")]
    vectors: Option<PathBuf>,
    /// Only this target
    #[arg(long)]
    target: Option<String>,
}

/// The target that is no program of libFuzzer's.
const DIALOGUES: &str = "dialogues";

/// Greatest input in octets: beyond any boundary of the codecs that a few octets can reach.
const MAX_LEN: usize = 8192;

/// Coverage counters and comparisons, which steer libFuzzer; stable rustc can insert them.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

pub(crate) fn run(args: Args) -> Result<()> {
    let fuzz = Fuzz::new()?;
    let mut targets = fuzz.targets()?;
    if let Some(wanted) = &args.target {
        if !targets.contains(wanted) {
            bail!("no target `{wanted}`; there are: {}", targets.join(", "));
        }
        targets.retain(|target| target == wanted);
    }
    let seconds = (args.minutes * 60.0).ceil();
    if !(1.0..=31_536_000.0).contains(&seconds) {
        bail!("--minutes {}: at least a second and at most a year", args.minutes);
    }
    let time = Duration::from_secs_f64(seconds);
    if targets.iter().any(|target| target != DIALOGUES) {
        fuzz.seed(&fuzz.folder.join("../tests/vectors"))?;
        if let Some(vectors) = &args.vectors {
            fuzz.seed(&std::path::absolute(vectors)?)?;
        }
        fuzz.build()?;
    }
    println!("running {} for {} s ...", targets.join(", "), time.as_secs());
    let start = |target: &String| match target == DIALOGUES {
        true => fuzz.start_dialogues(time),
        false => fuzz.start(target, time),
    };
    let runs = targets.iter().map(start).collect::<Result<Vec<_>>>()?;
    conclude(watch(runs)?)
}

/// Where the fuzz crate and what is built of it are.
#[derive(Debug)]
struct Fuzz {
    folder: PathBuf,
    target: PathBuf,
    host: String,
}

impl Fuzz {
    fn new() -> Result<Self> {
        let folder = project::root().join("amqp-types/fuzz");
        if !folder.is_dir() {
            bail!("there is no {}", project::shown(&folder));
        }
        let target = project::target_dir()?.join("fuzz");
        Ok(Self { folder, target, host: project::host()? })
    }

    /// The names of the files in fuzz_targets.
    fn targets(&self) -> Result<Vec<String>> {
        let mut targets = Vec::new();
        for entry in std::fs::read_dir(self.folder.join("fuzz_targets"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                targets.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
            }
        }
        targets.push(DIALOGUES.to_owned());
        targets.sort();
        Ok(targets)
    }

    fn cargo(&self, subcommand: &str) -> Command {
        let mut cargo = project::cargo();
        cargo.current_dir(&self.folder).args([subcommand, "--quiet", "--target-dir"]);
        cargo.arg(&self.target);
        cargo
    }

    /// Puts the octets of vectors into the corpus.
    fn seed(&self, vectors: &Path) -> Result<()> {
        let mut cargo = self.cargo("run");
        cargo.args(["--package", "amqp-types-fuzz-seeds", "--"]).arg(vectors).arg("corpus");
        if cargo.status().context("cannot run cargo")?.success() {
            return Ok(());
        }
        bail!("no seeds came of {}", vectors.display())
    }

    fn build(&self) -> Result<()> {
        println!("building ...");
        let mut cargo = self.cargo("build");
        // With --target the flags do not reach build scripts and macros.
        cargo.args(["--release", "--bins", "--target", &self.host]).env("RUSTFLAGS", COVERAGE);
        if cargo.status().context("cannot run cargo")?.success() {
            return Ok(());
        }
        bail!("the fuzz targets do not build; libfuzzer-sys needs a C++ compiler (Debian: g++)")
    }

    /// The connector's dialogues, from the seed on that the time of day gives.
    fn start_dialogues(&self, time: Duration) -> Result<Run> {
        println!("building {DIALOGUES} ...");
        let mut cargo = project::cargo();
        cargo.args(["test", "--quiet", "--profile", "fuzz", "--package", "amqp-connector"]);
        cargo.args(["--features", "testing", "--test", DIALOGUES, "--no-run"]);
        cargo.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
        let out = cargo.output().context("cannot run cargo test")?;
        let messages = String::from_utf8_lossy(&out.stdout).into_owned();
        let program = scratch::executable_of(DIALOGUES, &messages);
        let program = program.filter(|_| out.status.success());
        let program = program.context("the dialogues do not build")?;
        let first = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut command = Command::new(program);
        command.args(["--nocapture"]).env("AMQP_FUZZ_SECONDS", time.as_secs().to_string());
        command.env("AMQP_FUZZ_FIRST", (first << 24).to_string());
        self.run(DIALOGUES, command)
    }

    /// Starts a target, which prints into its log.
    fn run(&self, name: &str, mut command: Command) -> Result<Run> {
        std::fs::create_dir_all(&self.target)?;
        let log = self.target.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| project::shown(&log))?;
        command.current_dir(&self.folder).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Run { name: name.to_owned(), child, log, ended: None })
    }

    fn start(&self, name: &str, time: Duration) -> Result<Run> {
        std::fs::create_dir_all(self.folder.join("artifacts"))?;
        let program = self.target.join(&self.host).join("release").join(name);
        let mut command = Command::new(program);
        command.args([
            format!("-max_total_time={}", time.as_secs()),
            format!("-max_len={MAX_LEN}"),
            "-timeout=10".to_owned(),
            "-print_final_stats=1".to_owned(),
            format!("-artifact_prefix=artifacts/{name}-"),
            format!("corpus/{name}"),
        ]);
        self.run(name, command)
    }
}

/// A target at work; ends with the process that started it.
#[derive(Debug)]
struct Run {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.ended.is_none() {
            // It is gone already, or it goes now; there is nobody to tell.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits for all, telling every half minute how far they are.
fn watch(mut runs: Vec<Run>) -> Result<Vec<Run>> {
    let mut told = Instant::now();
    loop {
        for run in runs.iter_mut().filter(|run| run.ended.is_none()) {
            run.ended = run.child.try_wait()?;
        }
        if runs.iter().all(|run| run.ended.is_some()) {
            return Ok(runs);
        }
        if told.elapsed() > Duration::from_secs(30) {
            told = Instant::now();
            let count = |run: &Run| Ok(format!("{} {}", run.name, progress(&run.log()?)));
            let counts: Vec<_> = runs.iter().map(count).collect::<Result<_>>()?;
            println!("  {}", counts.join(", "));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Tells what each target did; fails if one found something.
fn conclude(runs: Vec<Run>) -> Result<()> {
    let mut findings = Vec::new();
    let mut sum = 0;
    println!("{:10} {:>14} {:>12} {:>10}", "target", "executions", "per second", "new inputs");
    for run in &runs {
        let log = run.log()?;
        let executions = statistic(&log, "number_of_executed_units").unwrap_or(0);
        sum += executions;
        println!(
            "{:10} {executions:>14} {:>12} {:>10}",
            run.name,
            statistic(&log, "average_exec_per_sec").unwrap_or(0),
            statistic(&log, "new_units_added").unwrap_or(0),
        );
        if !run.ended.is_some_and(|status| status.success()) || executions == 0 {
            findings.push(finding(&run.name, &log));
        }
    }
    println!("{:10} {sum:>14}", "all");
    if findings.is_empty() {
        return Ok(());
    }
    bail!("{}", findings.join("\n\n"))
}

impl Run {
    fn log(&self) -> Result<String> {
        let log = std::fs::read(&self.log).with_context(|| project::shown(&self.log))?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }
}

/// The end of the log, which says what happened and which input it was.
fn finding(name: &str, log: &str) -> String {
    const LINES: usize = 40;
    let lines: Vec<_> = log.lines().collect();
    let tail = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
    format!("{name} found something (see amqp-types/fuzz/artifacts):\n{}", tail.join("\n"))
}

/// `stat::name: 17` in the log.
fn statistic(log: &str, name: &str) -> Option<u64> {
    let line = log.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name))?;
    line.trim_start_matches(':').trim().parse().ok()
}

/// `#12345` at the beginning of the last line that has it: executions so far.
fn progress(log: &str) -> String {
    let counts = log.lines().rev().filter_map(|line| line.strip_prefix('#')?.split('\t').next());
    counts.map(str::to_owned).next().unwrap_or_else(|| "0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{progress, statistic};

    const LOG: &str = "INFO: Seed: 1\n#2\tINITED cov: 5\n#65536\tpulse  cov: 9\n\
        Done 70000 runs\nstat::number_of_executed_units: 70000\nstat::new_units_added:  7\n";

    #[test]
    fn numbers_are_read_out_of_the_log() {
        assert_eq!(progress(LOG), "65536");
        assert_eq!(progress(""), "0");
        assert_eq!(statistic(LOG, "number_of_executed_units"), Some(70_000));
        assert_eq!(statistic(LOG, "new_units_added"), Some(7));
        assert_eq!(statistic(LOG, "peak_rss_mb"), None);
    }
}
