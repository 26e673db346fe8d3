//! Whole sessions over a transport with faults, by seed, in virtual time.
//!
//! Each seed chooses the transport's faults (partial reads and writes, delays, storms of pending, a cut, a
//! reset, one half ended, silence; in each direction, after any number of octets), the broker's mood (it
//! may close the channel or the connection, vanish, or fall mute) and habits (it may say everything about closes
//! twice), and the client's doings, its farewell among them. Whatever
//! happens: every future resolves within its deadlines, nothing panics, the broker sees no frame out of
//! order, every confirmation has an outcome, the driver ends, and the connection's tables are empty.
//! Without faults everything succeeds, too. All seeds together end their sessions at every step of the protocol, which is
//! counted and printed.
//!
//! A failure prints its seed. `AMQP_SIM_SEED=<seed>` runs that one alone and prints what the broker saw;
//! `AMQP_SIM_SEEDS=<n>` runs n seeds instead of 1200 in each of the two tests, beginning at `AMQP_SIM_FIRST` (0).

mod client;
mod plan;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use amqp_connector::testing::{Faulty, Peer};

use self::plan::Plan;
use crate::broker::{Broker, Verdict};
use crate::support::resolves;

const SEEDS: u64 = 1200;

/// How often a session with faults ended when the broker had seen this last.
type Steps = BTreeMap<String, usize>;

#[test]
fn sessions_survive_any_transport() {
    survive(0);
}

/// The other half, so that both run at once.
#[test]
fn sessions_survive_any_transport_whatever_the_seed() {
    survive(1);
}

fn survive(half: u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("AMQP_SIM_SEED") {
        if seed % 2 == half {
            run(seed, true);
        }
        return;
    }
    let first = number("AMQP_SIM_FIRST").unwrap_or(0);
    let count = number("AMQP_SIM_SEEDS").unwrap_or(SEEDS);
    let mut steps = Steps::new();
    for seed in (first..).filter(|seed| seed % 2 == half).take(count as usize) {
        match catch_unwind(AssertUnwindSafe(|| run(seed, false))) {
            Ok(Some(step)) => *steps.entry(step).or_default() += 1,
            Ok(None) => {}
            Err(panic) => {
                eprintln!("seed {seed} failed; replay it with AMQP_SIM_SEED={seed}");
                resume_unwind(panic);
            }
        }
    }
    println!("{count} seeds; what the broker saw last of those with faults: {steps:#?}");
    if count >= SEEDS {
        for step in EACH {
            assert!(steps.contains_key(step), "no session ended at {step}: {steps:#?}");
        }
    }
}

/// The steps of the dialogue that every specification has.
const EACH: [&str; 14] = [
    "the protocol header",
    "connection.start-ok",
    "connection.tune-ok",
    "connection.open",
    "channel.open",
    "queue.declare",
    "basic.publish",
    "basic.get",
    "basic.consume",
    "basic.ack",
    "basic.reject",
    "basic.cancel",
    "channel.close",
    "connection.close",
];

/// Gives what the broker saw last, if there was a fault.
fn run(seed: u64, verbose: bool) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(simulate(&Plan::new(seed), verbose))
}

async fn simulate(plan: &Plan, verbose: bool) -> Option<String> {
    if verbose {
        eprintln!("{plan:#?}");
    }
    let (io, peer) = Peer::with_pipe(plan.pipe);
    let io = Faulty::new(io, plan.seed, plan.inbound, plan.outbound);
    let mut broker = Broker::new(peer, plan.seed, plan.mood);
    broker.repeats = plan.repeats;
    let broker = tokio::spawn(async move {
        let verdict = broker.run().await;
        (verdict, broker.messages(), broker.last, broker.log)
    });
    let result = client::session(plan, io).await;
    let (verdict, messages, last, log) =
        resolves("the broker", broker).await.expect("the broker does not panic");
    if verbose {
        eprintln!("{}\nresult {result:?}\nverdict {verdict:?}", log.join("\n"));
    }
    assert!(!matches!(verdict, Verdict::Broken(_)), "{verdict:?} by {plan:#?}");
    if plan.is_harmless() {
        assert!(result.is_ok(), "{result:?} although nothing failed: {plan:#?}");
        assert_eq!(messages, 0, "{plan:#?}");
        // One that aborts may leave half a frame.
        let whole = verdict == Verdict::Over || plan.is_abrupt();
        assert!(whole, "{verdict:?} by {plan:#?}");
    }
    (!plan.is_harmless()).then_some(last)
}
