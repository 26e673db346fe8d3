//! Messages whose properties cannot be read cost themselves only; and what could not be read is not sent.

use amqp_types::wire::Limits;
use amqp_types::{DecodeErrorKind, EncodeError, FieldTable, field_table};

use super::consume::drain;
use super::*;
use crate::ErrorKind;
use crate::outcome::Event;
use crate::session::StreamHead;

/// Tables in one another, so many that the innermost is not empty.
fn deep(levels: usize) -> FieldTable {
    let innermost = field_table! { "k" => 1 };
    (1..levels).fold(innermost, |table, _| field_table! { "k" => table })
}

fn headers(table: FieldTable) -> basic::Properties {
    basic::Properties { headers: Some(table), ..Default::default() }
}

/// A method with a content that nobody with the default limits can read.
fn receive_unreadable<M>(bench: &mut Bench, channel: u16, method: M, body: &[u8])
where
    M: ContentMethod<Protocol = Spec, Properties = basic::Properties>,
{
    bench.receive_with(channel, method, &headers(deep(65)), body);
}

fn deliver_unreadable(bench: &mut Bench, key: ChannelKey, tag: &str, delivery_tag: u64) {
    let routing_key = short("poison");
    let consumer_tag = short(tag);
    let deliver = basic::Deliver { consumer_tag, delivery_tag, routing_key, ..Default::default() };
    receive_unreadable(bench, key.id, deliver, &[1; 9000]);
}

fn rejected(bench: &mut Bench) -> Vec<(u64, bool)> {
    let sent = bench.sent().into_iter();
    sent.filter_map(|(_, incoming)| match incoming {
        Incoming::Method(Method::Basic(basic::Method::Reject(reject))) => {
            Some((reject.delivery_tag, reject.requeue))
        }
        _ => None,
    })
    .collect()
}

/// The methods and routing keys of what could not be read, as a subscriber is told.
fn unreadable(bench: &mut Bench, id: u64) -> Vec<(&'static str, String)> {
    let mut told = Vec::new();
    while let Poll::Ready(Some(event)) = bench.run(|it| it.poll_event(id, Waker::noop())) {
        if let Event::Unreadable { method, routing_key, error, .. } = event {
            assert_eq!(error.kind(), DecodeErrorKind::NestingTooDeep);
            told.push((method, routing_key.to_string()));
        }
    }
    told
}

#[test]
fn an_unreadable_delivery_is_rejected_and_costs_nobody_else_anything() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = bench.consume(key, "c", false);
    let events = bench.run(Session::subscribe);
    bench.deliver(key, "c", 1, b"before");
    deliver_unreadable(&mut bench, key, "c", 2);
    bench.deliver(key, "c", 3, b"behind");
    assert_eq!(rejected(&mut bench), [(2, false)], "it would come again for ever");
    assert_eq!(drain(&mut bench, key, id), (vec![1, 3], None));
    assert_eq!(unreadable(&mut bench, events), [("basic.deliver", "poison".to_owned())]);
    assert!(bench.session.close_reason().is_none());
}

#[test]
fn of_an_unreadable_delivery_with_no_ack_the_peer_is_told_nothing() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = bench.consume(key, "c", true);
    let events = bench.run(Session::subscribe);
    deliver_unreadable(&mut bench, key, "c", 1);
    bench.deliver(key, "c", 2, b"behind");
    bench.nothing_sent();
    assert_eq!(drain(&mut bench, key, id), (vec![2], None));
    assert_eq!(unreadable(&mut bench, events).len(), 1);
}

#[test]
fn an_unreadable_delivery_for_a_consumer_that_is_over_goes_back() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = bench.consume(key, "c", false);
    bench.run(|session| session.drop_consumer(key, id));
    bench.frames();
    deliver_unreadable(&mut bench, key, "c", 1);
    deliver_unreadable(&mut bench, key, "nobody", 2);
    assert_eq!(rejected(&mut bench), [(1, true), (2, true)]);
}

#[test]
fn an_unreadable_delivery_is_settled_by_no_multiple() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = bench.consume(key, "c", false);
    deliver_unreadable(&mut bench, key, "c", 1);
    bench.deliver(key, "c", 2, b"behind");
    assert_eq!(rejected(&mut bench), [(1, false)]);
    let flight = InFlight::default();
    let mut batch = VecDeque::new();
    let poll = bench.run(|it| it.poll_deliveries(key, id, &mut batch, &flight, Waker::noop()));
    assert!(matches!(poll, Poll::Ready(None)));
    let ack = Settle::Ack { multiple: true };
    bench.run(|session| session.settle(key, 2, ack, &flight)).expect("acked");
    let ack = bench.only::<basic::Ack>();
    assert_eq!((ack.delivery_tag, ack.multiple), (2, true));
}

