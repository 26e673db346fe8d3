//! Streamed publishes: their frames, who waits for whom meanwhile, and what their bad endings leave on the wire.

use std::panic::Location;

use amqp_types::protocol::basic;

use super::*;
use crate::error::{BrokenStream, CloseCause, ErrorKind, StreamFault};
use crate::session::StreamHead;

/// A streamed publish as its future runs it.
struct Streamed {
    key: ChannelKey,
    head: StreamHead,
    length: u64,
    place: Place,
    begun: bool,
}

impl Streamed {
    fn claim(bench: &mut Bench, key: ChannelKey, length: u64) -> Self {
        let mut streamed = Self::unclaimed(key, length);
        assert!(matches!(streamed.try_claim(bench), Poll::Ready(Ok(()))));
        streamed
    }

    fn unclaimed(key: ChannelKey, length: u64) -> Self {
        Self::with(key, message(""), length, 10_000)
    }

    fn with(key: ChannelKey, message: Message, length: u64, padding_max: u64) -> Self {
        let head = StreamHead::new(message, length, padding_max, Location::caller());
        Self { key, head, length, place: Place::None, begun: false }
    }

    fn try_claim(&mut self, bench: &mut Bench) -> Poll<Result<()>> {
        let Self { key, head, place, .. } = self;
        bench.run(|session| session.poll_claim(*key, head, place, Waker::noop()))
    }

    fn room(&mut self, bench: &mut Bench, waker: &Waker) -> Poll<Result<()>> {
        let Self { key, place, .. } = self;
        bench.run(|session| session.poll_source_room(*key, false, place, waker))
    }

    /// As while the source has nothing.
    fn waits(&self, bench: &mut Bench, waker: &Waker) -> Poll<()> {
        bench.run(|session| session.poll_interrupted(self.key, false, waker))
    }

    fn push(&mut self, bench: &mut Bench, piece: impl Into<Bytes>) -> Option<u64> {
        let (key, begun) = (self.key, std::mem::replace(&mut self.begun, true));
        let (head, mut piece) = (&mut self.head, piece.into());
        bench.run(|session| session.push_piece(key, head, begun, &mut piece)).expect("open")
    }

    fn fails(&self, bench: &mut Bench) {
        let lengths = (1, self.length);
        let names = (short("x"), short("q"));
        let broken = BrokenStream::new(StreamFault::Short, lengths, names, Location::caller());
        bench.run(|session| session.break_stream(self.key, &broken));
    }
}

/// Puts a channel into transaction mode.
fn select_tx(bench: &mut Bench, key: ChannelKey) {
    amqp_types::if_spec! { tx.select => {
        use amqp_types::protocol::tx;
        let call = bench.call(key, tx::Select::default());
        bench.receive(key.id, tx::SelectOk::default());
        bench.reply(call);
        bench.frames();
    } else {
        bench.run(|session| session.channels.get(key).expect("open").tx = true);
    } }
}

fn shape(frames: &[Frame]) -> Vec<(u16, FrameKind, usize)> {
    frames.iter().map(|frame| (frame.channel, frame.kind, frame.payload.len())).collect()
}

#[test]
fn pieces_go_out_as_they_come_and_are_cut_at_frame_max() {
    let mut bench = Bench::new();
    let key = bench.open();
    let mut streamed = Streamed::claim(&mut bench, key, 10_003);
    bench.nothing_sent();
    assert_eq!(streamed.push(&mut bench, "abc"), None);
    let frames = bench.frames();
    assert_eq!(frames.len(), 3, "{frames:?}");
    assert_eq!(frames[2].payload, "abc");
    streamed.push(&mut bench, vec![7; 10_000]);
    let sizes: Vec<_> = bench.frames().iter().map(|frame| frame.payload.len()).collect();
    assert_eq!(sizes, [4088, 4088, 1824]);
    bench.accepted(key, "behind");
    assert_eq!(bench.names(), [(key.id, "basic.publish")]);
    assert_eq!(bench.left().octets, 0);
}

#[test]
fn an_empty_body_is_a_content_without_frames() {
    let mut bench = Bench::new();
    let key = bench.open();
    let mut streamed = Streamed::claim(&mut bench, key, 0);
    streamed.push(&mut bench, "");
    assert_eq!(bench.names(), [(key.id, "basic.publish")]);
    bench.accepted(key, "behind");
}

