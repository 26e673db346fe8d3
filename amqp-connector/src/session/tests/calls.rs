//! Replies find their calls, and what nobody waits for any more is undone.

use amqp_types::protocol::queue;

use super::*;
use crate::ErrorKind;

const TIMEOUT: Duration = Duration::from_secs(30);

fn declare(name: &str) -> queue::Declare {
    queue::Declare { queue: short(name), ..Default::default() }
}

fn declared(bench: &mut Bench, call: CallId) -> u32 {
    match bench.reply(call) {
        Method::Queue(queue::Method::DeclareOk(ok)) => ok.message_count,
        other => panic!("{other:?}"),
    }
}

#[test]
fn pipelined_replies_go_to_their_calls_in_order() {
    let mut bench = Bench::new();
    let key = bench.open();
    let calls: Vec<_> = (0..5).map(|_| bench.call(key, declare("q"))).collect();
    for message_count in 0..5 {
        bench.receive(key.id, queue::DeclareOk { message_count, ..Default::default() });
    }
    // Asked for in another order than they came.
    for n in [3, 0, 4, 2, 1] {
        assert_eq!(declared(&mut bench, calls[n]) as usize, n);
    }
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn an_abandoned_call_keeps_its_place_in_line() {
    let mut bench = Bench::new();
    let key = bench.open();
    let (first, second) = (bench.call(key, declare("a")), bench.call(key, declare("b")));
    bench.abandon(first);
    bench.receive(key.id, queue::DeclareOk { message_count: 1, ..Default::default() });
    bench.receive(key.id, queue::DeclareOk { message_count: 2, ..Default::default() });
    assert_eq!(declared(&mut bench, second), 2);
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn a_message_got_for_nobody_is_requeued() {
    for late in [false, true] {
        let mut bench = Bench::new();
        let key = bench.open();
        let call = bench.call(key, basic::Get::default());
        bench.frames();
        let ok = basic::GetOk { delivery_tag: 7, ..Default::default() };
        // Given up before the reply came, or after.
        if !late {
            bench.abandon(call);
        }
        bench.receive_content(key.id, ok, b"job");
        if late {
            bench.nothing_sent();
            bench.abandon(call);
        }
        assert_eq!(bench.only::<basic::Reject>(), basic::Reject { delivery_tag: 7, requeue: true });
        assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
    }
}

#[test]
fn a_message_got_for_nobody_without_ack_is_not_settled() {
    let mut bench = Bench::new();
    let key = bench.open();
    let call = bench.call(key, basic::Get { no_ack: true, ..Default::default() });
    bench.frames();
    bench.abandon(call);
    bench.receive_content(key.id, basic::GetOk::default(), b"job");
    bench.nothing_sent();
}

#[test]
fn an_empty_queue_got_by_nobody_needs_nothing() {
    let mut bench = Bench::new();
    let key = bench.open();
    let call = bench.call(key, basic::Get::default());
    bench.abandon(call);
    bench.frames();
    bench.receive(key.id, basic::GetEmpty::default());
    bench.nothing_sent();
}

#[test]
fn a_consumer_started_for_nobody_is_cancelled_and_its_messages_go_back() {
    for late in [false, true] {
        let mut bench = Bench::new();
        let key = bench.open();
        let call = bench.call(key, basic::Consume::default());
        bench.frames();
        if !late {
            bench.abandon(call);
        }
        bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("ctag") });
        if late {
            bench.deliver(key, "ctag", 1, b"x");
            bench.nothing_sent();
            bench.abandon(call);
        }
        let sent = bench.names();
        assert_eq!(sent[0], (key.id, "basic.cancel"));
        assert_eq!(sent.len(), 1 + usize::from(late), "{sent:?}");
        // Still on its way when the cancel was sent.
        bench.deliver(key, "ctag", 2, b"x");
        assert_eq!(bench.only::<basic::Reject>(), basic::Reject { delivery_tag: 2, requeue: true });
        bench.receive(key.id, basic::CancelOk { consumer_tag: short("ctag") });
        bench.nothing_sent();
        assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
    }
}

