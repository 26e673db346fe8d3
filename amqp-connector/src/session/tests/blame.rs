//! The place that a close reason tells: of the call that is to blame, where there is but one it can be.

use amqp_types::protocol::queue;

use super::*;
use crate::error::CloseReason;

fn declare(no_wait: bool) -> queue::Declare {
    queue::Declare { queue: short("q"), no_wait, ..Default::default() }
}

/// The peer closes the channel for a method of type `M`; gives the line that is told, if any.
fn closed_for<M: amqp_types::Method>(bench: &mut Bench, key: ChannelKey) -> Option<u32> {
    let (class_id, method_id) = (M::CLASS_ID, M::METHOD_ID);
    bench.receive(
        key.id,
        channel::Close { reply_code: 404, class_id, method_id, ..Default::default() },
    );
    let reason = bench.session.channel_close_reason(key).expect("closed");
    line_of(&reason, M::NAME)
}

fn line_of(reason: &CloseReason, name: &str) -> Option<u32> {
    assert_eq!(reason.method(), Some(name));
    reason.place().map(|place| {
        assert!(place.file().ends_with("tests/blame.rs"), "{place}");
        place.line()
    })
}

#[test]
fn of_calls_of_the_same_method_the_oldest_unanswered_is_to_blame() {
    for answered in 0..3 {
        let mut bench = Bench::new();
        let key = bench.open();
        let first = line!() + 1;
        bench.call(key, declare(false));
        bench.call(key, queue::Purge::default());
        bench.call(key, declare(false));
        bench.call(key, declare(false));
        let lines = [first, first + 2, first + 3];
        for n in 0..answered {
            bench.receive(key.id, queue::DeclareOk::default());
            if n == 0 {
                bench.receive(key.id, queue::PurgeOk::default());
            }
        }
        assert_eq!(closed_for::<queue::Declare>(&mut bench, key), Some(lines[answered]));
    }
}

#[test]
fn an_abandoned_call_can_be_to_blame() {
    let mut bench = Bench::new();
    let key = bench.open();
    let line = line!() + 1;
    let call = bench.call(key, declare(false));
    bench.call(key, declare(false));
    bench.abandon(call);
    assert_eq!(closed_for::<queue::Declare>(&mut bench, key), Some(line));
}

#[test]
fn no_place_is_told_of_a_method_that_no_call_sent() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.call(key, declare(false));
    assert_eq!(closed_for::<basic::Ack>(&mut bench, key), None);
}

#[test]
fn a_request_without_an_answer_before_the_call_makes_it_uncertain() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.send(key, declare(true)).expect("sent");
    bench.call(key, declare(false));
    assert_eq!(closed_for::<queue::Declare>(&mut bench, key), None);
}

#[test]
fn a_request_without_an_answer_after_the_call_is_not_suspected() {
    let mut bench = Bench::new();
    let key = bench.open();
    let line = line!() + 1;
    bench.call(key, declare(false));
    bench.send(key, declare(true)).expect("sent");
    bench.send(key, declare(true)).expect("sent");
    assert_eq!(closed_for::<queue::Declare>(&mut bench, key), Some(line));
}

#[test]
fn an_answer_clears_the_requests_before_it() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.send(key, declare(true)).expect("sent");
    bench.call(key, queue::Purge::default());
    let line = line!() + 1;
    bench.call(key, declare(false));
    bench.receive(key.id, queue::PurgeOk::default());
    assert_eq!(closed_for::<queue::Declare>(&mut bench, key), Some(line));
}

#[test]
fn an_answer_does_not_clear_the_requests_after_it() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.send(key, declare(true)).expect("sent");
    bench.call(key, queue::Purge::default());
    bench.send(key, declare(true)).expect("sent");
    bench.receive(key.id, queue::PurgeOk::default());
    assert_eq!(closed_for::<queue::Declare>(&mut bench, key), None);
}

#[test]
fn a_lone_request_without_an_answer_is_to_blame_and_one_of_several_is_not() {
    let mut bench = Bench::new();
    let (one, several) = (bench.open(), bench.open());
    let line = line!() + 1;
    bench.send(one, declare(true)).expect("sent");
    bench.send(several, declare(true)).expect("sent");
    bench.send(several, declare(true)).expect("sent");
    assert_eq!(closed_for::<queue::Declare>(&mut bench, one), Some(line));
    assert_eq!(closed_for::<queue::Declare>(&mut bench, several), None);
}

