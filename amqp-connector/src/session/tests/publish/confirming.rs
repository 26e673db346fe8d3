//! Confirm mode beyond the single outcome: limits, counts, and what a close tells.

use super::super::*;
use super::select;
use crate::session::Awaited;
use crate::{ConfirmCounts, ConfirmOptions, ErrorKind};

pub(super) fn ready(options: ConfirmOptions) -> (Bench, ChannelKey) {
    let mut bench = Bench::tuned(Options::default(), 131_072, 0);
    let key = bench.open();
    bench.run(|session| session.set_confirm_options(key, options));
    select(&mut bench, key);
    (bench, key)
}

pub(super) fn ack(bench: &mut Bench, key: ChannelKey, delivery_tag: u64, multiple: bool) {
    bench.receive(key.id, basic::Ack { delivery_tag, multiple });
}

pub(super) fn nack(bench: &mut Bench, key: ChannelKey, delivery_tag: u64) {
    bench.receive(key.id, basic::Nack { delivery_tag, ..Default::default() });
}

pub(super) fn detach(bench: &mut Bench, key: ChannelKey, tag: u64) {
    bench.run(|session| session.detach_confirm(key, tag));
}

fn answered(
    bench: &mut Bench,
    key: ChannelKey,
    wait: &mut Wait,
    waker: &Waker,
) -> Poll<Result<ConfirmCounts>> {
    let Wait { awaited, ticket } = wait;
    bench.run(|session| session.poll_answered(key, awaited, ticket, waker))
}

/// One task that waits for all publishes.
#[derive(Default)]
struct Wait {
    awaited: Awaited,
    ticket: Option<u64>,
}

pub(super) fn closes(bench: &mut Bench, key: ChannelKey, code: u16, text: &str) {
    let (class_id, method_id) = (basic::Publish::CLASS_ID, basic::Publish::METHOD_ID);
    let reply_text = short(text);
    bench.receive(key.id, channel::Close { reply_code: code, reply_text, class_id, method_id });
}

#[track_caller]
fn publish_to(bench: &mut Bench, key: ChannelKey, exchange: &str, routing_key: &str) -> u32 {
    let mut message = message("x");
    message.publish.exchange = short(exchange);
    message.publish.routing_key = short(routing_key);
    let caller = Location::caller();
    let mut place = Place::None;
    let accepted = bench.run(|session| {
        session.poll_publish(key, &mut message, caller, &mut place, Some(Waker::noop()))
    });
    assert!(accepted.is_ready());
    caller.line()
}

#[test]
fn the_limit_of_octets_holds_publishers_until_the_broker_answers() {
    let (mut bench, key) = ready(ConfirmOptions::new().unconfirmed_octets_max(1000));
    bench.accepted(key, vec![0; 900]);
    bench.accepted(key, vec![0; 5000]);
    let (woken, waker) = counter();
    let (mut third, mut place) = (message("x"), Place::None);
    assert!(bench.publish_from(key, &mut third, &mut place, &waker).is_pending());
    detach(&mut bench, key, 1);
    detach(&mut bench, key, 2);
    ack(&mut bench, key, 1, false);
    assert_eq!(woken.get(), 0, "the second alone is over the limit");
    ack(&mut bench, key, 2, false);
    assert_eq!(woken.get(), 1);
    assert!(bench.publish_from(key, &mut third, &mut place, &waker).is_ready());
}

#[test]
fn one_publish_goes_however_low_the_limit_of_octets_is() {
    let (mut bench, key) = ready(ConfirmOptions::new().unconfirmed_octets_max(0));
    bench.accepted(key, "x");
    let refused = bench.run(|session| {
        let (mut second, mut place) = (message("x"), Place::None);
        session.poll_publish(key, &mut second, Location::caller(), &mut place, None)
    });
    let Poll::Ready(Err(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.kind(), ErrorKind::Full);
    ack(&mut bench, key, 1, false);
    bench.accepted(key, "x");
}

#[test]
fn a_thousand_large_bodies_are_within_the_default_limits() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    for _ in 0..1000 {
        bench.accepted(key, vec![0; 64 << 10]);
        bench.write();
        bench.out.clear();
    }
}

