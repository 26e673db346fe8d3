//! Streamed bodies on their way to readers: given out as they come, never more than may wait, and never with a
//! clean end that is none.

use super::consume::drain;
use super::*;
use crate::error::{CloseCause, ErrorKind};
use crate::outcome::ConsumerEnd;

const MIB: usize = 1 << 20;

/// A consumer of streamed bodies.
fn consume(bench: &mut Bench, key: ChannelKey, tag: &str, no_ack: bool) -> u64 {
    let call = bench.call(key, basic::Consume { no_ack, ..Default::default() });
    bench.run(|session| session.stream_consumer(call));
    bench.receive(key.id, basic::ConsumeOk { consumer_tag: short(tag) });
    bench.frames();
    let Poll::Ready(Ok(reply)) = bench.poll(call) else { panic!("no consumer") };
    let id = reply.consumer.expect("a consumer").0;
    bench.run(|session| session.mark_claimed(key, id));
    id
}

/// The beginning of a delivery.
fn begin(bench: &mut Bench, key: ChannelKey, tag: &str, delivery_tag: u64, size: u64) {
    let deliver = basic::Deliver { consumer_tag: short(tag), delivery_tag, ..Default::default() };
    bench.receive(key.id, deliver);
    let mut payload = BytesMut::new();
    let properties = basic::Properties::default();
    ContentHeader::write(&properties, size, &mut Writer::new(&mut payload)).expect("encodes");
    bench.frame(FrameKind::Header, key.id, payload.freeze());
}

fn piece(bench: &mut Bench, key: ChannelKey, octets: impl Into<Bytes>) {
    bench.frame(FrameKind::Body, key.id, octets);
}

fn heads(bench: &mut Bench, key: ChannelKey, id: u64) -> (Vec<u64>, Option<ConsumerEnd>) {
    drain(bench, key, id)
}

fn read(bench: &mut Bench, key: ChannelKey, tag: u64) -> Poll<Option<Result<Bytes>>> {
    bench.run(|session| session.poll_body(key, tag, Waker::noop()))
}

#[track_caller]
fn reads(bench: &mut Bench, key: ChannelKey, tag: u64, expected: &str) {
    match read(bench, key, tag) {
        Poll::Ready(Some(Ok(piece))) => assert_eq!(piece, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_delivery_is_given_out_with_its_header_and_its_pieces_as_they_come() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = consume(&mut bench, key, "c", false);
    begin(&mut bench, key, "c", 1, 5);
    assert_eq!(heads(&mut bench, key, id).0, [1]);
    assert_eq!(bench.run(|session| session.claim_body(key, 1)), Some(5));
    let (woken, waker) = counter();
    assert!(bench.run(|session| session.poll_body(key, 1, &waker)).is_pending());
    piece(&mut bench, key, "hel");
    assert_eq!(woken.get(), 1);
    reads(&mut bench, key, 1, "hel");
    assert!(read(&mut bench, key, 1).is_pending());
    piece(&mut bench, key, "");
    piece(&mut bench, key, "lo");
    reads(&mut bench, key, 1, "lo");
    assert!(matches!(read(&mut bench, key, 1), Poll::Ready(None)));
    assert_eq!(bench.left().bodies, 0);
    // An empty one has its end at once.
    begin(&mut bench, key, "c", 2, 0);
    assert_eq!(heads(&mut bench, key, id).0, [2]);
    assert!(matches!(read(&mut bench, key, 2), Poll::Ready(None)));
}

#[test]
fn plain_consumers_replies_and_returns_of_the_same_channel_are_as_ever() {
    let mut bench = Bench::new();
    let key = bench.open();
    let streamed = consume(&mut bench, key, "s", false);
    let plain = bench.consume(key, "p", false);
    begin(&mut bench, key, "s", 1, 2);
    piece(&mut bench, key, "ab");
    bench.deliver(key, "p", 2, b"whole");
    assert_eq!(heads(&mut bench, key, plain).0, [2]);
    assert_eq!(heads(&mut bench, key, streamed).0, [1]);
    let get = bench.call(key, basic::Get::default());
    bench.receive_content(key.id, basic::GetOk { delivery_tag: 3, ..Default::default() }, b"got");
    assert!(matches!(bench.reply(get), Method::Basic(basic::Method::GetOk(_))));
    bench.accepted(key, "publishes go as before");
    bench.receive_content(key.id, basic::Return { reply_code: 312, ..Default::default() }, b"x");
    assert_eq!(bench.left().returns, 1);
    assert!(bench.run(|session| session.take_returned(key)).is_some());
    bench.run(|session| {
        session
            .settle(key, 1, Settle::Ack { multiple: false }, &InFlight::default())
            .expect("open");
    });
    reads(&mut bench, key, 1, "ab");
}

#[test]
fn body_max_is_for_bodies_that_are_held_whole() {
    let mut options = Options::default();
    options.body_max = 3;
    let mut bench = Bench::with(options);
    let key = bench.open();
    consume(&mut bench, key, "s", false);
    begin(&mut bench, key, "s", 1, u64::MAX);
    piece(&mut bench, key, "abcdef");
    reads(&mut bench, key, 1, "abcdef");
    bench.nothing_sent();
}

#[test]
fn what_nobody_reads_is_let_go_of_as_it_comes() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = consume(&mut bench, key, "c", false);
    begin(&mut bench, key, "c", 1, 9);
    heads(&mut bench, key, id);
    piece(&mut bench, key, "abc");
    bench.run(|session| session.drop_body(key, 1));
    assert_eq!(bench.session.crowd.octets(), 0);
    piece(&mut bench, key, "def");
    piece(&mut bench, key, "ghi");
    assert_eq!((bench.session.crowd.octets(), bench.left().bodies), (0, 0));
    bench.nothing_sent();
    begin(&mut bench, key, "c", 2, 2);
    piece(&mut bench, key, "ok");
    reads(&mut bench, key, 2, "ok");
}

#[test]
fn a_dropped_consumer_gives_back_what_it_has_not_given_out() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = consume(&mut bench, key, "c", false);
    begin(&mut bench, key, "c", 1, 4);
    assert_eq!(heads(&mut bench, key, id).0, [1]);
    bench.run(|session| session.claim_body(key, 1));
    piece(&mut bench, key, "ab");
    piece(&mut bench, key, "cd");
    begin(&mut bench, key, "c", 2, 4);
    piece(&mut bench, key, "ab");
    bench.run(|session| session.drop_consumer(key, id));
    let names = bench.names();
    assert_eq!(names, [(key.id, "basic.cancel"), (key.id, "basic.reject")]);
    // The rest of it, and another that was on its way.
    piece(&mut bench, key, "cd");
    begin(&mut bench, key, "c", 3, 2);
    piece(&mut bench, key, "xy");
    assert_eq!(bench.names(), [(key.id, "basic.reject")]);
    reads(&mut bench, key, 1, "ab");
    reads(&mut bench, key, 1, "cd");
    assert_eq!(bench.left().bodies, 1);
    assert!(matches!(read(&mut bench, key, 1), Poll::Ready(None)));
    assert_eq!(bench.session.crowd.octets(), 0);
}

