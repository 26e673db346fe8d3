//! What nobody has read goes back at once where that settles nothing of anybody else's.

use std::collections::BTreeSet;

use super::random::{Books, Dice};
use super::settling::User;
use super::*;
use crate::Unsettled;

/// What was sent to settle deliveries, in order: the method's name, the tag, and whether up to there.
pub(super) fn settled(bench: &mut Bench) -> Vec<(&'static str, u64, bool)> {
    let sent = bench.sent().into_iter();
    sent.filter_map(|(_, incoming)| {
        let Incoming::Method(Method::Basic(method)) = incoming else { return None };
        amqp_types::if_spec! { basic.nack => {
            if let basic::Method::Nack(nack) = &method {
                assert!(nack.requeue);
                return Some(("nack", nack.delivery_tag, nack.multiple));
            }
        } else {} }
        match method {
            basic::Method::Ack(ack) => Some(("ack", ack.delivery_tag, ack.multiple)),
            basic::Method::Reject(reject) => Some(("reject", reject.delivery_tag, false)),
            _ => None,
        }
    })
    .collect()
}

/// As it is with a `basic.nack`, or else one by one.
pub(super) fn expect_back(bench: &mut Bench, all: &[u64], multiple: Option<u64>) {
    let has_nack = amqp_types::if_spec! { basic.nack => { true } else { false } };
    let multiple = multiple.filter(|_| has_nack);
    let rest = all.iter().filter(|tag| multiple.is_none_or(|to| **tag > to));
    let mut expected: Vec<_> = multiple.iter().map(|to| ("nack", *to, true)).collect();
    expected.extend(rest.map(|tag| ("reject", *tag, false)));
    assert_eq!(settled(bench), expected);
}

pub(super) fn cancel_ok(bench: &mut Bench, key: ChannelKey, tag: &str) {
    bench.receive(key.id, basic::CancelOk { consumer_tag: short(tag) });
}

pub(super) fn deliver(
    bench: &mut Bench,
    key: ChannelKey,
    consumer: &str,
    tags: std::ops::RangeInclusive<u64>,
) {
    for tag in tags {
        bench.deliver(key, consumer, tag, b"x");
    }
}

/// As long as what goes back may wait for the user where nobody waits for it.
const A_MOMENT: Duration = Duration::from_secs(1);

pub(super) fn all(tags: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    tags.collect()
}

#[test]
fn a_large_backlog_goes_back_by_one_nack_once_the_cancel_is_confirmed() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = bench.consume(key, "c", false);
    deliver(&mut bench, key, "c", 1..=100);
    drop_consumer(&mut bench, key, id);
    deliver(&mut bench, key, "c", 101..=120);
    let early = settled(&mut bench);
    amqp_types::if_spec! { basic.nack => {
        assert_eq!(early, [], "more may come");
        cancel_ok(&mut bench, key, "c");
        expect_back(&mut bench, &all(1..=120), Some(120));
    } else {
        assert_eq!(early.len(), 120);
        cancel_ok(&mut bench, key, "c");
    } }
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn what_comes_around_the_cancel_of_a_consumer_goes_back_at_once_when_it_is_much() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = bench.consume(key, "c", false);
    drop_consumer(&mut bench, key, id);
    deliver(&mut bench, key, "c", 1..=500);
    cancel_ok(&mut bench, key, "c");
    let sent = settled(&mut bench);
    amqp_types::if_spec! { basic.nack => {
        assert_eq!(sent.last(), Some(&("nack", 500, true)));
        assert!(sent.len() < 40, "{} were sent", sent.len());
    } else {
        assert_eq!(sent.len(), 500);
    } }
}

#[test]
fn nothing_of_the_users_goes_back_with_what_nobody_has_read() {
    let mut bench = Bench::new();
    let key = bench.open();
    let (user, other) = (User::new(&mut bench, key, "c"), User::new(&mut bench, key, "other"));
    deliver(&mut bench, key, "other", 1..=1);
    other.take(&mut bench);
    deliver(&mut bench, key, "c", 2..=100);
    drop_consumer(&mut bench, key, user.id);
    cancel_ok(&mut bench, key, "c");
    bench.pass(Duration::ZERO);
    bench.pass_awake(A_MOMENT);
    expect_back(&mut bench, &all(2..=100), None);
    other.ack(&mut bench, 1);
    assert_eq!(settled(&mut bench), [("ack", 1, false)]);
    assert_eq!(bench.left(), Leftovers { channels: 1, consumers: 1, ..Default::default() });
}

