//! Every official file through the macro: those with classes and methods compile, and a default
//! instance of each method survives the codec; those of 0-10 and 1.0 are refused by name.
//!
//! Part of `spec check`. The codec side is amqp-types' example `round_trip`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use syn::{Item, ItemImpl, Type};

use super::{bundled, emitted, model, package};
use crate::project;
use crate::scratch::{self, Scratch};

/// The two kinds of files in the package.
#[derive(Debug)]
pub(crate) struct Files {
    framed: Vec<(String, PathBuf)>,
    /// With the version that the refusal must name.
    others: Vec<(&'static str, PathBuf)>,
}

impl Files {
    /// The package's files, and ours.
    pub(crate) fn find() -> Result<Self> {
        let mut files = Self { framed: Vec::new(), others: Vec::new() };
        for (key, path) in package::files()? {
            if key.starts_with("0-10") {
                files.others.push(("0-10", path));
            } else if key.starts_with("1-0") {
                files.others.push(("1.0", path));
            } else {
                files.framed.push((format!("official {key}"), path));
            }
        }
        files.framed.extend(bundled::all().map(|ours| (ours.file.to_owned(), ours.path())));
        Ok(files)
    }

    /// Compiles the framed files and runs the round trips: a line for each.
    pub(crate) fn round_trip(&self) -> Result<String> {
        let scratch = Scratch::new("round-trip")?;
        scratch.write(&self.round_trip_source()?)?;
        let mut program = scratch.build().context("an official file does not compile")?;
        let out = program.output().context("cannot run the built program")?;
        let lines = String::from_utf8_lossy(&out.stdout).into_owned();
        if out.status.success() {
            return Ok(lines);
        }
        let told = String::from_utf8_lossy(&out.stderr);
        bail!("round trips failed ({})\n{lines}{told}", out.status)
    }

    /// Lets the macro refuse the other files, each by its version: a line for each.
    pub(crate) fn refuse(&self) -> Result<String> {
        let scratch = Scratch::new("refused")?;
        let modules = self.others.iter().enumerate();
        let modules: String =
            modules.map(|(at, (_, path))| scratch::spec_module(&format!("s{at}"), path)).collect();
        scratch.write(&format!("{modules}fn main() {{}}\n"))?;
        let out = scratch.check()?;
        let told = String::from_utf8_lossy(&out.stderr);
        let mut lines = String::new();
        for (version, path) in &self.others {
            let reason = refusal(&told, path)
                .with_context(|| format!("{} is not refused:\n{told}", path.display()))?;
            if !reason.contains(&format!("AMQP {version}")) {
                bail!("the refusal does not name AMQP {version}: {reason}");
            }
            writeln!(lines, "ok     {} is refused: AMQP {version}", file_name(path))?;
        }
        Ok(lines)
    }

    fn round_trip_source(&self) -> Result<String> {
        let harness = project::root().join("amqp-types/examples/round_trip/harness.rs");
        let mut modules = scratch::path_module("harness", &harness);
        let mut calls = String::new();
        for (at, (name, path)) in self.framed.iter().enumerate() {
            modules.push_str(&scratch::spec_module(&format!("s{at}"), path));
            calls.push_str(&calls_of(at, name, path)?);
        }
        Ok(format!(
            "{modules}\nuse std::process::ExitCode;\n\nfn main() -> ExitCode {{\n    \
             let mut all_well = true;\n{calls}    \
             if all_well {{ ExitCode::SUCCESS }} else {{ ExitCode::FAILURE }}\n}}\n"
        ))
    }
}

/// Statements that take one spec through the harness: each emitted type by its name, and all by
/// reflection.
fn calls_of(at: usize, name: &str, path: &Path) -> Result<String> {
    let types = Types::emitted_for(path)?;
    let declared = model::Spec::read(path)?.method_count();
    if types.methods.len() != declared {
        let shown = project::shown(path);
        bail!("{shown} declares {declared} methods, {} are emitted", types.methods.len());
    }
    let mut calls = format!("    let mut run = harness::Run::of::<s{at}::Spec>({name:?});\n");
    for method in &types.methods {
        calls.push_str(&format!("    run.method::<s{at}::{method}>();\n"));
    }
    for properties in &types.properties {
        calls.push_str(&format!("    run.properties::<s{at}::{properties}>();\n"));
    }
    calls.push_str(&format!("    run.all::<s{at}::Spec>();\n"));
    calls.push_str("    all_well &= run.finish() == ExitCode::SUCCESS;\n");
    Ok(calls)
}

/// The emitted types that implement `Method` and `Properties`, with their modules.
#[derive(Debug, Default)]
struct Types {
    methods: Vec<String>,
    properties: Vec<String>,
}

impl Types {
    fn emitted_for(path: &Path) -> Result<Self> {
        let mut types = Self::default();
        for item in emitted::expansion(path)?.items {
            let Item::Mod(module) = item else { continue };
            for item in module.content.map(|(_, items)| items).unwrap_or_default() {
                let Item::Impl(item) = item else { continue };
                let Some((interface, implementor)) = names(&item) else { continue };
                let name = format!("{}::{implementor}", module.ident);
                match interface.as_str() {
                    "Method" => types.methods.push(name),
                    "Properties" => types.properties.push(name),
                    _ => {}
                }
            }
        }
        Ok(types)
    }
}

/// The last words of the trait and of the type of an `impl`.
fn names(item: &ItemImpl) -> Option<(String, String)> {
    let last = |path: &syn::Path| path.segments.last().map(|segment| segment.ident.to_string());
    let interface = item.trait_.as_ref().and_then(|(path, _)| last(path))?;
    match &*item.self_ty {
        Type::Path(path) => Some((interface, last(&path.path)?)),
        _ => None,
    }
}

/// The compiler's line that refuses a file.
fn refusal<'a>(told: &'a str, path: &Path) -> Option<&'a str> {
    let start = format!("error: {}:", path.display());
    told.lines().find(|line| line.starts_with(&start))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
