//! What bounds a consumer: its budget, its prefetch, and the largest body.

use amqp_types::content::ContentHeader;
use amqp_types::wire::Writer;

use super::*;
use crate::ConsumerEnd;

fn small_budget() -> (Bench, ChannelKey) {
    let mut options = Options::default();
    options.consumer_budget = 10_000;
    let mut bench = Bench::with(options);
    let key = bench.open();
    (bench, key)
}

#[test]
fn a_consumer_over_its_budget_is_cancelled_and_gives_everything_back() {
    let (mut bench, key) = small_budget();
    let id = bench.consume(key, "c", false);
    bench.deliver(key, "c", 1, &[0; 6000]);
    bench.nothing_sent();
    bench.deliver(key, "c", 2, &[0; 6000]);
    assert_eq!(bench.names()[0], (key.id, "basic.cancel"));
    bench.deliver(key, "c", 3, b"late");
    assert_eq!(requeued(&mut bench), [3]);
    assert_eq!(drain(&mut bench, key, id), (vec![], Some(ConsumerEnd::Overflow)));
    drop_consumer(&mut bench, key, id);
    bench.receive(key.id, basic::CancelOk { consumer_tag: short("c") });
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn a_consumer_without_acks_over_its_budget_keeps_what_it_has() {
    let (mut bench, key) = small_budget();
    let id = bench.consume(key, "c", true);
    for tag in 1..=2 {
        bench.deliver(key, "c", tag, &[0; 6000]);
    }
    assert_eq!(bench.names(), [(key.id, "basic.cancel")]);
    bench.deliver(key, "c", 3, &[0; 6000]);
    bench.nothing_sent();
    assert_eq!(drain(&mut bench, key, id), (vec![1, 2], Some(ConsumerEnd::Overflow)));
}

#[test]
fn a_consumer_over_its_budget_before_its_consume_ok_is_cancelled_after_it() {
    let (mut bench, key) = small_budget();
    let call = bench.call(key, basic::Consume { consumer_tag: short("c"), ..Default::default() });
    bench.frames();
    for tag in 1..=2 {
        bench.deliver(key, "c", tag, &[0; 6000]);
    }
    bench.frames();
    bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("c") });
    assert_eq!(bench.names(), [(key.id, "basic.cancel")]);
    let Poll::Ready(Ok(reply)) = bench.poll(call) else { panic!() };
    let (id, _) = reply.consumer.expect("a consumer");
    assert_eq!(drain(&mut bench, key, id).1, Some(ConsumerEnd::Overflow));
}

#[test]
fn a_consumer_that_is_over_before_its_handle_is_given_out_tells_why_all_the_same() {
    let (mut bench, key) = small_budget();
    let call = bench.call(key, basic::Consume { consumer_tag: short("c"), ..Default::default() });
    bench.run(|session| session.await_handle(call));
    bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("c") });
    assert!(
        bench.run(|session| session.claim_consumer(key, &short("c"))).is_none(),
        "it is the call's"
    );
    for tag in 1..=2 {
        bench.deliver(key, "c", tag, &[0; 6000]);
    }
    // All of it is there before the task that waits gets its turn.
    bench.receive(key.id, basic::CancelOk { consumer_tag: short("c") });
    let Poll::Ready(Ok(reply)) = bench.poll(call) else { panic!() };
    let (id, _) = reply.consumer.expect("a consumer");
    bench.run(|session| session.mark_claimed(key, id));
    assert_eq!(drain(&mut bench, key, id).1, Some(ConsumerEnd::Overflow));
    drop_consumer(&mut bench, key, id);
    bench.frames();
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn a_consumer_that_is_over_before_its_handle_is_given_up_leaves_nothing() {
    let (mut bench, key) = small_budget();
    let call = bench.call(key, basic::Consume { consumer_tag: short("c"), ..Default::default() });
    bench.run(|session| session.await_handle(call));
    bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("c") });
    for tag in 1..=2 {
        bench.deliver(key, "c", tag, &[0; 6000]);
    }
    bench.receive(key.id, basic::CancelOk { consumer_tag: short("c") });
    bench.abandon(call);
    bench.frames();
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn empty_messages_cost_room_too() {
    let (mut bench, key) = small_budget();
    let id = bench.consume(key, "c", false);
    for tag in 1..1000 {
        bench.deliver(key, "c", tag, b"");
    }
    assert_eq!(drain(&mut bench, key, id).1, Some(ConsumerEnd::Overflow));
}

