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

    /// Compiles it to a program; where it does not compile, the compiler's words are the error.
    pub(crate) fn build(&self) -> Result<Command> {
        let mut cargo = self.cargo("build");
        let out = cargo.arg("--message-format=json-render-diagnostics").output();
        let out = out.context("cannot run cargo build")?;
        if !out.status.success() {
            bail!("{}", String::from_utf8_lossy(&out.stderr).trim_end());
        }
        // Where it lies is cargo's to say: a config may ask for another target or profile folder.
        let messages = String::from_utf8_lossy(&out.stdout).into_owned();
        let program = messages.lines().find_map(executable);
        program.map(Command::new).context("cargo built no program")
    }

    /// Lets cargo check it, and gives back whatever came of that.
    pub(crate) fn check(&self) -> Result<Output> {
        self.cargo("check").output().context("cannot run cargo check")
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

/// The program that a message of cargo tells of, if it is such a message.
pub(crate) fn executable(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    message.get("executable")?.as_str().map(PathBuf::from)
}

/// The program of the target with that name. Cargo tells of others too: a bench's and a test's package has its binaries built.
pub(crate) fn executable_of(name: &str, messages: &str) -> Option<PathBuf> {
    let of_target = |message: &&str| {
        let message: Option<serde_json::Value> = serde_json::from_str(message).ok();
        message.is_some_and(|it| it.pointer("/target/name").is_some_and(|is| is == name))
    };
    messages.lines().filter(of_target).find_map(executable)
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

#[cfg(test)]
mod tests {
    use super::{executable, executable_of, path_module, spec_module};
    use std::path::{Path, PathBuf};

    #[test]
    fn paths_are_written_as_literals() {
        let path = Path::new("a \"b\"\\c.xml");
        let literal = r#""a \"b\"\\c.xml""#;
        assert_eq!(
            spec_module("s0", path),
            format!("mod s0 {{\n    amqp_types::protocol! {{ {literal} }}\n}}\n")
        );
        assert_eq!(path_module("m", path), format!("#[path = {literal}]\nmod m;\n"));
    }

    #[test]
    fn program_is_where_cargo_says() {
        assert_eq!(executable(r#"{"executable":"/x/y"}"#), Some(PathBuf::from("/x/y")));
        assert_eq!(executable(r#"{"executable":null}"#), None);
        assert_eq!(executable("Blocking waiting"), None);
    }

    #[test]
    fn program_is_that_of_the_target_asked_for() {
        let messages = "Blocking waiting\n\
            {\"target\":{\"name\":\"soak\"},\"executable\":\"/x/soak\"}\n\
            {\"target\":{\"name\":\"paths\"},\"executable\":null}\n\
            {\"target\":{\"name\":\"paths\"},\"executable\":\"/x/paths-1\"}";
        assert_eq!(executable_of("paths", messages), Some(PathBuf::from("/x/paths-1")));
        assert_eq!(executable_of("soak", messages), Some(PathBuf::from("/x/soak")));
        assert_eq!(executable_of("other", messages), None);
    }
}
