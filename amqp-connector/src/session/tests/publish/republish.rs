//! What was unanswered when the connection was lost and is published again: in order, once for each loss, and marked.

use super::super::recovery::{Waiting, lose, reopen};
use super::super::*;
use super::confirming::{ack, closes, detach, nack, ready};
use super::kept::give_back;
use crate::error::CloseCause;
use crate::options::{Pace, WhileBlocked};
use crate::{ConfirmOptions, Outcome, UnknownReason};

fn bench(options: ConfirmOptions) -> (Bench, ChannelKey) {
    let (mut bench, key) = ready(options);
    bench.run(|session| session.set_recovery(WhileBlocked::Wait));
    (bench, key)
}

/// The connection comes back, with frames of this size.
fn come_back_with(bench: &mut Bench, key: ChannelKey, frame_max: u32) {
    if !bench.session.is_lost() {
        lose(bench);
    }
    let (tuning, now) = (Tuning { channel_max: 3, frame_max, heartbeat: 0 }, bench.now);
    assert!(bench.run(|session| session.resume(tuning, now)));
    reselect(bench, key);
}

fn come_back(bench: &mut Bench, key: ChannelKey) {
    come_back_with(bench, key, 131_072);
}

/// Restores a channel in confirm mode.
fn reselect(bench: &mut Bench, key: ChannelKey) {
    use amqp_types::protocol::confirm;
    reopen(bench, key);
    let options = bench.options::<confirm::Select>();
    let select = confirm::Select::default().into_any();
    let call = bench
        .run(|session| session.restore_call(key, &select, &options, None))
        .expect("the channel is live");
    bench.receive(key.id, confirm::SelectOk::default());
    bench.reply(call);
    bench.frames();
    bench.run(|session| session.restored(key));
}

/// The bodies of what was published since the last look.
fn published(bench: &mut Bench) -> Vec<String> {
    let sent = bench.sent().into_iter();
    let bodies = sent.filter_map(|(_, incoming)| match incoming {
        Incoming::Content { body, .. } => Some(String::from_utf8_lossy(&body.to_bytes()).into()),
        Incoming::Method(_) => None,
    });
    bodies.collect()
}

fn outcome(bench: &mut Bench, key: ChannelKey, tag: u64) -> Option<Outcome> {
    match bench.run(|session| session.poll_confirm(key, tag, Waker::noop())) {
        Poll::Ready(claimed) => claimed.outcome,
        Poll::Pending => None,
    }
}

/// How often it was published again, and what became of it then.
fn told(bench: &mut Bench, key: ChannelKey, tag: u64) -> (u16, &'static str) {
    let Some(outcome) = outcome(bench, key, tag) else { return (0, "pending") };
    let plain = match outcome.plain() {
        Outcome::Acked => "acked",
        Outcome::Nacked => "nacked",
        Outcome::Returned(_) => "returned",
        Outcome::Unknown(_) => "unknown",
        other => panic!("{other:?}"),
    };
    (outcome.republished(), plain)
}

#[test]
fn what_was_unanswered_goes_once_more_in_order_and_before_anything_new() {
    let (mut bench, key) = bench(ConfirmOptions::new().republish(1));
    for body in ["1", "2", "3", "4", "5"] {
        bench.accepted(key, body);
    }
    ack(&mut bench, key, 2, false);
    nack(&mut bench, key, 4);
    lose(&mut bench);
    let mut newer = Waiting::new(key, 3).waits(&mut bench);
    assert_eq!(told(&mut bench, key, 1), (0, "pending"));
    come_back(&mut bench, key);
    assert_eq!(published(&mut bench), ["1", "3", "5"]);
    newer.goes(&mut bench);
    assert_eq!(published(&mut bench), ["\u{1}\u{1}\u{1}"]);
    // The broker counts from 1: what was sent again comes first.
    ack(&mut bench, key, 2, false);
    assert_eq!(told(&mut bench, key, 3), (1, "acked"));
    assert_eq!(told(&mut bench, key, 1), (0, "pending"));
    ack(&mut bench, key, 4, true);
    let all: Vec<_> = [1, 2, 4, 5, 6].map(|tag| told(&mut bench, key, tag)).into();
    assert_eq!(all, [(1, "acked"), (0, "acked"), (0, "nacked"), (1, "acked"), (0, "acked")]);
    assert!(bench.run(|session| session.take_message(key, 4)).is_some(), "it was nacked");
    let left = bench.left();
    assert_eq!((left.kept, left.confirms), (0, 0));
}

