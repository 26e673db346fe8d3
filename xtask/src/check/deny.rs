//! What `cargo deny` holds the dependencies to (deny.toml), and as much of it as needs no tool.
//!
//! cargo-deny is not in Debian, takes minutes to build, and its advisories are a git repository on GitHub. So a machine
//! without it still checks where crates come from, and, by `policy`, licences and duplicates; with it all is checked, the
//! advisories only where their database can be had, which is told.

use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::project;

/// Where crates may come from, as Cargo.lock has it.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// What cargo-deny says where it has no database of advisories and cannot fetch one.
const NO_DATABASE: &str = "failed to fetch advisory database";

#[derive(Debug, Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Debug, Deserialize)]
struct Locked {
    name: String,
    /// A member has none.
    source: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Deny {
    licenses: Licences,
}

#[derive(Debug, Deserialize)]
struct Licences {
    allow: Vec<String>,
}

/// Every crate is a member or comes from crates.io.
pub(crate) fn sources() -> Result<String> {
    let lock: Lock = toml::from_str(&project::read(&project::root().join("Cargo.lock"))?)?;
    let count = lock.package.len();
    let strange = strange(lock);
    if strange.is_empty() {
        return Ok(format!("{count} crates, of crates.io or our own"));
    }
    bail!("not from crates.io: {}", strange.join(", "))
}

fn strange(lock: Lock) -> Vec<String> {
    let told = |locked: Locked| {
        let source = locked.source.filter(|source| source != CRATES_IO)?;
        Some(format!("{} ({source})", locked.name))
    };
    lock.package.into_iter().filter_map(told).collect()
}

/// The licences that deny.toml allows: the same as policy.toml's.
pub(crate) fn licences() -> Result<Vec<String>> {
    let text = project::read(&project::root().join("deny.toml"))?;
    let deny: Deny = toml::from_str(&text).context("deny.toml")?;
    Ok(deny.licenses.allow)
}

/// `cargo deny check`, where it is installed.
pub(crate) fn check() -> Result<String> {
    if !run(&["--version"]).is_ok_and(|out| out.status.success()) {
        return Ok("skipped: cargo-deny is not installed (cargo install cargo-deny)".to_owned());
    }
    let out = run(&["check", "bans", "licenses", "sources"])?;
    if !out.status.success() {
        bail!("{}", told(&out));
    }
    let out = run(&["check", "advisories"])?;
    match out.status.success() {
        true => Ok("advisories, bans, licences, sources".to_owned()),
        false if told(&out).contains(NO_DATABASE) => {
            Ok("bans, licences, sources; no database of advisories can be had here".to_owned())
        }
        false => bail!("{}", told(&out)),
    }
}

fn run(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new("cargo-deny");
    command.current_dir(project::root()).args(arguments);
    command.output().context("cannot run cargo-deny")
}

fn told(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Lock, strange};

    #[test]
    fn a_crate_from_elsewhere_is_named_with_its_source() {
        let text = "[[package]]\nname='own'\n[[package]]\nname='usual'\n\
            source='registry+https://github.com/rust-lang/crates.io-index'\n\
            [[package]]\nname='odd'\nsource='git+https://example.org/odd'\n";
        let lock: Lock = toml::from_str(text).unwrap();
        assert_eq!(strange(lock), ["odd (git+https://example.org/odd)"]);
    }
}