#[test]
fn a_channel_has_its_own_limit_and_may_change_it() {
    let (mut bench, key) = ready(ConfirmOptions::new().unconfirmed_max(1));
    bench.accepted(key, "x");
    let (woken, waker) = counter();
    let (mut second, mut place) = (message("x"), Place::None);
    assert!(bench.publish_from(key, &mut second, &mut place, &waker).is_pending());
    bench.run(|session| {
        session.set_confirm_options(key, ConfirmOptions::new().unconfirmed_max(2));
    });
    assert_eq!(woken.get(), 1);
    assert!(bench.publish_from(key, &mut second, &mut place, &waker).is_ready());
}

#[test]
fn the_wait_for_confirms_ends_with_the_last_publish_before_it_and_tells_the_counts() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    let (woken, waker) = counter();
    let mut target = Wait::default();
    let now = answered(&mut bench, key, &mut target, &waker);
    assert!(matches!(now, Poll::Ready(Ok(counts)) if counts == ConfirmCounts::default()));
    for _ in 1..=4 {
        bench.accepted(key, "x");
    }
    target = Wait::default();
    assert!(answered(&mut bench, key, &mut target, &waker).is_pending());
    bench.accepted(key, "later");
    ack(&mut bench, key, 4, false);
    nack(&mut bench, key, 2);
    ack(&mut bench, key, 1, false);
    assert_eq!(woken.get(), 0, "the third is not answered");
    assert!(answered(&mut bench, key, &mut target, &waker).is_pending());
    ack(&mut bench, key, 3, false);
    assert_eq!(woken.get(), 1);
    let counts = answered(&mut bench, key, &mut target, &waker);
    let Poll::Ready(Ok(counts)) = counts else { panic!("{counts:?}") };
    assert_eq!((counts.acked, counts.nacked, counts.all_acked()), (3, 1, false));
    ack(&mut bench, key, 5, false);
    let counts = answered(&mut bench, key, &mut Wait::default(), &waker);
    let Poll::Ready(Ok(counts)) = counts else { panic!("{counts:?}") };
    assert_eq!((counts.acked, counts.nacked), (1, 0), "since the last time");
}

#[test]
fn waits_for_confirms_side_by_side_are_told_the_same_outcomes() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    bench.accepted(key, "x");
    bench.accepted(key, "x");
    let (mut one, mut other) = (Wait::default(), Wait::default());
    assert!(answered(&mut bench, key, &mut one, Waker::noop()).is_pending());
    assert!(answered(&mut bench, key, &mut other, Waker::noop()).is_pending());
    nack(&mut bench, key, 1);
    ack(&mut bench, key, 2, false);
    let mut counts = |wait: &mut Wait| match answered(&mut bench, key, wait, Waker::noop()) {
        Poll::Ready(Ok(counts)) => (counts.acked, counts.nacked),
        other => panic!("{other:?}"),
    };
    assert_eq!(counts(&mut one), (1, 1));
    // It begins when the first has ended.
    assert_eq!(counts(&mut Wait::default()), (0, 0));
    assert_eq!(counts(&mut other), (1, 1));
    assert_eq!(counts(&mut Wait::default()), (0, 0));
}

#[test]
fn the_wait_for_confirms_fails_with_the_channel_unless_all_were_answered() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    bench.accepted(key, "x");
    let mut before = Wait::default();
    assert!(answered(&mut bench, key, &mut before, Waker::noop()).is_pending());
    ack(&mut bench, key, 1, false);
    bench.accepted(key, "x");
    let (woken, waker) = counter();
    let mut after = Wait::default();
    assert!(answered(&mut bench, key, &mut after, &waker).is_pending());
    closes(&mut bench, key, 404, "NOT_FOUND");
    assert_eq!(woken.get(), 1);
    let failed = answered(&mut bench, key, &mut after, &waker);
    let Poll::Ready(Err(error)) = failed else { panic!("{failed:?}") };
    assert_eq!(error.close_reason().and_then(|it| it.code()).map(|code| code.0), Some(404));
    let counts = answered(&mut bench, key, &mut before, &waker);
    let Poll::Ready(Ok(counts)) = counts else { panic!("{counts:?}") };
    assert_eq!((counts.acked, counts.unknown), (1, 1));
}

