//! The steps that are calls of cargo.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{openssl, project};

/// Linted one by one: together, features that one member asks for would hide what another lacks.
pub(crate) const MEMBERS: [&str; 5] =
    ["amqp-spec-macro", "amqp-types", "amqp-connector", "amqp-tests", "xtask"];

/// The workspace of the benchmark beside other clients, which are kept out of this one.
const BENCH: &str = "tests/bench";

/// rustfmt would change nothing, in the workspaces of the fuzz targets and of the benchmark neither.
pub(crate) fn fmt() -> Result<String> {
    for folder in ["", "amqp-types/fuzz", BENCH] {
        let mut cargo = project::cargo();
        cargo.current_dir(project::root().join(folder)).args(["fmt", "--all", "--check"]);
        quietly(cargo)?;
    }
    Ok(String::new())
}

/// clippy says nothing about a member, with all its targets and features.
pub(crate) fn clippy(member: &str) -> Result<String> {
    openssl::ensure()?;
    let mut cargo = project::cargo();
    cargo.args(["clippy", "--quiet", "--package", member, "--all-targets", "--all-features"]);
    cargo.args(["--", "--deny", "warnings"]);
    quietly(cargo)
}

/// As [`clippy`], for the benchmark: it compiles with the connector as it is now.
pub(crate) fn clippy_bench() -> Result<String> {
    let mut cargo = project::cargo();
    cargo.current_dir(project::root().join(BENCH));
    cargo.args(["clippy", "--quiet", "--locked", "--all-targets", "--", "--deny", "warnings"]);
    quietly(cargo)
}

/// rustdoc says nothing, private items included.
pub(crate) fn doc() -> Result<String> {
    openssl::ensure()?;
    let mut cargo = project::cargo();
    cargo.args(["doc", "--quiet", "--workspace", "--no-deps", "--all-features"]);
    cargo.arg("--document-private-items").env("RUSTDOCFLAGS", "--deny warnings");
    quietly(cargo)
}

/// Runs it; what it says is told only if it fails.
pub(super) fn quietly(mut command: Command) -> Result<String> {
    let out = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if out.status.success() {
        return Ok(String::new());
    }
    let told = [out.stdout, out.stderr].concat();
    bail!("{}", String::from_utf8_lossy(&told).trim_end())
}
