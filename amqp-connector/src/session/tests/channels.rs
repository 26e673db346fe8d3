//! Opening, closing, pausing; and what the peer must not do.

use amqp_types::protocol::queue;

use super::*;
use crate::{ErrorKind, Initiator};

#[test]
fn every_number_is_used_and_no_more() {
    let mut bench = Bench::new();
    let keys: Vec<_> = (0..3).map(|_| bench.open()).collect();
    assert_eq!(keys.iter().map(|key| key.id).collect::<Vec<_>>(), [1, 2, 3]);
    let options = bench.options::<channel::Open>();
    let refused = bench.session.open(&options).map(drop).expect_err("all are taken");
    assert_eq!(refused.kind(), ErrorKind::Limit);
    bench.nothing_sent();
}

#[test]
fn a_number_is_free_only_after_close_ok() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.run(|session| session.close_channel(key, 200.into(), ""));
    bench.only::<channel::Close>();
    let other = bench.open();
    assert_ne!(other.id, key.id);
    // What was on its way is passed over, contents included.
    bench.deliver(key, "gone", 1, &[0; 9000]);
    bench.receive(key.id, basic::GetEmpty::default());
    bench.nothing_sent();
    bench.receive(key.id, channel::CloseOk::default());
    assert_eq!(bench.open().id, key.id);
    assert!(bench.session.close_reason().is_none());
}

#[test]
fn crossing_closes_free_the_number_once() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.run(|session| session.close_channel(key, 200.into(), ""));
    bench.only::<channel::Close>();
    bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() });
    bench.only::<channel::CloseOk>();
    bench.receive(key.id, channel::CloseOk::default());
    let (new, _) = bench.begin_open();
    assert_eq!(new.id, key.id);
    assert_eq!(bench.names(), [(new.id, "channel.open")]);
    // The reason that came first stands.
    let reason = bench.session.channel_close_reason(key).expect("closed");
    assert_eq!(reason.initiator(), Initiator::Application);
    assert!(bench.session.close_reason().is_none());
}

#[test]
fn a_close_that_the_peer_repeats_is_answered_once() {
    for crossing in [false, true] {
        let mut bench = Bench::new();
        let key = bench.open();
        if crossing {
            bench.run(|session| session.close_channel(key, 200.into(), ""));
            bench.only::<channel::Close>();
        }
        for _ in 0..2 {
            bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() });
        }
        // A second one would be a frame on a channel that the peer has forgotten.
        bench.only::<channel::CloseOk>();
        for _ in 0..2 {
            bench.receive(key.id, channel::CloseOk::default());
        }
        bench.open();
        assert!(bench.session.close_reason().is_none());
    }
}

#[test]
fn a_channel_without_handles_is_forgotten() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() });
    assert_eq!(bench.left(), Leftovers { retired: 1, ..Default::default() });
    bench.run(|session| session.release_channel(key));
    assert_eq!(bench.left(), Leftovers::default());
}

#[test]
fn a_content_frame_without_its_method_closes_the_connection() {
    for kind in [FrameKind::Header, FrameKind::Body] {
        let mut bench = Bench::new();
        let key = bench.open();
        bench.frame(kind, key.id, Bytes::from_static(&[0; 20]));
        let code = amqp_types::if_spec! { constant.unexpected_frame => { 505 } else { 503 } };
        bench.is_closing_with(code);
    }
}

#[test]
fn a_method_between_the_frames_of_a_content_closes_the_connection() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.receive(key.id, basic::Deliver::default());
    bench.receive(key.id, basic::GetEmpty::default());
    let code = amqp_types::if_spec! { constant.unexpected_frame => { 505 } else { 503 } };
    bench.is_closing_with(code);
}

#[test]
fn a_frame_on_a_channel_that_is_not_open_closes_the_connection() {
    for id in [1, 3, 9, u16::MAX] {
        let mut bench = Bench::new();
        bench.receive(id, basic::GetEmpty::default());
        bench.is_closing_with(504);
    }
}

#[test]
fn what_follows_the_close_of_a_channel_by_the_peer_is_passed_over() {
    let mut bench = Bench::new();
    let (key, other) = (bench.open(), bench.open());
    bench.consume(key, "busy", false);
    bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() });
    bench.only::<channel::CloseOk>();
    // It has not read our close-ok.
    bench.deliver(key, "busy", 1, &[0; 9000]);
    bench.receive(key.id, basic::Ack { delivery_tag: 1, multiple: false });
    bench.nothing_sent();
    bench.accepted(other, "goes on");
    assert!(bench.session.close_reason().is_none());
}

