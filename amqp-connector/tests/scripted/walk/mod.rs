//! Nothing hangs: whole dialogues with the broker in memory, and at each frame of each direction everything that can
//! go wrong with it.
//!
//! A dialogue is had again and again: at its first frame, then its second, and so on until there is no such frame, the
//! transport falls silent, is cut, or brings another frame than was sent. Whatever happens, every future of the public
//! surface ends by its deadline or with its connection, with an error that can be told by its kind; the driver and the
//! broker's task end; the connection's tables are empty. All of it in virtual time. The figures are printed.

mod asking;
mod dialogues;
mod returning;
mod run;
mod transport;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use self::run::{Ends, Walk, Walked, run};
use self::transport::{Direction, Fault, Plan, Tap};

/// The public futures that no dialogue awaits: those that need TCP, whose socket knows no virtual time. What they do
/// beyond dialling is [`Connector::connect_with`](amqp_connector::Connector::connect_with)'s.
const BY_TCP: [&str; 3] = ["Connection::open", "Connector::connect", "Connector::open"];

/// Goes through all frames of a dialogue with all faults.
fn walk_through(name: &str, dialogue: impl AsyncFn(&Walk, Tap) -> Walked) {
    let (mut frames, mut walks, mut outlasted, mut ends) = (0, 0, 0, Ends::new());
    for direction in [Direction::Inbound, Direction::Outbound] {
        for frame in 0.. {
            let mut hit = false;
            for fault in Fault::ALL {
                let plan = Plan { direction, frame, fault };
                let walked = catch_unwind(AssertUnwindSafe(|| run(&dialogue, Some(plan))));
                let report = walked.unwrap_or_else(|panic| {
                    eprintln!("{name} failed at {plan:?}");
                    resume_unwind(panic)
                });
                if !report.seen.hit {
                    break;
                }
                hit = true;
                walks += 1;
                outlasted += usize::from(report.outlasted);
                for (end, times) in report.ends {
                    *ends.entry(end).or_default() += times;
                }
            }
            if !hit {
                frames += frame;
                break;
            }
        }
    }
    println!(
        "{name}: {frames} frames, {} faults at each, {walks} walks; {outlasted} needed a close",
        Fault::ALL.len()
    );
    for (end, times) in ends {
        println!("  {times:6} {end}");
    }
    assert!(frames > 20, "the dialogue has {frames} frames only");
}

#[test]
fn nothing_hangs_whatever_frame_of_calls_and_publishes_goes_wrong() {
    walk_through("calling", dialogues::calling);
}

#[test]
fn nothing_hangs_whatever_frame_of_consuming_goes_wrong() {
    walk_through("consuming", dialogues::consuming);
}

#[test]
fn nothing_hangs_whatever_frame_of_reading_streams_goes_wrong() {
    walk_through("reading", dialogues::reading);
}

#[test]
fn nothing_hangs_whatever_frame_of_publishing_streams_goes_wrong() {
    walk_through("streaming", dialogues::streaming);
}

#[test]
fn nothing_hangs_whatever_frame_of_the_peers_own_doings_goes_wrong() {
    walk_through("obeying", dialogues::obeying);
}

#[test]
fn nothing_hangs_whatever_frame_of_requests_and_replies_goes_wrong() {
    walk_through("asking", asking::asking);
}

#[test]
fn nothing_hangs_whatever_frame_of_a_challenge_and_a_new_secret_goes_wrong() {
    walk_through("proving", returning::proving);
}

#[test]
fn nothing_hangs_whatever_frame_of_a_connection_that_comes_back_goes_wrong() {
    walk_through("returning", returning::returning);
}

/// Without a fault all dialogues succeed, and await between them every future that the register has.
#[test]
fn every_public_future_is_awaited_in_a_dialogue() {
    let mut awaited = BTreeSet::new();
    awaited.extend(run(dialogues::calling, None).awaited);
    awaited.extend(run(dialogues::consuming, None).awaited);
    awaited.extend(run(dialogues::reading, None).awaited);
    awaited.extend(run(dialogues::streaming, None).awaited);
    awaited.extend(run(dialogues::obeying, None).awaited);
    awaited.extend(run(asking::asking, None).awaited);
    awaited.extend(run(returning::proving, None).awaited);
    awaited.extend(run(returning::returning, None).awaited);
    println!("{} futures are awaited, {} need TCP", awaited.len(), BY_TCP.len());
    awaited.extend(BY_TCP);
    let register = include_str!("../../futures.tsv").lines();
    let rows = register.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let public: BTreeSet<&str> = rows.filter_map(|row| row.split('\t').next()).collect();
    assert_eq!(awaited, public);
}
