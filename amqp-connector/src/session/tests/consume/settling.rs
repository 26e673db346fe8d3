//! What is with the user, until it is settled or dropped.

use super::*;
use crate::Unsettled;

/// A consumer and what its handle keeps.
pub(super) struct User {
    pub(super) key: ChannelKey,
    pub(super) id: u64,
    pub(super) in_flight: InFlight,
}

impl User {
    pub(super) fn new(bench: &mut Bench, key: ChannelKey, tag: &str) -> Self {
        let id = bench.consume(key, tag, false);
        Self { key, id, in_flight: InFlight::default() }
    }

    /// Takes a batch, as its handle does; gives the tags.
    pub(super) fn take(&self, bench: &mut Bench) -> Vec<u64> {
        let Self { key, id, in_flight } = self;
        let mut batch = VecDeque::new();
        let taken = bench.run(|session| {
            session.poll_deliveries(*key, *id, &mut batch, in_flight, Waker::noop())
        });
        assert!(matches!(taken, Poll::Ready(None)));
        batch.iter().map(|queued| queued.delivery_tag).collect()
    }

    pub(super) fn settle(&self, bench: &mut Bench, tag: u64, settle: Settle) -> Result<()> {
        bench.run(|session| session.settle(self.key, tag, settle, &self.in_flight))
    }

    pub(super) fn ack(&self, bench: &mut Bench, tag: u64) {
        self.settle(bench, tag, Settle::Ack { multiple: false }).expect("settled");
    }

    pub(super) fn drop(&self, bench: &mut Bench, tag: u64, unsettled: Unsettled) {
        bench.run(|session| {
            session.drop_unsettled(
                self.key,
                tag,
                unsettled,
                &self.in_flight,
                crate::session::Keeps::No,
            )
        });
    }

    fn poll_settled(&self, bench: &mut Bench, ticket: &mut Option<u64>, waker: &Waker) -> bool {
        let (key, in_flight) = (self.key, Some(&self.in_flight));
        bench.run(|session| session.poll_settled(key, in_flight, ticket, waker)).is_ready()
    }
}

fn poll_all_settled(bench: &mut Bench, key: ChannelKey, ticket: &mut Option<u64>) -> bool {
    bench.run(|session| session.poll_settled(key, None, ticket, Waker::noop())).is_ready()
}

#[test]
fn what_is_dropped_unsettled_is_left_requeued_or_rejected() {
    for (unsettled, expected) in [
        (Unsettled::Leave, None),
        (Unsettled::Requeue, Some(true)),
        (Unsettled::Reject, Some(false)),
    ] {
        let mut bench = Bench::new();
        let key = bench.open();
        let user = User::new(&mut bench, key, "c");
        bench.deliver(key, "c", 1, b"x");
        user.take(&mut bench);
        user.drop(&mut bench, 1, unsettled);
        assert_eq!(user.in_flight.count(), 0);
        match expected {
            None => bench.nothing_sent(),
            Some(requeue) => {
                assert_eq!(
                    bench.only::<basic::Reject>(),
                    basic::Reject { delivery_tag: 1, requeue }
                );
            }
        }
    }
}

#[test]
fn what_a_multiple_has_settled_is_not_settled_again() {
    let mut bench = Bench::new();
    let key = bench.open();
    let user = User::new(&mut bench, key, "c");
    for tag in 1..=4 {
        bench.deliver(key, "c", tag, b"x");
    }
    user.take(&mut bench);
    user.settle(&mut bench, 3, Settle::Ack { multiple: true }).expect("settled");
    assert_eq!(bench.names(), [(key.id, "basic.ack")]);
    user.drop(&mut bench, 1, Unsettled::Requeue);
    let again = user.settle(&mut bench, 2, Settle::Nack { multiple: false, requeue: true });
    assert_eq!(again.unwrap_err().kind(), crate::ErrorKind::Invalid);
    // The peer would close the channel: 406, unknown delivery tag.
    bench.nothing_sent();
    user.drop(&mut bench, 4, Unsettled::Requeue);
    assert_eq!(bench.names(), [(key.id, "basic.reject")]);
    assert_eq!(user.in_flight.count(), 0);
}

#[test]
fn nothing_is_sent_for_what_is_dropped_after_its_channel() {
    let mut bench = Bench::new();
    let key = bench.open();
    let user = User::new(&mut bench, key, "c");
    bench.deliver(key, "c", 1, b"x");
    user.take(&mut bench);
    bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() });
    bench.frames();
    user.drop(&mut bench, 1, Unsettled::Requeue);
    bench.nothing_sent();
}

#[test]
fn in_flight_is_counted_for_each_consumer_and_for_the_channel() {
    let mut bench = Bench::new();
    let key = bench.open();
    let (a, b) = (User::new(&mut bench, key, "a"), User::new(&mut bench, key, "b"));
    for tag in 1..=5 {
        bench.deliver(key, if tag % 2 == 0 { "a" } else { "b" }, tag, b"x");
    }
    assert_eq!(bench.session.in_flight(key), 0, "nobody has taken them");
    assert_eq!((a.take(&mut bench), b.take(&mut bench)), (vec![2, 4], vec![1, 3, 5]));
    assert_eq!((a.in_flight.count(), b.in_flight.count()), (2, 3));
    assert_eq!(bench.session.in_flight(key), 5);
    let got = InFlight::default();
    bench.run(|session| session.take_off(key, 1, &got));
    a.ack(&mut bench, 2);
    b.drop(&mut bench, 1, Unsettled::Leave);
    assert_eq!((a.in_flight.count(), b.in_flight.count(), got.count()), (1, 2, 1));
    assert_eq!(bench.session.in_flight(key), 4);
}