/// So much was answered behind it that it has left the ring.
#[test]
fn what_stayed_unanswered_for_long_goes_once_more() {
    let (mut bench, key) = bench(ConfirmOptions::new().republish(2));
    for body in ["1", "2"] {
        bench.accepted(key, body);
    }
    detach(&mut bench, key, 2);
    for _ in 0..2000 {
        let tag = bench.accepted(key, "x").expect("confirm mode");
        bench.frames();
        ack(&mut bench, key, tag, false);
        assert_eq!(told(&mut bench, key, tag), (0, "acked"));
    }
    bench.accepted(key, "3");
    bench.frames();
    for _ in 0..2 {
        come_back(&mut bench, key);
        assert_eq!(published(&mut bench), ["1", "2", "3"]);
        assert_eq!(bench.left().confirms, 3);
    }
    ack(&mut bench, key, 3, false);
    ack(&mut bench, key, 2, false);
    assert_eq!(told(&mut bench, key, 2003), (2, "acked"));
    assert_eq!(bench.left().confirms, 1);
    // It has gone as often as it may.
    lose(&mut bench);
    assert_eq!(told(&mut bench, key, 1), (2, "unknown"));
    assert_eq!(bench.left().confirms, 0);
}

#[test]
fn answers_to_what_is_new_are_told_from_answers_to_what_went_again() {
    let (mut bench, key) = bench(ConfirmOptions::new().republish(9));
    for body in ["1", "2", "3"] {
        bench.accepted(key, body);
    }
    ack(&mut bench, key, 1, false);
    come_back(&mut bench, key);
    bench.accepted(key, "4");
    nack(&mut bench, key, 3);
    assert_eq!(told(&mut bench, key, 4), (0, "nacked"));
    assert!(bench.run(|session| session.take_message(key, 4)).is_some());
    // Of both kinds, and lost once more.
    bench.accepted(key, "5");
    ack(&mut bench, key, 1, false);
    assert_eq!(told(&mut bench, key, 2), (1, "acked"));
    bench.frames();
    come_back(&mut bench, key);
    assert_eq!(published(&mut bench), ["3", "5"]);
    bench.accepted(key, "6");
    ack(&mut bench, key, 0, true);
    let all = [3, 5, 6].map(|tag| told(&mut bench, key, tag));
    assert_eq!(all, [(2, "acked"), (1, "acked"), (0, "acked")]);
    // What is answered is forgotten, and later tags still mean what they say.
    bench.accepted(key, "7");
    bench.accepted(key, "8");
    ack(&mut bench, key, 5, false);
    assert_eq!((told(&mut bench, key, 7), told(&mut bench, key, 8).1), ((0, "pending"), "acked"));
    ack(&mut bench, key, 4, false);
    assert_eq!(told(&mut bench, key, 7), (0, "acked"));
    assert_eq!(bench.left().kept, 0);
}

#[test]
fn an_answer_to_what_has_not_gone_yet_is_a_violation() {
    let mut options = Options::default();
    options.outbound_budget = 1000;
    let mut bench = Bench::tuned(options, 131_072, 0);
    let key = bench.open();
    bench.run(|session| session.set_confirm_options(key, ConfirmOptions::new().republish(1)));
    super::select(&mut bench, key);
    bench.run(|session| session.set_recovery(WhileBlocked::Wait));
    for _ in 0..4 {
        bench.accepted(key, vec![b'x'; 600]);
        bench.frames();
    }
    come_back(&mut bench, key);
    let went = bench.session.channels.get(key).map(|channel| 4 - channel.republishing());
    assert_eq!(went, Some(1), "there is room for one");
    ack(&mut bench, key, 2, false);
    assert_eq!(bench.session.close_reason().map(|it| it.cause()), Some(CloseCause::ProtocolViolation));
}

#[test]
fn more_than_there_is_room_for_goes_as_room_comes_and_keeps_its_order() {
    let mut options = Options::default();
    options.outbound_budget = 10_000;
    for (small, large) in [(600, 700), (600, 100_000), (100_000, 600)] {
        let mut bench = Bench::tuned(options.clone(), 131_072, 0);
        let key = bench.open();
        bench.run(|session| session.set_confirm_options(key, ConfirmOptions::new().republish(1)));
        super::select(&mut bench, key);
        bench.run(|session| session.set_recovery(WhileBlocked::Wait));
        for n in 0..40 {
            let size = if n % 3 == 0 { large } else { small };
            bench.accepted(key, format!("{n:03}{}", "x".repeat(size)));
            bench.frames();
        }
        lose(&mut bench);
        let mut newer = Waiting::new(key, 1).waits(&mut bench);
        come_back(&mut bench, key);
        let waits = bench.session.channels.get(key).map_or(0, |it| it.republishing());
        assert!(waits > 20, "{waits} of 40 wait for room");
        let sent = published(&mut bench);
        let order: Vec<usize> = sent.iter().map(|body| body[..3].parse().expect("a number")).collect();
        assert_eq!(order, (0..40).collect::<Vec<_>>());
        newer.goes(&mut bench);
        ack(&mut bench, key, 41, true);
        assert_eq!(told(&mut bench, key, 40), (1, "acked"));
        assert_eq!(told(&mut bench, key, 41), (0, "acked"));
        assert_eq!(bench.left().waiting, 0);
    }
}

