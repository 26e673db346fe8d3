//! `--case build`: what depending on a client costs whoever builds it.
//!
//! For ours, lapin and amqprs a crate is written below the target folder that depends on that client
//! with its default features and on nothing else, and whose own code is empty. Measured is `cargo build
//! --release` of it from nothing, everything downloaded before: the time that passes, and the CPU time of
//! cargo and all compilers. The versions of dependencies are those of tests/bench's lock file.
//!
//! For ours also how long the macro takes for the bundled default specification: from the XML's text to
//! tokens, in this process, which like the macro in a user's build is compiled without optimisation.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::programs;
use super::results::Results;
use crate::broker::{Interrupt, Progress};
use crate::project;
use crate::spec;

/// How often the specification is expanded.
const EXPANSIONS: usize = 20;
/// In which the kernel counts CPU time for programs, on every architecture: `USER_HZ`.
const TICKS_PER_SECOND: f64 = 100.0;

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct BuildCost {
    pub(crate) crates: Vec<Crate>,
    /// Milliseconds that one expansion took.
    pub(crate) expansion_ms: Vec<f64>,
}

/// A crate to depend on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Crates in its tree, itself and what only building needs included, for this platform.
    pub(crate) tree: usize,
    /// Seconds that passed, for each round.
    pub(crate) wall: Vec<f64>,
    /// Seconds of CPU.
    pub(crate) cpu: Vec<f64>,
}

/// Measures those of the clients that are wanted.
pub(crate) fn run(
    is_wanted: impl Fn(&str) -> bool,
    rounds: u32,
    interrupt: &Interrupt,
    results: &mut Results,
) -> Result<()> {
    let mut all = Vec::new();
    for (client, package) in [("ours", "amqp-connector"), ("lapin", "lapin"), ("amqprs", "amqprs")]
    {
        if is_wanted(client) {
            all.push(Scratch::write(package)?);
        }
    }
    let mut crates = all.iter().map(|it| it.look(interrupt)).collect::<Result<Vec<_>>>()?;
    for round in 1..=rounds {
        for (scratch, it) in all.iter().zip(&mut crates) {
            let what = format!("building {} {}, round {round} of {rounds}", it.name, it.version);
            let (wall, cpu) = scratch.build(&what, interrupt)?;
            it.wall.push(wall);
            it.cpu.push(cpu);
        }
    }
    let mut expansion_ms = Vec::new();
    if is_wanted("ours") {
        for _ in 0..EXPANSIONS {
            interrupt.check()?;
            expansion_ms.push(spec::expansion_time("rabbitmq")?.as_secs_f64() * 1e3);
        }
    }
    results.build = Some(BuildCost { crates, expansion_ms });
    Ok(())
}

/// A crate with one dependency.
#[derive(Debug)]
struct Scratch {
    package: &'static str,
    folder: PathBuf,
}

impl Scratch {
    fn write(package: &'static str) -> Result<Self> {
        let folder = programs::target()?.join("build").join(package);
        let lock = programs::folder().join("Cargo.lock");
        let requirement = match package {
            "amqp-connector" => format!("{{ path = {:?} }}", project::root().join(package)),
            _ => format!("\"{}\"", locked(&project::read(&lock)?, package)?),
        };
        let manifest = format!(
            "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n\
             [workspace]\n\n[dependencies]\n{package} = {requirement}\n"
        );
        project::write_if_changed(&folder.join("Cargo.toml"), &manifest)?;
        project::write_if_changed(&folder.join("src/lib.rs"), "")?;
        fs::copy(&lock, folder.join("Cargo.lock")).with_context(|| project::shown(&lock))?;
        Ok(Self { package, folder })
    }

    fn cargo(&self, subcommand: &str) -> Command {
        let mut cargo = project::cargo();
        cargo.args([subcommand, "--manifest-path"]).arg(self.folder.join("Cargo.toml"));
        // No cache of compilers' results, no choice of a spec that was made for another build.
        cargo.env("RUSTC_WRAPPER", "").env_remove("AMQP_SPEC");
        cargo
    }

