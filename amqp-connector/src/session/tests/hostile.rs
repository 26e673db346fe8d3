//! What a hostile peer, an unlucky moment or a careless caller may not bring about.

use super::consume::drain;
use super::*;
use crate::ConsumerEnd;

fn consume_call(bench: &mut Bench, key: ChannelKey, tag: &str) -> CallId {
    bench.call(key, basic::Consume { consumer_tag: short(tag), ..Default::default() })
}
fn consumer_of(bench: &mut Bench, call: CallId) -> (u64, amqp_types::ShortStr) {
    match bench.poll(call) {
        Poll::Ready(Ok(reply)) => reply.consumer.expect("a consumer"),
        Poll::Ready(Err(e)) => panic!("{e}"),
        Poll::Pending => panic!("pending"),
    }
}

/// Not this: a second cancel-ok (cancel abandoned, then handle dropped) hits the *next* consumer of that tag.
#[test]
fn cancel_ok_of_an_old_consumer_ends_a_new_one_with_its_tag() {
    let mut bench = Bench::new();
    let key = bench.open();
    let call = consume_call(&mut bench, key, "t");
    bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("t") });
    let (old, _) = consumer_of(&mut bench, call);
    // `timeout(d, consumer.cancel())` gives up, then the handle is dropped, then the same tag again.
    let cancel = bench.call(key, basic::Cancel { consumer_tag: short("t"), ..Default::default() });
    bench.abandon(cancel);
    bench.run(|s| s.drop_consumer(key, old));
    let call = consume_call(&mut bench, key, "t");
    bench.frames();
    // The broker answers in order.
    bench.receive(key.id, basic::CancelOk { consumer_tag: short("t") });
    bench.receive(key.id, basic::CancelOk { consumer_tag: short("t") });
    bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("t") });
    let (new, _) = consumer_of(&mut bench, call);
    assert_eq!(bench.names(), [], "the new consumer is not cancelled");
    bench.deliver(key, "t", 1, b"x");
    assert_eq!(drain(&mut bench, key, new), (vec![1], None));
}

/// Not this: explicit cancel crossing the broker's own cancel, tag used again at once.
#[test]
fn cancel_crossing_the_brokers_own() {
    let mut bench = Bench::new();
    let key = bench.open();
    let call = consume_call(&mut bench, key, "t");
    bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("t") });
    let (_old, _) = consumer_of(&mut bench, call);
    let _cancel = bench.call(key, basic::Cancel { consumer_tag: short("t"), ..Default::default() });
    bench.receive(key.id, basic::Cancel { consumer_tag: short("t"), no_wait: true });
    let call = consume_call(&mut bench, key, "t");
    bench.frames();
    bench.receive(key.id, basic::CancelOk { consumer_tag: short("t") });
    bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("t") });
    let (_new, _) = consumer_of(&mut bench, call);
    assert_eq!(bench.names(), [], "the new consumer is not cancelled");
}

/// Not this: a server-named consume-ok is given to an older call that asked for a tag of its own.
#[test]
fn server_named_consume_ok_goes_to_the_call_that_left_the_name_open() {
    let mut bench = Bench::new();
    let key = bench.open();
    let own = consume_call(&mut bench, key, "mine"); // its queue answers late
    let open = consume_call(&mut bench, key, "");
    bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("amq.ctag-1") });
    bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("mine") });
    assert_eq!(consumer_of(&mut bench, own).1, short("mine"));
    assert_eq!(consumer_of(&mut bench, open).1, short("amq.ctag-1"));
}

/// Not this: properties do not count in a consumer's budget.
#[test]
fn properties_count_in_the_consumers_budget() {
    let mut options = Options::default();
    options.consumer_budget = 1 << 20;
    let mut bench = Bench::tuned(options, 131_072, 0);
    let key = bench.open();
    let id = bench.consume(key, "c", true);
    let text = amqp_types::FieldValue::from(vec![b'x'; 100_000]);
    let headers = amqp_types::FieldTable::new().with(short("h"), text);
    let properties = basic::Properties { headers: Some(headers), ..Default::default() };
    for tag in 1..=500 {
        let deliver =
            basic::Deliver { consumer_tag: short("c"), delivery_tag: tag, ..Default::default() };
        bench.receive_with(key.id, deliver, &properties, b"");
    }
    // 50 MB of headers are held against a budget of 1 MiB.
    let (tags, end) = drain(&mut bench, key, id);
    assert_eq!(end, Some(ConsumerEnd::Overflow), "{} deliveries were kept", tags.len());
}