#[test]
fn the_channel_is_busy_till_the_last_piece_is_given() {
    let mut bench = Bench::new();
    let key = bench.open();
    let mut streamed = Streamed::claim(&mut bench, key, 6);
    for piece in ["abc", "def"] {
        let options = bench.options::<basic::Get>();
        let get = basic::Get::default().into_any();
        let refused = bench.run(|session| session.call(key, &get, &options));
        assert_eq!(refused.expect_err("busy").kind(), ErrorKind::Busy);
        let Poll::Ready(Err(error)) = bench.publish(key, "x") else { panic!("sent") };
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Busy, true));
        let Poll::Ready(Err(error)) = Streamed::unclaimed(key, 1).try_claim(&mut bench) else {
            panic!("two streams")
        };
        assert_eq!(error.kind(), ErrorKind::Busy);
        streamed.push(&mut bench, piece);
    }
    bench.call(key, basic::Get::default());
    assert_eq!(bench.names(), [(key.id, "basic.publish"), (key.id, "basic.get")]);
}

#[test]
fn what_must_not_fail_is_held_back_till_the_body_is_through() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = bench.consume(key, "c", false);
    bench.deliver(key, "c", 1, b"x");
    let mut streamed = Streamed::claim(&mut bench, key, 6);
    streamed.push(&mut bench, "abc");
    bench.run(|session| session.drop_consumer(key, id));
    bench.receive(key.id, channel::Flow { active: true });
    let frames = bench.frames();
    assert_eq!(frames.len(), 3, "{frames:?}");
    streamed.push(&mut bench, "def");
    let frames = bench.frames();
    assert_eq!(frames[0].payload, "def");
    let methods: Vec<_> = frames[1..]
        .iter()
        .map(|frame| Method::decode(&frame.payload).expect("a method").info().full_name)
        .collect();
    assert_eq!(methods, ["basic.cancel", "basic.reject", "channel.flow-ok"]);
}

#[test]
fn other_channels_and_heartbeats_go_on_between_the_pieces() {
    let mut bench = Bench::tuned(Options::default(), 4096, 10);
    let (key, other) = (bench.open(), bench.open());
    let mut streamed = Streamed::claim(&mut bench, key, 300_000);
    streamed.push(&mut bench, vec![0; 200_000]);
    bench.accepted(other, vec![1; 200_000]);
    bench.accepted(other, "small");
    let frames = bench.frames();
    let mut switches = 0;
    for pair in frames.windows(2) {
        switches += usize::from(pair[0].channel != pair[1].channel);
    }
    assert!(switches > 60, "one frame each: {switches}");
    bench.accepted(other, "while nothing comes");
    assert_eq!(bench.names(), [(other.id, "basic.publish")]);
    bench.pass(Duration::from_secs(5));
    assert_eq!(bench.frames()[0].kind, FrameKind::Heartbeat);
}

#[test]
fn a_source_is_left_alone_while_there_is_no_room() {
    let mut options = Options::default();
    options.outbound_budget = 100_000;
    let mut bench = Bench::with(options);
    let (key, other) = (bench.open(), bench.open());
    let mut streamed = Streamed::claim(&mut bench, key, 10_000_000);
    let (woken, waker) = counter();
    assert!(streamed.room(&mut bench, &waker).is_ready());
    streamed.push(&mut bench, vec![0; 99_000]);
    assert!(streamed.room(&mut bench, &waker).is_pending());
    bench.accepted(other, vec![0; 5000]);
    assert_eq!(woken.get(), 0);
    bench.write();
    assert_eq!(woken.get(), 1, "its own queue is empty");
    assert!(streamed.room(&mut bench, &waker).is_ready());
    // Its own share is smaller than a large budget.
    let mut bench = Bench::new();
    let key = bench.open();
    let mut streamed = Streamed::claim(&mut bench, key, 10_000_000);
    streamed.push(&mut bench, vec![0; 600_000]);
    assert!(streamed.room(&mut bench, &waker).is_pending());
    let other = bench.open();
    bench.accepted(other, vec![0; 1_000_000]);
    bench.write();
    assert_eq!(woken.get(), 2);
    assert!(streamed.room(&mut bench, &waker).is_ready());
}

#[test]
fn a_broken_stream_of_a_transaction_is_completed_with_zeros_and_its_channel_closed() {
    for given in ["a", "abcdefg"] {
        let mut bench = Bench::new();
        let (key, other) = (bench.open(), bench.open());
        select_tx(&mut bench, key);
        let length = 9_000 + given.len() as u64;
        let mut streamed = Streamed::claim(&mut bench, key, length);
        streamed.push(&mut bench, given);
        if given.len() > 1 {
            bench.frames();
        }
        streamed.fails(&mut bench);
        let frames = bench.frames();
        let bodies = frames.iter().filter(|frame| frame.kind == FrameKind::Body);
        let made_up: Vec<u8> = bodies.flat_map(|frame| frame.payload.to_vec()).collect();
        let before = if given.len() > 1 { "" } else { given };
        assert_eq!(made_up, [before.as_bytes(), &[0; 9000]].concat());
        let close = frames.last().expect("sent");
        let close = Method::decode(&close.payload).expect("a method");
        assert_eq!(close.info().full_name, "channel.close", "uncommitted");
        let reason = bench.run(|session| session.channel_close_reason(key)).expect("closed");
        assert_eq!(reason.cause(), CloseCause::StreamBroken);
        assert!(reason.text().contains("ended too early"), "{reason}");
        bench.accepted(other, "lives on");
        bench.receive(key.id, channel::CloseOk::default());
        assert_eq!(bench.session.channel_count(), 1);
        assert_eq!(bench.left().octets, 0);
    }
}