#[test]
fn a_body_that_breaks_off_never_has_a_clean_end() {
    type End = fn(&mut Bench, ChannelKey);
    let ends: [End; 3] = [
        |bench, key| {
            bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() })
        },
        |bench, _| bench.run(|session| session.handle_io_end(None)),
        |bench, key| bench.run(|session| session.close_channel(key, 200.into(), "")),
    ];
    for end in ends {
        for no_ack in [false, true] {
            let mut bench = Bench::new();
            let key = bench.open();
            consume(&mut bench, key, "c", no_ack);
            begin(&mut bench, key, "c", 1, 4);
            piece(&mut bench, key, "half");
            begin(&mut bench, key, "c", 2, 8);
            piece(&mut bench, key, "half");
            // They were given out: nobody could ask for others.
            bench.run(|session| (session.claim_body(key, 1), session.claim_body(key, 2)));
            let (woken, waker) = counter();
            reads(&mut bench, key, 2, "half");
            assert!(bench.run(|session| session.poll_body(key, 2, &waker)).is_pending());
            end(&mut bench, key);
            assert_eq!(woken.get(), 1);
            let Poll::Ready(Some(Err(error))) = read(&mut bench, key, 2) else { panic!("clean") };
            assert!(error.close_reason().is_some(), "{error}");
            let again = read(&mut bench, key, 2);
            assert!(matches!(again, Poll::Ready(Some(Err(_)))), "{again:?}");
            // What has come whole is whole.
            reads(&mut bench, key, 1, "half");
            assert!(matches!(read(&mut bench, key, 1), Poll::Ready(None)));
            assert_eq!(bench.session.crowd.octets(), 0);
        }
    }
}

#[test]
fn a_body_longer_than_announced_ends_the_connection() {
    let mut bench = Bench::new();
    let key = bench.open();
    consume(&mut bench, key, "c", false);
    begin(&mut bench, key, "c", 1, 4);
    piece(&mut bench, key, "abcde");
    bench.is_closing_with(unexpected());
    let Poll::Ready(Some(Err(_))) = read(&mut bench, key, 1) else { panic!("clean") };
}

/// 505 where the specification names it.
fn unexpected() -> u16 {
    amqp_types::if_spec! { constant.unexpected_frame => { 505 } else { 503 } }
}

/// Lets a body come in MiB, as long as the socket is read, and time pass; gives how much came in that time.
fn flood(
    bench: &mut Bench,
    key: ChannelKey,
    moments: usize,
    mut reader: impl FnMut(&mut Bench),
) -> usize {
    let octets = Bytes::from(vec![0; MIB]);
    let mut came = 0;
    for _ in 0..moments {
        if bench.session.wants_read() {
            piece(bench, key, octets.clone());
            came += 1;
        }
        reader(bench);
        bench.pass(Duration::from_millis(5));
    }
    came
}