/// Not this: reading is paused for a consumer that makes progress, and the peer is declared dead for it.
#[test]
fn a_pause_of_our_own_is_no_silence_of_the_peers() {
    let mut bench = Bench::tuned(Options::default(), 131_072, 5);
    let key = bench.open();
    let id = bench.consume(key, "c", true);
    // The consumer was busy while a flood came (well under the budget of 64 MiB).
    let mut tag = 0;
    for _ in 0..70_000 {
        tag += 1;
        bench.deliver(key, "c", tag, &[7; 200]);
    }
    assert!(!bench.session.wants_read(), "reading is paused");
    // Now it works, a batch of 128 each 20 ms. Whatever the peer sends is not read by us.
    let mut batch = VecDeque::new();
    let start = bench.now;
    for _ in 0..2000 {
        batch.clear();
        let _ = bench
            .run(|s| s.poll_deliveries(key, id, &mut batch, &InFlight::default(), Waker::noop()));
        bench.pass(Duration::from_millis(20));
        if bench.session.wants_read() {
            let now = bench.now;
            bench.run(|s| s.handle_received(8, now));
        }
        if let Some(reason) = bench.session.close_reason() {
            panic!("after {:?}: {reason:?}", bench.now - start);
        }
    }
}

/// Not this: `send(basic.cancel no-wait)` leaves the consumer's reader waiting for ever.
#[test]
fn a_cancel_without_wait_ends_the_consumer() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = bench.consume(key, "c", false);
    let cancel = basic::Cancel { consumer_tag: short("c"), no_wait: true, ..Default::default() };
    bench.send(key, cancel).expect("sent");
    bench.pass(Duration::from_secs(3600));
    assert!(drain(&mut bench, key, id).1.is_some(), "the reader waits for ever");
}

/// Not this: what an `ack multiple` settled is rejected again when the consumer goes: 406 by the broker.
#[test]
fn nothing_is_settled_twice() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = bench.consume(key, "c", false);
    bench.deliver(key, "c", 1, b"unread");
    bench.deliver(key, "c", 2, b"unread");
    let get = bench.call(key, basic::Get::default());
    bench.receive_content(key.id, basic::GetOk { delivery_tag: 3, ..Default::default() }, b"x");
    bench.reply(get);
    bench
        .run(|s| s.settle(key, 3, Settle::Ack { multiple: true }, &InFlight::default()))
        .expect("open");
    bench.frames();
    bench.run(|s| s.drop_consumer(key, id));
    assert_eq!(bench.names(), [(key.id, "basic.cancel")], "1 and 2 are settled already");
}

/// Not this: `Duration::MAX` as a timeout panics under the lock, after the request was encoded.
#[test]
fn an_endless_call_timeout() {
    let mut bench = Bench::new();
    let key = bench.open();
    let mut options = bench.options::<basic::Qos>();
    options.within = Some(Duration::MAX);
    let _ = bench.run(|s| s.call(key, &basic::Qos::default().into_any(), &options));
}

/// Not this: 1024 returned messages of any size are kept.
#[test]
fn returned_messages_are_bounded_in_octets() {
    let mut bench = Bench::tuned(Options::default(), 131_072, 0);
    let key = bench.open();
    let body = vec![1; 1 << 20];
    for _ in 0..1024 {
        bench.receive_content(key.id, basic::Return::default(), &body);
    }
    let mut held = 0;
    let mut ticket = None;
    while let Poll::Ready(Ok(returned)) =
        bench.run(|s| s.poll_returned(key, &mut ticket, Waker::noop()))
    {
        held += returned.body.len();
    }
    assert!(held <= 128 << 20, "{held} octets");
}

/// Not this: only the bodies of returned messages count.
#[test]
fn the_properties_of_returned_messages_count_in_what_is_kept() {
    let mut options = Options::default();
    options.consumer_budget = 1 << 20;
    let mut bench = Bench::tuned(options, 131_072, 0);
    let key = bench.open();
    let values = amqp_types::FieldArray::from(vec![amqp_types::FieldValue::Void; 1000]);
    let headers = amqp_types::field_table! { "k" => values };
    let properties = basic::Properties { headers: Some(headers), ..Default::default() };
    for _ in 0..200 {
        bench.receive_with(key.id, basic::Return::default(), &properties, b"");
    }
    let mut held = 0;
    while bench.run(|session| session.take_returned(key)).is_some() {
        held += 1;
    }
    assert!((1..50).contains(&held), "{held} returned messages of 24 KB each are kept");
    assert_eq!(bench.session.channels.get(key).map(|channel| channel.returns_octets), Some(0));
}

/// Not this: `flush` says "written" of what an abort threw away.
#[test]
fn flush_does_not_claim_what_was_thrown_away() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.accepted(key, "lost");
    let (mut position, mut ticket) = (None, None);
    let poll = bench.run(|s| s.poll_flush(key, &mut position, &mut ticket, Waker::noop()));
    assert!(poll.is_pending());
    bench.run(Session::abort);
    // The driver, woken first, looks: nothing is in its hands.
    let now = bench.now;
    bench.run(|s| s.handle_written(0, true, now));
    let poll = bench.run(|s| s.poll_flush(key, &mut position, &mut ticket, Waker::noop()));
    assert!(matches!(poll, Poll::Ready(Err(_))), "{poll:?}");
}

