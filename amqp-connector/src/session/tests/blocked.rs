//! What publishes, calls and watchers are told while the broker blocks the connection, by policy.

use amqp_types::protocol::queue;

use super::*;
use crate::options::WhileBlocked;
use crate::{CloseCause, ErrorKind};

const SECOND: Duration = Duration::from_secs(1);

/// Both policies `Fail`.
fn failing() -> Options {
    let mut options = Options::default();
    options.publish_while_blocked = WhileBlocked::Fail;
    options.call_while_blocked = WhileBlocked::Fail;
    options
}

fn block(bench: &mut Bench, reason: &str) {
    bench.receive(0, connection::Blocked { reason: short(reason) });
}

fn unblock(bench: &mut Bench) {
    bench.receive(0, connection::Unblocked::default());
}

fn kind(published: Published) -> Option<ErrorKind> {
    match published {
        Poll::Ready(Err(error)) => Some(error.kind()),
        _ => None,
    }
}

#[test]
fn by_policy_a_publish_fails_before_anything_is_encoded() {
    let mut bench = Bench::with(failing());
    let key = bench.open();
    block(&mut bench, "memory");
    assert_eq!(kind(bench.publish(key, "x")), Some(ErrorKind::Blocked));
    bench.nothing_sent();
    unblock(&mut bench);
    bench.accepted(key, "x");
    assert_eq!(bench.names(), [(key.id, "basic.publish")]);
    assert_eq!(bench.left().waiting, 0);
}

#[test]
fn by_policy_publishes_that_wait_already_fail_too_whatever_they_wait_for() {
    let mut options = failing();
    options.outbound_budget = 10;
    let mut bench = Bench::with(options);
    let (key, paused) = (bench.open(), bench.open());
    bench.receive(paused.id, channel::Flow { active: false });
    bench.frames();
    bench.accepted(key, vec![1; 100]);
    let (woken, waker) = counter();
    let (mut held, mut place) = (message("x"), Place::None);
    let (mut other, mut gate) = (message("x"), Place::None);
    assert!(bench.publish_from(key, &mut held, &mut place, &waker).is_pending());
    assert!(bench.publish_from(paused, &mut other, &mut gate, &waker).is_pending());
    block(&mut bench, "memory");
    assert_eq!(woken.get(), 2);
    let room = bench.publish_from(key, &mut held, &mut place, &waker);
    let gate = bench.publish_from(paused, &mut other, &mut gate, &waker);
    assert_eq!((kind(room), kind(gate)), (Some(ErrorKind::Blocked), Some(ErrorKind::Blocked)));
    assert_eq!(bench.left().waiting, 0);
    assert_eq!(bench.names(), [(key.id, "basic.publish")], "the first one");
}

