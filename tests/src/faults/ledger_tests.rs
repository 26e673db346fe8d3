//! That the ledger finds what may not be, and takes nothing else for it.

use super::*;

const SEEN: Seen = Seen { consumer: 0, epoch: 1, losses: 0, redelivered: false, acked: true };
const AGAIN: Seen = Seen { redelivered: true, ..SEEN };

fn opened() -> Ledger {
    let mut ledger = Ledger::new(2);
    ledger.open();
    ledger
}

/// What is written down once the round is over.
fn faults(mut ledger: Ledger) -> Vec<String> {
    ledger.pause();
    ledger.close();
    ledger.faults().0.to_vec()
}

#[track_caller]
fn only_fault(ledger: Ledger, words: &str) {
    let faults = faults(ledger);
    assert!(matches!(&faults[..], [fault] if fault.contains(words)), "{faults:?}");
}

#[test]
fn what_is_acked_and_consumed_once_is_right_in_either_order() {
    let mut ledger = opened();
    let [one, two] = [(); 2].map(|()| ledger.publish(Kind::Wanted).unwrap());
    ledger.told(one, Told::Acked, false);
    assert_eq!(ledger.missing(), (1, 1));
    ledger.seen(one, SEEN);
    ledger.seen(two, SEEN);
    ledger.told(two, Told::Acked, false);
    assert_eq!(ledger.missing(), (0, 0));
    let Totals { published, acked, consumed, .. } = ledger.totals();
    assert_eq!((published, acked, consumed), (2, 2, 2));
    assert_eq!(faults(ledger), [""; 0]);
}

#[test]
fn what_is_acked_and_not_consumed_is_lost() {
    let mut ledger = opened();
    let id = ledger.publish(Kind::Wanted).unwrap();
    ledger.told(id, Told::Acked, false);
    only_fault(ledger, "LOST");
}

#[test]
fn an_outcome_that_never_comes_is_a_fault_and_so_is_a_second_one() {
    let mut ledger = opened();
    ledger.publish(Kind::Wanted).unwrap();
    only_fault(ledger, "never came");
    let mut ledger = opened();
    let id = ledger.publish(Kind::Wanted).unwrap();
    ledger.told(id, Told::Unknown, false);
    ledger.told(id, Told::Acked, false);
    only_fault(ledger, "after Unknown");
}

#[test]
fn what_was_not_acked_may_be_consumed_or_not() {
    let mut ledger = opened();
    for (told, seen) in [(Told::Unknown, true), (Told::Unknown, false), (Told::Nacked, false)] {
        let id = ledger.publish(Kind::Wanted).unwrap();
        ledger.told(id, told, false);
        if seen {
            ledger.seen(id, SEEN);
        }
    }
    assert_eq!(ledger.totals().unknown_consumed, 1);
    assert_eq!(faults(ledger), [""; 0]);
}

#[test]
fn a_second_delivery_needs_a_loss_of_who_had_the_first() {
    for (lost, right) in [(None, false), (Some(1), false), (Some(0), true)] {
        let mut ledger = opened();
        let id = ledger.publish(Kind::Wanted).unwrap();
        ledger.told(id, Told::Acked, false);
        ledger.seen(id, SEEN);
        ledger.seen(id, Seen { consumer: 1, ..AGAIN });
        // The broker may have noticed first.
        ledger.settle_doubts(Duration::from_secs(60));
        if let Some(lost) = lost {
            ledger.lost(lost);
        }
        match right {
            true => assert_eq!(faults(ledger), [""; 0]),
            false => only_fault(ledger, "though nothing was lost"),
        }
    }
}

#[test]
fn a_second_delivery_is_right_where_the_first_could_not_be_acked() {
    let mut ledger = opened();
    let id = ledger.publish(Kind::Wanted).unwrap();
    ledger.told(id, Told::Acked, false);
    ledger.seen(id, Seen { acked: false, ..SEEN });
    ledger.seen(id, Seen { epoch: 2, ..AGAIN });
    assert_eq!(ledger.totals().again_after_loss, 1);
    assert_eq!(faults(ledger), [""; 0]);
}

