//! The clients, each behind the same trait, and the choice of one by its name.
//!
//! A client is written as a good user of its public interface would write it, and does the same as the
//! others do: [`cases`](crate::cases) says what. It must measure by the [`Meter`](crate::meter::Meter) alone.

pub mod amqp_client;
pub mod amqprs;
mod floor;
pub mod lapin;
mod library;
pub mod ours;
pub mod raw;
mod transport;
mod wire;

use std::future::Future;

use anyhow::{Result, anyhow};
use tokio::runtime::{Builder, Runtime};

use crate::cases::Case;
use crate::context::Context;
use crate::meter::Measured;
use crate::report;

/// One AMQP client.
pub trait Client {
    /// The name that it is asked for by.
    const NAME: &'static str;
    /// Whether it blocks its thread: it has that one thread then, whatever was asked for.
    const BLOCKING: bool = false;

    /// The version that is measured.
    fn version() -> &'static str;

    /// Runs a case. A client that cannot answers [`unsupported`].
    fn run(case: Case, ctx: Context) -> impl Future<Output = Result<Measured>> + Send + 'static;
}

/// The answer of a client that cannot do a case.
#[must_use]
pub fn unsupported(why: &str) -> anyhow::Error {
    anyhow!("unsupported: {why}")
}

/// A client's name and version, and how to run it.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name that it is asked for by.
    pub name: &'static str,
    /// The version that is measured.
    pub version: &'static str,
    /// Runs a case to its end, on a runtime of the kind asked for.
    pub run: fn(Case, Context) -> Result<Measured>,
}

/// All clients.
#[must_use]
pub fn all() -> Vec<Entry> {
    vec![
        entry::<ours::Ours>(),
        entry::<lapin::Lapin>(),
        entry::<amqprs::Amqprs>(),
        entry::<amqp_client::AmqpClient>(),
        entry::<raw::Raw>(),
        entry::<floor::Floor>(),
        entry::<floor::FloorEpoll>(),
    ]
}

fn entry<C: Client>() -> Entry {
    Entry { name: C::NAME, version: C::version(), run: run::<C> }
}

fn run<C: Client>(case: Case, ctx: Context) -> Result<Measured> {
    let threads = if C::BLOCKING { 1 } else { ctx.workers };
    let runtime = runtime(threads)?;
    // In a task of its own: the thread that waits for it is none of the runtime's workers.
    runtime.block_on(async { tokio::spawn(C::run(case, ctx)).await? })
}

fn runtime(threads: usize) -> Result<Runtime> {
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    Ok(builder.enable_all().build()?)
}

/// The version of a package that this is built with.
fn locked(package: &str) -> &'static str {
    report::locked_version(package)
}