#[test]
fn a_channel_opened_for_nobody_is_closed() {
    for late in [false, true] {
        let mut bench = Bench::new();
        let (key, call) = bench.begin_open();
        bench.frames();
        if late {
            bench.receive(key.id, channel::OpenOk::default());
        }
        bench.abandon(call);
        bench.run(|session| session.release_channel(key));
        if !late {
            bench.nothing_sent();
            bench.receive(key.id, channel::OpenOk::default());
        }
        bench.only::<channel::Close>();
        assert_eq!(bench.left().channels, 1);
        bench.receive(key.id, channel::CloseOk::default());
        assert_eq!(bench.left(), Leftovers::default());
    }
}

#[test]
fn an_exclusive_queue_that_the_server_named_for_nobody_is_deleted() {
    let exclusive = queue::Declare { exclusive: true, ..Default::default() };
    let mut bench = Bench::new();
    let key = bench.open();
    let call = bench.call(key, exclusive.clone());
    bench.abandon(call);
    bench.frames();
    bench.receive(key.id, queue::DeclareOk { queue: short("amq.gen-1"), ..Default::default() });
    let delete = bench.only::<queue::Delete>();
    assert_eq!(delete.queue, *"amq.gen-1");
    assert!(delete.no_wait, "its reply would be somebody else's");

    // One with a name of the user's may be meant to stay.
    let call = bench.call(key, queue::Declare { queue: short("mine"), ..exclusive });
    bench.abandon(call);
    bench.frames();
    bench.receive(key.id, queue::DeclareOk { queue: short("mine"), ..Default::default() });
    bench.nothing_sent();
}

#[test]
fn a_deadline_ends_the_wait_and_a_second_one_the_channel() {
    let mut bench = Bench::new();
    let (key, other) = (bench.open(), bench.open());
    let call = bench.call(key, declare("slow"));
    let (woken, waker) = counter();
    assert!(bench.run(|session| session.poll_call(call, &waker)).is_pending());
    bench.frames();
    bench.pass(TIMEOUT - Duration::from_millis(1));
    assert_eq!(woken.get(), 0);
    bench.pass(Duration::from_millis(1));
    assert_eq!(woken.get(), 1);
    assert_eq!(bench.error(call).kind(), ErrorKind::Timeout);
    bench.nothing_sent();

    bench.pass(TIMEOUT);
    let close = bench.only::<channel::Close>();
    assert_ne!(close.reply_code, 0);
    let reason = bench.session.channel_close_reason(key).expect("closed");
    assert_eq!(reason.method(), Some("queue.declare"));
    assert!(reason.place().is_some_and(|place| place.file().ends_with("tests/calls.rs")));
    assert!(bench.session.channel_close_reason(other).is_none());
    assert!(bench.session.close_reason().is_none());
    assert_eq!(bench.left().deadlines, 0);
}