#[test]
fn a_reader_that_makes_progress_is_waited_for_however_slow() {
    let mut bench = Bench::tuned(Options::default(), 4096, 60);
    let key = bench.open();
    consume(&mut bench, key, "c", false);
    begin(&mut bench, key, "c", 1, u64::MAX);
    let mut moment = 0;
    let came = flood(&mut bench, key, 20_000, |bench| {
        moment += 1;
        // Not faster than 2 MiB a second.
        if moment % 100 == 0 {
            let _ = read(bench, key, 1);
        }
    });
    assert!((190..230).contains(&came), "{came} MiB came while 200 were read");
    assert!(bench.session.crowd.octets() < 10 * MIB);
    assert!(bench.run(|session| session.channel_close_reason(key)).is_none());
}

#[test]
fn one_that_does_not_read_is_ended_with_its_channel_alone() {
    let mut options = Options::default();
    options.consumer_budget = 20 * MIB;
    options.reader_patience = Duration::from_secs(1);
    let mut bench = Bench::with(options);
    let (key, other) = (bench.open(), bench.open());
    let id = consume(&mut bench, key, "c", false);
    begin(&mut bench, key, "c", 1, u64::MAX);
    bench.run(|session| session.claim_body(key, 1));
    // It is waited for once, and not for long.
    let came = flood(&mut bench, key, 200, |_| {});
    assert!(came <= 2, "{came} MiB");
    let came = flood(&mut bench, key, 300, |_| {});
    assert!(came >= 20, "{came} MiB");
    let close = bench.only::<channel::Close>();
    assert!(close.reply_text.to_string_lossy().contains("not read"), "{close:?}");
    assert_eq!(heads(&mut bench, key, id).1, Some(ConsumerEnd::Overflow));
    let Poll::Ready(Some(Err(error))) = read(&mut bench, key, 1) else { panic!("clean") };
    assert_eq!(error.kind(), ErrorKind::ChannelClosed);
    assert_eq!(error.close_reason().expect("told").cause(), CloseCause::LimitExceeded);
    assert_eq!(bench.session.crowd.octets(), 0);
    assert!(bench.session.wants_read());
    bench.accepted(other, "lives on");
}

#[test]
fn many_small_bodies_that_nobody_reads_are_bounded_too() {
    let mut options = Options::default();
    options.consumer_budget = MIB;
    let mut bench = Bench::with(options);
    let key = bench.open();
    consume(&mut bench, key, "c", false);
    for tag in 1..1000 {
        begin(&mut bench, key, "c", tag, 4000);
        piece(&mut bench, key, vec![1; 4000]);
        bench.pass(Duration::from_millis(30));
    }
    let reason = bench.run(|session| session.channel_close_reason(key)).expect("closed");
    assert_eq!(reason.cause(), CloseCause::LimitExceeded);
}

#[test]
fn a_body_goes_on_while_its_channel_drains() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = consume(&mut bench, key, "c", false);
    begin(&mut bench, key, "c", 1, 6);
    let in_flight = InFlight::default();
    let mut batch = VecDeque::new();
    let poll = bench
        .run(|session| session.poll_deliveries(key, id, &mut batch, &in_flight, Waker::noop()));
    assert!(poll.is_ready() && batch.len() == 1);
    bench.run(|session| {
        session.claim_body(key, 1);
        session.mark_claimed(key, id).set(0);
    });
    piece(&mut bench, key, "abc");
    let now = bench.now;
    bench.run(|session| session.shut_down_channel(key, now, Duration::from_secs(5)));
    piece(&mut bench, key, "def");
    reads(&mut bench, key, 1, "abc");
    reads(&mut bench, key, 1, "def");
    assert!(matches!(read(&mut bench, key, 1), Poll::Ready(None)));
}

amqp_types::if_spec! { basic.recover_ok => {
    #[test]
    fn a_recover_makes_streamed_deliveries_void_with_their_bodies() {
        let mut bench = Bench::new();
        let key = bench.open();
        let id = consume(&mut bench, key, "c", false);
        for tag in 1..=3 {
            begin(&mut bench, key, "c", tag, 3);
            piece(&mut bench, key, "abc");
        }
        bench.run(|session| session.claim_body(key, 1));
        let recover = bench.call(key, basic::Recover { requeue: true });
        bench.receive(key.id, basic::RecoverOk::default());
        bench.reply(recover);
        bench.frames();
        assert_eq!(bench.left().bodies, 1, "only what a handle reads");
        let ack = Settle::Ack { multiple: false };
        for tag in 1..=3 {
            bench
                .run(|session| session.settle(key, tag, ack, &InFlight::default()))
                .expect_err("void");
        }
        bench.nothing_sent();
        begin(&mut bench, key, "c", 4, 1);
        piece(&mut bench, key, "x");
        assert_eq!(heads(&mut bench, key, id).0, [4]);
        bench.run(|session| session.settle(key, 4, ack, &InFlight::default())).expect("anew");
        assert_eq!(bench.names(), [(key.id, "basic.ack")]);
    }
} else {} }