#[test]
fn a_content_that_began_before_its_number_was_opened_again_is_passed_over() {
    let mut bench = Bench::new();
    // All numbers are in use, so that this one cannot rest.
    let key = bench.open();
    bench.open();
    bench.open();
    bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() });
    bench.only::<channel::CloseOk>();
    let (again, call) = bench.begin_open();
    assert_eq!(again.id, key.id);
    bench.frames();
    // Its method came before the open.
    bench.frame(FrameKind::Header, key.id, Bytes::from_static(&[0; 20]));
    bench.frame(FrameKind::Body, key.id, Bytes::from_static(b"x"));
    bench.deliver(key, "busy", 2, b"whole");
    bench.receive(key.id, channel::OpenOk::default());
    bench.reply(call);
    bench.nothing_sent();
    bench.consume(again, "new", false);
    bench.deliver(again, "new", 1, b"x");
    assert!(bench.session.close_reason().is_none());
}

#[test]
fn a_content_frame_on_channel_0_closes_the_connection() {
    let mut bench = Bench::new();
    bench.frame(FrameKind::Body, 0, Bytes::from_static(b"x"));
    let code = amqp_types::if_spec! { constant.unexpected_frame => { 505 } else { 503 } };
    bench.is_closing_with(code);
}

#[test]
fn a_reply_that_nobody_waits_for_closes_the_connection() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.receive(key.id, queue::DeclareOk::default());
    bench.is_closing_with(503);
    let reason = bench.session.close_reason().expect("closing").clone();
    assert_eq!(reason.method(), Some("queue.declare-ok"));
    assert_eq!(reason.initiator(), Initiator::Library);
}

#[test]
fn a_reply_of_another_kind_than_awaited_closes_the_connection_and_fails_the_call() {
    let mut bench = Bench::new();
    let key = bench.open();
    let call = bench.call(key, queue::Declare::default());
    bench.frames();
    bench.receive(key.id, queue::PurgeOk::default());
    bench.is_closing_with(503);
    assert_eq!(bench.error(call).kind(), ErrorKind::ConnectionClosed);
}

#[test]
fn a_close_ok_that_nobody_asked_for_closes_the_connection() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.receive(key.id, channel::CloseOk::default());
    bench.is_closing_with(503);
}

#[test]
fn a_method_that_cannot_be_read_closes_the_connection() {
    for payload in [&b"\0\x3c"[..], b"\0\x3c\xff\xff", b"\0\x3c\0\x50\0\0", b"\0\x32\0\x0b\xff"] {
        let mut bench = Bench::new();
        let key = bench.open();
        bench.frame(FrameKind::Method, key.id, Bytes::copy_from_slice(payload));
        bench.is_closing_with(502);
    }
}

#[test]
fn a_confirm_of_what_was_never_published_closes_the_connection() {
    amqp_types::if_spec! { confirm.select => {
        for tag in [0, 1, 2, u64::MAX] {
            let mut bench = Bench::new();
            let key = bench.open();
            if tag == 2 {
                publish::select(&mut bench, key);
                bench.accepted(key, "x");
                bench.frames();
            }
            bench.receive(key.id, basic::Ack { delivery_tag: tag, multiple: false });
            bench.is_closing_with(503);
        }
    } else {} }
}

#[test]
fn only_the_first_violation_is_told() {
    let mut bench = Bench::new();
    bench.receive(3, basic::GetEmpty::default());
    bench.receive(2, basic::GetEmpty::default());
    bench.is_closing_with(504);
    bench.receive(0, connection::CloseOk::default());
    assert!(bench.session.is_closed());
    assert_eq!(bench.left(), Leftovers::default());
}

#[test]
fn a_body_over_the_limit_closes_its_channel_alone() {
    let mut options = Options::default();
    options.body_max = 100;
    let mut bench = Bench::with(options);
    let (key, other) = (bench.open(), bench.open());
    let call = bench.call(key, basic::Get::default());
    bench.frames();
    bench.receive_content(key.id, basic::GetOk::default(), &[0; 5000]);
    let close = bench.only::<channel::Close>();
    assert_eq!(close.reply_code, 311);
    assert_eq!(bench.error(call).kind(), ErrorKind::ChannelClosed);
    assert!(bench.session.close_reason().is_none());
    bench.accepted(other, "x");
}

#[test]
fn a_size_that_is_only_announced_costs_nothing() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.receive(key.id, basic::Deliver::default());
    let mut payload = BytesMut::new();
    let properties = basic::Properties::default();
    ContentHeader::write(&properties, u64::MAX, &mut Writer::new(&mut payload)).expect("encodes");
    bench.frame(FrameKind::Header, key.id, payload.freeze());
    assert_eq!(bench.only::<channel::Close>().reply_code, 311);
}