#[test]
fn a_queue_of_waiting_publishes_goes_in_order_after_the_block() {
    let mut bench = Bench::new();
    let key = bench.open();
    block(&mut bench, "memory");
    let mut waiting: Vec<_> = (0..5_u8).map(|n| (message(vec![n]), Place::None)).collect();
    for (message, place) in &mut waiting {
        assert!(bench.publish_from(key, message, place, Waker::noop()).is_pending());
    }
    unblock(&mut bench);
    for (message, place) in &mut waiting {
        assert!(bench.publish_from(key, message, place, Waker::noop()).is_ready());
    }
    let bodies: Vec<u8> = bench
        .sent()
        .into_iter()
        .map(|(_, incoming)| match incoming {
            Incoming::Content { body, .. } => body.to_bytes()[0],
            other @ Incoming::Method(_) => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(bodies, [0, 1, 2, 3, 4]);
}

#[test]
fn by_policy_a_call_ends_as_blocked_at_its_deadline_and_its_channel_lives_on() {
    let mut bench = Bench::with(failing());
    let key = bench.open();
    let before = bench.call(key, queue::Declare::default());
    bench.pass(10 * SECOND);
    block(&mut bench, "memory");
    let during = bench.call(key, queue::Purge::default());
    bench.pass(19 * SECOND);
    assert!(bench.poll(before).is_pending());
    bench.pass(SECOND);
    assert_eq!(bench.error(before).kind(), ErrorKind::Blocked);
    bench.pass(9 * SECOND);
    assert!(bench.poll(during).is_pending());
    bench.pass(SECOND);
    assert_eq!(bench.error(during).kind(), ErrorKind::Blocked);
    for _ in 0..100 {
        bench.pass(10 * SECOND);
    }
    assert!(bench.session.channel_close_reason(key).is_none());
    unblock(&mut bench);
    // Now the second deadline runs, and the replies find their tombstones.
    bench.pass(29 * SECOND);
    bench.receive(key.id, queue::DeclareOk::default());
    bench.receive(key.id, queue::PurgeOk::default());
    bench.pass(100 * SECOND);
    assert!(bench.session.channel_close_reason(key).is_none());
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn a_call_that_stays_unanswered_after_the_block_still_ends_its_channel() {
    let mut bench = Bench::with(failing());
    let key = bench.open();
    block(&mut bench, "memory");
    let call = bench.call(key, queue::Declare::default());
    bench.pass(100 * SECOND);
    assert_eq!(bench.error(call).kind(), ErrorKind::Blocked);
    unblock(&mut bench);
    bench.pass(31 * SECOND);
    let reason = bench.session.channel_close_reason(key).expect("closed");
    assert_eq!(reason.cause(), CloseCause::CallUnanswered);
}

#[test]
fn the_second_deadline_of_a_call_stands_still_too() {
    for policy in [WhileBlocked::Wait, WhileBlocked::Fail] {
        let mut options = Options::default();
        options.call_while_blocked = policy;
        let mut bench = Bench::with(options);
        let key = bench.open();
        let call = bench.call(key, queue::Declare::default());
        bench.pass(30 * SECOND);
        assert_eq!(bench.error(call).kind(), ErrorKind::Timeout);
        bench.pass(20 * SECOND);
        block(&mut bench, "memory");
        for _ in 0..100 {
            bench.pass(10 * SECOND);
        }
        assert!(bench.session.channel_close_reason(key).is_none(), "{policy:?}");
        unblock(&mut bench);
        bench.pass(9 * SECOND);
        assert!(bench.session.channel_close_reason(key).is_none(), "{policy:?}");
        bench.pass(SECOND);
        assert!(bench.session.channel_close_reason(key).is_some(), "{policy:?}");
    }
}

#[test]
fn while_blocked_nothing_is_due_but_what_runs() {
    let mut bench = Bench::with(failing());
    let key = bench.open();
    block(&mut bench, "memory");
    bench.call(key, queue::Declare::default());
    bench.session.tidy_at = None;
    assert_eq!(bench.session.poll_timeout(), Some(bench.now + 30 * SECOND));
    bench.pass(30 * SECOND);
    bench.session.tidy_at = None;
    assert_eq!(bench.session.poll_timeout(), None, "the driver must not spin");
}

#[test]
fn a_watcher_is_told_each_change_with_the_reason_and_the_end() {
    let mut bench = Bench::new();
    let (mut seen, mut ticket) = (bench.session.block_version(), None);
    let (woken, waker) = counter();
    let mut look = |bench: &mut Bench| {
        bench.run(|session| session.poll_block_change(&mut seen, &mut ticket, &waker))
    };
    assert!(look(&mut bench).is_pending());
    block(&mut bench, "low on memory");
    assert_eq!(woken.get(), 1);
    assert!(matches!(look(&mut bench), Poll::Ready(Ok(Some(reason))) if reason == *"low on memory"));
    assert!(look(&mut bench).is_pending());
    block(&mut bench, "low on disk");
    assert!(matches!(look(&mut bench), Poll::Ready(Ok(Some(reason))) if reason == *"low on disk"));
    unblock(&mut bench);
    assert!(matches!(look(&mut bench), Poll::Ready(Ok(None))));
    unblock(&mut bench);
    assert!(look(&mut bench).is_pending(), "nothing changed");
    bench.run(Session::abort);
    assert!(matches!(look(&mut bench), Poll::Ready(Err(error)) if error.kind() == ErrorKind::ConnectionClosed));
}