#[test]
fn an_unreadable_streamed_delivery_is_rejected_and_the_next_is_streamed() {
    let mut bench = Bench::new();
    let key = bench.open();
    let call = bench.call(key, basic::Consume::default());
    bench.run(|session| session.stream_consumer(call));
    bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("s") });
    bench.frames();
    let Poll::Ready(Ok(reply)) = bench.poll(call) else { panic!("no consumer") };
    let id = reply.consumer.expect("a consumer").0;
    deliver_unreadable(&mut bench, key, "s", 1);
    bench.deliver(key, "s", 2, b"behind");
    assert_eq!(rejected(&mut bench), [(1, false)]);
    assert_eq!(drain(&mut bench, key, id), (vec![2], None));
    let piece = bench.run(|session| session.poll_body(key, 2, Waker::noop()));
    assert!(matches!(piece, Poll::Ready(Some(Ok(piece))) if piece == "behind"));
    let end = bench.run(|session| session.poll_body(key, 2, Waker::noop()));
    assert!(matches!(end, Poll::Ready(None)));
    assert_eq!(bench.left().bodies, 0);
}

#[test]
fn a_get_of_an_unreadable_message_fails_and_the_message_is_rejected() {
    let mut bench = Bench::new();
    let key = bench.open();
    let events = bench.run(Session::subscribe);
    let first = bench.call(key, basic::Get::default());
    let second = bench.call(key, basic::Get::default());
    let got = basic::GetOk { delivery_tag: 1, routing_key: short("k"), ..Default::default() };
    receive_unreadable(&mut bench, key.id, got, b"poison");
    bench.receive_content(key.id, basic::GetOk { delivery_tag: 2, ..Default::default() }, b"good");
    let error = bench.error(first);
    assert_eq!(error.kind(), ErrorKind::Unreadable);
    assert!(std::error::Error::source(&error).is_some(), "{error}");
    assert_eq!(rejected(&mut bench), [(1, false)]);
    assert!(matches!(bench.reply(second), Method::Basic(basic::Method::GetOk(_))));
    assert_eq!(unreadable(&mut bench, events), [("basic.get-ok", "k".to_owned())]);
    assert_eq!(bench.left().calls, 0);
}

#[test]
fn an_unreadable_message_that_a_dropped_get_fetched_is_rejected_once() {
    let mut bench = Bench::new();
    let key = bench.open();
    let call = bench.call(key, basic::Get::default());
    bench.frames();
    bench.abandon(call);
    receive_unreadable(
        &mut bench,
        key.id,
        basic::GetOk { delivery_tag: 1, ..Default::default() },
        b"",
    );
    assert_eq!(rejected(&mut bench), [(1, false)]);
}

#[test]
fn an_unreadable_message_that_nobody_asked_for_is_a_violation_as_ever() {
    let mut bench = Bench::new();
    let key = bench.open();
    receive_unreadable(
        &mut bench,
        key.id,
        basic::GetOk { delivery_tag: 1, ..Default::default() },
        b"",
    );
    bench.is_closing_with(503);
}

#[test]
fn a_header_of_another_class_is_a_violation_as_ever() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.consume(key, "c", false);
    bench.receive(key.id, basic::Deliver { consumer_tag: short("c"), ..Default::default() });
    bench.frame(FrameKind::Header, key.id, &[0, 61, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..]);
    bench.is_closing_with(502);
}

#[test]
fn without_confirms_an_unreadable_return_is_told_as_an_event() {
    let mut bench = Bench::new();
    let key = bench.open();
    let events = bench.run(Session::subscribe);
    receive_unreadable(
        &mut bench,
        key.id,
        basic::Return { routing_key: short("k"), ..Default::default() },
        b"",
    );
    assert_eq!(unreadable(&mut bench, events), [("basic.return", "k".to_owned())]);
    assert!(bench.run(|session| session.take_returned(key)).is_none());
}

