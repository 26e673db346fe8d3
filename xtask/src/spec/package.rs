//! The official XML files, as Debian's package amqp-specs brings them.
//!
//! `spec check` holds ours against them and `vectors` compiles them. Nothing else needs them: no
//! build and no test of the libraries may.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

const FOLDER: &str = "/usr/share/amqp/specs";
const INSTALL: &str = "apt-get install --yes --no-install-recommends amqp-specs";

/// Whether the files are there.
pub(crate) fn is_installed() -> bool {
    Path::new(FOLDER).is_dir()
}

/// The XML file of one folder of the package, where it is installed and the folder has just one.
pub(crate) fn file(key: &str) -> Option<PathBuf> {
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return None;
    }
    let mut files = xml_files(&Path::new(FOLDER).join(key)).ok()?;
    if files.len() == 1 { files.pop() } else { None }
}

/// All XML files of the package with the folder of each, sorted.
pub(crate) fn files() -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(FOLDER).with_context(|| format!("cannot list {FOLDER}"))? {
        let folder = entry?.path();
        let key = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        for path in xml_files(&folder)? {
            found.push((key.clone().unwrap_or_default(), path));
        }
    }
    found.sort();
    Ok(found)
}

/// Installs the package if it is missing and we may; else says the one command to run.
pub(crate) fn ensure() -> Result<()> {
    if is_installed() {
        return Ok(());
    }
    if !may_install() {
        bail!("the official XML files are missing; install them with: sudo {INSTALL}");
    }
    println!("installing Debian's package amqp-specs ...");
    if !apt_get(INSTALL)? {
        apt_get("apt-get update")?;
        apt_get(INSTALL)?;
    }
    if is_installed() {
        return Ok(());
    }
    bail!("`{INSTALL}` brought no {FOLDER}")
}

/// Whether [`ensure`] would install rather than ask for it.
pub(crate) fn may_install() -> bool {
    let id = Command::new("id").arg("-u").output();
    let is_root = id.is_ok_and(|out| out.stdout.trim_ascii() == b"0");
    is_root && Command::new("apt-get").arg("--version").output().is_ok()
}

/// Runs a line that begins with `apt-get`. False if it fails.
pub(crate) fn apt_get(line: &str) -> Result<bool> {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).env("DEBIAN_FRONTEND", "noninteractive").stdout(std::io::stderr());
    Ok(command.status().with_context(|| format!("cannot run `{line}`"))?.success())
}

fn xml_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "xml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