#[test]
fn what_another_consumer_has_not_read_bounds_what_goes_back_at_once() {
    let mut bench = Bench::new();
    let key = bench.open();
    let (id, other) = (bench.consume(key, "c", false), bench.consume(key, "other", false));
    deliver(&mut bench, key, "c", 1..=60);
    deliver(&mut bench, key, "other", 61..=61);
    deliver(&mut bench, key, "c", 62..=100);
    drop_consumer(&mut bench, key, id);
    cancel_ok(&mut bench, key, "c");
    let mine: Vec<u64> = (1..=100).filter(|tag| *tag != 61).collect();
    expect_back(&mut bench, &mine, Some(60));
    assert_eq!(drain(&mut bench, key, other).0, [61]);
}

#[test]
fn what_stays_with_its_channel_bounds_what_goes_back_at_once() {
    let mut bench = Bench::new();
    let key = bench.open();
    let user = User::new(&mut bench, key, "c");
    deliver(&mut bench, key, "c", 1..=1);
    user.take(&mut bench);
    user.drop(&mut bench, 1, Unsettled::Leave);
    deliver(&mut bench, key, "c", 2..=100);
    drop_consumer(&mut bench, key, user.id);
    cancel_ok(&mut bench, key, "c");
    expect_back(&mut bench, &all(2..=100), None);
}

#[test]
fn a_message_got_by_a_raw_call_bounds_what_goes_back_at_once() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = bench.consume(key, "c", false);
    let call = bench.call(key, basic::Get::default());
    bench.receive_content(key.id, basic::GetOk { delivery_tag: 1, ..Default::default() }, b"x");
    bench.frames();
    let Poll::Ready(Ok(reply)) = bench.poll(call) else { panic!() };
    bench.run(|session| session.note_raw_reply(key, &reply));
    deliver(&mut bench, key, "c", 2..=100);
    drop_consumer(&mut bench, key, id);
    cancel_ok(&mut bench, key, "c");
    expect_back(&mut bench, &all(2..=100), None);
}

#[test]
fn consumers_that_are_dropped_together_go_back_together() {
    let mut bench = Bench::new();
    let key = bench.open();
    let ids = ["a", "b"].map(|tag| bench.consume(key, tag, false));
    for tag in 1..=200 {
        bench.deliver(key, ["a", "b"][usize::from(tag % 2 == 0)], tag, b"x");
    }
    for id in ids {
        drop_consumer(&mut bench, key, id);
    }
    cancel_ok(&mut bench, key, "a");
    cancel_ok(&mut bench, key, "b");
    let sent = settled(&mut bench);
    amqp_types::if_spec! { basic.nack => {
        assert_eq!(sent, [("nack", 200, true)]);
    } else {
        assert_eq!(sent.len(), 200);
    } }
}

#[test]
fn held_acks_go_before_what_goes_back_at_once() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench
        .run(|session| session.coalesce_acks(key, 1000, coalescing::DELAY))
        .expect("nothing has come");
    let (user, other) = (User::new(&mut bench, key, "c"), User::new(&mut bench, key, "other"));
    deliver(&mut bench, key, "other", 1..=2);
    other.take(&mut bench);
    deliver(&mut bench, key, "c", 3..=100);
    drop_consumer(&mut bench, key, user.id);
    other.ack(&mut bench, 1);
    other.ack(&mut bench, 2);
    cancel_ok(&mut bench, key, "c");
    let sent = settled(&mut bench);
    amqp_types::if_spec! { basic.nack => {
        assert_eq!(sent, [("ack", 2, true), ("nack", 100, true)]);
    } else {
        assert_eq!(sent.len(), 98);
    } }
}

amqp_types::if_spec! { basic.nack => {
    #[test]
    fn what_was_recovered_is_not_given_back() {
        let mut bench = Bench::new();
        let key = bench.open();
        let id = bench.consume(key, "c", false);
        deliver(&mut bench, key, "c", 1..=100);
        drop_consumer(&mut bench, key, id);
        bench.frames();
        bench.call(key, basic::Recover { requeue: true });
        cancel_ok(&mut bench, key, "c");
        bench.receive(key.id, basic::RecoverOk::default());
        assert_eq!(settled(&mut bench), []);
    }
} else {} }

/// Has held acks sent.
fn flush(bench: &mut Bench, key: ChannelKey, books: &mut Books) {
    let (mut position, mut ticket) = (None, None);
    let _ = bench.run(|session| session.poll_flush(key, &mut position, &mut ticket, Waker::noop()));
    books.look(bench);
}

