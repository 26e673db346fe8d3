//! Acks that are held back: when they are sent, and how.

use super::settling::User;
use super::*;

pub(super) const DELAY: Duration = Duration::from_millis(10);

/// A channel that holds up to `count` acks, and a consumer on it that no prefetch bounds.
fn coalescing(count: usize) -> (Bench, ChannelKey, User) {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.run(|session| session.coalesce_acks(key, count, DELAY)).expect("nothing has come");
    let user = User::new(&mut bench, key, "c");
    (bench, key, user)
}

/// The acks sent since the last look: tag and multiple.
fn acks(bench: &mut Bench) -> Vec<(u64, bool)> {
    let sent = bench.sent().into_iter();
    sent.map(|(_, incoming)| match incoming {
        Incoming::Method(Method::Basic(basic::Method::Ack(ack))) => {
            (ack.delivery_tag, ack.multiple)
        }
        other => panic!("{other:?}"),
    })
    .collect()
}

fn deliver(bench: &mut Bench, user: &User, tags: impl IntoIterator<Item = u64>) {
    for tag in tags {
        bench.deliver(user.key, "c", tag, b"x");
    }
    user.take(bench);
}

#[test]
fn acks_go_out_as_one_multiple_when_there_are_as_many_as_may_be_held() {
    let (mut bench, _, user) = coalescing(4);
    deliver(&mut bench, &user, 1..=9);
    for tag in [2, 1, 3] {
        user.ack(&mut bench, tag);
        bench.nothing_sent();
    }
    user.ack(&mut bench, 4);
    assert_eq!(acks(&mut bench), [(4, true)]);
    for tag in 5..=8 {
        user.ack(&mut bench, tag);
    }
    assert_eq!(acks(&mut bench), [(8, true)]);
}

#[test]
fn acks_behind_an_open_delivery_go_out_one_by_one() {
    let (mut bench, _, user) = coalescing(4);
    deliver(&mut bench, &user, 1..=9);
    for tag in [1, 2, 5, 4] {
        user.ack(&mut bench, tag);
    }
    assert_eq!(acks(&mut bench), [(2, true), (4, false), (5, false)]);
    // Once it is settled, what was sent is not in the way.
    for tag in [3, 6, 7, 8] {
        user.ack(&mut bench, tag);
    }
    assert_eq!(acks(&mut bench), [(8, true)]);
}

#[test]
fn a_multiple_has_the_tag_of_a_delivery_that_the_peer_still_waits_for() {
    let (mut bench, _, user) = coalescing(3);
    deliver(&mut bench, &user, 1..=5);
    user.settle(&mut bench, 3, Settle::Nack { multiple: false, requeue: true }).expect("settled");
    assert_eq!(bench.names().len(), 1, "a nack does not wait");
    for tag in [1, 2] {
        user.ack(&mut bench, tag);
    }
    bench.pass(DELAY);
    bench.pass(DELAY);
    assert_eq!(acks(&mut bench), [(2, true)], "the third was settled before, by its nack");
}

#[test]
fn held_acks_go_out_when_their_time_is_up() {
    let (mut bench, _, user) = coalescing(100);
    deliver(&mut bench, &user, 1..=9);
    let (woken, waker) = counter();
    bench.run(|session| session.set_driver(&waker));
    user.ack(&mut bench, 1);
    assert_eq!(woken.get(), 1, "the driver has to tell the time");
    bench.run(|session| session.set_driver(&waker));
    user.ack(&mut bench, 2);
    assert_eq!(woken.get(), 1, "once");
    bench.pass(Duration::ZERO);
    assert_eq!(bench.session.poll_timeout(), Some(bench.now + DELAY));
    bench.nothing_sent();
    bench.pass(DELAY);
    assert_eq!(acks(&mut bench), [(2, true)]);
    bench.pass(DELAY);
    bench.nothing_sent();
    user.ack(&mut bench, 3);
    bench.pass(Duration::ZERO);
    bench.pass(DELAY);
    assert_eq!(acks(&mut bench), [(3, false)]);
}

