//! What a peer that goes on and on, and neither reads nor answers, cannot make us keep.

use super::*;
use crate::CloseCause;
use crate::session::Reopening;
use crate::session::consume::coalesce::{Coalescer, Held};

/// Not this: what goes back of a flood for nobody piles up without bound for a peer that does not read.
#[test]
fn messages_for_nobody_from_a_peer_that_does_not_read_are_bounded() {
    let mut bench = Bench::new();
    assert_eq!(bench.session.sent_back_max, 1 << 20, "a peer that is slow to read is no enemy");
    const LESS: usize = 1 << 14;
    bench.session.sent_back_max = LESS;
    let key = bench.open();
    let mut sent = 0;
    while bench.session.close_reason().is_none() {
        sent += 1;
        assert!(sent <= LESS + 1, "it is never enough");
        bench.deliver(key, "nobody", sent as u64, b"");
    }
    assert!(sent > LESS, "{sent}: fewer than may be");
    let octets = bench.session.leftovers().octets;
    assert!(octets <= 32 * LESS, "{octets} octets");
    let reason = bench.session.close_reason().expect("over").clone();
    assert!(matches!(reason.cause(), CloseCause::LimitExceeded), "{reason}");
}

/// Not this: a peer that goes on sending to a consumer which is being cancelled, and never says that it is, fills the
/// memory with what is to go back.
#[test]
fn messages_for_a_consumer_that_is_being_cancelled_are_bounded() {
    let mut bench = Bench::new();
    const LESS: usize = 1 << 14;
    bench.session.sent_back_max = LESS;
    let key = bench.open();
    let id = bench.consume(key, "c", false);
    bench.run(|session| session.drop_consumer(key, id));
    let mut sent = 0;
    while bench.session.close_reason().is_none() {
        sent += 1;
        assert!(sent <= 2 * LESS + 2000, "it is never enough");
        bench.deliver(key, "c", sent as u64, b"");
        let gathered = bench.session.channels.get(key).map_or(0, |channel| channel.giving.len());
        assert!(gathered <= LESS, "{gathered} are gathered");
    }
    let reason = bench.session.close_reason().expect("over").clone();
    assert!(matches!(reason.cause(), CloseCause::LimitExceeded), "{reason}");
}

/// Not this: a channel that coalesces acks remembers every delivery that its user never settles.
#[test]
fn deliveries_that_stay_open_are_remembered_up_to_a_bound() {
    let mut coalescer = Coalescer::after(10, Duration::from_secs(1), 0);
    const LINE: u64 = 1 << 20;
    for tag in 1..=LINE + 100 {
        coalescer.delivered(tag, true);
    }
    assert_eq!(coalescer.len() as u64, LINE);
    // What is not remembered is acked by itself, at once.
    assert_eq!(coalescer.hold(LINE + 1), Held::Not);
    assert_eq!(coalescer.hold(LINE), Held::First);
}

/// Not this: what a peer goes on sending after a close was sent to it is kept for a user who is not coming back.
#[test]
fn what_comes_while_a_close_is_under_way_is_not_kept() {
    for whole in [false, true] {
        let mut bench = Bench::new();
        let key = bench.open();
        bench.consume(key, "c", false);
        match whole {
            true => bench.run(|session| session.close(200.into(), "bye", None)),
            false => bench.run(|session| session.close_channel(key, 200.into(), "bye")),
        }
        bench.frames();
        let before = bench.left();
        for tag in 1..=1000 {
            bench.deliver(key, "c", tag, &[7; 5000]);
            bench.receive_content(key.id, basic::Return::default(), &[7; 5000]);
            bench.receive(key.id, channel::Flow { active: false });
            // The beginning of a body that would be a large one.
            let deliver = basic::Deliver { consumer_tag: short("c"), ..Default::default() };
            bench.receive(key.id, deliver);
        }
        assert_eq!(bench.left(), before, "of the connection: {whole}");
        let queued: usize = bench.session.channels.get(key).map_or(0, |channel| {
            channel.consumers.iter_mut().map(|consumer| consumer.backlog.len()).sum()
        });
        assert_eq!(queued, 0, "of the connection: {whole}");
    }
}

/// Not this: a channel that is closed and reopened over and over remembers each of its ends.
#[test]
fn a_channel_that_is_closed_again_and_again_remembers_its_last_ends_alone() {
    let mut bench = Bench::new();
    let (mut key, mut former) = (bench.open(), Vec::new());
    for _ in 0..100 {
        bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() });
        let begun = bench.run(|session| session.poll_reopen(key, &mut None, Waker::noop()));
        let Poll::Ready(Ok(Reopening::Begun(new))) = begun else { panic!("{begun:?}") };
        let options = bench.options::<channel::Open>();
        let call = bench.run(|session| session.reopen(new, &options)).expect("sent").expect("one");
        bench.receive(new.id, channel::OpenOk::default());
        bench.reply(call);
        assert!(bench.run(|session| session.reopened(new)));
        bench.frames();
        former.push(std::mem::replace(&mut key, new));
    }
    let known = former.iter().filter(|key| bench.session.channels.former(**key).is_some());
    assert_eq!(known.count(), 4);
}
