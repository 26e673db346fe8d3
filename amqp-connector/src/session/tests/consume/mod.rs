//! Deliveries reach their consumer, or go back where they came from.

mod coalescing;
mod giving_back;
amqp_types::if_spec! { basic.nack => { mod holding; } else {} }
mod limits;
mod offsets;
mod random;
mod settling;

use amqp_types::content::ContentHeader;
use amqp_types::wire::Writer;

use super::*;
use crate::ConsumerEnd;

/// The delivery tags that wait for the consumer, and its end.
pub(super) fn drain(
    bench: &mut Bench,
    key: ChannelKey,
    id: u64,
) -> (Vec<u64>, Option<ConsumerEnd>) {
    let mut tags = Vec::new();
    let mut batch = VecDeque::new();
    loop {
        let poll = bench.run(|session| {
            session.poll_deliveries(key, id, &mut batch, &InFlight::default(), Waker::noop())
        });
        tags.extend(batch.drain(..).map(|queued| queued.delivery_tag));
        match poll {
            Poll::Ready(None) => {}
            Poll::Ready(Some(end)) => return (tags, Some(end)),
            Poll::Pending => return (tags, None),
        }
    }
}

fn drop_consumer(bench: &mut Bench, key: ChannelKey, id: u64) {
    bench.run(|session| session.drop_consumer(key, id));
}

fn requeued(bench: &mut Bench) -> Vec<u64> {
    let sent = bench.sent().into_iter();
    sent.filter_map(|(_, incoming)| match incoming {
        Incoming::Method(Method::Basic(basic::Method::Reject(reject))) => {
            assert!(reject.requeue);
            Some(reject.delivery_tag)
        }
        _ => None,
    })
    .collect()
}

#[test]
fn deliveries_come_in_order_to_the_consumer_of_their_tag() {
    let mut bench = Bench::new();
    let key = bench.open();
    let (a, b) = (bench.consume(key, "a", false), bench.consume(key, "b", false));
    for tag in 1..=6 {
        bench.deliver(key, if tag % 2 == 0 { "a" } else { "b" }, tag, &vec![1; 5000]);
    }
    assert_eq!(drain(&mut bench, key, a).0, [2, 4, 6]);
    assert_eq!(drain(&mut bench, key, b).0, [1, 3, 5]);
}

#[test]
fn a_delivery_may_come_before_its_consume_ok() {
    let mut bench = Bench::new();
    let key = bench.open();
    let call =
        bench.call(key, basic::Consume { consumer_tag: short("mine"), ..Default::default() });
    bench.deliver(key, "mine", 1, b"early");
    bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("mine") });
    let Poll::Ready(Ok(reply)) = bench.poll(call) else { panic!() };
    let (id, _) = reply.consumer.expect("a consumer");
    assert_eq!(drain(&mut bench, key, id).0, [1]);
}

#[test]
fn a_dropped_consumer_is_cancelled_and_gives_everything_back() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = bench.consume(key, "c", false);
    bench.deliver(key, "c", 1, b"unread");
    bench.deliver(key, "c", 2, b"unread");
    drop_consumer(&mut bench, key, id);
    assert_eq!(
        bench.names(),
        [(key.id, "basic.cancel"), (key.id, "basic.reject"), (key.id, "basic.reject")]
    );
    bench.deliver(key, "c", 3, b"late");
    assert_eq!(requeued(&mut bench), [3]);
    bench.receive(key.id, basic::CancelOk { consumer_tag: short("c") });
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn a_dropped_consumer_without_acks_settles_nothing() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = bench.consume(key, "c", true);
    bench.deliver(key, "c", 1, b"unread");
    drop_consumer(&mut bench, key, id);
    assert_eq!(bench.names(), [(key.id, "basic.cancel")]);
    // A reject of what the broker counts as settled would close the channel with 406.
    bench.deliver(key, "c", 2, b"late");
    bench.nothing_sent();
    bench.receive(key.id, basic::CancelOk { consumer_tag: short("c") });
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn a_cancelled_consumer_can_be_read_to_its_end_and_leaves_nothing() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = bench.consume(key, "c", false);
    bench.deliver(key, "c", 1, b"x");
    let call = bench.call(key, basic::Cancel { consumer_tag: short("c"), ..Default::default() });
    bench.deliver(key, "c", 2, b"x");
    bench.receive(key.id, basic::CancelOk { consumer_tag: short("c") });
    bench.reply(call);
    bench.frames();
    let (tags, end) = drain(&mut bench, key, id);
    assert_eq!((tags, end), (vec![1, 2], Some(ConsumerEnd::Cancelled)));
    drop_consumer(&mut bench, key, id);
    bench.nothing_sent();
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn a_consumer_that_the_server_cancels_ends_after_what_it_has() {
    for no_wait in [true, false] {
        let mut bench = Bench::new();
        let key = bench.open();
        let id = bench.consume(key, "c", false);
        bench.deliver(key, "c", 1, b"x");
        bench.receive(key.id, basic::Cancel { consumer_tag: short("c"), no_wait });
        assert_eq!(bench.names().len(), usize::from(!no_wait), "cancel-ok is wanted or not");
        let (tags, end) = drain(&mut bench, key, id);
        assert_eq!((tags, end), (vec![1], Some(ConsumerEnd::CancelledByPeer)));
        drop_consumer(&mut bench, key, id);
        bench.nothing_sent();
        assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
    }
}