/// Consumers that come and go on one channel, and gets; gives how much went back by how many methods.
fn give_back_at_random(seed: u64) -> (usize, usize) {
    let (mut dice, mut bench, mut books) = (Dice(seed), Bench::new(), Books::default());
    let key = bench.open();
    let coalesces = dice.roll(2) == 0;
    if coalesces {
        bench
            .run(|session| session.coalesce_acks(key, 10, coalescing::DELAY))
            .expect("nothing yet");
    }
    // Each with its tag, what it has not read, and whether its cancel is on its way.
    let mut users: Vec<(User, String, Vec<u64>)> = Vec::new();
    let mut cancelling: Vec<String> = Vec::new();
    let mut open: Vec<(u64, InFlight)> = Vec::new();
    let (mut names, mut methods) = (0, 0);
    for _ in 0..400 {
        match dice.roll(16) {
            0 | 1 if users.len() < 3 => {
                names += 1;
                let tag = format!("c{names}");
                // What goes before the request is not to be passed over.
                flush(&mut bench, key, &mut books);
                users.push((User::new(&mut bench, key, &tag), tag, Vec::new()));
            }
            2..=7 if !users.is_empty() => {
                let which = dice.roll(users.len());
                for _ in 0..dice.roll(60) {
                    let tag = books.next(false);
                    bench.deliver(key, &users[which].1, tag, b"x");
                    users[which].2.push(tag);
                }
            }
            8 if !users.is_empty() => {
                // Takes a batch, and soon is done with all of it, but for some that it leaves or keeps.
                let which = dice.roll(users.len());
                let (user, _, unread) = &mut users[which];
                if unread.is_empty() {
                    continue;
                }
                let taken = user.take(&mut bench);
                unread.retain(|tag| !taken.contains(tag));
                let fate = dice.roll(8);
                for tag in taken {
                    match fate {
                        0 => user.drop(&mut bench, tag, Unsettled::Leave),
                        1 | 2 => {
                            books.user_rejected.insert(tag);
                            user.drop(&mut bench, tag, Unsettled::Requeue);
                        }
                        _ => {
                            books.user_acked.insert(tag);
                            user.ack(&mut bench, tag);
                        }
                    }
                }
            }
            9 => {
                let call = bench.call(key, basic::Get::default());
                books.look(&mut bench);
                let tag = books.next(false);
                let got = basic::GetOk { delivery_tag: tag, ..Default::default() };
                bench.receive_content(key.id, got, b"x");
                if dice.roll(2) == 0 {
                    continue;
                }
                let Poll::Ready(Ok(reply)) = bench.poll(call) else { panic!() };
                match dice.roll(8) {
                    0 => bench.run(|session| session.note_raw_reply(key, &reply)),
                    _ => {
                        let in_flight = InFlight::default();
                        bench.run(|session| session.take_off(key, 1, &in_flight));
                        open.push((tag, in_flight));
                    }
                }
            }
            10 => {
                for (tag, in_flight) in open.drain(..) {
                    books.user_acked.insert(tag);
                    let ack = Settle::Ack { multiple: false };
                    bench.run(|session| session.settle(key, tag, ack, &in_flight)).expect("acked");
                }
            }
            11..=13 if !users.is_empty() => {
                let which = dice.roll(users.len());
                let (user, tag, unread) = users.swap_remove(which);
                books.user_rejected.extend(unread);
                drop_consumer(&mut bench, key, user.id);
                for _ in 0..dice.roll(3) * dice.roll(40) {
                    let delivery_tag = books.next(false);
                    books.user_rejected.insert(delivery_tag);
                    bench.deliver(key, &tag, delivery_tag, b"late");
                }
                cancelling.push(tag);
            }
            _ => {
                if let Some(tag) = dice.take(&mut cancelling) {
                    cancel_ok(&mut bench, key, &tag);
                }
            }
        }
        let before = books.rejected.len();
        if dice.roll(3) == 0 {
            bench.pass(Duration::from_millis(dice.roll(20) as u64));
        }
        books.look(&mut bench);
        methods += usize::from(books.rejected.len() > before + 40);
    }
    for tag in cancelling {
        cancel_ok(&mut bench, key, &tag);
    }
    // Some is with the user still, and is not waited for any longer.
    bench.pass(Duration::ZERO);
    bench.pass(A_MOMENT);
    flush(&mut bench, key, &mut books);
    let missing = |told: &BTreeSet<u64>, done: &BTreeSet<u64>| -> Vec<u64> {
        done.difference(told).copied().collect()
    };
    assert_eq!(missing(&books.rejected, &books.user_rejected), [0_u64; 0], "seed {seed}");
    assert_eq!(missing(&books.acked, &books.user_acked), [0_u64; 0], "seed {seed}");
    (books.rejected.len(), methods)
}

#[test]
fn whoever_comes_and_goes_nothing_is_given_back_but_what_nobody_read() {
    let (mut given, mut at_once) = (0, 0);
    for seed in 1..=30 {
        let (more, many) = give_back_at_random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        given += more;
        at_once += many;
    }
    println!("{given} deliveries were given back, {at_once} times many of them at once");
    assert!(at_once > 100, "hardly any were given back at once: {at_once}");
}
