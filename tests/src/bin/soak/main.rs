//! A load at a steady rate under faults of every kind, for as long as wanted: the program of `cargo xtask soak`.
//!
//! It is given nodes that it may kill (`AMQP_SOAK_NODES`) and four numbers: seconds, messages a second, the seed, and how
//! many seconds a round has. After each round the faults pause until everything is accounted for. It prints a line every few
//! seconds and a summary, and fails if anything was lost, hangs, or grows.

mod memory;

use std::os::unix::process::parent_id;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use amqp_tests::faults::{Fault, Load, Nodes, Plan, Storm, Totals};
use memory::Memory;
use tokio::signal::unix::{SignalKind, signal};

/// Between two lines.
const LINES: Duration = Duration::from_secs(5);
/// Between two gusts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(6));
const PUBLISHERS: usize = 3;
const CONSUMERS: usize = 3;

fn main() -> ExitCode {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(soak());
            // What still asks a node may wait long for one that is gone.
            runtime.shutdown_background();
            code
        }
        Err(error) => told(&format!("no tokio runtime: {error}")),
    }
}

async fn soak() -> ExitCode {
    let soak = match Soak::from_arguments().await {
        Ok(soak) => soak,
        Err(error) => return told(&error),
    };
    let (Ok(mut end), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return told("no signal handlers");
    };
    let ended = tokio::select! {
        () = soak.run() => Some(()),
        _ = end.recv() => None,
        _ = interrupt.recv() => None,
        () = orphaned() => None,
    };
    match ended {
        Some(()) => match soak.conclude().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => told(&error),
        },
        None => {
            soak.summary(&soak.load.ledger(|ledger| ledger.totals()));
            told("interrupted: the last round is not accounted for")
        }
    }
}

/// Ends when xtask is gone, which has the nodes.
async fn orphaned() {
    let parent = parent_id();
    while parent_id() == parent {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn told(error: &str) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

/// What runs.
#[derive(Debug)]
struct Soak {
    load: Load,
    time: Duration,
    round: Duration,
    seed: u64,
    quorum: bool,
    memory: Memory,
    started: Instant,
}

impl Soak {
    async fn from_arguments() -> Result<Self, String> {
        let numbers: Option<Vec<u64>> =
            std::env::args().skip(1).map(|number| number.parse().ok()).collect();
        let Some([seconds, rate, seed, round]) = numbers.as_deref() else {
            return Err("usage: soak SECONDS RATE SEED ROUND; see cargo xtask soak".to_owned());
        };
        let nodes = Nodes::from_variable("AMQP_SOAK_NODES")?;
        let quorum = nodes.all().len() > 1;
        let plan = Plan {
            prefix: "soak.".to_owned(),
            publishers: PUBLISHERS,
            republishers: 1,
            consumers: CONSUMERS,
            rate: u32::try_from(*rate).map_err(|error| error.to_string())?,
            quorum,
            rejecting: !quorum,
        };
        let load = Load::start(nodes.all(), &plan).await?;
        let (time, round) = (Duration::from_secs(*seconds), Duration::from_secs(*round));
        let memory = Memory::default();
        Ok(Self { load, time, round, seed: *seed, quorum, memory, started: Instant::now() })
    }

    /// Rounds until the time is over. A line and a look at the memory are due all the while.
    async fn run(&self) {
        println!(
            "seed {}: rounds of {} s, {PUBLISHERS} publishers, {CONSUMERS} consumers, a {} queue",
            self.seed,
            self.round.as_secs(),
            if self.quorum { "quorum" } else { "classic" }
        );
        let rounds = async {
            let mut storm = Storm::new(self.seed, PUBLISHERS + CONSUMERS, true, PAUSES);
            while self.started.elapsed() < self.time {
                self.load.round(self.faults(&mut storm)).await;
            }
        };
        let looks = async {
            let (mut seconds, mut line) =
                (tokio::time::interval(Duration::from_secs(1)), Instant::now());
            loop {
                seconds.tick().await;
                self.memory.look();
                if line.elapsed() >= LINES {
                    line = Instant::now();
                    self.line();
                }
            }
        };
        tokio::select! {
            () = rounds => {}
            () = looks => {}
        }
    }

    /// The faults of one round.
    async fn faults(&self, storm: &mut Storm) -> Result<(), String> {
        let began = Instant::now();
        while began.elapsed() < self.round && self.started.elapsed() < self.time {
            let Some(gust) = storm.next() else { break };
            for fault in &gust.faults {
                let mut counts = self.memory.faults();
                match fault {
                    Fault::Kill(_) => counts.kills += 1,
                    Fault::Close => counts.closes += 1,
                    Fault::Break(_, how) => {
                        *counts.breaks.entry(format!("{how:?}")).or_default() += 1
                    }
                }
            }
            self.memory.faults().last = gust.to_string();
            self.load.inflict(&gust).await?;
        }
        Ok(())
    }

    fn line(&self) {
        let (totals, missing, faults) = self.load.ledger(|ledger| {
            (ledger.totals(), ledger.missing(), ledger.faults().0.len() + ledger.faults().1)
        });
        println!(
            "{:5} s  {} published, {} acked, {} nacked, {} returned, {} unknown, {} consumed, {} again; \
             {} losses, {} kills; {} and {} to come; {} KiB{}; last: {}",
            self.started.elapsed().as_secs(),
            totals.published,
            totals.acked,
            totals.nacked,
            totals.returned,
            totals.unknown,
            totals.consumed,
            totals.again_after_loss + totals.again_after_kill + totals.again_republished,
            totals.losses,
            totals.kills,
            missing.0,
            missing.1,
            self.memory.last(),
            if faults > 0 { format!("; {faults} FAULTS OF THE CLIENT") } else { String::new() },
            self.memory.faults().last,
        );
    }

    fn summary(&self, totals: &Totals) {
        let seconds = self.started.elapsed().as_secs().max(1);
        let counts = self.memory.faults();
        println!(
            "\nseed {}, {seconds} s, {} rounds accounted for, {} messages a second\n\
             faults      {} kills of {} nodes, {} closes of all, breaks {:?}\n\
             losses      {} of connections, {} of them in a recovery, {} recoveries, the longest in {} ms\n\
             published   {} = {} acked + {} nacked + {} returned + {} unknown; {} were published again\n\
             consumed    {}, of them {} unknown; again {} after a loss, {} after a kill, {} for being \
             published again; {} unmarked\n\
             memory      {}",
            self.seed,
            totals.rounds,
            totals.published / seconds,
            counts.kills,
            totals.killed,
            counts.closes,
            counts.breaks,
            totals.losses,
            totals.interrupted,
            totals.recoveries,
            totals.longest.as_millis(),
            totals.published,
            totals.acked,
            totals.nacked,
            totals.returned,
            totals.unknown,
            totals.republished,
            totals.consumed,
            totals.unknown_consumed,
            totals.again_after_loss,
            totals.again_after_kill,
            totals.again_republished,
            totals.unmarked,
            self.memory,
        );
    }

    async fn conclude(self) -> Result<(), String> {
        self.summary(&self.load.ledger(|ledger| ledger.totals()));
        let grown = self.memory.judge();
        let totals = self.load.end().await?;
        grown?;
        let told = totals.acked + totals.nacked + totals.returned + totals.unknown;
        if totals.published != told {
            return Err(format!("{} were published and {told} accounted for", totals.published));
        }
        println!("nothing is lost, nothing hangs, nothing grows");
        Ok(())
    }
}
