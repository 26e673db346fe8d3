//! `amqp`, a program for the command line: what scripts and people do with a broker, by the specification that it was
//! compiled with.
//!
//! Stands upon the crate's public interface alone. Here is what all commands share: reading the arguments, the runtime, and
//! the exit code. Nothing in it panics for what a user, a broker or the operating system may do.

mod args;
mod broker;
mod consume;
mod fail;
mod output;
mod publish;
mod show;
mod topology;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::args::{Args, Command};
use crate::broker::{Interrupts, Work};
use crate::fail::{Ended, Ending, Failure};
use crate::output::{Format, Output};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and the version go to standard output, whose reader may be gone.
            let _ = error.print();
            return if error.use_stderr() { Failure::USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    match run(args) {
        Ok(ending) => ending.code().into(),
        Err(failure) => {
            if let Some(text) = failure.text() {
                eprintln!("amqp: {text}");
            }
            failure.code().into()
        }
    }
}

fn run(args: Args) -> Ended {
    if let Command::Completions { shell } = args.command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Args::command(), "amqp", &mut script);
        Output::new(Format::Text).octets(&script)?;
        return Ok(Ending::Done);
    }
    // More than this thread: while a slow reader of standard output holds it up, heartbeats go on.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("no runtime: {error}")))?;
    let ending = runtime.block_on(dispatch(args));
    // A thread may wait for standard input, which need never end.
    runtime.shutdown_background();
    ending
}

async fn dispatch(args: Args) -> Ended {
    let Args { target, json, command } = args;
    let output = Output::new(if json { Format::Json } else { Format::Text });
    let work = Work { target, interrupts: Interrupts::listen(), output };
    match command {
        Command::Publish(publish) => publish::run(&work, *publish).await,
        Command::Consume(consume) => consume::consume(&work, consume).await,
        Command::Get(get) => consume::get(&work, get).await,
        Command::Declare { what } => topology::declare(&work, what).await,
        Command::Bind(bind) => topology::bind(&work, bind).await,
        Command::Unbind(bind) => topology::unbind(&work, bind).await,
        Command::Delete { what } => topology::delete(&work, what).await,
        Command::Purge { queue } => topology::purge(&work, &queue).await,
        Command::Completions { .. } => Ok(Ending::Done),
    }
}