/// Not this: an unanswered channel.close holds its number, and `closed()`, for ever.
#[test]
fn an_unanswered_channel_close_is_bounded() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.run(|s| s.close_channel(key, amqp_types::protocol::ReplyCode::REPLY_SUCCESS, ""));
    for _ in 0..100 {
        bench.pass(Duration::from_secs(60));
    }
    let mut ticket = None;
    let poll = bench.run(|s| s.poll_channel_ended(key, &mut ticket, Waker::noop()));
    assert!(
        poll.is_ready(),
        "nobody wakes `channel.closed()`; timeout {:?}",
        bench.session.poll_timeout()
    );
}

/// Not this: plain consume + plain cancel leave a consumer state behind each time.
#[test]
fn plain_consumers_leave_nothing() {
    let mut bench = Bench::new();
    let key = bench.open();
    for _ in 0..1000 {
        let call = consume_call(&mut bench, key, "t");
        bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("t") });
        bench.reply(call);
        let call =
            bench.call(key, basic::Cancel { consumer_tag: short("t"), ..Default::default() });
        bench.receive(key.id, basic::CancelOk { consumer_tag: short("t") });
        bench.reply(call);
    }
    assert_eq!(bench.left().consumers, 0);
}

/// Not this: answers pile up without bound for a peer that does not read.
#[test]
fn answers_to_a_peer_that_does_not_read_are_bounded() {
    let mut bench = Bench::new();
    let key = bench.open();
    for n in 0..1_000_000 {
        bench.receive(key.id, channel::Flow { active: n % 2 == 0 });
    }
    let octets = bench.session.leftovers().octets;
    assert!(octets <= 2 * Options::default().outbound_budget, "{octets} octets");
}

amqp_types::if_spec! { confirm.select => {
/// Not this: bodies of mandatory publishes are pinned outside every budget.
#[test]
fn retained_mandatory_bodies_are_in_a_budget() {
    use amqp_types::protocol::confirm;
    let mut bench = Bench::tuned(Options::default(), 131_072, 0);
    let key = bench.open();
    let call = bench.call(key, confirm::Select::default());
    bench.receive(key.id, confirm::SelectOk::default());
    bench.reply(call);
    let mut accepted = 0_usize;
    for _ in 0..2000 {
        let body = Bytes::from(vec![1; 1 << 16]);
        let mut message = Message {
            publish: basic::Publish { mandatory: true, ..Default::default() },
            properties: None, body };
        let mut place = Place::None;
        let p = bench.publish_from(key, &mut message, &mut place, Waker::noop());
        if p.is_pending() { break; }
        accepted += 1;
        bench.write();
        bench.out.clear();
    }
    assert!(accepted < 2000, "{} MiB are pinned", accepted >> 4);
}
} else {} }

/// Not this: after the peer's connection.close was answered, the rest of a large body still follows the close-ok.
#[test]
fn nothing_follows_a_close_ok() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.accepted(key, vec![1; 1 << 20]);
    bench.receive(0, connection::Close { reply_code: 320, ..Default::default() });
    let frames = bench.frames();
    let at = frames.iter().position(|f| f.channel == 0).expect("close-ok");
    assert_eq!(frames.len() - 1 - at, 0, "frames after connection.close-ok");
}

/// Not this: a call whose reply waits in the socket, unread because *we* paused, times out.
#[test]
fn a_pause_of_our_own_does_not_use_up_a_calls_time() {
    let mut options = Options::default();
    options.call_timeout = Duration::from_secs(5);
    let mut bench = Bench::tuned(options, 131_072, 0);
    let key = bench.open();
    let id = bench.consume(key, "c", true);
    for tag in 1..=70_000 {
        bench.deliver(key, "c", tag, &[7; 200]);
    }
    let o = bench.options::<basic::Qos>();
    let call = bench.run(|s| s.call(key, &basic::Qos::default().into_any(), &o)).expect("sent");
    let mut batch = VecDeque::new();
    for _ in 0..2 {
        batch.clear();
        let _ = bench
            .run(|s| s.poll_deliveries(key, id, &mut batch, &InFlight::default(), Waker::noop()));
        bench.pass(Duration::from_millis(20));
    }
    assert!(bench.session.wants_read(), "no pause is long, progress or not");
    assert!(bench.poll(call).is_pending());
}

/// Not this: a consume-ok or cancel-ok under a tag that nobody asked for answers the oldest call about a consumer.
#[test]
fn an_answer_about_a_consumer_that_nobody_asked_for_is_a_violation() {
    for cancels in [false, true] {
        let mut bench = Bench::new();
        let key = bench.open();
        let call = consume_call(&mut bench, key, "mine");
        if cancels {
            bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("mine") });
            bench.call(key, basic::Cancel { consumer_tag: short("mine"), ..Default::default() });
            bench.frames();
            bench.receive(key.id, basic::CancelOk { consumer_tag: short("another") });
        } else {
            bench.frames();
            bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("another") });
            let error = bench.error(call);
            assert_eq!(error.close_reason().and_then(|it| it.method()), Some("basic.consume-ok"));
        }
        bench.is_closing_with(503);
    }
}