#[test]
fn a_message_goes_again_only_so_often_and_is_handed_back_then() {
    let (mut bench, key) = bench(ConfirmOptions::new().republish(2));
    bench.accepted(key, "poison");
    for _ in 0..2 {
        come_back(&mut bench, key);
        assert_eq!(published(&mut bench), ["poison"]);
    }
    bench.accepted(key, "newer");
    bench.frames();
    come_back(&mut bench, key);
    assert_eq!(published(&mut bench), ["newer"]);
    assert_eq!(told(&mut bench, key, 1), (2, "unknown"));
    let message = bench.run(|session| session.take_message(key, 1)).expect("handed back");
    assert_eq!(message.body, "poison");
    ack(&mut bench, key, 1, false);
    assert_eq!(told(&mut bench, key, 2), (1, "acked"));
}

#[test]
fn what_the_broker_blames_for_its_close_does_not_go_again() {
    let (mut bench, key) = bench(ConfirmOptions::new().republish(9));
    bench.accepted(key, "poison");
    let other = bench.open();
    bench.run(|session| session.set_confirm_options(other, ConfirmOptions::new().republish(9)));
    super::select(&mut bench, other);
    let mut elsewhere = message("fine");
    elsewhere.publish.exchange = short("x");
    let accepted = bench.publish_from(other, &mut elsewhere, &mut Place::None, Waker::noop());
    assert!(matches!(accepted, Poll::Ready(Ok(Some(1)))));
    bench.receive(
        0,
        connection::Close {
            reply_code: 541,
            reply_text: short("INTERNAL_ERROR - exchange '' in vhost '/'"),
            class_id: basic::Publish::CLASS_ID,
            method_id: basic::Publish::METHOD_ID,
        },
    );
    come_back(&mut bench, key);
    reselect(&mut bench, other);
    assert_eq!(published(&mut bench), ["fine"]);
    assert_eq!(told(&mut bench, key, 1), (0, "unknown"));
    assert_eq!(told(&mut bench, other, 1), (0, "pending"));
}

#[test]
fn a_return_before_the_loss_means_nothing_for_what_goes_again_and_one_after_it_does() {
    let (mut bench, key) = bench(ConfirmOptions::new().republish(1));
    let publish = |bench: &mut Bench, body: &'static str| {
        let mut message = message(body);
        message.publish.mandatory = true;
        let accepted = bench.publish_from(key, &mut message, &mut Place::None, Waker::noop());
        assert!(matches!(accepted, Poll::Ready(Ok(Some(_)))));
    };
    for body in ["1", "2", "3"] {
        publish(&mut bench, body);
    }
    give_back(&mut bench, key, b"3");
    come_back(&mut bench, key);
    publish(&mut bench, "4");
    give_back(&mut bench, key, b"1");
    give_back(&mut bench, key, b"4");
    ack(&mut bench, key, 4, true);
    let all = [1, 2, 3, 4].map(|tag| told(&mut bench, key, tag));
    assert_eq!(all, [(1, "returned"), (1, "acked"), (1, "acked"), (0, "returned")]);
    assert_eq!(bench.left().kept, 0);
}

#[test]
fn those_who_wait_for_all_confirms_wait_for_what_goes_again() {
    let (mut bench, key) = bench(ConfirmOptions::new().republish(1));
    bench.accepted(key, "1");
    bench.accepted(key, "2");
    let (mut awaited, mut ticket) = Default::default();
    let (woken, waker) = counter();
    let mut counts = |bench: &mut Bench| {
        bench.run(|session| session.poll_answered(key, &mut awaited, &mut ticket, &waker))
    };
    assert!(counts(&mut bench).is_pending());
    come_back(&mut bench, key);
    assert!(counts(&mut bench).is_pending());
    woken.reset();
    ack(&mut bench, key, 2, true);
    assert!(woken.get() > 0);
    let Poll::Ready(Ok(counts)) = counts(&mut bench) else { panic!("all are answered") };
    assert_eq!((counts.acked, counts.unknown), (2, 0));
}

