//! Where RabbitMQ's programs are on this machine; and getting them there, where that is allowed.
//!
//! Wanted are the plain scripts, not the wrappers that Debian and the RPMs put on PATH: those switch
//! to the user `rabbitmq` and to the system's data folder.

use std::env;
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::interrupt::Interrupt;
use super::progress::Progress;

/// Where Debian's package and the RPMs keep the plain scripts.
const PACKAGED: &str = "/usr/lib/rabbitmq/bin";

/// RabbitMQ's and Erlang's programs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Programs {
    /// Starts the broker.
    pub(crate) server: PathBuf,
    /// Its command line tool; about 0.4 s a call.
    pub(crate) rabbitmqctl: PathBuf,
    /// Erlang's name server, which a node cannot do without.
    pub(crate) epmd: PathBuf,
    /// Evaluates an expression in the node within milliseconds; a part of Erlang that some
    /// distributions package on its own.
    pub(crate) erl_call: Option<PathBuf>,
}

impl Programs {
    /// Finds them, and installs Debian's package first if there are none and that is possible.
    ///
    /// # Errors
    ///
    /// When nothing is found and nothing may be installed: says the one command to run.
    pub(crate) fn find_or_install(interrupt: &Interrupt) -> Result<Self> {
        if let Some(found) = Self::find()? {
            return Ok(found);
        }
        if !rustix::process::geteuid().is_root() || on_path("apt-get").is_none() {
            bail!("RabbitMQ is not installed. {}", advice());
        }
        apt_install("rabbitmq-server", interrupt)?;
        Self::find()?
            .context("Debian's rabbitmq-server is installed, but its programs are not found")
    }

    fn find() -> Result<Option<Self>> {
        let Some(folder) = scripts_folder() else { return Ok(None) };
        let epmd = on_path("epmd").with_context(|| {
            format!("RabbitMQ is in {}, but Erlang's epmd is not on PATH", folder.display())
        })?;
        Ok(Some(Self {
            server: folder.join("rabbitmq-server"),
            rabbitmqctl: folder.join("rabbitmqctl"),
            epmd,
            erl_call: on_path("erl_call"),
        }))
    }
}

fn scripts_folder() -> Option<PathBuf> {
    first_with_scripts(on_path("rabbitmq-server"), Path::new(PACKAGED))
}

/// The folder of the user's own broker on PATH, or the packaged one: where PATH has but a wrapper too.
fn first_with_scripts(on_path: Option<PathBuf>, packaged: &Path) -> Option<PathBuf> {
    let of_path = on_path
        .and_then(|script| script.canonicalize().ok())
        .and_then(|script| script.parent().map(Path::to_owned));
    // Only beside the plain scripts stands the file that they read.
    [of_path, Some(packaged.to_owned())]
        .into_iter()
        .flatten()
        .find(|folder| folder.join("rabbitmq-env").is_file())
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn advice() -> &'static str {
    if on_path("apt-get").is_some() {
        "Run\n\n    sudo apt-get install -y rabbitmq-server\n\nand try again."
    } else {
        "Install it (https://www.rabbitmq.com/docs/download), so that `rabbitmq-server` is on PATH, \
         and try again."
    }
}

/// Installs a package of Debian's as root, without starting any service that it brings.
///
/// # Errors
///
/// With the end of apt-get's output.
fn apt_install(package: &str, interrupt: &Interrupt) -> Result<()> {
    let _no_services = NoServices::install()?;
    apt(&["update"], &format!("apt-get update (for {package})"), interrupt)?;
    apt(
        &["install", "-y", "--no-install-recommends", package],
        &format!("apt-get install {package}"),
        interrupt,
    )
}

fn apt(arguments: &[&str], what: &str, interrupt: &Interrupt) -> Result<()> {
    let log = tempfile()?;
    let output = fs::File::create(&log).with_context(|| log.display().to_string())?;
    let mut command = Command::new("apt-get");
    command
        .args(["-q", "-o", "DPkg::Lock::Timeout=120"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(output.try_clone()?)
        .stderr(output);
    let mut progress = Progress::start(what);
    let mut child = Interrupt::spawn(&mut command)?;
    let status = interrupt.wait(&mut child, || {
        progress.tick();
        Ok(())
    });
    let said = fs::read_to_string(&log).unwrap_or_default();
    let _ = fs::remove_file(&log);
    if status?.success() {
        progress.done("done");
        return Ok(());
    }
    progress.done("failed");
    let tail: Vec<&str> = said.lines().rev().take(15).collect();
    bail!("{what} failed:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"))
}

fn tempfile() -> Result<PathBuf> {
    let folder = super::node::home()?;
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder.join(format!("apt-{}.log", std::process::id())))
}

/// While it lives, installing a package starts no service: Debian's package would start a broker of
/// the system's, listening on every interface.
///
/// `policy-rc.d` is how Debian lets an administrator say so. One that is there already is left alone.
struct NoServices(Option<PathBuf>);

impl NoServices {
    fn install() -> Result<Self> {
        let path = PathBuf::from("/usr/sbin/policy-rc.d");
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(&path);
        match file {
            Ok(mut file) => {
                use std::io::Write as _;
                file.write_all(b"#!/bin/sh\nexit 101\n").context("writing policy-rc.d")?;
                Ok(Self(Some(path)))
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(Self(None)),
            Err(error) => Err(error).context("creating /usr/sbin/policy-rc.d"),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::first_with_scripts;
    use std::fs;

    #[test]
    fn broker_on_path_comes_first_unless_it_is_a_wrapper() {
        let home = std::env::temp_dir().join(format!("xtask-install-{}", std::process::id()));
        for file in [
            "own/rabbitmq-server",
            "own/rabbitmq-env",
            "packaged/rabbitmq-env",
            "sbin/rabbitmq-server",
        ] {
            let file = home.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let home = home.canonicalize().unwrap();
        let packaged = home.join("packaged");
        let of = |folder: &str| {
            first_with_scripts(Some(home.join(folder).join("rabbitmq-server")), &packaged)
        };
        assert_eq!(of("own"), Some(home.join("own")));
        assert_eq!(of("sbin"), Some(packaged.clone()));
        assert_eq!(first_with_scripts(None, &packaged), Some(packaged.clone()));
        assert_eq!(first_with_scripts(None, &home), None);
        fs::remove_dir_all(&home).unwrap();
    }
}
