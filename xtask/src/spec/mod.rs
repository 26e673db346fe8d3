//! `cargo xtask spec`: list, check and compare protocol specifications.
//!
//! Only the command line lives here; each subcommand has its own module.

pub(crate) mod bundled;
pub(crate) mod check;
pub(crate) mod choice;
mod deviations;
mod diff;
mod emitted;
mod expand;
mod list;
pub(crate) mod model;
pub(crate) mod package;
mod round_trip;
pub(crate) mod surface;

use anyhow::Result;

pub(crate) use emitted::nearest;

/// List, check and compare protocol specifications, and show what the macro emits for them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask spec list
  cargo xtask spec check
  cargo xtask spec diff 0-8 0-9-1           two bundled specs
  cargo xtask spec diff rabbitmq my.xml     a bundled one and your own
  cargo xtask spec expand basic.publish     the Rust that a method becomes
  cargo xtask spec expand queue --spec 0-8")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Which specs come with the project: version, protocol header, how many classes and methods
    List,
    /// Compare ours with the official files, and compile and round-trip every official file
    Check,
    /// What differs between two specs
    Diff {
        /// A name of `spec list` or the path of an XML file
        a: String,
        /// A name of `spec list` or the path of an XML file
        b: String,
    },
    /// One line for each method of each spec of ours, kept in amqp-types/specs/surface
    Surface {
        /// Fail if the files are not up to date (what happens without options, too)
        #[arg(long, conflicts_with = "bless")]
        check: bool,
        /// Write the files
        #[arg(long)]
        bless: bool,
    },
    /// The Rust that the macro emits, formatted
    Expand {
        /// CLASS or CLASS.METHOD, such as basic.publish; everything if left out
        item: Option<String>,
        /// A name of `spec list` or the path of an XML file [default: AMQP_SPEC if set, else rabbitmq]
        #[arg(long, value_name = "NAME|PATH")]
        spec: Option<String>,
    },
}

/// How long the macro's own work takes for a spec by name or path.
pub(crate) fn expansion_time(name_or_path: &str) -> Result<std::time::Duration> {
    emitted::expansion_time(&bundled::resolve(name_or_path)?)
}

pub(crate) fn run(args: Args) -> Result<()> {
    match args.command {
        Command::List => list::run(),
        Command::Check => check::run(),
        Command::Diff { a, b } => run_diff(&a, &b),
        Command::Surface { check: _, bless } => surface::run(bless),
        Command::Expand { item, spec } => {
            let spec = choice::chosen(spec)?;
            expand::run(item.as_deref(), spec.as_deref().unwrap_or("rabbitmq"))
        }
    }
}

fn run_diff(a: &str, b: &str) -> Result<()> {
    let left = model::Spec::read(&bundled::resolve(a)?)?;
    let right = model::Spec::read(&bundled::resolve(b)?)?;
    let differences = diff::diff(&left, &right);
    println!("{a} -> {b}:");
    for difference in &differences {
        println!("{difference}");
    }
    println!("{} differences", differences.len());
    Ok(())
}
