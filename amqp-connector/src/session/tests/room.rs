//! Room for publishes: large bodies hold no other channel, and each line goes on in order when its room is there.

use super::*;
use crate::error::{Error, ErrorKind};

const LARGE: usize = 300_000;

fn bench(budget: usize) -> Bench {
    let mut options = Options::default();
    options.outbound_budget = budget;
    Bench::with(options)
}

/// A publish that may have to wait.
struct Waiting {
    key: ChannelKey,
    message: Message,
    place: Place,
    woken: Arc<Count>,
    waker: Waker,
}

impl Waiting {
    fn new(key: ChannelKey, size: usize) -> Self {
        let (woken, waker) = counter();
        Self { key, message: message(vec![1; size]), place: Place::None, woken, waker }
    }

    fn poll(&mut self, bench: &mut Bench) -> Published {
        bench.publish_from(self.key, &mut self.message, &mut self.place, &self.waker)
    }

    #[track_caller]
    fn waits(mut self, bench: &mut Bench) -> Self {
        assert!(self.poll(bench).is_pending());
        self
    }

    #[track_caller]
    fn goes(&mut self, bench: &mut Bench) {
        assert!(self.woken.get() > 0, "nobody woke it");
        assert!(self.poll(bench).is_ready());
    }

    fn give_up(&mut self, bench: &mut Bench) {
        bench.run(|session| session.leave(self.key, &mut self.place));
    }
}