#[test]
fn a_server_may_cancel_a_consumer_that_is_being_dropped() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = bench.consume(key, "c", false);
    drop_consumer(&mut bench, key, id);
    bench.receive(key.id, basic::Cancel { consumer_tag: short("c"), no_wait: true });
    bench.receive(key.id, basic::CancelOk { consumer_tag: short("c") });
    assert!(bench.session.close_reason().is_none());
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn a_tag_can_be_used_again_while_its_cancel_is_on_the_way() {
    let mut bench = Bench::new();
    let key = bench.open();
    let old = bench.consume(key, "c", false);
    drop_consumer(&mut bench, key, old);
    let consume = basic::Consume { consumer_tag: short("c"), ..Default::default() };
    let call = bench.call(key, consume);
    bench.frames();
    bench.deliver(key, "c", 1, b"for the old one");
    assert_eq!(requeued(&mut bench), [1]);
    bench.receive(key.id, basic::CancelOk { consumer_tag: short("c") });
    bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("c") });
    let Poll::Ready(Ok(reply)) = bench.poll(call) else { panic!() };
    let (new, _) = reply.consumer.expect("a consumer");
    bench.deliver(key, "c", 2, b"for the new one");
    assert_eq!(drain(&mut bench, key, new), (vec![2], None));
}

#[test]
fn a_waiting_consumer_is_woken_by_a_delivery_and_by_its_end() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = bench.consume(key, "c", false);
    let (woken, waker) = counter();
    let mut batch = VecDeque::new();
    let mut poll = |bench: &mut Bench| {
        bench
            .run(|session| {
                session.poll_deliveries(key, id, &mut batch, &InFlight::default(), &waker)
            })
            .is_pending()
    };
    assert!(poll(&mut bench));
    bench.deliver(key, "c", 1, b"x");
    assert_eq!(woken.get(), 1);
    assert!(!poll(&mut bench));
    batch.clear();
    let mut poll = |bench: &mut Bench| {
        bench
            .run(|session| {
                session.poll_deliveries(key, id, &mut batch, &InFlight::default(), &waker)
            })
            .is_pending()
    };
    assert!(poll(&mut bench));
    bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() });
    assert_eq!(woken.get(), 2);
    let (_, end) = drain(&mut bench, key, id);
    assert!(matches!(end, Some(ConsumerEnd::Closed(_))));
}

#[test]
fn what_waits_for_acks_is_gone_with_its_channel_and_the_rest_can_be_read() {
    for no_ack in [false, true] {
        let mut bench = Bench::new();
        let key = bench.open();
        let id = bench.consume(key, "c", no_ack);
        bench.deliver(key, "c", 1, b"x");
        bench.receive(0, connection::Close { reply_code: 320, ..Default::default() });
        let (tags, end) = drain(&mut bench, key, id);
        assert_eq!(tags.len(), usize::from(no_ack));
        assert!(matches!(end, Some(ConsumerEnd::Closed(_))));
    }
}

#[test]
fn a_delivery_for_nobody_goes_back() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.deliver(key, "who?", 9, b"x");
    assert_eq!(requeued(&mut bench), [9]);
}

#[test]
fn replies_and_closes_overtake_deliveries_that_wait() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.consume(key, "c", false);
    for tag in 1..=100 {
        bench.deliver(key, "c", tag, b"nobody reads this");
    }
    let call = bench.call(key, amqp_types::protocol::queue::Declare::default());
    bench.receive(key.id, amqp_types::protocol::queue::DeclareOk::default());
    bench.reply(call);
}

#[test]
fn what_waits_for_all_consumers_is_counted_down_however_they_go() {
    let mut bench = Bench::new();
    let (key, other) = (bench.open(), bench.open());
    for (key, tag) in [(key, "cancelled"), (other, "closed")] {
        let consume =
            basic::Consume { no_ack: true, consumer_tag: short(tag), ..Default::default() };
        bench.call(key, consume);
        bench.receive(key.id, basic::ConsumeOk { consumer_tag: short(tag) });
        for delivery_tag in 1..=10 {
            bench.deliver(key, tag, delivery_tag, &[1; 1000]);
        }
    }
    assert!(bench.session.crowd.octets() >= 20_000);
    bench.call(key, basic::Cancel { consumer_tag: short("cancelled"), ..Default::default() });
    bench.receive(key.id, basic::CancelOk { consumer_tag: short("cancelled") });
    bench.run(|session| session.release_channel(other));
    bench.receive(other.id, channel::CloseOk::default());
    assert_eq!(bench.session.crowd.octets(), 0);
}

#[test]
fn a_body_for_a_consumer_that_is_gone_is_let_go() {
    let mut bench = Bench::new();
    let key = bench.open();
    let body = Bytes::from(vec![7; 1 << 20]);
    let deliver =
        basic::Deliver { consumer_tag: short("gone"), delivery_tag: 1, ..Default::default() };
    bench.receive(key.id, deliver);
    let mut payload = BytesMut::new();
    let mut writer = Writer::new(&mut payload);
    ContentHeader::write(&basic::Properties::default(), body.len() as u64, &mut writer)
        .expect("fits");
    writer.finish();
    bench.frame(FrameKind::Header, key.id, payload.freeze());
    bench.frame(FrameKind::Body, key.id, body.clone());
    assert!(body.is_unique());
}