    /// Downloads what is missing, and learns what there is.
    fn look(&self, interrupt: &Interrupt) -> Result<Crate> {
        let mut fetch = self.cargo("fetch");
        if !interrupt.run(fetch.arg("--quiet"))?.success() {
            return Err(project::Told.into());
        }
        let mut tree = self.cargo("tree");
        tree.args(["--edges", "normal,build", "--prefix", "none", "--no-dedupe", "--locked"]);
        let out = tree.output().context("cannot run cargo tree")?;
        if !out.status.success() {
            bail!("cargo tree: {}", String::from_utf8_lossy(&out.stderr).trim_end());
        }
        let (version, tree) = tree_of(&String::from_utf8_lossy(&out.stdout), self.package);
        Ok(Crate { name: self.package.to_owned(), version, tree, ..Crate::default() })
    }

    /// Builds it from nothing: seconds that passed, and of CPU.
    fn build(&self, what: &str, interrupt: &Interrupt) -> Result<(f64, f64)> {
        let target = self.folder.join("target");
        match fs::remove_dir_all(&target) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| project::shown(&target));
            }
            _ => {}
        }
        let mut progress = Progress::start(what);
        let log = self.folder.join("build.log");
        let mut cargo = self.cargo("build");
        cargo.args(["--release", "--locked", "--offline", "--quiet", "--target-dir"]).arg(&target);
        cargo.stderr(programs::create(&log)?);
        let (cpu, begin) = (children_cpu()?, Instant::now());
        interrupt.check()?;
        let mut child = Interrupt::spawn(&mut cargo)?;
        let status = interrupt.wait(&mut child, || {
            progress.tick();
            Ok(())
        })?;
        let (wall, cpu) = (begin.elapsed().as_secs_f64(), children_cpu()? - cpu);
        if !status.success() {
            progress.done("failed");
            bail!("{} does not build:\n{}", self.package, project::read(&log)?.trim_end());
        }
        progress.done(&format!("{cpu:.1} s of CPU"));
        // It is large, and of no use.
        let _ = fs::remove_dir_all(&target);
        Ok((wall, cpu))
    }
}

/// The exact version that a lock file has of a package.
fn locked(lock: &str, package: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Locked>,
    }
    #[derive(Deserialize)]
    struct Locked {
        name: String,
        version: String,
    }
    let lock: Lock = toml::from_str(lock).context("tests/bench/Cargo.lock")?;
    let found = lock.package.into_iter().find(|locked| locked.name == package);
    let found = found.with_context(|| format!("tests/bench/Cargo.lock has no {package}"))?;
    Ok(format!("={}", found.version))
}

/// A package's version and the number of crates, out of `cargo tree` (each line `name vX.Y.Z ...`, the
/// first is of the empty crate itself).
fn tree_of(text: &str, package: &str) -> (String, usize) {
    let mut crates = BTreeSet::new();
    for line in text.lines().skip(1) {
        let mut words = line.split(' ');
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            crates.insert((name, version.trim_start_matches('v')));
        }
    }
    let own = crates.iter().find(|(name, _)| *name == package);
    (own.map(|(_, version)| (*version).to_owned()).unwrap_or_default(), crates.len())
}

/// Seconds of CPU that the ended children of this process took, and theirs.
fn children_cpu() -> Result<f64> {
    let stat = project::read(Path::new("/proc/self/stat"))?;
    children_ticks(&stat).map(|ticks| ticks / TICKS_PER_SECOND).context("/proc/self/stat")
}

/// Fields 16 and 17 of the line, user and system time; field 2, in parentheses, may hold blanks.
fn children_ticks(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(13);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_of_a_tree_are_counted_once() {
        let tree = "empty v0.0.0 (/x)\nlapin v4.12.3\nsyn v2.0.1\nsyn v3.0.1 (proc-macro)\n\
                    serde v1.0.0\nserde v1.0.0 (*)\n";
        assert_eq!(tree_of(tree, "lapin"), ("4.12.3".to_owned(), 4));
    }

    #[test]
    fn version_is_that_of_the_lock_file() {
        let lock = "version = 4\n[[package]]\nname = \"lapin\"\nversion = \"4.12.3\"\n";
        assert_eq!(locked(lock, "lapin").unwrap(), "=4.12.3");
        assert!(locked(lock, "amqprs").unwrap_err().to_string().contains("has no amqprs"));
    }

    #[test]
    fn children_are_counted_when_they_have_ended() {
        let stat = "7 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 130 140 20 0 1\n";
        assert_eq!(children_ticks(stat), Some(270.0));
        let before = children_cpu().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"]);
        assert!(shell.status().unwrap().success());
        assert!(children_cpu().unwrap() > before);
    }

    #[test]
    fn specification_is_expanded_in_measurable_time() {
        assert!(spec::expansion_time("rabbitmq").unwrap().as_micros() > 0);
    }
}