#[test]
fn a_consumer_s_prefetch_does_not_take_the_channel_s_away() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.call(key, basic::Qos { prefetch_count: 9, global: true, ..Default::default() });
    bench.frames();
    for (prefetch_count, expected) in
        [(4, vec![(4, false), (9, true)]), (4, vec![]), (0, vec![(0, false), (9, true)])]
    {
        let qos = basic::Qos { prefetch_count, ..Default::default() };
        bench.run(|session| session.send_qos(key, qos, Location::caller())).expect("sent");
        let sent: Vec<_> = bench
            .sent()
            .into_iter()
            .map(|(_, incoming)| match incoming {
                Incoming::Method(Method::Basic(basic::Method::Qos(qos))) => {
                    (qos.prefetch_count, qos.global)
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(sent, expected);
    }
    bench.call(key, basic::Qos::default());
    bench.frames();
    let qos = basic::Qos::default();
    bench.run(|session| session.send_qos(key, qos, Location::caller())).expect("sent");
    assert_eq!(bench.names().len(), 2, "the channel's is set again");
}

#[test]
fn a_body_over_the_limit_ends_its_channel_and_what_still_comes_of_it_is_let_go() {
    let mut options = Options::default();
    options.body_max = 1000;
    let mut bench = Bench::with(options);
    let (key, other) = (bench.open(), bench.open());
    let id = bench.consume(key, "c", false);
    let body = Bytes::from(vec![7; 4000]);
    let deliver =
        basic::Deliver { consumer_tag: short("c"), delivery_tag: 1, ..Default::default() };
    bench.receive(key.id, deliver);
    let mut payload = BytesMut::new();
    let mut writer = Writer::new(&mut payload);
    ContentHeader::write(&basic::Properties::default(), 8000, &mut writer).expect("fits");
    writer.finish();
    bench.frame(FrameKind::Header, key.id, payload.freeze());
    let close = bench.only::<channel::Close>();
    assert_eq!(close.reply_code, 311, "at its header, before any of the body has come");
    // The peer had sent these before it saw the close; the message goes back to its queue with the channel.
    for _ in 0..2 {
        bench.frame(FrameKind::Body, key.id, body.clone());
        assert!(body.is_unique());
    }
    bench.deliver(key, "c", 2, b"behind it");
    bench.nothing_sent();
    let (tags, end) = drain(&mut bench, key, id);
    assert!(tags.is_empty());
    let Some(ConsumerEnd::Closed(reason)) = end else { panic!("{end:?}") };
    assert_eq!(reason.code().map(|code| code.0), Some(311));
    bench.receive(key.id, channel::CloseOk::default());
    // The others go on.
    let id = bench.consume(other, "o", false);
    bench.deliver(other, "o", 1, b"x");
    assert_eq!(drain(&mut bench, other, id).0, [1]);
}

#[test]
fn a_consumer_may_have_a_budget_of_its_own() {
    let (mut bench, key) = small_budget();
    for (tag, budget, end) in
        [("large", 100_000, None), ("small", 1000, Some(ConsumerEnd::Overflow))]
    {
        let consume = basic::Consume { consumer_tag: short(tag), ..Default::default() };
        let call = bench.call(key, consume);
        bench.run(|session| session.limit_consumer(call, budget));
        bench.receive(key.id, basic::ConsumeOk { consumer_tag: short(tag) });
        let Poll::Ready(Ok(reply)) = bench.poll(call) else { panic!() };
        let (id, _) = reply.consumer.expect("a consumer");
        for _ in 0..2 {
            bench.deliver(key, tag, 1, &[0; 6000]);
        }
        assert_eq!(drain(&mut bench, key, id).1, end, "{tag}");
    }
}
