//! The project's own commands, `cargo xtask <command>`: the tree of commands and nothing else.
//!
//! Each command lives in a module of its own with a `run` function; this file parses the command
//! line, calls it, and turns its result into the exit code. It must never hold a command's logic.

mod bench;
mod broker;
mod check;
mod demo;
mod fuzz;
mod openssl;
mod project;
mod scratch;
mod soak;
mod spec;
mod suggest;
mod test;
mod url;
mod vectors;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The commands of this project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, about, after_help = EXAMPLES)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Start here:
  cargo xtask demo                see messages go through a real broker
  cargo xtask test                run every test, under every bundled spec
  cargo xtask spec list           which protocol versions come with the project

`cargo xtask help <command>` shows a command's options and examples.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Send messages through a real broker and watch each step
    Demo(demo::Args),
    /// Run the tests: unit, macro, doc, scripted and broker tests, one summary at the end
    Test(test::Args),
    /// Start, stop and look at the private broker that the broker tests use
    Broker(broker::Args),
    /// List, check and compare protocol specifications, and show what the macro emits for them
    Spec(spec::Args),
    /// Check the codec against a folder of byte-exact vectors
    Vectors(vectors::Args),
    /// Run the fuzz targets of amqp-types in parallel
    Fuzz(fuzz::Args),
    /// Publish and consume for minutes while brokers are killed and links break, and account for every message
    Soak(soak::Args),
    /// Measure the connector beside other AMQP clients
    Bench(bench::Args),
    /// Everything about the code that is no test: format, lints, docs, layers, dependencies
    Check(check::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => demo::run(args),
        Command::Test(args) => test::run(args),
        Command::Broker(args) => broker::run(args),
        Command::Spec(args) => spec::run(args),
        Command::Vectors(args) => vectors::run(args),
        Command::Fuzz(args) => fuzz::run(args),
        Command::Soak(args) => soak::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Check(args) => check::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is::<project::Told>() {
                eprintln!("error: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::{CommandFactory as _, Parser as _};

    #[test]
    fn command_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn unknown_word_suggests_the_nearest() {
        let error = Cli::try_parse_from(["cargo xtask", "vectros"]).unwrap_err().to_string();
        assert!(error.contains("'vectors'"), "{error}");
    }
}