#[test]
fn without_confirm_mode_there_is_nothing_to_wait_for() {
    let mut bench = Bench::new();
    let key = bench.open();
    let refused = answered(&mut bench, key, &mut Wait::default(), Waker::noop());
    let Poll::Ready(Err(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn a_close_names_the_only_publish_to_the_exchange_that_it_names() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    publish_to(&mut bench, key, "", "fine");
    let line = publish_to(&mut bench, key, "it's gone", "lost");
    publish_to(&mut bench, key, "it's gone", "not lost");
    publish_to(&mut bench, key, "it", "another");
    ack(&mut bench, key, 1, false);
    ack(&mut bench, key, 3, false);
    closes(&mut bench, key, 404, "NOT_FOUND - no exchange 'it's gone' in vhost '/'");
    let reason = bench.run(|session| session.channel_close_reason(key)).expect("closed");
    let blamed = reason.publish().expect("blamed");
    assert_eq!(blamed.exchange(), Some(&short("it's gone")));
    assert_eq!(blamed.routing_key(), Some(&short("lost")));
    assert_eq!(blamed.delivery_tag(), Some(2));
    assert_eq!(blamed.place().map(|place| place.line()), Some(line));
    assert_eq!(reason.place(), blamed.place());
    assert_eq!(reason.unconfirmed(), [2..=2, 4..=4]);
    assert!(reason.to_string().contains("with routing key \"lost\" at "), "{reason}");
}

#[test]
fn a_close_that_names_no_exchange_tells_what_is_certain() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    for routing_key in ["one", "two"] {
        publish_to(&mut bench, key, "amq.topic", routing_key);
    }
    closes(&mut bench, key, 406, "PRECONDITION_FAILED - invalid expiration");
    let reason = bench.run(|session| session.channel_close_reason(key)).expect("closed");
    let blamed = reason.publish().expect("something is certain");
    assert_eq!(blamed.exchange(), Some(&short("amq.topic")));
    assert_eq!((blamed.routing_key(), blamed.delivery_tag()), (None, None));
    assert_eq!(reason.unconfirmed(), [1..=2]);
}

#[test]
fn of_several_publishes_that_fit_only_what_they_have_in_common_is_told() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    publish_to(&mut bench, key, "k2x", "good");
    publish_to(&mut bench, key, "other", "other");
    publish_to(&mut bench, key, "k2x", "bad");
    closes(&mut bench, key, 404, "NOT_FOUND - no exchange 'k2x' in vhost '/'");
    let reason = bench.run(|session| session.channel_close_reason(key)).expect("closed");
    let blamed = reason.publish().expect("blamed");
    assert_eq!(blamed.exchange(), Some(&short("k2x")));
    assert_eq!((blamed.routing_key(), blamed.delivery_tag()), (None, None));
    assert_eq!((blamed.place(), reason.place()), (None, None));
    assert_eq!((blamed.count(), blamed.candidates()), (2, &[1..=1, 3..=3][..]));
    assert!(reason.to_string().ends_with("(caused by basic.publish, one of 2 publishes)"), "{reason}");
}

#[test]
fn of_ten_thousand_equal_publishes_the_address_and_place_are_told_and_the_text_stays_short() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    let mut line = 0;
    for _ in 0..10_000 {
        line = publish_to(&mut bench, key, "x", "k");
    }
    closes(&mut bench, key, 404, "NOT_FOUND - no exchange 'x' in vhost '/'");
    let reason = bench.run(|session| session.channel_close_reason(key)).expect("closed");
    let blamed = reason.publish().expect("blamed");
    assert_eq!(blamed.routing_key(), Some(&short("k")));
    assert_eq!(blamed.place().map(|place| place.line()), Some(line));
    assert_eq!((blamed.count(), blamed.delivery_tag()), (10_000, None));
    assert_eq!(blamed.candidates(), [1..=10_000]);
    assert!(reason.to_string().len() < 300, "{reason}");
}