#[test]
fn zeros_are_made_turn_by_turn_beside_other_channels() {
    let mut bench = Bench::new();
    let (key, other) = (bench.open(), bench.open());
    select_tx(&mut bench, key);
    let mut streamed = Streamed::with(key, message(""), 8 << 20, 8 << 20);
    assert!(streamed.try_claim(&mut bench).is_ready());
    streamed.push(&mut bench, "a");
    bench.frames();
    streamed.fails(&mut bench);
    // Nothing of them is counted before it is made.
    bench.accepted(other, vec![1; 300_000]);
    let frames = bench.frames();
    let last = frames.iter().rposition(|frame| frame.channel == other.id).expect("sent");
    assert!(last < 200, "{last} of {}", frames.len());
    let zeros: usize = frames
        .iter()
        .filter(|frame| frame.channel == key.id && frame.kind == FrameKind::Body)
        .map(|frame| frame.payload.len())
        .sum();
    assert_eq!(zeros, (8 << 20) - 1);
    assert_eq!(bench.left().octets, 0);
}

#[test]
fn a_close_without_a_text_during_a_streamed_publish_leaves_no_colon_behind() {
    let mut bench = Bench::new();
    let key = bench.open();
    let mut streamed = Streamed::claim(&mut bench, key, 10_002);
    streamed.push(&mut bench, "a");
    bench.frames();
    bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() });
    let reason = bench.session.close_reason().expect("closed").clone();
    assert!(reason.text().ends_with("without tx"), "{reason}");
}

#[test]
fn beyond_the_padding_limit_the_connection_is_closed_and_names_the_stream() {
    let mut bench = Bench::new();
    let (key, other) = (bench.open(), bench.open());
    select_tx(&mut bench, key);
    let mut streamed = Streamed::claim(&mut bench, key, 10_002);
    streamed.push(&mut bench, "a");
    bench.frames();
    streamed.fails(&mut bench);
    let close = bench.only::<connection::Close>();
    assert!(close.reply_text.to_string_lossy().contains("1 of 10002 octets"), "{close:?}");
    let reason = bench.session.close_reason().expect("closed").clone();
    assert_eq!(reason.cause(), CloseCause::StreamBroken);
    assert_eq!(reason.method(), Some("basic.publish"));
    assert!(reason.place().is_some() && reason.text().contains("routing key 'q'"), "{reason}");
    let Poll::Ready(Err(error)) = bench.publish(other, "x") else { panic!("sent") };
    assert!(error.is_transient(), "it may go on a new connection");
}

#[test]
fn without_a_transaction_a_broken_stream_ends_the_connection() {
    let mut bench = Bench::new();
    let key = bench.open();
    let mut streamed = Streamed::claim(&mut bench, key, 10);
    streamed.push(&mut bench, "a");
    streamed.fails(&mut bench);
    let frames = bench.frames();
    let bodies: usize = frames
        .iter()
        .filter(|frame| frame.kind == FrameKind::Body)
        .map(|frame| frame.payload.len())
        .sum();
    assert_eq!(bodies, 0, "nothing is completed");
    assert!(frames.iter().any(|frame| frame.channel == 0));
    assert_eq!(bench.left().octets, 0);
}

#[test]
fn a_stream_that_breaks_before_its_first_piece_costs_nothing() {
    let mut bench = Bench::new();
    let key = bench.open();
    let streamed = Streamed::claim(&mut bench, key, 10);
    streamed.fails(&mut bench);
    bench.nothing_sent();
    bench.accepted(key, "as before");
}

#[test]
fn closing_the_channel_meanwhile_is_a_bad_ending_too() {
    // In a transaction.
    let mut bench = Bench::new();
    let key = bench.open();
    select_tx(&mut bench, key);
    let mut streamed = Streamed::claim(&mut bench, key, 10);
    let (woken, waker) = counter();
    streamed.push(&mut bench, "a");
    assert!(streamed.room(&mut bench, &waker).is_ready());
    assert!(streamed.waits(&mut bench, &waker).is_pending());
    bench.run(|session| session.close_channel(key, 200.into(), ""));
    assert_eq!(woken.get(), 1);
    assert_eq!(bench.names(), [(key.id, "basic.publish"), (key.id, "channel.close")]);
    let Poll::Ready(Err(error)) = streamed.room(&mut bench, &waker) else { panic!("it goes on") };
    assert_eq!(error.kind(), ErrorKind::ChannelClosed);
    // Without.
    let mut bench = Bench::new();
    let key = bench.open();
    let mut streamed = Streamed::claim(&mut bench, key, 10);
    streamed.push(&mut bench, "a");
    bench.frames();
    bench.run(|session| session.close_channel(key, 200.into(), ""));
    bench.is_closing_with(541);
}

