//! Building what measures: the programs of tests/bench and, where rabbitmq-c is installed, the client in C.
//!
//! tests/bench is a workspace of its own, so that the peers are in nobody's build. Its target folder
//! is a part of ours.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::catalogue::{CASES, CONTENDERS, LIBRABBITMQ, Place};
use crate::broker::{Interrupt, Progress};
use crate::project;
use crate::scratch;

/// The programs of a run.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) sink: PathBuf,
    client: PathBuf,
    /// The client in C, or why there is none.
    librabbitmq: Result<PathBuf, String>,
}

impl Programs {
    /// Builds them; `with_c` if the client in C is wanted at all.
    pub(crate) fn build(with_c: bool, interrupt: &Interrupt) -> Result<Self> {
        let messages = target()?.join("build.json");
        let mut cargo = cargo("build")?;
        cargo.args(["--release", "--bins", "--message-format=json-render-diagnostics"]);
        cargo.stdout(create(&messages)?);
        // Cargo tells by itself what it compiles.
        if !interrupt.run(&mut cargo)?.success() {
            return Err(project::Told.into());
        }
        let messages = project::read(&messages)?;
        let find = |name: &str| {
            let found = scratch::executable_of(name, &messages);
            found.with_context(|| format!("tests/bench has no program `{name}`"))
        };
        agree(&find("client")?)?;
        let librabbitmq = if with_c { compile_c(interrupt)? } else { Err("not wanted".to_owned()) };
        Ok(Self { sink: find("sink")?, client: find("client")?, librabbitmq })
    }

    /// The program that runs a client; the error says why there is none.
    pub(crate) fn of(&self, client: &str) -> Result<&Path, &str> {
        if client == LIBRABBITMQ {
            return self.librabbitmq.as_deref().map_err(String::as_str);
        }
        Ok(&self.client)
    }
}

/// The folder of tests/bench.
pub(crate) fn folder() -> PathBuf {
    project::root().join("tests/bench")
}

/// Where it is built, and where results go by themselves.
pub(crate) fn target() -> Result<PathBuf> {
    Ok(project::target_dir()?.join("bench"))
}

/// A cargo command for tests/bench.
pub(crate) fn cargo(subcommand: &str) -> Result<Command> {
    let manifest = folder().join("Cargo.toml");
    if !manifest.is_file() {
        bail!("there is no {}", project::shown(&manifest));
    }
    let mut cargo = project::cargo();
    cargo.args([subcommand, "--locked", "--manifest-path"]).arg(manifest);
    cargo.arg("--target-dir").arg(target()?);
    // The peers speak RabbitMQ's dialect; what a user chose for another build is not what is compared.
    cargo.env_remove("AMQP_SPEC");
    Ok(cargo)
}

/// Creates a file for a program's output, and its folder.
pub(crate) fn create(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| project::shown(folder))?;
    }
    File::create(path).with_context(|| project::shown(path))
}

/// That the programs know the catalogue's cases, and no others.
fn agree(client: &Path) -> Result<()> {
    let out = Command::new(client).arg("--list-cases").output();
    let out = out.with_context(|| client.display().to_string())?;
    let listed = String::from_utf8_lossy(&out.stdout).into_owned();
    let listed: BTreeSet<&str> = listed.lines().collect();
    let wanted: BTreeSet<String> = CASES
        .iter()
        .filter(|case| case.place != Place::Alone)
        .flat_map(|case| CONTENDERS.iter().filter_map(|it| it.case(case)))
        .collect();
    let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
    let odd: Vec<&str> = listed.symmetric_difference(&wanted).copied().collect();
    if odd.is_empty() {
        return Ok(());
    }
    bail!("only one of xtask and tests/bench knows the cases {}", odd.join(", "))
}

/// Compiles the client in C. That this does not work out leaves one peer away and is no error.
fn compile_c(interrupt: &Interrupt) -> Result<Result<PathBuf, String>> {
    let source = folder().join("librabbitmq/client.c");
    if !source.is_file() {
        return Ok(Err(format!("there is no {}", project::shown(&source))));
    }
    let (program, log) = (target()?.join("librabbitmq-client"), target()?.join("cc.log"));
    let mut cc = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    cc.args(["-O2", "-o"]).arg(&program).arg(&source).arg("-lrabbitmq").arg("-lpthread");
    let output = create(&log)?;
    cc.stdout(output.try_clone()?).stderr(output);
    let progress = Progress::start("Compiling the client of rabbitmq-c");
    interrupt.check()?;
    let ended =
        Interrupt::spawn(&mut cc).and_then(|mut child| interrupt.wait(&mut child, || Ok(())));
    interrupt.check()?;
    let reason = match ended {
        Ok(status) if status.success() => {
            progress.done("done");
            return Ok(Ok(program));
        }
        Ok(_) => complaint(&fs::read_to_string(&log).unwrap_or_default()),
        Err(error) => format!("{error:#}"),
    };
    progress.done("left out");
    Ok(Err(reason))
}

/// What a compiler's output comes down to.
fn complaint(said: &str) -> String {
    let is_missing = said.contains("amqp.h: No such file")
        || said.contains("amqp.h' file not found")
        || said.contains("cannot find -lrabbitmq");
    if is_missing {
        return "rabbitmq-c is not installed (Debian: librabbitmq-dev)".to_owned();
    }
    let line = said.lines().find(|line| line.contains("error")).or_else(|| said.lines().next());
    format!("client.c does not compile: {}", line.unwrap_or("the compiler says nothing"))
}

#[cfg(test)]
mod tests {
    use super::complaint;

    #[test]
    fn missing_library_is_told_from_wrong_code() {
        let missing = "client.c:3:10: fatal error: rabbitmq-c/amqp.h: No such file or directory\n";
        assert!(complaint(missing).contains("librabbitmq-dev"));
        assert!(complaint("/usr/bin/ld: cannot find -lrabbitmq\n").contains("librabbitmq-dev"));
        let wrong = "client.c: In function 'main':\nclient.c:9:1: error: expected ';'\n";
        assert!(complaint(wrong).ends_with("client.c:9:1: error: expected ';'"));
    }
}
