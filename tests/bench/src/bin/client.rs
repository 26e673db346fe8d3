//! One measurement: runs one case with one client and prints one line of JSON.
//!
//! A client that fails, or does not end in time, is told by the line's `error`; the exit status is 0 then as
//! well, and 2 if the arguments make no sense.

use std::process::ExitCode;
use std::time::Duration;

use amqp_bench::cases::{self, Case};
use amqp_bench::clients::{self, Entry};
use amqp_bench::context::Context;
use amqp_bench::report::{self, Subject};
use anyhow::{Context as _, Result, anyhow, bail};

const USAGE: &str = "\
client --client NAME --case NAME --url amqp://guest:guest@127.0.0.1:PORT/%2f
       [--workers 1|2] [--seconds S] [--target sink|broker]
client --list-cases | --list-clients";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<()> {
    let Some(Arguments { client, case, ctx }) = arguments()? else {
        return Ok(());
    };
    give_up_after(ctx.deadline(), client, &case, ctx.workers);
    let workers = ctx.workers;
    let result = (client.run)(case.clone(), ctx);
    println!("{}", report::line(subject(client, workers), &case, &result));
    // Whatever the client left running is not waited for.
    std::process::exit(0)
}

fn subject(client: Entry, workers: usize) -> Subject<'static> {
    Subject { client: client.name, version: client.version, workers }
}

/// A thread of its own, since a client that hangs may hold every other.
fn give_up_after(deadline: Duration, client: Entry, case: &Case, workers: usize) {
    let case = case.clone();
    std::thread::spawn(move || {
        std::thread::sleep(deadline);
        let error = anyhow!("not over after {} seconds", deadline.as_secs_f64());
        println!("{}", report::line(subject(client, workers), &case, &Err(error)));
        std::process::exit(0);
    });
}

struct Arguments {
    client: Entry,
    case: Case,
    ctx: Context,
}

/// What was asked for; `None` if that has been answered.
fn arguments() -> Result<Option<Arguments>> {
    let (mut client, mut case, mut url, mut target) = (None, None, None, None);
    let (mut workers, mut seconds) = (2, 1.0);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--list-cases" => return Ok(list(cases::all().iter().map(|case| case.name.as_str()))),
            "--list-clients" => return Ok(list(clients::all().iter().map(|client| client.name))),
            _ => {}
        }
        let value = arguments.next().with_context(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--client" => client = Some(value),
            "--case" => case = Some(value),
            "--url" => url = Some(value),
            "--target" => target = Some(value),
            "--workers" => workers = value.parse().context("--workers")?,
            "--seconds" => seconds = value.parse().context("--seconds")?,
            _ => bail!("{argument} is unknown"),
        }
    }
    let client = client.context("--client is missing")?;
    let case = case.context("--case is missing")?;
    let found = clients::all().into_iter().find(|entry| entry.name == client);
    let client = found.with_context(|| format!("no client is called {client}"))?;
    let case = cases::find(&case).with_context(|| format!("no case is called {case}"))?;
    let expected = if case.broker { "broker" } else { "sink" };
    if target.is_some_and(|target| target != expected) {
        bail!("{} is a case for the {expected}", case.name);
    }
    if !(1..=64).contains(&workers) {
        bail!("--workers must be from 1 to 64");
    }
    let seconds = Duration::try_from_secs_f64(seconds).context("--seconds")?;
    let ctx = Context::new(&url.context("--url is missing")?, workers, seconds)?;
    Ok(Some(Arguments { client, case, ctx }))
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> Option<Arguments> {
    names.for_each(|name| println!("{name}"));
    None
}