/// The peer closes the connection for a publish.
fn connection_closes(bench: &mut Bench, text: &str) -> Arc<crate::CloseReason> {
    let (class_id, method_id) = (basic::Publish::CLASS_ID, basic::Publish::METHOD_ID);
    let reply_text = short(text);
    bench.receive(0, connection::Close { reply_code: 540, reply_text, class_id, method_id });
    bench.session.close_reason().expect("closed").clone()
}

#[test]
fn a_close_of_the_connection_names_the_only_publish_that_it_can_be() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    bench.open();
    let line = publish_to(&mut bench, key, "x", "k");
    let reason = connection_closes(&mut bench, "NOT_IMPLEMENTED - immediate=true");
    let blamed = reason.publish().expect("blamed");
    assert_eq!(blamed.exchange(), Some(&short("x")));
    assert_eq!(blamed.routing_key(), Some(&short("k")));
    assert_eq!((blamed.channel(), blamed.delivery_tag()), (Some(key.id), Some(1)));
    assert_eq!(reason.place().map(|place| place.line()), Some(line));
}

#[test]
fn a_close_of_the_connection_tells_on_how_many_channels_publishes_fit() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    let other = bench.open();
    select(&mut bench, other);
    publish_to(&mut bench, key, "x", "k");
    publish_to(&mut bench, other, "x", "l");
    publish_to(&mut bench, other, "x", "l");
    let reason = connection_closes(&mut bench, "NOT_IMPLEMENTED - immediate=true");
    let blamed = reason.publish().expect("blamed");
    assert_eq!((blamed.count(), blamed.channels(), blamed.channel()), (3, 2, None));
    assert_eq!((blamed.exchange(), blamed.routing_key()), (Some(&short("x")), None));
    assert!(blamed.candidates().is_empty() && blamed.delivery_tag().is_none());
    assert!(reason.to_string().ends_with("one of 3 publishes on 2 channels)"), "{reason}");
}

#[test]
fn a_close_of_the_connection_names_no_publish_if_a_channel_without_confirms_may_be_meant() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    let other = bench.open();
    publish_to(&mut bench, key, "x", "k");
    publish_to(&mut bench, other, "y", "l");
    let reason = connection_closes(&mut bench, "NOT_IMPLEMENTED - immediate=true");
    assert_eq!((reason.publish(), reason.place()), (None, None));
}

#[test]
fn a_name_that_looks_like_the_end_of_another_is_not_taken_for_it() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    let text = "NOT_FOUND - no exchange 'it's' in vhost 'y' in vhost '/'";
    let other = bench.open();
    publish_to(&mut bench, other, "it's' in vhost 'y", "k");
    closes(&mut bench, other, 404, text);
    let reason = bench.run(|session| session.channel_close_reason(other)).expect("closed");
    assert_eq!(reason.publish(), None, "it can be either name");
    publish_to(&mut bench, key, "it", "k");
    publish_to(&mut bench, key, "it's' in vhost 'y", "k");
    closes(&mut bench, key, 404, text);
    let reason = bench.run(|session| session.channel_close_reason(key)).expect("closed");
    assert_eq!(reason.publish().and_then(|it| it.delivery_tag()), Some(2));
}

#[test]
fn a_close_for_another_method_blames_no_publish() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    publish_to(&mut bench, key, "x", "k");
    let reply_text = short("NOT_FOUND - no exchange 'x' in vhost '/'");
    bench.receive(
        key.id,
        channel::Close { reply_code: 404, reply_text, class_id: 50, method_id: 20 },
    );
    let reason = bench.run(|session| session.channel_close_reason(key)).expect("closed");
    assert_eq!((reason.publish(), reason.unconfirmed()), (None, &[1..=1][..]));
}

#[test]
fn a_name_that_the_text_cuts_off_is_found_all_the_same() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    let name = "e".repeat(240);
    publish_to(&mut bench, key, "other", "k");
    publish_to(&mut bench, key, &name, "k");
    let text: String = format!("NOT_FOUND - no exchange '{name}").chars().take(250).collect();
    closes(&mut bench, key, 404, &(text + "..."));
    let reason = bench.run(|session| session.channel_close_reason(key)).expect("closed");
    assert_eq!(reason.publish().and_then(|it| it.delivery_tag()), Some(2));
}