#[test]
fn whoever_waits_for_the_last_one_is_woken_by_settling_and_by_dropping() {
    let mut bench = Bench::new();
    let key = bench.open();
    let (user, other) = (User::new(&mut bench, key, "c"), User::new(&mut bench, key, "other"));
    let (woken, waker) = counter();
    let mut ticket = None;
    assert!(user.poll_settled(&mut bench, &mut ticket, &waker), "nothing is in flight");
    for (tag, name) in [(1, "c"), (2, "c"), (3, "other")] {
        bench.deliver(key, name, tag, b"x");
    }
    user.take(&mut bench);
    other.take(&mut bench);
    assert!(!user.poll_settled(&mut bench, &mut ticket, &waker));
    user.ack(&mut bench, 1);
    assert_eq!(woken.get(), 0, "one is left");
    user.drop(&mut bench, 2, Unsettled::Leave);
    assert_eq!(woken.get(), 1);
    assert!(user.poll_settled(&mut bench, &mut ticket, &waker));

    let mut ticket = None;
    assert!(!poll_all_settled(&mut bench, key, &mut ticket), "the other consumer's is left");
    other.ack(&mut bench, 3);
    assert!(poll_all_settled(&mut bench, key, &mut ticket));
    bench.frames();
    assert_eq!(bench.left().waiting, 0);
}

#[test]
fn a_wait_for_the_last_one_ends_with_the_channel_and_can_be_given_up() {
    let mut bench = Bench::new();
    let key = bench.open();
    let user = User::new(&mut bench, key, "c");
    bench.deliver(key, "c", 1, b"x");
    user.take(&mut bench);
    let mut ticket = None;
    assert!(!user.poll_settled(&mut bench, &mut ticket, Waker::noop()));
    assert_eq!(bench.left().waiting, 1);
    let held = ticket.take().expect("a place");
    bench.run(|session| session.leave_line(super::super::super::Line::Settled(key), held));
    assert_eq!(bench.left().waiting, 0);

    let (woken, waker) = counter();
    assert!(!user.poll_settled(&mut bench, &mut ticket, &waker));
    bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() });
    assert_eq!(woken.get(), 1);
    assert!(user.poll_settled(&mut bench, &mut ticket, &waker));
}

#[test]
fn what_a_dropped_handle_had_not_given_out_is_in_flight_no_more() {
    let mut bench = Bench::new();
    let key = bench.open();
    let user = User::new(&mut bench, key, "c");
    for tag in 1..=3 {
        bench.deliver(key, "c", tag, b"x");
    }
    let mut batch = VecDeque::new();
    let taken = bench.run(|session| {
        session.poll_deliveries(key, user.id, &mut batch, &user.in_flight, Waker::noop())
    });
    assert!(matches!(taken, Poll::Ready(None)));
    batch.pop_front();
    bench.run(|session| {
        session.drop_consumer(key, user.id);
        session.give_back(key, &mut batch, &user.in_flight, crate::session::Keeps::No);
    });
    assert_eq!(user.in_flight.count(), 1, "the first was given out");
    let expected = ["basic.cancel", "basic.reject", "basic.reject"].map(|name| (key.id, name));
    assert_eq!(bench.names(), expected);
}

#[test]
fn a_delivery_without_a_number_cannot_be_settled_and_the_error_says_so() {
    let mut bench = Bench::new();
    let key = bench.open();
    let user = User::new(&mut bench, key, "c");
    for tag in [0, 1] {
        bench.deliver(key, "c", tag, b"x");
    }
    assert_eq!(user.take(&mut bench), [0, 1]);
    for settle in [
        Settle::Ack { multiple: false },
        Settle::Ack { multiple: true },
        Settle::Nack { multiple: false, requeue: true },
        Settle::Reject { requeue: false },
    ] {
        let error = user.settle(&mut bench, 0, settle).expect_err("it has no number");
        assert_eq!(error.kind(), crate::ErrorKind::Invalid);
        assert!(error.to_string().contains("no delivery tag"), "{error}");
    }
    user.drop(&mut bench, 0, Unsettled::Requeue);
    // It would acknowledge everything.
    bench.nothing_sent();
    user.ack(&mut bench, 1);
    bench.only::<basic::Ack>();
}

#[test]
fn a_delivery_without_a_number_is_in_flight_until_it_is_settled_or_dropped() {
    let mut bench = Bench::new();
    let key = bench.open();
    let user = User::new(&mut bench, key, "c");
    for expected in [2, 1] {
        bench.deliver(key, "c", 0, b"x");
        bench.deliver(key, "c", 0, b"x");
        assert_eq!(user.take(&mut bench), [0, 0]);
        let refused = user.settle(&mut bench, 0, Settle::Ack { multiple: false });
        refused.expect_err("it has no number");
        assert_eq!(bench.run(|session| session.in_flight(key)), 1, "{expected}");
        user.drop(&mut bench, 0, Unsettled::Requeue);
        assert_eq!(bench.run(|session| session.in_flight(key)), 0);
    }
}
