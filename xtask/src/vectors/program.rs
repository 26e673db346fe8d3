//! The program that checks vectors: amqp-types' example code plus a module for each spec.

use std::path::PathBuf;
use std::process::ExitStatus;

use anyhow::{Context as _, Result};

use super::resolve::Resolved;
use crate::project;
use crate::scratch::{self, Scratch};

/// A built program.
#[derive(Debug)]
pub(crate) struct Program(Scratch);

impl Program {
    /// Compiles all specs into one program. If they do not compile together, each is tried alone,
    /// and those that do not compile are named.
    pub(crate) fn build(specs: &[Resolved]) -> Result<Self> {
        let scratch = Scratch::new("vectors")?;
        println!("compiling {} specs ...", specs.iter().filter(|spec| spec.xml.is_ok()).count());
        scratch.write(&source(specs))?;
        scratch.build()?;
        Ok(Self(scratch))
    }

    /// Checks the files; the program prints what it finds.
    pub(crate) fn run(&self, files: &[PathBuf]) -> Result<ExitStatus> {
        self.0.program()?.args(files).status().context("cannot run the built program")
    }
}

fn source(specs: &[Resolved]) -> String {
    let checker = project::root().join("amqp-types/examples/vectors/checker/mod.rs");
    let mut modules = scratch::path_module("checker", &checker);
    let mut entries = String::new();
    for (index, Resolved { key, xml }) in specs.iter().enumerate() {
        let entry = match xml {
            Ok(xml) => {
                modules.push_str(&scratch::spec_module(&format!("s{index}"), xml));
                format!("Spec::compiled::<s{index}::Spec>({key:?})")
            }
            Err(reason) => format!("Spec::missing({key:?}, {reason:?})"),
        };
        entries.push_str(&format!("        {entry},\n"));
    }
    format!(
        "{modules}\nuse checker::Spec;\n\nfn main() -> std::process::ExitCode {{\n    \
         checker::run(&[\n{entries}    ], std::env::args_os().skip(1))\n}}\n"
    )
}
