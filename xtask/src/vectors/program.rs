//! The program that checks vectors: amqp-types' example code plus a module for each spec.

use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use anyhow::{Context as _, Result};

use super::resolve::Resolved;
use crate::project;
use crate::scratch::{self, Scratch};

/// A built program.
#[derive(Debug)]
pub(crate) struct Program(Command);

impl Program {
    /// Compiles all specs into one program. If they do not compile together, each is tried alone;
    /// the vectors of one that does not compile will fail.
    pub(crate) fn build(mut specs: Vec<Resolved>) -> Result<Self> {
        let scratch = Scratch::new("vectors")?;
        let count = specs.iter().filter(|spec| spec.xml.is_ok()).count();
        println!("compiling {count} specs ...");
        scratch.write(&source(&specs))?;
        let error = match scratch.build() {
            Ok(program) => return Ok(Self(program)),
            Err(error) if count < 2 => return Err(error),
            Err(error) => error,
        };
        println!("{error:#}\ntrying each spec alone ...");
        for spec in &mut specs {
            scratch.write(&source(std::slice::from_ref(spec)))?;
            spec.is_broken = spec.xml.is_ok() && scratch.build().is_err();
        }
        scratch.write(&source(&specs))?;
        Ok(Self(scratch.build()?))
    }

    /// Checks the files; the program prints what it finds.
    pub(crate) fn run(mut self, files: &[PathBuf]) -> Result<ExitStatus> {
        self.0.args(files).status().context("cannot run the built program")
    }
}

fn source(specs: &[Resolved]) -> String {
    let checker = project::root().join("amqp-types/examples/vectors/checker/mod.rs");
    let mut modules = scratch::path_module("checker", &checker);
    let mut entries = String::new();
    for (index, Resolved { key, xml, is_broken }) in specs.iter().enumerate() {
        let entry = match xml {
            Ok(_) if *is_broken => format!("Spec::broken({key:?}, \"does not compile\")"),
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