#[test]
fn held_acks_go_out_before_every_request_and_with_flush_and_close() {
    type Ask = fn(&mut Bench, ChannelKey);
    let asks: [(&str, Ask); 5] = [
        ("queue.declare", |bench, key| {
            bench.call(key, amqp_types::protocol::queue::Declare::default());
        }),
        ("basic.cancel", |bench, key| {
            bench.call(key, basic::Cancel { consumer_tag: short("c"), ..Default::default() });
        }),
        ("channel.close", |bench, key| {
            bench.run(|session| {
                session.close_channel(key, amqp_types::protocol::ReplyCode::REPLY_SUCCESS, "");
            });
        }),
        ("connection.close", |bench, _| {
            bench.run(|session| {
                session.close(amqp_types::protocol::ReplyCode::REPLY_SUCCESS, "", None);
            });
        }),
        ("", |bench, key| {
            let (mut position, mut ticket) = (None, None);
            let _ = bench
                .run(|session| session.poll_flush(key, &mut position, &mut ticket, Waker::noop()));
        }),
    ];
    for (name, ask) in asks {
        let (mut bench, key, user) = coalescing(100);
        deliver(&mut bench, &user, 1..=3);
        user.ack(&mut bench, 1);
        user.ack(&mut bench, 2);
        ask(&mut bench, key);
        let names: Vec<_> = bench.names().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names.first(), Some(&"basic.ack"), "{name}: {names:?}");
        assert_eq!(names.get(1).copied().unwrap_or_default(), name);
    }
}

#[test]
fn a_consumer_that_is_dropped_has_its_acks_sent() {
    let (mut bench, key, user) = coalescing(100);
    deliver(&mut bench, &user, 1..=3);
    user.ack(&mut bench, 1);
    bench.run(|session| session.drop_consumer(key, user.id));
    assert_eq!(bench.names(), [(key.id, "basic.ack"), (key.id, "basic.cancel")]);
}

#[test]
fn a_consumer_that_the_peer_cancels_has_its_acks_sent() {
    let (mut bench, key, user) = coalescing(100);
    deliver(&mut bench, &user, 1..=3);
    user.ack(&mut bench, 1);
    bench.receive(key.id, basic::Cancel { consumer_tag: short("c"), no_wait: true });
    assert_eq!(acks(&mut bench), [(1, false)]);
}

#[test]
fn a_prefetch_never_starves_for_acks_that_are_held() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.run(|session| session.coalesce_acks(key, 1000, DELAY)).expect("nothing has come");
    for (prefetch, global, limit) in [(100, false, 50), (8, false, 4), (0, false, 4), (2, true, 1)]
    {
        let qos = basic::Qos { prefetch_count: prefetch, global, ..Default::default() };
        bench.run(|session| session.send_qos(key, qos, Location::caller())).expect("sent");
        bench.receive(key.id, basic::QosOk::default());
        let tag = format!("{prefetch}");
        bench.consume(key, &tag, false);
        let coalescer = bench.run(|session| {
            session.channels.get(key).and_then(|it| it.coalescer.as_ref()).map(|it| it.limit())
        });
        assert_eq!(coalescer, Some(limit), "with a prefetch of {prefetch}, global: {global}");
    }
}

#[test]
fn coalescing_has_to_begin_before_anything_can_be_delivered() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.call(key, basic::Get::default());
    let late = bench.run(|session| session.coalesce_acks(key, 10, DELAY));
    assert_eq!(late.unwrap_err().kind(), crate::ErrorKind::Invalid);
    let key = bench.open();
    bench.consume(key, "c", true);
    assert!(bench.run(|session| session.coalesce_acks(key, 10, DELAY)).is_err());
}

#[test]
fn a_peer_that_numbers_otherwise_gets_no_multiple() {
    for tags in [[2, 3, 4], [1, 3, 4], [1, 2, u64::MAX]] {
        let (mut bench, _, user) = coalescing(3);
        deliver(&mut bench, &user, tags);
        for tag in tags {
            user.ack(&mut bench, tag);
        }
        let mut sent = acks(&mut bench);
        sent.sort_unstable();
        assert_eq!(sent, tags.map(|tag| (tag, false)));
    }
}

#[test]
fn tags_that_come_twice_or_backwards_do_no_harm() {
    let (mut bench, _, user) = coalescing(100);
    deliver(&mut bench, &user, [1, 2, 2, 1, 0, 3]);
    for tag in [1, 2, 2, 3] {
        user.ack(&mut bench, tag);
    }
    bench.pass(Duration::ZERO);
    bench.pass(DELAY);
    let mut sent = acks(&mut bench);
    sent.sort_unstable();
    assert_eq!(sent, [(1, false), (2, false), (3, false)]);
}

#[test]
fn an_open_delivery_does_not_make_the_others_pile_up() {
    let (mut bench, key, user) = coalescing(16);
    for tag in 1..=10_000 {
        deliver(&mut bench, &user, [tag]);
        if tag > 1 {
            user.ack(&mut bench, tag);
        }
        if tag % 1000 == 0 {
            bench.frames();
        }
    }
    let kept = bench.run(|session| {
        session.channels.get(key).and_then(|it| it.coalescer.as_ref()).map(|it| it.len())
    });
    assert!(kept < Some(300), "{kept:?}");
}
