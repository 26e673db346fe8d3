//! `spec list`: the specs that come with the project, a line each.

use anyhow::Result;

use super::bundled::{BUNDLED, DIALECTS, Ours};
use super::model::Spec;
use crate::project;

/// Prints the table.
pub(crate) fn run() -> Result<()> {
    println!("bundled, chosen by name (AMQP_SPEC=0-8 cargo build):");
    print_all(&BUNDLED)?;
    println!("\nfurther files, chosen by path:");
    print_all(&DIALECTS)
}

fn print_all(files: &[Ours]) -> Result<()> {
    println!(
        "  {:16} {:7} {:16} {:>7} {:>7} {:>9}  file",
        "name", "version", "header", "classes", "methods", "constants"
    );
    for ours in files {
        let spec = Spec::read(&ours.path())?;
        println!(
            "  {:16} {:7} {:16} {:>7} {:>7} {:>9}  {}",
            ours.name,
            spec.version(),
            header(&spec),
            spec.classes.len(),
            spec.method_count(),
            spec.constants.len(),
            project::shown(&ours.path()),
        );
    }
    Ok(())
}

/// `AMQP 0 0 9 1`.
fn header(spec: &Spec) -> String {
    let [.., a, b, c, d] = spec.protocol_header();
    format!("AMQP {a} {b} {c} {d}")
}
