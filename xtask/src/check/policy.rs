//! What may be depended on: xtask/policy.toml held against Cargo.lock and `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::{deny, licence};
use crate::project;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    /// Crates that may be in Cargo.lock in several versions, each with the reason.
    duplicates: BTreeMap<String, String>,
    licences: Licences,
    /// A member's greatest number of normal dependencies with default features.
    dependencies: BTreeMap<String, usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Licences {
    allowed: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Debug, Deserialize)]
struct Locked {
    name: String,
    version: String,
}

impl Policy {
    fn read() -> Result<Self> {
        let text = project::read(&project::root().join("xtask/policy.toml"))?;
        toml::from_str(&text).context("xtask/policy.toml")
    }
}

/// No crate is locked in two versions without a stated reason.
pub(crate) fn duplicates() -> Result<String> {
    let lock: Lock = toml::from_str(&project::read(&project::root().join("Cargo.lock"))?)?;
    let count = lock.package.len();
    let problems = judge_duplicates(lock, &Policy::read()?.duplicates);
    if problems.is_empty() {
        return Ok(format!("{count} crates in Cargo.lock"));
    }
    bail!("{}", problems.join("\n"))
}

fn judge_duplicates(lock: Lock, allowed: &BTreeMap<String, String>) -> Vec<String> {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Locked { name, version } in lock.package {
        versions.entry(name).or_default().push(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let unlisted = versions.iter().filter(|(name, _)| !allowed.contains_key(*name));
    let mut problems: Vec<_> = unlisted
        .map(|(name, versions)| format!("{name} is locked as {}", versions.join(" and ")))
        .collect();
    for (name, reason) in allowed {
        if !versions.contains_key(name) {
            problems.push(format!("policy.toml allows {name} twice, but it is locked once"));
        }
        if reason.trim().is_empty() {
            problems.push(format!("policy.toml allows {name} twice without a reason"));
        }
    }
    problems
}

/// Every dependency's licence is satisfied by the allowed ones.
pub(crate) fn licences() -> Result<String> {
    let allowed = Policy::read()?.licences.allowed;
    if deny::licences()? != allowed {
        bail!("deny.toml and xtask/policy.toml allow different licences");
    }
    let metadata = project::metadata(["--all-features", "--filter-platform", &project::host()?])?;
    let nodes = metadata.resolve.map(|resolve| resolve.nodes).unwrap_or_default();
    let used: BTreeSet<String> = nodes.into_iter().map(|node| node.id).collect();
    let mut problems = Vec::new();
    for package in metadata.packages.into_iter().filter(|package| used.contains(&package.id)) {
        let expression = package.license.unwrap_or_else(|| "no licence stated".to_owned());
        let name = package.name;
        if !licence::satisfied(&expression, &allowed).with_context(|| name.clone())? {
            problems.push(format!("{name}: {expression}"));
        }
    }
    if problems.is_empty() {
        return Ok(format!("{} crates", used.len()));
    }
    bail!("not allowed by policy.toml:\n{}", problems.join("\n"))
}

/// No member has more normal dependencies than its bound.
pub(crate) fn dependencies() -> Result<String> {
    let mut notes = Vec::new();
    for (member, bound) in Policy::read()?.dependencies {
        let names = normal_dependencies(&member)?;
        if names.len() > bound {
            let names: Vec<_> = names.into_iter().collect();
            bail!(
                "{member} has {} normal dependencies, {bound} are allowed by policy.toml: {}",
                names.len(),
                names.join(", ")
            );
        }
        notes.push(format!("{member} {} of {bound}", names.len()));
    }
    Ok(notes.join(", "))
}

fn normal_dependencies(member: &str) -> Result<BTreeSet<String>> {
    let mut cargo = project::cargo();
    cargo.args(["tree", "--package", member, "--edges", "normal", "--prefix", "none"]);
    let out = cargo.output().context("cannot run cargo tree")?;
    if !out.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&out.stderr).trim_end());
    }
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let crates = text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned);
    Ok(crates.filter(|name| !name.is_empty() && name != member).collect())
}

#[cfg(test)]
mod tests {
    use super::{Lock, judge_duplicates};
    use std::collections::BTreeMap;

    fn judge(allowed: &[(&str, &str)]) -> Vec<String> {
        let lock: Lock = toml::from_str(
            "[[package]]\nname='a'\nversion='1.0.0'\n[[package]]\nname='a'\nversion='2.0.0'\n\
             [[package]]\nname='b'\nversion='1.0.0'\n",
        )
        .unwrap();
        let own = |(name, reason): &(&str, &str)| ((*name).to_owned(), (*reason).to_owned());
        judge_duplicates(lock, &allowed.iter().map(own).collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn two_versions_need_a_listed_reason_and_the_list_no_more() {
        assert_eq!(judge(&[]), ["a is locked as 1.0.0 and 2.0.0"]);
        assert!(judge(&[("a", "x still needs it")]).is_empty());
        assert_eq!(judge(&[("a", "")]).len(), 1);
        assert_eq!(judge(&[("a", "because"), ("b", "because")]).len(), 1);
    }
}