#[test]
fn a_channel_that_the_peer_closes_gets_the_rest_of_the_body_before_close_ok() {
    let mut bench = Bench::new();
    let key = bench.open();
    let mut streamed = Streamed::claim(&mut bench, key, 10_000);
    streamed.push(&mut bench, "a");
    bench.frames();
    bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() });
    let shape = shape(&bench.frames());
    let sizes: Vec<_> = shape.iter().filter(|it| it.1 == FrameKind::Body).map(|it| it.2).collect();
    assert_eq!(sizes, [4088, 4088, 1823]);
    assert_eq!(shape.last().expect("sent").1, FrameKind::Method, "close-ok");
    assert_eq!(bench.session.channel_count(), 0);
    // It is not the library's to send gigabytes for that.
    let key = bench.open();
    let mut streamed = Streamed::claim(&mut bench, key, 1 << 30);
    streamed.push(&mut bench, "a");
    bench.frames();
    bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() });
    bench.is_closing_with(541);
}

#[test]
fn nothing_new_follows_a_stream_that_ends_while_its_connection_closes() {
    let mut bench = Bench::new();
    let (key, other) = (bench.open(), bench.open());
    let call = bench.call(other, amqp_types::protocol::queue::Declare::default());
    let mut streamed = Streamed::claim(&mut bench, key, 2);
    bench.frames();
    let now = bench.now;
    bench.run(|session| session.shut_down(now, Duration::from_secs(8)));
    streamed.push(&mut bench, "ab");
    bench.pass(Duration::ZERO);
    assert_eq!(bench.names(), [(key.id, "basic.publish")]);
    let Poll::Ready(Err(error)) = bench.publish(key, "late") else { panic!("it is closing") };
    assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
    bench.receive(other.id, amqp_types::protocol::queue::DeclareOk::default());
    bench.reply(call);
    bench.pass(Duration::ZERO);
    bench.only::<connection::Close>();
}

#[test]
fn the_connections_end_takes_the_stream_along() {
    type End = fn(&mut Session);
    let ends: [End; 3] = [
        |session| session.close(200.into(), "", None),
        |session| session.handle_io_end(None),
        |session| session.abort(),
    ];
    for end in ends {
        let mut bench = Bench::new();
        let (key, other) = (bench.open(), bench.open());
        let mut streamed = Streamed::claim(&mut bench, key, 10_000);
        let (woken, waker) = counter();
        streamed.push(&mut bench, "a");
        assert!(streamed.room(&mut bench, &waker).is_ready());
        assert!(streamed.waits(&mut bench, &waker).is_pending());
        bench.frames();
        bench.accepted(other, vec![1; 100_000]);
        bench.run(end);
        assert!(woken.get() > 0);
        let frames = bench.frames();
        assert!(frames.iter().all(|frame| frame.channel != key.id), "{:?}", shape(&frames));
        let Poll::Ready(Err(error)) = streamed.room(&mut bench, &waker) else { panic!("goes on") };
        assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
        assert_eq!(bench.left().octets, 0);
    }
}

amqp_types::if_spec! { confirm.select => {
    use amqp_types::protocol::confirm;

    #[test]
    fn a_streamed_publish_has_its_confirm_tag() {
        let mut bench = Bench::new();
        let key = bench.open();
        let select = bench.call(key, confirm::Select::default());
        bench.receive(key.id, confirm::SelectOk::default());
        bench.reply(select);
        assert_eq!(bench.accepted(key, "first"), Some(1));
        let mut streamed = Streamed::claim(&mut bench, key, 4);
        assert_eq!(streamed.push(&mut bench, "ab"), Some(2));
        assert_eq!(streamed.push(&mut bench, "cd"), None);
        assert_eq!(bench.accepted(key, "third"), Some(3));
        let mut message = message("");
        message.publish.mandatory = true;
        let mut mandatory = Streamed::with(key, message, 4, 0);
        let Poll::Ready(Err(error)) = mandatory.try_claim(&mut bench) else { panic!("claimed") };
        assert_eq!(error.kind(), ErrorKind::Invalid);
        bench.accepted(key, "not busy");
    }
} else {} }
