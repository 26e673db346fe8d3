//! What nobody has read waits for what is with the user, where it can go back at once then.

use super::giving_back::{all, cancel_ok, deliver, expect_back, settled};
use super::settling::User;
use super::*;
use crate::Unsettled;

/// A consumer with 100 deliveries that is dropped while the user holds the first; its cancel is confirmed.
fn dropped_with_the_first_held(bench: &mut Bench) -> User {
    let key = bench.open();
    let user = User::new(bench, key, "c");
    deliver(bench, key, "c", 1..=1);
    user.take(bench);
    deliver(bench, key, "c", 2..=100);
    drop_consumer(bench, key, user.id);
    cancel_ok(bench, key, "c");
    bench.frames();
    user
}

#[test]
fn what_nobody_has_read_waits_for_the_user_and_then_goes_back_at_once() {
    let mut bench = Bench::new();
    let user = dropped_with_the_first_held(&mut bench);
    bench.pass_awake(Duration::from_millis(50));
    assert_eq!(settled(&mut bench), []);
    let (driver, waker) = counter();
    bench.run(|session| session.set_driver(&waker));
    user.ack(&mut bench, 1);
    assert_eq!(driver.get(), 1);
    bench.pass(Duration::ZERO);
    assert_eq!(settled(&mut bench), [("ack", 1, false), ("nack", 100, true)]);
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn what_nobody_has_read_waits_for_the_user_only_as_long_as_one_by_one_may_take() {
    let mut bench = Bench::new();
    let user = dropped_with_the_first_held(&mut bench);
    bench.pass(Duration::ZERO);
    bench.pass_awake(Duration::from_millis(98));
    assert_eq!(settled(&mut bench), []);
    bench.pass_awake(Duration::from_millis(1));
    expect_back(&mut bench, &all(2..=100), None);
    user.drop(&mut bench, 1, Unsettled::Requeue);
    assert_eq!(settled(&mut bench), [("reject", 1, false)]);
}

#[test]
fn one_that_is_dropped_and_left_is_not_given_back_with_what_waited_for_it() {
    let mut bench = Bench::new();
    let user = dropped_with_the_first_held(&mut bench);
    user.drop(&mut bench, 1, Unsettled::Leave);
    bench.pass(Duration::ZERO);
    expect_back(&mut bench, &all(2..=100), None);
}

#[test]
fn a_shutdown_waits_for_the_user_as_long_as_its_deadline_allows() {
    for held in [false, true] {
        let mut bench = Bench::new();
        let key = bench.open();
        let user = User::new(&mut bench, key, "c");
        deliver(&mut bench, key, "c", 1..=1);
        user.take(&mut bench);
        deliver(&mut bench, key, "c", 2..=9_000);
        let (now, timeout) = (bench.now, Duration::from_secs(10));
        let unread = bench.run(|session| {
            session.begin_consumer_shutdown(key, user.id, now, timeout)
        });
        assert_eq!(unread, 8_999);
        cancel_ok(&mut bench, key, "c");
        let (task, waker) = counter();
        let mut ticket = None;
        let mut poll = |bench: &mut Bench| {
            let in_flight = &user.in_flight;
            bench.run(|session| {
                session.poll_consumer_shutdown(key, user.id, in_flight, &mut ticket, &waker)
            })
        };
        bench.pass_awake(Duration::from_secs(7));
        assert_eq!(settled(&mut bench), []);
        assert!(poll(&mut bench).is_pending());
        if held {
            // A part of the time is kept for what is to be written.
            bench.pass_awake(Duration::from_secs(1));
            assert_eq!(settled(&mut bench).len(), 8_999);
            assert!(poll(&mut bench).is_pending());
            continue;
        }
        user.ack(&mut bench, 1);
        assert_eq!(task.reset(), 1);
        assert!(poll(&mut bench).is_pending(), "it has not gone back");
        bench.pass(Duration::ZERO);
        assert_eq!(settled(&mut bench), [("ack", 1, false), ("nack", 9_000, true)]);
        assert_eq!(task.get(), 1);
        assert!(poll(&mut bench).is_ready());
    }
}

#[test]
fn of_shutdowns_side_by_side_the_earliest_deadline_holds() {
    for hurried_first in [false, true] {
        let mut bench = Bench::new();
        let key = bench.open();
        let (one, other) = (User::new(&mut bench, key, "c"), User::new(&mut bench, key, "d"));
        deliver(&mut bench, key, "c", 1..=1);
        one.take(&mut bench);
        deliver(&mut bench, key, "c", 2..=5_000);
        deliver(&mut bench, key, "d", 5_001..=9_000);
        let hurried = Duration::from_millis(400);
        let mut timeouts = [Duration::from_secs(60), hurried];
        if hurried_first {
            timeouts.reverse();
        }
        let now = bench.now;
        for ((user, tag), timeout) in [(&one, "c"), (&other, "d")].into_iter().zip(timeouts) {
            bench.run(|session| session.begin_consumer_shutdown(key, user.id, now, timeout));
            cancel_ok(&mut bench, key, tag);
        }
        bench.pass(Duration::ZERO);
        assert_eq!(settled(&mut bench), []);
        bench.pass_awake(hurried);
        assert_eq!(settled(&mut bench).len(), 8_999, "hurried first: {hurried_first}");
    }
}

#[test]
fn a_multiple_that_the_user_has_put_together_takes_nothing_along_either() {
    for (tag, multiple_ack) in [(101, true), (0, true), (101, false)] {
        let mut bench = Bench::new();
        let key = bench.open();
        let (id, other) = (bench.consume(key, "c", false), User::new(&mut bench, key, "other"));
        deliver(&mut bench, key, "c", 1..=100);
        deliver(&mut bench, key, "other", 101..=101);
        other.take(&mut bench);
        drop_consumer(&mut bench, key, id);
        assert_eq!(settled(&mut bench), []);
        let method = match multiple_ack {
            true => basic::Ack { delivery_tag: tag, multiple: true }.into_any(),
            false => basic::Nack { delivery_tag: tag, multiple: true, requeue: false }.into_any(),
        };
        let place = Location::caller();
        bench.run(|session| session.send(key, &method, place)).expect("sent");
        let mut names = bench.names();
        assert_eq!(names.len(), 101);
        assert!(names.pop().is_some_and(|(_, name)| name != "basic.reject"));
        assert!(names.iter().all(|(_, name)| *name == "basic.reject"));
        cancel_ok(&mut bench, key, "c");
        bench.pass(Duration::ZERO);
        assert_eq!(settled(&mut bench), []);
    }
}

#[test]
fn a_multiple_of_the_users_takes_nothing_along_that_is_to_go_back() {
    for (confirmed, settle) in [
        (false, Settle::Ack { multiple: true }),
        (true, Settle::Ack { multiple: true }),
        (true, Settle::Nack { multiple: true, requeue: false }),
    ] {
        let mut bench = Bench::new();
        let key = bench.open();
        let (id, other) = (bench.consume(key, "c", false), User::new(&mut bench, key, "other"));
        deliver(&mut bench, key, "c", 1..=50);
        deliver(&mut bench, key, "other", 51..=52);
        other.take(&mut bench);
        deliver(&mut bench, key, "c", 53..=100);
        drop_consumer(&mut bench, key, id);
        if confirmed {
            cancel_ok(&mut bench, key, "c");
        }
        assert_eq!(settled(&mut bench), []);
        other.settle(&mut bench, 51, settle).expect("settled");
        let mut names = bench.names();
        assert_eq!(names.len(), 51);
        assert!(names.pop().is_some_and(|(_, name)| name != "basic.reject"));
        assert!(names.iter().all(|(_, name)| *name == "basic.reject"));
        if !confirmed {
            cancel_ok(&mut bench, key, "c");
        }
        other.ack(&mut bench, 52);
        bench.pass(Duration::ZERO);
        assert_eq!(settled(&mut bench), [("ack", 52, false), ("nack", 100, true)]);
    }
}

#[test]
fn what_waits_for_the_user_goes_back_with_its_channel_when_that_closes() {
    let mut bench = Bench::new();
    let user = dropped_with_the_first_held(&mut bench);
    let (key, now) = (user.key, bench.now);
    bench.run(|session| session.shut_down_channel(key, now, Duration::from_secs(8)));
    bench.pass_awake(Duration::from_secs(5));
    bench.nothing_sent();
    user.ack(&mut bench, 1);
    bench.pass(Duration::ZERO);
    let names: Vec<_> = bench.names().into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["basic.ack", "channel.close"]);
    bench.receive(key.id, channel::CloseOk::default());
    bench.run(|session| session.release_channel(key));
    assert_eq!(bench.left(), Leftovers::default());
}