#[test]
fn what_does_not_fit_the_new_connection_is_unknown_and_the_rest_goes() {
    let (mut bench, key) = bench(ConfirmOptions::new().republish(1));
    let mut wide = message("wide");
    let headers = [(short("h"), "x".repeat(6000))].into_iter().collect();
    wide.properties = Some(basic::Properties { headers: Some(headers), ..Default::default() });
    let accepted = bench.publish_from(key, &mut wide, &mut Place::None, Waker::noop());
    assert!(matches!(accepted, Poll::Ready(Ok(Some(1)))));
    bench.accepted(key, "narrow");
    come_back_with(&mut bench, key, 4096);
    assert_eq!(published(&mut bench), ["narrow"]);
    assert_eq!(told(&mut bench, key, 1), (0, "unknown"));
    assert!(bench.run(|session| session.take_message(key, 1)).is_some());
    ack(&mut bench, key, 1, false);
    assert_eq!(told(&mut bench, key, 2), (1, "acked"));
}

#[test]
fn what_is_to_go_again_is_unknown_once_the_channel_or_the_recovery_ends() {
    for way in 0..3 {
        let (mut bench, key) = bench(ConfirmOptions::new().republish(1));
        bench.accepted(key, "1");
        bench.accepted(key, "2");
        match way {
            0 => {
                lose(&mut bench);
                bench.run(Session::give_up_recovery);
            }
            1 => {
                come_back(&mut bench, key);
                ack(&mut bench, key, 2, false);
                closes(&mut bench, key, 404, "NOT_FOUND");
            }
            _ => {
                come_back(&mut bench, key);
                ack(&mut bench, key, 2, false);
                bench.run(Session::abort);
            }
        }
        let Some(outcome) = outcome(&mut bench, key, 1) else { panic!("way {way}") };
        let Outcome::Unknown(UnknownReason::Closed(_)) = outcome.plain() else {
            panic!("{outcome:?}")
        };
        let times = u16::from(way > 0);
        assert_eq!(outcome.republished(), times, "way {way}");
        let message = bench.run(|session| session.take_message(key, 1)).expect("kept");
        assert_eq!(message.body, "1");
        assert_eq!(told(&mut bench, key, 2), [(0, "unknown"), (1, "acked")][usize::from(times)]);
    }
}

#[test]
fn the_pace_the_peer_and_a_block_hold_what_goes_again_as_they_hold_anything() {
    let (mut bench, key) = bench(ConfirmOptions::new().republish(9));
    let pace = Pace::per_second(1);
    let now = bench.now;
    for body in ["1", "2", "3"] {
        bench.accepted(key, body);
    }
    bench.run(|session| session.set_pace(key, Some(pace), now)).expect("open");
    come_back(&mut bench, key);
    assert_eq!(published(&mut bench), ["1"]);
    bench.pass(Duration::ZERO);
    bench.pass(Duration::from_millis(1100));
    assert_eq!(published(&mut bench), ["2"]);
    bench.pass(Duration::ZERO);
    bench.receive(key.id, channel::Flow { active: false });
    bench.pass(Duration::from_millis(1100));
    assert_eq!(published(&mut bench), [""; 0]);
    bench.receive(key.id, channel::Flow { active: true });
    assert_eq!(published(&mut bench), ["3"]);
    amqp_types::if_spec! { connection.blocked => {
        bench.run(|session| session.set_pace(key, None, now)).expect("open");
        lose(&mut bench);
        let (tuning, now) = (Tuning { channel_max: 3, frame_max: 4096, heartbeat: 0 }, bench.now);
        assert!(bench.run(|session| session.resume(tuning, now)));
        bench.receive(0, connection::Blocked { reason: short("low") });
        reselect(&mut bench, key);
        assert_eq!(published(&mut bench), [""; 0]);
        bench.receive(0, connection::Unblocked::default());
        assert_eq!(published(&mut bench), ["1", "2", "3"]);
    } else {} }
}

#[test]
fn a_confirmation_that_is_dropped_does_not_stop_its_message_from_going_again() {
    let (mut bench, key) = bench(ConfirmOptions::new().republish(1));
    bench.accepted(key, "1");
    detach(&mut bench, key, 1);
    come_back(&mut bench, key);
    assert_eq!(published(&mut bench), ["1"]);
    nack(&mut bench, key, 1);
    let messages = bench.run(|session| session.take_failed(key));
    assert_eq!(messages.len(), 1);
    assert_eq!(bench.left().kept, 0);
}

#[test]
fn without_the_option_it_is_unknown_as_ever() {
    for options in [ConfirmOptions::new(), ConfirmOptions::new().retain(true)] {
        let (mut bench, key) = bench(options);
        bench.accepted(key, "1");
        come_back(&mut bench, key);
        assert_eq!(published(&mut bench), [""; 0]);
        assert_eq!(told(&mut bench, key, 1), (0, "unknown"));
    }
}