#[test]
fn a_reply_after_the_deadline_is_undone_and_the_channel_lives() {
    let mut bench = Bench::new();
    let key = bench.open();
    let call = bench.call(key, basic::Get::default());
    bench.pass(TIMEOUT);
    assert_eq!(bench.error(call).kind(), ErrorKind::Timeout);
    bench.frames();
    bench.receive_content(key.id, basic::GetOk { delivery_tag: 3, ..Default::default() }, b"late");
    assert_eq!(bench.only::<basic::Reject>().delivery_tag, 3);
    bench.pass(2 * TIMEOUT);
    bench.nothing_sent();
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn a_timed_out_call_that_nobody_polls_is_forgotten_when_it_is_dropped() {
    let mut bench = Bench::new();
    let key = bench.open();
    let call = bench.call(key, declare("slow"));
    bench.pass(TIMEOUT);
    bench.abandon(call);
    bench.receive(key.id, queue::DeclareOk::default());
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn a_soft_error_fails_every_call_of_its_channel_and_no_other() {
    let mut bench = Bench::new();
    let (key, other) = (bench.open(), bench.open());
    let calls = [bench.call(key, declare("a")), bench.call(key, declare("b"))];
    let unharmed = bench.call(other, declare("c"));
    bench.frames();
    let close = channel::Close {
        reply_code: 404,
        reply_text: short("NOT_FOUND"),
        class_id: queue::Declare::CLASS_ID,
        method_id: queue::Declare::METHOD_ID,
    };
    bench.receive(key.id, close);
    bench.only::<channel::CloseOk>();
    for call in calls {
        let error = bench.error(call);
        assert_eq!(error.kind(), ErrorKind::ChannelClosed);
        assert_eq!(error.close_reason().and_then(|reason| reason.method()), Some("queue.declare"));
    }
    bench.receive(other.id, queue::DeclareOk::default());
    bench.reply(unharmed);
    let late =
        bench.session.call(key, &declare("d").into_any(), &bench.options::<queue::Declare>());
    assert_eq!(late.expect_err("closed").kind(), ErrorKind::ChannelClosed);
}

#[test]
fn a_request_that_has_a_reply_is_not_sent_without_waiting_for_it() {
    let mut bench = Bench::new();
    let key = bench.open();
    let refused = bench.send(key, declare("q"));
    assert_eq!(refused.expect_err("it has a reply").kind(), ErrorKind::Invalid);
    bench.nothing_sent();
    let no_wait = queue::Declare { no_wait: true, ..declare("q") };
    bench.send(key, no_wait).expect("it has none");
    bench.only::<queue::Declare>();
}

fn large_with(arguments: &amqp_types::FieldTable) -> queue::Declare {
    queue::Declare { arguments: arguments.clone(), ..Default::default() }
}

#[test]
fn what_does_not_fit_a_frame_is_refused_with_nothing_sent() {
    let mut bench = Bench::new();
    let key = bench.open();
    let value = amqp_types::FieldValue::from(vec![0; 5000]);
    let arguments = amqp_types::FieldTable::new().with(short("x"), value);
    let large = large_with(&arguments);
    let options = bench.options::<queue::Declare>();
    let refused = bench.session.call(key, &large.into_any(), &options);
    assert_eq!(refused.expect_err("too large").kind(), ErrorKind::Invalid);
    bench.nothing_sent();

    let fits = bench.run(|session| {
        let small = session.check_fits(key.id, &queue::Declare::default().into_any());
        (small.is_ok(), session.check_fits(key.id, &large_with(&arguments).into_any()).is_ok())
    });
    assert_eq!(fits, (true, false));
    bench.nothing_sent();

    // A content's header must fit one frame too, large body or not.
    for body in [10, 100_000] {
        let mut large = message(vec![0; body]);
        large.properties.get_or_insert_default().headers = Some(arguments.clone());
        let mut place = Place::None;
        let refused = bench.publish_from(key, &mut large, &mut place, Waker::noop());
        let Poll::Ready(Err(error)) = refused else { panic!("{refused:?}") };
        assert_eq!(error.kind(), ErrorKind::Invalid);
        bench.nothing_sent();
    }
    // The channel is as good as before.
    bench.accepted(key, "x");
    assert_eq!(bench.names(), [(key.id, "basic.publish")]);
    assert_eq!(bench.left().octets, 0);
}

#[test]
fn a_stale_settlement_never_reaches_the_wire() {
    let mut bench = Bench::new();
    let old = bench.open();
    let settle = |bench: &mut Bench, key| {
        bench.run(|session| {
            session.settle(key, 1, Settle::Ack { multiple: false }, &InFlight::default())
        })
    };
    settle(&mut bench, old).expect("open");
    bench.only::<basic::Ack>();
    bench.receive(old.id, channel::Close { reply_code: 404, ..Default::default() });
    bench.frames();
    assert_eq!(settle(&mut bench, old).expect_err("over").kind(), ErrorKind::Stale);
    // The number is another channel's now, where tag 1 may be outstanding too: all others are in use.
    bench.open();
    bench.open();
    let new = bench.open();
    assert_eq!(new.id, old.id);
    assert_eq!(settle(&mut bench, old).expect_err("over").kind(), ErrorKind::Stale);
    bench.run(|session| session.release_channel(old));
    assert_eq!(settle(&mut bench, old).expect_err("over").kind(), ErrorKind::Stale);
    bench.nothing_sent();
    settle(&mut bench, new).expect("open");
    bench.only::<basic::Ack>();
}