#[test]
fn nothing_comes_twice_in_one_epoch_whatever_else_was_lost() {
    for (killed, right) in [(false, false), (true, true)] {
        let mut ledger = opened();
        let id = ledger.publish(Kind::Wanted).unwrap();
        ledger.told(id, Told::Acked, false);
        ledger.seen(id, SEEN);
        ledger.lost(0);
        if killed {
            ledger.killed("a");
        }
        ledger.seen(id, AGAIN);
        match right {
            true => assert_eq!(faults(ledger), [""; 0]),
            false => only_fault(ledger, "in one epoch"),
        }
    }
}

#[test]
fn what_was_published_again_may_come_again_in_any_way_whenever_that_is_told() {
    for republished in [false, true] {
        let mut ledger = opened();
        let id = ledger.publish(Kind::Wanted).unwrap();
        ledger.seen(id, SEEN);
        ledger.seen(id, SEEN);
        ledger.seen(id, Seen { consumer: 1, ..SEEN });
        // Nobody knows yet.
        ledger.settle_doubts(Duration::from_nanos(1));
        assert_eq!(ledger.faults().0, [""; 0]);
        ledger.told(id, Told::Acked, republished);
        ledger.pause();
        ledger.close();
        let Totals { again_republished, .. } = ledger.totals();
        assert_eq!(
            (again_republished, ledger.faults().0.len()),
            if republished { (2, 0) } else { (0, 2) }
        );
    }
}

#[test]
fn only_a_killed_broker_may_forget_that_it_has_delivered() {
    for killed in [false, true] {
        let mut ledger = opened();
        let id = ledger.publish(Kind::Wanted).unwrap();
        ledger.told(id, Told::Acked, false);
        ledger.seen(id, SEEN);
        ledger.lost(0);
        if killed {
            ledger.killed("a");
        }
        ledger.seen(id, Seen { epoch: 2, losses: 1, ..SEEN });
        assert_eq!(ledger.totals().unmarked, 1);
        match killed {
            true => assert_eq!(faults(ledger), [""; 0]),
            false => only_fault(ledger, "unmarked"),
        }
    }
}

#[test]
fn a_message_of_a_closed_round_comes_again_only_from_a_killed_broker() {
    for killed in [false, true] {
        let mut ledger = opened();
        let id = ledger.publish(Kind::Wanted).unwrap();
        ledger.told(id, Told::Acked, false);
        ledger.seen(id, SEEN);
        ledger.pause();
        ledger.close();
        ledger.open();
        if killed {
            ledger.killed("a");
        }
        ledger.seen(id, AGAIN);
        match killed {
            true => assert_eq!(faults(ledger), [""; 0]),
            false => only_fault(ledger, "no node was killed"),
        }
    }
}

#[test]
fn each_kind_of_message_has_its_outcomes() {
    for (kind, told, right) in [
        (Kind::Unroutable, Told::Returned, true),
        (Kind::Unroutable, Told::Unknown, true),
        (Kind::Unroutable, Told::Acked, false),
        (Kind::Rejected, Told::Nacked, true),
        (Kind::Rejected, Told::Acked, false),
        (Kind::Wanted, Told::Returned, false),
    ] {
        let mut ledger = opened();
        let id = ledger.publish(kind).unwrap();
        ledger.told(id, told, false);
        assert_eq!(faults(ledger).is_empty(), right, "{kind:?} {told:?}");
    }
    let mut ledger = opened();
    let id = ledger.publish(Kind::Unroutable).unwrap();
    ledger.told(id, Told::Returned, false);
    ledger.seen(id, SEEN);
    assert!(!faults(ledger).is_empty());
}

#[test]
fn nothing_is_published_while_the_round_is_paused() {
    let mut ledger = opened();
    ledger.pause();
    assert!(ledger.publish(Kind::Wanted).is_none());
    assert_eq!(ledger.totals().published, 0);
}
