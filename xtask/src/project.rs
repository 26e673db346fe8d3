//! Where things are in this checkout, and how to call cargo there.
//!
//! Used by every command. It must never depend on a command's own module.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// A program that was run has failed and has itself said why.
#[derive(Debug)]
pub(crate) struct Told;

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("see above")
    }
}

impl std::error::Error for Told {}

/// The workspace's root folder.
pub(crate) fn root() -> PathBuf {
    // At run time cargo says where the package is now; the built-in path is where it was compiled.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .filter(|dir| Path::new(dir).join("../amqp-types").is_dir())
        .unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let manifest = PathBuf::from(manifest);
    manifest.parent().map(Path::to_path_buf).unwrap_or(manifest)
}

/// The folder of the bundled specs.
pub(crate) fn specs() -> PathBuf {
    root().join("amqp-types/specs")
}

/// A cargo command in the workspace's root, without what `cargo run` has set for this process.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let set_by_cargo = name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_"));
        if set_by_cargo || name == "CARGO_MANIFEST_DIR" || name == "CARGO_MANIFEST_PATH" {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// What `cargo metadata` says, as far as it is used here.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) target_directory: PathBuf,
    pub(crate) packages: Vec<Package>,
    /// Absent with `--no-deps`.
    pub(crate) resolve: Option<Resolve>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) license: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev` or `build`; absent for a normal one.
    pub(crate) kind: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Resolve {
    pub(crate) nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) id: String,
}

/// The folder cargo builds into, which `CARGO_TARGET_DIR` or a cargo config may have moved.
pub(crate) fn target_dir() -> Result<PathBuf> {
    Ok(metadata(["--no-deps"])?.target_directory)
}

/// What `cargo metadata` says about the workspace.
pub(crate) fn metadata(options: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Metadata> {
    let mut cargo = cargo();
    cargo.args(["metadata", "--format-version", "1"]).args(options);
    let out = cargo.stderr(Stdio::inherit()).output().context("cannot run cargo metadata")?;
    if !out.status.success() {
        bail!("cargo metadata failed ({})", out.status);
    }
    serde_json::from_slice(&out.stdout).context("cannot read what cargo metadata gave")
}

/// The target that rustc builds for by itself.
pub(crate) fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let out = Command::new(rustc).arg("-vV").output().context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}

/// A path as a person in the checkout would write it.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Reads a text file; the error names it.
pub(crate) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", shown(path)))
}

/// Writes a text file only if its content differs, so that builds depending on it stay fresh.
pub(crate) fn write_if_changed(path: &Path, content: &str) -> Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", shown(parent)))?;
    }
    std::fs::write(path, content).with_context(|| format!("cannot write {}", shown(path)))
}
