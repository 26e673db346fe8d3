//! Small crates written below the target folder, to compile any number of XML files in one go.
//!
//! `vectors` and `spec check` use them: each spec becomes a module with the macro's output, next to
//! generic code of amqp-types' examples. They depend on amqp-types by path and on nothing that the
//! workspace's Cargo.lock does not have; sources of the project are never changed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};

use crate::project;

/// A crate to be filled, built and run.
#[derive(Debug)]
pub(crate) struct Scratch {
    name: String,
    folder: PathBuf,
    target: PathBuf,
}

impl Scratch {
    /// A crate of that name; the same name uses the same folder again.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let target = project::target_dir()?;
        let folder = target.join("xtask").join(name);
        Ok(Self { name: format!("scratch-{name}"), folder, target })
    }

    /// Writes the manifest and `src/main.rs`.
    pub(crate) fn write(&self, main: &str) -> Result<()> {
        let manifest = format!(
            "[package]\nname = \"{}\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n\
             [workspace]\n\n[dependencies]\namqp-types = {{ path = {:?} }}\nbytes = \"1\"\n\
             serde_json = \"1\"\n",
            self.name,
            project::root().join("amqp-types"),
        );
        project::write_if_changed(&self.folder.join("Cargo.toml"), &manifest)?;
        project::write_if_changed(&self.folder.join("src/main.rs"), main)?;
        let lock = project::root().join("Cargo.lock");
        std::fs::copy(&lock, self.folder.join("Cargo.lock"))
            .with_context(|| format!("cannot copy {}", project::shown(&lock)))?;
        Ok(())
    }

    /// Compiles it; the compiler's words are in the error.
    pub(crate) fn build(&self) -> Result<()> {
        let out = self.cargo_output("build")?;
        if out.status.success() {
            return Ok(());
        }
        bail!("{}", String::from_utf8_lossy(&out.stderr).trim_end())
    }

    /// Runs `cargo build` or `cargo check` and gives back whatever came of it.
    pub(crate) fn cargo_output(&self, how: &str) -> Result<Output> {
        self.cargo(how).output().with_context(|| format!("cannot run cargo {how}"))
    }

    /// A command that runs the built program, in the folder xtask was called in.
    pub(crate) fn program(&self) -> Result<Command> {
        let name = format!("{}{}", self.name, std::env::consts::EXE_SUFFIX);
        let program = self.target.join("debug").join(name);
        if !program.is_file() {
            bail!("cargo built no {}", program.display());
        }
        Ok(Command::new(program))
    }

    fn cargo(&self, subcommand: &str) -> Command {
        let mut cargo = project::cargo();
        cargo.args([subcommand, "--quiet", "--manifest-path"]);
        cargo.arg(self.folder.join("Cargo.toml"));
        cargo.arg("--target-dir").arg(&self.target);
        // The modules name their XML themselves; a choice made for the user's build is not ours.
        cargo.env_remove("AMQP_SPEC");
        cargo
    }
}

/// A module that holds what the macro emits for one XML file.
pub(crate) fn spec_module(module: &str, xml: &Path) -> String {
    format!(
        "mod {module} {{\n    amqp_types::protocol! {{ {:?} }}\n}}\n",
        xml.display().to_string()
    )
}

/// A module whose source is another file.
pub(crate) fn path_module(module: &str, source: &Path) -> String {
    format!("#[path = {:?}]\nmod {module};\n", source.display().to_string())
}