amqp_types::if_spec! { confirm.select => {
    #[test]
    fn an_unreadable_return_makes_unknown_what_it_could_mean_and_nothing_else() {
        use super::publish::select;
        use crate::{Outcome, UnknownReason};

        let mut bench = Bench::new();
        let key = bench.open();
        select(&mut bench, key);
        let publish = |bench: &mut Bench, routing_key, mandatory| {
            let mut message = message("body");
            (message.publish.routing_key, message.publish.mandatory) = (short(routing_key), mandatory);
            bench.publish_from(key, &mut message, &mut Place::None, Waker::noop())
        };
        for (routing_key, mandatory) in [("k", true), ("other", true), ("k", false)] {
            assert!(matches!(publish(&mut bench, routing_key, mandatory), Poll::Ready(Ok(_))));
        }
        receive_unreadable(&mut bench, key.id, basic::Return { routing_key: short("k"), ..Default::default() }, b"");
        bench.receive(key.id, basic::Ack { delivery_tag: 3, multiple: true });
        let mut outcome = |tag| match bench.run(|it| it.poll_confirm(key, tag, Waker::noop())) {
            Poll::Ready(claimed) => claimed.outcome.expect("confirm mode"),
            Poll::Pending => panic!("pending"),
        };
        assert!(matches!(outcome(1), Outcome::Unknown(UnknownReason::UnmatchedReturn)));
        assert!(matches!(outcome(2), Outcome::Acked));
        assert!(matches!(outcome(3), Outcome::Acked));
    }
} else {} }

#[track_caller]
fn refused(error: &crate::Error, expected: EncodeError) {
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let source = std::error::Error::source(error).and_then(|it| it.downcast_ref::<EncodeError>());
    assert_eq!(source, Some(&expected));
}

#[test]
fn what_could_not_be_read_if_it_came_back_is_refused_before_an_octet_is_sent() {
    let mut bench = Bench::new();
    let key = bench.open();
    let too_deep = EncodeError::NestingTooDeep { max: 64 };
    for size in [1, 10_000, 100_000] {
        let mut message = message(vec![0; size]);
        message.properties = Some(headers(deep(65)));
        let poll = bench.publish_from(key, &mut message, &mut Place::None, Waker::noop());
        let Poll::Ready(Err(error)) = poll else { panic!("{poll:?}") };
        refused(&error, too_deep);
    }
    let mut message = message("");
    message.properties = Some(headers(deep(65)));
    let mut head = StreamHead::new(message, 5, 0, Location::caller());
    let claimed =
        bench.run(|session| session.poll_claim(key, &head, &mut Place::None, Waker::noop()));
    if let Poll::Ready(Ok(())) = claimed {
        let mut piece = Bytes::from_static(b"hello");
        let pushed = bench.run(|session| session.push_piece(key, &mut head, false, &mut piece));
        refused(&pushed.expect_err("refused"), too_deep);
    } else {
        let Poll::Ready(Err(error)) = claimed else { panic!("pending") };
        refused(&error, too_deep);
    }
    bench.nothing_sent();
}

#[test]
fn arguments_that_could_not_be_read_are_refused_before_an_octet_is_sent() {
    use amqp_types::protocol::queue;

    let mut bench = Bench::new();
    let key = bench.open();
    let options = bench.options::<queue::Declare>();
    let mut declare = |arguments| {
        let declare = queue::Declare { queue: short("q"), arguments, ..Default::default() };
        let called = bench.run(|it| it.call(key, &declare.into_any(), &options));
        (called, bench.names())
    };
    let (called, sent) = declare(deep(65));
    refused(&called.expect_err("refused"), EncodeError::NestingTooDeep { max: 64 });
    assert_eq!(sent, []);
    let (called, sent) = declare(deep(64));
    assert!(called.is_ok());
    assert_eq!(sent, [(key.id, "queue.declare")]);
}

#[test]
fn with_other_limits_as_much_is_sent_and_read() {
    let mut options = Options::default();
    options.table_limits = Limits::default().with_depth(100);
    let mut bench = Bench::tuned(options, 131_072, 0);
    let key = bench.open();
    let id = bench.consume(key, "c", false);
    let mut publish = |levels| {
        let mut message = message("");
        message.properties = Some(headers(deep(levels)));
        bench.publish_from(key, &mut message, &mut Place::None, Waker::noop())
    };
    assert!(matches!(publish(100), Poll::Ready(Ok(_))));
    let Poll::Ready(Err(error)) = publish(101) else { panic!("sent") };
    refused(&error, EncodeError::NestingTooDeep { max: 100 });
    let deliver = |delivery_tag| basic::Deliver {
        consumer_tag: short("c"),
        delivery_tag,
        ..Default::default()
    };
    bench.receive_with(key.id, deliver(1), &headers(deep(100)), b"");
    bench.receive_with(key.id, deliver(2), &headers(deep(101)), b"");
    assert_eq!(drain(&mut bench, key, id), (vec![1], None));
}