/// What a publish that is not to wait is told.
fn refused(bench: &mut Bench, key: ChannelKey, size: usize) -> Error {
    let (mut message, mut place) = (message(vec![1; size]), Place::None);
    let polled = bench.run(|session| {
        session.poll_publish(key, &mut message, Location::caller(), &mut place, None)
    });
    match polled {
        Poll::Ready(Err(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_large_body_holds_no_publish_of_another_channel() {
    let mut bench = bench(10_000);
    let (first, second) = (bench.open(), bench.open());
    bench.accepted(first, vec![0; 5_000_000]);
    bench.accepted(second, "small");
    bench.accepted(second, vec![0; 100_000]);
    assert!(bench.publish(second, "it would be behind its own").is_pending());
    let waiting = bench.session.leftovers().waiting;
    assert_eq!(waiting, 1);
}

#[test]
fn a_channel_keeps_its_share_whatever_the_others_hold() {
    let mut bench = bench(4 << 20);
    let (first, second) = (bench.open(), bench.open());
    bench.accepted(first, vec![0; 5_000_000]);
    bench.accepted(second, vec![0; 100_000]);
    bench.accepted(second, "behind it");
    bench.accepted(second, vec![0; 100_000]);
    let mut more = Waiting::new(second, 100_000).waits(&mut bench);
    // Its own two bodies leave in the first turn, though the other one's does not.
    bench.write();
    more.goes(&mut bench);
    bench.frames();
    assert_eq!(bench.left(), Leftovers { channels: 2, ..Default::default() });
}

#[test]
fn the_large_bodies_of_a_channel_are_held_by_the_budget() {
    let mut bench = bench(1 << 20);
    let key = bench.open();
    for _ in 0..3 {
        bench.accepted(key, vec![0; LARGE]);
    }
    let mut fourth = Waiting::new(key, LARGE).waits(&mut bench);
    let mut small = Waiting::new(key, 10).waits(&mut bench);
    let error = refused(&mut bench, key, 10);
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(error.to_string().contains("outbound_budget") && error.is_transient(), "{error}");
    bench.write();
    fourth.goes(&mut bench);
    bench.write();
    small.goes(&mut bench);
    assert_eq!(bench.names().len(), 5);
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn a_full_shared_queue_holds_no_large_body_of_a_channel_that_waits_for_nothing() {
    let mut bench = bench(10_000);
    let (first, second) = (bench.open(), bench.open());
    bench.accepted(first, vec![0; 9_999]);
    let error = refused(&mut bench, second, 100);
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(error.to_string().contains("outbound_budget"), "{error}");
    bench.accepted(second, vec![0; LARGE]);
}

#[test]
fn a_large_body_does_not_pass_a_small_one_of_its_channel_that_waits() {
    let mut bench = bench(10_000);
    let key = bench.open();
    bench.accepted(key, vec![0; 9_999]);
    let mut small = Waiting::new(key, 100).waits(&mut bench);
    let mut large = Waiting::new(key, LARGE).waits(&mut bench);
    assert_eq!(refused(&mut bench, key, LARGE).kind(), ErrorKind::Full);
    bench.write();
    assert_eq!(large.woken.get(), 0);
    assert!(large.poll(&mut bench).is_pending());
    small.goes(&mut bench);
    large.goes(&mut bench);
    // Nor when the small one gives up instead.
    let mut bench = self::bench(10_000);
    let key = bench.open();
    bench.accepted(key, vec![0; 9_999]);
    let mut small = Waiting::new(key, 100).waits(&mut bench);
    let mut large = Waiting::new(key, LARGE).waits(&mut bench);
    small.give_up(&mut bench);
    large.goes(&mut bench);
}

#[test]
fn small_ones_that_waited_behind_a_large_body_still_need_room_in_the_shared_queue() {
    let mut bench = bench(10_000);
    let key = bench.open();
    bench.accepted(key, vec![0; LARGE]);
    let mut waiting: Vec<_> = (0..50).map(|_| Waiting::new(key, 1000).waits(&mut bench)).collect();
    let mut rounds = 0;
    while !waiting.is_empty() {
        bench.write();
        waiting.retain_mut(|one| one.woken.reset() == 0 || one.poll(&mut bench).is_pending());
        let octets = bench.session.leftovers().octets;
        assert!(octets <= 3 * 10_000 || rounds == 0, "{octets} octets");
        rounds += 1;
        assert!(rounds < 100, "{} are forgotten", waiting.len());
    }
    bench.frames();
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn whoever_gives_up_behind_a_large_body_lets_the_next_one_go() {
    let mut bench = bench(100);
    let key = bench.open();
    bench.accepted(key, vec![0; LARGE]);
    let mut first = Waiting::new(key, LARGE).waits(&mut bench);
    let mut second = Waiting::new(key, LARGE).waits(&mut bench);
    bench.write();
    assert_eq!(second.woken.get(), 0);
    first.give_up(&mut bench);
    second.goes(&mut bench);
}

#[test]
fn the_end_of_a_channel_wakes_those_who_wait_behind_its_large_body_and_others_go_on() {
    let mut bench = bench(100);
    let (key, other) = (bench.open(), bench.open());
    bench.accepted(key, vec![0; LARGE]);
    bench.accepted(other, vec![0; LARGE]);
    let mut ended = Waiting::new(key, 10).waits(&mut bench);
    let mut left = Waiting::new(other, 10).waits(&mut bench);
    bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() });
    assert!(ended.woken.get() > 0);
    let Poll::Ready(Err(error)) = ended.poll(&mut bench) else { panic!("it waits") };
    assert_eq!(error.kind(), ErrorKind::ChannelClosed);
    bench.frames();
    left.goes(&mut bench);
    bench.frames();
    assert_eq!(bench.left(), Leftovers { channels: 1, retired: 1, ..Default::default() });
}

#[test]
fn the_end_of_the_connection_wakes_those_who_wait_behind_a_large_body() {
    let mut bench = bench(100);
    let key = bench.open();
    bench.accepted(key, vec![0; LARGE]);
    let mut waiting = Waiting::new(key, 10).waits(&mut bench);
    bench.run(|session| session.handle_io_end(None));
    assert!(waiting.woken.get() > 0);
    let Poll::Ready(Err(error)) = waiting.poll(&mut bench) else { panic!("it waits") };
    assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
    assert_eq!(bench.left().waiting, 0);
}

amqp_types::if_spec! { connection.blocked => {
    #[test]
    fn a_blocked_broker_holds_large_bodies_and_those_let_in_before() {
        use amqp_types::protocol::connection as wire;
        let mut bench = bench(100);
        let (key, other) = (bench.open(), bench.open());
        bench.accepted(key, vec![0; LARGE]);
        let mut behind = Waiting::new(key, LARGE).waits(&mut bench);
        bench.write();
        bench.frames();
        bench.receive(0, wire::Blocked { reason: short("low on memory") });
        assert!(behind.poll(&mut bench).is_pending(), "it was let in before the block");
        let mut newcomer = Waiting::new(other, LARGE).waits(&mut bench);
        assert_eq!(refused(&mut bench, other, LARGE).kind(), ErrorKind::Blocked);
        behind.woken.reset();
        bench.receive(0, wire::Unblocked::default());
        behind.goes(&mut bench);
        newcomer.goes(&mut bench);
    }
} else {} }