#[test]
fn requests_without_an_answer_hold_no_memory() {
    let mut bench = Bench::new();
    let key = bench.open();
    for _ in 0..1000 {
        bench.send(key, declare(true)).expect("sent");
        bench.send(key, basic::Ack::default()).expect("sent");
        bench.send(key, queue::Purge { no_wait: true, ..Default::default() }).expect("sent");
    }
    let channel = bench.session.channels.get(key).expect("open");
    assert_eq!(channel.unanswered.len(), 2);
}

#[test]
fn of_consumers_that_a_broker_answers_in_any_order_only_a_lone_one_is_to_blame() {
    let consume = |tag| basic::Consume { consumer_tag: short(tag), ..Default::default() };
    let mut bench = Bench::new();
    let (one, two) = (bench.open(), bench.open());
    bench.call(two, consume("a"));
    bench.call(two, consume("b"));
    assert_eq!(closed_for::<basic::Consume>(&mut bench, two), None);
    bench.call(one, consume("a"));
    let line = line!() + 1;
    bench.call(one, consume("b"));
    bench.receive(one.id, basic::ConsumeOk { consumer_tag: short("a") });
    assert_eq!(closed_for::<basic::Consume>(&mut bench, one), Some(line));
}

#[test]
fn a_close_of_the_connection_tells_the_place_if_one_channel_alone_can_be_meant() {
    for alone in [true, false] {
        let mut bench = Bench::new();
        let (key, other) = (bench.open(), bench.open());
        let line = line!() + 1;
        bench.call(key, declare(false));
        bench.call(key, declare(false));
        if !alone {
            bench.call(other, declare(false));
        }
        let (class_id, method_id) = (queue::Declare::CLASS_ID, queue::Declare::METHOD_ID);
        let close =
            connection::Close { reply_code: 541, class_id, method_id, ..Default::default() };
        bench.receive(0, close);
        let reason = bench.session.close_reason().expect("closed").clone();
        assert_eq!(line_of(&reason, "queue.declare"), alone.then_some(line));
    }
}

#[test]
fn the_prefetch_of_a_consumer_is_blamed_on_its_own_place() {
    let mut bench = Bench::new();
    let key = bench.open();
    let place = Location::caller();
    bench.run(|session| session.send_qos(key, basic::Qos::default(), place)).expect("sent");
    let (class_id, method_id) = (basic::Qos::CLASS_ID, basic::Qos::METHOD_ID);
    bench.receive(
        key.id,
        channel::Close { reply_code: 540, class_id, method_id, ..Default::default() },
    );
    let reason = bench.session.channel_close_reason(key).expect("closed");
    assert_eq!(reason.place(), Some(place));
}

#[test]
fn without_confirms_the_only_publish_of_a_channel_is_named_and_none_of_several() {
    for publishes in 1..4 {
        let mut bench = Bench::new();
        let key = bench.open();
        let caller = Location::caller();
        for _ in 0..publishes {
            let (mut it, mut place) = (message("x"), Place::None);
            let published = bench.run(|session| {
                session.poll_publish(key, &mut it, caller, &mut place, Some(Waker::noop()))
            });
            assert!(published.is_ready());
        }
        let (class_id, method_id) = (basic::Publish::CLASS_ID, basic::Publish::METHOD_ID);
        let close = channel::Close { reply_code: 404, class_id, method_id, ..Default::default() };
        bench.receive(key.id, close);
        let reason = bench.session.channel_close_reason(key).expect("closed");
        let blamed = reason.publish().filter(|blamed| blamed.count() == 1);
        let key = blamed.and_then(|blamed| blamed.routing_key());
        assert_eq!(key, (publishes == 1).then(|| short("q")).as_ref());
        assert_eq!(blamed.is_some_and(|blamed| blamed.place().is_some()), publishes == 1);
        assert_eq!(reason.place(), (publishes == 1).then_some(caller));
    }
}