#[test]
fn flow_pauses_the_publishers_of_its_channel_alone() {
    let mut bench = Bench::new();
    let (key, other) = (bench.open(), bench.open());
    bench.receive(key.id, channel::Flow { active: false });
    assert!(!bench.only::<channel::FlowOk>().active);
    let (mut paused, mut place) = (message("held"), Place::None);
    let (woken, waker) = counter();
    assert!(bench.publish_from(key, &mut paused, &mut place, &waker).is_pending());
    bench.accepted(other, "goes");
    assert_eq!(bench.names(), [(other.id, "basic.publish")]);

    // Without waiting it is refused at once.
    let mut now = message("now");
    let mut nowhere = Place::None;
    let refused = bench
        .run(|session| session.poll_publish(key, &mut now, Location::caller(), &mut nowhere, None));
    let Poll::Ready(Err(error)) = refused else { panic!("it must not wait") };
    assert_eq!(error.kind(), ErrorKind::Blocked);

    // Calls and settling go on.
    bench.call(key, queue::Declare::default());
    assert_eq!(bench.names(), [(key.id, "queue.declare")]);
    assert_eq!(woken.get(), 0);
    bench.receive(key.id, channel::Flow { active: true });
    assert!(bench.only::<channel::FlowOk>().active);
    assert_eq!(woken.get(), 1);
    assert!(bench.publish_from(key, &mut paused, &mut place, &waker).is_ready());
    assert_eq!(bench.names(), [(key.id, "basic.publish")]);
}

#[test]
fn waiting_publishers_of_a_paused_channel_go_in_order() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.receive(key.id, channel::Flow { active: false });
    bench.frames();
    let mut waiting: Vec<_> =
        (0..4_u8).map(|n| (message(vec![n]), Place::None, counter())).collect();
    for (message, place, (_, waker)) in &mut waiting {
        assert!(bench.publish_from(key, message, place, waker).is_pending());
    }
    bench.receive(key.id, channel::Flow { active: true });
    bench.frames();
    // Only the first is woken, and only it may go; each wakes the next. One gives up.
    bench.run(|session| session.leave(key, &mut waiting[1].1));
    for n in [0, 2, 3] {
        let (message, place, (count, waker)) = &mut waiting[n];
        assert_eq!(count.get(), 1, "{n}");
        assert!(bench.publish_from(key, message, place, waker).is_ready());
    }
    let bodies: Vec<Vec<u8>> = bench
        .sent()
        .into_iter()
        .map(|(_, incoming)| match incoming {
            Incoming::Content { body, .. } => body.to_bytes().to_vec(),
            Incoming::Method(method) => panic!("{method:?}"),
        })
        .collect();
    assert_eq!(bodies, [[0], [2], [3]]);
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn the_end_of_a_channel_reaches_its_publishers_wherever_they_wait() {
    let mut options = Options::default();
    options.outbound_budget = 100;
    let mut bench = Bench::with(options);
    let (key, other) = (bench.open(), bench.open());
    // The driver has it and cannot write.
    bench.accepted(other, vec![0; 1000]);
    let mut first = (message("x"), Place::None, counter());
    let mut second = (message("y"), Place::None, counter());
    assert!(bench.publish_from(other, &mut first.0, &mut first.1, &first.2.1).is_pending());
    assert!(bench.publish_from(key, &mut second.0, &mut second.1, &second.2.1).is_pending());
    bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() });
    assert_eq!(second.2.0.get(), 1, "it must not wait for room");
    let ended = bench.publish_from(key, &mut second.0, &mut second.1, &second.2.1);
    let Poll::Ready(Err(error)) = ended else { panic!("{ended:?}") };
    assert_eq!(error.kind(), ErrorKind::ChannelClosed);
    bench.frames();
    assert!(bench.publish_from(other, &mut first.0, &mut first.1, &first.2.1).is_ready());
    bench.frames();
    assert_eq!(bench.left(), Leftovers { channels: 1, retired: 1, ..Default::default() });
}

#[test]
fn returned_messages_without_confirms_reach_every_task_that_waits() {
    let mut bench = Bench::new();
    let key = bench.open();
    let waiting = [counter(), counter()];
    let mut tickets = [None, None];
    for ((_, waker), ticket) in waiting.iter().zip(&mut tickets) {
        assert!(bench.run(|session| session.poll_returned(key, ticket, waker)).is_pending());
    }
    bench.receive_content(key.id, basic::Return { reply_code: 312, ..Default::default() }, b"back");
    assert!(waiting.iter().all(|(count, _)| count.get() == 1));
    let first = bench.run(|session| session.poll_returned(key, &mut tickets[0], &waiting[0].1));
    assert!(matches!(first, Poll::Ready(Ok(returned)) if returned.body.to_bytes() == "back"));
    let second = bench.run(|session| session.poll_returned(key, &mut tickets[1], &waiting[1].1));
    assert!(second.is_pending());
}

#[test]
fn a_second_consumer_of_a_tag_is_refused_until_the_first_one_is_over() {
    let mut bench = Bench::new();
    let key = bench.open();
    let consume = || basic::Consume { consumer_tag: short("w"), ..Default::default() };
    let call = bench.call(key, consume());
    bench.only::<basic::Consume>();
    bench.abandon(call);
    let refused = bench.run(|session| session.check_tag(key, &consume().into_any()));
    assert_eq!(refused.expect_err("its fate is open").kind(), ErrorKind::Invalid);
    bench.nothing_sent();
    bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("w") });
    bench.only::<basic::Cancel>();
    bench.call(key, consume());
    bench.only::<basic::Consume>();
}
