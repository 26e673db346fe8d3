//! Whole dialogues with a server that says anything: frames of the right grammar in any order and with any values, frames
//! with octets changed, cut off or repeated, and octets that are no frames; by seed, in virtual time.
//!
//! Whatever it says: no panic, every future resolves, what the client writes is well-formed, nothing is left when the
//! connection is over, and the client never holds more memory than [`BOUND`].
//!
//! A failure prints its seed. `AMQP_FUZZ_SEED=<seed>` runs that one alone, `AMQP_FUZZ_FIRST=<seed>` begins elsewhere,
//! `AMQP_FUZZ_SECONDS=<s>` goes on for so long; `cargo xtask fuzz` does the latter, as one of its targets. The profile it
//! builds with checks arithmetic, as that of tests does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod client;
mod frames;
mod server;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use amqp_connector::testing::Rng;
use tokio::runtime::Builder;

/// Dialogues of a run in which no time is given.
const SEEDS: u64 = 300;

/// The most that client and server hold at once in octets: the client's budgets, as `client` sets them, the buffers of both,
/// and the largest frame's tables, decoded.
const BOUND: u64 = 12 << 20;

/// What may stay when a dialogue is over: memory of the runtime's thread.
const LEFT: i64 = 256 << 10;

/// Panics anywhere: tokio keeps those of tasks to itself.
static PANICS: AtomicUsize = AtomicUsize::new(0);

#[test]
fn nothing_a_server_says_does_harm() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        hook(panic);
    }));
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("AMQP_FUZZ_SEED") {
        println!("seed {seed}: {:?}", dialogue(seed));
        return;
    }
    let first = number("AMQP_FUZZ_FIRST").unwrap_or(0);
    let time = number("AMQP_FUZZ_SECONDS").map(Duration::from_secs);
    let (begun, mut told) = (Instant::now(), Instant::now());
    let (mut sum, mut seed) = (Sum::default(), first);
    while time.map_or(seed - first < SEEDS, |time| begun.elapsed() < time) {
        match catch_unwind(AssertUnwindSafe(|| dialogue(seed))) {
            Ok(seen) => sum.add(seed, &seen),
            Err(panic) => {
                eprintln!("seed {seed} failed; replay it with AMQP_FUZZ_SEED={seed}");
                resume_unwind(panic);
            }
        }
        seed += 1;
        if told.elapsed() > Duration::from_secs(30) {
            told = Instant::now();
            println!("#{}\tdialogues", seed - first);
        }
    }
    let seconds = begun.elapsed().as_secs().max(1);
    let executions = seed - first;
    println!("{executions} dialogues: {sum:#?}");
    println!("stat::number_of_executed_units: {executions}");
    println!("stat::average_exec_per_sec:     {}", executions / seconds);
    assert!(sum.opened * 2 > executions, "most are to get past the handshake: {sum:#?}");
}

/// What was seen in all dialogues.
#[derive(Debug, Default)]
struct Sum {
    opened: u64,
    frames: u64,
    /// The most that was held, and by which seed.
    peak: (u64, u64),
    recovered: u64,
    /// How the connections ended, and how often.
    ends: BTreeMap<String, u64>,
}

impl Sum {
    fn add(&mut self, seed: u64, seen: &Seen) {
        self.opened += u64::from(seen.opened);
        self.frames += seen.frames;
        self.recovered += u64::from(seen.recovered);
        self.peak = self.peak.max((seen.peak, seed));
        if !seen.end.is_empty() {
            *self.ends.entry(seen.end.clone()).or_default() += 1;
        }
    }
}

/// What was seen in one.
#[derive(Debug, Default)]
struct Seen {
    opened: bool,
    recovered: bool,
    /// How many the server sent.
    frames: u64,
    peak: u64,
    /// How the connection ended.
    end: String,
}

fn dialogue(seed: u64) -> Seen {
    PANICS.store(0, Ordering::Relaxed);
    let mut seen = Seen::default();
    let spent = allocation_counter::measure(|| {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(client::session(Rng::new(seed), &mut seen));
    });
    seen.peak = spent.bytes_max;
    assert_eq!(PANICS.load(Ordering::Relaxed), 0, "a task panicked");
    assert!(spent.bytes_max <= BOUND, "{} octets were held", spent.bytes_max);
    assert!(spent.bytes_current <= LEFT, "{} octets are left", spent.bytes_current);
    seen
}
